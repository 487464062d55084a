//! Recordings of other tools: counted against their own lines, and damaged.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Cursor;

use sim_core::tape::{Action, SourceLine, TimeMark};
use sim_core::{Addr, Call, Domain, Machine, Note, Op, Profile, Trace, TraceBuilder};
use support::said;
use trace_io::stats_text::StatsText;
use trace_io::workload::Workload;
use trace_io::{Format, Loaded, Loader, TraceError, writer};

const HEAPTRACK: &[u8] = include_bytes!("data/recorded/small.heaptrack.raw.zst");
const MTRACE: &[u8] = include_bytes!("data/recorded/small.mtrace.zst");
const MTRACE_CALLS: &[u8] = include_bytes!("data/recorded/calls.mtrace");
const STATS: &[u8] = include_bytes!("data/recorded/stats-3.11.txt");

fn open(bytes: impl Into<Vec<u8>>) -> Result<Trace, TraceError> {
    trace_io::open("test", Box::new(Cursor::new(bytes.into())))
}

fn picture(bytes: impl Into<Vec<u8>>) -> StatsText {
    match Loader::new("test", Box::new(Cursor::new(bytes.into())), None).finish().unwrap() {
        Loaded::Picture(stats) => *stats,
        other => panic!("it is a picture: {other:?}"),
    }
}

fn unpacked(zstd: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::copy(&mut ruzstd::decoding::StreamingDecoder::new(zstd).unwrap(), &mut out).unwrap();
    out
}

fn ops(trace: &Trace) -> Vec<Op> {
    (0..trace.len()).map(|i| trace.op(i).unwrap()).collect()
}

/// Lines by a test of each.
fn lines(text: &[u8], test: impl Fn(&str) -> bool) -> u64 {
    std::str::from_utf8(text).unwrap().lines().filter(|l| test(l)).count() as u64
}

fn counts(trace: &Trace) -> [u64; 4] {
    trace.counts()[Domain::Raw as usize]
}

fn verify(trace: &Trace) {
    let mut machine = Machine::for_trace(&Profile::default(), trace, None).unwrap();
    (0..trace.len() as usize).for_each(|index| {
        machine.step(trace, index, &mut ());
    });
    machine.verify().unwrap();
}

#[test]
fn heaptrack_counts_are_those_of_its_lines() {
    let text = unpacked(HEAPTRACK);
    let trace = open(HEAPTRACK).unwrap();
    let (births, frees) = (lines(&text, |l| l.starts_with('+')), lines(&text, |l| l.starts_with('-')));
    let [malloc, calloc, realloc, free] = counts(&trace);
    let doubt = &trace.origin.source.doubt;
    assert_eq!((malloc + realloc, calloc), (births, 0));
    assert_eq!(free + realloc + doubt.unknown_frees, frees + doubt.lost_frees);
    assert_eq!(trace.origin.source.records, Some(births + frees));
    assert!(realloc > 0 && doubt.ambiguous_reallocs < realloc && doubt.truncated.is_none());
    assert_eq!(trace.origin.source.get("recorder"), Some("heaptrack 1.4.0"));
    assert_eq!(trace.origin.source.get("command_line"), Some("/usr/bin/python3 -S -s small2.py"));
    let last_of = |kind: &str| {
        let text = std::str::from_utf8(&text).unwrap();
        u64::from_str_radix(text.lines().rfind(|l| l.starts_with(kind)).unwrap()[2..].trim(), 16).unwrap()
    };
    let last = trace.origin.moments.last().unwrap();
    assert_eq!((last.time_ns, last.rss_bytes), (last_of("c ") * 1_000_000, Some(last_of("R ") * 4096)));
    let first = trace.origin.stacks.lines(trace.stack_of(0));
    assert!(
        first.iter().any(|l| l.file == "/usr/bin/python3.11" || l.file.contains("ld-linux")),
        "{first:?}"
    );
    assert!(first.iter().all(|l| l.function.starts_with("0x")));
    verify(&trace);
}

#[test]
fn a_realloc_is_one_call_only_where_that_is_sound() {
    let calls = |lines: &str| {
        let trace = open(format!("v 10400 3\nI 1000 5\nt 11 0\nt 22 0\n{lines}c 1\n")).unwrap();
        let [malloc, _, realloc, free] = counts(&trace);
        let doubt = &trace.origin.source.doubt;
        (malloc, realloc, free, doubt.possible_reallocs, doubt.ambiguous_reallocs)
    };
    // Grown in place by more than a block's slack: one call, and the instruction is known from then on.
    let proof = "+ 18 1 1000\n- 1000\n+ 60 1 1000\n";
    assert_eq!(calls(proof), (1, 1, 0, 0, 0));
    assert_eq!(calls(&format!("{proof}- 1000\n+ 18 1 2000\n")), (1, 2, 0, 0, 1));
    assert_eq!(calls(&format!("{proof}- 1000\n+ 18 2 2000\n")), (2, 1, 1, 1, 0));
    // The same size again, a size within the slack, a large block, a large request: all can be two calls.
    for (old, new) in [("18", "18"), ("64", "70"), ("80", "18"), ("18", "400")] {
        assert_eq!(
            calls(&format!("+ {old} 1 1000\n- 1000\n+ {new} 1 1000\n")),
            (2, 0, 1, 1, 0),
            "{old} {new}"
        );
    }
    // A moment between: the two were not written under one lock.
    assert_eq!(calls("+ 18 1 1000\n- 1000\nc 1\n+ 60 1 1000\n"), (2, 0, 1, 0, 0));
    // A block nobody saw being born.
    assert_eq!(calls("- 9000\n+ 60 1 1000\n"), (1, 0, 0, 0, 0));
}

#[test]
fn mtrace_counts_are_those_of_its_lines() {
    for text in [unpacked(MTRACE), MTRACE_CALLS.to_vec()] {
        let trace = open(text.clone()).unwrap();
        let with = |sign: &str| lines(&text, |l| l.contains(&format!(" {sign} 0x")));
        let doubt = &trace.origin.source.doubt;
        let [malloc, calloc, realloc, free] = counts(&trace);
        assert_eq!(
            (malloc - doubt.unknown_reallocs, calloc, realloc + doubt.unknown_reallocs),
            (with("+"), 0, with(">"))
        );
        assert_eq!(free + doubt.unknown_frees, with("-") + doubt.lost_frees);
        assert_eq!(trace.origin.stacks.used_count(), {
            let text = std::str::from_utf8(&text).unwrap();
            let places =
                text.lines().filter(|l| l.starts_with('@') && !l.contains(" > ") && !l.contains(" ! "));
            let mut places: Vec<&str> = places.map(|l| l.split(']').next().unwrap()).collect();
            places.sort_unstable();
            places.dedup();
            places.len() as u64
        });
        verify(&trace);
    }
    let failed = open(MTRACE_CALLS).unwrap();
    assert_eq!(failed.origin.source.get("failed_reallocs"), Some("1"));
}

/// A recording as the C structure has it.
fn utils_record(thread: u32, kind: u8, words: [u64; 3]) -> Vec<u8> {
    let mut record = Vec::new();
    record.extend(thread.to_le_bytes());
    record.extend(u32::from(kind).to_le_bytes());
    record.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    record.resize(64, 0);
    record
}

fn utils_file() -> Vec<u8> {
    let mut file = utils_record(0, 255, [0x1234, 0, 8]);
    for round in 0..20_u64 {
        let at = 0x5500_0000 + 64 * round;
        file.extend(utils_record(100 + round as u32 % 3, 1, [0, at, round]));
        file.extend(utils_record(100, 2, [0, at + 32, 8]));
        file.extend(utils_record(101, 4, [at, at + 0x10_0000, 2 * round]));
        file.extend(utils_record(101, 3, [at + 32, 0, 0]));
    }
    file.extend(utils_record(101, 4, [0, 0x5600_0000, 24]));
    file.extend(utils_record(101, 3, [0, 0, 0]));
    file.extend([0; 640]);
    file
}

#[test]
fn records_of_64_bytes_become_calls() {
    let trace = open(utils_file()).unwrap();
    assert_eq!(counts(&trace), [20, 20, 21, 21]);
    assert_eq!(trace.thread_count(), 3);
    assert_eq!(trace.origin.source.doubt, sim_core::tape::Doubt::default());
    verify(&trace);
}

#[test]
fn calls_of_the_c_library_can_be_taken_for_pymallocs() {
    for bytes in [HEAPTRACK.to_vec(), MTRACE.to_vec(), utils_file()] {
        let load = |domain| {
            Loader::new("x", Box::new(Cursor::new(bytes.clone())), None)
                .taken_as(domain)
                .finish()
                .unwrap()
                .trace()
                .unwrap()
        };
        let (raw, obj) = (load(None), load(Some(Domain::Obj)));
        assert_eq!(raw.counts()[Domain::Raw as usize], obj.counts()[Domain::Obj as usize]);
        assert_eq!(raw.counts()[Domain::Obj as usize], [0; 4]);
        assert!(
            raw.origin
                .source
                .missing
                .iter()
                .any(|m| m.what == "domains" && m.remedy.contains("for calls of OBJ"))
        );
        verify(&obj);
    }
    let ptrace = Loader::new("x", Box::new(Cursor::new(b"m o 1 8\n")), None).taken_as(Some(Domain::Obj));
    assert!(
        said(&ptrace.finish().unwrap_err()).contains("says itself which domain each call is in; OwnDomains")
    );
}

#[test]
fn a_pasted_text_is_a_still_picture() {
    let stats = picture(STATS);
    assert_eq!((stats.pictures, stats.threshold, stats.size_classes), (1, 512, 32));
    assert_eq!(stats.doubts(), Vec::<String>::new());
    let rows = lines(STATS, |l| l.split_whitespace().filter(|w| w.parse::<u64>().is_ok()).count() == 5);
    assert_eq!(stats.classes.len() as u64, rows);
    let (arenas, bytes) = stats.arenas().unwrap();
    assert_eq!((stats.number("# arenas allocated current"), bytes), (Some(arenas), 1 << 20));
    assert_eq!(stats.bytes_in_use() + stats.bytes_free() + stats.bytes_lost(), stats.bytes_held());
    assert!(!stats.free_lists.is_empty() && stats.free_lists[0].name == "free PyDictObject");

    // Several, between other lines, and the last one cut.
    let text = [b"starting\n".as_slice(), STATS, b"INFO: done\n", &STATS[..STATS.len() / 4]].concat();
    let stats = picture(text);
    assert_eq!(stats.pictures, 2);
    assert!(stats.doubts().iter().any(|d| d.contains("not whole")));

    let mimalloc = "Small block threshold = 8192, in 73 size classes.\nMedium block threshold = 65536\nLarge object max size = 16777216\n    \
        Allocated Blocks: 10\n    Allocated Bytes: 4096\n    Allocated Bytes w/ Overhead: 4200\n    Bytes Reserved: 65536\n    Bytes Committed: 65536\n";
    let stats = picture(mimalloc);
    assert!(stats.is_mimalloc() && stats.doubts().is_empty());
    assert_eq!((stats.bytes_in_use(), stats.bytes_held(), stats.bytes_free()), (4096, 65536, 61440));
}

#[test]
fn a_trace_that_quotes_a_picture_is_none() {
    let quote = "Small block threshold = 512, in 32 size classes.";
    for text in [
        format!("# {quote}\nm o 1 8\nf o 1\n"),
        format!("(\n name: \"{quote}\", operations: [malloc(id: 1, size: 8), free(id: 1)])"),
        format!("( name : r#\"\n{quote}\n\"#, operations: [malloc(id: 1, size: 8), free(id: 1)])"),
        format!("// {quote}\n(name: \"\n{quote}\", operations: [malloc(id: 1, size: 8), free(id: 1)])"),
    ] {
        assert_eq!(open(text.clone()).unwrap().len(), 2, "{text}");
    }
    for before in ["(venv) $ python stats.py\n", "# python stats.py\n", "(venv) root# x\n", "12:00 INFO: "] {
        let text = [before.as_bytes(), STATS].concat();
        assert!(matches!(open(text.clone()), Err(TraceError::Picture)), "{before}");
        assert_eq!(picture(text).pictures, 1, "{before}");
    }
}

fn csv(trace: &Trace) -> (String, Vec<String>) {
    let mut out = Vec::new();
    let mut writer = writer(Format::Csv, &mut out).unwrap();
    writer.write(trace).unwrap();
    let losses = writer.finish(trace).unwrap();
    (String::from_utf8(out).unwrap(), losses.iter().map(ToString::to_string).collect())
}

#[test]
fn csv_keeps_what_a_tape_has() {
    let mut tape = TraceBuilder::new("x");
    let line =
        |function: &str, file: &str, line| SourceLine { function: function.into(), file: file.into(), line };
    let deep =
        tape.stack(&[line("f;g@h", "a, \"b\".py", 3), line("", "C:\\x\\y.py", 4), line("<module>", "", 0)]);
    for (index, op) in Workload::python(5, 500, 40).iter().enumerate() {
        if index % 50 == 7 {
            let at = tape.len();
            let mark = |ns| TimeMark { at, time_ns: ns, rss_bytes: (index > 60).then_some(ns * 2) };
            tape.trace_mut().origin.moments.extend([mark(at * 1000), mark(at * 1000 + 1)]);
        }
        let stack = if index % 3 == 0 { deep } else { sim_core::tape::StackId(0) };
        let op = Op { thread: (index % 4) as u16, ..op };
        tape.push_recorded(op, stack, (index % 5 > 0).then_some(Addr(0x7f00_0000_0000 + 16 * index as u64)))
            .unwrap();
        if index % 90 == 7 {
            tape.mark("a \"turn\", of; many").unwrap();
        }
    }
    let at = tape.len();
    tape.trace_mut().origin.moments.push(TimeMark { at, time_ns: 1 << 40, rss_bytes: None });
    tape.trace_mut().head.notes.push(Note { at: 3, text: "a \"note\",\nin two lines".into() });
    tape.trace_mut().head.notes.push(Note { at, text: "the end".into() });
    tape.trace_mut().head.settings.push(("arena_limit".into(), "9".into()));
    tape.push(Op { thread: 1, domain: Domain::Mem, call: Call::Act(Action::Stack(deep)) }).unwrap();
    tape.mark("end").unwrap();
    let trace = tape.finish();
    let (text, losses) = csv(&trace);
    assert_eq!(losses, Vec::<String>::new());
    let back = open(text.clone()).unwrap();
    assert_eq!(ops(&back).len(), ops(&trace).len());
    assert_eq!(
        (&back.origin.moments, &back.head.notes, &back.head.marks, &back.head.settings),
        (&trace.origin.moments, &trace.head.notes, &trace.head.marks, &trace.head.settings)
    );
    let of = |trace: &Trace| -> Vec<_> {
        (0..trace.len() as usize)
            .map(|i| {
                let op = trace.op(i as u64).unwrap();
                let (stack, call) = match op.call {
                    Call::Act(Action::Stack(stack)) => (stack, None),
                    call => (trace.stack_of(i), Some(call)),
                };
                (op.thread, op.domain, call, trace.origin.stacks.lines(stack), trace.address_of(i))
            })
            .collect()
    };
    assert_eq!(of(&back), of(&trace));
    assert_eq!(csv(&back).0, text, "the second time nothing changes");
}

#[test]
fn csv_carries_scenarios_as_they_are() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["../traces/pitfalls", "../traces/scenarios", "tests/data/mimalloc"].map(|f| here.join(f));
    let files = files.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()));
    let traces: Vec<_> = files
        .filter(|p| p.to_string_lossy().ends_with(".ron") || p.to_string_lossy().ends_with(".trace.zst"))
        .collect();
    assert!(traces.len() > 30, "{}", traces.len());
    for path in traces {
        let lesson = open(std::fs::read(path).unwrap()).unwrap();
        let heaps = |t: &Trace| -> Vec<_> {
            (0..t.len() as usize).map(|i| (t.object_heap(i), t.thread(i))).collect()
        };
        let back = open(csv(&lesson).0).unwrap();
        assert_eq!(csv(&back).0, csv(&lesson).0);
        assert_eq!(
            (back.len(), &back.head.notes, back.head.malloc),
            (lesson.len(), &lesson.head.notes, lesson.head.malloc)
        );
        assert_eq!(heaps(&back), heaps(&lesson));
    }
}

#[test]
fn csv_is_read_as_people_write_it() {
    let trace = open("Size,op,id\n48,malloc,0x10\n,free,16\n,free,99\n8,realloc,7\n16,c,3\n").unwrap();
    assert_eq!(trace.counts()[Domain::Obj as usize], [2, 1, 0, 1]);
    assert_eq!((trace.origin.source.doubt.unknown_frees, trace.origin.source.doubt.unknown_reallocs), (1, 1));
    for (text, expected) in [
        ("op,id,size\nmalloc,1,x\n", "line 2, column 1: `x` in column `size` is no number"),
        ("op,id,size\nmalloc,1\n", "the cell of column `size` is empty"),
        ("op,id,size\nmalloc,1,2,3\n", "more cells"),
        ("op,id,size\nmalloc,1,2\n\nmalloc,1,2\n", "line 3, column 1: id 1 already names"),
        ("op,id,id\nmalloc,1,2\n", "twice"),
        ("op,id,size,domain\nmalloc,1,2,heap\n", "write raw, mem, obj, gc or gc_pre"),
        ("op,id\nx frobnicate,1\n", "is no action"),
        ("op,id\n#! speed=1,\n", "the directive `speed` is unknown"),
        ("op,id\nallocate,1\n", "`allocate` is no operation"),
        ("op,id,size\n", "no operation"),
    ] {
        let error = said(&open(text).unwrap_err());
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn what_is_no_trace_is_refused_by_name() {
    let interpreted = "v 10400 3\nX python\nI 1000 5\ns 3 abc\nt 1 0\na 10 1\n+ 0\n";
    for text in [interpreted.to_owned(), format!("v 10400 3\n{}t 1 0\n+ 0\n", "# x\n".repeat(2000))] {
        let error = said(&open(text).unwrap_err());
        assert!(error.contains("`heaptrack -r`"), "{error}");
    }
    let error = said(&open("v 10700 9\nm 1 -\n").unwrap_err());
    assert!(error.contains("newer"), "{error}");
}

/// A small file of each format.
fn samples() -> Vec<Vec<u8>> {
    let head = |bytes: Vec<u8>, lines: usize| {
        let end =
            bytes.iter().enumerate().filter(|b| *b.1 == b'\n').nth(lines).map_or(bytes.len(), |b| b.0 + 1);
        bytes[..end].to_vec()
    };
    let scenario = include_bytes!("../../traces/pitfalls/21-frames.ron").to_vec();
    vec![
        head(unpacked(HEAPTRACK), 400),
        head(MTRACE_CALLS.to_vec(), 120),
        utils_file(),
        STATS.to_vec(),
        csv(&open(head(MTRACE_CALLS.to_vec(), 60)).unwrap()).0.into_bytes(),
        csv(&open(scenario).unwrap()).0.into_bytes(),
    ]
}

#[test]
fn every_prefix_and_ten_thousand_corruptions_end_in_a_trace_or_an_error() {
    let check = |bytes: Vec<u8>| match open(bytes) {
        Ok(trace) => assert!(!trace.is_empty()),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    };
    for whole in samples() {
        for cut in 0..whole.len() {
            check(whole[..cut].to_vec());
        }
        let mut state = 1_u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut damaged = whole.clone();
            let at = (state >> 33) as usize % damaged.len();
            damaged[at] = damaged[at].wrapping_add((state >> 20) as u8 | 1);
            check(damaged);
        }
    }
}

#[test]
fn a_cut_recording_is_marked() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &unpacked(HEAPTRACK)).unwrap();
    let gzip = gzip.finish().unwrap();
    for (bytes, sentence) in [
        (MTRACE_CALLS[..5000].to_vec(), "ends inside the line"),
        (utils_file()[..64 * 9 + 5].to_vec(), "ends inside the record at byte 576"),
        (gzip[..gzip.len() - 3000].to_vec(), "of the compressed file"),
        (
            MTRACE_CALLS.iter().take(4000).copied().chain(*b"\n@ garbage\n+ 0x1 0x2\n").collect(),
            "only what stands before",
        ),
    ] {
        let trace = open(bytes).unwrap();
        let truncated = trace.origin.source.doubt.truncated.as_deref().unwrap_or_default();
        assert!(truncated.contains(sentence), "{truncated}");
    }
}
