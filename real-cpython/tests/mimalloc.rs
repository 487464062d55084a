//! The real mimalloc of an interpreter, in a process of its own with `PYTHONMALLOC=mimalloc` and
//! `mimalloc_debug`, against ours: which block of which page, whether a realloc moves, the bytes around blocks,
//! what the statistics grow by, and the allocator's name.
//!
//! The interpreter itself allocates from the same heap, so addresses are compared inside size classes that it
//! does not use meanwhile, and pages by which blocks share one.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Output, Stdio};

use real_cpython::interpreters::{self, Interpreter};
use real_cpython::or_not_run;
use real_cpython::outside::compared;
use sim_core::domains::AllocatorName;
use sim_core::mimalloc::bin_block_bytes;
use sim_core::profile::MimallocVersion;
use sim_core::report::malloc_stats;
use sim_core::{Call, Machine, Op, Profile, Trace, TraceBuilder};
use trace_io::ptrace;
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

const SEEDS: u64 = 6;
/// Blocks for the statistics.
const GROWTH: u64 = 37;

/// The interpreters with mimalloc 2.1.2, which places blocks the same wherever its segments lie.
fn with_mimalloc_212() -> Result<Vec<&'static Interpreter>, &'static str> {
    let all = interpreters::required()?;
    let right: Vec<_> = all.iter().filter(|p| (3, 13, 0) <= p.version && p.version < (3, 14, 10)).collect();
    if right.is_empty() {
        return Err(
            "no CPython from 3.13.0 to 3.14.9 was found, whose mimalloc is 2.1.2; `pyenv install 3.13` builds one",
        );
    }
    Ok(right)
}

fn workload(seed: u64, sizes: Sizes, raw_percent: u8) -> Trace {
    let up = Phase {
        operations: 6_000,
        sizes,
        lifetimes: Lifetimes::Random,
        live_from: 0,
        live_to: 900,
        realloc_percent: 25,
        calloc_percent: 15,
        raw_percent,
        mem_percent: 50,
    };
    let down = Phase { operations: 6_000, live_from: 900, live_to: 30, ..up };
    let mut tape = TraceBuilder::new("live");
    for op in &(Workload { seed, phases: vec![up, down, up] }) {
        tape.push(op).unwrap();
    }
    tape.finish()
}

/// Runs the script on a trace; its name line and its other lines come back.
fn real(python: &Interpreter, malloc: &str, args: &[&str], trace: &Trace) -> (String, Vec<String>, Output) {
    let mut input = Vec::new();
    for op in (0..trace.len()).filter_map(|i| trace.op(i)) {
        ptrace::write_op(&mut input, trace, &op).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mimalloc.py");
    let mut child = python
        .command(Some(malloc))
        .arg(script)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::Builder::new().spawn(move || stdin.write_all(&input).unwrap()).unwrap();
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(out.status.success(), "{python}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout.clone()).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    let name = lines.next().unwrap();
    (name, lines.collect(), out)
}

fn machine(trace: &Trace, name: AllocatorName) -> Machine {
    Machine::for_trace(&Profile::named("cpython-3.13").unwrap(), trace, Some(name)).unwrap()
}

/// Which page of theirs stands for which of ours, and how many live blocks say so.
#[derive(Default)]
struct Pages(BTreeMap<u64, (u64, u64)>);

impl Pages {
    fn take(&mut self, ours: u64, theirs: u64, place: &str) {
        let entry = self.0.entry(ours).or_insert((theirs, 0));
        assert_eq!(entry.0, theirs, "{place}: another page");
        entry.1 += 1;
        let twice = self.0.values().filter(|(page, _)| *page == theirs).count();
        assert_eq!(twice, 1, "{place}: one page of theirs for two of ours");
    }

    fn release(&mut self, ours: u64) {
        let entry = self.0.get_mut(&ours).unwrap();
        entry.1 -= 1;
        if entry.1 == 0 {
            self.0.remove(&ours);
        }
    }
}

/// Compares block numbers and pages of every operation; returns how many addresses were compared.
fn compare_places(python: &Interpreter, seed: u64) -> u64 {
    // Over the short path's limit and up to the largest block of a page of one slice.
    let trace = workload(seed, Sizes::Uniform { min: 1_281, max: 16_384 }, 0);
    let bins =
        (1_281..=16_384).map(|n| MimallocVersion::V2_1_2.bin(n)).collect::<std::collections::BTreeSet<_>>();
    let sizes: Vec<String> = bins.iter().map(|&b| bin_block_bytes(b).to_string()).collect();
    let growth = GROWTH.to_string();
    let (name, lines, out) = real(python, "mimalloc", &["place", &sizes.join(","), "3000", &growth], &trace);
    assert_eq!(name, "mimalloc");

    // The first block of each class comes from the script's own fill.
    let mut tape = TraceBuilder::new("live");
    let mut next = 1 << 20;
    let mut first = |tape: &mut TraceBuilder, size: u64| {
        next += 1;
        let call = Call::Malloc { id: next, size };
        tape.push(Op { thread: 0, domain: sim_core::Domain::Mem, call }).unwrap();
    };
    for &bin in &bins {
        first(&mut tape, bin_block_bytes(bin));
    }
    for op in (0..trace.len()).filter_map(|i| trace.op(i)) {
        tape.push(op).unwrap();
    }
    for _ in 0..GROWTH {
        first(&mut tape, 3_000);
    }
    let trace = tape.finish();
    let mut machine = machine(&trace, AllocatorName::Mimalloc);
    let theirs: Vec<u64> = lines[0]
        .split(' ')
        .chain(lines[1..].iter().map(String::as_str))
        .map(|n| n.parse().unwrap())
        .collect();
    assert_eq!(theirs.len() as u64 + GROWTH, trace.len());
    let (mut pages, mut compared) = (Pages::default(), 0);
    let page_of = |address: u64| address & !0xffff;
    for (index, &address) in theirs.iter().enumerate() {
        let op = trace.packed(index);
        let place =
            format!("CPython {python}, seed {seed}, operation {} {:?}", index + 1, trace.op(index as u64));
        if let Some(old) = machine.address(op.slot)
            && !matches!(op.kind, sim_core::Kind::Malloc | sim_core::Kind::Calloc)
        {
            pages.release(page_of(old.0));
        }
        machine.step(&trace, index, &mut ());
        if op.kind == sim_core::Kind::Free {
            continue;
        }
        let ours = machine.address(op.slot).unwrap().0;
        // Pages of these classes begin with block 0, so the offset in the page says which block it is.
        assert_eq!(ours & 0xffff, address & 0xffff, "{place}: another block");
        pages.take(page_of(ours), page_of(address), &place);
        compared += 1;
    }
    machine.verify().unwrap();

    let reports = statistics(&String::from_utf8_lossy(&out.stderr));
    let ours = |machine: &Machine| statistics(&malloc_stats(machine)).remove(0);
    let before = ours(&machine);
    for index in theirs.len()..trace.len() as usize {
        machine.step(&trace, index, &mut ());
    }
    let after = ours(&machine);
    let [.., real_before, real_after] = &reports[..] else { panic!("{} reports", reports.len()) };
    assert_eq!(real_before.0, before.0, "the constants of the statistics");
    for (line, ((a, b), (x, y))) in
        real_before.1.iter().zip(&real_after.1).zip(before.1.iter().zip(&after.1)).enumerate()
    {
        // Blocks and bytes, reserved and committed: the interpreter's own temporaries are gone again.
        assert_eq!(b - a, y - x, "CPython {python}, seed {seed}: total {line} grows by another number");
    }
    compared
}

/// The constants and the five totals of each mimalloc block in a text.
fn statistics(text: &str) -> Vec<(Vec<String>, Vec<u64>)> {
    let lines: Vec<&str> = text.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, l)| l.starts_with("Small block threshold"));
    starts
        .map(|(at, _)| {
            let labels = lines[at + 3..at + 8].iter().map(|l| l.split(": ").next().unwrap());
            let constants = lines[at..at + 3].iter().copied().chain(labels).map(str::to_owned).collect();
            let totals = lines[at + 3..at + 8].iter().map(|l| l.split(": ").nth(1).unwrap().parse().unwrap());
            (constants, totals.collect())
        })
        .collect()
}

/// Compares header, data and pads of every block under debug hooks; returns how many bytes.
fn compare_bytes(python: &Interpreter, seed: u64) -> u64 {
    let trace = workload(seed, [Sizes::Python, Sizes::Uniform { min: 0, max: 3_000 }][seed as usize % 2], 20);
    let (name, lines, _) = real(python, "mimalloc_debug", &["bytes"], &trace);
    assert_eq!(name, "mimalloc_debug");
    assert_eq!(lines.len() as u64, trace.len());
    let mut machine = machine(&trace, AllocatorName::MimallocDebug);
    assert_eq!(machine.allocators().current_name(), Some("mimalloc_debug"));
    let (mut compared, mut freed) = (0, BTreeMap::new());
    for (index, line) in lines.iter().enumerate() {
        let op = trace.packed(index);
        let call = trace.op(index as u64).unwrap();
        let place = format!("CPython {python}, seed {seed}, operation {} {call:?}", index + 1);
        let old = machine.address(op.slot).unwrap();
        machine.step(&trace, index, &mut ());
        assert_eq!(machine.stopped(), None, "{place}");
        let (from, len) = match call.call {
            Call::Free { .. } => (old.0 - 8, freed.remove(&op.slot).unwrap_or(0) + 16),
            _ => (machine.address(op.slot).unwrap().0 - 16, op.size + 24),
        };
        // What the C library writes into its freed blocks is not modelled; a small one of mimalloc's may be the
        // interpreter's already.
        if line == "-" || matches!(call.call, Call::Free { .. }) && call.domain == sim_core::Domain::Raw {
            continue;
        }
        let ours = machine.layers().unwrap().bytes().read(sim_core::Addr(from), len).unwrap();
        let hex = ours.iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
        assert_eq!(&hex, line, "{place}");
        compared += len;
        if let Call::Malloc { id, .. } | Call::Calloc { id, .. } | Call::Realloc { id, .. } = call.call {
            freed.insert(op.slot, op.size);
            machine.poke(op.slot, 0, &vec![0x40 + (id % 64) as u8; op.size.min(200) as usize]);
        }
    }
    machine.verify().unwrap();
    compared
}

#[test]
fn blocks_land_where_the_real_mimalloc_puts_them() {
    let Some(pythons) = or_not_run("blocks of the real mimalloc 2.1.2", with_mimalloc_212()) else { return };
    let (mut places, mut bytes) = (0, 0);
    for python in &pythons {
        for seed in 0..SEEDS {
            places += compare_places(python, seed);
            bytes += compare_bytes(python, seed);
        }
    }
    let versions: Vec<String> = pythons.iter().map(ToString::to_string).collect();
    compared(
        "blocks of mimalloc 2.1.2",
        &format!("CPython {}: {places} places and {bytes} bytes of blocks", versions.join(", ")),
    );
    assert!(places > 50_000 && bytes > 1_000_000, "the workloads are too tame");
}
