//! The heap as recorded: against a reader of captures that shares nothing with it, against plain counting on random traces, and in
//! the engine.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use session::diagnosis::{Births, Census, Layout, Placed, Recorded};
use session::facts::BlockState;
use session::ground::Ground;
use session::view::inspect::{Holder, Sheet};
use session::view::map::{MapLook, MapPicture};
use session::view::tables::ArenasKnown;
use session::view::{Look, Picture, Shown};
use session::{Engine, Level, Opened, Order, Overrides, Place, Setup};
use sim_core::tape::StackId;
use sim_core::{Addr, Call, Domain, Op, Trace, TraceBuilder};

#[path = "../../trace-io/tests/support/outside.rs"]
mod outside;

/// Arenas and pools of each capture as `data/recorded_arenas.py` counts them, which reads by memray and tells RAW by the address alone.
const SECOND_READER: &str = include_str!("data/recorded_arenas.txt");

#[test]
fn captures_have_as_many_arenas_as_a_second_reader_counts() {
    let what = "arenas of captures beside a second reader";
    let folder = match outside::shared("captures") {
        Ok(folder) => folder,
        Err(why) => return outside::not_run(what, why),
    };
    let mut counted = 0;
    for line in SECOND_READER.lines() {
        let [name, pools, arenas] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let file = std::fs::File::open(folder.join(name)).unwrap();
        let trace = trace_io::open(name, Box::new(file)).unwrap();
        let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
        let layout = Layout::of(&trace, &setup).unwrap();
        assert_eq!(layout.arenas(), arenas.parse::<usize>().unwrap(), "{name}");
        // The other takes no window for a pool where blocks of two classes were live together, as after a free that was missed.
        let pools: u64 = pools.parse().unwrap();
        assert!(layout.pools().abs_diff(pools) * 50 <= pools, "{name}: {} and {pools}", layout.pools());
        counted += 1;
    }
    assert_eq!(counted, outside::files(&folder, ".bin").unwrap().len(), "a capture is not in the list");
}

const BASE: u64 = 0x7f00_0000_0000;

/// Calls on few ids, at places of few pools in five arenas, of which some meet: a recording may have missed a free.
fn recording() -> impl Strategy<Value = Trace> {
    let call = (0..4_u8, 0..40_u64, 0..5_u64, 0..3_u64, 0..30_u64, 0..3_usize);
    prop::collection::vec(call, 1..300).prop_map(|calls| {
        let mut tape = TraceBuilder::new("recorded");
        let mut live = BTreeMap::new();
        let mut next = 1;
        for (what, name, arena, pool, place, size) in calls {
            let size = [16_u64, 48, 512][size];
            let at = BASE + (arena << 21) + (pool << 14) + 48 + place * size;
            let (call, address) = match (what, live.get(&name).copied()) {
                (0, Some(id)) => {
                    live.remove(&name);
                    (Call::Free { id }, None)
                }
                (1, Some(id)) => {
                    live.insert(name, next);
                    (Call::Realloc { id, newid: next, size }, Some(Addr(at)))
                }
                (2, _) => (Call::Free { id: 0 }, None),
                (_, Some(_)) => continue,
                (_, None) => {
                    live.insert(name, next);
                    (Call::Malloc { id: next, size }, Some(Addr(at)))
                }
            };
            next += 1;
            tape.push_recorded(Op { thread: 0, domain: Domain::Obj, call }, StackId(0), address).unwrap();
        }
        tape.finish()
    })
}

/// Everything that a recorded heap says of its arenas.
fn said(recorded: &Recorded) -> Vec<(Addr, Vec<Vec<Addr>>)> {
    let ground = Ground::Recorded(recorded);
    let pools = |arena| {
        (0..64).filter_map(move |index| ground.pool_of_arena(&arena, index)).map(move |pool| {
            let states = ground.block_states(&pool);
            let live = states.iter().zip(0..).filter(|(state, _)| **state == BlockState::Live);
            let place = |(_, index): (_, u64)| pool.addr.offset(48 + index * u64::from(pool.block_size));
            live.map(place).collect()
        })
    };
    ground.arenas().into_iter().map(|arena| (arena.base, pools(arena).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any way along the tape leads to the heap that plain counting finds, and the census has the same arenas.
    #[test]
    fn any_way_leads_to_what_plain_counting_finds(trace in recording(), way in prop::collection::vec(0..300_u64, 1..12)) {
        let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
        let Some(layout) = Layout::of(&trace, &setup).map(Arc::new) else { return Ok(()) };
        let trace = Arc::new(trace);
        let mut recorded = Recorded::new(Arc::clone(&layout), Arc::clone(&trace));
        for step in way {
            let step = step.min(trace.len());
            recorded.go_to(step);
            // Plain counting: the address of each id that is live.
            let mut live: BTreeMap<u64, (Addr, u64)> = BTreeMap::new();
            for index in 0..step {
                let address = trace.address_of(index as usize);
                match trace.op(index).unwrap().call {
                    Call::Malloc { id, size } => { live.insert(id, (address.unwrap(), size)); }
                    Call::Realloc { id, newid, size } => {
                        live.remove(&id);
                        live.insert(newid, (address.unwrap(), size));
                    }
                    Call::Free { id } => { live.remove(&id); }
                    _ => {}
                }
            }
            // Where blocks of several classes are claimed in one pool, the pool shows one class.
            let mut of_pool: BTreeMap<u64, BTreeMap<u64, BTreeSet<Addr>>> = BTreeMap::new();
            for (addr, size) in live.values() {
                of_pool.entry(addr.0 & !0x3fff).or_default().entry(*size).or_default().insert(*addr);
            }
            let mut shown = BTreeSet::new();
            for (arena, pools) in said(&recorded) {
                prop_assert!(pools.iter().any(|pool| !pool.is_empty()), "{arena} is not held");
                shown.extend(pools.into_iter().filter(|pool| !pool.is_empty()));
            }
            let most = of_pool.values().map(|classes| {
                let best = classes.iter().max_by_key(|(size, at)| (at.len(), std::cmp::Reverse(**size)));
                best.unwrap().1.iter().copied().collect::<Vec<_>>()
            });
            prop_assert_eq!(shown, most.collect::<BTreeSet<_>>());
            let mut births = Births::default();
            births.go_to(&trace, step);
            let census = Census::as_recorded(&layout, &trace, &births);
            let bases: Vec<Addr> = census.regions.iter().map(|region| region.base).collect();
            let ground = Ground::Recorded(&recorded);
            prop_assert_eq!(ground.arenas().iter().map(|arena| arena.base).collect::<Vec<_>>(), bases);
            // The last operation's block is found, and so is who holds it.
            let last = step.checked_sub(1).and_then(|index| trace.address_of(index as usize));
            if let Some(addr) = last {
                prop_assert_eq!(recorded.last(), Some(addr));
                let birth = recorded.birth(addr).unwrap();
                prop_assert_eq!(trace.address_of(birth as usize), Some(addr));
            }
        }
    }

    /// No arrangement of fewer windows holds all pools: looked for by trying all.
    #[test]
    fn no_fewer_arenas_hold_the_pools_of_a_small_recording(trace in recording()) {
        let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
        let Some(layout) = Layout::of(&trace, &setup) else { return Ok(()) };
        let pools: BTreeSet<u64> =
            (0..trace.len()).filter_map(|index| trace.address_of(index as usize)).map(|a| a.0 & !0x3fff).collect();
        prop_assert_eq!(layout.arenas(), fewest(&pools.into_iter().collect::<Vec<_>>()));
    }
}

/// The fewest windows of an arena that hold pools: for all from each on, the best of all windows that hold that one.
fn fewest(pools: &[u64]) -> usize {
    let mut from = vec![0; pools.len() + 1];
    for at in (0..pools.len()).rev() {
        let rest = |lower: u64| {
            let end = pools[at] + (1 << 20) - (lower << 14);
            pools.iter().position(|pool| *pool >= end).map_or(0, |next| from[next])
        };
        from[at] = 1 + (0..64).map(rest).min().unwrap_or(0);
    }
    from[0]
}

/// An engine with a capture, and what it shows.
struct Front {
    engine: Engine,
    shown: Shown,
    look: Look,
}

impl Front {
    fn new() -> Self {
        let mut front = Self { engine: Engine::new(None), shown: Shown::default(), look: Look::default() };
        front.look =
            Look { map: Some(MapLook::default()), arenas: Some(0..64), inspector: true, ..Look::default() };
        let bytes = include_bytes!("../../trace-io/tests/data/memray13.bin");
        front.engine.open(Opened::bytes("memray13.bin", bytes));
        front.show(None);
        front
    }

    fn show(&mut self, placed: Option<Placed>) {
        self.look.placed = placed;
        self.engine.look(self.look.clone());
        self.settle();
    }

    fn order(&mut self, order: Order) {
        self.engine.order(order);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            self.engine.work(0.0, Duration::from_millis(5));
            if let Some(update) = self.engine.update(true) {
                self.shown.take(update);
            }
            if !self.engine.busy() {
                break;
            }
        }
    }

    fn picture(&self) -> &Picture {
        self.shown.picture.as_ref().unwrap()
    }
}

#[test]
fn the_map_the_table_and_the_inspector_change_to_the_recorded_heap_and_back() {
    let mut front = Front::new();
    assert!(front.shown.head.as_ref().unwrap().recorded);
    front.order(Order::Seek(front.engine.session().unwrap().len() / 2));
    let before = front.picture().clone();
    assert_eq!(before.placed, Placed::Model);
    assert!(matches!(before.arena_table.as_ref().unwrap().known, ArenasKnown::Model { .. }));
    front.show(Some(Placed::Recorded));
    // Each step's block is where it was recorded, at all three levels.
    let trace = front.engine.session().unwrap().trace().clone();
    let start = trace.len() / 2;
    let mut met = 0;
    for step in (start..start + 40).chain((start..start + 40).rev()) {
        front.order(Order::Seek(step));
        let picture = front.picture();
        assert_eq!((picture.placed, picture.step), (Placed::Recorded, step));
        let Some(Place::Block(block)) = picture.focus else { continue };
        if let Some(recorded) = trace.address_of(step as usize - 1).filter(|_| picture.last.is_some()) {
            assert_eq!(block, recorded, "step {step}");
            met += 1;
        }
        let Some(MapPicture::Heap { total, tiles, focus, .. }) = &picture.map else {
            panic!("{:?}", picture.map)
        };
        assert_eq!((u64::from(*total), tiles.len() as u64), (picture.arenas, picture.arenas));
        if let Some(tile) = focus.and_then(|at| tiles.get(at as usize)) {
            assert!(tile.holds(&trace_profile(&front), block));
        }
    }
    assert!(met > 20, "{met}");
    let table = front.picture().arena_table.clone().unwrap();
    let ArenasKnown::Recorded { ever, rows, .. } = &table.known else { panic!("{:?}", table.known) };
    assert!(*ever >= u64::from(table.total) && rows.len() == table.rows.len(), "{table:?}");
    assert!(!rows.is_empty(), "{table:?}, {:?}", front.picture().map);
    assert!(table.rows.iter().all(|row| row.live_bytes > 0 && row.before.is_none()));
    // A block, and who holds it.
    front.order(Order::Seek(start));
    let block = front.picture().focus.unwrap();
    front.order(Order::Enter(block));
    assert_eq!(front.picture().selection.level, Level::Pool);
    let Some(MapPicture::Pool { states, header, free, pool }) = &front.picture().map else {
        panic!("no pool")
    };
    assert!(header.is_none() && free.blocks.is_empty() && pool.used > 0);
    assert!(states.iter().all(|state| matches!(state, BlockState::Live | BlockState::Unknown)));
    let Sheet::Recorded(sheet) = &front.picture().inspector.as_ref().unwrap().sheet else {
        panic!("no sheet")
    };
    let (facts, holder) = sheet.block.as_ref().unwrap();
    assert_eq!(Place::Block(facts.addr), block);
    assert!(matches!(holder, Some(Holder::Operation { step, .. }) if *step <= start), "{holder:?}");
    // Searches go by the model's places and say so.
    front.order(Order::Touch(session::order::Direction::Ahead));
    let notice = front.shown.status.travel.as_ref().unwrap().notice.clone().unwrap();
    assert!(notice.contains("the model's"), "{notice}");
    // Back on the model nothing of it is left.
    front.order(Order::Level(Level::Heap));
    front.order(Order::Follow(true));
    front.order(Order::Clear);
    front.show(None);
    assert_eq!(front.picture().placed, Placed::Model);
    assert_eq!((&front.picture().map, front.picture().focus), (&before.map, before.focus));
}

fn trace_profile(front: &Front) -> sim_core::Profile {
    front.engine.session().unwrap().profile().clone()
}

#[test]
fn what_has_no_addresses_has_no_recorded_heap() {
    let mut front = Front::new();
    front.engine.open(Opened::bytes("t.ptrace", b"m o 1 48\nm o 2 48\n"));
    front.show(Some(Placed::Recorded));
    assert!(!front.shown.head.as_ref().unwrap().recorded);
    assert_eq!(front.picture().placed, Placed::Model);
}
