//! Time travel: random walks end in the states that a straight run passes through.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use sim_core::report::digest;
use sim_core::{Machine, Replay};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn walks_meet_the_straight_run(
        wishes in support::wishes(600),
        profile in support::profiles(),
        walk in prop::collection::vec((0_u8..4, any::<u16>(), 1_u64..80), 1..40),
        budget in prop_oneof![Just(0_u64), Just(40_000), Just(u64::MAX)],
    ) {
        let trace = Arc::new(support::tape(&wishes));
        let mut straight = Machine::simulated(&profile, trace.slot_count()).unwrap();
        let mut digests = vec![digest(&straight)];
        let mut events = vec![Vec::new()];
        for index in 0..trace.len() as usize {
            let mut happened = Vec::new();
            straight.apply(trace.packed(index), &mut happened);
            digests.push(digest(&straight));
            events.push(happened);
        }
        let mut replay = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        for (how, to, slice) in walk {
            let step = replay.step().0;
            let target = match how {
                0 => step.saturating_sub(1),
                1 => { replay.step_forward(); replay.step().0 }
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
            replay.machine().verify().unwrap();
        }
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
