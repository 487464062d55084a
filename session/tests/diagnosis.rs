//! Who holds the arenas: planted programs, of which it is known, and random ones against plain counting.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use session::actions::stack_changes;
use session::diagnosis::waterfall::Cause;
use session::diagnosis::{
    Births, Census, Choice, Chosen, Forecast, Holders, Key, Layout, Rule, Waterfall, forecast,
};
use session::{Overrides, Setup};
use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::report::ArenaEvents;
use sim_core::tape::StackId;
use sim_core::{Addr, Call, Domain, Event, Machine, Op, Slot, Trace, TraceBuilder};

/// A trace on its way, with places in the source.
struct Tape {
    builder: TraceBuilder,
    next: u64,
}

impl Tape {
    fn new() -> Self {
        Self { builder: TraceBuilder::new("t"), next: 1 }
    }

    fn push(&mut self, thread: u16, domain: Domain, call: Call, stack: StackId) {
        self.builder.push_recorded(Op { thread, domain, call }, stack, None).unwrap();
    }

    fn malloc(&mut self, site: &str, size: u64) -> u64 {
        let lines: Vec<_> = site.split(" < ").map(|line| line.parse().unwrap()).collect();
        let stack = self.builder.stack(&lines);
        let id = self.next;
        self.next += 1;
        self.push(0, Domain::Obj, Call::Malloc { id, size }, stack);
        id
    }

    fn free(&mut self, id: u64) {
        self.push(0, Domain::Obj, Call::Free { id }, StackId(0));
    }

    fn end(self) -> Trace {
        self.builder.finish()
    }
}

/// A trace run to its end, and what is asked of it.
struct Ended {
    trace: Trace,
    setup: Setup,
    machine: Machine,
    census: Census,
    changes: Vec<(u64, StackId)>,
}

impl Ended {
    fn of(trace: Trace, overrides: &Overrides) -> Self {
        let setup = Setup::resolve(&trace, overrides).unwrap();
        let mut machine = setup.machine(&trace).unwrap();
        for index in 0..trace.len() as usize {
            machine.step(&trace, index, &mut ());
        }
        let mut births = Births::default();
        births.go_to(&trace, u64::MAX);
        let census = Census::of_model(&machine, &trace, &births);
        let changes = stack_changes(&trace, 0);
        Self { trace, setup, machine, census, changes }
    }

    fn holders(&self, key: Key, rule: Rule) -> Holders {
        Holders::of(&self.census, &self.trace, &self.setup.profile, &self.changes, key, rule)
    }

    fn forecast(&self, choice: &str) -> Forecast {
        let choices = [choice.parse::<Choice>().unwrap()];
        let Self { trace, setup, machine, census, changes } = self;
        let chosen = Chosen::of(census, trace, &setup.profile, changes, &choices).unwrap();
        Forecast::of(Some(machine), trace, census, &chosen)
    }
}

/// Ten arenas full of objects of a burst that is over; one session of a cache is left in every third arena, two log lines in others.
fn planted() -> (Trace, BTreeSet<u64>, BTreeSet<u64>) {
    let blocks_of_arena = 64 * (16384 - 48) / 512;
    let mut tape = Tape::new();
    let (mut burst, mut cache, mut log) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for arena in 0..10 {
        for block in 0..blocks_of_arena {
            match (arena % 3, block) {
                (0, 700) => {
                    tape.malloc("cache.py:7 < app.py:3", 500);
                    cache.insert(arena);
                }
                (1, 10 | 1500) => {
                    tape.malloc("log.py:40 < app.py:9", 509);
                    log.insert(arena);
                }
                _ => burst.push(tape.malloc("burst.py:1 < app.py:5", 512)),
            }
        }
    }
    for id in burst {
        tape.free(id);
    }
    (tape.end(), cache, log)
}

#[test]
fn planted_survivors_are_found_and_freeing_them_empties_their_arenas() {
    let (trace, cache, log) = planted();
    // 3.8 releases an arena as soon as it is empty; from 3.9 on the last of usable_arenas stays.
    for preset in ["cpython-3.14", "cpython-3.10"] {
        let ended = Ended::of(trace.clone(), &Overrides::preset(preset));
        let holders = ended.holders(Key::Site(1), Rule::Sole);
        let rows: Vec<_> = holders
            .groups
            .iter()
            .map(|g| (g.label.key.as_str(), g.blocks, g.bytes, g.block_bytes, g.arenas, g.arenas_alone))
            .collect();
        assert_eq!(
            rows,
            [("cache.py:7", 4, 2000, 2048, 4, 4), ("log.py:40", 6, 6 * 509, 3072, 3, 3)],
            "{preset}"
        );
        assert_eq!(holders.groups[0].pinned_bytes, 4 << 20);
        let forecast = ended.forecast("site=cache.py:7");
        let gone: BTreeSet<u64> = forecast.arenas.iter().chain(&forecast.kept_empty).copied().collect();
        assert_eq!(gone, cache);
        assert!(forecast.exact && forecast.kept_empty.len() <= 1);
        assert_eq!(forecast.returned_bytes, (forecast.arenas.len() as u64) << 20);
        let forecast = ended.forecast("function=log.py");
        let gone: BTreeSet<u64> = forecast.arenas.iter().chain(&forecast.kept_empty).copied().collect();
        assert_eq!(gone, log);
        // What the forecast says is what the program sees that does so.
        assert_eq!(forecast.arenas, freed_for_real(&ended, "log.py:40"));
    }
}

/// Arenas that go when the blocks of a site are freed by a program.
fn freed_for_real(ended: &Ended, site: &str) -> Vec<u64> {
    let holders = ended.holders(Key::Site(1), Rule::Sole);
    let mut machine = ended.machine.clone();
    let mut slots: Vec<(u32, u32)> = (0..ended.census.len())
        .filter(|at| holders.groups[holders.of_block[*at] as usize].label.key == site)
        .map(|at| (ended.census.births[at], ended.census.slots[at]))
        .collect();
    slots.sort_unstable();
    let mut events = ArenaEvents::default();
    for (birth, slot) in slots {
        let mut op = ended.trace.packed(birth as usize);
        (op.kind, op.slot) = (sim_core::Kind::Free, Slot(slot));
        machine.apply(op, &mut events);
    }
    let mut gone: Vec<u64> = events
        .as_slice()
        .iter()
        .filter_map(|e| match e {
            Event::ArenaReleased { arena, .. } => Some(arena.ordinal),
            _ => None,
        })
        .collect();
    gone.sort_unstable();
    gone
}

#[test]
fn keys_put_the_same_blocks_together_in_other_ways() {
    let ended = Ended::of(planted().0, &Overrides::preset("cpython-3.14"));
    let keys = |key| -> Vec<String> {
        ended.holders(key, Rule::Sole).groups.into_iter().map(|group| group.label.key).collect()
    };
    assert_eq!(keys(Key::Site(2)), ["cache.py:7 < app.py:3", "log.py:40 < app.py:9"]);
    assert_eq!(keys(Key::Module), ["cache", "log"]);
    assert_eq!(keys(Key::Function), ["cache.py", "log.py"]);
    assert_eq!(keys(Key::Class), ["31 (512 bytes)"]);
    assert_eq!((keys(Key::Thread), keys(Key::Kind)), (vec!["0".to_owned()], vec!["malloc".to_owned()]));
    assert_eq!(keys(Key::Domain), ["OBJ"]);
    assert_eq!(keys(Key::Age), ["10,000 to 99,999 operations"]);
    assert_eq!(ended.forecast("site=cache.py:7 < app.py:3").blocks, 4);
    // However a counterfactual may write it.
    for choice in ["class=31", "class=#31", "class=512", "class=512B", "class=31 (512 bytes)"] {
        assert_eq!(ended.forecast(choice).blocks, 10, "{choice}");
    }
    let choices = ["site=cash.py:7".parse::<Choice>().unwrap()];
    let error = Chosen::of(&ended.census, &ended.trace, &ended.setup.profile, &[], &choices).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no block that is live at step {} has site=cash.py:7; the largest groups are cache.py:7, log.py:40",
            ended.trace.len()
        )
    );
    assert!("class".parse::<Choice>().is_err());
    // No block of a trace without a picture has a type.
    let choices = ["type=dict".parse::<Choice>().unwrap()];
    assert!(Chosen::of(&ended.census, &ended.trace, &ended.setup.profile, &[], &choices).is_err());
}

#[test]
fn to_get_so_much_back_the_fewest_are_named() {
    let ended = Ended::of(planted().0, &Overrides::preset("cpython-3.14"));
    let holders = ended.holders(Key::Site(1), Rule::Sole);
    let want = |bytes| forecast::want(Some(&ended.machine), &ended.trace, &ended.census, &holders, bytes);
    let (groups, forecast) = want(2 << 20);
    assert_eq!(groups, [0]);
    assert!(forecast.returned_bytes >= 2 << 20);
    let (groups, forecast) = want(5 << 20);
    assert_eq!(groups, [0, 1]);
    assert!(forecast.returned_bytes >= 5 << 20);
    // More than there is: all that holds anything, and what that gives.
    let (groups, forecast) = want(1 << 40);
    assert_eq!((groups.len(), forecast.arenas.len()), (2, 6));
}

/// A random program: sites, sizes and which blocks stay.
fn program() -> impl Strategy<Value = Vec<(u8, u16, u8)>> {
    proptest::collection::vec((0..6_u8, 1..700_u16, 0..100_u8), 1..6000)
}

fn built(program: &[(u8, u16, u8)]) -> Trace {
    let mut tape = Tape::new();
    tape.builder.trace_mut().head.settings = vec![("arena_size".to_owned(), "64K".to_owned())];
    let mut live = Vec::new();
    for (site, size, fate) in program {
        let id = tape.malloc(&format!("m{site}.py:1{site}"), u64::from(*size));
        if *fate > 20 {
            live.push(id);
        }
        if *fate > 60
            && let Some(id) = (!live.is_empty()).then(|| live.swap_remove(*fate as usize % live.len()))
        {
            tape.free(id);
        }
    }
    for id in live.into_iter().step_by(2) {
        tape.free(id);
    }
    tape.end()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_agree_with_plain_counting(program in program()) {
        let ended = Ended::of(built(&program), &Overrides::default());
        let heap = ended.machine.pymalloc();
        // Group and arena of each live block, told by its address alone.
        let mut plain: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
        let mut of_arena: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut births: BTreeMap<u32, usize> = BTreeMap::new();
        for index in 0..ended.trace.len() as usize {
            births.insert(ended.trace.packed(index).slot.0, index);
        }
        let mut blocks = 0;
        for (slot, target) in ended.machine.live() {
            blocks += 1;
            let stack = ended.trace.stack_of(births[&slot.0]);
            let site = ended.trace.origin.stacks.lines(stack)[0].to_string();
            let arenas = plain.entry(site.clone()).or_default();
            if let Target::Block(block) = target {
                let arena = heap.arena_of(heap.memory().block_addr(block)).unwrap();
                *arenas.entry(arena.ordinal).or_default() += 1;
                of_arena.entry(arena.ordinal).or_default().insert(site);
            }
        }
        let sole = ended.holders(Key::Site(1), Rule::Sole);
        prop_assert_eq!(ended.census.len(), blocks);
        prop_assert_eq!(sole.groups.len(), plain.len());
        for group in &sole.groups {
            let arenas = &plain[&group.label.key];
            prop_assert_eq!(group.arenas, arenas.len() as u64);
            let alone = arenas.keys().filter(|arena| of_arena[arena].len() == 1).count() as u64;
            prop_assert_eq!(group.arenas_alone, alone);
            prop_assert_eq!(group.pinned_bytes, alone << 16);
        }
        // By the other rules every arena with a block is somebody's.
        for rule in [Rule::Split, Rule::Marginal] {
            let pinned: u64 = ended.holders(Key::Site(1), rule).groups.iter().map(|g| g.pinned_bytes).sum();
            prop_assert_eq!(pinned, (of_arena.len() as u64) << 16, "{:?}", rule);
        }
        // Freeing a group empties the arenas that it holds alone, of which one may be kept.
        for group in &sole.groups {
            let forecast = ended.forecast(&format!("site={}", group.label.key));
            prop_assert_eq!((forecast.arenas.len() + forecast.kept_empty.len()) as u64, group.arenas_alone);
            prop_assert!(forecast.kept_empty.len() <= 1);
            prop_assert_eq!(forecast.blocks, group.blocks);
            let named: u64 = forecast.reusable_bytes + forecast.c_library_bytes;
            prop_assert!(named <= group.block_bytes);
        }
        // Every byte is somewhere.
        let waterfall = Waterfall::of(&ended.machine, &ended.setup, &ended.census);
        let part = |cause| waterfall.parts.iter().filter(|p| p.cause == cause).map(|p| p.bytes).sum::<u64>();
        let held = heap.live_arenas().count() as u64 * (64 << 10);
        prop_assert_eq!(
            waterfall.total_bytes,
            held + ended.machine.raw().live_bytes() + part(Cause::ArenaMap)
        );
    }

    /// Where a recording's addresses are the model's own, the heap as recorded has the same groups.
    #[test]
    fn the_recorded_heap_is_the_models_where_addresses_are(program in program()) {
        let plain = built(&program);
        let setup = Setup::resolve(&plain, &Overrides::default()).unwrap();
        let mut machine = setup.machine(&plain).unwrap();
        let mut tape = TraceBuilder::new("recorded");
        tape.trace_mut().head.settings.clone_from(&plain.head.settings);
        for index in 0..plain.len() {
            let pointer = machine.step(&plain, index as usize, &mut ());
            let address = match SimArenas::target(pointer) {
                Target::Block(block) => machine.pymalloc().memory().block_addr(block),
                // Far from all arenas, at a place that no pool has.
                _ => Addr((1 << 46) + 8),
            };
            let lines = plain.origin.stacks.lines(plain.stack_of(index as usize));
            let stack = tape.stack(&lines);
            tape.push_recorded(plain.op(index).unwrap(), stack, Some(address)).unwrap();
        }
        let ended = Ended::of(tape.finish(), &Overrides::default());
        let layout = Layout::of(&ended.trace, &ended.setup).unwrap();
        let mut births = Births::default();
        births.go_to(&ended.trace, u64::MAX);
        let recorded = Census::as_recorded(&layout, &ended.trace, &births);
        prop_assert_eq!(recorded.astray, 0);
        let Ended { trace, setup, changes, census, .. } = &ended;
        let of = |census| Holders::of(census, trace, &setup.profile, changes, Key::Site(1), Rule::Sole);
        let with_blocks = census.regions.iter().filter(|region| region.blocks > 0).count();
        prop_assert_eq!(recorded.regions.len(), with_blocks);
        prop_assert_eq!(of(&recorded).groups, of(census).groups);
    }
}
