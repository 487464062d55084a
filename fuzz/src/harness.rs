//! What must hold for any bytes: a trace, or an error of one line; no panic, and no memory without bound.
//!
//! Each format has a function that puts its first bytes before the input, so that mutation does not have to find
//! them. An ordinary test of `trace-io` includes this file and runs it over the inputs that once failed.

use std::io::{Cursor, Read};

use sim_core::{Machine, Profile};
use trace_io::care::{Bound, Stats, Trim};
use trace_io::{Format, Loaded, Loader, Remedy, TraceError, writer};

/// Longer traces are read and counted, and not run.
const OPERATIONS_RUN_MAX: u64 = 20_000;

/// Gives bytes in slices of all sizes, as a network may.
struct Odd {
    bytes: Cursor<Vec<u8>>,
    turn: usize,
}

impl Read for Odd {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.turn += 1;
        let wanted = buffer.len().min(1 + self.turn * self.turn * 7 % 61);
        self.bytes.read(&mut buffer[..wanted])
    }
}

fn load(bytes: Vec<u8>) -> Result<Loaded, TraceError> {
    Loader::new("fuzz", Box::new(Odd { bytes: Cursor::new(bytes), turn: 0 }), None).finish()
}

/// ptrace text.
pub fn ptrace(data: &[u8]) {
    check(b"", data);
}

/// A lesson in RON.
pub fn ron(data: &[u8]) {
    check(b"(name:\"x\",", data);
}

/// memray's recording.
pub fn memray(data: &[u8]) {
    check(b"memray\0", data);
}

/// Our own format; its seeds are files that `arenascope convert` wrote.
pub fn atrace(data: &[u8]) {
    check(b"", data);
}

/// heaptrack's raw recording.
pub fn heaptrack(data: &[u8]) {
    check(b"v 10400 3\n", data);
}

/// glibc's mtrace.
pub fn mtrace(data: &[u8]) {
    check(b"= Start\n", data);
}

/// glibc-malloc-trace-utils.
pub fn mtrace_utils(data: &[u8]) {
    let mut magic = [0; 64];
    magic[4] = 255;
    magic[8..10].copy_from_slice(&[0x34, 0x12]);
    magic[24] = 8;
    check(&magic, data);
}

/// CSV.
pub fn csv(data: &[u8]) {
    check(b"op,domain,id,newid,size,nelem,elsize,thread,time_ns,rss_bytes,address,stack,note\n", data);
}

/// The text of `sys._debugmallocstats()`.
pub fn stats_text(data: &[u8]) {
    check(b"Small block threshold = 512, in 32 size classes.\n", data);
}

/// All that must hold for `prefix` and `data` together.
pub fn check(prefix: &[u8], data: &[u8]) {
    let trace = match load([prefix, data].concat()) {
        Ok(Loaded::Trace(trace, _)) => *trace,
        Ok(Loaded::Picture(stats)) => {
            assert!((0.0..=1.0).contains(&stats.fragmentation()));
            let _ = (stats.bytes_free(), stats.bytes_lost());
            assert!(stats.doubts().iter().all(|d| !d.contains('\n')));
            return;
        }
        Ok(Loaded::Account(account)) => {
            assert!(account.lines().iter().all(|line| !line.contains('\n')), "{:?}", account.lines());
            return;
        }
        Err(error) => {
            let line = match error.remedy() {
                Remedy::Do(sentence) => format!("{error}; {sentence}"),
                _ => error.to_string(),
            };
            assert!(!line.contains('\n'), "more than one line: {line}");
            return;
        }
    };
    assert!(!trace.is_empty(), "a trace has operations");
    assert!(trace.origin.source.doubt.sentences().iter().all(|s| !s.contains('\n')));
    let mut stats = Stats::default();
    stats.take(&trace);
    assert_eq!(stats.report(&trace, 3).operations, trace.len());
    if trace.len() > OPERATIONS_RUN_MAX {
        return;
    }
    // A trace may ask for a profile that cannot be, or for layers that are refused.
    if let Ok(mut machine) = Machine::for_trace(&Profile::default(), &trace, None) {
        for index in 0..trace.len() as usize {
            machine.step(&trace, index, &mut ());
            if machine.stopped().is_some() {
                break;
            }
        }
        // A process that has ended, or that wrote where it must not, need not be in order.
        if !trace.needs_layers() && machine.layers().is_none() {
            machine.verify().expect("the heap is in order");
        }
    }
    let mut table = Vec::new();
    if let Some(mut csv) = writer(Format::Csv, &mut table) {
        csv.write(&trace).expect("memory takes all");
        csv.finish(&trace).expect("memory takes all");
    }
    let Ok(Loaded::Trace(back, Format::Csv)) = load(table) else { panic!("what was written is read") };
    assert_eq!(back.len(), trace.len());
    assert_eq!(back.counts(), trace.counts());
    let mut trim = Trim::new(Bound::Step(trace.len() / 3), Bound::Step(u64::MAX), true);
    if trim.take(&trace).is_ok() {
        trim.finish(&trace).expect("the range is not empty");
        assert_eq!(trim.counts().kept, trace.len() - trace.len() / 3);
    }
}
