//! Time travel on long tapes: the first pass, seeks, steps, searches, and the memory for them.
//!
//! `cargo xtask bench travel`; with operations in millions as arguments other lengths than 10 and 100.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use real_cpython::{WorkClock, measure, or_not_run, outside};
use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::index::{RareEvent, Wanted};
use sim_core::{Addr, Call, Machine, Op, Profile, Replay, SizeClass, Trace, TraceBuilder};
use trace_io::workload::Workload;

/// Saved states and index of a tape of 10 million operations.
const BUDGET: u64 = 256 << 20;
/// The same for longer tapes.
const LARGE_BUDGET: u64 = 512 << 20;
const SEEKS: usize = 400;
/// Steps on and back: several times as many as a way back is prepared with.
const STEPS: u64 = 60_000;
const SEARCHES: usize = 12;

fn main() -> ExitCode {
    measure::exit("travel", run())
}

fn run() -> Result<bool> {
    let mut millions = Vec::new();
    for arg in std::env::args().skip(1) {
        millions.push(arg.parse::<u64>().with_context(|| format!("{arg}: operations in millions"))?);
    }
    if millions.is_empty() {
        millions = vec![10, 100];
    }
    measure::head(&[
        "tape",
        "operations",
        "first pass ns",
        "plain ns",
        "events ns",
        "seek median ms",
        "seek worst ms",
        "step on µs",
        "step back µs",
        "search median ms",
        "search worst ms",
        "tape B/op",
        "index B/op",
        "states MiB",
        "resident MiB",
    ]);
    let mut met = true;
    for &m in &millions {
        met &= measure(generated(m * 1_000_000)?)?;
    }
    if millions.contains(&10)
        && let Some(oracle) = or_not_run("time travel on p02_json", outside::shared("oracle"))
    {
        met &= measure(repeated(&oracle.join("p02_json.ptrace.zst"), 10_000_000)?)?;
    }
    println!(
        "\nBars: a seek on 10 million operations takes 4 ms in the middle and 16 ms at worst, on 100 million 100 ms"
    );
    println!("at worst with at most 2 GiB in all; events at most 3 times the plain replay. {}", verdict(met));
    Ok(met)
}

fn verdict(met: bool) -> &'static str {
    if met { "All are met." } else { "A bar is missed." }
}

fn generated(operations: u64) -> Result<Trace> {
    let workload = Workload::python(1, operations, operations / 100);
    let mut tape = TraceBuilder::new(&format!("generated, {} live", operations / 100));
    for op in &workload {
        tape.push(op)?;
    }
    Ok(tape.finish())
}

/// A recording several times in a row, each time with new names: what it leaves alive stays.
fn repeated(file: &Path, at_least: u64) -> Result<Trace> {
    let once = trace_io::open("p02_json.ptrace.zst", Box::new(File::open(file)?))?;
    let mut tape = TraceBuilder::new("p02_json repeated");
    let mut highest = 0;
    let mut shift = 0;
    while tape.len() < at_least {
        for index in 0..once.len() {
            let Some(op) = once.op(index) else { continue };
            let moved = |id: u64| if id == 0 { 0 } else { id + shift };
            let call = match op.call {
                Call::Malloc { id, size } => Call::Malloc { id: moved(id), size },
                Call::Calloc { id, nelem, elsize } => Call::Calloc { id: moved(id), nelem, elsize },
                Call::Realloc { id, newid, size } => {
                    Call::Realloc { id: moved(id), newid: moved(newid), size }
                }
                Call::Free { id } => Call::Free { id: moved(id) },
                other => other,
            };
            if let Call::Malloc { id, .. } | Call::Calloc { id, .. } | Call::Realloc { newid: id, .. } = call
            {
                highest = highest.max(id);
            }
            tape.push(Op { call, ..op })?;
        }
        shift = highest;
    }
    Ok(tape.finish())
}

/// Numbers from a seed, evenly spread.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
}

fn ms(since: WorkClock) -> f64 {
    since.elapsed_ns() / 1e6
}

fn median_and_worst(times: &[f64]) -> (f64, f64) {
    (measure::median(times), times.iter().copied().fold(0.0, f64::max))
}

fn measure(trace: Trace) -> Result<bool> {
    let trace = Arc::new(trace);
    let profile = Profile::default();
    let len = trace.len();
    let per_operation = |since: WorkClock| since.elapsed_ns() / len as f64;

    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    let start = WorkClock::now();
    machine.run(&trace, 0, len as usize);
    let plain_ns = per_operation(start);
    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    let start = WorkClock::now();
    measure::run_with_events(&mut machine, &trace);
    let events_ns = per_operation(start);
    drop(machine);

    let large = len > 20_000_000;
    let mut replay = Replay::new(Arc::clone(&trace), &profile, if large { LARGE_BUDGET } else { BUDGET })?;
    let start = WorkClock::now();
    while !replay.advance(1 << 16) {}
    let first_pass_ns = per_operation(start);

    let mut dice = Dice(7);
    let seeks: Vec<f64> = (0..SEEKS)
        .map(|_| {
            let to = dice.below(len + 1);
            let start = WorkClock::now();
            replay.seek_now(to);
            ms(start)
        })
        .collect();
    let (seek_median, seek_worst) = median_and_worst(&seeks);

    // Back first, on a way that was not come along.
    replay.seek_now(len / 2);
    let start = WorkClock::now();
    for _ in 0..STEPS {
        replay.seek_now(replay.step().0 - 1);
    }
    let back_us = ms(start) * 1e3 / STEPS as f64;
    replay.seek_now(len / 2);
    let start = WorkClock::now();
    for _ in 0..STEPS {
        replay.step_forward();
    }
    let on_us = ms(start) * 1e3 / STEPS as f64;

    let mut searches = Vec::new();
    for _ in 0..SEARCHES {
        let from = dice.below(len);
        replay.seek_now(from);
        for wanted in wishes(&replay, &mut dice) {
            for forward in [true, false] {
                let start = WorkClock::now();
                std::hint::black_box(replay.find(wanted, from, forward));
                searches.push(ms(start));
            }
        }
    }
    let (search_median, search_worst) = median_and_worst(&searches);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let resident = resident_mib();
    println!(
        "| {} | {} | {first_pass_ns:.1} | {plain_ns:.1} | {events_ns:.1} | {seek_median:.2} | {seek_worst:.2} | \
         {on_us:.2} | {back_us:.2} | {search_median:.2} | {search_worst:.2} | {:.2} | {:.2} | {:.0} | {resident:.0} |",
        trace.head.name,
        len,
        trace.state_bytes() as f64 / len as f64,
        replay.index().state_bytes() as f64 / len as f64,
        mib(replay.checkpoint_bytes()),
    );
    let seeks_met = if large {
        seek_worst <= 100.0 && resident <= 2048.0
    } else {
        seek_median <= 4.0 && seek_worst <= 16.0
    };
    Ok(seeks_met && events_ns <= 3.0 * plain_ns)
}

/// One thing of each kind to look for, from what is live at the position.
fn wishes(replay: &Replay, dice: &mut Dice) -> Vec<Wanted> {
    let machine = replay.machine();
    let heap = machine.pymalloc();
    let skip = dice.below(1000) as usize;
    let mut wishes = vec![
        Wanted::RareEvent(RareEvent::ArenaObtained),
        Wanted::RareEvent(RareEvent::ArenaReleased),
        Wanted::RareEvent(RareEvent::PoolFull),
        Wanted::Class(SizeClass(dice.below(32) as u16)),
        Wanted::Arena(dice.below(heap.counters().ntimes_arena_allocated)),
    ];
    let block = machine.live().filter(|(_, t)| matches!(t, Target::Block(_))).nth(skip);
    if let Some((slot, Target::Block(block))) = block {
        let addr = heap.memory().block_addr(block);
        wishes.push(Wanted::Block(slot));
        wishes.push(Wanted::Address(addr));
        wishes.push(Wanted::Pool(Addr(addr.0 & !(heap.profile().pool_size - 1))));
    }
    wishes
}

/// Memory this process has now, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(f64::NAN, |k| k / 1024.0)
}
