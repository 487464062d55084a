//! Packed files that unpack to far more than they are.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Cursor, Read, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use trace_io::{Loaded, Loader, Remedy, TraceError};

/// `line` over and over, packed: nearly nothing.
fn packed(line: &str, bytes: usize) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let piece = line.repeat((1 << 16) / line.len());
    for _ in 0..bytes / piece.len() {
        gzip.write_all(piece.as_bytes()).unwrap();
    }
    gzip.finish().unwrap()
}

fn read(bytes: Vec<u8>, bound: Option<u64>) -> Result<u64, TraceError> {
    let mut loader = Loader::new("x", Box::new(Cursor::new(bytes)) as Box<dyn Read>, None);
    loader.bound_swelling(bound);
    match loader.finish()? {
        Loaded::Trace(trace, _) => Ok(trace.len()),
        other => panic!("it is a trace: {other:?}"),
    }
}

#[test]
fn what_unpacks_to_nothing_is_given_up_and_loops_are_not() {
    const BOUND: Option<u64> = Some(1 << 20);
    for nothing in ["\n", "# a comment that says the same again and again\n", "= End\n"] {
        let bomb = packed(nothing, 8 << 20);
        assert!(bomb.len() < 1 << 16, "{} bytes", bomb.len());
        let bomb = if nothing.starts_with('=') { packed("= Start\n", 8 << 20) } else { bomb };
        let error = read(bomb, BOUND).unwrap_err();
        assert!(
            matches!(error, TraceError::Swells { operations: 0, unpacked, .. } if unpacked < 8 << 20),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::ReadOn);
    }
    assert!(matches!(read(packed("\n", 8 << 20), None), Err(TraceError::Empty)), "to the end");
    let regular = packed("m o 1 48\nf o 1\n", 8 << 20);
    assert!(regular.len() < 1 << 16);
    assert!(read(regular, BOUND).unwrap() > 1_000_000);
    // What is not packed is as large as it is.
    let plain = "\n".repeat(4 << 20) + "m o 1 48\n";
    assert_eq!(read(plain.into_bytes(), BOUND).unwrap(), 1);
}
