//! Random tapes for the property tests.

#![allow(dead_code, reason = "each test file uses its part")]

use proptest::prelude::*;
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
