//! The simulation against the real pymalloc on the same traces, alternating in one process.
//!
//! Part of `cargo xtask bench`; without traces all of `../shared/oracle`.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use real_cpython::measure::{self, median, ratio};
use real_cpython::{RealPymalloc, WorkClock};
use sim_core::Machine;

/// Nanoseconds an operation of one allocator on one trace, one entry a repetition.
type Times = Vec<f64>;

struct Row {
    name: String,
    operations: u64,
    fresh_ns: Times,
    resident_ns: Times,
    simulated_ns: Times,
    /// The same with every event made and kept for one operation.
    events_ns: Times,
    /// Simulated state against the simulated heap at its most, in bytes.
    state_bytes: u64,
    heap_bytes: u64,
}

/// At most this many times the real pymalloc's time an operation, with fresh arenas.
const FRESH_BAR: f64 = 0.8;
/// The same with its arenas already in memory.
const RESIDENT_BAR: f64 = 1.0;
/// With events at most this many times the time without.
const EVENTS_BAR: f64 = 3.0;
/// At most this share of the simulated heap's bytes.
const STATE_BAR: f64 = 0.25;

fn main() -> ExitCode {
    let about = "the simulation against the real pymalloc, in nanoseconds an operation";
    measure::main("bench", about, 7, |arguments| {
        let files = arguments.files_or(&[("oracle", ".ptrace.zst")])?;
        let mut real = RealPymalloc::get()?;
        let columns = [
            "trace",
            "operations",
            "real ns",
            "resident ns",
            "simulated ns",
            "ratio",
            "to resident",
            "events ns",
            "to plain",
            "state/heap",
        ];
        arguments.head(real.library(), &columns);
        let mut rows = Vec::new();
        for file in &files {
            let row = measure(&mut real, file, arguments.reps)?;
            print_row(&row);
            rows.push(row);
        }
        Ok(summary(&rows))
    })
}

fn measure(real: &mut RealPymalloc, file: &Path, reps: u32) -> Result<Row> {
    let (trace, profile) = measure::open(file)?;
    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    let mut row = Row {
        name: measure::trace_name(file),
        operations: trace.len(),
        fresh_ns: Times::new(),
        resident_ns: Times::new(),
        simulated_ns: Times::new(),
        events_ns: Times::new(),
        state_bytes: 0,
        heap_bytes: 0,
    };
    let per_operation = |since: WorkClock| since.elapsed_ns() / trace.len() as f64;
    for _ in 0..reps {
        row.fresh_ns.push(measure::real_run(real, &trace, &profile, true));
        row.resident_ns.push(measure::real_run(real, &trace, &profile, false));
        machine = Machine::simulated(&profile, trace.slot_count())?;
        let start = WorkClock::now();
        machine.run(&trace, 0, trace.len() as usize);
        row.simulated_ns.push(per_operation(start));
        let mut watched = Machine::simulated(&profile, trace.slot_count())?;
        let start = WorkClock::now();
        measure::run_with_events(&mut watched, &trace);
        row.events_ns.push(per_operation(start));
    }
    row.state_bytes = machine.state_bytes();
    row.heap_bytes = machine.pymalloc().counters().narenas_highwater * profile.arena_size;
    Ok(row)
}

fn print_row(row: &Row) {
    println!(
        "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3} |",
        row.name,
        row.operations,
        median(&row.fresh_ns),
        median(&row.resident_ns),
        median(&row.simulated_ns),
        ratio(&row.simulated_ns, &row.fresh_ns),
        ratio(&row.simulated_ns, &row.resident_ns),
        median(&row.events_ns),
        ratio(&row.events_ns, &row.simulated_ns),
        row.state_share(),
    );
}

impl Row {
    fn state_share(&self) -> f64 {
        self.state_bytes as f64 / self.heap_bytes as f64
    }
}

/// Says which bars are met on which traces; true when all are.
fn summary(rows: &[Row]) -> bool {
    let bar = |what, most, least: u64, value: fn(&Row) -> f64| {
        let counted = rows.iter().filter(|r| r.operations >= least);
        measure::bar(what, most, counted.map(|r| (r.name.as_str(), value(r))))
    };
    println!();
    let timed = measure::TIMED_OPERATIONS;
    let fresh = bar("Times the real pymalloc with fresh arenas", FRESH_BAR, timed, |r| {
        ratio(&r.simulated_ns, &r.fresh_ns)
    });
    let resident = bar("times the real pymalloc with its arenas in memory", RESIDENT_BAR, timed, |r| {
        ratio(&r.simulated_ns, &r.resident_ns)
    });
    let events = bar("with events, times the plain replay", EVENTS_BAR, timed, |r| {
        ratio(&r.events_ns, &r.simulated_ns)
    });
    let state = bar("state, share of the arenas at their most", STATE_BAR, 1, Row::state_share);
    fresh && resident && events && state
}
