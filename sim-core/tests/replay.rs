//! Time travel: random walks end in the states that a straight run passes through.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use sim_core::domains::AllocatorName;
use sim_core::index::{RareEvent, Wanted};
use sim_core::report::digest;
use sim_core::{Call, Domain, Machine, Op, Profile, Replay, Trace, TraceBuilder};

/// One move of a walk: how, where to, and operations in a slice.
type Move = (u8, u16, u64);

fn walk() -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec((0_u8..5, any::<u16>(), 1_u64..80), 1..40)
}

fn budget() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0_u64), Just(40_000), Just(u64::MAX)]
}

/// Goes where the moves lead and compares each state with a run straight from the start.
fn follow(trace: &Arc<Trace>, profile: &Profile, walk: &[Move], budget: u64) -> Result<(), TestCaseError> {
    let mut straight = Machine::for_trace(profile, trace, None).unwrap();
    let mut digests = vec![digest(&straight)];
    let mut events = vec![Vec::new()];
    let mut holds = vec![straight.verify().is_ok()];
    for index in 0..trace.len() as usize {
        let mut happened = Vec::new();
        straight.step(trace, index, &mut happened);
        digests.push(digest(&straight));
        events.push(happened);
        holds.push(straight.verify().is_ok());
    }
    let mut replay = Replay::new(Arc::clone(trace), profile, budget).unwrap();
    if walk.len().is_multiple_of(2) {
        replay = replay.read_ahead();
    }
    for &(how, to, slice) in walk {
        let step = replay.step().0;
        let target = match how {
            0 => step.saturating_sub(1),
            1 => {
                replay.step_forward();
                replay.step().0
            }
            2 => step.saturating_sub(slice),
            3 => {
                // The first pass and a search go on between two moves and must not move anything.
                replay.dash(slice);
                replay.advance(slice);
                replay.find(Wanted::RareEvent(RareEvent::PoolFull), step, to % 2 == 0);
                prop_assert_eq!(replay.step().0, step);
                step
            }
            _ => u64::from(to) % (trace.len() + 1),
        };
        let mut rounds = 0;
        while !replay.seek(target, slice) {
            rounds += 1;
            prop_assert!(rounds <= trace.len(), "the seek does not arrive");
        }
        prop_assert_eq!(replay.step().0, target);
        prop_assert_eq!(digest(replay.machine()), digests[target as usize]);
        prop_assert_eq!(replay.events(), &events[target as usize][..]);
        prop_assert_eq!(replay.machine().verify().is_ok(), holds[target as usize]);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn walks_meet_the_straight_run(
        wishes in support::wishes(600),
        profile in support::profiles(),
        walk in walk(),
        budget in budget(),
    ) {
        let trace = Arc::new(support::tape(&wishes));
        follow(&trace, &profile, &walk, budget)?;
        let mut whole = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        whole.seek_now(trace.len());
        whole.machine().verify().unwrap();
    }

    #[test]
    fn walks_with_layers_meet_the_straight_run(
        deeds in support::deeds(),
        name in 0_usize..8,
        walk in walk(),
        budget in budget(),
    ) {
        let mut profile = Profile::default();
        profile.set("arena_size", "64K").unwrap();
        let trace = Arc::new(support::abuse(&deeds, AllocatorName::ALL[name], &profile));
        follow(&trace, &profile, &walk, budget)?;
    }
}

#[test]
fn steps_back_in_a_row_pass_through_every_state() {
    let trace = Arc::new(support::tape(&support::seeded_wishes(8, 40_000)));
    let profile = Profile::default();
    let mut straight = Machine::simulated(&profile, trace.slot_count()).unwrap();
    let digests: Vec<u64> = (0..trace.len() as usize)
        .map(|index| {
            straight.apply(trace.packed(index), &mut ());
            if index >= 38_400 { digest(&straight) } else { 0 }
        })
        .collect();
    for budget in [0, u64::MAX] {
        let mut replay = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        replay.seek_now(trace.len());
        let mut cost = 0;
        for step in (38_500..trace.len()).rev() {
            cost += replay.seek_cost(step);
            replay.seek_now(step);
            assert_eq!(digest(replay.machine()), digests[step as usize - 1], "step {step}");
        }
        if budget > 0 {
            // The first one comes from afar; then a step back replays a handful of operations.
            assert!(cost < 16_384 + 1_500 * 24, "{cost} operations for 1500 steps back");
        }
    }
}

#[test]
fn long_walks_step_by_step_meet_the_straight_run() {
    // Small arenas that come and go, some of them refused.
    let sets = [("arena_size", "64K"), ("arena_placement", "mixed"), ("arena_fail_at", "2,9,11")];
    let mut profile = Profile::default();
    for (key, value) in sets {
        profile.set(key, value).unwrap();
    }
    let trace = Arc::new(support::tape(&support::seeded_wishes(77, 60_000)));
    let mut random = 5_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut at = 30_000_u64;
    // Ways back of more steps than are kept, and back and forth over the same ones.
    let stops: Vec<u64> = (0..60)
        .map(|_| {
            let most = 16 << draw(10);
            let by = draw(most);
            at = if draw(2) == 0 { at.saturating_sub(by) } else { (at + by).min(trace.len()) };
            at
        })
        .collect();
    let mut expected = std::collections::BTreeMap::new();
    let mut straight = Machine::for_trace(&profile, &trace, None).unwrap();
    for index in 0..trace.len() {
        straight.step(&trace, index as usize, &mut ());
        if stops.contains(&(index + 1)) {
            expected.insert(index + 1, digest(&straight));
        }
    }
    for budget in [400_000, 1 << 20, u64::MAX] {
        let mut replay = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        replay.seek_now(30_000);
        for &stop in &stops {
            while replay.step().0 != stop {
                let step = replay.step().0;
                replay.seek_now(if stop < step { step - 1 } else { step + 1 });
            }
            if stop > 0 {
                assert_eq!(digest(replay.machine()), expected[&stop], "step {stop}, budget {budget}");
            }
            replay.machine().verify().unwrap();
        }
        // What was taken back leaves nothing behind that the rest would show.
        replay.seek_now(trace.len());
        assert_eq!(digest(replay.machine()), digest(&straight), "budget {budget}");
    }
}

#[test]
fn checkpoints_keep_their_budget_and_lead_back() {
    let trace = Arc::new(support::tape(&support::seeded_wishes(5, 200_000)));
    let profile = sim_core::Profile::default();
    let mut straight = Machine::simulated(&profile, trace.slot_count()).unwrap();
    let mut samples = Vec::new();
    for index in 0..trace.len() {
        straight.apply(trace.packed(index as usize), &mut ());
        if (index + 1) % 9_973 == 0 {
            samples.push((index + 1, digest(&straight)));
        }
    }
    let one = straight.state_bytes();
    for budget in [0, 3 * one, u64::MAX] {
        let mut replay = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        replay.seek_now(trace.len());
        assert_eq!(digest(replay.machine()), digest(&straight));
        assert!(replay.checkpoint_bytes() <= budget.saturating_add(2 * one), "{budget}");
        let scattered = samples.iter().step_by(3).chain(samples.iter().rev());
        for &(step, expected) in scattered {
            if budget > 10 * one {
                // Spaced by 16,384 operations, and by what a copy of the state costs.
                let bound = (1 << 14) + one / 64;
                assert!(replay.seek_cost(step) <= bound, "step {step} costs {}", replay.seek_cost(step));
            }
            replay.seek_now(step);
            assert_eq!(digest(replay.machine()), expected, "step {step}");
        }
    }
}

#[test]
fn a_dash_makes_ways_short_and_changes_nothing() {
    let mut tape = TraceBuilder::new("t");
    for id in 1..=300_000_u64 {
        // Some 2,000 blocks live.
        let call = if id % 2 == 1 && id > 4_000 {
            Call::Free { id: id - 3_999 }
        } else {
            Call::Malloc { id, size: 1 + id % 700 }
        };
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    let trace = Arc::new(tape.finish());
    let (profile, len) = (Profile::default(), trace.len());
    let spots = [len, 7, len - 5, 100_001, 250_000, 99_999];
    let mut straight = Replay::new(Arc::clone(&trace), &profile, 64 << 20).unwrap();
    let mut at = |step| {
        straight.seek_now(step);
        digest(straight.machine())
    };
    let digests = spots.map(&mut at);
    let mut replay = Replay::new(Arc::clone(&trace), &profile, 64 << 20).unwrap().read_ahead();
    assert_eq!(replay.seek_cost(len - 5), len - 5);
    while !replay.dash(10_000) {}
    assert!(replay.seek_cost(len - 5) < len / 2, "{}", replay.seek_cost(len - 5));
    let mut there = |step| {
        replay.seek_now(step);
        digest(replay.machine())
    };
    assert_eq!(spots.map(&mut there), digests);
    let wide = replay.checkpoint_bytes();
    while !replay.advance(10_000) {}
    assert!(replay.checkpoint_bytes() > wide, "reading saves the states in between");
    assert!(replay.seek_cost(len - 5) <= 1 << 15, "{}", replay.seek_cost(len - 5));
    for (step, expected) in spots.into_iter().zip(digests) {
        replay.seek_now(step);
        assert_eq!(digest(replay.machine()), expected, "{step}");
    }
    assert!(replay.dash(1), "there is nothing left to do");
}
