//! What tracemalloc would say of a trace with stacks, against the simulation that has tracemalloc's hooks in from the first operation on.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use session::diagnosis::traced::{caveats, deepest, supposed};
use session::diagnosis::{Inquiry, NotSupposed};
use session::{Overrides, Setup};
use sim_core::domains::AllocatorName;
use sim_core::tape::{Action, Missing, SourceLine, StackId, TableChoice};
use sim_core::tracemalloc::{KeyType, Snapshot, take_snapshot};
use sim_core::{Call, Domain, Machine, Op, Trace, TraceBuilder};
use trace_io::workload::Workload;

/// How a trace says where its calls come from.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Told {
    /// Each call has its stack, as in a recording.
    Each,
    /// Actions change it, as in a scenario.
    Changes,
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Few places, so that stacks share frames, recur in themselves, and differ below what a limit keeps. Some calls have no stack, some frames
    /// no file.
    fn stack(&mut self) -> Vec<SourceLine> {
        let depth = self.below(6);
        let line = |dice: &mut Self| SourceLine {
            function: ["f", "g", ""][dice.below(3) as usize].to_owned(),
            file: ["a.py", "b.py", "lib/\u{e9}.py", ""][dice.below(4) as usize].to_owned(),
            line: dice.below(3) as u32,
        };
        (0..depth).map(|_| line(self)).collect()
    }
}

/// A workload with stacks; with `start` tracemalloc is started before all of it.
fn tape(seed: u64, told: Told, start: Option<i32>) -> Trace {
    let mut dice = Dice(seed);
    let mut tape = TraceBuilder::new("t");
    let push = |tape: &mut TraceBuilder, call, domain, stack| {
        tape.push_recorded(Op { thread: 0, domain, call }, stack, None).unwrap();
    };
    if let Some(limit) = start {
        push(&mut tape, Call::Act(Action::TracemallocStart(limit)), Domain::Obj, StackId(0));
    }
    let mut too_large = 0;
    for op in &Workload::python(seed, 900, 120) {
        let lines = dice.stack();
        let stack = tape.stack(&lines);
        let own = match told {
            Told::Each => stack,
            Told::Changes => {
                push(&mut tape, Call::Act(Action::Stack(stack)), Domain::Obj, StackId(0));
                StackId(0)
            }
        };
        // Now and then a request that fails before one that does not.
        if let Call::Realloc { id, .. } = op.call
            && dice.below(3) == 0
        {
            too_large += 1;
            push(&mut tape, Call::Realloc { id, newid: id, size: 1 << 63 }, op.domain, own);
        }
        push(&mut tape, op.call, op.domain, own);
    }
    assert!(too_large > 3, "{too_large}");
    tape.finish()
}

/// All that can be asked of one or two snapshots, as text.
fn answers(new: &Snapshot, old: &Snapshot) -> Vec<String> {
    let mut lines = vec![format!("limit {}, {} traces", new.traceback_limit(), new.traces().len())];
    for key in KeyType::ALL {
        for cumulative in [false, true] {
            let Ok(statistics) = new.statistics(key, cumulative) else { continue };
            lines.extend(
                statistics.iter().map(|s| format!("{key} {cumulative} {s} {:?}", s.traceback.frames())),
            );
            let diffs = new.compare_to(old, key, cumulative).unwrap();
            lines.extend(diffs.iter().map(|d| format!("{key} {cumulative} {d}")));
        }
    }
    let mut traces: Vec<String> = new
        .traces()
        .map(|t| {
            format!("{} {} {:?} {:?}", t.domain, t.size, t.traceback.frames(), t.traceback.total_nframe())
        })
        .collect();
    traces.sort();
    lines.extend(traces);
    lines
}

#[test]
fn what_births_say_is_what_tracemalloc_says_that_was_started_first() {
    let mut compared = 0;
    for (seed, told) in [(1, Told::Each), (2, Told::Changes), (3, Told::Each), (4, Told::Changes)] {
        for (limit, malloc) in
            [(1, None), (2, Some(AllocatorName::Malloc)), (3, Some(AllocatorName::Debug)), (65_535, None)]
        {
            let plain = Arc::new(tape(seed, told, None));
            assert_eq!(supposed(&plain), Ok(()));
            let mut inquiry =
                Inquiry::new(Arc::clone(&plain), Setup::resolve(&plain, &Overrides::default()).unwrap());
            let traced = tape(seed, told, Some(limit));
            assert_eq!(supposed(&traced), Err(NotSupposed::RunsItself));
            let setup = Setup::resolve(&traced, &Overrides { malloc, ..Overrides::default() }).unwrap();
            let mut machine: Machine = setup.machine(&traced).unwrap();
            machine.step(&traced, 0, &mut ());
            let first = take_snapshot(machine.layers().unwrap().tracemalloc()).unwrap();
            let mut before = (first.clone(), first);
            for step in 0..=plain.len() {
                let real = machine.layers().unwrap().tracemalloc();
                assert_eq!(inquiry.traced_memory(step), real.get_traced_memory(), "{seed} {step}");
                if step % 150 == 0 || step == plain.len() {
                    let real = take_snapshot(real).unwrap();
                    let ours = inquiry.snapshot(step, limit as u16).unwrap();
                    let (wanted, got) = (answers(&real, &before.0), answers(&ours, &before.1));
                    assert_eq!(got, wanted, "{seed} {told:?} {limit} {step}");
                    compared += got.len();
                    before = (real, ours);
                }
                if step < plain.len() {
                    machine.step(&traced, step as usize + 1, &mut ());
                }
            }
            // Back again is the same.
            let middle = inquiry.snapshot(300, limit as u16).unwrap();
            let mut other = Inquiry::new(Arc::clone(&plain), setup);
            let straight = other.snapshot(300, limit as u16).unwrap();
            assert_eq!(answers(&middle, &before.0), answers(&straight, &before.0));
            assert_eq!(inquiry.traced_memory(300), other.traced_memory(300));
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn a_realloc_counts_under_its_own_stack_and_an_allocation_without_one_is_unknown() {
    let mut tape = TraceBuilder::new("t");
    let lines =
        |text: &str| -> Vec<SourceLine> { text.split(' ').map(|line| line.parse().unwrap()).collect() };
    let mut push = |call, domain, stack: &str| {
        let stack = if stack.is_empty() { StackId(0) } else { tape.stack(&lines(stack)) };
        tape.push_recorded(Op { thread: 0, domain, call }, stack, None).unwrap();
    };
    push(Call::Malloc { id: 1, size: 100 }, Domain::Obj, "a.py:1 main.py:9");
    push(Call::Calloc { id: 2, nelem: 10, elsize: 100 }, Domain::Raw, "");
    push(Call::Realloc { id: 1, newid: 1, size: 300 }, Domain::Obj, "b.py:2 main.py:9");
    push(Call::Malloc { id: 3, size: 0 }, Domain::Mem, "a.py:1 other.py:4");
    push(Call::Free { id: 2 }, Domain::Raw, "");
    let trace = Arc::new(tape.finish());
    let mut inquiry =
        Inquiry::new(Arc::clone(&trace), Setup::resolve(&trace, &Overrides::default()).unwrap());
    assert_eq!(deepest(&trace), 2);
    assert_eq!(
        (1..=5).map(|step| inquiry.traced_memory(step)).collect::<Vec<_>>(),
        [(100, 100), (1100, 1100), (1300, 1300), (1300, 1300), (300, 1300)]
    );
    let mut lines = |step, limit, key, cumulative| -> Vec<String> {
        let snapshot = inquiry.snapshot(step, limit).unwrap();
        snapshot.statistics(key, cumulative).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        lines(4, 1, KeyType::Lineno, false),
        [
            "<unknown>:0: size=1000 B, count=1, average=1000 B",
            "b.py:2: size=300 B, count=1, average=300 B",
            "a.py:1: size=0 B, count=1, average=0 B",
        ]
    );
    // One frame is all that is kept, so that nothing else can be credited.
    assert_eq!(lines(4, 1, KeyType::Filename, true), lines(4, 1, KeyType::Filename, false));
    assert_eq!(
        lines(5, 2, KeyType::Lineno, true),
        [
            "main.py:9: size=300 B, count=1, average=300 B",
            "b.py:2: size=300 B, count=1, average=300 B",
            "other.py:4: size=0 B, count=1, average=0 B",
            "a.py:1: size=0 B, count=1, average=0 B",
        ]
    );
    let (a, b) = (inquiry.snapshot(2, 1).unwrap(), inquiry.snapshot(5, 1).unwrap());
    let diffs = b.compare_to(&a, KeyType::Lineno, false).unwrap();
    assert_eq!(
        diffs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "<unknown>:0: size=0 B (-1000 B), count=0 (-1)",
            "b.py:2: size=300 B (+300 B), count=1 (+1), average=300 B",
            "a.py:1: size=0 B (-100 B), count=1 (+0), average=0 B",
        ]
    );
}

#[test]
fn it_is_not_supposed_where_nobody_could_say_it() {
    let op = |call| Op { thread: 0, domain: Domain::Obj, call };
    let malloc = op(Call::Malloc { id: 1, size: 8 });
    let mut plain = TraceBuilder::new("t");
    plain.push(malloc).unwrap();
    assert_eq!(supposed(&plain.finish()), Err(NotSupposed::NoStacks));

    let with_stack = || {
        let mut tape = TraceBuilder::new("t");
        let stack = tape.stack(&["main".parse::<SourceLine>().unwrap_or(SourceLine {
            function: "main".to_owned(),
            file: "a.out".to_owned(),
            line: 0,
        })]);
        tape.push_recorded(malloc, stack, None).unwrap();
        tape
    };
    let mut of_c = with_stack();
    of_c.trace_mut().origin.source.lacks(Missing::PYTHON_STACKS, "it has C's");
    assert_eq!(supposed(&of_c.finish()), Err(NotSupposed::StacksOfC));
    let mut tables = with_stack();
    tables.push(op(Call::Act(Action::SetAllocator(TableChoice::Libc)))).unwrap();
    assert_eq!(supposed(&tables.finish()), Err(NotSupposed::ReplacesTables));

    let mut capture = with_stack();
    let source = &mut capture.trace_mut().origin.source;
    source.set("recorder", "memray, format 12");
    source.lacks(Missing::PROCESS_BIRTH, "");
    let trace = capture.finish();
    assert_eq!(supposed(&trace), Ok(()));
    assert_eq!(caveats(&trace).len(), 2);
}
