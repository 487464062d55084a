//! Processes of one family: what the system counts of them, and what was copied since the fork.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod waiting;

use std::ops::ControlFlow;

use real_cpython::outside::not_run;
use waiting::{Waiting, compared};
use xray::image::Picture;
use xray::image::family::{Copied, Counted, Family, Member, Says};
use xray::image::picture::version_of;
use xray::source::{Copy, Target, copy_family};

/// Objects that are there before the fork.
const PLANTED: u64 = 150_000;

/// A process whose children do nothing, read every object, make strings of their own (two of them the same), and collect.
const FAMILY: &str = concat!(
    include_str!("fork.py"),
    "
import gc
class Planted:
    __slots__ = ('value',)
rows = [Planted() for _ in range(150000)]
for number, row in enumerate(rows): row.value = number + 0.5
def idle(): pass
def read():
    for row in rows: row.value
def make(): return ['made since the fork %d' % number for number in range(100000)]
gc.collect()
gc.disable()
children = [child(work) for work in (idle, read, make, make, gc.collect)]
print('ready', *(pid for pid, _ in children), flush=True)
sys.stdin.readline()
end(children)
"
);

/// Bytes of pages that one count has and the other has not: those of the kernel's own.
const LEEWAY: u64 = 32 << 10;

/// Processes that are looked at together.
struct Looked {
    pids: Vec<i32>,
    seen: Vec<(Copy, Picture)>,
}

impl Looked {
    fn at(pids: Vec<i32>) -> Self {
        let targets: Vec<Target> = pids.iter().map(|pid| Target::open(*pid).unwrap()).collect();
        let copies = copy_family(&targets, true, &mut |_| ControlFlow::Continue(())).unwrap();
        let seen = copies.into_iter().map(|copy| {
            let picture = Picture::of(&copy.memory, version_of(&copy.memory).unwrap()).unwrap();
            (copy, picture)
        });
        Self { pids, seen: seen.collect() }
    }

    /// Of some of them, by place.
    fn family(&self, of: &[usize]) -> Family {
        let members: Vec<Member<'_>> = of.iter().map(|at| self.member(*at)).collect();
        Family::of(&members)
    }

    fn member(&self, at: usize) -> Member<'_> {
        let (copy, picture) = &self.seen[at];
        Member {
            pid: self.pids[at],
            parent: copy.parent,
            rss_bytes: copy.rss_bytes,
            pss_bytes: copy.pss_bytes,
            memory: &copy.memory,
            picture,
            resident: &copy.resident,
            private: &copy.private,
        }
    }
}

/// Private bytes and PSS of a process, as the system counts them.
fn counted(pid: i32) -> (u64, u64) {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let sum = |names: &[&str]| -> u64 {
        let lines = rollup.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.map(|line| 1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
    };
    (sum(&["Private_Clean:", "Private_Dirty:"]), sum(&["Pss:"]))
}

/// Private bytes and PSS of each.
type Counts = Vec<(u64, u64)>;

/// Looks while nobody else begins or ends with pages of the same files, with what the system counts before and after.
fn steady(pids: &[i32]) -> (Looked, Counts, Counts) {
    const TRIES: usize = 20;
    let all = || -> Counts { pids.iter().map(|pid| counted(*pid)).collect() };
    let mut tries = 0;
    loop {
        let before = all();
        let looked = Looked::at(pids.to_vec());
        let after = all();
        tries += 1;
        let same = |at: usize| looked.seen[at].0.private.bytes().abs_diff(before[at].0) <= LEEWAY;
        if tries == TRIES || before == after && (0..pids.len()).all(same) {
            return (looked, before, after);
        }
    }
}

/// Objects of a type: how many, their bytes, those that are as they were, and those that the collector writes to.
fn objects(copied: &Copied, name: &str) -> (u64, u64, u64, u64) {
    let row = copied.types.iter().find(|row| row.name == name);
    row.map_or((0, 0, 0, 0), |row| (row.blocks, row.bytes, row.unchanged, row.tracked))
}

#[test]
fn what_was_copied_since_a_fork_is_told_from_what_was_made_since() {
    const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const PARENT: usize = 0;
    const IDLE: usize = 1;
    const READER: usize = 2;
    const MAKER: usize = 3;
    const TWIN: usize = 4;
    const COLLECTOR: usize = 5;
    let interpreters = compared();
    if interpreters.is_empty() {
        return not_run("what is copied after a fork", "no CPython was found");
    }
    for interpreter in interpreters {
        let mut command = interpreter.command(None);
        command.args(["-c", FAMILY]);
        let waiting = Waiting::of(command);
        let mut pids = vec![waiting.pid()];
        pids.extend(waiting.words.iter().map(|word| word.parse::<i32>().unwrap()));
        let (looked, before, after) = steady(&pids);
        assert!(waiting.end(), "{interpreter}");

        let family = looked.family(&ALL);
        let near = |found: u64, lo: u64, hi: u64| {
            let leeway = (hi / 200).max(LEEWAY);
            found + leeway >= lo && found <= hi + leeway
        };
        for (process, (before, after)) in family.processes.iter().zip(before.iter().zip(&after)) {
            let (private, pss) = (process.private_bytes, process.pss_bytes.unwrap());
            assert!(
                near(private, before.0, before.0),
                "{interpreter}: {private}, the system says {before:?}"
            );
            assert_eq!(before.0, after.0, "{interpreter}: to be looked at copies no page");
            let (lo, hi) = (before.1.min(after.1), before.1.max(after.1));
            assert!(near(pss, lo, hi), "{interpreter}: {pss}, the system says {before:?} and {after:?}");
            let rss = process.rss_bytes;
            assert!(near(private + process.shared_bytes, rss, rss), "{interpreter}: {process:?}");
        }
        assert_eq!(family.counted, Counted::Proportional);
        assert_eq!(
            family.held_bytes,
            family.processes.iter().map(|process| process.pss_bytes.unwrap()).sum::<u64>()
        );

        let arenas = |at: usize| {
            let process = &family.processes[at];
            process.arena_private_bytes + process.arena_shared_bytes
        };
        let hardly = |at: usize| family.processes[at].copied.bytes * 20 < arenas(at);
        let [parent, idle, reader, _, _, collector] = ALL.map(|at| &family.processes[at]);
        for process in &family.processes {
            assert_eq!(process.arenas_unknown, 0, "{interpreter}: with the parent it is known");
            assert_eq!(process.arenas_before, parent.arenas_before, "{interpreter}");
        }
        assert!(family.is_one() && parent.arenas_before * 100 > 90 * looked.seen[PARENT].1.arenas());
        assert!(hardly(PARENT), "{interpreter}: {parent:?}");

        assert!(idle.arena_private_bytes * 20 < arenas(IDLE) && hardly(IDLE), "{interpreter}: {idle:?}");

        assert!(reader.arena_private_bytes * 2 > arenas(READER), "{interpreter}: {reader:?}");
        assert!(reader.copied.bytes * 10 > reader.arena_private_bytes * 9, "{interpreter}: {reader:?}");
        assert_eq!(reader.copied.types[0].name, "__main__.Planted", "{interpreter}: {reader:?}");
        let (blocks, bytes, unchanged, tracked) = objects(&reader.copied, "__main__.Planted");
        assert!(
            blocks * 100 > PLANTED * 98 && blocks <= PLANTED,
            "{interpreter}: {blocks} objects were read"
        );
        assert!(unchanged * 100 > bytes * 99, "{interpreter}: nobody changed them");
        assert!(tracked * 100 > bytes * 99, "{interpreter}: the collector knows them");
        let (floats, _, _, of_the_collector) = objects(&reader.copied, "builtins.float");
        assert!(floats * 100 > PLANTED * 98 && of_the_collector == 0, "{interpreter}: {floats}");
        assert!(reader.copied.uncollected_bytes > 1 << 20, "{interpreter}: pages of nothing but numbers");

        // Made since: not what the other maker made at the same addresses, either.
        for at in [MAKER, TWIN] {
            let made = &family.processes[at];
            assert!(made.arenas_twice > 0 && hardly(at), "{interpreter}: {made:?}");
            assert!(made.twice_bytes > 4 << 20, "{interpreter}: {made:?}");
            assert!(made.arena_private_bytes > 5 << 20, "{interpreter}: {made:?}");
        }
        for process in [parent, idle, reader, collector] {
            assert_eq!(process.arenas_twice, 0, "{interpreter}: {process:?}");
        }
        assert_eq!(looked.family(&[PARENT, MAKER]).says(), Says::Little, "{interpreter}");
        assert_eq!(looked.family(&[PARENT, MAKER, TWIN]).says(), Says::Twice, "{interpreter}");
        let twins = looked.family(&[MAKER, TWIN]);
        for made in &twins.processes {
            assert!(made.arenas_unknown > 0 && made.unknown_bytes > 4 << 20, "{interpreter}: {made:?}");
            assert!(made.copied.bytes < 2 << 20, "{interpreter}: {made:?}");
        }

        let (blocks, ..) = objects(&collector.copied, "__main__.Planted");
        assert!(blocks * 100 > PLANTED * 98, "{interpreter}: {blocks} objects were looked at");
        assert!(
            collector.copied.uncollected_bytes * 4 < collector.copied.bytes,
            "{interpreter}: {collector:?}"
        );
        let of = |at: usize| looked.family(&[PARENT, at]).says();
        assert_eq!(of(COLLECTOR), Says::Copied { unchanged: true, collected: true }, "{interpreter}");
        assert_eq!(of(READER), Says::Copied { unchanged: true, collected: false }, "{interpreter}");
        assert_eq!(of(IDLE), Says::Little, "{interpreter}");
    }
}

#[test]
fn processes_that_were_not_forked_from_one_another_are_no_family() {
    const WAITS: &str = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()";
    let Some(interpreter) = compared().pop() else {
        return not_run("processes that are no family", "no CPython was found");
    };
    let both = [(); 2].map(|()| {
        let mut command = interpreter.command(None);
        command.args(["-c", WAITS]);
        Waiting::of(command)
    });
    let looked = Looked::at(both.iter().map(Waiting::pid).collect());
    let family = looked.family(&[0, 1]);
    assert!(!family.is_one() && family.copied.bytes == 0, "{family:?}");
    assert!(family.processes.iter().all(|process| process.rss_bytes > 0 && process.private_bytes > 0));
    assert!(both.into_iter().all(Waiting::end));
}
