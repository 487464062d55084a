//! Random traces through the allocators of every libpython that is here, each in a process of its own: where each block
//! lands, arenas that come and go, statistics, calls that tables and hooks see, what tracemalloc counts.

#![allow(clippy::unwrap_used, reason = "tests")]

mod broken;
mod forecast;
mod lessons;
mod practice;
mod scenario;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use real_cpython::beside::{Compared, Driver, Fault, Real};
use real_cpython::outside::{compared, grouped, long, not_run};
use real_cpython::{i386, interpreters, or_not_run};
use scenario::{Kind, Size, scenario};
use sim_core::Profile;
use sim_core::domains::AllocatorName;

/// A scenario with what it runs under.
#[derive(Clone, Copy)]
struct Case {
    kind: Kind,
    malloc: AllocatorName,
    set: &'static [(&'static str, &'static str)],
}

const fn case(kind: Kind, malloc: AllocatorName, set: &'static [(&'static str, &'static str)]) -> Case {
    Case { kind, malloc, set }
}

const PAGE: (&str, &str) = ("arena_placement", "page");
const MIXED: (&str, &str) = ("arena_placement", "mixed");

/// One of each kind.
const CASES: [Case; 12] = {
    use AllocatorName::{Debug, Malloc, MallocDebug, Pymalloc, PymallocDebug};
    [
        case(Kind::Plain, Pymalloc, &[]),
        case(Kind::Plain, Pymalloc, &[PAGE]),
        case(Kind::Plain, Pymalloc, &[MIXED, ("arena_limit", "3")]),
        case(Kind::Plain, Pymalloc, &[PAGE, ("arena_fail_at", "1,2,5,6,9,12,13")]),
        case(Kind::Thin, Pymalloc, &[MIXED]),
        case(Kind::Plain, Debug, &[PAGE]),
        case(Kind::Plain, MallocDebug, &[]),
        case(Kind::Tables, Pymalloc, &[]),
        case(Kind::Hooks, Pymalloc, &[MIXED]),
        case(Kind::Traced, Pymalloc, &[PAGE]),
        case(Kind::Traced, PymallocDebug, &[MIXED]),
        case(Kind::Traced, Malloc, &[]),
    ]
};

/// What a few seconds have time for.
const SAMPLE: Size = Size { calls: 5_000, crowd: 20_000, thin: 64 << 20 };
/// What some minutes have time for: thousands of arenas.
const LARGE: Size = Size { calls: 40_000, crowd: 150_000, thin: 1 << 30 };
/// For many seeds.
const SMALL: Size = Size { calls: 1_500, crowd: 9_000, thin: 8 << 20 };
/// Seeds of small traces beside the large ones.
const SEEDS: std::ops::Range<u64> = 100..160;

/// Requests for records of arenas and for nodes of the radix tree that fail.
const BOOKKEEPING: [Case; 2] = [
    case(Kind::Plain, AllocatorName::Pymalloc, &[MIXED, ("bookkeeping_fail_at", "1,3,4,7,8,12")]),
    case(Kind::RawFails, AllocatorName::Pymalloc, &[MIXED]),
];

/// A driver, which writes its files where tests do.
fn driver(program: std::path::PathBuf) -> Driver {
    Driver { program, words: Vec::new(), scratch: env!("CARGO_TARGET_TMPDIR").into() }
}

/// Every libpython of the interpreters that are here.
fn libraries() -> Vec<Real> {
    let (mut real, mut without) = (Vec::new(), BTreeSet::new());
    let interpreters = interpreters::compared().unwrap_or_default();
    for python in interpreters {
        let minor = python.version.1;
        let Some((prefix, library)) = python.shared_library() else {
            without.insert(minor);
            continue;
        };
        real.push(Real {
            name: python.to_string(),
            // For this program's own target.
            driver: driver(env!("CARGO_BIN_EXE_driver").into()),
            library,
            home: Some(prefix),
            profile: python.profile(),
        });
    }
    for minor in without {
        if !real.iter().any(|real| real.name.starts_with(&format!("3.{minor}."))) {
            let why = format!(
                "it has no shared library; `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.{minor}` builds one that has"
            );
            not_run(&format!("random traces through the allocators of CPython 3.{minor}"), why);
        }
    }
    real
}

/// What a version was compared on, and where both sides parted.
#[derive(Default)]
struct Outcome {
    compared: Compared,
    differences: Vec<String>,
}

impl Outcome {
    /// Runs the scenarios of some cases from a seed.
    fn of(real: &Real, cases: &[Case], size: Size, seed: u64) -> Self {
        // Tests run side by side, and two may have the same case.
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let mut outcome = Self::default();
        for (number, case) in cases.iter().enumerate() {
            let mut profile = real.profile.clone();
            for (key, value) in case.set {
                profile.set(key, value).unwrap();
            }
            let trace = scenario(case.kind, seed + number as u64, size, case.malloc, &profile);
            let name = format!("{}-{:?}-{number}-{seed}-{run}", real.name.replace(' ', "-"), case.kind);
            match real.agree(&profile, &trace, &name) {
                Ok(compared) => outcome.add(compared),
                Err(difference) => outcome.differences.push(difference),
            }
        }
        outcome
    }

    fn join(&mut self, other: Self) {
        self.add(other.compared);
        self.differences.extend(other.differences);
    }

    fn add(&mut self, more: Compared) {
        self.compared.operations += more.operations;
        self.compared.obtained += more.obtained;
        self.compared.released += more.released;
    }

    /// Says how it went; what to hold against the version.
    fn tell(self, real: &Real, what: &str) -> Vec<String> {
        let Compared { operations, obtained, released } = self.compared;
        let (operations, differences) = (grouped(operations), self.differences.len());
        let arenas = format!("{} arenas obtained, {} released", grouped(obtained), grouped(released));
        compared(
            what,
            &format!("{}: {operations} operations, {differences} differences ({arenas})", real.name),
        );
        self.differences
    }
}

#[test]
fn a_sample_lands_where_each_version_puts_it() {
    let mut differences = Vec::new();
    for real in libraries() {
        let outcome = Outcome::of(&real, &CASES, SAMPLE, 1);
        let Compared { obtained, released, .. } = outcome.compared;
        assert!(obtained > 150 && released > 150, "{}: the traces are too tame", real.name);
        differences.extend(outcome.tell(&real, "random traces"));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn many_and_large_traces_land_where_each_version_puts_them() {
    if !long("many and large traces through the allocators of each CPython") {
        return;
    }
    let mut differences = Vec::new();
    for real in libraries() {
        let mut outcome = Outcome::of(&real, &CASES, LARGE, 1_000);
        for seed in SEEDS {
            outcome.join(Outcome::of(&real, &CASES, SMALL, seed * 100));
        }
        differences.extend(outcome.tell(&real, "many and large traces"));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_32_bit_build_is_followed_too() {
    let what = "random traces through the allocators of a 32-bit CPython 3.11";
    if !long(what) {
        return;
    }
    let Some((program, library)) = or_not_run(what, i386::driver_and_library()) else { return };
    let profile = Profile::named("cpython-32bit").unwrap();
    // Uninitialised: the standard library is another package, and pymalloc 3.11's belongs to no interpreter.
    let (name, driver) = ("32-bit 3.11".to_owned(), driver(program));
    let real = Real { name, driver, library, home: None, profile };
    // An address space of 32 bits has no room for thousands of arenas.
    let large = Size { thin: 256 << 20, ..LARGE };
    let cases: Vec<Case> = CASES.into_iter().filter(|case| case.kind != Kind::Traced).collect();
    let mut outcome = Outcome::of(&real, &cases, large, 1_000);
    for seed in SEEDS {
        outcome.join(Outcome::of(&real, &cases, SMALL, seed * 100));
    }
    let mut differences = outcome.tell(&real, "many and large traces");
    differences.extend(break_heaps(&real, 0..600).tell(&real, "broken heaps"));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Heaps that their programs break go on, and end, as the real ones do. Every trace is a process.
fn break_heaps(real: &Real, seeds: std::ops::Range<u64>) -> Outcome {
    let mut outcome = Outcome::default();
    for seed in seeds {
        let malloc = if seed % 5 == 0 { AllocatorName::PymallocDebug } else { AllocatorName::Pymalloc };
        let trace = broken::broken(seed, 60 + seed % 7 * 40, malloc, &real.profile);
        let name = format!("{}-broken-{seed}", real.name.replace(' ', "-"));
        match real.agree(&real.profile, &trace, &name) {
            Ok(compared) => outcome.add(compared),
            Err(difference) => outcome.differences.push(difference),
        }
    }
    outcome
}

#[test]
fn broken_heaps_go_as_far_as_in_each_version() {
    let mut differences = Vec::new();
    let long = long("many broken heaps in each CPython");
    for real in libraries() {
        let seeds = if long { 0..2_000 } else { 0..40 };
        differences.extend(break_heaps(&real, seeds).tell(&real, "broken heaps"));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn bookkeeping_that_fails_does_so_in_each_version() {
    let mut differences = Vec::new();
    for real in libraries() {
        let outcome = Outcome::of(&real, &BOOKKEEPING, SAMPLE, 1);
        differences.extend(outcome.tell(&real, "bookkeeping that fails"));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// 3.8 gives back an arena that 3.9 keeps, and 3.10 has larger ones: under another version's rules this must show.
#[test]
fn another_versions_rules_are_noticed() {
    let libraries = libraries();
    for (minor, other) in [(8, "3.9"), (9, "3.8"), (11, "3.9")] {
        let Some(real) = libraries.iter().find(|real| real.name.starts_with(&format!("3.{minor}."))) else {
            continue;
        };
        let profile = Profile::for_python(other).profile;
        let size = Size { calls: 400, crowd: 6_000, ..SAMPLE };
        let trace = scenario(Kind::Plain, 1, size, AllocatorName::Pymalloc, &profile);
        let name = format!("{}-as-{other}", real.name);
        let compared = real.compare(&profile, &trace, &name);
        assert!(
            matches!(compared, Err(Fault::Differs(_))),
            "CPython {} passes for {other}: {compared:?}",
            real.name
        );
    }
}
