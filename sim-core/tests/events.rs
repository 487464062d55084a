//! Every step's events explain the state change: a second heap is rebuilt from events alone and compared
//! with the machine after every operation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use sim_core::arena::ArenaBackend as _;
use sim_core::event::{RadixNode, narrate};
use sim_core::report::Fnv64;
use sim_core::{Addr, Event, Machine, Profile, SizeClass, Trace};

#[derive(Default, Debug)]
struct PoolSeen {
    class: Option<SizeClass>,
    ref_count: u32,
    free: Vec<Addr>,
    nextoffset: u32,
}

#[derive(Debug)]
struct ArenaSeen {
    index: u32,
    base: Addr,
    nfreepools: u32,
    carved: Vec<Addr>,
    freepools: Vec<Addr>,
}

/// What can be known from events alone. Lists are front first.
#[derive(Default)]
struct Mirror {
    used: BTreeMap<SizeClass, Vec<Addr>>,
    pools: BTreeMap<Addr, PoolSeen>,
    arenas: BTreeMap<u64, ArenaSeen>,
    usable: Vec<u64>,
    nfp2lasta: BTreeMap<u32, u64>,
    maxarenas: u32,
    mid_nodes: u64,
    bot_nodes: u64,
    obtained: u64,
    not_marked: u64,
    raw: BTreeMap<u64, u64>,
    raw_allocated_blocks: i64,
}

fn take<T: PartialEq>(list: &mut Vec<T>, item: &T) {
    let at = list.iter().position(|i| i == item).expect("it is on the list");
    list.remove(at);
}

impl Mirror {
    fn pool(&mut self, addr: Addr) -> &mut PoolSeen {
        self.pools.get_mut(&addr).expect("the pool was carved")
    }

    fn arena(&mut self, ordinal: u64) -> &mut ArenaSeen {
        self.arenas.get_mut(&ordinal).expect("the arena was obtained")
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::BlockPopped { pool, block, next, ref_count } => {
                let pool = self.pool(pool);
                assert_eq!(pool.free.remove(0), block);
                assert_eq!(pool.free.first().copied(), next);
                pool.ref_count += 1;
                assert_eq!(pool.ref_count, ref_count);
            }
            Event::BlockCarved { pool, block, nextoffset } => {
                let pool = self.pool(pool);
                assert!(pool.free.is_empty());
                pool.free.push(block);
                pool.nextoffset = nextoffset;
            }
            Event::PoolFull { pool, class } | Event::PoolEmptied { pool, class } => {
                take(self.used.get_mut(&class).unwrap(), &pool);
            }
            Event::PoolLinked { pool, class } => self.used.entry(class).or_default().insert(0, pool),
            Event::PoolTaken { arena, pool } => {
                let arena = self.arena(arena.ordinal);
                assert_eq!(arena.freepools.remove(0), pool);
                arena.nfreepools -= 1;
            }
            Event::PoolCarved { arena, pool } => {
                let arena = self.arena(arena.ordinal);
                arena.carved.push(pool);
                arena.nfreepools -= 1;
                self.pools.insert(pool, PoolSeen::default());
            }
            Event::PoolReused { pool, class } => assert_eq!(self.pool(pool).class, Some(class)),
            Event::PoolInitialised { pool, class, was, second, nextoffset, .. } => {
                let pool = self.pool(pool);
                assert_eq!(pool.class, was);
                *pool = PoolSeen { class: Some(class), ref_count: 1, free: vec![second], nextoffset };
            }
            Event::BlockPushed { pool, block, next, ref_count } => {
                let pool = self.pool(pool);
                assert_eq!(pool.free.first().copied(), next);
                pool.free.insert(0, block);
                pool.ref_count -= 1;
                assert_eq!(pool.ref_count, ref_count);
            }
            Event::PoolFreed { arena, pool } => {
                let arena = self.arena(arena.ordinal);
                arena.freepools.insert(0, pool);
                arena.nfreepools += 1;
            }
            Event::ArenaObjectsGrown { from, to, got, .. } => {
                assert_eq!(self.maxarenas, from);
                self.maxarenas = if got { to } else { from };
            }
            Event::RadixNodeCreated { node, got, .. } => match node {
                RadixNode::Mid => self.mid_nodes += u64::from(got),
                RadixNode::Bot => self.bot_nodes += u64::from(got),
            },
            Event::ArenaNotMarked { ordinal, .. } => {
                assert_eq!(ordinal, self.obtained + self.not_marked);
                self.not_marked += 1;
            }
            Event::ArenaObtained { arena, base, pools, .. } => {
                assert_eq!(arena.ordinal, self.obtained + self.not_marked);
                self.obtained += 1;
                let seen = ArenaSeen {
                    index: arena.index,
                    base,
                    nfreepools: pools,
                    carved: Vec::new(),
                    freepools: Vec::new(),
                };
                self.arenas.insert(arena.ordinal, seen);
            }
            Event::ArenaLinked { arena } => self.usable.insert(0, arena.ordinal),
            Event::ArenaRelinked { arena, after } => {
                take(&mut self.usable, &arena.ordinal);
                let at = self.usable.iter().position(|&a| a == after.ordinal).unwrap();
                self.usable.insert(at + 1, arena.ordinal);
            }
            Event::ArenaFull { arena } => {
                assert_eq!(self.usable.remove(0), arena.ordinal);
                assert_eq!(self.arena(arena.ordinal).nfreepools, 0);
            }
            Event::Nfp2lastaSet { nfreepools, arena } => {
                match arena {
                    Some(arena) => self.nfp2lasta.insert(nfreepools, arena.ordinal),
                    None => self.nfp2lasta.remove(&nfreepools),
                };
            }
            Event::ArenaReleased { arena, base } => {
                // With one free pool before, an arena may be released before it was ever listed.
                self.usable.retain(|&a| a != arena.ordinal);
                let gone = self.arenas.remove(&arena.ordinal).unwrap();
                assert_eq!(gone.base, base);
                for pool in gone.carved {
                    assert_eq!(self.pools.remove(&pool).unwrap().ref_count, 0);
                }
            }
            Event::RawAllocated { label, nbytes, for_pymalloc } => {
                assert_eq!(self.raw.insert(label, nbytes), None);
                self.raw_allocated_blocks += i64::from(for_pymalloc);
            }
            Event::RawResized { label, from, nbytes } => {
                assert_eq!(self.raw.insert(label, nbytes), Some(from));
            }
            Event::RawFreed { label, nbytes, for_pymalloc } => {
                assert_eq!(self.raw.remove(&label), Some(nbytes));
                self.raw_allocated_blocks -= i64::from(for_pymalloc);
            }
            Event::ArenaKept { .. }
            | Event::ArenaRefused
            | Event::FreeListLost { .. }
            | Event::NotSmall { .. }
            | Event::SizeClassChosen { .. }
            | Event::AddressInRange { .. }
            | Event::ReallocInPlace { .. }
            | Event::ReallocMoves { .. }
            | Event::ReallocOfNull
            | Event::FreeOfNull
            | Event::TableCalled { .. }
            | Event::ArenaHookCalled { .. }
            | Event::ArenaHookRefused { .. }
            | Event::ArenaFreedByOther { .. }
            | Event::ChunkObtained { .. }
            | Event::MallocStatsPrinted { .. }
            | Event::InterpreterCreated { .. }
            | Event::InterpreterSwitched { .. }
            | Event::InterpreterEnded { .. }
            | Event::SnapshotTaken { .. }
            | Event::RawBlocksCounted { .. }
            | Event::Mimalloc(_)
            | Event::ReturnedNull { .. } => {}
        }
    }

    fn compare(&self, machine: &Machine) {
        let pymalloc = machine.pymalloc();
        let memory = pymalloc.memory();
        let addrs =
            |pools: &mut dyn Iterator<Item = _>| pools.map(|p| memory.pool_addr(p)).collect::<Vec<_>>();
        for class in (0..pymalloc.profile().nb_small_size_classes()).map(SizeClass) {
            let seen = self.used.get(&class).cloned().unwrap_or_default();
            assert_eq!(addrs(&mut pymalloc.used_pools(class)), seen, "usedpools[{class}]");
        }
        let usable: Vec<u64> = pymalloc.usable_arenas().map(|a| pymalloc.arena_id(a).ordinal).collect();
        assert_eq!(usable, self.usable, "usable_arenas");
        let nfp2lasta: BTreeMap<u32, u64> = (0..)
            .zip(pymalloc.nfp2lasta())
            .filter_map(|(k, a)| Some((k, pymalloc.arena_id((*a)?).ordinal)))
            .collect();
        assert_eq!(nfp2lasta, self.nfp2lasta, "nfp2lasta");
        assert_eq!(pymalloc.arenas().len() as u32, self.maxarenas);
        assert_eq!(pymalloc.arena_map().node_counts(), (self.mid_nodes, self.bot_nodes));
        assert_eq!(pymalloc.counters().ntimes_arena_allocated, self.obtained);
        assert_eq!(pymalloc.counters().narenas_currently_allocated, self.arenas.len() as u64);
        for (&ordinal, seen) in &self.arenas {
            let arena = &pymalloc.arenas()[seen.index as usize];
            assert_eq!((arena.address, arena.ordinal), (Some(seen.base), ordinal));
            assert_eq!(arena.nfreepools, seen.nfreepools, "nfreepools of arena {ordinal}");
            assert_eq!(addrs(&mut pymalloc.carved_pools(seen.index)), seen.carved);
            assert_eq!(addrs(&mut pymalloc.freepools(seen.index)), seen.freepools);
            for pool in pymalloc.carved_pools(seen.index) {
                let header = memory.header(pool);
                let seen = &self.pools[&memory.pool_addr(pool)];
                assert_eq!(header.ref_count, seen.ref_count);
                assert_eq!(header.nextoffset, seen.nextoffset);
                assert_eq!(Some(header.szidx), seen.class.map(|c| u32::from(c.0)));
                let free: Vec<Addr> = pymalloc.free_list(pool).map(|b| memory.block_addr(b)).collect();
                assert_eq!(free, seen.free, "free list of pool {}", memory.pool_addr(pool));
            }
        }
        assert_eq!(pymalloc.raw_allocated_blocks, self.raw_allocated_blocks);
        assert_eq!(machine.raw().live_blocks(), self.raw.len() as u64);
        assert_eq!(machine.raw().live_bytes(), self.raw.values().sum::<u64>());
    }
}

/// Runs a tape on both and returns how often each kind of arena event happened.
fn check(trace: &Trace, profile: &Profile) -> BTreeMap<&'static str, u64> {
    let mut seen = BTreeMap::new();
    let mut machine = Machine::simulated(profile, trace.slot_count()).unwrap();
    let mut quiet = machine.clone();
    let mut mirror = Mirror::default();
    for index in 0..trace.len() as usize {
        let mut events = Vec::new();
        let returned = machine.apply(trace.packed(index), &mut events);
        assert!(!events.is_empty(), "operation {index} said nothing");
        for event in events {
            let name = match event {
                Event::ArenaReleased { .. } => "released",
                Event::ArenaKept { .. } => "kept",
                Event::ArenaRelinked { .. } => "relinked",
                Event::ArenaRefused => "refused",
                Event::PoolReused { .. } => "reused",
                _ => "other",
            };
            *seen.entry(name).or_default() += 1;
            mirror.take_event(event);
        }
        mirror.compare(&machine);
        machine.verify().unwrap();
        assert_eq!(quiet.apply(trace.packed(index), &mut ()), returned, "the observer changed something");
    }
    assert_eq!(sim_core::report::digest(&quiet), sim_core::report::digest(&machine));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn events_alone_rebuild_the_heap(wishes in support::wishes(700), profile in support::profiles()) {
        check(&support::tape(&wishes), &profile);
    }
}

#[test]
fn long_tapes_reach_every_arena_event() {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (seed, placement) in (1..).zip(["aligned", "page", "mixed"]) {
        let mut profile = Profile::default();
        for (key, value) in [("arena_size", "64K"), ("arena_placement", placement), ("arena_limit", "12")] {
            profile.set(key, value).unwrap();
        }
        let tape = support::tape(&support::seeded_wishes(seed, 9_000));
        for (name, count) in check(&tape, &profile) {
            *all.entry(name).or_default() += count;
        }
    }
    for name in ["released", "kept", "relinked", "refused", "reused"] {
        assert!(all.get(name).is_some_and(|&n| n >= 3), "{name}: {all:?}");
    }
}

/// What is committed here is what every platform must say: no number, name or order of an event may depend on it.
#[test]
fn every_platform_narrates_the_same_events() {
    let expected = [
        ("cpython-3.8", 11_643_u64, 0x6b06_6173_f330_84b2_u64),
        ("cpython-32bit", 12_139, 0xfbfd_6d58_59c2_cb0d),
        ("cpython-3.14", 10_775, 0x544c_df98_7a7f_c99a),
        ("cpython-3.14t", 5_065, 0xd988_98d3_8cf5_5de4),
    ];
    let trace = support::tape(&support::seeded_wishes(11, 4_000));
    let got = expected.map(|(preset, ..)| {
        let profile = Profile::named(preset).unwrap();
        let mut machine = Machine::for_trace(&profile, &trace, None).unwrap();
        let (mut count, mut words) = (0, Fnv64::default());
        for index in 0..trace.len() as usize {
            let mut events = Vec::new();
            machine.step(&trace, index, &mut events);
            count += events.len() as u64;
            for event in &events {
                let sentence = narrate(event, &profile);
                words.bytes(sentence.function.as_bytes());
                words.bytes(sentence.text.as_bytes());
            }
        }
        (preset, count, words.0)
    });
    assert_eq!(got, expected, "events and their words as (preset, count, FNV-1a)");
}
