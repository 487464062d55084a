//! Round trips, bad input and damage: an error names the place and the remedy in one line, nothing panics.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Cursor, Read};

use proptest::prelude::*;
use sim_core::{Call, Domain, Op, Trace, TraceBuilder};
use support::said;
use trace_io::workload::Workload;
use trace_io::{Format, Loader, Remedy, TraceError, lesson, ptrace};

fn open(bytes: impl Into<Vec<u8>>) -> Result<Trace, TraceError> {
    trace_io::open("test", Box::new(Cursor::new(bytes.into())))
}

fn ops(trace: &Trace) -> Vec<Op> {
    (0..trace.len()).map(|i| trace.op(i).unwrap()).collect()
}

#[track_caller]
fn check_error(bytes: impl Into<Vec<u8>>, expected: &str) {
    let error = said(&open(bytes).unwrap_err());
    assert!(!error.contains('\n'), "more than one line: {error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn bad_input_is_one_line_with_place_and_remedy() {
    check_error("", "an empty file");
    check_error("\n\n# only a comment\n", "no operation");
    check_error([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0], "byte 0: byte value 0x7f is no text");
    check_error([b'm', b' ', 0xff, 0xfe, b'\n'], "byte 2: the text is not UTF-8");
    check_error("m o 1 8\nz o 2 8\n", "line 2, column 1: `z` is no operation; write `m DOM ID SIZE`");
    check_error("m q 1 8\n", "line 1, column 3: `q` is no domain; write r (RAW), m (MEM) or o (OBJ)");
    check_error("m o 1\n", "line 1, column 6: the line ends too early");
    check_error("m o 1 8 9\n", "line 1, column 8: ` 9` stands after the operation");
    check_error("m  o 1 8\n", "line 1, column 3: a field is empty");
    check_error("m o one 8\n", "line 1, column 5: `one` is no number");
    check_error("m o 1 -8\n", "`-8` is no number");
    check_error(
        "m o 1 18446744073709551616\n",
        "line 1, column 7: `18446744073709551616` is over 18446744073709551615",
    );
    check_error(
        "m o 1 8\nm o 1 8\n",
        "line 2, column 1: id 1 already names the block of operation 1; free it first",
    );
    check_error("f o 7\n", "line 1, column 1: id 7 names no live block");
    check_error("m o 1 8\nf o 1\nf o 1\n", "line 3, column 1: id 1 names no live block");
    check_error("m o 0 8\n", "id 0 is NULL and cannot name a block");
    check_error("m o 1 8\nm o 2 8\nr o 1 2 9\n", "line 3, column 1: id 2 already names");
    check_error("m r 1 8\nf o 1\n", "line 2, column 1: id 1 was allocated through PyMem_Raw*");
    check_error(
        "#! speed=fast\nm o 1 8\n",
        "line 1, column 4: the directive `speed` is unknown; known are: arena_limit, lesson, malloc, malloc_stats",
    );
    check_error("#! arena_limit=soon\nm o 1 8\n", "`soon` is no value for arena_limit");
    check_error(
        "m o 1 8\n#! arena_limit=3\n",
        "line 2, column 1: a `#!` line stands after the first operation",
    );
    check_error("t99999 m o 1 8\n", "thread number");
    check_error(vec![b'm'; 10 << 20], "line 1, column 4097: the line is longer than 4096 bytes");
    check_error([b"#! ".as_slice(), &vec![b'x'; 10 << 20]].concat(), "longer than 4096 bytes");
    check_error([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3], "of the compressed file");
}

#[test]
fn a_long_comment_is_a_comment() {
    let mut text = b"#".to_vec();
    text.extend(vec![b'x'; 10 << 20]);
    text.extend(b"\nm o 1 8\n");
    assert_eq!(open(text).unwrap().len(), 1);
}

#[test]
fn bad_lessons_name_the_place() {
    let whole = include_str!("data/lessons/2-free-list.ron");
    for cut in [2, 40, whole.len() / 2, whole.len() - 3] {
        let error = said(&open(&whole[..whole.floor_char_boundary(cut)]).unwrap_err());
        assert!(
            error.contains("line ") && error.contains("docs/lessons.md") && !error.contains('\n'),
            "{error}"
        );
    }
    let lesson = |ops: &str| format!("(\n  name: \"x\", // operations: [\n  operations: [\n{ops}\n  ],\n)\n");
    check_error(
        lesson("    malloc(id: 1, size: 8),\n    malloc(id: 1, size: 9),"),
        "line 5, column 5: id 1 already names",
    );
    check_error(
        lesson("    note(\"a, ( b\"), malloc(id: 1, size: 8), /* [ */ free(id: 2),"),
        "line 4, column 53: id 2 names no",
    );
    check_error(lesson("    mallocate(id: 1),"), "mallocate");
    check_error(lesson("    malloc(id: 1, size: 18446744073709551616),"), "line 4");
    check_error(lesson(""), "no operation");
    check_error(
        "(name: \"x\", profile: \"cpython-2\", operations: [malloc(id: 1, size: 1)])",
        "no profile is called `cpython-2`",
    );
    check_error(
        "(name: \"x\", settings: {\"arena_size\": \"3M\"}, operations: [malloc(id: 1, size: 1)])",
        "power of two",
    );
}

#[test]
fn threads_and_domains_survive() {
    let text = "# a\nt3 m r 1 8\nc m 2 3 4\nt65535 r m 2 9 100\nf m 9\nf o 0\nr o 0 4 0\nm o 18446744073709551615 5\n";
    let trace = open(text).unwrap();
    let mut out = Vec::new();
    ptrace::write(&mut out, &trace).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!(trace.thread_count(), 3);
}

/// Every line that a scenario can have, as ptrace writes it.
const SCENARIO: &str = "# All actions
#! malloc=debug
#! malloc_stats=0
x set_arena_allocator count
x set_arena_allocator fail:3
x set_arena_allocator fail_from:100
x set_arena_allocator bump:4194304
x set_arena_allocator malloc
x set_arena_allocator default
x virtual_alloc 900 16384
x set_allocator m log
x set_allocator r count
x set_allocator o fail:7
x set_allocator o bump:4096
x set_allocator m libc
x set_allocator o pymalloc
x setup_debug_hooks
x stack with%20space.py:3 main.py:1
x stack
x tracemalloc start -1
x tracemalloc start 5
m o 1 40
x poke 1 -3 00ff
x track 389047 1 99
x tracemalloc snapshot before%20the%20leak
x untrack 389047 1
x tracemalloc reset_peak
x tracemalloc clear_traces
x tracemalloc snapshot after
x tracemalloc stop
x detach
x attach
x interpreter_new 1 own
x interpreter_new 2 main
x interpreter_switch 1
t3 m m 2 600
k m 2
x interpreter_switch 2
x interpreter_end 2
x interpreter_end 1
x virtual_free 900
f o 1
";

#[test]
fn every_action_survives_in_both_formats() {
    let trace = open(SCENARIO).unwrap();
    let mut text = Vec::new();
    ptrace::write(&mut text, &trace).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), SCENARIO);

    let mut text = Vec::new();
    lesson::write(&mut text, &trace).unwrap();
    let back = open(text).unwrap();
    assert_eq!((back.head.malloc, &back.head.malloc_stats), (trace.head.malloc, &trace.head.malloc_stats));
    let mut text = Vec::new();
    ptrace::write(&mut text, &back).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), SCENARIO);
    for whole in [SCENARIO.as_bytes(), &{
        let mut ron = Vec::new();
        lesson::write(&mut ron, &trace).unwrap();
        ron
    }] {
        for cut in 0..whole.len() {
            let _ = open(&whole[..cut]);
        }
    }
}

#[test]
fn actions_that_cannot_stand_are_refused() {
    check_error(
        "x set_arena_allocator munmap\n",
        "column 23: `munmap` is no arena hook; write default, malloc",
    );
    check_error("x set_arena_allocator bump:much\n", "is no arena hook");
    check_error("m o 1 8\nx virtual_free 1\n", "line 2, column 1: id 1 is no chunk of virtual_alloc");
    check_error("x virtual_alloc 1 16384\nm o 1 8\n", "id 1 already names");
    check_error("x virtual_free 4\n", "id 4 names no live block");
    check_error("x interpreter_switch 3\n", "interpreter 3 is not there");
    check_error("x interpreter_new 0 own\n", "interpreter 0 is there already");
    check_error("x interpreter_new 1 shared\n", "`shared` is no choice of obmalloc state; write own");
    check_error(
        "x interpreter_new 1 own\nx interpreter_new 1 own\n",
        "line 2, column 1: interpreter 1 is there",
    );
    check_error("x interpreter_end 0\n", "interpreter 0 cannot be ended");
    check_error("x interpreter_new 5000000000 own\n", "over 32 bits");
    let many = |line: &dyn Fn(usize) -> String| (1..=70).map(line).collect::<String>();
    check_error(
        many(&|n| format!("x interpreter_new {n} own\n")),
        "line 65, column 1: interpreter 65 is one too many",
    );
    check_error(
        many(&|n| format!("x tracemalloc snapshot s{n}\n")),
        "line 65, column 1: more than 64 snapshots",
    );
    check_error("x tracemalloc snap\n", "write start N, stop, clear_traces, reset_peak or snapshot NAME");
}

#[test]
fn operations_of_mimalloc_survive() {
    let text = "# a\nm g 1 48\nc p 2 3 4\nr g 1 5 100\nt2 d m 0 8\nt1 d p 2 12\nt1 x\ng 1\ng 0\nv 12\nt3 q\nP\nf g 5\n";
    let trace = open(text).unwrap();
    assert!(!trace.needs_layers());
    assert_eq!((trace.needs_mimalloc(), trace.origin.mimalloc_line), (Some((0, "g")), Some(2)));
    let mut out = Vec::new();
    ptrace::write(&mut out, &trace).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), text);

    let mut ron = Vec::new();
    lesson::write(&mut ron, &trace).unwrap();
    let mut out = Vec::new();
    ptrace::write(&mut out, &open(ron).unwrap()).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), text);

    check_error("m m 1 8\ng 2\n", "line 2, column 3: `2` is neither 0 nor 1");
    check_error("x 1\n", "`1` is no action");
    check_error("q 1\n", "line 1, column 2: ` 1` stands after the operation");
    check_error("d m 1 8\n", "id 1 names no live block");
    check_error("m m 1 8\nd m 1 8\nf m 1\n", "line 3, column 1: id 1 names no live block");
}

#[test]
fn a_lesson_is_what_says_so() {
    let is_lesson = |bytes: &[u8]| open(bytes).unwrap().is_lesson();
    assert!(is_lesson(include_bytes!("data/lessons/2-free-list.ron")));
    assert!(is_lesson(include_bytes!("../../traces/course/01-first-block.ron")));
    for head in
        ["Lesson(", "(", "\u{feff} Lesson (", "// ours\nLesson(", "#![enable(implicit_some)]\nLesson("]
    {
        let course = format!(
            "{head}id: \"x\", name: \"X\", goal: \"X.\", minutes: 1, steps: [run(\"a = malloc(8)\")])"
        );
        assert!(is_lesson(course.as_bytes()), "{head}");
        let plain = format!("{head}name: \"x\", operations: [malloc(id: 1, size: 8)])");
        assert!(is_lesson(plain.as_bytes()), "{head}");
        // It may quote what another format begins with.
        let quoting = course.replace("X.", "X:\nSmall block threshold = 512, in 32 size classes.\n");
        assert!(is_lesson(quoting.as_bytes()), "{head}");
    }
    assert!(is_lesson(b"#! lesson=yes\nm o 1 8\n"));
    // Not by being short.
    assert!(
        !is_lesson(b"m o 1 8\n")
            && !is_lesson(b"(name: \"x\", lesson: false, operations: [malloc(id: 1, size: 8)])")
    );
    check_error("#! lesson=no\nm o 1 8\n", "line 1, column 4: `no` is no value for lesson; write lesson=yes");
    // It stays one in every format, and what is none becomes none.
    for text in ["#! lesson=yes\nm o 1 8\n", "m o 1 8\n"] {
        let trace = open(text).unwrap();
        for format in [Format::Ptrace, Format::Ron, Format::Csv, Format::Atrace] {
            let mut out = Vec::new();
            let mut to = trace_io::writer(format, &mut out).unwrap();
            to.write(&trace).unwrap();
            assert_eq!(to.finish(&trace).unwrap(), []);
            assert_eq!(is_lesson(&out), trace.is_lesson(), "{format:?}");
        }
    }
}

#[test]
fn a_run_without_mimalloc_refuses_its_operations_by_name_and_line() {
    use sim_core::{Machine, Profile};
    let refused = |text: &str, profile: &str| {
        let trace = open(text).unwrap();
        let error = Machine::for_trace(&Profile::named(profile).unwrap(), &trace, None).unwrap_err();
        (error.to_string(), Remedy::from(&error))
    };
    for line in ["g 0", "x", "v 3", "q", "d m 1 8", "P", "m g 2 8", "f p 1"] {
        let text = format!("# one\nm o 1 8\n\n{line}\n");
        let name = if line.ends_with("g 2 8") {
            "g"
        } else if line.starts_with('f') {
            "p"
        } else {
            &line[..1]
        };
        let expected = format!("line 4: `{name}` is an operation of mimalloc");
        for profile in ["cpython-3.14", "cpython-3.13", "cpython-3.9"] {
            let (error, remedy) = refused(&text, profile);
            assert!(error.starts_with(&expected) && remedy == Remedy::Mimalloc, "{error}; {remedy:?}");
        }
        let trace = open(text).unwrap();
        Machine::for_trace(&Profile::named("cpython-3.14t").unwrap(), &trace, None).unwrap();
    }
    let (error, _) = refused("#! malloc=pymalloc\nm o 1 8\n", "cpython-3.14t");
    assert!(
        error.starts_with("Fatal Python error: preconfig_init_allocator: PYTHONMALLOC: unknown allocator")
    );
    assert!(error.contains("default, debug, mimalloc, mimalloc_debug"), "{error}");
    let (error, _) = refused("#! malloc=mimalloc\nm o 1 8\n", "cpython-3.10");
    assert!(error.contains("unknown allocator (`mimalloc`"), "{error}");
}

fn any_trace() -> impl Strategy<Value = Trace> {
    (any::<u64>(), 1_u64..400, 1_u64..60).prop_map(|(seed, operations, live)| {
        let mut tape = TraceBuilder::new("random");
        for op in &Workload::python(seed, operations, live) {
            tape.push(op).unwrap();
        }
        tape.push(Op { thread: 2, domain: Domain::Mem, call: Call::Malloc { id: 1 << 40, size: 1 << 63 } })
            .unwrap();
        tape.trace_mut()
            .head
            .notes
            .push(sim_core::Note { at: seed % operations, text: "a \"note\"\nin two lines".into() });
        tape.trace_mut().head.settings.push(("arena_limit".into(), "5".into()));
        tape.finish()
    })
}

proptest! {
    #[test]
    fn ptrace_and_ron_lose_nothing_they_can_carry(trace in any_trace()) {
        let mut text = Vec::new();
        ptrace::write(&mut text, &trace).unwrap();
        let back = open(text).unwrap();
        prop_assert_eq!(ops(&back), ops(&trace));
        prop_assert_eq!(&back.head.settings, &trace.head.settings);
        let losses: Vec<String> = ptrace::losses(&trace).iter().map(ToString::to_string).collect();
        prop_assert_eq!(losses, ["1 notes"]);

        let mut text = Vec::new();
        lesson::write(&mut text, &trace).unwrap();
        let back = open(text).unwrap();
        prop_assert_eq!(ops(&back), ops(&trace));
        prop_assert_eq!((&back.head.settings, &back.head.notes, &back.head.name), (&trace.head.settings, &trace.head.notes, &trace.head.name));
    }

    #[test]
    fn a_seed_gives_one_trace(seed in any::<u64>()) {
        let a: Vec<Op> = Workload::python(seed, 200, 30).iter().collect();
        let b: Vec<Op> = Workload::python(seed, 200, 30).iter().collect();
        prop_assert_eq!(a, b);
    }
}

/// The generator's output is a promise: this value may never change.
#[test]
fn seed_7_gives_the_trace_it_always_gave() {
    let mut text = Vec::new();
    for op in &Workload::python(7, 10_000, 500) {
        ptrace::write_op(&mut text, &Trace::default(), &op).unwrap();
    }
    let mut hash = sim_core::report::Fnv64::default();
    hash.bytes(&text);
    assert_eq!(format!("{:016x}", hash.0), "31caabfe14caad80");
}

/// A source that gives a few bytes at a time, as a network or a pipe may.
struct Dribble(Cursor<Vec<u8>>, usize);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(self.1);
        self.0.read(&mut buffer[..n])
    }
}

#[test]
fn how_bytes_arrive_does_not_matter() {
    let bytes = include_bytes!("data/t10_null_zero.ptrace.zst").to_vec();
    let whole = ops(&open(bytes.clone()).unwrap());
    for n in [1, 3, 7, 1000] {
        let mut loader = Loader::new("x.ptrace.zst", Box::new(Dribble(Cursor::new(bytes.clone()), n)), None);
        while !loader.advance().unwrap() {}
        assert_eq!(ops(&loader.finish().unwrap().trace().unwrap()), whole);
    }
}

#[test]
fn every_prefix_and_many_corruptions_end_in_a_trace_or_an_error() {
    let ron = include_bytes!("data/lessons/3-full-pools.ron").to_vec();
    let zstd = include_bytes!("data/t10_null_zero.ptrace.zst").to_vec();
    let mut text = Vec::new();
    std::io::copy(&mut ruzstd::decoding::StreamingDecoder::new(&zstd[..]).unwrap(), &mut text).unwrap();
    for whole in [ron, zstd, text] {
        for cut in 0..whole.len() {
            let _ = open(&whole[..cut]);
        }
        let mut state = 1_u64;
        for _ in 0..3_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut damaged = whole.clone();
            let at = (state >> 33) as usize % damaged.len();
            damaged[at] = damaged[at].wrapping_add((state >> 20) as u8 | 1);
            if let Err(error) = open(damaged) {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}
