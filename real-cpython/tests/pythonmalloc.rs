//! Random traces under the real `PYTHONMALLOC` and `PYTHONMALLOCSTATS`, each in a process of its own: placements,
//! statistics, the reports on standard error, the counts of arena hooks that come and go.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::process::Command;

use real_cpython::RealPymalloc;
use real_cpython::outside::compared;
use sim_core::arena::ArenaBackend as _;
use sim_core::domains::{AllocatorName, Allocators, ArenaChoice};
use sim_core::report::{ArenaEvents, PlacementWriter, debugmallocstats};
use sim_core::tape::Action;
use sim_core::{Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

const NAMES: [&str; 6] = ["pymalloc", "pymalloc_debug", "malloc", "malloc_debug", "default", "debug"];

/// Blocks that fill some arenas.
const BLOCKS: u64 = 7_000;

/// A heap that grows to some arenas and shrinks again; with `hooks` their allocator changes all the time.
fn trace(seed: u64, hooks: bool) -> Trace {
    let up = Phase {
        operations: 4_000,
        sizes: [Sizes::Uniform { min: 0, max: 600 }, Sizes::Python, Sizes::Uniform { min: 400, max: 520 }]
            [seed as usize % 3],
        lifetimes: Lifetimes::Random,
        live_from: 0,
        live_to: 3_000,
        realloc_percent: 15,
        calloc_percent: 15,
        raw_percent: 10,
        mem_percent: 30,
    };
    let down = Phase { live_from: 3_000, live_to: 0, ..up };
    let phases = vec![up, down, up, down];
    let mut tape = TraceBuilder::new("random");
    let mut ops: Vec<Op> = (&Workload { seed, phases }).into_iter().collect();
    // Arenas that come and go whole.
    let block = |call| Op { thread: 0, domain: Domain::Mem, call };
    for round in 0..3 {
        let ids = (1 << 40) + round * BLOCKS..(1 << 40) + (round + 1) * BLOCKS;
        ops.extend(ids.clone().map(|id| block(Call::Malloc { id, size: 480 })));
        ops.extend(ids.map(|id| block(Call::Free { id })));
    }
    let last_frees = ops.len() - BLOCKS as usize;
    for (at, op) in ops.into_iter().enumerate() {
        let draw = (seed + 1).wrapping_mul(at as u64 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let choices = [
            ArenaChoice::Default,
            ArenaChoice::Count,
            ArenaChoice::FailEvery(2 + draw % 3),
            ArenaChoice::FailFrom(1 + draw % 4),
            ArenaChoice::Bump { bytes: (1 + draw % 3) << 20 },
            ArenaChoice::Malloc,
            ArenaChoice::Default,
        ];
        // Every second trace ends with the C library's free: given another's arena, it aborts.
        let harmless = seed.is_multiple_of(2);
        let choice = if harmless && at >= last_frees {
            (at == last_frees).then_some(ArenaChoice::Malloc)
        } else {
            let among = if harmless { 2 } else { choices.len() };
            draw.is_multiple_of(900).then(|| choices[(draw / 900) as usize % among])
        };
        if let Some(choice) = choice.filter(|_| hooks) {
            let call = Call::Act(Action::SetArenaAllocator(choice));
            tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        }
        tape.push(op).unwrap();
    }
    tape.finish()
}

/// What the process is to print, on standard output and on standard error.
fn expected(trace: &Trace, profile: &Profile, name: AllocatorName) -> (String, String) {
    let mut machine = Machine::for_trace(profile, trace, Some(name)).unwrap();
    let (writer, mut events) = (PlacementWriter::default(), ArenaEvents::default());
    let (mut out, mut reports) = (String::new(), String::new());
    for index in 0..trace.len() as usize {
        let before = out.len();
        events.clear();
        let pointer = machine.step(trace, index, &mut events);
        writer.after(&machine, trace, index, pointer, events.as_slice(), &mut out);
        if let Some(stats) = machine.layers().and_then(|l| l.malloc_stats()) {
            reports.push_str(&stats.text);
        }
        if machine.stopped().is_some() {
            // Only the marks stand before what would have been printed of the operation.
            let marks: String = out[before..].split_inclusive('\n').filter(|l| l.contains("arena")).collect();
            out.truncate(before);
            out.push_str(&marks);
            out.push_str("aborted\n");
            break;
        }
    }
    if machine.pymalloc_enabled() {
        out.push_str(&debugmallocstats(machine.pymalloc()));
    }
    let hooks = machine.pymalloc().memory().hooks().map_or(&[][..], |h| h.user());
    writeln!(out, "hooks {:?}", hooks.iter().map(|h| h.calls).collect::<Vec<_>>()).unwrap();
    let current = machine
        .layers()
        .map_or_else(|| Allocators::default().current_name(), |l| l.allocators().current_name());
    writeln!(out, "name {:?}", current.map(str::to_owned)).unwrap();
    (out, reports)
}

/// The first line that differs, with its number.
fn first_difference(ours: &str, real: &str) -> Option<String> {
    let (mut ours, mut real) = (ours.lines(), real.lines());
    for number in 1.. {
        match (ours.next(), real.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some(format!("line {number}: here {a:?}, real {b:?}")),
        }
    }
    None
}

#[test]
fn each_pythonmalloc_in_its_own_process() {
    if RealPymalloc::compared().is_none() {
        return;
    }
    let (mut processes, mut lines, mut reports_compared, mut changes, mut aborted) = (0, 0, 0, 0, 0);
    for (at, name) in NAMES.into_iter().enumerate() {
        for seed in 0..6 {
            let hooks = seed >= 2;
            let mut trace = trace(seed, hooks);
            let placement = ["aligned", "page", "mixed"][(seed as usize + at) % 3];
            let stats_value = [None, Some("1"), Some("0"), Some("")][(seed as usize / 2 + at) % 4];
            let path = format!("{}/{name}-{seed}.ptrace", env!("CARGO_TARGET_TMPDIR"));
            trace_io::ptrace::write(&mut std::fs::File::create(&path).unwrap(), &trace).unwrap();

            let mut command = Command::new(env!("CARGO_BIN_EXE_pythonmalloc"));
            command.args([&path, placement]).env("PYTHONMALLOC", name).env_remove("PYTHONMALLOCSTATS");
            if let Some(value) = stats_value {
                command.env("PYTHONMALLOCSTATS", value);
            }
            let real = command.output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let place =
                format!("PYTHONMALLOC={name} PYTHONMALLOCSTATS={stats_value:?} seed {seed} {placement}");
            assert!(real.status.success(), "{place}: {}", text(&real.stderr));

            trace.head.malloc_stats = stats_value.map(str::to_owned);
            let mut profile = Profile::default();
            profile.set("arena_placement", placement).unwrap();
            let (out, reports) = expected(&trace, &profile, AllocatorName::parse(name).unwrap());
            assert_eq!(first_difference(&out, &text(&real.stdout)), None, "{place}");
            assert_eq!(first_difference(&reports, &text(&real.stderr)), None, "{place}");
            processes += 1;
            lines += out.lines().count();
            reports_compared += reports.matches("Small block threshold").count();
            changes += trace.action_count();
            aborted += usize::from(out.contains("aborted"));
        }
    }
    compared(
        "PYTHONMALLOC in processes of their own",
        &format!(
            "libpython 3.11 in {processes}: {lines} lines of placements and statistics, {reports_compared} reports of \
             PYTHONMALLOCSTATS, {changes} changes of the arena hook, {aborted} aborts"
        ),
    );
    assert!(reports_compared > 50 && changes > 100 && aborted > 2, "the traces are too tame");
}

#[test]
fn an_unknown_name_ends_the_process_with_cpythons_words() {
    if RealPymalloc::compared().is_none() {
        return;
    }
    let path = format!("{}/one.ptrace", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, "m o 1 1\n").unwrap();
    for name in ["Malloc", "jemalloc", "pymalloc "] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pythonmalloc"));
        let real = command.args([&path, "aligned"]).env("PYTHONMALLOC", name).output().unwrap();
        let real = String::from_utf8(real.stderr).unwrap();
        let ours = AllocatorName::parse(name).unwrap_err().to_string();
        let ours = ours.split(" (").next().unwrap();
        assert!(real.contains(ours), "{name}: {real}");
    }
    assert!(AllocatorName::parse("").is_ok());
}
