//! A trace that is nothing but the picture of a process, in the window.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use egui::{Key, Modifiers, Theme};
use sim_core::picture::{
    Cause, Finding, Inventory, PartRow, PictureSource, PoolMemory, ProcessPicture, TypeRow,
};
use sim_core::{Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};
use support::window::{Window, packed};

/// A process with a leak in C, whose arenas have objects of two types.
fn picture() -> Trace {
    let mut tape = TraceBuilder::new("t");
    for id in 1..=20_000 {
        let call = Call::Malloc { id, size: if id < 12_000 { 64 } else { 200 } };
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    let trace = tape.finish();
    let mut machine = Machine::simulated(&Profile::default(), trace.slot_count()).unwrap();
    machine.run(&trace, 0, trace.len() as usize);
    let heap = machine.heap_picture().unwrap();
    let part = |name: &str, bytes| PartRow { name: name.to_owned(), bytes };
    let of = |name: &str| TypeRow { name: name.to_owned(), ..TypeRow::default() };
    let mut inventory = Inventory {
        source: PictureSource { python: "3.11".to_owned(), pid: 4711, ..PictureSource::default() },
        parts: vec![part("objects in arenas", 4 << 20), part("buffers in C library's heaps", 48 << 20)],
        findings: vec![Finding { cause: Cause::LostInC, bytes: 47 << 20 }],
        types: vec![of("app.Session"), of("\u{1b}]0;x\u{7}<script>")],
        pool_memory: vec![PoolMemory { resident_bytes: 16384, private_bytes: 0 }; heap.pools.len()],
        ..Inventory::default()
    };
    inventory.blocks.types =
        heap.blocks_in_use(&Profile::default()).map(|(_, size)| if size == 64 { 1 } else { 2 }).collect();
    let mut tape = TraceBuilder::new("process 4711");
    tape.begin_with(Arc::new(ProcessPicture { heaps: vec![heap], inventory })).unwrap();
    tape.finish()
}

fn window(theme: Theme) -> Window {
    Window::new("process.atrace", &packed(&picture()), (1400.0, 1000.0), theme)
}

fn says(window: &Window, beginning: &str) -> bool {
    window.labels().iter().any(|label| label.starts_with(beginning))
}

#[test]
fn what_the_memory_comes_to_stands_above_its_parts_and_leads_to_the_findings() {
    let mut window = window(Theme::Dark);
    assert!(says(&window, "Process 4711, Python 3.11"), "{:#?}", window.labels());
    assert!(says(&window, "47 MiB (90.4 %):") && says(&window, "blocks that nothing refers to"));
    assert!(says(&window, "buffers in C library's heaps: 48 MiB, 92.3 %"), "{:#?}", window.labels());
    window.click("What speaks for it, and what to try next");
    assert!(says(&window, "not pymalloc") && says(&window, "Of a process at one moment."));
    assert!(says(&window, "look for the extension that allocates"), "{:#?}", window.labels());
}

#[test]
fn the_map_is_colored_by_what_the_picture_says() {
    let mut window = window(Theme::Light);
    let choose = |window: &mut Window, what: &str| window.choose("What the map\u{2019}s colors say", what);
    choose(&mut window, "type");
    let labels = window.labels();
    // In the legend, and in the table of types.
    assert_eq!(labels.iter().filter(|label| *label == "app.Session").count(), 2, "{labels:#?}");
    // A hostile name is written, not done.
    assert!(labels.iter().all(|label| !label.contains('\u{1b}') && !label.contains('\u{7}')), "{labels:#?}");
    choose(&mut window, "in memory");
    assert!(says(&window, "other processes have it too") && !says(&window, "this process\u{2019}s alone"));
    choose(&mut window, "owner");
    assert!(!says(&window, "other processes have it too"), "nobody is known to own anything");
    choose(&mut window, "size class");
    assert!(says(&window, "31 (512 bytes)"), "{:#?}", window.labels());
}

#[test]
fn a_type_leads_to_its_holders_and_marks() {
    let mut window = window(Theme::Dark);
    window.key(Modifiers::NONE, Key::X);
    window.press("app.Session");
    assert!(says(&window, "Marked: 11,999 blocks"), "{:#?}", window.labels());
}
