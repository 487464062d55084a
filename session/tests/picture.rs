//! Questions about a trace that is nothing but the picture of a process.

#![allow(clippy::unwrap_used, reason = "a panic is a failure here")]

use std::sync::Arc;
use std::time::Duration;

use session::diagnosis::inquiry::Inquiry;
use session::diagnosis::key::{Known, NOT_KNOWN, SINCE};
use session::diagnosis::survey::Surveyor;
use session::diagnosis::verdict::{View, Word};
use session::diagnosis::{Choice, Key, Placed, Rule, Verdict, verdict};
use session::setup::{Overrides, Setup};
use session::view::inspect::{Holder, Sheet};
use session::view::{Head, Look, Picture};
use session::{Engine, Opened, Order, Place};
use sim_core::picture::{Cause, Finding, HeapPicture, Inventory, PartRow, ProcessPicture, TypeRow};
use sim_core::{Addr, Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};
use trace_io::atrace::FileProfile;

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

/// What is said of a picture in which this was found.
fn judged(findings: &[Finding]) -> Verdict {
    let picture = ProcessPicture::clone(trace().origin.picture.as_ref().unwrap());
    let part = |name: &str, bytes| PartRow { name: name.to_owned(), bytes };
    let inventory = Inventory {
        findings: findings.to_vec(),
        parts: vec![part("objects in arenas", 20_000_000), part("free in C library's heaps", 80_000_000)],
        ..picture.inventory
    };
    let mut tape = TraceBuilder::new("p");
    tape.begin_with(Arc::new(ProcessPicture { heaps: picture.heaps, inventory })).unwrap();
    let trace = Arc::new(tape.finish());
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let mut surveyor = Surveyor::new(trace, setup).unwrap();
    while !surveyor.advance() {}
    let found = surveyor.finish();
    verdict::of_run(&found.survey, &found.doubts)
}

#[test]
fn the_verdict_of_a_picture_is_of_all_the_memory_not_of_the_arenas_alone() {
    let of = |cause| Finding { cause, bytes: 60_000_000 };
    for (cause, word) in [
        (Cause::CLibraryFree, Word::NotPymalloc),
        (Cause::LostInC, Word::NotPymalloc),
        (Cause::Buffers, Word::NotPymalloc),
        (Cause::Native, Word::NotPymalloc),
        (Cause::Pinned, Word::Pinned),
        (Cause::Spread, Word::HighWater),
        (Cause::MimallocFree, Word::HighWater),
        (Cause::Objects, Word::Healthy),
    ] {
        let verdict = judged(&[of(cause), of(Cause::Buffers)]);
        assert_eq!(verdict.word, word, "{cause:?}");
        if cause != Cause::Pinned {
            assert!(verdict.says.text.starts_with("57.2 MiB (60 %): "), "{}", verdict.says.text);
        }
        let evidence: Vec<&str> = verdict.evidence.iter().map(|row| row.said.text.as_str()).collect();
        assert!(evidence.iter().any(|text| text.contains("large objects and buffers")), "{evidence:?}");
        assert!(
            evidence.iter().any(|text| text.starts_with("95.4 MiB in memory, most of it 76.3 MiB free in C")),
            "{evidence:?}"
        );
        assert!(verdict.doubts.iter().any(|doubt| doubt.contains("a moment")));
    }
    let none = judged(&[]);
    assert!(none.evidence.iter().all(|row| row.view != View::Process), "nothing was found in it");
}

/// An engine with a trace open that went through a file.
fn engine(trace: &Trace) -> Engine {
    let mut bytes = Vec::new();
    let mut writer = trace_io::atrace_writer(&mut bytes, FileProfile::Capture);
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    let mut engine = Engine::new(None);
    engine.open(Opened::bytes("p.atrace", bytes));
    engine
}

/// What is told once all is done.
fn told(engine: &mut Engine, head: &mut Option<Head>) -> Picture {
    engine.work(0.0, Duration::from_millis(20));
    while engine.busy() {
        engine.work(0.2, Duration::from_millis(20));
    }
    let update = engine.update(true).unwrap();
    *head = update.head.map(|head| *head).or(head.take());
    *update.picture.unwrap()
}

#[test]
fn the_inspector_tells_each_block_of_the_picture_as_what_it_is() {
    let mut trace = trace();
    let mut picture = ProcessPicture::clone(trace.origin.picture.as_ref().unwrap());
    let places: Vec<Addr> =
        picture.main().unwrap().blocks_in_use(&Profile::default()).map(|(addr, _)| addr).collect();
    picture.inventory.edges = vec![(1, 2), (5, 2), (3, 2), (2, 1)];
    trace.origin.picture = Some(Arc::new(picture));
    let mut engine = engine(&trace);
    engine.look(Look { inspector: true, ..Look::default() });
    let mut head = None;
    told(&mut engine, &mut head);
    let process = head.as_ref().and_then(|head| head.process.clone()).unwrap();
    let objects: u64 = process.types.iter().map(|of| of.blocks).sum();
    // Every third is of no type, the first one among them.
    assert_eq!(objects, places.len() as u64 - (places.len() as u64).div_ceil(3));
    let last = places.len() - 1;
    for at in [0, 1, 2, 3, 1000, last] {
        engine.order(Order::Pin(Place::Block(places[at])));
        let picture = told(&mut engine, &mut head);
        let Some(Sheet::Place(sheet)) = picture.inspector.map(|inspected| inspected.sheet) else {
            panic!("a place")
        };
        let Some(Holder::Before(object)) = sheet.block.and_then(|block| block.holder) else {
            panic!("block {at} was there before")
        };
        let name = [None, Some("builtins.dict"), Some("app.Session")][at % 3];
        assert_eq!(object.of_type.as_deref(), name, "block {at}");
        assert!(object.way.is_some_and(|way| way.starts_with("app")));
        let referrers = object.referrers.unwrap();
        assert_eq!(referrers.blocks, [0, 1, 3].get(at).copied().unwrap_or_default(), "block {at}");
        if at == 2 {
            let types: Vec<u64> = referrers.types.iter().map(|(_, count)| *count).collect();
            assert_eq!(types, [1, 1, 1], "a dict, a session and a buffer");
        }
    }
}
