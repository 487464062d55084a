//! Owners of buffers and ways to objects, held against what the process itself says.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod waiting;

use real_cpython::interpreters::Interpreter;
use waiting::{Waiting, compared, seen};
use xray::image::edges::Edges;
use xray::image::owners::{Owner, Owners};
use xray::image::reach::Reach;
use xray::image::steps::Contents;
use xray::image::summary::Summary;
use xray::image::{Memory, Picture};

/// The picture of a process that has planted its objects, and what it says of them.
fn planted(interpreter: &Interpreter) -> (Memory, Picture, String) {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth");
    let mut command = interpreter.command(None);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/planted.py")).arg(&truth);
    let waiting = Waiting::of(command);
    let (copy, picture) = seen(waiting.pid());
    assert!(waiting.end());
    (copy.memory, picture, std::fs::read_to_string(&truth).unwrap())
}

#[test]
fn buffers_are_their_owners_and_objects_are_kept_by_what_keeps_them() {
    for interpreter in compared() {
        let (memory, picture, truth) = planted(interpreter);
        let edges = Edges::of(&memory, &picture);
        let owners = Owners::find(&edges);
        let nodes = edges.nodes();
        for contents in [Contents::Hidden, Contents::Shown] {
            let reach = Reach::find(&edges, &owners.outside, contents);
            let (mut buffers, mut ways, mut wrong) = (0, 0, Vec::new());
            for line in truth.lines() {
                let fields: Vec<&str> = line.split(' ').collect();
                let number = |at: usize| fields[at].parse::<u64>().unwrap();
                let node = nodes.at(number(1)).unwrap();
                if fields[0] == "owner" {
                    let Some(buffer) = nodes.at(number(2)) else { continue };
                    // A small set's table lies within it.
                    if buffer == node {
                        continue;
                    }
                    buffers += 1;
                    let owner = owners.of(&edges, buffer);
                    if owner != Owner::Object(node) {
                        wrong.push(format!("{line}: {owner:?}"));
                    }
                    continue;
                }
                ways += 1;
                let shown = |key: &str| match contents {
                    Contents::Shown => format!("'{key}'"),
                    Contents::Hidden => format!("str len {}", key.len()),
                };
                let mut wanted = fields[2].to_owned();
                for key in ["sessions", "slots", "chain"] {
                    wanted = wanted.replace(&format!("[{key}]"), &format!("[{}]", shown(key)));
                }
                let found = reach.groups.name(reach.group(node).unwrap());
                if found != wanted {
                    wrong.push(format!("{line}: {found}"));
                }
            }
            assert!(
                wrong.is_empty(),
                "{interpreter}: {} wrong, {:#?}",
                wrong.len(),
                &wrong[..wrong.len().min(12)]
            );
            assert!(buffers > 1000 && ways > 5000, "{interpreter}: {buffers} buffers, {ways} ways");
            let summary = Summary::of(&edges, &owners, &reach);
            let named =
                summary.holders.iter().take(3).any(|holder| holder.name.starts_with("__main__.CACHE["));
            assert!(summary.little_used > 0 && named, "{interpreter}: {:#?}", summary.holders);
            // A secret that is a key or a value is told by nothing without contents, and a value never.
            let told = format!("{summary:?} {:?}", reach.groups);
            assert_eq!(told.contains("4711-secret-key"), contents == Contents::Shown, "{interpreter}");
            assert!(!told.contains("4711-secret-value"), "{interpreter}");
        }
    }
}
