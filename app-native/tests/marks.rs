//! Marks on the command line: listed, and a step by name wherever one is asked for.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arenascope")).args(args).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails(args: &[&str], code: i32, expected: &str) {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.contains(expected), "{args:?}: {error}");
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

/// 30 blocks, of which the first 20 go again; marks at 0, 10, 20, 40, and at the end. The peak is at 30.
fn trace(folder: &Folder) -> String {
    let mut text = String::from("# marked\n#! mark begin\n");
    for id in 1..=30 {
        if id == 11 || id == 21 {
            text.push_str("#! mark request-end\n");
        }
        writeln!(text, "m o {id} {}", if id % 2 == 0 { 48 } else { 600 }).unwrap();
    }
    for id in 1..=20 {
        writeln!(text, "f o {id}").unwrap();
        if id == 10 {
            text.push_str("#! mark half way, \"there\"\n");
        }
    }
    text.push_str("#! mark end of it\n");
    let path = folder.at("marked.ptrace");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn info_lists_marks_in_every_format() {
    let folder = Folder::new("marks-info");
    let path = trace(&folder);
    let expected = serde_json::json!([
        {"name": "begin", "step": 0},
        {"name": "request-end", "step": 10},
        {"name": "request-end", "step": 20},
        {"name": "half way, \"there\"", "step": 40},
        {"name": "end of it", "step": 50},
    ]);
    let text = stdout(&["info", &path]);
    assert!(text.contains("  marks       5\n      step             0  begin\n"), "{text}");
    assert_eq!(json(&["info", &path, "--json"])["marks"], expected);
    for ending in ["atrace", "csv", "ron", "ptrace"] {
        let out = folder.at(&format!("out.{ending}"));
        stdout(&["convert", &path, &out]);
        assert_eq!(json(&["info", &out, "--json"])["marks"], expected, "{ending}");
    }
}

#[test]
fn a_run_stops_at_a_mark() {
    let folder = Folder::new("marks-until");
    let path = trace(&folder);
    for (until, steps) in [
        ("mark:begin", 0),
        ("mark:request-end", 10),
        ("mark:request-end#2", 20),
        ("mark:half way, \"there\"", 40),
        ("mark:end of it", 50),
        ("1_0", 10),
    ] {
        let there = json(&["replay", &path, "--until", until, "--json"]);
        let same = json(&["replay", &path, "--until", &steps.to_string(), "--json"]);
        assert_eq!((&there["operations"], &there["digest"]), (&steps.into(), &same["digest"]), "{until}");
    }
    let near = "--until mark:requestend is not in marked, which has mark:request-end, ";
    fails(&["replay", &path, "--until", "mark:requestend"], 1, near);
    fails(&["replay", &path, "--until", "mark:requestend", "--bench", "1"], 1, near);
    fails(&["replay", &path, "--until", "mark:request-end#3"], 1, "where 2 marks stand of that name");
    fails(&["replay", &path, "--until", "mark:"], 2, "mark: needs a name");
    // Nothing is left of a placement that was to end at a mark that is not there.
    let placement = folder.at("out.golden");
    fails(&["replay", &path, "--until", "mark:x", "--placement", &placement], 1, "mark:x is not in");
    assert!(!Path::new(&placement).exists());
    assert_eq!(
        stdout(&["replay", &path, "--until", "mark:request-end", "--placement", "-"]).lines().count(),
        11
    );
}

#[test]
fn a_picture_is_drawn_at_a_place_by_name() {
    let folder = Folder::new("marks-render");
    let (path, out) = (trace(&folder), folder.at("map.svg"));
    for (at, title) in [
        ("start", "after operation 0 of 50"),
        ("end", "after operation 50 of 50"),
        ("peak", "after operation 30 of 50"),
        ("mark:request-end#2", "after operation 20 of 50"),
        ("1_5", "after operation 15 of 50"),
    ] {
        stdout(&["render", &path, "--at", at, "-o", &out]);
        let svg = std::fs::read_to_string(&out).unwrap();
        assert!(svg.contains(title), "{at}");
    }
    stdout(&["render", &path, "-o", &out]);
    assert!(std::fs::read_to_string(&out).unwrap().contains("after operation 50 of 50"));
    fails(
        &["render", &path, "--at", "51", "-o", &out],
        1,
        "--at 51 is past the end: marked has 50 operations",
    );
    fails(&["render", &path, "--at", "mark:half", "-o", &out], 1, "which has mark:half way, \"there\", ");
    fails(
        &["render", &path, "--at", "half", "-o", &out],
        2,
        "`half` is no step; write a number such as 12_345",
    );
}

#[test]
fn a_range_is_cut_out_between_marks() {
    let folder = Folder::new("marks-trim");
    let (path, out) = (trace(&folder), folder.at("part.ptrace"));
    for (from, to, before, kept) in [
        ("mark:request-end", "mark:request-end#2", 10, 10),
        ("mark:begin", "mark:end of it", 0, 50),
        ("start", "peak", 0, 30),
        ("peak", "end", 30, 20),
        ("mark:request-end#2", "45", 20, 25),
    ] {
        let counts = json(&["trim", &path, &out, "--from", from, "--to", to, "--json"]);
        assert_eq!((&counts["before"], &counts["kept"]), (&before.into(), &kept.into()), "{from} {to}");
    }
    stdout(&["trim", &path, &out, "--from", "mark:request-end", "--to", "mark:request-end#2"]);
    let marks = json(&["info", &out, "--json"])["marks"].clone();
    let expected =
        serde_json::json!([{"name": "request-end", "step": 10}, {"name": "request-end", "step": 20}]);
    assert_eq!(marks, expected, "after the ten blocks that were live");
    fails(&["trim", &path, &out, "--from", "mark:no"], 1, "--from mark:no is not in marked, which has mark:");
    fails(&["trim", &path, &out, "--to", "mark:begin"], 1, "no operation lies between --from and --to");
    fails(&["trim", "-", &out, "--to", "peak"], 1, "this can be read only once; save it in a file first");
    fails(&["trim", &path, &out, "--to", "x"], 2, "write a number of operations");
}

#[test]
fn care_keeps_marks_and_hides_their_names() {
    let folder = Folder::new("marks-care");
    let path = trace(&folder);
    let steps = |path: &str| -> Vec<u64> {
        let marks = json(&["info", path, "--json"])["marks"].clone();
        marks.as_array().unwrap().iter().map(|m| m["step"].as_u64().unwrap()).collect()
    };
    let out = folder.at("anonymous.csv");
    stdout(&["anonymize", &path, &out, "--key", "k"]);
    assert_eq!(steps(&out), [0, 10, 20, 40, 50]);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(!text.contains("request") && !text.contains("half") && text.contains("#! mark mark_"), "{text}");
    let out = folder.at("merged.atrace");
    stdout(&["merge", &out, &path, &path]);
    assert_eq!(steps(&out), [0, 10, 20, 40, 50, 50, 60, 70, 90, 100]);
    stdout(&["split", &path, "-o", &folder.at("part")]);
    let part = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.file_name().unwrap().to_string_lossy().starts_with("part.0."));
    assert_eq!(steps(part.unwrap().to_str().unwrap()), [0, 10, 20, 40, 50]);
}
