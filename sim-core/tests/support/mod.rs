//! Random tapes for the property tests.

#![allow(dead_code, reason = "each test file uses its part")]

use proptest::prelude::*;
use sim_core::domains::{AllocatorName, ArenaChoice, UserAllocator};
use sim_core::tape::{Action, Poked, TableChoice};
use sim_core::{Call, Domain, Op, Profile, Trace, TraceBuilder};

/// One random wish; what it becomes depends on what is live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    action: u8,
    domain: u8,
    size: u64,
    pick: u32,
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1_u64..=64,
        6 => 400_u64..=512,
        2 => 0_u64..=700,
        1 => Just(u64::MAX / 2 + 1),
    ]
}

pub(crate) fn wishes(max: usize) -> impl Strategy<Value = Vec<Wish>> {
    let wish = (0_u8..=99, 0_u8..=9, size(), any::<u32>()).prop_map(|(action, domain, size, pick)| Wish {
        action,
        domain,
        size,
        pick,
    });
    prop::collection::vec(wish, 1..max)
}

/// Small arenas, so that short tapes obtain and release many of them.
pub(crate) fn profiles() -> impl Strategy<Value = Profile> {
    let small = |base: &str, sets: &[(&str, &str)]| {
        let mut p = Profile::named(base).unwrap();
        for (k, v) in sets {
            p.set(k, v).unwrap();
        }
        p.validate().unwrap();
        p
    };
    let page = ("arena_placement", "page");
    let mixed = ("arena_placement", "mixed");
    prop_oneof![
        Just(small("cpython-3.14", &[("arena_size", "64K")])),
        Just(small("cpython-3.14", &[("arena_size", "64K"), page])),
        Just(small("cpython-3.14", &[("arena_size", "64K"), mixed, ("initial_arena_objects", "1")])),
        Just(small("cpython-3.14", &[("arena_size", "64K"), ("arena_limit", "3"), page])),
        Just(small("cpython-3.14", &[("arena_size", "64K"), ("bookkeeping_fail_at", "1,3,4"), mixed])),
        Just(small("cpython-3.14", &[("arena_size", "64K"), ("arena_fail_at", "2,3")])),
        Just(small("cpython-3.9", &[("arena_size", "16K")])),
        Just(small("cpython-3.8", &[("arena_size", "16K")])),
        Just(small("cpython-32bit", &[("arena_size", "16K"), mixed])),
    ]
}

/// A valid tape from wishes: allocations, reallocs and frees with phases that fill and empty the heap.
pub(crate) fn tape(wishes: &[Wish]) -> Trace {
    let mut tape = TraceBuilder::new("random");
    let mut live: Vec<(u64, Domain)> = Vec::new();
    let mut next = 1;
    for (at, wish) in wishes.iter().enumerate() {
        let domain = [Domain::Raw, Domain::Mem, Domain::Obj][usize::from(wish.domain.min(2))];
        // Thirds of the tape grow and shrink by turns.
        let grow = if (at * 4 / wishes.len()).is_multiple_of(2) { 75 } else { 15 };
        let pick = wish.pick as usize % live.len().max(1);
        let op = if live.is_empty() || wish.action < grow {
            live.push((next, domain));
            next += 1;
            let call = if wish.action % 8 == 0 {
                Call::Calloc { id: next - 1, nelem: wish.size, elsize: u64::from(wish.domain % 3) }
            } else if wish.action % 16 == 1 {
                Call::Realloc { id: 0, newid: next - 1, size: wish.size }
            } else {
                Call::Malloc { id: next - 1, size: wish.size }
            };
            Op { thread: 0, domain, call }
        } else if wish.action < grow + 8 {
            let (id, domain) = live[pick];
            let newid = if wish.pick % 2 == 0 { id } else { next };
            next += 1;
            live[pick].0 = newid;
            Op { thread: 0, domain, call: Call::Realloc { id, newid, size: wish.size } }
        } else if wish.action == 98 {
            Op { thread: 0, domain, call: Call::Free { id: 0 } }
        } else {
            let (id, domain) = live.swap_remove(pick);
            Op { thread: 0, domain, call: Call::Free { id } }
        };
        tape.push(op).unwrap();
    }
    tape.finish()
}

/// Wishes from a seed, for tests that need long tapes.
pub(crate) fn seeded_wishes(seed: u64, count: usize) -> Vec<Wish> {
    let mut state = seed;
    let mut next = move |below: u64| {
        // SplitMix64: short, and good enough to mix operations.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    };
    (0..count)
        .map(|_| Wish {
            action: next(100) as u8,
            domain: next(10) as u8,
            size: if next(3) == 0 { 1 + next(600) } else { 480 + next(33) },
            pick: next(1 << 32) as u32,
        })
        .collect()
}

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
pub(crate) type Deed = (u8, u8, u64, i64, u8);

pub(crate) fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let size = prop_oneof![Just(16_u64), 0..600_u64, 1_u64..40];
    let offset = prop_oneof![-24_i64..40, -5000_i64..5000, any::<i64>()];
    prop::collection::vec((0_u8..100, 0_u8..12, size, offset, any::<u8>()), 1..160)
}

/// A tape of such deeds under a `PYTHONMALLOC`: it frees twice, writes where it should not and uses what it freed.
pub(crate) fn abuse(deeds: &[Deed], name: AllocatorName, profile: &Profile) -> Trace {
    let mut tape = TraceBuilder::new("abuse");
    tape.trace_mut().head.malloc = Some(name);
    let mut named = [false; 12];
    for number in 1..4 {
        let call = Call::Act(Action::InterpreterNew { number, own_obmalloc: number != 2 });
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    tape.trace_mut().head.malloc_stats = Some("0".to_owned());
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
    tape.finish()
}
