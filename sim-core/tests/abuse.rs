//! A program that frees twice, writes where it should not and uses what it freed: the machine may stop with
//! what CPython would die of, but it never panics and never hangs.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use sim_core::domains::{AllocatorName, UserAllocator};
use sim_core::report::{Occupancy, debugmallocstats, digest};
use sim_core::tape::{Action, Poked, TableChoice};
use sim_core::{Call, Domain, Machine, Op, Profile, TraceBuilder};

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
    for &(what, id, size, offset, byte) in deeds {
        let domain = Domain::ALL[usize::from(byte % 3)];
        let is_named = std::mem::replace(&mut named[usize::from(id)], true);
        let id = u64::from(id) + 1;
        let call = match what {
            _ if !is_named => Call::Malloc { id, size },
            0..40 => Call::FreeKeep { id },
            40..60 => Call::Realloc { id, newid: id, size },
            60..85 => {
                let bytes = [byte, 0, byte, 0, 0, 0, 0, 0];
                let bytes = Poked::new(&bytes[..=usize::from(byte % 8)]).unwrap();
                Call::Act(Action::Poke { id, offset, bytes })
            }
            85..88 => Call::Act(Action::SetAllocator(TableChoice::User(UserAllocator::FailEvery(3)))),
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
        tape.push(Op { thread: 0, domain, call }).unwrap();
    }
    let trace = tape.finish();
    let mut machine = Machine::for_trace(profile, &trace, None).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut Vec::new());
        let _ = machine.verify();
        let _ = (digest(&machine), Occupancy::of(machine.pymalloc()), debugmallocstats(machine.pymalloc()));
        if let Some(fatal) = machine.stopped() {
            assert!(!fatal.to_string().is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn abuse_ends_in_a_value(deeds in deeds(), name in 0_usize..6, small in any::<bool>()) {
        let mut profile = Profile::default();
        if small {
            profile.set("arena_size", "64K").unwrap();
        }
        run(&deeds, AllocatorName::ALL[name], &profile);
    }
}
