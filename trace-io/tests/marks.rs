//! Marks: names at steps, through every format and all care, in pieces, cut and damaged.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Cursor;

use proptest::prelude::*;
use sim_core::{Call, Domain, Op, Trace, TraceBuilder};
use support::{open, said, seal};
use trace_io::atrace::{AtraceFile, BlockKind, FileProfile, writer_in_blocks};
use trace_io::care::{Anonymize, Bound, Merge, Order, Split, Trim};
use trace_io::program::{Bounds, Program};
use trace_io::workload::Workload;
use trace_io::{Format, Loader, writer};

/// A tape with marks at steps, given in their order, on some threads.
fn marked(operations: u64, marks: &[(u64, &str)], threads: u16) -> Trace {
    let mut tape = TraceBuilder::new("marked");
    let mut marks = marks.iter().peekable();
    for (index, op) in Workload::python(9, operations, 40).iter().enumerate() {
        while let Some((_, name)) = marks.next_if(|mark| mark.0 == index as u64) {
            tape.mark(name).unwrap();
        }
        tape.push(Op { thread: index as u16 % threads, ..op }).unwrap();
    }
    marks.for_each(|(at, name)| {
        assert_eq!(*at, operations);
        tape.mark(name).unwrap();
    });
    tape.finish()
}

fn list(trace: &Trace) -> Vec<(u64, String)> {
    trace.head.marks.iter().map(|m| (m.at, m.name().to_owned())).collect()
}

fn write(trace: &Trace, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = writer(format, &mut out).unwrap();
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    out
}

/// Packed in blocks of so many operations.
fn pack(trace: &Trace, block: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = writer_in_blocks(&mut out, FileProfile::Archive, block, 0.0..0.0);
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    out
}

const WRITTEN: [Format; 4] = [Format::Ptrace, Format::Ron, Format::Csv, Format::Atrace];

/// Names that a line, a cell, a string or a place might mistake.
fn name() -> impl Strategy<Value = String> {
    let odd = "[a#\"',;\\\\/!= ü(){}|\u{1f9e0}-]{1,12}";
    prop_oneof![
        Just("request-end".to_owned()),
        Just("mark x".to_owned()),
        Just("#! mark".to_owned()),
        Just("ü".repeat(200)),
        odd.prop_filter_map("ends in white space", |name| (name.trim() == name).then_some(name)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn marks_come_back_through_every_format(
        operations in 1_u64..120,
        drawn in prop::collection::vec((0_u64..121, name()), 0..20),
        block in 1_usize..40,
        piece in 1_u64..40,
    ) {
        let mut marks: Vec<(u64, &str)> =
            drawn.iter().map(|(at, name)| ((*at).min(operations), name.as_str())).collect();
        marks.sort_by_key(|mark| mark.0);
        let whole = marked(operations, &marks, 3);
        let there = list(&whole);
        prop_assert_eq!(&there, &marks.iter().map(|(at, name)| (*at, (*name).to_owned())).collect::<Vec<_>>());
        for format in WRITTEN {
            let written = write(&whole, format);
            prop_assert_eq!(&list(&open(written.clone()).unwrap()), &there, "{:?}", format);
            // The same read and written on a piece at a time.
            for to in WRITTEN {
                let mut out = Vec::new();
                let mut writer = writer(to, &mut out).unwrap();
                let mut loader = Loader::new("marked", Box::new(Cursor::new(written.clone())), None);
                loop {
                    let done = loader.advance().unwrap();
                    writer.write(loader.trace().unwrap()).unwrap();
                    loader.forget();
                    if done {
                        break;
                    }
                }
                writer.finish(loader.trace().unwrap()).unwrap();
                prop_assert_eq!(&list(&open(out).unwrap()), &there, "{:?} to {:?}", format, to);
            }
        }
        // In small blocks, and built in small pieces.
        prop_assert_eq!(&list(&open(pack(&whole, block)).unwrap()), &there);
        let mut out = Vec::new();
        let mut writer = writer(Format::Ptrace, &mut out).unwrap();
        let mut tape = TraceBuilder::new("marked");
        for index in 0..operations {
            whole.marks_at(index).iter().for_each(|mark| tape.mark(mark.name()).unwrap());
            tape.push(whole.op(index).unwrap()).unwrap();
            if tape.trace().len() >= piece {
                writer.write(tape.trace()).unwrap();
                tape.forget();
            }
        }
        whole.marks_at(operations).iter().for_each(|mark| tape.mark(mark.name()).unwrap());
        writer.write(tape.trace()).unwrap();
        tape.forget();
        writer.finish(tape.trace()).unwrap();
        prop_assert_eq!(&list(&open(out).unwrap()), &there);
    }

    #[test]
    fn a_tape_that_grows_has_the_marks_that_have_come(cut in 0_usize..4_000, block in 1_usize..30) {
        let marks = [(0, "start"), (30, "a"), (31, "b"), (31, "b"), (90, "a"), (100, "end")];
        let whole = marked(100, &marks, 1);
        for bytes in [pack(&whole, block), write(&whole, Format::Ptrace), write(&whole, Format::Csv)] {
            let cut = cut % (bytes.len() + 1);
            let mut loader = Loader::new("grows", Box::new(Cursor::new(bytes[..cut].to_vec())), None);
            // What is cut may be refused, or end in a part; what it has is right.
            let trace = loop {
                match loader.advance() {
                    Ok(false) => {}
                    Ok(true) => break loader.finish().ok().and_then(|loaded| loaded.trace().ok()),
                    Err(_) => break None,
                }
            };
            if let Some(trace) = trace {
                let end = trace.len();
                prop_assert!(trace.head.marks.iter().all(|m| m.at <= end));
                let before = |t: &Trace| -> Vec<_> { list(t).into_iter().filter(|m| m.0 < end).collect() };
                prop_assert_eq!(before(&trace), before(&whole));
            }
        }
    }
}

#[test]
fn what_is_written_is_what_the_page_says() {
    let trace = marked(2, &[(0, "a"), (1, "b c"), (1, "d, e"), (2, "z")], 1);
    let text = |format| String::from_utf8(write(&trace, format)).unwrap();
    let lines: Vec<String> = text(Format::Ptrace).lines().map(str::to_owned).collect();
    assert_eq!(
        (lines[1].as_str(), lines[3].as_str(), lines[4].as_str()),
        ("#! mark a", "#! mark b c", "#! mark d, e")
    );
    assert_eq!(lines.last().unwrap(), "#! mark z");
    assert!(text(Format::Ron).contains("        mark(\"d, e\"),\n"));
    assert!(text(Format::Csv).contains("\n\"#! mark d, e\",,,,,,,,,,,,\n"));
}

#[test]
fn a_bad_mark_is_an_error_with_its_line() {
    let long = "x".repeat(201);
    for (text, expected) in [
        ("m o 1 8\n#! mark\n".to_owned(), "line 2, column 8: the mark has no name"),
        ("m o 1 8\n#! mark   \n".to_owned(), "line 2, column 8: the mark has no name"),
        (format!("m o 1 8\nf o 1\n#! mark {long}\n"), "line 3, column 8: the mark's name has 201 characters"),
        ("m o 1 8\n#! mark a\tb\n".to_owned(), "line 2, column 8: the mark's name has the character '\\t'"),
        (
            "m o 1 8\n#! mark a\u{202e}b\n".to_owned(),
            "line 2, column 8: the mark's name has the character '\\u{202e}'",
        ),
        (
            "m o 1 8\n#! malloc=debug\n".to_owned(),
            "line 2, column 1: a `#!` line stands after the first operation",
        ),
        ("#! marked\nm o 1 8\n".to_owned(), "line 1, column 4: `marked` is no directive"),
        ("op,id,size\nmalloc,1,8\n#! mark,,\n".to_owned(), "line 3, column 8: the mark has no name"),
        (
            "(name: \"t\", operations: [malloc(id: 1, size: 8),\n mark(\"\")])".to_owned(),
            "line 2, column 2: the mark has no name",
        ),
        (
            "(name: \"t\", operations: [mark(\" x\")])".to_owned(),
            "the mark's name begins or ends with white space",
        ),
    ] {
        let error = said(&open(text.clone()).unwrap_err());
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    // Far enough on for the format to be known by then.
    let mut bytes = "m o 1 8\nf o 1\n".repeat(100_000).into_bytes();
    bytes.extend(b"#! mark \xff\xfe\nm o 1 8\n");
    let error = said(&open(bytes).unwrap_err());
    assert!(error.contains("line 200001, column 8: the mark's name is no UTF-8"), "{error}");
    // White space around a name is not of it, and a line may end as on Windows.
    let trace = open("#!  mark  a b \r\nm o 1 8\r\n#!mark c\r\n").unwrap();
    assert_eq!(list(&trace), [(0, "a b".to_owned()), (1, "c".to_owned())]);
}

#[test]
fn a_program_marks_where_it_stands() {
    let expand = |text: &str| {
        let program = Program::parse(text).unwrap();
        program.expand("t", &sim_core::Profile::default(), Bounds::default())
    };
    let text = "mark(\"begin\")\nfor i in range(2):\n    a = malloc(48)\n    free(a)\n    mark(\"turn\")\n";
    let expanded = expand(text).unwrap();
    assert_eq!(
        list(&expanded.trace),
        [(0, "begin".to_owned()), (2, "turn".to_owned()), (4, "turn".to_owned())]
    );
    assert_eq!(expanded.lines.len(), 4, "a mark is no operation");
    for (text, problem) in [
        ("a = malloc(8)\nmark(\"\")\n", "the mark has no name"),
        ("a = malloc(8)\nmark()\n", "mark() needs a text"),
        ("a = malloc(8)\nmark(a)\n", "mark() needs a text"),
    ] {
        let fault = expand(text).unwrap_err();
        assert!(fault.problem.contains(problem) && fault.at.line == 2, "{fault:?}");
    }
}

/// Blocks of a kind in a file, by where their headers are.
fn blocks(file: &[u8], kind: BlockKind) -> Vec<usize> {
    let (mut at, mut found) = (16, Vec::new());
    while let Some(header) = file.get(at..at + 44) {
        if header[4] == kind.code() {
            found.push(at);
        }
        at += 44 + u32::from_le_bytes(header[12..16].try_into().unwrap()) as usize;
    }
    found
}

#[test]
fn a_reader_that_does_not_know_marks_passes_over_them() {
    let whole = marked(100, &[(0, "a"), (50, "b"), (100, "c")], 1);
    let mut file = pack(&whole, 20);
    let (known, there) = (file.clone(), blocks(&file, BlockKind::Marks));
    assert_eq!(there.len(), 3);
    assert_eq!(file[9], 1, "an older reader takes the version");
    for at in there {
        file[at + 4] = 200;
    }
    // The index names their kind as well; without one the blocks are walked.
    let index = blocks(&file, BlockKind::Index)[0];
    file.truncate(index);
    seal(&mut file);
    let back = open(file).unwrap();
    assert!(back.head.marks.is_empty() && back.len() == 100);
    assert!((0..100).all(|index| back.op(index) == whole.op(index)));
    assert_eq!(open(known).unwrap().head.marks, whole.head.marks);
}

/// A file whose only block of marks holds `payload`, of so many entries.
fn with_marks(payload: &[u8], count: u32) -> Vec<u8> {
    let whole = marked(10, &[(3, "here")], 1);
    let mut out = Vec::new();
    let mut writer = writer_in_blocks(&mut out, FileProfile::Capture, 100, 0.0..0.0);
    writer.write(&whole).unwrap();
    writer.finish(&whole).unwrap();
    let at = blocks(&out, BlockKind::Marks)[0];
    let end = at + 44 + u32::from_le_bytes(out[at + 12..at + 16].try_into().unwrap()) as usize;
    let mut block = out[at..at + 44].to_vec();
    block[5] = 0;
    block[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    block[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    block[16..20].copy_from_slice(&count.to_le_bytes());
    block.extend(payload);
    out.splice(at..end, block);
    seal(&mut out);
    out
}

#[test]
fn marks_that_cannot_stand_are_refused_with_their_place() {
    // A distance of 3 is 6, one of -1 is 1.
    assert_eq!(
        list(&open(with_marks(b"\x06\x01a\x00\x01b", 2)).unwrap()),
        [(3, "a".to_owned()), (3, "b".to_owned())]
    );
    for (payload, count, expected) in [
        (&b"\x06\x01a\x01\x01b"[..], 2, "a mark after 2 operations follows one after 3"),
        (b"\x06\x00", 1, "the mark has no name"),
        (b"\x06\x02a\n", 1, "the character '\\n'"),
        (b"\x06\x02a\xff", 1, "a table does not hold what it must"),
        (b"\x06\x05a", 1, "a table does not hold what it must"),
        (b"\x06\x01a", 2, "a table does not hold what it must"),
        (b"\x06\x01a", 0, "a table does not hold what it must"),
        (b"\x18\x01a", 1, "a mark stands after 12 operations, past the end"),
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01a", 1, "past the end"),
    ] {
        let bytes = with_marks(payload, count);
        let error = said(&open(bytes.clone()).unwrap_err());
        assert!(error.contains(expected) && error.contains("byte "), "{payload:?}: {error}");
        // From the middle and from index and facts alone: an error or a trace.
        if let Ok(mut file) = AtraceFile::open("bad", Cursor::new(bytes)) {
            let _ = file.summary();
            if file.seek(5).is_ok() {
                while let Ok(Some(block)) = file.next_block() {
                    assert!(block.len() <= 10);
                }
            }
        }
    }
}

fn trim(trace: &Trace, from: u64, to: u64, prelude: bool) -> (Trace, u64) {
    let mut trim = Trim::new(Bound::Step(from), Bound::Step(to), prelude);
    trim.take(trace).unwrap();
    trim.finish(trace).unwrap();
    let before = trim.counts().prelude;
    (std::mem::take(trim.out()).finish(), before)
}

#[test]
fn a_trimmed_range_has_the_marks_of_its_steps_and_of_both_ends() {
    let whole = marked(
        100,
        &[(0, "start"), (29, "x"), (30, "a"), (30, "b"), (45, "c"), (60, "d"), (61, "y"), (100, "end")],
        1,
    );
    let (part, before) = trim(&whole, 30, 60, true);
    assert!(before > 0);
    let expected =
        [(0, "a"), (0, "b"), (15, "c"), (30, "d")].map(|(at, name)| (before + at, name.to_owned()));
    assert_eq!(list(&part), expected);
    let (bare, before) = trim(&whole, 30, 60, false);
    let names: Vec<String> = list(&bare).into_iter().map(|m| m.1).collect();
    assert_eq!((before, names.join("")), (0, "abcd".to_owned()));
    assert_eq!(list(&bare).last().unwrap().0, bare.len(), "where the range ends, whatever was dropped");
    assert_eq!(list(&trim(&whole, 0, u64::MAX, true).0), list(&whole));
    assert_eq!(list(&trim(&whole, 61, 1000, true).0).len(), 2);
}

#[test]
fn merged_and_split_traces_keep_marks_with_their_operations() {
    let (a, b) = (marked(10, &[(0, "a0"), (4, "a4"), (10, "a10")], 2), marked(6, &[(3, "b3"), (6, "b6")], 1));
    let mut merge = Merge::new(Order::Sequence, 2);
    for (input, trace) in [&a, &b].into_iter().enumerate() {
        while merge.take(input, trace, u64::MAX).unwrap() {}
        merge.finish(input, trace).unwrap();
    }
    let merged = std::mem::take(merge.out()).finish();
    let expected = [(0, "a0"), (4, "a4"), (10, "a10"), (13, "b3"), (16, "b6")];
    assert_eq!(list(&merged), expected.map(|(at, name)| (at, name.to_owned())));

    let mut split = Split::default();
    split.take(&a).unwrap();
    split.finish(&a).unwrap();
    let mut parts = 0;
    for (_, out) in split.outs() {
        let part = std::mem::take(out).finish();
        let marks = list(&part);
        assert_eq!(marks.iter().map(|m| m.1.as_str()).collect::<Vec<_>>(), ["a0", "a4", "a10"]);
        // Of the operations before the mark those that this part has.
        assert_eq!((marks[0].0, marks[2].0), (0, part.len()));
        parts += marks[1].0;
    }
    assert_eq!(parts, 4);
}

#[test]
fn an_anonymized_mark_is_a_hash_that_stays_the_same() {
    let whole = marked(10, &[(0, "Alice logs in"), (4, "b"), (10, "Alice logs in")], 1);
    let mut anonymize = Anonymize::new(b"key");
    anonymize.take(&whole).unwrap();
    anonymize.finish(&whole).unwrap();
    let out = list(&std::mem::take(anonymize.out()).finish());
    assert!(out.iter().all(|m| m.1.starts_with("mark_") && !m.1.contains("Alice")), "{out:?}");
    assert_eq!(out.iter().map(|m| m.0).collect::<Vec<_>>(), [0, 4, 10]);
    assert!(out[0].1 == out[2].1 && out[0].1 != out[1].1);
}

#[test]
fn a_mark_in_a_recording_that_begins_in_the_middle_is_at_its_operation() {
    // A free of a block never seen is no operation of the tape.
    let trace = open("op,id,size\nmalloc,1,8\nfree,9,\n#! mark here,,\nfree,1,\n").unwrap();
    assert_eq!((list(&trace), trace.len()), (vec![(1, "here".to_owned())], 2));
    let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: 1 } };
    assert_eq!(trace.op(1), Some(op));
}
