//! The simulation against the real pymalloc on the same traces, alternating in one process.
//!
//! `cargo xtask bench [--reps N] [TRACE…]`; without traces all of `../shared/oracle`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use real_cpython::{RealPymalloc, WorkClock};
use sim_core::{Addr, Machine, Profile, Trace};

/// Nanoseconds an operation of one allocator on one trace, one entry a repetition.
type Times = Vec<f64>;

struct Row {
    name: String,
    operations: u64,
    fresh_ns: Times,
    resident_ns: Times,
    simulated_ns: Times,
    /// Simulated state against the simulated heap at its most, in bytes.
    state_bytes: u64,
    heap_bytes: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("a bar is missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// At most this many times the real pymalloc's time an operation, with fresh arenas.
const TIME_BAR: f64 = 2.0;
/// At most this share of the simulated heap's bytes.
const STATE_BAR: f64 = 0.25;

fn run() -> Result<bool> {
    let (mut reps, mut files) = (7, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--reps" => reps = args.next().and_then(|n| n.parse().ok()).context("--reps takes a number")?,
            "--help" | "-h" => {
                println!(
                    "bench [--reps N] [TRACE…]: the simulation against the real pymalloc, in nanoseconds an operation"
                );
                return Ok(true);
            }
            _ => files.push(PathBuf::from(arg)),
        }
    }
    ensure!(reps > 0, "--reps takes a number from 1");
    if files.is_empty() {
        files = oracle()?;
    }
    let mut real = RealPymalloc::get()?;
    println!(
        "{} in this process, {reps} alternating repetitions, medians in ns an operation",
        real.library()
    );
    println!(
        "{:<24} {:>10} {:>9} {:>9} {:>9} {:>8} {:>8} {:>10}",
        "trace", "operations", "real", "resident", "simulated", "ratio", "of res.", "state/heap"
    );
    let mut rows = Vec::new();
    for file in &files {
        let row = measure(&mut real, file, reps)?;
        print_row(&row);
        rows.push(row);
    }
    Ok(summary(&rows))
}

fn oracle() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} is missing; name traces on the command line", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.to_string_lossy().ends_with(".ptrace.zst"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("{} holds no trace", folder.display());
    }
    Ok(files)
}

fn measure(real: &mut RealPymalloc, file: &Path, reps: u32) -> Result<Row> {
    let name = file.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let source = File::open(file).with_context(|| file.display().to_string())?;
    let trace = trace_io::open(&name, Box::new(source)).with_context(|| file.display().to_string())?;
    let mut profile = Profile::default();
    for (key, value) in &trace.settings {
        profile.set(key, value)?;
    }
    let mut row = Row {
        name: trace.name.clone(),
        operations: trace.len(),
        fresh_ns: Times::new(),
        resident_ns: Times::new(),
        simulated_ns: Times::new(),
        state_bytes: 0,
        heap_bytes: 0,
    };
    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    for _ in 0..reps {
        row.fresh_ns.push(real_run(real, &trace, &profile, true, &machine));
        row.resident_ns.push(real_run(real, &trace, &profile, false, &machine));
        machine = Machine::simulated(&profile, trace.slot_count())?;
        let start = WorkClock::now();
        machine.run(&trace, 0, trace.len() as usize);
        row.simulated_ns.push(start.elapsed_ns() / trace.len() as f64);
    }
    row.state_bytes = machine.state_bytes();
    row.heap_bytes = machine.pymalloc().counters().narenas_highwater * profile.arena_size;
    Ok(row)
}

fn real_run(real: &mut RealPymalloc, trace: &Trace, profile: &Profile, fresh: bool, any: &Machine) -> f64 {
    real.reset(profile, trace.slot_count(), fresh);
    let start = WorkClock::now();
    for index in 0..trace.len() as usize {
        std::hint::black_box(real.apply(trace.packed(index)));
    }
    let ns = start.elapsed_ns() / trace.len() as f64;
    // The region is the same for every machine of this profile, so any can tell its bounds.
    let base = sim_core::arena::region_base(any.pymalloc().profile());
    real.free_raw(|address| Addr(address).bytes_from(base) >= 16 << 30);
    ns
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of each repetition, which a drift of the machine's speed does not touch.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(a, b)| a / b).collect::<Vec<_>>())
}

fn print_row(row: &Row) {
    println!(
        "{:<24} {:>10} {:>9.2} {:>9.2} {:>9.2} {:>8.2} {:>8.2} {:>10.3}",
        row.name,
        row.operations,
        median(&row.fresh_ns),
        median(&row.resident_ns),
        median(&row.simulated_ns),
        ratio(&row.simulated_ns, &row.fresh_ns),
        ratio(&row.simulated_ns, &row.resident_ns),
        row.state_bytes as f64 / row.heap_bytes as f64
    );
}

/// Says which bars are met on which traces; true when all are.
fn summary(rows: &[Row]) -> bool {
    let slow: Vec<&str> = rows
        .iter()
        .filter(|r| ratio(&r.simulated_ns, &r.fresh_ns) > TIME_BAR)
        .map(|r| r.name.as_str())
        .collect();
    let large: Vec<&str> = rows
        .iter()
        .filter(|r| r.state_bytes as f64 > STATE_BAR * r.heap_bytes as f64)
        .map(|r| r.name.as_str())
        .collect();
    let say = |what: String, missed: &[&str]| {
        if missed.is_empty() {
            println!("{what}: met on all {} traces", rows.len());
        } else {
            println!("{what}: missed on {}", missed.join(", "));
        }
    };
    say(format!("time at most {TIME_BAR} x the real pymalloc with fresh arenas"), &slow);
    say(format!("state at most {STATE_BAR} of the arenas at their most"), &large);
    slow.is_empty() && large.is_empty()
}
