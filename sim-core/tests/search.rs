//! Searches through the index find what a walk over the whole tape finds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::breakpoint::{Condition, Watch};
use sim_core::index::{RareEvent, Wanted};
use sim_core::replay::{Found, Hunt, Search};
use sim_core::tape::StackId;
use sim_core::{Addr, Event, Kind, Machine, Profile, Replay, SizeClass, Slot, Trace};

/// The steps at which each thing was touched, written down from the events of a straight run.
fn all_touches(trace: &Trace, profile: &Profile) -> Vec<(Wanted, BTreeSet<u64>)> {
    let mut machine = Machine::for_trace(profile, trace, None).unwrap();
    let mut all: Vec<(Wanted, BTreeSet<u64>)> = Vec::new();
    let mut lookup = std::collections::HashMap::<String, usize>::new();
    let mut note = |wanted: Wanted, step: u64| {
        let at = *lookup.entry(format!("{wanted:?}")).or_insert_with(|| {
            all.push((wanted, BTreeSet::new()));
            all.len() - 1
        });
        all[at].1.insert(step);
    };
    for index in 0..trace.len() as usize {
        let step = index as u64 + 1;
        let mut events = Vec::new();
        let op = trace.packed(index);
        let raw_before = machine.pymalloc().raw_allocated_blocks;
        machine.step(trace, index, &mut events);
        if !(op.kind == Kind::Free && op.null) {
            note(Wanted::Slot(op.slot), step);
        }
        note(Wanted::Domain(op.domain), step);
        note(Wanted::Thread(trace.op(index as u64).unwrap().thread), step);
        note(Wanted::Site(trace.stack_of(index)), step);
        if machine.pymalloc().raw_allocated_blocks > raw_before {
            note(Wanted::RareEvent(RareEvent::RawFallback), step);
        }
        let pymalloc = machine.pymalloc();
        let mut in_pool = |pool: Addr| {
            note(Wanted::Pool(pool), step);
            let header = pymalloc.memory().header(pymalloc.memory().pool_at(pool));
            note(Wanted::Class(SizeClass(header.szidx as u16)), step);
            note(Wanted::Arena(pymalloc.arenas()[header.arenaindex as usize].ordinal), step);
        };
        for event in &events {
            match *event {
                Event::BlockPopped { pool, .. }
                | Event::BlockPushed { pool, .. }
                | Event::PoolFull { pool, .. }
                | Event::PoolLinked { pool, .. }
                | Event::PoolFreed { pool, .. }
                | Event::PoolInitialised { pool, .. } => in_pool(pool),
                Event::ReallocInPlace { block, .. } => in_pool(Addr(block.0 & !(profile.pool_size - 1))),
                _ => {}
            }
        }
        for event in &events {
            match *event {
                Event::BlockPopped { block, .. }
                | Event::BlockPushed { block, .. }
                | Event::ReallocInPlace { block, .. }
                | Event::PoolInitialised { block, .. } => note(Wanted::Address(block), step),
                Event::SizeClassChosen { class, .. } => note(Wanted::Class(class), step),
                Event::ArenaObtained { arena, .. } => {
                    note(Wanted::Arena(arena.ordinal), step);
                    note(Wanted::RareEvent(RareEvent::ArenaObtained), step);
                }
                Event::ArenaReleased { arena, .. } => {
                    note(Wanted::Arena(arena.ordinal), step);
                    note(Wanted::RareEvent(RareEvent::ArenaReleased), step);
                }
                Event::ArenaRelinked { arena, .. } => {
                    note(Wanted::Arena(arena.ordinal), step);
                    note(Wanted::RareEvent(RareEvent::ArenaRelinked), step);
                }
                Event::PoolCarved { .. } => note(Wanted::RareEvent(RareEvent::PoolCarved), step),
                Event::PoolFreed { .. } => note(Wanted::RareEvent(RareEvent::PoolFreed), step),
                Event::PoolFull { .. } => note(Wanted::RareEvent(RareEvent::PoolFull), step),
                Event::ReturnedNull { .. } => note(Wanted::RareEvent(RareEvent::ReturnedNull), step),
                _ => {}
            }
        }
    }
    all
}

/// Asks from many positions, both ways.
fn check(replay: &mut Replay, all: &[(Wanted, BTreeSet<u64>)], len: u64, stride: usize) {
    for (at, (wanted, steps)) in all.iter().enumerate().step_by(stride) {
        let near = steps.iter().nth(at % steps.len()).copied().unwrap_or(0);
        for from in [0, 1, near.saturating_sub(1), near, near + 1, len / 2, len] {
            let from = from.min(len);
            let next = steps.range(from + 1..).next().copied();
            assert_eq!(replay.find(*wanted, from, true), next, "{wanted:?} after {from}");
            let previous = steps.range(..from).next_back().copied();
            assert_eq!(replay.find(*wanted, from, false), previous, "{wanted:?} before {from}");
        }
    }
    for nothing in [
        Wanted::Address(Addr(0x10)),
        Wanted::Pool(Addr(u64::MAX)),
        Wanted::Arena(u64::MAX),
        Wanted::Class(SizeClass(4000)),
        Wanted::Site(StackId(77)),
        Wanted::Thread(9),
        Wanted::Slot(Slot(u32::MAX)),
        Wanted::RareEvent(RareEvent::Stopped),
    ] {
        assert_eq!((replay.find(nothing, 0, true), replay.find(nothing, len, false)), (None, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn searches_agree_with_a_walk(
        seed in any::<u64>(),
        count in 1_usize..10_000,
        profile in support::profiles(),
        budget in prop_oneof![Just(0_u64), Just(30_000), Just(u64::MAX)],
    ) {
        let trace = Arc::new(support::tape(&support::seeded_wishes(seed, count)));
        let all = all_touches(&trace, &profile);
        let mut replay = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        let stride = all.len() / 60 + 1;
        check(&mut replay, &all, trace.len(), stride);
    }
}

/// Conditions of every kind: by events, by state, by what is counted along the way, and mixed.
const CONDITIONS: [&str; 9] = [
    "arena_released && arenas > 1",
    "pool_freed || raw_fallback",
    "arena_refused",
    "size_class == 3 && pool_full",
    "blocks > 300 && kind == free",
    "pool_full && pools > 3",
    "step == 77",
    "size > 512 && !raw_fallback",
    "stopped",
];

/// The steps after which one of the conditions holds, by asking after every operation, with its number.
fn all_holds(trace: &Trace, profile: &Profile, conditions: &[Condition]) -> Vec<(u64, usize)> {
    let mut machine = Machine::for_trace(profile, trace, None).unwrap();
    let mut watch = Watch::new(conditions.to_vec(), &machine);
    let mut steps = Vec::new();
    for index in 0..trace.len() as usize {
        let mut events = Vec::new();
        watch.before(&machine);
        machine.step(trace, index, &mut events);
        if watch.holds(trace, index, &events, &machine) {
            steps.push((index as u64 + 1, watch.held().unwrap()));
        }
    }
    steps
}

/// Hunts in slices of `budget` operations, with another search and the first pass in between.
fn hunt(
    replay: &mut Replay,
    conditions: &[Condition],
    from: u64,
    forward: bool,
    budget: u64,
) -> Option<(u64, String)> {
    let mut hunt = Hunt::new(conditions.to_vec(), from, forward);
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 100_000, "the hunt goes on for ever");
        match replay.hunt(&mut hunt, budget) {
            Found::At(step) => return Some((step, hunt.condition().unwrap().to_string())),
            Found::Nowhere => return None,
            Found::NotRead => {
                replay.advance(3_000);
            }
            Found::Looking => {
                assert!((0.0..=1.0).contains(&hunt.share(replay.len())));
                if rounds % 8 == 0 {
                    replay.find(Wanted::RareEvent(RareEvent::PoolFull), from / 2, true);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn hunts_agree_with_asking_after_every_operation(
        seed in any::<u64>(),
        count in 1_usize..30_000,
        profile in support::profiles(),
        index_budget in prop_oneof![Just(0_u64), Just(30_000), Just(u64::MAX)],
        first in 0..CONDITIONS.len(),
        second in prop::option::of(0..CONDITIONS.len()),
        starts in prop::collection::vec(any::<u32>(), 6),
        budget in prop_oneof![Just(u64::MAX), 300_u64..9_000],
    ) {
        let trace = Arc::new(support::tape(&support::seeded_wishes(seed, count)));
        let conditions: Vec<Condition> =
            [Some(first), second].into_iter().flatten().map(|i| Condition::parse(CONDITIONS[i]).unwrap()).collect();
        let all = all_holds(&trace, &profile, &conditions);
        let named = |found: Option<&(u64, usize)>| found.map(|&(step, i)| (step, conditions[i].to_string()));
        let mut replay = Replay::new(Arc::clone(&trace), &profile, index_budget).unwrap();
        let near = starts.iter().filter_map(|&f| Some(all.get(f as usize % all.len().max(1))?.0));
        let anywhere = starts.iter().map(|&f| u64::from(f) % (trace.len() + 1));
        let positions: Vec<u64> = near.chain(anywhere).chain([0, trace.len()]).collect();
        for from in positions {
            let next = all.iter().find(|(step, _)| *step > from);
            prop_assert_eq!(hunt(&mut replay, &conditions, from, true, budget), named(next), "after {}", from);
            let previous = all.iter().rfind(|(step, _)| *step < from);
            prop_assert_eq!(hunt(&mut replay, &conditions, from, false, budget), named(previous), "before {}", from);
            prop_assert_eq!(replay.step().0, 0, "the position stays");
        }
    }
}

/// What a watcher is told, to be compared.
#[derive(Default)]
struct Diary {
    events: Vec<Event>,
    digests: Vec<u64>,
}

impl Diary {
    fn after(&mut self, moment: &sim_core::replay::Moment<'_>) {
        self.events.extend_from_slice(moment.events);
        assert_eq!(moment.index, self.digests.len(), "each operation once, in order");
        self.digests.push(sim_core::report::digest(moment.machine));
    }
}

#[test]
fn a_watcher_sees_each_operation_once() {
    let trace = Arc::new(support::tape(&support::seeded_wishes(21, 3_000)));
    let mut replay = Replay::new(Arc::clone(&trace), &Profile::default(), 1 << 20).unwrap();
    let mut diary = Diary::default();
    while !replay.advance_with(170, |moment| diary.after(moment)) {
        replay.find(Wanted::RareEvent(RareEvent::PoolCarved), replay.index().known(), false);
    }
    let mut machine = Machine::for_trace(&Profile::default(), &trace, None).unwrap();
    let mut expected = Diary::default();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut expected.events);
        expected.digests.push(sim_core::report::digest(&machine));
    }
    assert!(diary.events == expected.events && diary.digests == expected.digests);
}

#[test]
fn an_index_grows_with_the_tape_and_keeps_its_budget() {
    let trace = Arc::new(support::tape(&support::seeded_wishes(3, 120_000)));
    let profile = Profile::default();
    let all = all_touches(&trace, &profile);
    for budget in [0, 200_000, u64::MAX] {
        let mut replay = Replay::new(Arc::clone(&trace), &profile, budget).unwrap();
        replay.seek_now(5_000);
        let mut early = Search::new(Wanted::RareEvent(RareEvent::PoolFull), 119_000, false);
        assert_eq!(replay.look(&mut early, 10), Found::NotRead, "nobody has been there");
        while !replay.advance(7_777) {
            assert_eq!(replay.step().0, 5_000, "the position stays");
        }
        let index = replay.index();
        assert_eq!(index.known(), trace.len());
        // One stretch may go over the budget before it is noticed.
        assert!(index.state_bytes() <= (budget / 2).saturating_add(60_000), "{}", index.state_bytes());
        assert_eq!(index.covered() == trace.len(), budget == u64::MAX);
        if budget == u64::MAX {
            let bytes_per_operation = index.state_bytes() as f64 / trace.len() as f64;
            assert!(bytes_per_operation < 4.0, "{bytes_per_operation}");
        }
        check(&mut replay, &all, trace.len(), all.len() / 40);
    }
}

#[test]
fn a_block_is_followed_from_birth_to_end() {
    let trace = Arc::new(support::tape(&support::seeded_wishes(11, 9_000)));
    let profile = Profile::default();
    let mut replay = Replay::new(Arc::clone(&trace), &profile, u64::MAX).unwrap();
    for from in (50..9_000).step_by(997) {
        replay.seek_now(from);
        let live = replay.machine().live().find(|(_, t)| matches!(t, Target::Block(_)));
        let Some((slot, _)) = live else { continue };
        let uses: Vec<u64> = (0..trace.len())
            .filter(|&i| {
                let op = trace.packed(i as usize);
                op.slot == slot && !op.null
            })
            .map(|i| i + 1)
            .collect();
        let next = uses.iter().copied().find(|&s| s > from);
        assert_eq!(replay.find(Wanted::Block(slot), from, true), next);
        let kind = |s: u64| trace.packed(s as usize - 1).kind;
        if let Some(end) = uses.iter().copied().find(|&s| s > from && kind(s) == Kind::Free) {
            assert_eq!(replay.find(Wanted::Block(slot), end, true), None, "another life");
            let birth = uses.iter().copied().rfind(|&s| s < end && kind(s) == Kind::Malloc);
            if let Some(birth) = birth.filter(|&b| b > 1) {
                assert_eq!(replay.find(Wanted::Block(slot), birth, false), None, "the life before");
            }
        }
    }
}
