//! A tape that grows: what was handed out stays as it is, and a replay that meets an end that moves comes to where one over the
//! whole tape comes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use sim_core::domains::ObjectHeap;
use sim_core::index::{RareEvent, Wanted};
use sim_core::replay::GrowError;
use sim_core::report::digest;
use sim_core::tape::{Action, Columns, SourceLine, Splitter, StackId, TimeMark};
use sim_core::{Addr, Call, Domain, Note, Op, Profile, Replay, SizeClass, Slot, Trace, TraceBuilder};

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A heap that grows and shrinks by turns, with everything that hangs on single rows; `each` sees the builder after every operation.
fn grow(seed: u64, operations: u64, recorded: bool, mut each: impl FnMut(&mut TraceBuilder)) -> TraceBuilder {
    let mut draw = Draw(seed);
    let mut tape = TraceBuilder::new("growing");
    let mut live: Vec<(u64, Domain)> = Vec::new();
    for at in 1..=operations {
        let domain = [Domain::Obj, Domain::Obj, Domain::Mem, Domain::Raw][draw.below(4) as usize];
        let shrinks = at / 20_000 % 2 == 1;
        let pick = draw.below(live.len().max(1) as u64) as usize;
        let (domain, call) = match draw.below(20) {
            0 => (domain, Call::Calloc { id: at, nelem: 1 + draw.below(9), elsize: 24 }),
            1 if !live.is_empty() => {
                let (id, domain) = live[pick];
                live[pick].0 = at;
                (domain, Call::Realloc { id, newid: at, size: draw.below(700) })
            }
            // Some sizes do not fit in a column.
            2 => {
                (domain, Call::Malloc { id: at, size: if recorded { 8 } else { 1 << (20 + draw.below(14)) } })
            }
            n if !live.is_empty() && n < if shrinks { 14 } else { 8 } => {
                let (id, domain) = live.swap_remove(pick);
                (domain, Call::Free { id })
            }
            _ => (domain, Call::Malloc { id: at, size: draw.below(600) }),
        };
        if matches!(call, Call::Malloc { .. } | Call::Calloc { .. }) {
            live.push((at, domain));
        }
        let thread = if draw.below(5000) == 0 { 3 } else { 0 };
        let op = Op { thread, domain, call };
        if recorded {
            let line =
                SourceLine { function: format!("f{}", draw.below(50)), file: "a.py".to_owned(), line: 1 };
            let stack = tape.trace_mut().origin.stacks.intern(&[line]);
            tape.push_recorded(op, stack, Some(Addr(16 * at))).unwrap();
            if at % 700 == 0 {
                let mark = TimeMark { at, time_ns: 1_000 * at, rss_bytes: Some(at) };
                tape.trace_mut().origin.moments.push(mark);
            }
        } else {
            tape.push(op).unwrap();
        }
        if at % 9_001 == 0 {
            let text = format!("after {at}");
            tape.trace_mut().head.notes.push(Note { at, text });
        }
        // At the ends of segments too, and several at one place.
        if at % 9_001 == 0 || at % 65_536 < 2 {
            tape.mark("turn").unwrap();
            tape.mark(&format!("after {at}")).unwrap();
        }
        each(&mut tape);
    }
    tape
}

/// Asserts that a tape is the beginning of another.
#[track_caller]
fn check_beginning(part: &Trace, whole: &Trace, every: usize) {
    let len = part.len() as usize;
    // Around the ends of segments, and here and there.
    let near = |at: &usize| {
        at % 65_536 < 3 || at % 65_536 > 65_532 || at.is_multiple_of(every) || *at > len - 3.min(len)
    };
    for at in (0..len).filter(near) {
        assert_eq!(part.op(at as u64), whole.op(at as u64), "operation {at}");
        assert_eq!(part.packed(at).slot, whole.packed(at).slot, "slot of {at}");
        assert_eq!(part.address_of(at), whole.address_of(at), "address of {at}");
        assert_eq!(part.object_heap(at), whole.object_heap(at), "heap of {at}");
        let lines = |t: &Trace| t.origin.stacks.lines(t.stack_of(at));
        assert_eq!(lines(part), lines(whole), "stack of {at}");
    }
    assert_eq!(part.op(len as u64), None);
    let notes = |t: &Trace| t.head.notes.iter().filter(|n| n.at <= part.len()).cloned().collect::<Vec<_>>();
    assert_eq!(notes(part), notes(whole));
    let marks = |t: &Trace| t.head.marks.iter().filter(|m| m.at <= part.len()).cloned().collect::<Vec<_>>();
    assert_eq!(part.head.marks, marks(whole));
}

const OPERATIONS: u64 = 210_000;
/// Where tapes are handed out: short ones, at and around the ends of segments, several segments on.
const SHARED: [u64; 11] = [1, 2, 700, 65_535, 65_536, 65_537, 100_000, 131_071, 196_608, 200_001, OPERATIONS];

#[test]
fn what_was_handed_out_stays_and_the_whole_is_the_same() {
    for (seed, recorded) in [(1, false), (2, true)] {
        let whole = grow(seed, OPERATIONS, recorded, |_| {}).finish();
        let mut parts = Vec::new();
        let mut grown = grow(seed, OPERATIONS, recorded, |tape| {
            if SHARED.contains(&tape.len()) {
                parts.push(tape.share());
            }
        });
        assert_eq!(parts.len(), SHARED.len());
        for (part, &len) in parts.iter().zip(&SHARED) {
            assert_eq!(part.len(), len);
            check_beginning(part, &whole, 97);
        }
        let last = &parts[SHARED.len() - 1];
        for trace in [last, &grown.share(), &grown.finish()] {
            check_beginning(trace, &whole, 11);
            assert_eq!(trace.totals(), whole.totals());
            assert_eq!(trace.origin.moments, whole.origin.moments);
            // Moments are found in the same way.
            assert_eq!(trace.time_ns(150_000), whole.time_ns(150_000));
        }
    }
}

#[test]
fn columns_that_come_in_may_be_handed_out_between_blocks() {
    let whole = grow(5, OPERATIONS, false, |_| {}).finish();
    for (block, tight) in [(10_000, false), (50_021, true)] {
        let mut splitter = Splitter::default();
        let (mut tape, mut columns) = (TraceBuilder::new("growing"), Columns::default());
        let mut parts = Vec::new();
        for begin in (0..whole.len() as usize).step_by(block) {
            columns.clear();
            columns.tight = tight;
            splitter.split(&whole, begin, block, &mut columns).unwrap();
            let rows = columns.heads.len();
            tape.extend_rows(&columns).unwrap();
            let threads: Vec<_> = (begin..begin + rows).map(|at| (1, whole.thread(at))).collect();
            tape.extend_threads(rows, &threads).unwrap();
            let heap = if begin == 0 { ObjectHeap::Gc } else { ObjectHeap::Object };
            let first_is_obj = whole.packed(begin).domain == Domain::Obj;
            tape.extend_object_heaps(rows, &[(u32::from(first_is_obj), heap)]).unwrap();
            tape.extend_stacks(&vec![0; rows]).unwrap();
            tape.extend_addresses(&(0..rows as u64).map(|row| begin as u64 + row).collect::<Vec<_>>())
                .unwrap();
            parts.push(tape.share());
        }
        for part in parts.iter().chain([&tape.finish()]) {
            for at in (0..part.len() as usize).step_by(331).chain([0, part.len() as usize - 1]) {
                assert_eq!(part.op(at as u64), whole.op(at as u64), "operation {at}");
                assert_eq!(part.address_of(at).map_or(0, |a| a.0), at as u64, "address of {at}");
                assert_eq!((part.thread(at), part.stack_of(at)), (whole.thread(at), StackId(0)));
            }
            assert_eq!(part.thread_count(), if part.len() > 60_000 { 2 } else { part.thread_count() });
        }
        assert_eq!(parts.last().map(Trace::counts), Some(whole.counts()));
    }
}

/// What a replay has come to know, as text: all of its index.
fn known(replay: &Replay) -> String {
    format!("{:?}", replay.index())
}

#[test]
fn a_replay_over_a_growing_tape_ends_as_one_over_the_whole() {
    let profile = Profile::default();
    let mut parts = Vec::new();
    let whole = grow(9, OPERATIONS, true, |tape| {
        if SHARED.contains(&tape.len()) {
            parts.push(Arc::new(tape.share()));
        }
    });
    let whole = Arc::new(whole.finish());
    let mut straight = Replay::new(Arc::clone(&whole), &profile, 64 << 20).unwrap();
    while !straight.advance(10_000) {}
    let mut draw = Draw(4);
    let mut parts = parts.into_iter();
    let mut replay = Replay::new(parts.next().unwrap(), &profile, 64 << 20).unwrap();
    for part in parts {
        // It stands anywhere, at the end too, and its passes have come anywhere.
        let step = if draw.below(2) == 0 { replay.len() } else { draw.below(replay.len() + 1) };
        replay.seek_now(step);
        while draw.below(6) != 0 && !replay.advance(7_000) {}
        assert_eq!(
            replay.find(Wanted::Slot(Slot(u32::MAX - 1)), 0, true),
            None,
            "read to the end, none is there"
        );
        let before = digest(replay.machine());
        replay.grow(part).unwrap();
        assert_eq!((replay.step().0, digest(replay.machine())), (step, before), "growing moves nothing");
        straight.seek_now(step);
        assert_eq!(digest(straight.machine()), before);
    }
    assert_eq!(replay.len(), OPERATIONS);
    while !replay.advance(10_000) {}
    assert_eq!(known(&replay), known(&straight));
    for step in [OPERATIONS, 3, 65_536, 65_537, 131_072, 100_000, 199_999, OPERATIONS - 1] {
        replay.seek_now(step);
        straight.seek_now(step);
        assert_eq!(digest(replay.machine()), digest(straight.machine()), "step {step}");
        assert_eq!(replay.events(), straight.events(), "events of {step}");
        replay.machine().verify().unwrap();
    }
    for wanted in [
        Wanted::RareEvent(RareEvent::ArenaObtained),
        Wanted::RareEvent(RareEvent::PoolFreed),
        Wanted::Slot(Slot(77)),
        Wanted::Class(SizeClass(30)),
        Wanted::Thread(3),
        Wanted::Site(StackId(17)),
    ] {
        for from in [0, 65_530, 131_080, OPERATIONS] {
            for forward in [true, false] {
                assert_eq!(
                    replay.find(wanted, from, forward),
                    straight.find(wanted, from, forward),
                    "{wanted:?} from {from}"
                );
            }
        }
    }
}

#[test]
fn what_needs_another_machine_is_said_and_changes_nothing() {
    let op = |call| Op { thread: 0, domain: Domain::Obj, call };
    let mut tape = TraceBuilder::new("t");
    tape.push(op(Call::Malloc { id: 1, size: 24 })).unwrap();
    let short = Arc::new(tape.share());
    tape.push(op(Call::Malloc { id: 2, size: 24 })).unwrap();
    let longer = Arc::new(tape.share());
    let mut replay = Replay::new(Arc::clone(&longer), &Profile::default(), 1 << 20).unwrap();
    replay.seek_now(2);
    assert_eq!(replay.grow(Arc::clone(&short)), Err(GrowError::Shorter { operations: 1, known: 2 }));
    assert_eq!(replay.grow(longer), Ok(()), "the same one goes on, too");
    tape.push(op(Call::Act(Action::SetupDebugHooks))).unwrap();
    let scenario = Arc::new(tape.share());
    assert_eq!(replay.grow(Arc::clone(&scenario)), Err(GrowError::OtherMachine));
    assert_eq!((replay.len(), replay.step().0), (2, 2));
    // A machine that has layers goes on.
    let mut layered = Replay::new(Arc::clone(&scenario), &Profile::default(), 1 << 20).unwrap();
    layered.seek_now(3);
    tape.push(op(Call::Free { id: 1 })).unwrap();
    for id in 10..400 {
        tape.push(op(Call::Malloc { id, size: 40 })).unwrap();
    }
    let last = Arc::new(tape.share());
    layered.grow(Arc::clone(&last)).unwrap();
    layered.seek_now(last.len());
    let mut straight = Replay::new(last, &Profile::default(), 1 << 20).unwrap();
    straight.seek_now(straight.len());
    assert_eq!(digest(layered.machine()), digest(straight.machine()));
    // And back to a state with fewer slots.
    layered.seek_now(1);
    layered.seek_now(layered.len());
    assert_eq!(digest(layered.machine()), digest(straight.machine()));
}
