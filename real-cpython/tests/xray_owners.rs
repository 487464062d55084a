//! Owners of buffers and ways to objects, held against what the process itself says.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod waiting;

use real_cpython::interpreters::Interpreter;
use real_cpython::outside::not_run;
use waiting::{Waiting, compared, seen, until_it_waits};
use xray::image::edges::Edges;
use xray::image::owners::{Owner, Owners};
use xray::image::reach::{REGISTER, Reach, STACK};
use xray::image::steps::Contents;
use xray::image::summary::Summary;
use xray::image::{Malloc, Memory, Picture};

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

#[test]
fn what_is_left_over_on_stacks_holds_nothing_and_what_runs_does() {
    const BLOCKS: usize = 400;
    const READ: u64 = 100_003;
    for interpreter in compared() {
        let folder = tempfile::tempdir().unwrap();
        let truth = folder.path().join("truth");
        let mut command = interpreter.command(None);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/left_over.py")).arg(&truth);
        let waiting = Waiting::of(command);
        until_it_waits(waiting.pid());
        let (copy, picture) = seen(waiting.pid());
        assert!(waiting.end());
        assert_eq!(copy.memory.threads().len(), 2, "{interpreter}");
        if !matches!(picture.heaps.malloc, Malloc::Glibc(_)) {
            return not_run("what is left over on stacks", "the interpreters' C library is not the GNU one");
        }
        let planted: Vec<u64> =
            std::fs::read_to_string(&truth).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(planted.len(), BLOCKS);
        let look = |memory: &Memory| {
            let edges = Edges::of(memory, &picture);
            let owners = Owners::find(&edges);
            let nodes = edges.nodes();
            let is_held = |addr: &&u64| owners.of(&edges, nodes.at(**addr).unwrap()) != Owner::Nowhere;
            let held = planted.iter().filter(is_held).count();
            let reach = Reach::find(&edges, &owners.outside, Contents::Hidden);
            let is_read = |node: &u32| {
                let bytes = nodes.place(*node).1;
                let of =
                    nodes.live_object(*node).map(|object| picture.types[object.of as usize].name.as_str());
                of == Some("builtins.bytes") && (READ..2 * READ).contains(&bytes)
            };
            // From 3.15 on it may have more room than that, and be led to by a writer's memory.
            let read = nodes.used().find(is_read);
            let read = read.unwrap_or_else(|| panic!("{interpreter}: nothing is read into"));
            (held, reach.groups.name(reach.group(read).unwrap()))
        };
        let (held, read) = look(&copy.memory);
        // A function that runs has words on its stack that it has not written yet.
        assert!(held * 20 <= BLOCKS, "{interpreter}: {held} of {BLOCKS} are held by what is left over");
        assert!(read.starts_with(STACK) || read.starts_with(REGISTER), "{interpreter}: {read}");
        // As it was seen with `--no-stop`, without registers: all of a stack counts.
        let (held, read) = look(&copy.memory.with_threads(Vec::new(), None));
        assert_eq!((held, read.starts_with(STACK)), (BLOCKS, true), "{interpreter}: {read}");
    }
}
