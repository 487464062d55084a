//! A machine that goes on from a picture does what the one does that the picture is of.

#![allow(clippy::unwrap_used, reason = "a panic is a failure here")]

use std::sync::Arc;

use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::domains::AllocatorName;
use sim_core::picture::{HeapPicture, PictureError, Place, PoolPicture, ProcessPicture};
use sim_core::report::digest;
use sim_core::{
    Addr, Call, Domain, Event, Machine, Op, Profile, ProfileError, Replay, SizeClass, Trace, TraceBuilder,
};

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A program that grows and shrinks: a tape that is written and run as it goes, and the ids of its live blocks.
struct Program {
    tape: TraceBuilder,
    machine: Machine,
    live: Vec<u64>,
    next: u64,
    /// Bases of arenas in the order they were obtained.
    obtained: Vec<Addr>,
}

impl Program {
    fn new(profile: &Profile) -> Self {
        let machine = Machine::simulated(profile, 0).unwrap();
        Self { tape: TraceBuilder::new("t"), machine, live: Vec::new(), next: 1, obtained: Vec::new() }
    }

    /// That goes on from a picture, with the ids of its blocks in order.
    fn of(profile: &Profile, picture: HeapPicture) -> Self {
        let picture = Arc::new(ProcessPicture { heaps: vec![picture], ..ProcessPicture::default() });
        let mut tape = TraceBuilder::new("t");
        tape.begin_with(Arc::clone(&picture)).unwrap();
        let machine = Machine::for_trace(profile, tape.trace(), None).unwrap();
        machine.verify().unwrap();
        let blocks = picture.main_blocks();
        Self { tape, machine, live: (1..=blocks).collect(), next: blocks + 1, obtained: Vec::new() }
    }

    /// Does a call and says where it landed.
    fn call(&mut self, call: Call) -> Option<Addr> {
        self.tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        self.machine.grow(self.tape.trace().slot_count());
        let mut events: Vec<Event> = Vec::new();
        let last = self.tape.trace().len() as usize - 1;
        let pointer = self.machine.step(self.tape.trace(), last, &mut events);
        for event in &events {
            if let Event::ArenaObtained { base, .. } = event {
                self.obtained.push(*base);
            }
        }
        match SimArenas::target(pointer) {
            Target::Block(block) => Some(self.machine.pymalloc().memory().block_addr(block)),
            _ => None,
        }
    }

    /// One call of a program that has `grows` of a hundred chances to allocate.
    fn act(&mut self, random: &mut Random, grows: u64) -> Option<Addr> {
        let (chance, size, pick) = (random.below(100), 1 + random.below(600), random.below(1 << 30));
        if self.live.is_empty() || chance < grows {
            self.live.push(self.next);
            self.next += 1;
            let id = self.next - 1;
            if chance % 5 == 0 {
                self.call(Call::Calloc { id, nelem: 1, elsize: size })
            } else {
                self.call(Call::Malloc { id, size })
            }
        } else {
            let at = (pick % self.live.len() as u64) as usize;
            if chance % 4 == 0 {
                let id = self.live[at];
                self.call(Call::Realloc { id, newid: id, size })
            } else {
                let id = self.live.swap_remove(at);
                self.call(Call::Free { id })
            }
        }
    }

    fn run(&mut self, random: &mut Random, operations: u64) {
        for at in 0..operations {
            let grows = if (at * 4 / operations).is_multiple_of(2) { 70 } else { 25 };
            self.act(random, grows);
        }
    }

    /// The live blocks of pymalloc in the order of a picture, with those of the C library behind them.
    fn in_order(&self) -> Vec<u64> {
        let trace = self.tape.trace();
        let mut blocks = Vec::new();
        for (at, id) in self.live.iter().enumerate() {
            let slot = slot_of(trace, *id);
            let addr = match self.machine.target(slot) {
                Target::Block(block) => self.machine.pymalloc().memory().block_addr(block),
                _ => Addr(u64::MAX - at as u64),
            };
            let record = self.machine.pymalloc().arena_of(addr).map_or(u32::MAX, |arena| arena.index);
            blocks.push(((record, addr), *id));
        }
        blocks.sort_unstable();
        blocks.into_iter().map(|(_, id)| id).collect()
    }
}

/// The slot that an id has last.
fn slot_of(trace: &Trace, id: u64) -> sim_core::Slot {
    let last = (0..trace.len() as usize).rev().find(|&at| trace.id_of(at) == id).unwrap();
    trace.packed(last).slot
}

fn profiles() -> Vec<Profile> {
    let with = |name: &str, sets: &[(&str, &str)]| {
        let mut profile = Profile::named(name).unwrap();
        for (key, value) in sets {
            profile.set(key, value).unwrap();
        }
        profile.validate().unwrap();
        profile
    };
    vec![
        with("cpython-3.8", &[("arena_size", "16K")]),
        with("cpython-3.9", &[("arena_size", "16K"), ("arena_placement", "page")]),
        with("cpython-3.10", &[("arena_size", "64K"), ("arena_placement", "mixed")]),
        with("cpython-3.11", &[]),
        with("cpython-3.14", &[("arena_size", "64K"), ("arena_placement", "page")]),
        with("cpython-3.15-hugepages", &[]),
        with("cpython-32bit", &[("arena_size", "16K"), ("arena_placement", "mixed")]),
        with("cpython-noradix", &[("arena_size", "32K")]),
    ]
}

/// A fragmented heap: pools of all kinds, arenas given back.
fn fragmented(profile: &Profile, random: &mut Random) -> Program {
    let mut program = Program::new(profile);
    program.run(random, 16_000);
    program
}

#[test]
fn it_goes_on_exactly_where_the_process_was() {
    for profile in profiles() {
        let mut random = Random(11);
        let mut real = fragmented(&profile, &mut random);
        let picture = real.machine.heap_picture().unwrap();
        picture.check(&profile).unwrap();
        let order = real.in_order();
        let blocks = picture.blocks() as usize;
        // The C library's blocks are not in it.
        for &id in &order[blocks..] {
            real.call(Call::Free { id });
        }
        real.live = order[..blocks].to_vec();
        let holes = (blocks, picture.free.len(), picture.freepools.len());
        assert!(holes.0 > 300 && holes.1 > 300 && holes.2 > 0, "{}: {holes:?}", profile.name);

        // What the process does next, and the arenas it gets.
        let (seed, mut log) = (random.0, Vec::new());
        real.obtained.clear();
        for at in 0..20_000 {
            log.push(real.act(&mut random, if at / 5_000 % 2 == 0 { 80 } else { 20 }));
        }
        let later_arenas = real.obtained.clone();
        assert!(later_arenas.len() > 3 || profile.arena_size > 1 << 16, "{}", profile.name);
        let mut model = Program::of(&profile, HeapPicture { later_arenas, ..picture });
        let mut random = Random(seed);
        for (at, expected) in log.iter().enumerate() {
            let got = model.act(&mut random, if at / 5_000 % 2 == 0 { 80 } else { 20 });
            assert_eq!(got, *expected, "{}, operation {at}", profile.name);
        }
        model.machine.verify().unwrap();
        let (real, mut ours) = (real.machine.heap_picture().unwrap(), model.machine.heap_picture().unwrap());
        // The high-water mark is the only thing of the past that nothing depends on.
        ours.later_arenas.clear();
        assert_eq!(ours, real, "{}", profile.name);
        let finished = model.tape.finish();
        travels(&profile, finished, &model.machine);
    }
}

/// Seeks, saved states and steps taken back give one state each.
fn travels(profile: &Profile, trace: Trace, end: &Machine) {
    let trace = Arc::new(trace);
    let mut replay = Replay::new(Arc::clone(&trace), profile, 8 << 20).unwrap();
    let start = digest(replay.machine());
    replay.seek_now(trace.len());
    assert_eq!(digest(replay.machine()), digest(end), "{}", profile.name);
    replay.machine().verify().unwrap();
    for step in [5_000, 4_999, 4_998, 4_997, 20, 19, 0] {
        replay.seek_now(step);
        replay.machine().verify().unwrap();
        let mut fresh = Machine::for_trace(profile, &trace, None).unwrap();
        fresh.run(&trace, 0, step as usize);
        assert_eq!(digest(replay.machine()), digest(&fresh), "{}, step {step}", profile.name);
    }
    assert_eq!(digest(replay.machine()), start);
    replay.seek_now(trace.len());
    assert_eq!(digest(replay.machine()), digest(end), "{}", profile.name);
}

#[test]
fn blocks_stand_in_the_order_of_their_addresses() {
    let profile = &profiles()[2];
    let program = fragmented(profile, &mut Random(5));
    let picture = program.machine.heap_picture().unwrap();
    let model = Program::of(profile, picture.clone());
    let memory = model.machine.pymalloc().memory();
    let slots = model.machine.live().map(|(slot, target)| match target {
        Target::Block(block) => (slot.0, memory.block_addr(block)),
        _ => panic!("{slot:?} is no block of pymalloc's"),
    });
    let told = picture.blocks_in_use(profile).zip(0..).map(|((addr, _), slot)| (slot, addr));
    assert!(slots.eq(told));
}

#[test]
fn arenas_of_which_nothing_is_known_lie_over_no_others() {
    for profile in profiles() {
        let program = fragmented(&profile, &mut Random(3));
        let picture = program.machine.heap_picture().unwrap();
        let mut model = Program::of(&profile, picture);
        let mut random = Random(4);
        model.run(&mut random, 20_000);
        assert!(!model.obtained.is_empty() || profile.arena_size > 1 << 20, "{}", profile.name);
        model.machine.verify().unwrap();
    }
}

#[test]
fn what_cannot_begin_says_why() {
    let profile = Profile::named("cpython-3.11").unwrap();
    let program = fragmented(&profile, &mut Random(2));
    let picture = program.machine.heap_picture().unwrap();
    let begin = |profile: &Profile, malloc| {
        let mut tape = TraceBuilder::new("t");
        let heaps = vec![picture.clone()];
        tape.begin_with(Arc::new(ProcessPicture { heaps, ..ProcessPicture::default() })).unwrap();
        Machine::for_trace(profile, tape.trace(), malloc).map(|_| ())
    };
    begin(&profile, None).unwrap();
    let problem = |result: Result<(), ProfileError>| match result {
        Err(ProfileError::Picture { problem }) => problem,
        other => panic!("{other:?}"),
    };
    assert!(problem(begin(&profile, Some(AllocatorName::Debug))).starts_with("only a run on pymalloc"));
    let old = Profile::named("cpython-3.9").unwrap();
    assert!(problem(begin(&old, None)).contains("arenas of 1048576 bytes, cpython-3.9 has 262144"));
    let mut twice = Machine::simulated(&profile, 0).unwrap();
    twice.begin_with(&picture).unwrap();
    assert_eq!(twice.begin_with(&picture), Err(PictureError::NotPlain));

    // A second picture, and one in the middle of a tape.
    let shared = Arc::new(ProcessPicture { heaps: vec![picture.clone()], ..ProcessPicture::default() });
    let mut tape = TraceBuilder::new("t");
    tape.begin_with(Arc::clone(&shared)).unwrap();
    assert!(tape.begin_with(shared).is_err());
}

#[test]
fn every_disagreement_is_named() {
    let profile = Profile::named("cpython-3.11").unwrap();
    let program = fragmented(&profile, &mut Random(8));
    let picture = program.machine.heap_picture().unwrap();
    let place = |change: &dyn Fn(&mut HeapPicture)| {
        let mut wrong = picture.clone();
        change(&mut wrong);
        match wrong.check(&profile) {
            Err(PictureError::Wrong { place, .. }) => place,
            other => panic!("{other:?}"),
        }
    };
    let partial = picture.used[31][0] as usize;
    let at = picture.pools(&profile).nth(partial).unwrap().1;
    assert_eq!(place(&|p| p.pools[partial].in_use += 1), Place::Pool(at));
    assert_eq!(place(&|p| p.pools[partial].carved = 1), Place::Pool(at));
    assert_eq!(place(&|p| p.used[31].retain(|&pool| pool as usize != partial)), Place::Pool(at));
    assert_eq!(place(&|p| p.used[31].push(partial as u32)), Place::Used(SizeClass(31)));
    assert_eq!(place(&|p| p.used[3].push(u32::MAX)), Place::Used(SizeClass(3)));
    assert_eq!(place(&|p| p.arenas[0].nfreepools ^= 1), Place::Record(0));
    assert_eq!(place(&|p| p.arenas[0].base.0 = 4096), Place::Record(0));
    assert_eq!(place(&|p| p.arenas[0].base.0 = u64::MAX - 4095), Place::Record(0));
    assert_eq!(place(&|p| p.arenas[0].record = u32::MAX), Place::Record(u32::MAX));
    assert_eq!(place(&|p| p.unused.clear()), Place::Unused);
    assert_eq!(place(&|p| p.records = u32::MAX), Place::Unused);
    assert_eq!(place(&|p| p.usable.clear()), Place::Usable);
    assert_eq!(place(&|p| p.pools.push(PoolPicture::default())), Place::Whole);
    assert_eq!(place(&|p| p.free.push(0)), Place::Whole);
}

#[test]
fn whatever_stands_in_it_nothing_panics_and_what_passes_holds() {
    let profile =
        Profile::named("cpython-3.14").unwrap().changed([("arena_size".into(), "64K".into())].iter());
    let profile = profile.unwrap();
    let program = fragmented(&profile, &mut Random(8));
    let picture = program.machine.heap_picture().unwrap();
    let mut random = Random(77);
    let mut passed = 0;
    for _ in 0..4_000 {
        let mut wrong = picture.clone();
        for _ in 0..=random.below(3) {
            damage(&mut wrong, &mut random);
        }
        let mut machine = Machine::simulated(&profile, 0).unwrap();
        if machine.begin_with(&wrong).is_ok() {
            passed += 1;
            machine.verify().unwrap();
        } else {
            assert_eq!(digest(&machine), digest(&Machine::simulated(&profile, 0).unwrap()));
        }
        // Who looks at one that was not checked gets to its end.
        assert!(wrong.blocks_in_use(&profile).count() <= 1 << 24);
    }
    assert!((1..2_000).contains(&passed), "{passed} passed");
}

fn damage(picture: &mut HeapPicture, random: &mut Random) {
    let value = [0, 1, 2, u64::MAX, 1 << 32, 4096][random.below(6) as usize] ^ random.below(8);
    let arena = random.below(picture.arenas.len() as u64) as usize;
    let pool = random.below(picture.pools.len() as u64) as usize;
    match random.below(14) {
        0 => picture.arenas[arena].base.0 ^= value << 12,
        1 => picture.arenas[arena].pool_address.0 ^= value << 14,
        2 => picture.arenas[arena].nfreepools ^= value as u32,
        3 => picture.arenas[arena].record ^= value as u32,
        4 => picture.arenas[arena].freepools ^= value as u32,
        5 => picture.pools[pool].class ^= value as u16,
        6 => picture.pools[pool].in_use ^= value as u16,
        7 => picture.pools[pool].carved ^= value as u16,
        8 => picture.pools[pool].free ^= value as u16,
        9 => {
            let at = random.below(picture.free.len() as u64) as usize;
            picture.free[at] ^= value as u16;
        }
        10 => {
            let (a, b) = (random.below(picture.free.len() as u64), random.below(picture.free.len() as u64));
            picture.free.swap(a as usize, b as usize);
        }
        11 => {
            let class = random.below(32) as usize;
            picture.used[class].extend(picture.freepools.first().copied());
        }
        12 => picture.later_arenas.push(Addr(value)),
        _ => {
            let class = random.below(32) as usize;
            picture.used[class].reverse();
        }
    }
}
