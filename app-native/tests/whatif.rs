//! `whatif` and `ideal` on the command line: the JSON that other tools read, the answer in front, and errors in a line.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn arenascope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arenascope")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let out = arenascope(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

#[track_caller]
fn fails(args: &[&str], code: i32, expected: &str) {
    let out = arenascope(args);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.contains(expected), "{args:?}: {error}");
    assert!(out.stdout.is_empty() && (code != 1 || error.lines().count() == 1), "{error}");
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-io/tests/data").join(name);
    path.to_string_lossy().into_owned()
}

/// 100,000 blocks of 64 bytes, of which each hundredth stays: 25 MiB of arenas held by 64 KiB.
fn pinned(folder: &Path) -> String {
    let born = (1..=100_000).map(|id| format!("m o {id} 64\n"));
    let freed = (1..=100_000).filter(|id| id % 100 != 0).map(|id| format!("f o {id}\n"));
    let text: String = born.chain(freed).collect();
    let path = folder.join("pinned.ptrace");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_grid_has_a_row_for_each_cell_with_what_replay_says() {
    let trace = data("t06_arena_release_p64.ptrace.zst");
    let got = json(&[
        "whatif",
        &trace,
        "--grid",
        "profile=cpython-3.12,cpython-3.14",
        "--grid",
        "malloc=pymalloc,mimalloc",
        "--json",
    ]);
    let rows = got["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let (profile, malloc) =
            (row["settings"]["profile"].as_str().unwrap(), row["settings"]["malloc"].as_str().unwrap());
        if let Some(error) = row["error"].as_str() {
            assert_eq!((profile, malloc), ("cpython-3.12", "mimalloc"));
            assert!(error.contains("unknown allocator (`mimalloc`"), "{error}");
            continue;
        }
        let run = json(&["replay", &trace, "--profile", profile, "--malloc", malloc, "--json"]);
        if malloc == "pymalloc" {
            assert_eq!(row["peak_arenas"], run["arenas_highwater"]);
            assert_eq!(row["final_arenas"], run["arenas_live"]);
            assert_eq!(row["released"], run["arenas_released"]);
            assert_eq!(row["final_bytes"], run["arena_bytes_live"]);
            let losses = &row["losses"]["at_end"];
            assert_eq!(losses["free_in_used_pools"], run["available_bytes"]);
            assert_eq!(losses["unused_pools"], run["unused_pool_bytes"]);
            let rounded = row["final_asked_bytes"].as_u64().unwrap() + losses["rounding"].as_u64().unwrap();
            assert_eq!(Value::from(rounded), run["block_bytes_live"]);
        } else {
            assert_eq!(row["final_bytes"], run["segment_bytes"]);
            assert_eq!(row["final_arenas"], run["segments"]);
        }
        assert_eq!(row["raw_final_bytes"], run["raw_bytes_live"]);
    }
    assert_eq!(got["base"]["settings"], serde_json::json!({}));
    assert_eq!(got["base"]["peak_arenas"], rows[2]["peak_arenas"]);
}

#[test]
fn the_answer_stands_in_front_and_the_best_row_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let trace = pinned(folder.path());
    let grid =
        ["whatif", trace.as_str(), "--grid", "arena_size=64K,1M", "--grid", "small_request_threshold=512,32"];
    let text = stdout(&grid);
    let answer = text.lines().next().unwrap();
    assert!(
        answer.starts_with("arena_size=64K small_request_threshold=512 holds ")
            && answer.contains(" less at the peak"),
        "{answer}"
    );
    let marked: Vec<_> = text.lines().filter(|line| line.starts_with('>') && line.contains("512")).collect();
    assert_eq!(marked.len(), 1, "{text}");
    assert!(text.contains("not compared: other RAW"), "{text}");
    assert!(text.contains("free blocks in used pools"), "{text}");
    let csv = stdout(&[&grid[..], &["--csv"]].concat());
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("arena_size,small_request_threshold,peak_arenas,final_arenas,"));
    assert!(lines[3].starts_with("1M,512,7,7,0,"), "{csv}");
    let worse = stdout(&["whatif", &trace, "--grid", "arena_size=4M"]);
    assert!(worse.starts_with("nothing here holds less than the run as it is"), "{worse}");
}

#[test]
fn what_no_layout_goes_below() {
    let folder = tempfile::tempdir().unwrap();
    let trace = pinned(folder.path());
    let got = json(&["ideal", &trace, "--json"]);
    assert_eq!(got["real"], serde_json::json!({"peak_arenas": 7, "final_arenas": 7}));
    assert_eq!(got["perfect_packing"], serde_json::json!({"peak_arenas": 7, "final_arenas": 1}));
    assert_eq!(got["known_lifetimes"], serde_json::json!({"peak_arenas": 7, "final_arenas": 1}));
    assert_eq!(got["gap"], serde_json::json!({"peak_arenas": 0, "final_arenas": 6}));
    assert_eq!(got["blame"], "allocator");
    let sentence = "the allocator: of 7 arenas at the end the live blocks fill 1, and placed by when they end they would lie in 1, which is 6 MiB less";
    assert_eq!(got["sentence"], sentence);
    let text = stdout(&["ideal", &trace]);
    assert!(text.starts_with(sentence) && text.contains("perfect packing"), "{text}");
    fails(&["ideal", &trace, "--malloc", "mimalloc"], 1, "MEM and OBJ are not pymalloc's in this run");
    fails(&["ideal", &trace, "--profile", "cpython-3.14t"], 1, "MEM and OBJ are not pymalloc's in this run");
}

#[test]
fn misprints_and_traces_that_are_not_there_are_told_in_a_line() {
    let trace = data("t08_realloc.ptrace.zst");
    fails(&["whatif", &trace], 2, "say what is to be tried: --grid KEY=A,B,C");
    fails(
        &["whatif", &trace, "--grid", "arena=1M"],
        1,
        "a profile has no field `arena`; it has pointer_bytes",
    );
    fails(&["whatif", &trace, "--grid", "profile=cpython-2.7"], 1, "no profile is called `cpython-2.7`");
    fails(&["whatif", &trace, "--grid", "pool_size=4K,4K"], 1, "pool_size has 4K twice");
    fails(&["whatif", "nowhere.atrace", "--grid", "pool_size=4K"], 1, "nowhere.atrace cannot be opened");
    fails(
        &["whatif", &data("memray/aggregate13.bin.zst"), "--grid", "pool_size=4K"],
        1,
        "aggregated capture",
    );
    fails(
        &["whatif", &trace, "--grid", "pool_size=4K", "--profile", "cpython-2.7"],
        1,
        "`arenascope profiles` lists them",
    );
    fails(&["ideal", "nowhere.atrace"], 1, "nowhere.atrace cannot be opened");
    fails(&["ideal", &trace, "--set", "arena_size=3M"], 1, "it must be a power of two");
    let none = stdout(&["whatif", &trace, "--grid", "arena_size=3M"]);
    assert!(none.contains("arena_size=3145728: it must be a power of two"), "{none}");
}

/// Four arenas of temporary blocks, with one that stays at the beginning of each; and one more block that stays elsewhere.
fn leaky(folder: &Path) -> String {
    let mut lines = Vec::new();
    let mut id = 0;
    for at in 0..4 {
        lines.push("x stack /srv/cache.py:7 /srv/app.py:1".to_owned());
        id += 1;
        lines.push(format!("m o {id} 512"));
        lines.push("x stack /srv/load.py:20 /srv/app.py:1".to_owned());
        // 31 blocks a pool and 64 pools an arena.
        for _ in 0..1983 {
            id += 1;
            lines.push(format!("m o {id} 512"));
        }
        if at == 3 {
            lines.push("x stack /srv/app.py:90".to_owned());
            lines.push("m o 100000 32".to_owned());
        }
    }
    lines.extend((1..=id).filter(|id| id % 1984 != 1).map(|id| format!("f o {id}")));
    let path = folder.join("leaky.ptrace");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_trace_without_some_of_its_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let trace = leaky(folder.path());
    let got = json(&["whatif", &trace, "--without", "site=cache.py:7", "--json"]);
    assert_eq!((&got["base"]["peak_arenas"], &got["base"]["final_arenas"]), (&5.into(), &5.into()));
    let edit = serde_json::json!([{"edit": "without", "key": "site", "value": "cache.py:7", "blocks": 4, "bytes": 2048}]);
    assert_eq!(got["edits"], edit);
    assert_eq!(got["rows"].as_array().unwrap().len(), 1);
    assert_eq!(got["rows"][0]["final_arenas"], 1);
    assert_eq!(got["saved"]["final_arenas"], 4);
    assert_eq!(got["saved"]["final_bytes"], 4 << 20);
    // At the most in a stretch: in the last one it comes down from two.
    let curve = got["curve"].as_array().unwrap();
    let operations = got["operations"].as_u64().unwrap();
    assert_eq!(curve.last().unwrap(), &serde_json::json!({"step": operations, "before": 5, "after": 2}));
    let most = curve.iter().map(|point| point["before"].as_u64().unwrap()).max();
    assert_eq!(most, got["base"]["peak_arenas"].as_u64());
    let text = stdout(&["whatif", &trace, "--without", "site=cache.py:7"]);
    assert!(
        text.starts_with("without site=cache.py:7 (4 blocks, 2 KiB) it holds 4 MiB less at the end (1 arena instead of 5) and "),
        "{text}"
    );
    assert!(text.lines().next().unwrap().ends_with("if the program does the same otherwise"), "{text}");
    assert!(text.contains("arenas along the trace, of 5 at the most") && text.contains('█'), "{text}");

    let freed = json(&["whatif", &trace, "--free-at", "end=module=cache.py", "--json"]);
    assert_eq!(
        (&freed["saved"]["final_arenas"], &freed["edits"][0]["step"]),
        (&4.into(), &operations.into())
    );
    let both =
        json(&["whatif", &trace, "--without", "site=cache.py:7", "--grid", "arena_size=256K,1M", "--json"]);
    assert_eq!(both["rows"].as_array().unwrap().len(), 2);
    assert_eq!(both["rows"][1]["final_arenas"], 1);
    assert_eq!(both["rows"][0]["settings"]["arena_size"], "256K");
    let apart = json(&["whatif", &trace, "--apart", "site=cache.py:7", "--json"]);
    // Its four blocks have an arena, the others leave one.
    assert_eq!(apart["rows"][0]["final_arenas"], 2);

    fails(
        &["whatif", &trace, "--without", "site=cache.py:8"],
        1,
        "no block matches site=cache.py:8; most alike: /srv/cache.py:7, ",
    );
    fails(&["whatif", &trace, "--without", "place=x"], 2, "is no key; there are site, function");
    fails(&["whatif", &trace, "--free-at", "site=cache.py:7"], 2, "write STEP=KEY=VALUE");
    fails(&["whatif", &trace, "--free-at", "soon=site=cache.py:7"], 1, "`soon` is no step");
    fails(
        &["whatif", &trace, "--free-at", "0=site=cache.py:7"],
        1,
        "blocks match site=cache.py:7, but none lives at step 0",
    );
    fails(&["whatif", &trace, "--without", "class=60"], 1, "the bytes of its blocks (64)");
}

#[test]
fn the_sites_that_keep_so_much() {
    let folder = tempfile::tempdir().unwrap();
    let trace = leaky(folder.path());
    let got = json(&["whatif", &trace, "--save", "3M", "--json"]);
    assert_eq!(got["sites"], serde_json::json!([{"site": "/srv/cache.py:7", "blocks": 4}]));
    assert_eq!(
        (&got["reached"], &got["saved_bytes"], &got["left_bytes"]),
        (&true.into(), &(4 << 20).into(), &(1 << 20).into())
    );
    let text = stdout(&["whatif", &trace, "--save", "3M"]);
    assert!(text.starts_with("without 1 site 4 MiB less is held, of 5 MiB of arenas at the end"), "{text}");
    assert!(text.contains("site=/srv/cache.py:7"), "{text}");
    let never = stdout(&["whatif", &trace, "--save", "1G"]);
    assert!(never.starts_with("1 GiB cannot be saved by leaving sites out"), "{never}");
    fails(
        &["whatif", &pinned(folder.path()), "--save", "1M"],
        1,
        "the trace has no Python stacks, so that no site is known",
    );
    fails(&["whatif", &trace, "--save", "much"], 2, "write bytes");
    fails(&["whatif", &trace, "--save", "1M", "--malloc", "mimalloc"], 1, "give --malloc pymalloc");
}
