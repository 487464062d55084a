//! `arenascope lesson`: what it writes and checks.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn arenascope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arenascope")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder of this test's own, and a file in it that is not there yet.
fn fresh(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    (folder, file)
}

#[test]
fn a_new_lesson_is_one_that_holds() {
    let (_folder, file) = fresh("my-first.ron");
    let path = file.to_str().unwrap();
    let made = arenascope(&["lesson", "new", path]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = arenascope(&["lesson", "new", path]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is there already"));
    let checked = arenascope(&["lesson", "check", path, "--json"]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let json: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(0));
    assert!(json["claims"].as_u64() > Some(50), "{json}");
    let replayed = arenascope(&["replay", path, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(json["operations"].as_u64(), Some(7), "a lesson is a trace too");
}

#[test]
fn what_is_not_true_is_named_with_its_place() {
    let (_folder, file) = fresh("false.ron");
    let lesson = "Lesson(id: \"x\", name: \"X\", goal: \"G\", minutes: 5, steps: [run(\"a = malloc(32)\"), \
                  say(text: \"T\", claims: [\"offset(a) == 47\", \"nonsense(a)\"])])";
    std::fs::write(&file, lesson).unwrap();
    let path = file.to_str().unwrap();
    let checked = arenascope(&["lesson", "check", path, "--profile", "cpython-3.14"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked.stdout);
    assert!(said.contains("step 2, under cpython-3.14: `offset(a) == 47`: it is not true"), "{said}");
    assert!(said.contains("`nonsense(a)`: there is no function `nonsense`"), "{said}");
    std::fs::write(&file, lesson.replace("malloc(32)", "mallok(32)")).unwrap();
    let said = text(&arenascope(&["lesson", "check", path]).stderr);
    assert!(said.contains("step 1 of x: there is no call `mallok`") || said.contains("mallok"), "{said}");
}

/// A puzzle is held to its solution, its best score and its wrong programs.
#[test]
fn puzzles_are_checked_too() {
    let puzzle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/puzzles/04-full-pool.ron");
    let checked = arenascope(&["lesson", "check", puzzle.to_str().unwrap(), "--json"]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let json: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((json["puzzles"].as_u64(), json["lessons"].as_u64()), (Some(1), Some(0)));
    let (_folder, file) = fresh("false.ron");
    let path = file.to_str().unwrap();
    let written = std::fs::read_to_string(puzzle).unwrap();
    let said = |from: &str, to: &str| {
        assert!(written.contains(from), "{from}");
        std::fs::write(&file, written.replace(from, to)).unwrap();
        let checked = arenascope(&["lesson", "check", path, "--profile", "cpython-3.14"]);
        assert_eq!(checked.status.code(), Some(1));
        text(&checked.stdout) + &text(&checked.stderr)
    };
    let wrong = said("best: \"blocks(threshold)\"", "best: \"30\"");
    assert!(
        wrong.contains("under cpython-3.14: the solution scores 31, and the best is said to be 30"),
        "{wrong}"
    );
    let wrong = said("misses: [1, 2]", "misses: [1]");
    assert!(wrong.contains("wrong program 3 misses [1, 2], and is said to miss [1]"), "{wrong}");
    let wrong = said("hint:", "hnit:");
    assert!(wrong.contains("hnit") && wrong.contains("line"), "{wrong}");
}

/// What the playground saves leads `replay` to the same places.
#[test]
fn a_saved_program_is_replayed_to_the_same_places() {
    let mut engine = session::Engine::new(None);
    let program = "#! arena_size=64K\nfor i in range(300): a[i] = malloc(16*(1 + i%32))\nfor i in range(0, 300, 3): free(a[i])\n\
                   b = malloc(600, mem)\nb = realloc(b, 40)\nc = calloc(3, 100)\nd = malloc(40, raw)\nfree(d)\n";
    engine.order(session::Order::Take(program.to_owned()));
    engine.order(session::Order::SaveProgram);
    while engine.busy() {
        engine.work(0.0, std::time::Duration::from_millis(5));
    }
    let (name, saved) = engine.update(true).unwrap().saved.unwrap();
    let (_folder, file) = fresh(&name);
    std::fs::write(&file, saved).unwrap();
    let replayed = arenascope(&["replay", file.to_str().unwrap(), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&replayed.stdout).unwrap();
    let session = engine.session().unwrap();
    assert_eq!((session.step(), json["operations"].as_u64()), (405, Some(405)));
    assert_eq!(json["digest"].as_str(), Some(format!("{:016x}", session.digest()).as_str()));
}

#[test]
fn a_lesson_can_be_printed() {
    let lesson = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course/01-first-block.ron");
    let (_folder, page) = fresh("first.html");
    let printed = arenascope(&["lesson", "print", lesson.to_str().unwrap(), "-o", page.to_str().unwrap()]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let html = std::fs::read_to_string(&page).unwrap();
    for words in [
        "<h1>1 A first block</h1>",
        "<code>a = malloc(24)</code>",
        "<h2>Answers</h2>",
        "some believe that",
        // Its pictures are those that its beats show.
        "arena 0: 1 of 64 pools in use",
        "pool 0 of arena 0: ref.count 1, freeblock +80",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let pictures: Vec<&str> =
        html.split("<svg").skip(1).filter_map(|rest| rest.split("</svg>").next()).collect();
    assert!(pictures.windows(2).all(|pair| pair[0] != pair[1]), "none is drawn twice in a row");
    let bare = page.with_file_name("bare.html");
    arenascope(&["lesson", "print", lesson.to_str().unwrap(), "-o", bare.to_str().unwrap(), "--no-answers"]);
    assert!(!std::fs::read_to_string(&bare).unwrap().contains("Answers"));
}

/// Every pane that a beat may show has something to print.
#[test]
fn each_pane_is_printed() {
    let course = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course");
    for (lesson, words) in [
        ("05-filling.ron", &["<th>usedpools, front first", "pool 1: 62, pool 0: 62, pool 2: 1"][..]),
        ("07-which-arena.ron", &["<th>usable_arenas", "nfp2lasta["]),
        ("13-domains.ron", &["<tr><td>RAW<td>", "<mark>_PyObject_Malloc</mark>"]),
        ("14-hooks.ron", &["the free list runs in a circle", "fd fd fd fd"]),
        ("15-tracemalloc.ron", &["is_tracing() True"]),
        ("16-stats.ron", &["<mark># bytes in allocated blocks"]),
        ("22-mi-lists.ron", &["was b[4]", "local_free, head"]),
    ] {
        let (_folder, page) = fresh("page.html");
        let file = course.join(lesson);
        let printed = arenascope(&["lesson", "print", file.to_str().unwrap(), "-o", page.to_str().unwrap()]);
        assert!(printed.status.success(), "{lesson}: {}", text(&printed.stderr));
        let html = std::fs::read_to_string(&page).unwrap();
        for words in words {
            assert!(html.contains(words), "{lesson}: {words}");
        }
    }
}
