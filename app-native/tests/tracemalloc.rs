//! `arenascope tracemalloc`: a small program by its stacks alone, and the same with tracemalloc in it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn arenascope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arenascope")).args(args).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn stdout(args: &[&str]) -> String {
    let out = arenascope(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[track_caller]
fn fails(args: &[&str], code: i32, expected: &str) {
    let out = arenascope(args);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.contains(expected), "{args:?}: {error}");
}

/// A cache grows, a request comes and goes, a list is made larger elsewhere.
const PROGRAM: &str = "x stack cache.py:7 app.py:3\nm o 1 1000\nm r 2 30000\nx stack request.py:1 app.py:5\nm o 3 600\nf o 3\n\
                       #! mark warm\nx stack list.py:2 app.py:9\nr o 1 4 3000\nx stack\nc m 5 10 8\n";

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

/// The lines of the list.
fn listed(args: &[&str]) -> Vec<String> {
    let text = stdout(args);
    let (_, list) = text.split_once("\n\n").unwrap();
    list.lines().map(str::to_owned).collect()
}

#[test]
fn a_trace_with_stacks_says_what_tracemalloc_would() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "app.ptrace", PROGRAM);
    assert_eq!(
        stdout(&["tracemalloc", &file]),
        "32.3 KiB traced in 3 blocks, 32.3 KiB at the peak; most under cache.py:7: 29.3 KiB in 1 block\n"
            .to_owned()
            + "step 10 of 10, as if tracemalloc.start(1) had been called before the first operation\n\n\
               cache.py:7: size=29.3 KiB, count=1, average=29.3 KiB\n\
               list.py:2: size=3000 B, count=1, average=3000 B\n\
               <unknown>:0: size=80 B, count=1, average=80 B\n"
    );
    assert_eq!(
        listed(&["tracemalloc", &file, "--limit", "all", "--cumulative", "--top", "1"]),
        ["cache.py:7: size=29.3 KiB, count=1, average=29.3 KiB", "4 groups more; --top 5 lists all"]
    );
    assert_eq!(
        listed(&["tracemalloc", &file, "--compare-to", "mark:warm", "--key-type", "filename"]),
        [
            "list.py:0: size=3000 B (+3000 B), count=1 (+1), average=3000 B",
            "cache.py:0: size=29.3 KiB (-1000 B), count=1 (-1), average=29.3 KiB",
            "<unknown>:0: size=80 B (+80 B), count=1 (+1), average=80 B",
        ]
    );
    assert_eq!(
        listed(&["tracemalloc", &file, "--key-type", "traceback", "--limit", "2", "--top", "1"]),
        [
            "app.py:3: size=29.3 KiB, count=1, average=29.3 KiB",
            "  File \"app.py\", line 3",
            "  File \"cache.py\", line 7",
            "2 groups more; --top 3 lists all",
        ]
    );
    let text = stdout(&["tracemalloc", &file, "--at", "start"]);
    assert!(text.starts_with("0 B traced in 0 blocks, 0 B at the peak\nstep 0 of 10, "), "{text}");
    let text = stdout(&["tracemalloc", &file, "--at", "peak", "--json", "--compare-to", "start"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    for (field, value) in [
        ("step", json!(10)),
        ("supposed", json!(true)),
        ("traced_bytes", json!(33080)),
        ("peak_bytes", json!(33080)),
        ("limit", json!(1)),
        ("blocks", json!(3)),
        ("compared_to", json!(0)),
    ] {
        assert_eq!(report[field], value, "{field} of {report}");
    }
    assert_eq!(
        report["groups"][0],
        json!({
            "frames": [{"file": "cache.py", "line": 7}],
            "size": 30000, "count": 1, "size_diff": 30000, "count_diff": 1
        })
    );
}

#[test]
fn it_is_what_a_program_says_that_starts_tracemalloc_first() {
    let folder = tempfile::tempdir().unwrap();
    let plain = written(folder.path(), "plain.ptrace", PROGRAM);
    let text = format!("x tracemalloc start 2\n{PROGRAM}x tracemalloc snapshot s\n");
    let traced = written(folder.path(), "traced.ptrace", &text);
    for options in [&["--key-type", "lineno"][..], &["--key-type", "filename"], &["--key-type", "traceback"]]
    {
        let group: Vec<&str> = ["replay", &traced, "--snapshots", "--group-by", options[1]].to_vec();
        let report = stdout(&group);
        let (_, said) = report.split_once("[ s ]\n").unwrap();
        let said: Vec<&str> = said.lines().take_while(|line| !line.is_empty()).collect();
        let would = listed(&[&["tracemalloc", &plain, "--limit", "2"], options].concat());
        assert!(would.len() >= 3 && said.starts_with(&would.iter().map(String::as_str).collect::<Vec<_>>()));
        // The trace that runs it is asked in the same words.
        assert_eq!(listed(&[&["tracemalloc", &traced], options].concat()), would);
    }
    let text = stdout(&["tracemalloc", &traced]);
    assert!(text.contains("as the program traces it, 2 frames of each stack"), "{text}");
    fails(&["tracemalloc", &traced, "--at", "start"], 1, "not tracing at step 0; it starts at step 1");
    fails(&["tracemalloc", &traced, "--limit", "3"], 1, "leave --limit out");
}

#[test]
fn what_cannot_be_said_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "app.ptrace", PROGRAM);
    fails(&["tracemalloc", &file, "--key-type", "line"], 2, "unknown key_type: 'line'");
    fails(&["tracemalloc", &file, "--key-type", "traceback", "--cumulative"], 2, "cumulative mode");
    fails(&["tracemalloc", &file, "--limit", "0"], 2, "from 1 to 65535, or all");
    fails(&["tracemalloc", &file, "--limit", "65536"], 2, "from 1 to 65535, or all");
    fails(&["tracemalloc", &file, "--compare-to", "99"], 1, "past the end");
    let plain = written(folder.path(), "plain.ptrace", "m o 1 40\n");
    fails(&["tracemalloc", &plain], 1, "no Python stacks");
    let tables = written(folder.path(), "tables.ptrace", &format!("x set_allocator o libc\n{PROGRAM}"));
    fails(&["tracemalloc", &tables], 1, "replaces the tables");
}

#[test]
fn info_names_the_threads_of_a_capture() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../trace-io/tests/data/memray13.bin");
    let text = stdout(&["info", capture]);
    assert!(text.contains("  threads     2\n      1       second\n"), "{text}");
}
