//! Pictures of processes that run, held against what the interpreters themselves say of their objects.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod waiting;

use real_cpython::interpreters::Interpreter;
use real_cpython::outside::{self, not_run};
use real_cpython::random::Random;
use waiting::{Waiting, compared, follow, live_objects, seen};
use xray::image::parts::parts;
use xray::image::picture::version_of;
use xray::image::{Memory, Picture, Region};

/// Counts right and wrong types of the objects that a process says it has, of those in blocks.
fn held_against(picture: &Picture, truth: &str) -> (u64, Vec<String>) {
    let (mut right, mut wrong) = (0, Vec::new());
    for line in truth.lines() {
        let (number, name) = line.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let Some((block, _, object)) = picture.block_at(number) else { continue };
        let found = object.map(|object| (picture.types[object.of as usize].name.as_str(), object));
        match found {
            Some((found, object))
                if found == name && !object.dead && block + u64::from(object.offset) == number =>
            {
                right += 1;
            }
            _ => wrong.push(format!("{number:x} {name} in block {block:x}: {found:?}")),
        }
    }
    (right, wrong)
}

fn zoo(interpreter: &Interpreter, malloc: Option<&str>) -> (u64, Vec<String>, f64) {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth");
    let mut command = interpreter.command(malloc);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo.py")).arg(&truth);
    let waiting = Waiting::of(command);
    let (copy, picture) = seen(waiting.pid());
    let has_arenas = matches!(malloc, None | Some("debug"));
    assert_eq!(picture.tables.len(), usize::from(has_arenas));
    assert_eq!(picture.pools.in_flight(), 0, "it waits");
    let sum: u64 = parts(&copy.memory, &copy.resident, &picture).iter().map(|part| part.bytes).sum();
    assert!(waiting.end());
    let (right, wrong) = held_against(&picture, &std::fs::read_to_string(&truth).unwrap());
    (right, wrong, sum as f64 / copy.rss_bytes as f64)
}

/// Whether the interpreters' C library is the GNU one, whose chunks are read; what is not run else is said.
fn has_chunks(what: &str) -> bool {
    let glibc = cfg!(target_env = "gnu");
    if !glibc {
        not_run(what, "the C library is not the GNU one");
    }
    glibc
}

fn every_object_has_its_type_with(malloc: Option<&str>, interpreters: Vec<&Interpreter>) {
    let mut compared = Vec::new();
    for interpreter in interpreters {
        let (right, wrong, sum) = zoo(interpreter, malloc);
        compared.push(format!("{interpreter} {}", outside::grouped(right)));
        let first = &wrong[..wrong.len().min(9)];
        assert!(wrong.is_empty(), "{interpreter} {malloc:?}: {} wrong, {first:?}", wrong.len());
        assert!(right > 50_000, "{interpreter} {malloc:?}: only {right} objects were compared");
        assert!(
            (sum - 1.0).abs() < 0.005,
            "{interpreter} {malloc:?}: parts sum to {sum} of the resident memory"
        );
    }
    let malloc = malloc.unwrap_or("pymalloc");
    outside::compared(&format!("types of objects in pictures, {malloc}"), &compared.join(", "));
}

#[test]
fn every_object_has_its_type() {
    every_object_has_its_type_with(None, compared());
}

#[test]
fn every_object_has_its_type_under_debug_hooks() {
    every_object_has_its_type_with(Some("debug"), compared());
}

#[test]
fn every_object_has_its_type_in_heaps_of_the_c_library() {
    if has_chunks("types of objects under PYTHONMALLOC=malloc") {
        every_object_has_its_type_with(Some("malloc"), compared());
        every_object_has_its_type_with(Some("malloc_debug"), compared());
    }
}

#[test]
fn every_object_has_its_type_in_pages_of_mimalloc() {
    let has_mimalloc = |interpreter: &&Interpreter| interpreter.version.1 >= 13;
    let interpreters: Vec<_> = compared().into_iter().filter(has_mimalloc).collect();
    if interpreters.is_empty() {
        not_run("types of objects under PYTHONMALLOC=mimalloc", "no CPython from 3.13 on was found");
    }
    every_object_has_its_type_with(Some("mimalloc"), interpreters);
}

/// Threads that make and drop objects all the time, and objects that stay.
const BUSY: &str = "
import sys, threading
class Planted:
    __slots__ = ('a', 'b', 'c')
planted = [Planted() for _ in range(5000)]
made = []
done = False
def work(seed):
    rows = []
    made.append(sum(int(str(i)) for i in range(seed)))
    while not done:
        rows.append({'k%d' % i: (i, str(i)) for i in range(seed)})
        if len(rows) > 50: del rows[::2]
threads = [threading.Thread(target=work, args=(20 + n,)) for n in range(3)]
for t in threads: t.start()
print('ready', flush=True)
sys.stdin.readline()
done = True
for t in threads: t.join()
assert len(planted) == 5000
print(sum(made), 'of', len(made))
";

#[test]
fn a_busy_process_is_seen_whole_each_time_and_goes_on() {
    /// Pictures, where the environment names no other number.
    const STOPS: usize = 25;
    let stops = std::env::var("XRAY_STOPS").ok().map_or(STOPS, |text| text.parse().unwrap());
    let all = compared();
    let Some(interpreter) = all.last() else {
        return not_run("pictures of a busy process", "no CPython was found");
    };
    let mut command = interpreter.command(None);
    command.args(["-c", BUSY]);
    let waiting = Waiting::of(command);
    let mut quiet = 0;
    for _ in 0..stops {
        // As the command does it: where it was stopped in the middle of malloc, it is stopped again.
        let (_, picture) = (0..5)
            .map(|_| seen(waiting.pid()))
            .find(|(_, picture)| picture.pools.in_flight() == 0)
            .unwrap_or_else(|| seen(waiting.pid()));
        quiet += usize::from(picture.pools.in_flight() == 0);
        assert_eq!(live_objects(&picture, "__main__.Planted"), 5000);
    }
    assert!(quiet * 100 >= stops * 97, "{quiet} of {stops} pictures have no pool in the middle of a change");
    let (well, output) = waiting.end_with_output();
    assert!(well, "it goes on as if nothing had been");
    assert_eq!(output, format!("{} of 3\n", (20..23).map(|n| n * (n - 1) / 2).sum::<u64>()));
}

/// Threads whose arenas of the C library have chunks of all kinds, and a large one.
const HEAPS: &str = "
import sys, threading
kept = [bytearray(1 << 20)]
def work(seed):
    rows = [bytes(seed + n % 5000) for n in range(3000)]
    kept.append(rows[::7])
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print('ready', flush=True)
sys.stdin.readline()
";

#[test]
fn whatever_is_in_the_memory_a_picture_ends() {
    const ROUNDS: u64 = 60;
    const PAGES: u64 = 200;
    let all = compared();
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return not_run("pictures of damaged memory", "no CPython was found");
    };
    let own = if last.version.1 < 13 { "malloc" } else { "mimalloc" };
    for (interpreter, malloc) in [(first, None), (last, Some("malloc")), (last, Some(own))] {
        let mut command = interpreter.command(malloc);
        command.args(["-c", HEAPS]);
        let waiting = Waiting::of(command);
        let (copy, _) = seen(waiting.pid());
        assert!(waiting.end());
        let version = version_of(&copy.memory).unwrap();
        for seed in 0..ROUNDS {
            let mut random = Random(seed);
            let memory = damaged(&copy.memory, &mut random, PAGES);
            if let Ok(picture) = Picture::of(&memory, version) {
                // What is read of it ends, too.
                let _ = picture.used_of_arenas();
                follow(&memory, &picture, &copy.resident);
            }
        }
    }
}

/// Pages of noise, of words that lead somewhere in the copy, and of other pages.
fn damaged(memory: &Memory, random: &mut Random, pages: u64) -> Memory {
    let mut regions: Vec<Region> = memory.regions().to_vec();
    for _ in 0..pages {
        let addresses: Vec<u64> = regions.iter().map(|region| region.lo).collect();
        let at = random.below(regions.len() as u64) as usize;
        let region = &mut regions[at];
        let from = (random.below(region.bytes.len() as u64) & !4095) as usize;
        let until = region.bytes.len().min(from + 4096);
        let how = random.below(3);
        let share = 1 + random.below(64);
        let copied = random.below(region.bytes.len() as u64) as usize & !4095;
        for word in (from..until).step_by(8) {
            if random.below(64) >= share {
                continue;
            }
            let value = match how {
                0 => random.below(u64::MAX),
                1 => addresses[random.below(addresses.len() as u64) as usize] + 16 * random.below(1 << 16),
                _ => region
                    .bytes
                    .get(copied + word - from..)
                    .and_then(|rest| rest.first_chunk())
                    .map_or(0, |word| u64::from_le_bytes(*word)),
            };
            if let Some(into) = region.bytes.get_mut(word..word + 8) {
                into.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    memory.with_regions(regions)
}
