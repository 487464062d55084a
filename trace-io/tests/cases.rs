//! Small inputs from use, with what the real CPython does with them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Cursor;

use sim_core::report::malloc_stats;
use sim_core::{Machine, Profile};

/// The state at the end of a trace under a preset.
fn at_end(text: &str, preset: &str) -> Machine {
    let trace = trace_io::open("case.ptrace", Box::new(Cursor::new(text.to_owned()))).unwrap();
    let mut machine = Machine::for_trace(&Profile::named(preset).unwrap(), &trace, None).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut ());
    }
    machine
}

/// What it dies of, the last line of it.
fn death(text: &str, preset: &str) -> String {
    let died = at_end(text, preset).stopped().map(ToString::to_string).unwrap_or_default();
    died.lines().last().unwrap_or_default().to_owned()
}

const BEFORE_3_13: [&str; 5] = ["cpython-3.8", "cpython-3.9", "cpython-3.10", "cpython-3.11", "cpython-3.12"];
const FROM_3_13: [&str; 3] = ["cpython-3.13", "cpython-3.14", "cpython-3.15"];

/// Real 3.8.18, 3.9.18, 3.10.13, 3.11.7, 3.12.1 print no block of pymalloc's, 3.13.0 does.
#[test]
fn a_table_above_the_debug_hooks_hides_pymalloc_before_3_13() {
    for wrapped in [
        "#! malloc=debug\nm o 1 16\nx tracemalloc start 1\n",
        "#! malloc=debug\nm o 1 16\nx set_allocator o fail:3\n",
    ] {
        for preset in BEFORE_3_13 {
            assert_eq!(malloc_stats(&at_end(wrapped, preset)), "", "{preset}");
        }
        for preset in FROM_3_13 {
            assert!(malloc_stats(&at_end(wrapped, preset)).contains("Small block threshold"), "{preset}");
        }
    }
    for preset in BEFORE_3_13.into_iter().chain(FROM_3_13) {
        let debugged = malloc_stats(&at_end("#! malloc=debug\nm o 1 16\n", preset));
        assert!(debugged.contains("Small block threshold"), "{preset}: without a table above");
    }
}

/// Real 3.8.18: `Py_FatalError` got the function's name with 3.9.
#[test]
fn fatal_errors_of_3_8_name_no_function() {
    for (text, said, function) in [
        (
            "#! malloc=debug\nm o 1 16\nx poke 1 16 00\nf o 1\n",
            "bad trailing pad byte",
            "_PyMem_DebugRawFree",
        ),
        (
            "#! malloc=debug\nm o 1 16\nf m 1\n",
            "bad ID: Allocated using API 'o', verified using API 'm'",
            "_PyMem_DebugRawFree",
        ),
        (
            "#! malloc=debug\nx detach\nm o 1 16\n",
            "Python memory allocator called without holding the GIL",
            "_PyMem_DebugMalloc",
        ),
    ] {
        assert_eq!(death(text, "cpython-3.8"), format!("Fatal Python error: {said}"));
        assert_eq!(death(text, "cpython-3.9"), format!("Fatal Python error: {function}: {said}"));
    }
    // An id of 0 ends the message where it stands.
    let nul = "#! malloc=debug\nm o 1 16\nx poke 1 -8 00\nf o 1\n";
    assert_eq!(death(nul, "cpython-3.8"), "Fatal Python error: bad ID: Allocated using API '");
    assert!(death(nul, "cpython-3.9").contains("API '\0', verified using API 'o'"));
}

/// `libc_freeres` at the end of a program that was traced from there on.
#[test]
fn a_recording_of_frees_alone_is_named() {
    let frees = "@ /lib/x86_64-linux-gnu/libc.so.6:(__libc_freeres+a4)[0x17aa44] - 0x555ab9723740\n\
                 @ /lib/x86_64-linux-gnu/libc.so.6:(__libc_freeres+a4)[0x17aa44] - 0x555ab9723d90\n\
                 @ /lib/x86_64-linux-gnu/libc.so.6:(__libc_freeres+a4)[0x17aa44] - 0x555ab97a8710\n";
    let error = trace_io::open("frees.txt", Box::new(Cursor::new(frees))).unwrap_err().to_string();
    assert!(
        error.starts_with("mtrace, with 3 frees and moves of blocks from before the recording"),
        "{error}"
    );
}

/// Frees and moves of blocks from before are counted in every recorder's format, and the rest is kept.
#[test]
fn blocks_from_before_the_recording_are_counted() {
    for (name, text, frees, moves, operations) in [
        (
            "csv",
            "op,domain,id,size,address\nfree,obj,7,,0x1000\nmalloc,obj,1,48,0x2000\nfree,obj,1,,0x2000\n",
            1,
            0,
            2,
        ),
        (
            "mtrace",
            "= Start\n@ /a:[0x1] - 0x1000\n@ /a:[0x1] < 0x3000\n@ /a:[0x1] > 0x4000 0x10\n@ /a:[0x1] + 0x2000 0x30\n",
            1,
            1,
            2,
        ),
        ("heaptrack", "v 10500 3\nx 2 /a\nI 1000 100\nt 10 0\n- 1000\n+ 30 1 2000\n- 2000\n", 1, 0, 2),
    ] {
        let trace = trace_io::open(name, Box::new(Cursor::new(text))).unwrap();
        let doubt = &trace.origin.source.doubt;
        assert_eq!((doubt.unknown_frees, doubt.unknown_reallocs), (frees, moves), "{name}");
        assert_eq!(trace.len(), operations, "{name}");
        assert_eq!(doubt.sentences().len() as u64, frees + moves, "{name}: {:?}", doubt.sentences());
    }
}

/// memray 1.20 refuses it too: a count of segments is one too high, before the first allocation.
#[test]
fn a_capture_damaged_before_its_first_allocation_says_where_once() {
    let bytes = include_bytes!("data/memray-damaged.bin").to_vec();
    let error = trace_io::open("seg_five.bin", Box::new(Cursor::new(bytes))).unwrap_err().to_string();
    assert!(error.starts_with("byte 618: ") && error.matches("byte ").count() == 1, "{error}");
    assert!(!error.contains("kept"), "{error}");
}
