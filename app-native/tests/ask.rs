//! Who holds the memory, as other tools ask it: a planted program, limits, and names that want to do harm.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

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
fn json(args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&stdout(&args)).unwrap()
}

#[track_caller]
fn fails(args: &[&str], code: i32, expected: &str) {
    let out = arenascope(args);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.contains(expected), "{args:?}: {error}");
}

/// Blocks of 512 bytes in an arena of 1 MiB.
const OF_ARENA: u64 = 64 * ((16384 - 48) / 512);

/// Eight arenas of a burst that goes, with a survivor of `site` in each even one.
fn planted(folder: &Path, site: &str) -> String {
    let mut text = String::new();
    let (mut burst, mut id) = (Vec::new(), 0);
    for arena in 0..8_u64 {
        for block in 0..OF_ARENA {
            id += 1;
            let survives = arena % 2 == 0 && block == 100;
            if survives {
                let _ = writeln!(text, "x stack {site} app.py:1\nm o {id} 500\nx stack burst.py:3 app.py:2");
            } else {
                if id == 1 {
                    text.push_str("x stack burst.py:3 app.py:2\n");
                }
                let _ = writeln!(text, "m o {id} 512");
                burst.push(id);
            }
        }
    }
    text.push_str("#! mark built\n");
    for id in burst {
        let _ = writeln!(text, "f o {id}");
    }
    let path: PathBuf = folder.join("planted.ptrace");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn the_planted_site_is_named_and_freeing_it_gives_its_arenas_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = planted(folder.path(), "cache.py:7");
    let report = json(&["holders", &file]);
    assert_eq!(report["placed"], "model");
    assert_eq!(report["trust"], Value::Null);
    assert_eq!(report["arenas"]["live"], 4);
    assert_eq!(report["arenas"]["part_used"], 4);
    let first = &report["groups"][0];
    assert_eq!(first["key"], "cache.py:7");
    assert_eq!((&first["blocks"], &first["bytes"]), (&4.into(), &2000.into()));
    assert_eq!((&first["arenas_alone"], &first["pinned_bytes"]), (&4.into(), &(4_u64 << 20).into()));
    assert!(report["query_ms"].is_number());
    // What the forecast names goes when a program does so.
    let forecast = json(&["forecast", &file, "--free", "site=cache.py:7"]);
    let text = std::fs::read_to_string(&file).unwrap();
    let more = (0..4).map(|n| format!("f o {}\n", 2 * n * OF_ARENA + 101)).collect::<Vec<_>>().concat();
    let freed = folder.path().join("freed.ptrace");
    std::fs::write(&freed, format!("{text}{more}")).unwrap();
    let lines = stdout(&["replay", &freed.to_string_lossy(), "--placement", "-"]);
    let tail: Vec<u64> = lines
        .lines()
        .rev()
        .take_while(|line| line.starts_with('-'))
        .take(8)
        .filter_map(|line| line.strip_prefix("-arena ")?.parse().ok())
        .collect();
    let mut gone = tail;
    gone.retain(|arena| arena % 2 == 0);
    gone.sort_unstable();
    let named: Vec<u64> = forecast["arenas"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(named, gone);
    assert_eq!(forecast["returned_bytes"], (named.len() as u64) << 20);
    assert_eq!(forecast["exact"], true);
    let want = json(&["forecast", &file, "--want", "2M"]);
    assert_eq!(want["free"][0]["key"], "cache.py:7");
    let parts = json(&["waterfall", &file]);
    let sum: u64 = parts["parts"].as_array().unwrap().iter().filter_map(|part| part["bytes"].as_u64()).sum();
    assert_eq!(parts["total_bytes"], sum);
    let verdict = json(&["verdict", &file]);
    assert_eq!(verdict["verdict"], "pinned");
    assert!(verdict["confidence"].as_f64().unwrap() > 0.8);
    // At its mark all is there.
    assert_eq!(json(&["holders", &file, "--at", "mark:built"])["arenas"]["live"], 8);
    assert_eq!(json(&["holders", &file, "--at", "peak", "--by", "module"])["groups"][0]["key"], "burst");
}

#[test]
fn two_moments_are_put_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let file = planted(folder.path(), "cache.py:7");
    let report = json(&["compare", &file, "--at", "mark:built", "--b-at", "end"]);
    let held = &report["statistics"][1];
    assert_eq!((held["name"].as_str(), held["change"].as_i64()), (Some("arenas held"), Some(-4)));
    assert_eq!(report["groups"][0]["key"], "burst.py:3");
    assert_eq!(report["groups"][0]["blocks"]["a"], 8 * OF_ARENA - 4);
    assert_eq!(report["groups"][0]["blocks"]["b"], 0);
    let builds = json(&["compare", &file, "--profile", "cpython-3.9", "--b-profile", "cpython-3.14"]);
    let total = builds["statistics"].as_array().unwrap().last().unwrap();
    assert!(
        total["name"] == "total" && total["change"].as_i64().unwrap() > 3 << 19,
        "smaller arenas: {total}"
    );
    fails(&["compare", &file], 1, "both sides are the same");
}

#[test]
fn a_limit_that_is_exceeded_ends_with_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = planted(folder.path(), "cache.py:7");
    stdout(&["check", &file, "--max-held-arenas", "4", "--max-pinned-bytes", "4M"]);
    fails(&["check", &file, "--max-held-arenas", "3"], 1, "1 limit exceeded");
    fails(&["check", &file], 1, "there is no limit");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (baseline, limits, junit) = (path("baseline.json"), path("limits.toml"), path("junit.xml"));
    std::fs::write(&baseline, stdout(&["check", &file, "--json"])).unwrap();
    stdout(&["check", &file, "--baseline", &baseline]);
    fails(&["check", &file, "--baseline", &baseline, "--at", "mark:built"], 1, "2 limits exceeded");
    let text = "max-held-arenas = 100\nat = \"end\"\n[files.\"planted.ptrace\"]\nmax-held-arenas = 3\n";
    std::fs::write(&limits, text).unwrap();
    fails(&["check", &file, "--limits", &limits, "--junit", &junit], 1, "1 limit exceeded");
    let junit = std::fs::read_to_string(&junit).unwrap();
    assert!(
        junit.contains("failures=\"1\"") && junit.contains("held arenas are 4, the limit is 3"),
        "{junit}"
    );
    std::fs::write(&limits, "max-helt-arenas = 3\n").unwrap();
    fails(&["check", &file, "--limits", &limits], 1, "unknown field");
    std::fs::write(&baseline, "{}").unwrap();
    fails(&["check", &file, "--baseline", &baseline], 1, "is no baseline");
}

/// A call site may be named so that it steers a terminal, opens an element, ends one, or is a formula.
#[test]
fn names_from_a_trace_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    for site in [
        "STEERS.py:7",
        "<script>alert(1)</script>.py:7",
        "\"><img%20src=x%20onerror=alert(1)>.py:7",
        "]]></failure><x>.py:7",
        "=cmd|'/C%20calc'!A0.py:7",
        "\u{202e}yp.evil:7",
    ] {
        let mut file = planted(folder.path(), site);
        if site.starts_with("STEERS") {
            // Text formats refuse such bytes; a lesson, like a recording, can bring them.
            let lesson = folder.path().join("planted.ron");
            stdout(&["convert", &file, &lesson.to_string_lossy()]);
            let text = std::fs::read_to_string(&lesson).unwrap();
            assert!(text.contains("STEERS"));
            std::fs::write(&lesson, text.replace("STEERS", "\\u{1b}]0;owned\\u{7}\\u{1b}[2J")).unwrap();
            file = lesson.to_string_lossy().into_owned();
        }
        for call in [
            vec!["holders", &file],
            vec!["tracemalloc", &file, "--key-type", "traceback"],
            vec!["forecast", &file, "--want", "1M"],
            vec!["verdict", &file],
            vec!["compare", &file, "--at", "mark:built", "--b-at", "end"],
            vec!["stats", &file],
            vec!["info", &file],
        ] {
            let text = stdout(&call);
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(steers), "{call:?}: {text:?}");
        }
        let page = folder.path().join("page.html").to_string_lossy().into_owned();
        stdout(&["report", &file, &file, "-o", &page]);
        let html = std::fs::read_to_string(&page).unwrap();
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{1b}'), "{site}");
        assert!(html.contains("default-src 'none'"));
        let report = json(&["holders", &file]);
        assert_eq!(report["groups"][0]["blocks"], 4, "JSON keeps the name as it is: {report}");
    }
    // A file's name comes out in JUnit.
    let file = planted(folder.path(), "cache.py:7");
    let named = folder.path().join("a\"><b&c\u{1b}.ptrace");
    std::fs::rename(&file, &named).unwrap();
    let junit = stdout(&["check", &named.to_string_lossy(), "--max-held-arenas", "9", "--junit", "-"]);
    assert!(!junit.contains("<b&") && !junit.contains('\u{1b}'), "{junit}");
}

#[test]
fn a_report_has_the_map_the_comparison_and_what_gives_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = planted(folder.path(), "cache.py:7");
    let page = folder.path().join("page.html").to_string_lossy().into_owned();
    stdout(&["report", &file, "-o", &page]);
    let alone = std::fs::read_to_string(&page).unwrap();
    assert_eq!(alone.matches("<rect").count(), 4, "a tile an arena");
    assert_eq!(alone.matches("block of cache.py:7").count(), 4);
    assert!(
        alone.contains("gives 1 MiB back to the system: 1 arena") || alone.contains("gives 3 MiB back"),
        "{alone}"
    );
    assert!(!alone.contains("Both at their ends"));
    assert!(alone.contains("<td>malloc=mimalloc") && alone.contains("<td>perfect packing"), "{alone}");
    stdout(&["report", &file, "-o", &page, "--grid", "pool_size=4K,8K"]);
    let asked = std::fs::read_to_string(&page).unwrap();
    assert!(asked.contains("<td>pool_size=8K") && !asked.contains("<td>malloc="), "{asked}");
    stdout(&["report", &file, &file, "-o", &page]);
    let both = std::fs::read_to_string(&page).unwrap();
    assert!(both.contains("Both at their ends"));
    assert!(both.contains("<tr><td>4<td>4<td>0<td>arenas held"), "{both}");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = planted(folder.path(), "cache.py:7");
    fails(&["holders", &file, "--by", "type"], 1, "does not begin with the picture of a process");
    fails(&["holders", &file, "--by", "colour"], 2, "is no key");
    fails(&["holders", &file, "--placed", "recorded"], 1, "no heap as recorded");
    fails(&["holders", &file, "--at", "99999999"], 1, "past the end");
    fails(&["forecast", &file, "--free", "site=nobody.py:1"], 1, "the largest groups are cache.py:7");
    fails(&["forecast", &file], 2, "--free");
    let plain = folder.path().join("plain.ptrace");
    std::fs::write(&plain, "m o 1 40\n").unwrap();
    let plain = plain.to_string_lossy().into_owned();
    fails(&["holders", &plain, "--by", "site"], 1, "has no Python stacks");
    assert_eq!(json(&["holders", &plain])["by"], "class");
}
