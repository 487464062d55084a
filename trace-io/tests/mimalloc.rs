//! Traces that the real mimalloc answered: every placement, and the state of every block's page.
//!
//! `tests/data/mimalloc` has the small ones. The others lie beside the repository in `../shared/mimalloc`; where
//! they are missing this says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;
use sim_core::domains::AllocatorName;
use sim_core::report::{ArenaEvents, PlacementWriter};
use sim_core::{Machine, Profile};

#[path = "support/outside.rs"]
mod outside;

/// A variant's name, profile, settings and `PYTHONMALLOC`.
type Variant = (&'static str, &'static str, &'static [(&'static str, &'static str)], Option<AllocatorName>);

const VARIANTS: [Variant; 6] = [
    ("m212-gil", "cpython-3.13", &[], Some(AllocatorName::Mimalloc)),
    ("m212-ft", "cpython-3.13t", &[("qsbr", "off")], None),
    ("m252-gil", "cpython-3.14", &[], Some(AllocatorName::Mimalloc)),
    ("m252-ft", "cpython-3.14t", &[("qsbr", "off")], None),
    ("cpy3144t", "cpython-3.14.4t", &[], None),
    ("emu252t", "cpython-3.14t", &[("mimalloc_arenas", "2"), ("qsbr_slots", "fresh")], None),
];

fn text(path: &Path) -> String {
    let mut out = String::new();
    let file = File::open(path).expect("a golden opens");
    StreamingDecoder::new(file)
        .expect("a golden is zstd")
        .read_to_string(&mut out)
        .expect("a golden is text");
    out
}

/// The goal is a sequence number of the process that ran: only whether there is one can be compared.
fn goal_or_none(line: &str) -> String {
    match line.split_once(" goal=") {
        Some((head, "0")) => format!("{head} goal=0"),
        Some((head, _)) => format!("{head} goal=n"),
        None => line.to_owned(),
    }
}

/// Replays a trace and compares with a golden; returns the operations compared.
fn check(trace_path: &Path, golden_path: &Path, variant: &Variant, page_state: bool) -> u64 {
    let (_, preset, sets, malloc) = *variant;
    let name = trace_path.file_name().unwrap().to_string_lossy().replace(".trace.zst", ".ptrace.zst");
    let file = File::open(trace_path);
    let file = file.unwrap_or_else(|e| panic!("{}: its trace {name}: {e}", golden_path.display()));
    let trace = trace_io::open(&name, Box::new(file)).expect("a trace opens");
    let mut profile = Profile::named(preset).unwrap();
    for (key, value) in sets {
        profile.set(key, value).unwrap();
    }
    let mut machine = Machine::for_trace(&profile, &trace, malloc).unwrap();
    let writer = PlacementWriter { page_state };
    let mut events = ArenaEvents::default();
    let golden = text(golden_path);
    let mut expected = golden.lines();
    let mut line = String::new();
    let every = (trace.len() / 8).max(1);
    for index in 0..trace.len() {
        line.clear();
        events.clear();
        let pointer = machine.step(&trace, index as usize, &mut events);
        writer.after(&machine, &trace, index as usize, pointer, events.as_slice(), &mut line);
        let ours = goal_or_none(line.trim_end()).replace("null", "NULL");
        let theirs = goal_or_none(expected.next().unwrap_or("the golden ends"));
        let operation =
            || format!("{}: operation {} {:?}", golden_path.display(), index + 1, trace.op(index));
        assert_eq!(ours, theirs, "{}", operation());
        if index % every == 0 {
            machine.verify().unwrap_or_else(|e| panic!("{e}; {}", operation()));
        }
    }
    assert_eq!(expected.next(), None, "{}: the golden goes on", golden_path.display());
    machine.verify().unwrap_or_else(|e| panic!("{}: {e}", golden_path.display()));
    assert_eq!(machine.stopped(), None);
    trace.len()
}

/// All goldens of a folder, each with its trace: how many, and the operations compared.
fn check_folder(folder: &Path) -> (usize, u64) {
    let mut goldens = outside::files(folder, ".zst").unwrap();
    goldens.retain(|path| !path.to_string_lossy().ends_with(".trace.zst"));
    let mut operations = 0;
    for golden in &goldens {
        // NAME.VARIANT.zst, or NAME.VARIANT.deep.zst with page states.
        let name = golden.file_name().unwrap().to_string_lossy().into_owned();
        let mut parts = name.split('.');
        let (stem, variant) = (parts.next().unwrap(), parts.next().unwrap());
        let variant = VARIANTS.iter().find(|known| known.0 == variant);
        let variant = variant.unwrap_or_else(|| panic!("{}: no such variant is known", golden.display()));
        let page_state = parts.next() == Some("deep");
        operations += check(&folder.join(format!("{stem}.trace.zst")), golden, variant, page_state);
    }
    (goldens.len(), operations)
}

#[test]
fn small_goldens_are_met() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mimalloc");
    assert_eq!(check_folder(&folder), (96, 68_328), "goldens in the repository and their operations");
}

#[test]
fn all_goldens_are_met() {
    let folder = match outside::shared("mimalloc") {
        Ok(folder) => folder,
        Err(why) => return outside::not_run("all golden traces of mimalloc", why),
    };
    let (goldens, operations) = check_folder(&folder);
    let met = format!("{goldens} goldens met, {} operations", outside::grouped(operations));
    outside::compared("golden traces of mimalloc", &met);
    let found = format!("{goldens} goldens with {operations} operations in {}", folder.display());
    assert!(goldens >= 238 && operations >= 4_055_980, "{found}; there were 238 with 4,055,980");
}
