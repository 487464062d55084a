//! Memory below pymalloc in pictures of processes, held against what the C library and the system say of it.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use real_cpython::interpreters::{self, Interpreter};
use real_cpython::outside::not_run;
use xray::image::chunks::State;
use xray::image::edges::Edges;
use xray::image::owners::Owners;
use xray::image::parts::{Use, parts};
use xray::image::picture::version_of;
use xray::image::reach::Reach;
use xray::image::steps::Contents;
use xray::image::summary::Summary;
use xray::image::verdict::{Cause, Evidence, findings};
use xray::image::{Malloc, Part, Picture};
use xray::source::{Copy, copy};

/// A process of `heap.py`.
struct Heap {
    child: Child,
    folder: tempfile::TempDir,
}

impl Heap {
    fn of(interpreter: &Interpreter, malloc: Option<&str>, kind: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = interpreter.command(malloc);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/heap.py")).arg(kind[0]);
        command.arg(folder.path().join("truth")).args(&kind[1..]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{interpreter}: {kind:?}");
        Self { child, folder }
    }

    fn seen(&self) -> (Copy, Picture) {
        seen(self.child.id().cast_signed())
    }

    fn truth(&self) -> PathBuf {
        self.folder.path().join("truth")
    }

    /// Lets it end; what it says of itself.
    fn end(mut self) -> String {
        let _ = self.child.stdin.take().unwrap().write_all(b"\n");
        assert!(self.child.wait().unwrap().success());
        std::fs::read_to_string(self.truth()).unwrap()
    }
}

fn seen(pid: i32) -> (Copy, Picture) {
    let copy = copy(pid, true).unwrap();
    let picture = Picture::of(&copy.memory, version_of(&copy.memory).unwrap()).unwrap();
    (copy, picture)
}

fn all_parts(copy: &Copy, picture: &Picture) -> Vec<Part> {
    parts(&copy.memory, &copy.resident, picture)
}

/// Bytes of a use, after checking that the parts sum to what the system counts.
fn bytes_of(parts: &[Part], rss_bytes: u64, what: Use) -> u64 {
    let sum: u64 = parts.iter().map(|part| part.bytes).sum();
    let share = sum as f64 / rss_bytes as f64;
    assert!((share - 1.0).abs() < 0.005, "parts sum to {share} of the resident memory: {parts:#?}");
    parts.iter().find(|part| part.what == what).map_or(0, |part| part.bytes)
}

/// Interpreters at hand whose layout is known; of those that are missing it is said.
fn compared() -> Vec<&'static Interpreter> {
    interpreters::pictured()
}

/// Whether processes here have a `malloc` that is read.
fn is_read(picture: &Picture, what: &str) -> bool {
    let read = matches!(picture.heaps.malloc, Malloc::Glibc(_));
    if !read {
        not_run(what, format!("the interpreters' C library is not the GNU one: {:?}", picture.heaps.malloc));
    }
    read
}

#[test]
fn free_bytes_and_what_a_trim_gives_back_are_as_the_c_library_says() {
    let all = compared();
    for (at, interpreter) in all.iter().enumerate() {
        let strings = if at + 1 == all.len() { "60000" } else { "12000" };
        let process = Heap::of(interpreter, None, &["trim", strings]);
        let (copy, picture) = process.seen();
        let truth = process.end();
        if !is_read(&picture, "free memory held against mallinfo") {
            return;
        }
        let (free, given_back) = truth.trim_end().split_once(' ').unwrap();
        let (free, given_back): (u64, u64) = (free.parse().unwrap(), given_back.parse().unwrap());
        assert!(free > 100_000_000 && given_back > 50_000_000, "{interpreter}: {truth}");
        let found = picture.heaps.fordblks;
        assert!(found.abs_diff(free) <= 1024, "{interpreter}: {found} of {free} bytes are free");
        let trim = picture.heaps.trim_bytes(&copy.resident);
        let share = trim as f64 / given_back as f64;
        assert!((share - 1.0).abs() < 0.005, "{interpreter}: {trim} foretold, {given_back} given back");
        let parts = all_parts(&copy, &picture);
        let resident = bytes_of(&parts, copy.rss_bytes, Use::ChunksFree);
        assert!(resident > 50_000_000, "{interpreter}: {parts:#?}");
    }
}

#[test]
fn what_c_code_has_asked_for_is_where_it_has_it() {
    for interpreter in compared() {
        for malloc in [None, Some("malloc")] {
            let process = Heap::of(interpreter, malloc, &["planted"]);
            let (copy, picture) = process.seen();
            let truth = process.end();
            if !is_read(&picture, "planted blocks in pictures") {
                return;
            }
            let (mut right, mut fast, mut wrong) = (0, 0, Vec::new());
            let parts = all_parts(&copy, &picture);
            for line in truth.lines() {
                let fields: Vec<&str> = line.split(' ').collect();
                let addr: u64 = fields[1].parse().unwrap();
                if fields[0] == "shared" {
                    let shared = bytes_of(&parts, copy.rss_bytes, Use::Shared);
                    assert!(shared >= addr, "{interpreter}: {shared} of {addr} shared bytes");
                    continue;
                }
                let Some(at) = picture.chunks.at(addr) else {
                    wrong.push(format!("{line}: in no chunk"));
                    continue;
                };
                let (chunk, object) = (picture.chunks.all[at], picture.chunk_objects[at]);
                let name = object.map(|object| picture.types[object.of as usize].name.as_str());
                let begins = chunk.addr == addr;
                let fits = |bytes: u64| (bytes..bytes + 32).contains(&chunk.bytes);
                let asked = || fields[2].parse().unwrap();
                let good = match fields[0] {
                    "used" => begins && name.is_none() && chunk.state == State::Used && fits(asked()),
                    "mapped" => {
                        begins && name.is_none() && chunk.state == State::Mapped && chunk.bytes >= asked()
                    }
                    // Its chunk may have become a part of a larger one, or somebody else's.
                    "free" => !(begins && name.is_none() && chunk.state == State::Used && fits(asked())),
                    "object" => name == Some(fields[2]) && addr - chunk.addr <= 48,
                    other => panic!("{other}"),
                };
                right += u64::from(good);
                fast += u64::from(chunk.state == State::Fast);
                if !good {
                    wrong.push(format!("{line}: {chunk:?} {name:?}"));
                }
            }
            let first = &wrong[..wrong.len().min(9)];
            assert!(wrong.is_empty(), "{interpreter} {malloc:?}: {} wrong, {first:#?}", wrong.len());
            assert!(right > 20_000, "{interpreter}: only {right} blocks were compared");
            if let Malloc::Glibc(Some(generation)) = picture.heaps.malloc
                && generation < xray::image::heaps::Generation::From242
            {
                assert!(fast > 10, "{interpreter}: {fast} blocks are in fast bins");
            }
        }
    }
}

#[test]
fn parts_sum_to_the_resident_memory_whatever_the_process_does() {
    let all = compared();
    let kinds: [(&str, Use, u64); 3] = [
        ("fragmented", Use::FreeBlocks, 1 << 20),
        ("threads", Use::ChunkObjects, 90_000_000),
        ("buffers", Use::MappedBuffers, 32_000_000),
    ];
    for interpreter in all {
        for malloc in [None, Some("malloc"), Some("mimalloc")] {
            if malloc == Some("mimalloc") && interpreter.version.1 < 13 {
                continue;
            }
            for (kind, what, least) in kinds {
                // From 3.15 on what a bytearray has is an object of its own.
                let is_object = what == Use::MappedBuffers && interpreter.version.1 >= 15;
                let what = if is_object { Use::MappedObjects } else { what };
                let process = Heap::of(interpreter, malloc, &[kind]);
                let (copy, picture) = process.seen();
                process.end();
                let parts = all_parts(&copy, &picture);
                let bytes = bytes_of(&parts, copy.rss_bytes, what);
                if malloc.is_none() && is_read(&picture, "parts of the C library's heaps") {
                    assert!(bytes >= least, "{interpreter} {kind}: {parts:#?}");
                }
            }
        }
    }
}

/// What the system counts of a process's pages that nobody else has mapped.
fn private_bytes(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let is_own = |line: &&str| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:");
    let kib = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    rollup.lines().filter(is_own).map(|line| 1024 * kib(line)).sum()
}

#[test]
fn private_bytes_of_parts_sum_to_what_the_system_counts() {
    for interpreter in compared() {
        for malloc in [None, Some("malloc"), Some("mimalloc")] {
            if malloc == Some("mimalloc") && interpreter.version.1 < 13 {
                continue;
            }
            let process = Heap::of(interpreter, malloc, &["buffers"]);
            let pid = process.child.id().cast_signed();
            // Another process that begins or ends may share what is in files meanwhile.
            let quiet = (0..50).find_map(|_| {
                let before = private_bytes(pid);
                let (copy, picture) = process.seen();
                (private_bytes(pid) == before).then_some((before, copy, picture))
            });
            process.end();
            let (counted, copy, picture) = quiet.unwrap();
            let own = parts(&copy.memory, &copy.private, &picture);
            let all = all_parts(&copy, &picture);
            let sum: u64 = own.iter().map(|part| part.bytes).sum();
            let share = sum as f64 / counted as f64;
            assert!((share - 1.0).abs() < 0.005, "{interpreter} {malloc:?}: {share} of {counted}: {own:#?}");
            for part in own {
                let of_all = all.iter().find(|all| all.what == part.what).map_or(0, |all| all.bytes);
                assert!(part.bytes <= of_all, "{interpreter} {malloc:?}: {part:?} of {of_all}");
            }
        }
    }
}

#[test]
fn pages_that_only_one_process_has_are_told() {
    let all = compared();
    let Some(interpreter) = all.last() else {
        return not_run("pages of a forked process", "no CPython was found");
    };
    // Another test that starts or ends the same interpreter meanwhile moves pages of its files: then another pair is looked at. A read that made pages its
    // own would do so with each.
    let looked = (0..10).find_map(|_| {
        let process = Heap::of(interpreter, None, &["forked"]);
        let child: i32 = loop {
            let text = std::fs::read_to_string(process.truth()).ok();
            if let Some(child) = text.and_then(|text| text.trim().parse().ok()) {
                break child;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        // It has said that it is ready, and then begins to wait.
        let mut before = private_bytes(child);
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let now = private_bytes(child);
            if std::mem::replace(&mut before, now) == now {
                break;
            }
        }
        let (copy, picture) = seen(child);
        let same = private_bytes(child) == before;
        process.end();
        same.then_some((before, copy, picture))
    });
    let (before, copy, picture) = looked.expect("that it was read makes no page its own");
    let found = copy.private.bytes();
    let share = found as f64 / before as f64;
    assert!((share - 1.0).abs() < 0.005, "{found} bytes are its own; the system counts {before}");
    let objects = |resident| {
        let parts = parts(&copy.memory, resident, &picture);
        parts.iter().find(|part| part.what == Use::Objects).map_or(0, |part| part.bytes)
    };
    let (own, all) = (objects(&copy.private), objects(&copy.resident));
    assert!(own > all / 10 && own < all / 10 * 9, "{own} of {all} bytes of objects are its own");
}

#[test]
fn what_is_free_in_pages_of_mimalloc_is_said() {
    let Some(interpreter) = compared().into_iter().rev().find(|interpreter| interpreter.version.1 >= 13)
    else {
        return not_run("free memory of mimalloc in verdicts", "no CPython from 3.13 on was found");
    };
    // The same objects under pymalloc are free in arenas, and where most are kept neither is told.
    for (malloc, kind, first) in [
        (Some("mimalloc"), "fragmented", Cause::MimallocFree),
        (None, "fragmented", Cause::Pinned),
        (Some("mimalloc"), "kept", Cause::Objects),
    ] {
        let process = Heap::of(interpreter, malloc, &[kind]);
        let (copy, picture) = process.seen();
        process.end();
        let parts = all_parts(&copy, &picture);
        let edges = Edges::of(&copy.memory, &picture);
        let owners = Owners::find(&edges);
        let reach = Reach::find(&edges, &owners.outside, Contents::Hidden);
        let summary = Summary::of(&edges, &owners, &reach);
        let found = findings(&Evidence::of(copy.rss_bytes, &copy.resident, &picture, &parts, &summary));
        assert_eq!(found[0].cause, first, "{interpreter} {malloc:?} {kind}: {found:?} {parts:#?}");
        let free = bytes_of(&parts, copy.rss_bytes, Use::MimallocFree);
        assert_eq!(found[0].bytes == free, first == Cause::MimallocFree, "{found:?} {parts:#?}");
    }
}
