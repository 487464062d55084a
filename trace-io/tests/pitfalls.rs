//! The pitfalls of CPython's allocator, played: each scenario in `traces/pitfalls` does what its notes say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::domains::{AllocatorName, ArenaAllocator, ForeignFree, Functions};
use sim_core::event::{Event, MiEvent};
use sim_core::machine::{Fatal, LibcAbort};
use sim_core::report::debugmallocstats;
use sim_core::tracemalloc::{self, KeyType};
use sim_core::{Domain, Machine, Profile, SizeClass, Trace};

/// A scenario after some operation.
struct Played {
    trace: Trace,
    machine: Machine,
    done: u64,
    events: Vec<Event>,
    /// Where each operation's pointer lay: bytes from the first arena, or -1 for the C library, -2 for none.
    places: Vec<i64>,
}

const RAW: i64 = -1;

fn play(name: &str) -> Played {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/pitfalls");
    let path = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}-")))
        .expect("the scenario is there");
    let file_name = path.file_name().unwrap().to_string_lossy().into_owned();
    let trace = trace_io::open(&file_name, Box::new(File::open(&path).unwrap())).unwrap();
    assert!(
        !trace.head.notes.is_empty() && !trace.head.description.is_empty(),
        "{file_name} narrates itself"
    );
    let mut profile =
        trace.head.profile.as_deref().map_or_else(Profile::default, |n| Profile::named(n).unwrap());
    for (key, value) in &trace.head.settings {
        profile.set(key, value).unwrap();
    }
    let machine = Machine::for_trace(&profile, &trace, None).unwrap();
    Played { trace, machine, done: 0, events: Vec::new(), places: Vec::new() }
}

impl Played {
    /// Goes on until `step` operations are done.
    fn to(&mut self, step: u64) -> &mut Self {
        while self.done < step.min(self.trace.len()) {
            self.events.clear();
            let pointer = self.machine.step(&self.trace, self.done as usize, &mut self.events);
            self.done += 1;
            let memory = self.machine.pymalloc().memory();
            self.places.push(match SimArenas::target(pointer) {
                Target::Block(b) => (memory.block_addr(b).0 - 0x7e00_0000_0000).cast_signed(),
                Target::Raw(_) => RAW,
                Target::Null => -2,
            });
        }
        self
    }

    fn end(&mut self) -> &mut Self {
        self.to(u64::MAX)
    }

    fn stats(&self) -> String {
        debugmallocstats(self.machine.pymalloc())
    }

    fn usable(&self) -> Vec<u64> {
        let pymalloc = self.machine.pymalloc();
        pymalloc.usable_arenas().map(|a| pymalloc.arena_id(a).ordinal).collect()
    }

    fn requests(&self) -> Vec<u64> {
        let calls = self.events.iter().filter_map(|e| match e {
            Event::TableCalled { nbytes, .. } => Some(*nbytes),
            _ => None,
        });
        calls.collect()
    }

    fn traced(&self) -> (u64, u64) {
        self.machine.layers().map(|l| l.tracemalloc().get_traced_memory()).unwrap_or_default()
    }

    fn statistics(&self, key: KeyType, cumulative: bool) -> Vec<String> {
        let engine = self.machine.layers().unwrap().tracemalloc();
        let snapshot = tracemalloc::take_snapshot(engine).unwrap();
        snapshot.statistics(key, cumulative).unwrap().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn placement() {
    assert_eq!(play("01").end().places, [0x30]);
    let mut p = play("01");
    assert!(p.end().stats().contains("1 arenas * 1048576 bytes/arena"));

    assert_eq!(play("02").end().places, [0x30, RAW, RAW]);

    let mut p = play("03");
    p.to(30);
    assert!(p.machine.pymalloc().used_front(SizeClass(31)).is_some());
    p.to(31);
    assert!(p.machine.pymalloc().used_front(SizeClass(31)).is_none());
    assert!(p.events.iter().any(|e| matches!(e, Event::PoolFull { .. })));

    assert_eq!(play("04").end().places[6..], [0x50, -2, 0x30]);
    assert_eq!(*play("05").end().places.last().unwrap(), 0x4000 + 0x30 + 9 * 512);

    let mut p = play("06");
    assert!(p.end().stats().contains("64 unused pools") && !p.stats().contains("    1     32 "));
}

#[test]
fn arenas() {
    let mut p = play("07");
    p.to(372 + 62 + 31);
    assert_eq!(p.usable(), [1, 0]);
    p.to(372 + 62 + 31 + 62);
    assert_eq!(p.usable(), [1, 2, 0]);
    let places = p.end().places.clone();
    assert_eq!(places[places.len() - 2..].iter().map(|p| p / 0x1_0000).collect::<Vec<_>>(), [1, 2]);

    let mut p = play("08");
    p.to(248 + 124);
    assert_eq!(p.usable(), [0]);
    assert!(p.events.iter().any(|e| matches!(e, Event::ArenaKept { .. })));
    p.end();
    assert_eq!(p.usable(), [0]);
    assert!(p.events.iter().any(|e| matches!(e, Event::ArenaReleased { arena, .. } if arena.ordinal == 1)));

    let mut p = play("09");
    p.end();
    assert!(
        p.events.iter().any(
            |e| matches!(e, Event::ArenaObtained { arena, .. } if arena.ordinal == 3 && arena.index == 1)
        )
    );

    let mut p = play("29");
    p.end();
    let marked: BTreeMap<_, _> = p.machine.pymalloc().arena_map().marked().collect();
    assert_eq!(marked.values().map(|c| (c.tail_hi, c.tail_lo)).collect::<Vec<_>>(), [(4096, 0), (0, 4096)]);
    let mut p = play("01");
    p.end();
    assert_eq!(p.machine.pymalloc().arena_map().marked().next().unwrap().1.tail_hi, -1);
}

#[test]
fn realloc_and_raw() {
    assert_eq!(play("10").end().places, [0x30, 0x30, 0x50]);
    assert_eq!(play("11").end().places, [RAW, RAW, 0x30, RAW]);
    let mut p = play("11");
    assert_eq!(p.end().machine.pymalloc().raw_allocated_blocks, 2);

    let mut p = play("12");
    assert_eq!(p.to(1).machine.pymalloc().raw_allocated_blocks, 0);
    assert_eq!(p.to(2).machine.pymalloc().raw_allocated_blocks, 1);
    p.end();
    assert_eq!((p.places.last(), p.machine.pymalloc().raw_allocated_blocks), (Some(&RAW), 2));
    assert!(p.events.contains(&Event::ArenaRefused));
}

#[test]
fn debug_hooks() {
    let mut p = play("13");
    assert_eq!(p.end().requests(), [600, 624, 624, 648]);
    assert_eq!(play("14").end().places, [0x40, RAW, 0x4040]);

    let mut p = play("15");
    p.end();
    let layers = p.machine.layers().unwrap();
    let block = p.machine.address(sim_core::Slot(0)).unwrap();
    let bytes = layers.bytes().read(layers.layout().inner(block), 29).unwrap();
    assert_eq!(bytes[..9], [0, 0, 0, 0, 0, 0, 0, 5, b'o']);
    assert_eq!(
        (&bytes[9..16], &bytes[16..21], &bytes[21..]),
        (&[0xfd; 7][..], &[0xcd; 5][..], &[0xfd; 8][..])
    );

    let mut p = play("16");
    p.to(2);
    assert_eq!(p.machine.stopped(), None);
    let Some(Fatal::Segfault { printed, .. }) = p.end().machine.stopped() else { panic!("it must crash") };
    assert!(printed.contains("API '\u{dd}'"), "{printed}");

    let mut p = play("17");
    p.to(3);
    assert_eq!(p.machine.stopped(), None);
    assert_eq!(p.end().machine.stopped(), Some(&Fatal::StackOverflow));

    let mut p = play("30");
    let last = p.trace.len();
    p.to(last - 1);
    assert_eq!(p.places.last(), Some(&-2), "realloc gave NULL");
    let layers = p.machine.layers().unwrap();
    let block = p.machine.address(p.trace.packed(last as usize - 1).slot).unwrap();
    assert_eq!(layers.bytes().read(block, 6).unwrap(), b"hello\xcd");
    assert_eq!(p.traced().0, 400, "the trace is kept");
    assert_eq!(p.end().machine.stopped(), None, "the pads are whole");
}

#[test]
fn tables_and_traces() {
    let name = |p: &Played| p.machine.layers().unwrap().allocators().current_name();
    let mut p = play("18");
    p.to(1);
    assert_eq!(name(&p), Some("pymalloc"));
    p.end();
    assert_eq!(name(&p), None);

    let mut p = play("19");
    p.end();
    let traces = p.machine.layers().unwrap().tracemalloc().get_traces();
    assert_eq!(traces.iter().map(|t| (t.domain, t.size)).collect::<Vec<_>>(), [(0, 66_666), (389_047, 100)]);

    let mut p = play("20");
    p.to(3);
    assert_eq!(p.traced(), (150_000, 150_000));
    p.end();
    assert_eq!((p.traced(), p.machine.stopped()), ((0, 0), None));

    let mut p = play("21");
    p.end();
    assert_eq!(p.statistics(KeyType::Lineno, false)[0], "lib.py:7: size=1000 B, count=1, average=1000 B");
    assert!(p.statistics(KeyType::Traceback, false)[0].starts_with("main.py:1: "));

    let mut p = play("22");
    p.end();
    assert_eq!(p.statistics(KeyType::Lineno, true)[0], "walk.py:5: size=2000 B, count=2, average=1000 B");

    let mut p = play("23");
    p.to(4);
    let top = |p: &Played| p.machine.layers().unwrap().allocators().get(Domain::Obj).functions;
    assert_eq!(top(&p), Functions::User(0));
    assert_eq!(p.machine.layers().unwrap().tracemalloc().get_traceback_limit(), 1);
    p.end();
    assert_eq!(top(&p), Functions::Pymalloc);
    assert_eq!(p.machine.layers().unwrap().user()[0].calls, [1, 0, 0, 0]);

    let mut p = play("24");
    assert!(p.to(1).machine.pymalloc_enabled());
    assert!(!p.end().machine.pymalloc_enabled());
}

#[test]
fn the_process_and_its_interpreters() {
    let mut p = play("25");
    p.to(5);
    let hook = |p: &Played| p.machine.pymalloc().memory().hooks().unwrap().user()[0].clone();
    assert_eq!((hook(&p).calls, hook(&p).arena_calls), ([3, 1], [1, 0]));
    assert_eq!(p.machine.pymalloc().counters().ntimes_arena_allocated, 1);
    p.end();
    assert_eq!(hook(&p).calls, [3, 1], "the other hook was asked");
    let (made_by, freed_by) = (ArenaAllocator::User(0), ArenaAllocator::User(1));
    assert!(
        p.events
            .iter()
            .any(|e| matches!(e, Event::ArenaFreedByOther { made_by: m, freed_by: f, outcome, .. }
        if (*m, *f, *outcome) == (made_by, freed_by, Some(ForeignFree::Leaked))))
    );

    let mut p = play("26");
    let printed = |p: &Played| p.machine.layers().unwrap().malloc_stats().unwrap().clone();
    assert_eq!(printed(p.to(1)).printed, 0);
    assert!(printed(p.to(2)).text.contains("0 arenas * 1048576 bytes/arena"));
    assert_eq!(printed(p.to(1985)).printed, 1);
    p.to(1986);
    assert!(printed(&p).text.contains("1 arenas * 1048576 bytes/arena") && p.stats().contains("\n2 arenas"));
    assert!(printed(&p).text.contains("   31    512          64            1984             0"));
    p.end();
    assert!(p.stats().contains("\n3 arenas") && printed(&p).printed == 2, "tracemalloc hides them");

    let mut p = play("27");
    p.to(5);
    assert_eq!(p.places, [0x30, -2, -2, -2, 0x30 + 112]);
    p.to(7);
    assert_eq!(p.places[6], 0x10_0030, "an arena of its own");
    let live = |p: &Played| p.machine.pymalloc().counters().narenas_currently_allocated;
    assert_eq!(live(&p), 1);
    p.to(12);
    assert!(p.events.iter().any(|e| matches!(e, Event::ArenaReleased { .. })), "nothing was leaked");
    assert_eq!(p.machine.stopped(), None);
    assert_eq!(p.end().machine.stopped(), Some(&Fatal::Libc(LibcAbort::FreeInvalidPointer)));
}

#[test]
fn without_a_gil() {
    let mut p = play("28");
    p.to(5);
    let run = p.machine.mimalloc().unwrap();
    assert_eq!(p.machine.allocators().current_name(), Some("mimalloc"));
    assert_eq!(p.places[0], RAW, "RAW is the C library's");
    let pages: Vec<_> = p
        .machine
        .mimalloc_blocks()
        .map(|(_, block)| run.heap().page(block.page))
        .map(|page| (page.segment, page.tag, page.block_bytes))
        .collect();
    assert_eq!(pages, [(0, 0, 48), (0, 1, 48), (0, 2, 48), (0, 1, 5120)]);
    assert_eq!(p.machine.pymalloc().counters().ntimes_arena_allocated, 0);
    p.to(6);
    let mailed = |e: &Event| matches!(e, Event::Mimalloc(MiEvent::BlockDelayed { thread: 0, tag: 1, .. }));
    assert!(p.events.iter().any(mailed));
    p.end().machine.verify().unwrap();

    let trace = &p.trace;
    let start = |profile: &str, name| Machine::for_trace(&Profile::named(profile).unwrap(), trace, name);
    let mut newer = start("cpython-3.15t", None).unwrap();
    newer.step(trace, 0, &mut ());
    assert!(newer.mimalloc().unwrap().returned_place().is_some(), "RAW is mimalloc's from 3.15 on");
    for name in [AllocatorName::Pymalloc, AllocatorName::MallocDebug] {
        let error = start("cpython-3.14t", Some(name)).unwrap_err().to_string();
        assert!(
            error
                .starts_with("Fatal Python error: preconfig_init_allocator: PYTHONMALLOC: unknown allocator")
        );
    }
}
