//! Questions about a trace that is nothing but the picture of a process.

#![allow(clippy::unwrap_used, reason = "a panic is a failure here")]

use std::sync::Arc;

use session::diagnosis::inquiry::Inquiry;
use session::diagnosis::key::{Known, NOT_KNOWN, SINCE};
use session::diagnosis::{Choice, Key, Placed, Rule};
use session::setup::{Overrides, Setup};
use sim_core::picture::{HeapPicture, ProcessPicture, TypeRow};
use sim_core::{Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};

/// A heap with holes: of 60,000 blocks of many sizes one in seven is left, and more in the first arenas.
fn heap() -> HeapPicture {
    let mut tape = TraceBuilder::new("t");
    let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    for id in 1..=60_000_u64 {
        push(Call::Malloc { id, size: 16 + id * 7 % 480 });
    }
    for id in (1..=60_000).filter(|id| id % 7 != 0 || *id > 50_000 && id % 21 != 0) {
        push(Call::Free { id });
    }
    let trace = tape.finish();
    let mut machine = Machine::simulated(&Profile::default(), trace.slot_count()).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut ());
    }
    machine.heap_picture().unwrap()
}

/// Blocks of the last arena are of one way, all others of another; every third block is of no type.
fn trace() -> Trace {
    let profile = Profile::default();
    let heap = heap();
    let places: Vec<u64> = heap.blocks_in_use(&profile).map(|(addr, _)| addr.0).collect();
    let last = heap.arenas.iter().map(|arena| arena.base.0).max().unwrap();
    let mut picture = ProcessPicture { heaps: vec![heap], ..ProcessPicture::default() };
    let inventory = &mut picture.inventory;
    let of = |name: &str| TypeRow { name: name.to_owned(), ..TypeRow::default() };
    inventory.types = vec![of("builtins.dict"), of("app.Session")];
    inventory.paths = vec!["app.CACHE[*]".to_owned(), "app".to_owned()];
    inventory.blocks.types = (0..places.len() as u32).map(|block| block % 3).collect();
    let is_last = |addr: &u64| (last..last + profile.arena_size).contains(addr);
    inventory.blocks.paths = places.iter().map(|addr| if is_last(addr) { 1 } else { 2 }).collect();
    let mut tape = TraceBuilder::new("p");
    tape.begin_with(Arc::new(picture)).unwrap();
    tape.finish()
}

#[test]
fn blocks_of_a_picture_are_held_by_type_and_way_and_can_be_freed() {
    let trace = Arc::new(trace());
    let blocks = trace.origin.picture.as_ref().unwrap().main_blocks();
    assert_eq!(Known::of(&trace), Known { stacks: false, picture: true });
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let machine = setup.machine(&trace).unwrap();
    machine.verify().unwrap();
    let mut inquiry = Inquiry::new(Arc::clone(&trace), setup);
    let census = inquiry.census(&machine, 0, Placed::Model);
    assert_eq!((census.len() as u64, census.unborn.len()), (blocks, 0));
    let by_type = inquiry.holders(&census, Key::Type, Rule::Sole);
    let of = |name: &str| by_type.groups.iter().find(|group| group.label.key == name).unwrap().blocks;
    assert_eq!(of("builtins.dict") + of("app.Session") + of(NOT_KNOWN), blocks);
    assert_eq!(of("app.Session"), blocks / 3);
    let chosen = inquiry.chosen(&census, &["path=app.CACHE[*]".parse::<Choice>().unwrap()]).unwrap();
    let forecast = inquiry.forecast(&machine, &census, &chosen);
    assert!(forecast.exact && forecast.blocks > 0);
    let kept = forecast.kept_empty.len();
    assert_eq!(forecast.arenas.len() + kept, 1, "the last arena goes, or is kept as the last with room");
}

#[test]
fn what_comes_after_a_picture_is_told_apart() {
    let picture = Arc::clone(trace().origin.picture.as_ref().unwrap());
    let blocks = picture.main_blocks();
    let mut tape = TraceBuilder::new("p");
    tape.begin_with(picture).unwrap();
    let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    // A block of the picture is freed, two new ones come.
    push(Call::Free { id: 1 });
    push(Call::Malloc { id: blocks + 1, size: 100 });
    push(Call::Malloc { id: blocks + 2, size: 100 });
    let trace = Arc::new(tape.finish());
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let mut machine = setup.machine(&trace).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut ());
    }
    machine.verify().unwrap();
    let mut inquiry = Inquiry::new(Arc::clone(&trace), setup);
    let census = inquiry.census(&machine, trace.len(), Placed::Model);
    let by_type = inquiry.holders(&census, Key::Type, Rule::Sole);
    let since = by_type.groups.iter().find(|group| group.label.key == SINCE).unwrap();
    assert_eq!(since.blocks, 2);
    assert_eq!(by_type.groups.iter().map(|group| group.blocks).sum::<u64>(), blocks + 1);
    let by_kind = inquiry.holders(&census, Key::Kind, Rule::Sole);
    assert_eq!(by_kind.groups.len(), 2, "malloc, and from before");
}
