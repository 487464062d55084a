//! A hundred settings of one long tape on all cores, as `arenascope whatif` runs them.
//!
//! `cargo xtask bench --only what-if`; with operations in millions as argument another length than 10.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use real_cpython::{WorkClock, measure};
use session::Overrides;
use session::whatif::{Cell, Grid, Tape, run as run_cell};
use sim_core::TraceBuilder;
use trace_io::workload::{Phase, Workload};

/// Five sizes of arenas, five of pools, four thresholds.
const AXES: [&str; 3] = [
    "arena_size=256K,512K,1M,2M,4M",
    "pool_size=4K,8K,16K,32K,64K",
    "small_request_threshold=256,512,768,1024",
];
/// Seconds of work on two cores.
const BAR_SECONDS: f64 = 60.0;

fn main() -> ExitCode {
    measure::exit("what-if", run())
}

fn run() -> Result<bool> {
    let arg = std::env::args().nth(1);
    let millions = arg
        .map_or(Ok(10), |arg| arg.parse::<u64>().with_context(|| format!("{arg}: operations in millions")))?;
    measure::head(&["tape", "operations", "cells", "work ns an operation", "work s", "passed s"]);
    let operations = millions * 1_000_000;
    let mut worst = 0.0_f64;
    let steady = Workload::python(7, operations, 100_000);
    let legs = (0..8).map(|leg| {
        let (live_from, live_to) = if leg % 2 == 0 { (0, 1_000_000) } else { (1_000_000, 0) };
        Phase { operations: operations / 8, live_from, live_to, ..steady.phases[1] }
    });
    let sawtooth = Workload { seed: 7, phases: legs.collect() };
    for (name, workload) in [("100000 live", &steady), ("up to 1000000 live and down, 4 times", &sawtooth)] {
        worst = worst.max(measure_grid(name, workload)?);
    }
    let met = worst / 2.0 <= BAR_SECONDS;
    let verdict = if met { "met" } else { "**missed**" };
    println!(
        "\n- seconds of work of a grid on each of two cores, at most {BAR_SECONDS}: {verdict} (the largest {:.1})",
        worst / 2.0
    );
    Ok(met)
}

/// Runs the grid and prints its row; seconds of work of all threads.
fn measure_grid(name: &str, workload: &Workload) -> Result<f64> {
    let mut tape = TraceBuilder::new(name);
    for op in workload {
        tape.push(op)?;
    }
    let trace = Arc::new(tape.finish());
    let tape = Tape::of(&trace);
    let mut grid = Grid::default();
    for axis in AXES {
        grid.add(axis)?;
    }
    let cells = grid.cells();
    let begun = Instant::now();
    let (next, work_ns) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cell = |cell: &Cell| -> Result<f64> {
        let clock = WorkClock::now();
        let setup = cell.setup(&trace, &Overrides::default())?;
        let figures = run_cell(&tape, &setup, &mut |_| ControlFlow::Continue(()))?;
        ensure!(figures.peak_arenas > 0, "a cell of {name} holds nothing");
        Ok(clock.elapsed_ns())
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(of) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ns = cell(of);
                    work_ns.lock().unwrap_or_else(PoisonError::into_inner).push(ns);
                }
            });
        }
    });
    let passed = begun.elapsed().as_secs_f64();
    let all: Result<Vec<f64>> =
        work_ns.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    let work: f64 = all?.iter().sum();
    println!(
        "| {name} | {} | {} | {:.1} | {:.1} | {passed:.1} |",
        trace.len(),
        cells.len(),
        work / trace.len() as f64 / cells.len() as f64,
        work / 1e9
    );
    Ok(work / 1e9)
}
