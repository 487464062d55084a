//! A process is stopped, seen, and goes on: the machine that begins with its picture gives every address that it gives.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod pattern;

use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use pattern::{Pattern, Step};
use real_cpython::interpreters::{self, Interpreter};
use real_cpython::outside::not_run;
use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::picture::ProcessPicture;
use sim_core::report::digest;
use sim_core::{Addr, Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};
use trace_io::Format;
use xray::image::Picture;
use xray::image::picture::version_of;
use xray::source::copy;

const OPERATIONS: u64 = 1_000_000;

/// The library, built for this test.
fn mutator(folder: &Path) -> PathBuf {
    let library = folder.join("libmutator.so");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O", "--crate-type", "cdylib", "-o"]).arg(&library);
    rustc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/start/mutator.rs"));
    assert!(rustc.status().unwrap().success(), "rustc builds the library");
    library
}

/// What a process did after it was seen.
struct Seen {
    profile: Profile,
    picture: ProcessPicture,
    /// Blocks of the library's that were there before.
    planted: Vec<u64>,
    /// What each call gave, 0 for free.
    given: Vec<u64>,
}

fn numbers(bytes: &mut &[u8]) -> Vec<u64> {
    let mut next = || {
        let (word, rest) = bytes.split_first_chunk().unwrap();
        *bytes = rest;
        u64::from_le_bytes(*word)
    };
    let count = next();
    (0..count).map(|_| next()).collect()
}

fn seen(interpreter: &Interpreter, library: &Path, seed: u64) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = interpreter.command(None);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/start/heap.py"));
    command.arg(library).args([seed.to_string(), OPERATIONS.to_string()]).arg(&log);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let copy = copy(child.id().cast_signed(), true).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success(), "it goes on as if nothing had been");

    let picture = Picture::of(&copy.memory, version_of(&copy.memory).unwrap()).unwrap();
    let heaps = (0..picture.tables.len()).map(|table| picture.heap(&copy.memory, table).unwrap());
    let mut process = ProcessPicture { heaps: heaps.collect(), ..ProcessPicture::default() };
    let log = std::fs::read(&log).unwrap();
    let mut log = log.as_slice();
    let (planted, later, given) = (numbers(&mut log), numbers(&mut log), numbers(&mut log));
    process.heaps[0].later_arenas = later.into_iter().map(Addr).collect();
    Seen { profile: picture.profile(), picture: process, planted, given }
}

/// Does what the process did on a machine that begins with its picture. Gives the trace and how many addresses were in arenas.
fn predicted(of: &Seen, what: &str, seed: u64) -> (Trace, Machine, u64) {
    let blocks: Vec<Addr> = of.picture.heaps[0].blocks_in_use(&of.profile).map(|(addr, _)| addr).collect();
    let mut places: Vec<(Addr, u64)> = blocks.iter().copied().zip(1..).collect();
    places.sort_unstable();
    let id = |addr: u64| {
        let at = places.binary_search_by_key(&Addr(addr), |place| place.0);
        places[at.unwrap_or_else(|_| panic!("{what}: {addr:#x} is no block in use"))].1
    };
    let mut live: Vec<(u64, Domain)> = of.planted.iter().map(|&addr| (id(addr), Domain::Obj)).collect();
    let mut tape = TraceBuilder::new("t");
    tape.begin_with(Arc::new(of.picture.clone())).unwrap();
    tape.trace_mut().head.profile = Some(of.profile.name.clone());
    let mut machine = Machine::for_trace(&of.profile, tape.trace(), None).unwrap();
    machine.verify().unwrap();
    let mut pattern = Pattern::new(seed, OPERATIONS);
    let (mut next, mut in_arenas, mut wrong) = (blocks.len() as u64 + 1, 0, 0);
    for (at, &given) in of.given.iter().enumerate() {
        let step = pattern.next(live.len()).unwrap();
        let new = |object: bool| if object { Domain::Obj } else { Domain::Mem };
        let (domain, call) = match step {
            Step::Malloc { size, object } => {
                live.push((next, new(object)));
                next += 1;
                (new(object), Call::Malloc { id: next - 1, size: size as u64 })
            }
            Step::Calloc { size, object } => {
                live.push((next, new(object)));
                next += 1;
                (new(object), Call::Calloc { id: next - 1, nelem: 1, elsize: size as u64 })
            }
            Step::Realloc { at, size } => {
                let (id, domain) = live[at];
                (domain, Call::Realloc { id, newid: id, size: size as u64 })
            }
            Step::Free { at } => {
                let (id, domain) = live.swap_remove(at);
                (domain, Call::Free { id })
            }
        };
        tape.push(Op { thread: 0, domain, call }).unwrap();
        machine.grow(tape.trace().slot_count());
        let pointer = machine.step(tape.trace(), at, &mut ());
        let right = match SimArenas::target(pointer) {
            Target::Block(block) => {
                in_arenas += 1;
                machine.pymalloc().memory().block_addr(block).0 == given
            }
            Target::Raw(_) => !machine.pymalloc().address_in_range(Addr(given)),
            Target::Null => given == 0,
        };
        if !right {
            wrong += 1;
            assert!(wrong < 10, "{what}: operation {at} gave {given:#x}, the model {pointer:?}");
        }
    }
    assert_eq!(wrong, 0, "{what}");
    machine.verify().unwrap();
    (tape.finish(), machine, in_arenas)
}

/// The same out of a file. Gives the file's bytes.
fn from_file(profile: &Profile, trace: &Trace, end: &Machine, what: &str) -> usize {
    let mut bytes = Vec::new();
    let mut writer = trace_io::writer(Format::Atrace, &mut bytes).unwrap();
    writer.write(trace).unwrap();
    assert!(writer.finish(trace).unwrap().is_empty());
    let length = bytes.len();
    let back = trace_io::open("t", Box::new(Cursor::new(bytes))).unwrap();
    let heaps = |trace: &Trace| trace.origin.picture.as_ref().unwrap().heaps.clone();
    assert_eq!(heaps(&back), heaps(trace), "{what}");
    let mut machine = Machine::for_trace(profile, &back, None).unwrap();
    machine.run(&back, 0, back.len() as usize);
    assert_eq!(digest(&machine), digest(end), "{what}");
    length
}

#[test]
fn the_model_goes_on_as_the_process_does() {
    let Some(all) = interpreters::compared() else {
        return not_run("a model that goes on from a process", "no CPython was found");
    };
    let folder = tempfile::tempdir().unwrap();
    let library = mutator(folder.path());
    for interpreter in all.iter().filter(|interpreter| interpreter.version.1 <= 15) {
        for seed in 1..=2 {
            let what = format!("{interpreter}, seed {seed}");
            let seen = seen(interpreter, &library, seed);
            let heap = &seen.picture.heaps[0];
            assert_eq!(seen.given.len() as u64, OPERATIONS);
            assert!(heap.free.len() > 5_000 && heap.freepools.len() > 5, "{what}: the heap has holes");
            assert!(heap.later_arenas.len() > 3, "{what}: arenas come");
            let (trace, machine, in_arenas) = predicted(&seen, &what, seed);
            assert!(in_arenas > OPERATIONS / 3, "{what}: {in_arenas}");
            let counters = machine.pymalloc().counters();
            let released = counters.ntimes_arena_allocated - counters.narenas_currently_allocated;
            assert!(released > 3, "{what}: arenas go");
            // The same at full speed.
            let mut fast = Machine::for_trace(&seen.profile, &trace, None).unwrap();
            fast.run(&trace, 0, trace.len() as usize);
            assert_eq!(digest(&fast), digest(&machine), "{what}");
            let bytes = from_file(&seen.profile, &trace, &machine, &what);
            println!(
                "{what}: {} blocks in {} pools and {} arenas, {} free, {} empty pools; {in_arenas} of {} addresses in arenas, \
                 {} arenas obtained, {released} released, 0 wrong; {bytes} bytes as a file",
                heap.blocks(),
                heap.pools.len(),
                heap.arenas.len(),
                heap.free.len(),
                heap.freepools.len(),
                seen.given.len(),
                heap.later_arenas.len()
            );
        }
    }
}
