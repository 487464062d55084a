//! Traces that the real mimalloc answered: every placement, and the state of every block's page.
//!
//! `tests/data/mimalloc` has the small ones. The others lie beside the checkout in `../shared/mimalloc`; where
//! they are missing this says so, and fails when the environment variable `CI` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ruzstd::decoding::StreamingDecoder;
use sim_core::domains::AllocatorName;
use sim_core::report::PlacementWriter;
use sim_core::{Machine, Profile};

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
    let trace = trace_io::open(&name, Box::new(File::open(trace_path).unwrap())).expect("a trace opens");
    let mut profile = Profile::named(preset).unwrap();
    for (key, value) in sets {
        profile.set(key, value).unwrap();
    }
    let mut machine = Machine::for_trace(&profile, &trace, malloc).unwrap();
    let mut writer = PlacementWriter::default();
    writer.page_state = page_state;
    let golden = text(golden_path);
    let mut expected = golden.lines();
    let mut line = String::new();
    let every = (trace.len() / 8).max(1);
    for index in 0..trace.len() {
        line.clear();
        writer.step(&mut machine, &trace, index as usize, &mut line);
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

/// All traces of a folder with all their variants, plain and with page states.
fn check_folder(folder: &Path) -> (u64, u64) {
    let (mut files, mut operations) = (0, 0);
    let mut traces: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(".trace.zst"))
        .collect();
    traces.sort();
    for trace in traces {
        let stem = trace.to_string_lossy().strip_suffix(".trace.zst").unwrap().to_owned();
        for variant in &VARIANTS {
            for (ending, page_state) in [("", false), (".deep", true)] {
                let golden = PathBuf::from(format!("{stem}.{}{ending}.zst", variant.0));
                if golden.exists() {
                    operations += check(&trace, &golden, variant, page_state);
                    files += 1;
                }
            }
        }
    }
    (files, operations)
}

#[test]
fn small_goldens_are_met() {
    let (files, operations) =
        check_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mimalloc"));
    assert!(files >= 60 && operations > 10_000, "{files} goldens with {operations} operations");
}

#[test]
fn all_goldens_are_met() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/mimalloc");
    if !folder.exists() {
        let message =
            "the golden traces in ../shared/mimalloc are missing, only tests/data/mimalloc was compared";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("NOT RUN: {message}");
        return;
    }
    let (files, operations) = check_folder(&folder);
    eprintln!("{files} goldens met, {operations} operations compared");
    assert!(files >= 200, "only {files} goldens in {}", folder.display());
}
