//! `arenascope lesson check --live`: lessons against a libpython of this machine.

#![cfg(all(feature = "live", target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../trace-io/tests/support/outside.rs"]
mod outside;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn arenascope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arenascope")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn course() -> Vec<PathBuf> {
    outside::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course"), ".ron").unwrap()
}

/// Whether there is a libpython; it says so where there is none.
fn found() -> bool {
    let lesson = course()[0].display().to_string();
    let checked = arenascope(&["lesson", "check", "--live", &lesson]);
    let why = text(&checked.stderr);
    if why.contains("no libpython was found") {
        assert_eq!((checked.status.code(), why.lines().count()), (Some(1), 1), "{why}");
        assert!(why.contains("libpython3-dev") && why.contains("--live=LIBPYTHON"), "what to do: {why}");
        outside::not_run("lessons against a libpython, by the command line", why.trim());
        return false;
    }
    assert!(checked.status.success(), "{why}{}", text(&checked.stdout));
    true
}

#[test]
fn the_course_holds_in_the_interpreter_that_is_found() {
    if !found() {
        return;
    }
    let course: Vec<String> = course().iter().map(|path| path.display().to_string()).collect();
    let mut call = vec!["lesson", "check", "--live", "--json"];
    call.extend(course.iter().map(String::as_str));
    let checked = arenascope(&call);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let json: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(json["python"].as_str().unwrap().starts_with("3."), "{json}");
    let number = |key: &str| json[key].as_u64().unwrap();
    let list = |key: &str| json[key].as_array().unwrap().len() as u64;
    assert!(number("claims") > 500 && number("operations") > 100_000, "{json}");
    let all = number("lessons")
        + json["own_arenas"]["lessons"].as_u64().unwrap()
        + list("without_stacks")
        + list("not_driven")
        + list("not_for_this_build");
    assert_eq!((all, list("differences")), (course.len() as u64, 0), "every lesson is counted once: {json}");
    // The library that was found can be named, and is the same.
    let library = format!("--live={}", json["library"].as_str().unwrap());
    let named = text(&arenascope(&["lesson", "check", &library, &course[2]]).stdout);
    let python = json["python"].as_str().unwrap();
    assert!(
        named.starts_with(&format!("CPython {python}, ")) && named.contains("03-lifo.ron: 2,021 operations"),
        "{named}"
    );
}

#[test]
fn what_a_lesson_says_wrongly_shows() {
    if !found() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("false.ron");
    let lesson = "Lesson(id: \"x\", name: \"X\", goal: \"G\", minutes: 5, steps: [run(\"a = malloc(32)\"), \
                  say(text: \"T\", claims: [\"offset(a) == 47\"])])";
    std::fs::write(&file, lesson).unwrap();
    let path = file.to_str().unwrap();
    let checked = arenascope(&["lesson", "check", "--live", path]);
    assert_eq!(checked.status.code(), Some(1));
    let (said, line) = (text(&checked.stdout), text(&checked.stderr));
    assert!(said.contains("`offset(a) == 47`: it is not true") && said.contains("1 difference"), "{said}");
    assert!(line.contains("one lesson is not what CPython 3.") && line.lines().count() == 1, "{line}");
    // Threads are not driven, and that is said.
    let lesson = lesson.replace("a = malloc(32)", "a = malloc(32, thread=1)").replace("47", "pool.header");
    std::fs::write(&file, lesson).unwrap();
    let checked = arenascope(&["lesson", "check", "--live", path]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let said = text(&checked.stdout);
    assert!(
        said.contains("not driven: it has several threads") && said.contains("; 1 lesson not driven"),
        "{said}"
    );
}

#[test]
fn what_is_no_libpython_is_refused_in_a_line() {
    let lesson = course()[0].display().to_string();
    let own = format!("--live={}", env!("CARGO_BIN_EXE_arenascope"));
    for (library, words) in [("--live=/no/such.so", "it is no file"), (&*own, "it is no libpython: ")] {
        let refused = arenascope(&["lesson", "check", library, &lesson]);
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{line}");
        assert!(line.contains(words) && line.lines().count() == 1, "{line}");
    }
    let wrong = arenascope(&["lesson", "check", "--live", "--profile", "cpython-3.9", &lesson]);
    assert_eq!(wrong.status.code(), Some(2), "its version decides");
    let help = text(&arenascope(&["--help"]).stdout) + &text(&arenascope(&["completions", "bash"]).stdout);
    assert!(!help.contains("drive-libpython"), "nobody types it");
}
