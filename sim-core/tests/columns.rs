//! Operations as columns: nothing is lost on the way out and in, and nothing wrong comes in.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use sim_core::domains::{Domain, ObjectHeap};
use sim_core::report::digest;
use sim_core::tape::{
    Action, Call, Columns, IdRule, Op, Poked, SIZE_COLUMNS, Splitter, TapeError, Trace, TraceBuilder,
};
use sim_core::{Machine, Profile};

/// Whatever of `draws` can stand. Ids come again, are large, or follow each other.
fn trace(draws: &[(u8, u8, u64)], scenario: bool) -> Trace {
    let mut tape = TraceBuilder::new("columns");
    let mut fresh = 1_u64;
    for &(what, which, size) in draws {
        let domain = Domain::ALL[usize::from(which % 3)];
        let id = match which % 5 {
            0 => u64::from(which),
            1 => u64::MAX - u64::from(which),
            2 => u64::from(which) << 33,
            _ => {
                fresh += 1;
                fresh
            }
        };
        let old = u64::from(which >> 1);
        let call = match what % if scenario { 18 } else { 7 } {
            0 | 1 => Call::Malloc { id, size },
            2 => Call::Calloc { id, nelem: size, elsize: u64::from(which % 9) },
            3 => Call::Realloc { id: 0, newid: id, size },
            4 => Call::Realloc { id: old, newid: if which > 99 { id } else { old }, size },
            5 => Call::Free { id: old },
            6 => Call::Free { id: if which > 250 { 0 } else { fresh.saturating_sub(u64::from(which % 8)) } },
            7 => Call::FreeKeep { id: old },
            8 => Call::Act(Action::Poke { id: old, offset: -3, bytes: Poked::new(&[1, 2]).unwrap() }),
            9 => Call::Act(Action::Track { domain: 3, id: old, size }),
            10 => Call::Act(Action::TracemallocStart(i32::from(which))),
            11 => Call::Act(Action::Untrack { domain: 3, id: old }),
            12 => Call::Act(Action::VirtualAlloc { id, size }),
            13 => Call::Act(Action::VirtualFree { id: old }),
            14 => Call::Act(Action::FreeDelayed { id: old % 40, size }),
            15 => Call::Act(Action::InterpreterNew {
                number: u32::from(which % 7),
                own_obmalloc: size.is_multiple_of(2),
            }),
            16 => Call::Act(Action::InterpreterEnd(u32::from(which % 7))),
            _ => Call::Act(Action::InterpreterSwitch(u32::from(which % 7))),
        };
        // What cannot stand is left out.
        let heap = match which % 11 {
            0 if scenario => ObjectHeap::Gc,
            1 if scenario => ObjectHeap::GcPre,
            _ => ObjectHeap::Object,
        };
        let _ = tape.push_in(Op { thread: u16::from(which % 4), domain, call }, heap);
    }
    tape.finish()
}

fn draws() -> impl Strategy<Value = Vec<(u8, u8, u64)>> {
    let size = prop_oneof![8 => 0_u64..600, 1 => any::<u64>(), 1 => 1_u64 << 31..1 << 34];
    proptest::collection::vec((any::<u8>(), any::<u8>(), size), 1..400)
}

fn ops(trace: &Trace) -> Vec<Op> {
    (0..trace.len()).map(|i| trace.op(i).unwrap()).collect()
}

fn set<T>(column: &mut [T], at: usize, value: T) {
    if !column.is_empty() {
        column[at % column.len()] = value;
    }
}

fn heaps(trace: &Trace) -> Vec<(u32, ObjectHeap)> {
    (0..trace.len() as usize).map(|i| (1, trace.object_heap(i))).collect()
}

fn threads(trace: &Trace) -> Vec<(u32, u16)> {
    (0..trace.len() as usize).map(|i| (1, trace.thread(i))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn columns_lose_nothing(draws in draws(), scenario: bool, slot_rule: bool, tight: u8, block in 1_usize..80) {
        let trace = trace(&draws, scenario);
        let id_rule = if slot_rule { IdRule::Slot } else { IdRule::Next };
        let (mut splitter, mut columns) = (Splitter::default(), Columns { id_rule, ..Columns::default() });
        let mut back = TraceBuilder::new("columns");
        // A reader that begins in the middle.
        let mut late: Option<(u64, TraceBuilder)> = None;
        let mut at = 0;
        while at < trace.len() as usize {
            columns.clear();
            columns.tight = tight >> (at / block % 8) & 1 == 1;
            splitter.split(&trace, at, block, &mut columns).unwrap();
            let rows = columns.heads.len();
            let runs = &threads(&trace)[at..at + rows];
            back.extend_rows(&columns).unwrap();
            back.extend_threads(rows, runs).unwrap();
            back.extend_object_heaps(rows, &heaps(&trace)[at..at + rows]).unwrap();
            if let Some((_, late)) = &mut late {
                late.extend_rows(&columns).unwrap();
                late.extend_threads(rows, runs).unwrap();
            }
            at += rows;
            prop_assert_eq!(splitter.state(), back.state());
            if late.is_none() && at * 3 > trace.len() as usize {
                let mut builder = TraceBuilder::new("late");
                splitter.forget_uses();
                back.forget_uses();
                builder.resume(&splitter.state()).unwrap();
                late = Some((at as u64, builder));
            }
        }
        if let Some((from, late)) = late {
            let late = late.finish();
            prop_assert_eq!(late.first(), from);
            prop_assert_eq!(&ops(&late), &ops(&trace)[from as usize..]);
            prop_assert_eq!(late.slot_count(), trace.slot_count());
        }
        // Operations can follow one by one.
        let unknown = back.push(Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: 1 << 40 } });
        prop_assert_eq!(unknown, Err(TapeError::UnknownId { id: 1 << 40 }));
        let back = back.finish();
        prop_assert_eq!(ops(&back), ops(&trace));
        prop_assert_eq!(heaps(&back), heaps(&trace));
        prop_assert_eq!(back.totals(), trace.totals());
        let run = |trace: &Trace| {
            let mut machine = Machine::for_trace(&Profile::default(), trace, None).unwrap();
            (0..trace.len() as usize).for_each(|i| { machine.step(trace, i, &mut ()); });
            digest(&machine)
        };
        // With contents the huge sizes drawn here would really be mapped.
        if !trace.needs_layers() && trace.needs_mimalloc().is_none() {
            prop_assert_eq!(run(&back), run(&trace));
        }
    }

    #[test]
    fn wrong_columns_are_refused_or_run(draws in draws(), scenario: bool, tight: bool, column in 0_u8..7, at: u16, value: u32) {
        let trace = trace(&draws, scenario);
        let (mut splitter, mut columns) = (Splitter::default(), Columns { tight, ..Columns::default() });
        splitter.split(&trace, 0, usize::MAX >> 1, &mut columns).unwrap();
        let at = usize::from(at);
        match column {
            0 => set(&mut columns.heads, at, value as u8),
            1 => set(&mut columns.sizes[at % SIZE_COLUMNS], at, value),
            2 => set(&mut columns.codes, at, value as u8),
            3 => set(&mut columns.far, at, value % 50),
            6 => set(&mut columns.near, at, value % 50),
            4 => set(&mut columns.ids, at, (value % 400, u64::from(value % 7))),
            _ => columns.callocs.truncate(at % 9),
        }
        let mut back = TraceBuilder::new("columns");
        // An error leaves the operations before it.
        let _ = back.extend_rows(&columns);
        let back = back.finish();
        if !back.needs_layers() && back.needs_mimalloc().is_none() {
            let mut machine = Machine::for_trace(&Profile::default(), &back, None).unwrap();
            (0..back.len() as usize).for_each(|i| { machine.step(&back, i, &mut ()); });
            machine.verify().unwrap();
        }
    }
}

#[test]
fn a_state_that_cannot_be_is_refused() {
    let mut tape = TraceBuilder::new("state");
    for id in 1..=3 {
        tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 8 } }).unwrap();
    }
    tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: 2 } }).unwrap();
    let good = tape.state();
    assert_eq!(good.free, [1]);
    assert!(TraceBuilder::new("").resume(&good).is_ok());
    let mut twice = good.clone();
    twice.free.push(1);
    let mut live = good.clone();
    live.free[0] = 0;
    let mut lost = good.clone();
    lost.free.clear();
    let mut named_alike = good.clone();
    named_alike.slots[0].id = 3;
    let mut nameless = good.clone();
    nameless.slots[0].id = 0;
    let mut newer = good.clone();
    newer.max_id = 2;
    for (wrong, why) in [
        (twice, "twice"),
        (live, "live"),
        (lost, "lost"),
        (named_alike, "alike"),
        (nameless, "nameless"),
        (newer, "newer"),
    ] {
        assert!(TraceBuilder::new("").resume(&wrong).is_err(), "{why}");
    }
}
