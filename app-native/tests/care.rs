//! Recordings of other tools on the command line, and care for files: nothing half, nothing silent.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arenascope"));
    command.args(args).stdin(Stdio::null());
    command
}

fn arenascope(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let out = arenascope(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

fn error(args: &[&str]) -> String {
    let out = arenascope(args);
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    error
}

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-io/tests/data/recorded").join(name);
    path.to_string_lossy().into_owned()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }
}

#[test]
fn recordings_of_the_c_library_can_be_asked_for_pymalloc() {
    for name in ["small.heaptrack.raw.zst", "small.mtrace.zst", "calls.mtrace"] {
        let file = recorded(name);
        let (plain, taken) =
            (json(&["info", &file, "--json"]), json(&["info", &file, "--as", "obj", "--json"]));
        assert_eq!(plain["by_domain"][0]["malloc"], taken["by_domain"][2]["malloc"], "{name}");
        assert_eq!(json(&["replay", &file, "--json"])["arenas_obtained"], 0);
        assert_eq!(json(&["replay", &file, "--as", "OBJ", "--json"])["arenas_obtained"], 1);
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-io/tests/data");
    let ptrace = data.join("t08_realloc.ptrace.zst");
    assert!(error(&["info", &ptrace.to_string_lossy(), "--as", "obj"]).contains("leave --as away"));
    // What a recording lacks is said with the options that do without.
    let file = recorded("small.mtrace.zst");
    assert!(stdout(&["info", &file]).contains("and ask with --as obj what pymalloc would have done"));
    assert!(stdout(&["info", &file, "--as", "obj"]).contains("because --as says so"));
    let capture = data.join("memray12.bin");
    assert!(
        stdout(&["info", &capture.to_string_lossy()])
            .contains("(while it traces, pymalloc is not in it) and give it to `replay --start`")
    );
}

#[test]
fn a_pasted_text_is_printed_and_never_replayed() {
    let file = recorded("stats-3.11.txt");
    let text = stdout(&["info", &file]);
    assert!(text.contains("fragmented") && text.contains("free PyDictObject"), "{text}");
    let still = json(&["info", &file, "--json"]);
    assert_eq!((&still["format"], &still["arena_bytes"]), (&"debugmallocstats".into(), &(1 << 20).into()));
    let number = |key: &str| still[key].as_u64().unwrap();
    assert_eq!(number("bytes_in_use") + number("bytes_free") + number("bytes_lost"), number("bytes_held"));
    for args in [&["replay", &file][..], &["stats", &file], &["render", &file, "-o", "/tmp/x.svg"]] {
        let error = error(args);
        assert!(error.contains("no trace") && error.contains("arenascope info"), "{error}");
    }
}

#[test]
fn texts_in_part_and_in_a_series_are_printed_for_what_they_are() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-io/tests/data");
    let file = |name: &str| data.join("stats").join(name).to_string_lossy().into_owned();
    let series = file("series-3.11.txt");
    let text = stdout(&["info", &series]);
    assert!(text.contains("the last of 8") && text.contains("--picture N shows another one"), "{text}");
    let seventh = json(&["info", &series, "--picture", "7", "--json"]);
    assert_eq!((&seventh["picture"], &seventh["pictures"]), (&7.into(), &8.into()));
    let moments = seventh["series"].as_array().unwrap();
    let most = moments.iter().max_by_key(|m| m["bytes_in_use"].as_u64()).unwrap();
    assert_eq!((moments.len(), &most["picture"]), (8, &7.into()));
    assert_eq!(most["bytes_in_use"], seventh["bytes_in_use"]);
    assert!(error(&["info", &series, "--picture", "9"]).contains("the text has 8"));
    let lists = json(&["info", &file("malloc-3.13.txt"), "--json"]);
    assert!(lists["allocator"].is_null() && lists["free_lists_bytes"].as_u64() > Some(0));
    assert!(stdout(&["info", &file("malloc-3.13.txt")]).starts_with("free lists at one moment"));
    let mimalloc = json(&["info", &file("mimalloc-3.13.txt"), "--json"]);
    assert_eq!(mimalloc["bytes_committed"], 3_692_704);
    let capture = data.join("memray13.bin").to_string_lossy().into_owned();
    let said = error(&["replay", &capture, "--start", &file("under-memray-3.11.txt")]);
    assert!(said.contains("memray.Tracker in the program"), "{said}");
    assert!(error(&["info", &capture, "--picture", "1"]).contains("is a trace"));
}

#[test]
fn care_keeps_what_it_says() {
    let folder = Folder::new();
    let (capture, mtrace) = (recorded("small.heaptrack.raw.zst"), recorded("small.mtrace.zst"));
    let operations = |file: &str| json(&["info", file, "--json"])["operations"].as_u64().unwrap();
    let all = operations(&capture);
    let (csv, part) = (folder.at("a.csv"), folder.at("part.csv"));
    stdout(&["convert", &capture, &csv]);
    assert_eq!(operations(&csv), all);
    let counts = json(&["trim", &csv, &part, "--from", "2000", "--to", "3000", "--json"]);
    assert_eq!(counts["kept"], 1000);
    assert_eq!(operations(&part), 1000 + counts["prelude"].as_u64().unwrap());
    stdout(&["replay", &part, "--verify"]);
    let timed = json(&["trim", &csv, &part, "--from", "10ms", "--to", "20ms", "--json"]);
    assert!(timed["kept"].as_u64().unwrap() > 0 && timed["before"].as_u64().unwrap() > 0);
    assert!(error(&["trim", &mtrace, &part, "--from", "1s"]).contains("numbers of operations"));

    let hidden = folder.at("hidden.csv");
    stdout(&["anonymize", &capture, &hidden, "--key", "k"]);
    let text = std::fs::read_to_string(&hidden).unwrap();
    for name in ["python", "libc", "ld-linux", "0x4f", "small2"] {
        let stacks = text.lines().map(|l| l.split(',').nth(11).unwrap_or(""));
        assert!(stacks.into_iter().all(|s| !s.contains(name)), "{name}");
    }

    let merged = folder.at("merged.csv");
    let said = stdout(&["merge", &merged, &csv, &mtrace]);
    assert!(said.contains("one after the other"), "{said}");
    assert_eq!(operations(&merged), all + operations(&mtrace));
    assert!(stdout(&["merge", &merged, &csv, &csv]).contains("by time"));
    let split = json(&["split", &merged, "-o", &folder.at("thread"), "--json"]);
    assert_eq!(split["files"].as_array().unwrap().len(), 2);
    assert_eq!(operations(&folder.at("thread.1.csv")), all);

    let stats = json(&["stats", &csv, "--top", "4", "--json"]);
    assert_eq!(stats["call_sites_by_bytes"].as_array().unwrap().len(), 4);
    assert_eq!(stats["domains"][0]["operations"], all);
    assert!(stdout(&["stats", &csv]).contains("reallocs"));
}

/// A trace long enough that writing it takes a while.
fn long(folder: &Folder, operations: &str) -> String {
    let file = folder.at("long.ptrace");
    stdout(&["generate", "--operations", operations, "--seed", "7", "-o", &file]);
    file
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let folder = Folder::new();
    let file = long(&folder, "50000");
    // Writing more than 64 KiB into a file fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"";
    for args in [
        &["convert", &file, &folder.at("x.csv")][..],
        &["trim", &file, &folder.at("x.csv")],
        &["anonymize", &file, &folder.at("x.csv")],
        &["merge", &folder.at("x.csv"), &file],
        &["split", &file, "-o", &folder.at("x")],
        &["generate", "--operations", "50000", "-o", &folder.at("x.ptrace")],
    ] {
        let out = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_arenascope")])
            .args(args)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), error.lines().count()), (Some(1), 1), "{args:?}: {error}");
        assert_eq!(folder.files().len(), 1, "{args:?}: {:?}", folder.files());
    }
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let out = command(&["stats", &file, "--json"]).stdout(full).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_half_file() {
    let folder = Folder::new();
    let file = long(&folder, "3000000");
    let mut child = command(&["convert", &file, &folder.at("out.csv")]).spawn().unwrap();
    let part = PathBuf::from(folder.at("out.csv.part"));
    let begun = Instant::now();
    while !part.metadata().is_ok_and(|m| m.len() > 0) {
        assert!(begun.elapsed() < Duration::from_mins(1) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(folder.files(), [PathBuf::from(file)]);
}
