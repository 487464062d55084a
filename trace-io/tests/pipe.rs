//! A pipe shows what has come: every reader takes bytes as they are given, hands out the trace so far, and a replay goes on with it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::cell::Cell;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use sim_core::replay::GrowError;
use sim_core::report::digest;
use sim_core::{Profile, Replay, Trace};
use support::check_same;
use trace_io::workload::Workload;
use trace_io::{Format, Loader, writer};

/// Gives so many bytes each time, and counts how often it is asked.
struct Pipe {
    bytes: Vec<u8>,
    at: usize,
    packet: usize,
    asked: Rc<Cell<usize>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.asked.set(self.asked.get() + 1);
        let left = &self.bytes[self.at..];
        let count = left.len().min(self.packet).min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

fn pipe(name: &str, bytes: &[u8], packet: usize) -> (Loader, Rc<Cell<usize>>) {
    let asked = Rc::new(Cell::new(0));
    let pipe = Pipe { bytes: bytes.to_vec(), at: 0, packet, asked: Rc::clone(&asked) };
    (Loader::new(name, Box::new(pipe), None), asked)
}

fn whole(name: &str, bytes: &[u8]) -> Trace {
    trace_io::open(name, Box::new(io::Cursor::new(bytes.to_vec()))).unwrap()
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Files of each format that is read as it comes; small, packed and large ones.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut tape = sim_core::TraceBuilder::new("large");
    for op in &Workload::python(3, 160_000, 5_000) {
        tape.push(op).unwrap();
    }
    let large = tape.finish();
    let written = |format| {
        let mut out = Vec::new();
        let mut to = writer(format, &mut out).unwrap();
        to.write(&large).unwrap();
        to.finish(&large).unwrap();
        out
    };
    vec![
        ("large.ptrace", written(Format::Ptrace)),
        ("large.csv", written(Format::Csv)),
        ("large.atrace", written(Format::Atrace)),
        ("memray13.bin", data("memray13.bin")),
        ("memray13n.bin", data("memray13n.bin")),
        ("small.heaptrack.raw.zst", data("recorded/small.heaptrack.raw.zst")),
        ("small.mtrace.zst", data("recorded/small.mtrace.zst")),
        ("1.1-tight-recorded.atrace", data("atrace/1.1-tight-recorded.atrace")),
        ("t08_realloc.ptrace.zst", data("t08_realloc.ptrace.zst")),
    ]
}

#[test]
fn what_comes_in_any_pieces_is_the_same_trace() {
    for (name, bytes) in files() {
        let expected = whole(name, &bytes);
        for packet in [1, 997, 70_000] {
            // A byte at a time takes long.
            if packet > 1 || bytes.len() < 40_000 {
                let back = pipe(name, &bytes, packet).0.finish().unwrap().trace().unwrap();
                check_same(&back, &expected, 0);
            }
        }
    }
}

#[test]
fn what_has_come_is_shown_and_replayed_on() {
    for (name, bytes) in files() {
        let expected = Arc::new(whole(name, &bytes));
        let profile = Profile::default();
        let mut straight = Replay::new(Arc::clone(&expected), &profile, 16 << 20).unwrap();
        let (mut loader, _) = pipe(name, &bytes, 3 * 4096);
        let (mut replay, mut shown, mut ended): (Option<Replay>, _, _) = (None, 0, false);
        while !ended {
            ended = loader.advance().unwrap();
            let so_far = Arc::new(loader.share().unwrap());
            assert!(so_far.len() >= shown, "{name}");
            shown = so_far.len();
            let Some(replay) = &mut replay else {
                if shown > 0 {
                    replay = Some(Replay::new(so_far, &profile, 16 << 20).unwrap());
                }
                continue;
            };
            match replay.grow(Arc::clone(&so_far)) {
                Ok(()) => {}
                // What is known of the program may come after its first operations.
                Err(GrowError::OtherMachine) => *replay = Replay::new(so_far, &profile, 16 << 20).unwrap(),
                Err(error) => panic!("{name}: {error}"),
            }
            replay.advance(20_000);
            replay.seek_now(shown);
            straight.seek_now(shown);
            assert_eq!(digest(replay.machine()), digest(straight.machine()), "{name} after {shown}");
        }
        let mut replay = replay.unwrap();
        check_same(replay.trace(), &expected, 0);
        while !replay.advance(50_000) || !straight.advance(50_000) {}
        assert_eq!(format!("{:?}", replay.index()), format!("{:?}", straight.index()), "{name}");
        check_same(&loader.finish().unwrap().trace().unwrap(), &expected, 0);
    }
}

#[test]
fn nothing_is_waited_for_once_something_has_come() {
    let text = "f o 0\n".repeat(10_000);
    let (mut loader, asked) = pipe("x.ptrace", text.as_bytes(), 6_000);
    // Four bytes tell how it is packed, 4 KiB the format; then each packet is shown when it is there.
    assert!(!loader.advance().unwrap());
    let first = asked.get();
    assert!(first <= 3 && loader.share().unwrap().len() >= 999);
    for packet in 1..5 {
        assert!(!loader.advance().unwrap());
        assert_eq!(asked.get(), first + packet);
        assert!(loader.share().unwrap().len() >= 999 + 999 * packet as u64);
    }
}
