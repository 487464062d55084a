//! A program that frees twice, writes where it should not and uses what it freed: the machine may stop with
//! what CPython would die of, but it never panics and never hangs.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use sim_core::domains::{AllocatorName, ArenaChoice, UserAllocator};
use sim_core::report::{Occupancy, debugmallocstats, digest, malloc_stats};
use sim_core::tape::{Action, Poked, TableChoice};
use sim_core::{Call, Domain, Machine, Op, Profile, TraceBuilder};

/// What can be put in place of the arena allocator.
const HOOKS: [ArenaChoice; 6] = [
    ArenaChoice::Default,
    ArenaChoice::Count,
    ArenaChoice::FailEvery(3),
    ArenaChoice::FailFrom(2),
    ArenaChoice::Bump { bytes: 3 << 20 },
    ArenaChoice::Malloc,
];

/// Something to do with a name that may dangle.
type Deed = (u8, u8, u64, i64, u8);

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let size = prop_oneof![Just(16_u64), 0..600_u64, 1_u64..40];
    let offset = prop_oneof![-24_i64..40, -5000_i64..5000, any::<i64>()];
    prop::collection::vec((0_u8..100, 0_u8..12, size, offset, any::<u8>()), 1..160)
}

fn run(deeds: &[Deed], name: AllocatorName, profile: &Profile) {
    let mut tape = TraceBuilder::new("abuse");
    tape.trace_mut().malloc = Some(name);
    let mut named = [false; 12];
    for number in 1..4 {
        let call = Call::Act(Action::InterpreterNew { number, own_obmalloc: number != 2 });
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    tape.trace_mut().malloc_stats = Some("0".to_owned());
    let mut chunk = false;
    for &(what, id, size, offset, byte) in deeds {
        let domain = Domain::ALL[usize::from(byte % 3)];
        let is_named = std::mem::replace(&mut named[usize::from(id)], true);
        let id = u64::from(id) + 1;
        let call = match what {
            _ if !is_named => Call::Malloc { id, size },
            0..4 => Call::Act(Action::InterpreterSwitch(u32::from(byte % 4))),
            4..8 => Call::Act(Action::SetArenaAllocator(HOOKS[usize::from(byte) % HOOKS.len()])),
            8..10 if chunk => {
                chunk = false;
                Call::Act(Action::VirtualFree { id: 99 })
            }
            8..10 => {
                chunk = true;
                Call::Act(Action::VirtualAlloc { id: 99, size: size * 1024 })
            }
            10 => Call::Act(Action::SetAllocator(TableChoice::User(UserAllocator::Log))),
            11..40 => Call::FreeKeep { id },
            40..60 => Call::Realloc { id, newid: id, size },
            60..84 => {
                let bytes = [byte, 0, byte, 0, 0, 0, 0, 0];
                let bytes = Poked::new(&bytes[..=usize::from(byte % 8)]).unwrap();
                Call::Act(Action::Poke { id, offset, bytes })
            }
            85 => Call::Act(Action::FreeDelayed { id, size }),
            86 => Call::Act(Action::HeapCollect { force: byte % 2 == 0 }),
            87 if byte % 4 == 0 => Call::Act(Action::ThreadExit),
            87 => Call::Act(Action::HeapWalk { mask: u64::from(byte) }),
            99 if byte % 2 == 0 => Call::Act(Action::Quiescent),
            99 => Call::Act(Action::ProcessDelayed),
            84 => Call::Act(Action::SetAllocator(TableChoice::User(UserAllocator::FailEvery(3)))),
            88..90 => Call::Act(Action::SetAllocator(TableChoice::User(UserAllocator::Bump { bytes: 4096 }))),
            90..92 => Call::Act(Action::SetAllocator(TableChoice::Libc)),
            92..94 => Call::Act(Action::TracemallocStart(2)),
            94 => Call::Act(Action::TracemallocStop),
            95 => Call::Act(Action::SetupDebugHooks),
            96 => Call::Act(Action::Track { domain: 7, id, size }),
            _ => {
                named[id as usize - 1] = false;
                Call::Free { id }
            }
        };
        if let Call::Act(action) = call {
            if action.of_mimalloc().is_some() && !name.is_mimalloc(profile.into()) {
                continue;
            }
            if let Action::FreeDelayed { id, .. } = action {
                named[id as usize - 1] = false;
            }
        }
        let thread = if name.is_mimalloc(profile.into()) { u16::from(byte % 3) } else { 0 };
        tape.push(Op { thread, domain, call }).unwrap();
    }
    for number in 1..4 {
        let call = Call::Act(Action::InterpreterEnd(number));
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    let trace = tape.finish();
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
    fn abuse_ends_in_a_value(deeds in deeds(), name in 0_usize..8, small in any::<bool>()) {
        let mut profile = Profile::default();
        if small {
            profile.set("arena_size", "64K").unwrap();
        }
        run(&deeds, AllocatorName::ALL[name], &profile);
    }

    #[test]
    fn abuse_without_a_gil_ends_in_a_value(deeds in deeds(), debug in any::<bool>(), preset in 0_usize..4) {
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
