//! A program that frees twice, writes where it should not and uses what it freed: the machine may stop with
//! what CPython would die of, but it never panics and never hangs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use proptest::prelude::*;
use sim_core::domains::AllocatorName;
use sim_core::report::{Occupancy, debugmallocstats, digest, malloc_stats};
use sim_core::tape::Action;
use sim_core::{Call, Domain, Machine, Op, Profile, TraceBuilder};

fn run(deeds: &[support::Deed], name: AllocatorName, profile: &Profile) {
    let trace = support::abuse(deeds, name, profile);
    let mut machine = Machine::for_trace(profile, &trace, None).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut Vec::new());
        let _ = machine.verify();
        let _ = (digest(&machine), Occupancy::of(machine.pymalloc()), debugmallocstats(machine.pymalloc()));
        machine.allocated_blocks();
        if let Some(run) = machine.mimalloc() {
            // What a process would break is refused, so mimalloc itself stays sound.
            run.heap().verify().unwrap();
            let _ = malloc_stats(&machine);
        }
        if let Some(fatal) = machine.stopped() {
            assert!(!fatal.to_string().is_empty());
        }
    }
}

#[test]
fn a_tape_without_a_block_runs() {
    let mut tape = TraceBuilder::new("nothing");
    tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: 0 } }).unwrap();
    let trace = tape.finish();
    for name in AllocatorName::ALL {
        let mut machine = Machine::for_trace(&Profile::default(), &trace, Some(name)).unwrap();
        machine.step(&trace, 0, &mut Vec::new());
        assert_eq!(machine.stopped(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn abuse_ends_in_a_value(deeds in support::deeds(), name in 0_usize..8, small in any::<bool>()) {
        let mut profile = Profile::default();
        if small {
            profile.set("arena_size", "64K").unwrap();
        }
        run(&deeds, AllocatorName::ALL[name], &profile);
    }

    #[test]
    fn abuse_without_a_gil_ends_in_a_value(deeds in support::deeds(), debug in any::<bool>(), preset in 0_usize..4) {
        let preset = ["cpython-3.13t", "cpython-3.14.4t", "cpython-3.14t", "cpython-3.15t"][preset];
        let name = if debug { AllocatorName::Debug } else { AllocatorName::Default };
        run(&deeds, name, &Profile::named(preset).unwrap());
    }
}

/// A dangling name frees a block while its free is deferred, and its page goes.
#[test]
fn a_deferred_block_may_be_freed_by_another_name() {
    let mut tape = TraceBuilder::new("alias");
    let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Mem, call }).unwrap();
    // The only block of its page: freed and taken again it is the same, and both names have it.
    push(Call::Malloc { id: 1, size: 100_000 });
    push(Call::Malloc { id: 9, size: 100_000 });
    push(Call::FreeKeep { id: 1 });
    push(Call::Malloc { id: 2, size: 100_000 });
    push(Call::Act(Action::FreeDelayed { id: 2, size: 100_000 }));
    push(Call::Free { id: 1 });
    push(Call::Act(Action::Quiescent));
    push(Call::Act(Action::ProcessDelayed));
    let trace = tape.finish();
    let mut machine = Machine::for_trace(&Profile::named("cpython-3.14t").unwrap(), &trace, None).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut Vec::new());
        let _ = digest(&machine);
        machine.mimalloc().unwrap().heap().verify().unwrap();
    }
    assert_eq!(machine.stopped(), None);
}
