//! Every step's events explain the state change: a second heap is rebuilt from events alone and compared
//! with the machine after every operation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use sim_core::arena::ArenaBackend as _;
use sim_core::domains::AllocatorName;
use sim_core::event::{RadixNode, narrate_operation};
use sim_core::report::Fnv64;
use sim_core::tape::Action;
use sim_core::{Addr, Call, Domain, Event, Machine, Op, Profile, SizeClass, Trace, TraceBuilder};

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
        ("cpython-3.8", 11_643_u64, 0x94e9_ac0e_b988_cc23_u64),
        ("cpython-32bit", 12_139, 0xb09c_7640_24f2_ae5e),
        ("cpython-3.14", 10_775, 0xf4c1_7559_34db_ba61),
        ("cpython-3.14t", 5_065, 0xfff9_dbf3_c319_43f1),
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
            let op = trace.op(index as u64).unwrap();
            for sentence in narrate_operation(&op, &events, &profile) {
                words.bytes(sentence.function.as_bytes());
                words.bytes(sentence.text.as_bytes());
            }
        }
        (preset, count, words.0)
    });
    assert_eq!(got, expected, "events and their words as (preset, count, FNV-1a)");
}

/// The functions and sentences of the last operation of a trace that is told in actions.
fn told(profile: &str, malloc: Option<AllocatorName>, calls: &[(Domain, Call)]) -> Vec<(String, String)> {
    let mut tape = TraceBuilder::new("t");
    for (domain, call) in calls {
        tape.push(Op { thread: 0, domain: *domain, call: *call }).unwrap();
    }
    let (trace, profile) = (tape.finish(), Profile::named(profile).unwrap());
    let mut machine = Machine::for_trace(&profile, &trace, malloc).unwrap();
    let mut events = Vec::new();
    for index in 0..trace.len() as usize {
        events.clear();
        machine.step(&trace, index, &mut events);
    }
    let op = trace.op(trace.len() - 1).unwrap();
    let sentences = narrate_operation(&op, &events, &profile);
    sentences.into_iter().map(|s| (s.function.to_owned(), s.text)).collect()
}

#[test]
fn a_refused_request_names_the_function_that_was_called() {
    let huge = 1 << 63;
    for (domain, prefix) in [(Domain::Raw, "PyMem_Raw"), (Domain::Mem, "PyMem_"), (Domain::Obj, "PyObject_")]
    {
        let first = (domain, Call::Malloc { id: 1, size: 8 });
        let calls = [
            ("Malloc", Call::Malloc { id: 2, size: huge }),
            ("Calloc", Call::Calloc { id: 2, nelem: huge, elsize: 1 }),
            ("Realloc", Call::Realloc { id: 1, newid: 2, size: huge }),
        ];
        for (name, call) in calls {
            for (profile, malloc) in [
                ("cpython-3.12", None),
                ("cpython-3.12", Some(AllocatorName::Debug)),
                ("cpython-3.14t", None),
            ] {
                let told = told(profile, malloc, &[first, (domain, call)]);
                let [(function, text)] = told.as_slice() else { panic!("{profile} {name}: {told:?}") };
                assert_eq!(*function, format!("{prefix}{name}"), "{profile}");
                assert!(text.contains("PY_SSIZE_T_MAX"), "{text}");
            }
        }
    }
}

#[test]
fn tables_on_top_of_one_another_are_told_apart() {
    let calls = [
        (Domain::Obj, Call::Malloc { id: 1, size: 1 }),
        (Domain::Obj, Call::Act(Action::TracemallocStart(1))),
        (Domain::Obj, Call::Free { id: 1 }),
    ];
    let told = told("cpython-3.12", Some(AllocatorName::Debug), &calls);
    let asked: Vec<&str> =
        told.iter().map(|(_, text)| text.as_str()).filter(|t| t.contains("is asked")).collect();
    assert_eq!(
        asked,
        [
            "tracemalloc's hook over OBJ is asked to free",
            "OBJ's debug hook is asked to free",
            "pymalloc, in OBJ's table, is asked to free",
        ]
    );
    // In a circle only the sentence can say that it comes again.
    let around = [
        (Domain::Obj, Call::Act(Action::TracemallocStart(1))),
        (Domain::Obj, Call::Act(Action::SetupDebugHooks)),
        (Domain::Obj, Call::Malloc { id: 2, size: 1 }),
    ];
    let told = self::told("cpython-3.12", Some(AllocatorName::Debug), &around);
    assert_eq!(told[0].1, "OBJ's debug hook is asked for 1 byte");
}

#[test]
fn one_of_a_thing_is_told_in_the_singular() {
    let told = told("cpython-3.12", None, &[(Domain::Obj, Call::Malloc { id: 1, size: 1 })]);
    assert_eq!(told[0].1, "1 byte belongs to size class 0, whose blocks have 16 bytes");
    let raw = self::told("cpython-3.12", None, &[(Domain::Raw, Call::Malloc { id: 1, size: 1 })]);
    assert_eq!(raw, [("PyMem_RawMalloc".to_owned(), "the C library gives block raw#0 of 1 byte".to_owned())]);
}

#[test]
fn calloc_goes_on_to_calloc() {
    for malloc in [None, Some(AllocatorName::Debug)] {
        let call = Call::Calloc { id: 1, nelem: 3, elsize: 1000 };
        let told = told("cpython-3.12", malloc, &[(Domain::Obj, call)]);
        let raw: Vec<_> =
            told.iter().filter(|(f, t)| f.contains("PyMem_Raw") || t.contains("PyMem_Raw")).collect();
        assert!(
            !raw.is_empty() && raw.iter().all(|(f, t)| !format!("{f} {t}").contains("RawMalloc")),
            "{told:?}"
        );
    }
}
