//! Cut and damaged `.atrace` files: an error or a trace that says what is missing, never a panic, never much memory.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::io::Cursor;

use support::{Draw, Extras, open, pack_in_blocks, trace};
use trace_io::atrace::AtraceFile;

const ALL: Extras =
    Extras { scenario: true, stacks: true, addresses: true, times: true, threads: true, wild_ids: true };

fn small() -> Vec<u8> {
    // Some blocks are tight, others not.
    pack_in_blocks(&trace(3, 260, ALL, |_| {}).finish(), 24, 0.0..17.0)
}

/// What became of a damaged file: nothing, a part, or all of it.
fn check(bytes: &[u8], whole: u64) -> &'static str {
    let read = match open(bytes) {
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains('\n') && error.contains("byte "), "{error}");
            "refused"
        }
        Ok(trace) => {
            let doubt = trace.origin.source.doubt.truncated.as_deref();
            if let Some(sentence) = doubt {
                assert!(sentence.contains("byte ") && !sentence.contains('\n'), "{sentence}");
                assert!(trace.len() <= whole);
                "a part"
            } else {
                assert_eq!(trace.len(), whole, "a part that does not say so");
                "all"
            }
        }
    };
    // Reading from the middle must stand the same.
    if let Ok(mut file) = AtraceFile::open("damaged", Cursor::new(bytes)) {
        let _ = file.summary();
        assert!(!file.intact().unwrap() || read == "all", "checksums hold of {read}");
        for step in [0, 300] {
            if file.seek(step).is_ok() {
                while let Ok(Some(block)) = file.next_block() {
                    assert!(block.first() + block.len() <= whole);
                }
            }
        }
    }
    read
}

/// The most memory this process ever had, in MiB, where the system tells.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}

#[test]
fn every_prefix_and_many_corruptions_are_stood() {
    let whole = small();
    let operations = open(whole.clone()).unwrap().len();
    let mut parts = 0;
    for end in 1..whole.len() {
        match check(&whole[..end], operations) {
            "a part" => parts += 1,
            "refused" => {}
            other => panic!("the first {end} bytes count as {other}"),
        }
    }
    assert!(parts > 1000, "only {parts} prefixes could be read in part");
    let mut draw = Draw(7);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..10_000 {
        let mut damaged = whole.clone();
        let at = draw.below(whole.len() as u64) as usize;
        damaged[at] ^= 1 + draw.below(255) as u8;
        *seen.entry(check(&damaged, operations)).or_insert(0) += 1;
    }
    eprintln!("{} bytes, corruptions: {seen:?}, peak {:?} MiB", whole.len(), peak_mib());
    // Nothing goes unnoticed, not even in blocks that are skipped.
    assert_eq!(seen.get("all"), None);
    assert!(peak_mib().is_none_or(|mib| mib < 256));
}

#[test]
fn damage_that_keeps_its_checksum_is_stood() {
    let whole = small();
    let operations = open(whole.clone()).unwrap().len();
    let mut draw = Draw(11);
    for _ in 0..10_000 {
        let mut damaged = whole.clone();
        for _ in 0..=draw.below(3) {
            let at = 16 + draw.below(whole.len() as u64 - 16) as usize;
            damaged[at] = draw.below(256) as u8;
        }
        support::seal(&mut damaged);
        if let Ok(trace) = open(damaged) {
            assert!(trace.len() <= operations + (1 << 22));
        }
    }
    assert!(peak_mib().is_none_or(|mib| mib < 256));
}

#[test]
fn unknown_blocks_are_skipped() {
    let whole = small();
    let mut strange = whole[..16].to_vec();
    let mut unknown = [0; 44 + 5];
    unknown[..5].copy_from_slice(&[0xc5, b'B', b'L', b'K', 200]);
    unknown[12] = 5;
    strange.extend(unknown);
    strange.extend(&whole[16..]);
    support::seal(&mut strange);
    let trace = open(strange).unwrap();
    assert_eq!(trace.origin.source.doubt.truncated, None);
}
