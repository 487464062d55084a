//! Stored `.atrace` files, one for each packing and minor version: what an older program wrote stays readable, and what a
//! newer one will write is refused by its version.
//!
//! What came without another version, because older readers pass over it, has files of its own.
//!
//! A minor version that is added brings its files: `writer_in_blocks` with blocks of 32 operations, from the two sources.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/picture.rs"]
mod made;
mod support;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use sim_core::{Profile, Trace};
use support::check_same;
use trace_io::atrace::{AtraceFile, BlockKind, FileProfile};

/// The minor versions that are read, and the packings that each of them writes.
const VERSIONS: [(u8, &[&str]); 2] = [(0, &["capture", "archive"]), (1, &["capture", "archive", "tight"])];

/// What the files were made from: actions of scenarios, settings and notes; stacks, addresses, times and threads.
const SOURCES: [&str; 2] = ["scenario.ron.zst", "recorded.csv.zst"];

/// Files that begin with the picture of a process, which came with another version. [`made::begun`] makes what is in them.
const PICTURES: [(u8, &str); 2] = [(2, "capture"), (2, "archive")];

/// Files of what came without another version, with their source: marks.
const ADDED: [(u8, &str, &str); 1] = [(1, "capture", "marked.csv.zst")];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/atrace").join(name)
}

fn open(name: &str, bytes: Vec<u8>) -> Result<Trace, trace_io::TraceError> {
    trace_io::open(name, Box::new(Cursor::new(bytes)))
}

fn stored() -> impl Iterator<Item = (u8, &'static str, &'static str)> {
    let packings = VERSIONS.into_iter().flat_map(|(minor, all)| all.iter().map(move |&p| (minor, p)));
    let versions = packings.flat_map(|(minor, packing)| SOURCES.map(|source| (minor, packing, source)));
    versions.chain(ADDED)
}

fn bytes_of(minor: u8, packing: &str, source: &str) -> Vec<u8> {
    let stem = source.split('.').next().unwrap();
    std::fs::read(data(&format!("1.{minor}-{packing}-{stem}.atrace"))).unwrap()
}

#[test]
fn every_stored_file_is_its_source() {
    let mut files = 0;
    for (minor, packing, source) in stored() {
        let bytes = bytes_of(minor, packing, source);
        assert_eq!((bytes[8], bytes[9]), (1, minor), "{packing} {source}");
        let whole = open(source, std::fs::read(data(source)).unwrap()).unwrap();
        let back = open("stored", bytes.clone()).unwrap();
        check_same(&back, &whole, 0);
        assert_eq!(whole.head.marks.len(), if source.starts_with("marked") { 21 } else { 0 });
        // From the middle, where a state stands.
        let mut file = AtraceFile::open("stored", Cursor::new(bytes)).unwrap();
        let profile = if packing == "capture" { FileProfile::Capture } else { FileProfile::Archive };
        assert_eq!((file.profile(), file.operations()), (profile, whole.len()));
        let state = file.blocks().iter().find(|e| e.kind == BlockKind::State).map(|e| e.first).unwrap();
        file.seek(state).unwrap();
        let block = file.next_block().unwrap().unwrap();
        assert_eq!(block.first(), state);
        for index in 0..block.len() {
            let there = state + index;
            assert_eq!(block.op(index), whole.op(there), "{minor} {packing} {source}: operation {there}");
            assert_eq!(block.address_of(index as usize), whole.address_of(there as usize));
        }
        assert_eq!(file.summary().unwrap().unwrap().0.totals(), whole.totals());
        files += 1;
    }
    for (minor, packing) in PICTURES {
        let bytes = bytes_of(minor, packing, "picture");
        assert_eq!((bytes[8], bytes[9]), (1, minor));
        let (back, whole) = (open("stored", bytes).unwrap(), begun());
        check_same(&back, &whole, 0);
        assert_eq!(back.origin.picture, whole.origin.picture, "{packing}");
        files += 1;
    }
    // None is left over that no version names.
    let there = std::fs::read_dir(data(""))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "atrace"));
    assert_eq!((files, there.count()), (13, 13));
}

fn begun() -> Trace {
    let profile = Profile::named("cpython-3.14").unwrap();
    made::begun(&profile, made::process(&profile, 400), 150)
}

#[test]
fn a_version_to_come_is_refused_by_name_and_number() {
    let (newest, packing) = PICTURES[0];
    for (major, minor) in [(1, newest + 1), (2, 0), (0, 3)] {
        let mut bytes = bytes_of(newest, packing, "picture");
        (bytes[8], bytes[9]) = (major, minor);
        let sum = twox_hash::XxHash64::oneshot(0, &bytes[..12]) as u32;
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        let expected = format!(
            "byte 8: the file has version {major}.{minor} of .atrace, this program reads 1.0 to 1.{newest}"
        );
        let error = open("stored", bytes.clone()).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{error}");
        let error = AtraceFile::open("stored", Cursor::new(bytes)).err().unwrap().to_string();
        assert_eq!(error, expected);
    }
}
