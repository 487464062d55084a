//! memray's captures: small recordings of `data/memray_fixture.py` by memray 1.18 (format 11), 1.19 (12) and 1.20 (13),
//! cut at every byte and with bytes changed. `real-cpython/tests/memray.rs` compares with memray itself.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Cursor;
use std::path::Path;

use sim_core::{Call, Domain, Kind, Machine, Profile, Trace};
use support::said;
use trace_io::{Format, Loaded, Loader, TraceError};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn open(bytes: Vec<u8>) -> Result<Trace, TraceError> {
    match Loader::new("capture.bin", Box::new(Cursor::new(bytes)), None).finish()? {
        Loaded::Trace(trace, Format::Memray) => Ok(*trace),
        other => panic!("it is no capture: {other:?}"),
    }
}

/// A file: its name and format.
type Fixture = (&'static str, u32, Known);
/// What memray's own API says of it: records, peak, stacks, stack ids, births (allocations but `mmap`) and their
/// bytes, and a hash over addresses and sizes of births in order.
type Known = (u64, u64, u64, &'static str, u64, u64, u64);

const FIXTURES: [Fixture; 5] = [
    ("memray11.bin", 11, (1738, 543_931, 77, "77", 894, 715_023, 0xbbea_05bd_b515_4e61)),
    ("memray11n.bin", 11, (1740, 543_931, 77, "77", 894, 715_023, 0xf819_f7a5_becd_64d1)),
    ("memray12.bin", 12, (1736, 543_931, 77, "97", 894, 715_023, 0x1cf8_f036_f8c3_96d1)),
    ("memray13.bin", 13, (1728, 544_045, 66, "86", 897, 713_953, 0xb3f5_1469_dd10_782d)),
    ("memray13n.bin", 13, (1758, 544_939, 77, "97", 913, 716_087, 0xa24c_855d_cb20_31d3)),
];

#[test]
fn a_capture_has_what_memray_finds_in_it() {
    for (name, format, (records, peak, stacks, ids, births, bytes, hash)) in FIXTURES {
        let trace = open(file(name)).unwrap();
        let source = &trace.origin.source;
        assert_eq!(source.records, Some(records), "{name}");
        assert_eq!(source.peak_bytes, Some(peak), "{name}");
        assert_eq!((trace.stack_count(), source.get("stack_ids")), (stacks, Some(ids)), "{name}");
        assert_eq!(source.calls.iter().map(|c| c.calls).sum::<u64>(), records, "{name}");
        assert_eq!(source.get("recorder").unwrap(), format!("memray, format {format}"));
        assert!(source.get("python").unwrap().starts_with("3.11"), "{name}");
        assert_eq!(trace.head.profile.as_deref(), Some("cpython-3.11"));
        assert_eq!(source.doubt.truncated, None, "{name}");
        assert_eq!((trace.thread_count(), source.thread_names.last().unwrap().as_str()), (2, "second"));

        let (mut found, mut found_bytes, mut found_hash) = (0, 0, 0_u64);
        for index in 0..trace.len() {
            let size = match trace.op(index).unwrap().call {
                Call::Malloc { size, .. } | Call::Realloc { size, .. } => size,
                Call::Calloc { nelem, elsize, .. } => nelem * elsize,
                _ => continue,
            };
            let address = trace.address_of(index as usize).unwrap().0;
            found += 1;
            found_bytes += size;
            found_hash = found_hash.wrapping_mul(31).wrapping_add(address).wrapping_add(size);
        }
        assert_eq!((found, found_bytes, found_hash), (births, bytes, hash), "{name}");
        for lack in ["domains", "arenas", "process birth"] {
            assert!(source.missing.iter().any(|m| m.what == lack && !m.remedy.is_empty()), "{name}: {lack}");
        }
    }
}

#[test]
fn the_model_can_run_it() {
    for (name, ..) in FIXTURES {
        let trace = open(file(name)).unwrap();
        let mut machine = Machine::for_trace(&Profile::default(), &trace, None).unwrap();
        for index in 0..trace.len() as usize {
            machine.step(&trace, index, &mut ());
        }
        machine.verify().unwrap();
        let counts = trace.counts();
        let [malloc, calloc, realloc, free] = counts[Domain::Obj as usize];
        assert!(malloc > 700 && calloc > 150 && realloc > 10 && free > 700, "{name}: {counts:?}");
        assert!(counts[Domain::Raw as usize].iter().sum::<u64>() < 20, "{name}: {counts:?}");
        // Ids stay as dense as live blocks.
        let live_max = u64::from(trace.slot_count());
        let ids = (0..trace.len()).filter_map(|i| match trace.op(i)?.call {
            Call::Malloc { id, .. } => Some(id),
            _ => None,
        });
        assert!(ids.max().unwrap() <= live_max, "{name}");
    }
}

#[test]
fn stacks_have_functions_and_lines() {
    for (name, ..) in FIXTURES {
        let trace = open(file(name)).unwrap();
        let big = (0..trace.len()).find(|&i| trace.packed(i as usize).size > 100_000).unwrap();
        let stack: Vec<String> = trace
            .origin
            .stacks
            .lines(trace.stack_of(big as usize))
            .iter()
            .map(|l| format!("{} {}:{}", l.function, l.file.rsplit('/').next().unwrap(), l.line))
            .collect();
        assert_eq!(stack, ["run small.py:27", "<module> small.py:35"], "{name}");
        // `list(range(n))` and its neighbours stand on one line of a call spread over three.
        let deep = (0..trace.len() as usize).map(|i| trace.origin.stacks.lines(trace.stack_of(i)));
        let grown = deep.filter(|l| l.len() > 1 && l[0].function == "leaf" && l[1].function == "grow");
        let lines: Vec<(u32, u32)> = grown.map(|l| (l[0].line, l[1].line)).collect();
        assert!(lines.len() > 80 && lines.iter().all(|l| *l == (10, 17)), "{name}: {lines:?}");
    }
}

/// Format 10 is 11 without the byte that says whether Python's allocators were traced.
#[test]
fn format_10_lacks_one_byte() {
    let newer = file("memray11.bin");
    let command_line = 7 + 4 + 2 + 32;
    let after = newer[command_line..].iter().position(|&b| b == 0).unwrap() + command_line + 1;
    let mut older = newer.clone();
    older[7] = 10;
    assert_eq!(older.remove(after + 4 + 16 + 1), 1);
    let (newer, older) = (open(newer).unwrap(), open(older).unwrap());
    assert_eq!(older.origin.source.get("recorder"), Some("memray, format 10"));
    assert_eq!((calls(&older), &older.origin.source.doubt), (calls(&newer), &newer.origin.source.doubt));
}

#[test]
fn every_operation_has_its_place_and_time() {
    let trace = open(file("memray13.bin")).unwrap();
    assert!(trace.timed() && trace.origin.moments.iter().any(|m| m.rss_bytes.is_some_and(|b| b > 1 << 20)));
    assert!(trace.origin.moments.windows(2).all(|m| m[0].at <= m[1].at && m[0].time_ns <= m[1].time_ns));
    for index in 0..trace.len() as usize {
        assert!(trace.address_of(index).is_some() && trace.time_ns(index as u64).is_some());
        let birth = !matches!(trace.packed(index).kind, Kind::Free);
        assert!(birth || trace.stack_of(index).0 == 0, "memray keeps no stacks of frees");
    }
}

/// In pieces, with forgetting, it is the same trace.
#[test]
fn pieces_are_the_whole() {
    let whole = open(file("memray12.bin")).unwrap();
    let mut loader = Loader::new("capture.bin", Box::new(Dribble(Cursor::new(file("memray12.bin")))), None);
    let mut operations = 0;
    loop {
        let done = loader.advance().unwrap();
        operations += loader.trace().map_or(0, Trace::len);
        loader.forget();
        if done {
            break;
        }
    }
    let trace = loader.trace().unwrap();
    assert_eq!(operations, whole.len());
    assert_eq!((&trace.origin.source, trace.counts()), (&whole.origin.source, whole.counts()));
}

/// Between marks of two pieces times go on as in the whole.
#[test]
fn times_go_on_over_pieces() {
    use sim_core::tape::TimeMark;
    use sim_core::{Op, TraceBuilder};
    let mut builder = TraceBuilder::new("x");
    let mark = |builder: &mut TraceBuilder, at, time_ns| {
        builder.trace_mut().origin.moments.push(TimeMark { at, time_ns, rss_bytes: None });
    };
    let free = Op { thread: 0, domain: Domain::Raw, call: Call::Free { id: 0 } };
    mark(&mut builder, 0, 100);
    builder.push(free).unwrap();
    builder.forget();
    builder.push(free).unwrap();
    assert_eq!(builder.trace().time_ns(0), Some(100), "the next mark is not known yet");
    mark(&mut builder, 2, 300);
    assert_eq!(builder.trace().time_ns(0), Some(200));
    builder.forget();
    builder.forget();
    builder.push(free).unwrap();
    assert!(builder.trace().timed());
    assert_eq!(builder.trace().time_ns(0), Some(300));
}

/// Only counted, it has the same in it and no rows.
#[test]
fn counting_finds_what_reading_finds() {
    for (name, ..) in FIXTURES {
        let whole = open(file(name)).unwrap();
        let mut loader = Loader::new("capture.bin", Box::new(Cursor::new(file(name))), None).counting();
        while !loader.advance().unwrap() {
            loader.forget();
        }
        let trace = loader.trace().unwrap();
        assert_eq!((trace.len(), trace.first()), (0, whole.len()), "{name}");
        assert_eq!((&trace.origin.source, trace.counts()), (&whole.origin.source, whole.counts()), "{name}");
        assert_eq!(
            (
                trace.stack_count(),
                trace.thread_count(),
                trace.slot_count(),
                trace.has_addresses(),
                trace.timed()
            ),
            (
                whole.stack_count(),
                whole.thread_count(),
                whole.slot_count(),
                whole.has_addresses(),
                whole.timed()
            ),
            "{name}"
        );
    }
}

/// A source that gives seven bytes at a time.
struct Dribble(Cursor<Vec<u8>>);

impl std::io::Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(7);
        self.0.read(&mut buffer[..n])
    }
}

/// Numbers as the files have them.
#[derive(Default)]
struct Capture {
    bytes: Vec<u8>,
    pointer: i64,
}

impl Capture {
    /// A file of format 12 with one thread.
    fn new(aggregated: bool) -> Self {
        let mut capture = Self::default();
        let bytes = &mut capture.bytes;
        bytes.extend(b"memray\0");
        bytes.extend(12_u32.to_le_bytes());
        bytes.extend(0x030b_07f0_u32.to_le_bytes());
        bytes.extend([0, u8::from(aggregated)]);
        bytes.extend([0; 16]);
        bytes.extend(1_700_000_000_000_u64.to_le_bytes());
        bytes.extend(1_700_000_001_000_u64.to_le_bytes());
        bytes.extend(b"prog.py\0");
        bytes.extend(42_u32.to_le_bytes());
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend([1, 1, 0]);
        bytes.push(12);
        bytes.extend(7_u64.to_le_bytes());
        capture
    }

    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    /// A record of an allocator (format 12's number) that misses the table of addresses.
    fn call(&mut self, allocator: u8, address: u64, size: Option<u64>) -> &mut Self {
        self.bytes.push(0x80 | 15 << 3 | if allocator < 8 { allocator } else { 0 });
        let pointer = (address >> 3).cast_signed();
        let step = pointer - self.pointer;
        self.pointer = pointer;
        self.number((step << 1 ^ step >> 63).cast_unsigned());
        if allocator >= 8 {
            self.bytes.push(allocator);
        }
        if let Some(size) = size {
            self.number(size);
        }
        self
    }

    fn end(&mut self) -> Trace {
        self.bytes.push(1);
        open(self.bytes.clone()).unwrap()
    }
}

const FREE: u8 = 1;
const MALLOC: u8 = 2;
const REALLOC: u8 = 4;
const POOL: u64 = 0x7f00_0000_4000;

fn calls(trace: &Trace) -> Vec<Call> {
    (0..trace.len()).map(|i| trace.op(i).unwrap().call).collect()
}

#[test]
fn reallocs_are_found_where_pymalloc_would_have_made_them() {
    let block = |n: u64| POOL + 48 + n * 48;
    // In place: the same address, and a size that stays.
    let trace = Capture::new(false)
        .call(MALLOC, block(0), Some(48))
        .call(FREE, block(0), None)
        .call(REALLOC, block(0), Some(40))
        .end();
    assert_eq!(
        calls(&trace),
        [Call::Malloc { id: 1, size: 48 }, Call::Realloc { id: 1, newid: 1, size: 40 }]
    );
    assert_eq!(trace.origin.source.doubt.ambiguous_reallocs, 0);
    // It would have stayed, and it moved: a free, and a realloc of NULL.
    let trace = Capture::new(false)
        .call(MALLOC, block(0), Some(48))
        .call(FREE, block(0), None)
        .call(REALLOC, block(1), Some(40))
        .end();
    assert_eq!(
        calls(&trace),
        [Call::Malloc { id: 1, size: 48 }, Call::Free { id: 1 }, Call::Realloc { id: 0, newid: 1, size: 40 }]
    );
    // It grew out of its class: nothing tells it from a free and a realloc of NULL.
    let trace = Capture::new(false)
        .call(MALLOC, block(0), Some(48))
        .call(FREE, block(0), None)
        .call(REALLOC, POOL + 0x4000 + 48, Some(64))
        .end();
    assert_eq!(
        calls(&trace),
        [Call::Malloc { id: 1, size: 48 }, Call::Realloc { id: 1, newid: 1, size: 64 }]
    );
    assert_eq!(trace.origin.source.doubt.ambiguous_reallocs, 1);
    assert_eq!(trace.address_of(1).unwrap().0, POOL + 0x4000 + 48);
}

#[test]
fn what_is_not_in_the_file_is_counted() {
    let heap = 0x5600_0000_0000;
    let trace = Capture::new(false)
        .call(FREE, POOL + 96, None)
        .call(MALLOC, POOL + 48, Some(0))
        .call(MALLOC, heap, Some(0))
        .call(MALLOC, heap, Some(1000))
        .call(MALLOC, 0, Some(1 << 40))
        .call(14, 0x7f00_1000_0000, Some(1 << 20))
        .call(FREE, heap + 64, None)
        .call(REALLOC, heap + 4096, Some(1000))
        .call(15, 0x7f00_1000_0000, Some(1 << 20))
        .end();
    let source = &trace.origin.source;
    assert_eq!((source.doubt.unknown_frees, source.doubt.unknown_reallocs), (1, 1));
    assert_eq!(source.doubt.lost_frees, 1);
    assert_eq!(source.get("failed_calls"), Some("1"));
    assert_eq!(source.get("arena_maps"), Some("1 at most at once, 0 at the end"));
    assert_eq!(source.records, Some(9));
    assert_eq!(source.peak_bytes, Some((1 << 40) + 1000 + 1000 + (1 << 20)));
    assert_eq!(
        calls(&trace),
        [
            Call::Malloc { id: 1, size: 0 },
            Call::Malloc { id: 2, size: 0 },
            Call::Malloc { id: 3, size: 1000 },
            Call::Realloc { id: 0, newid: 4, size: 1000 }
        ]
    );
}

#[test]
fn what_cannot_be_replayed_is_refused_by_name() {
    let sums = trace_io::open("x", Box::new(Cursor::new(Capture::new(true).bytes)));
    let error = said(&sums.unwrap_err());
    assert!(error.contains("aggregated") && error.contains("without `--aggregate`"), "{error}");
    let mut old = Capture::new(false).bytes;
    old[7] = 9;
    let error = said(&open(old).unwrap_err());
    assert!(error.starts_with("byte 7: ") && error.contains("format 9"), "{error}");
    let error = said(&open(Capture::new(false).bytes).unwrap_err());
    assert!(error.contains("without memray's trailer") && !error.contains('\n'), "{error}");
}

#[test]
fn a_killed_process_leaves_zeros() {
    let mut bytes = Capture::new(false).call(MALLOC, POOL + 48, Some(8)).bytes.clone();
    let at = bytes.len();
    bytes.resize(at + 70_000, 0);
    let trace = open(bytes.clone()).unwrap();
    assert!(trace.origin.source.doubt.truncated.clone().unwrap().starts_with(&format!("byte {at}: ")));
    assert_eq!(trace.len(), 1);
    bytes.push(3);
    let reason = open(bytes).unwrap().origin.source.doubt.truncated.unwrap();
    assert!(reason.starts_with(&format!("byte {}: ", at + 70_000)), "{reason}");
}

/// An error in one line, or a trace that says where it ends.
fn check(bytes: Vec<u8>, must_be_marked: bool, what: &str) {
    match Loader::new("capture.bin", Box::new(Cursor::new(bytes)), None).finish() {
        Err(error) => assert!(!error.to_string().contains('\n'), "{what}: {error}"),
        Ok(Loaded::Trace(trace, Format::Memray)) if must_be_marked => {
            assert!(trace.origin.source.doubt.truncated.is_some(), "{what}");
        }
        Ok(_) => {}
    }
}

#[test]
fn every_prefix_is_an_error_or_says_where_it_ends() {
    for (name, ..) in FIXTURES {
        let bytes = file(name);
        let trailer = bytes.iter().rposition(|&b| b != 0).unwrap();
        for end in (0..3000).chain((3000..trailer).step_by(7)) {
            check(bytes[..end].to_vec(), true, &format!("{name} cut at {end}"));
        }
    }
}

#[test]
fn ten_thousand_changed_bytes_do_no_harm() {
    let mut state = 1_u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    let files: Vec<(&str, Vec<u8>)> = FIXTURES.iter().map(|f| (f.0, file(f.0))).collect();
    for round in 0..10_000 {
        let (name, bytes) = &files[round % files.len()];
        let mut bytes = bytes.clone();
        // Every second one in the header and the first records, where most hangs on each byte.
        let at = below(if round % 2 == 0 { 2000 } else { bytes.len() });
        let bit = below(255) as u8 + 1;
        bytes[at] ^= bit;
        check(bytes, false, &format!("{name} with byte {at} changed by {bit:#x}"));
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 256 << 10, "it took {kib} KiB");
    }
}
