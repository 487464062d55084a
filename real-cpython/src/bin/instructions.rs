//! One replay of a trace for callgrind to count: `cargo xtask bench --instructions` runs it.

#![expect(clippy::print_stdout, reason = "it answers on standard output")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use real_cpython::measure;
use sim_core::{Machine, Profile, Trace, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

fn main() -> ExitCode {
    measure::exit("instructions", run())
}

fn run() -> Result<bool> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("instructions FILE|steady|arenas [plain|events]")?;
    let events = args.next().as_deref() == Some("events");
    let (trace, profile) = match workload(&name) {
        Some(workload) => (generated(&name, &workload)?, Profile::default()),
        None => measure::open(Path::new(&name))?,
    };
    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    if events {
        counted_events(&mut machine, &trace);
    } else {
        counted_plain(&mut machine, &trace);
    }
    println!("{} {:016x}", trace.len(), sim_core::report::digest(&machine));
    Ok(true)
}

/// Traces from a seed, so that they need not lie in the repository.
fn workload(name: &str) -> Option<Workload> {
    match name {
        "steady" => Some(Workload::python(1, 300_000, 30_000)),
        // A heap that grows to a hundred arenas and gives its blocks back in no order, so that pools and arenas become
        // free all over it; and grows again.
        "arenas" => {
            let grow = Phase {
                operations: 400_000,
                sizes: Sizes::Fixed(512),
                lifetimes: Lifetimes::Random,
                live_from: 0,
                live_to: 200_000,
                realloc_percent: 0,
                calloc_percent: 0,
                raw_percent: 0,
                mem_percent: 15,
            };
            let shrink = Phase { live_from: 200_000, live_to: 0, ..grow };
            Some(Workload {
                seed: 1,
                phases: vec![grow, shrink, Phase { operations: 200_000, live_to: 100_000, ..grow }],
            })
        }
        _ => None,
    }
}

fn generated(name: &str, workload: &Workload) -> Result<Trace> {
    let mut tape = TraceBuilder::new(name);
    for operation in workload {
        tape.push(operation)?;
    }
    Ok(tape.finish())
}

/// What callgrind counts; it finds the function by its name.
#[inline(never)]
fn counted_plain(machine: &mut Machine, trace: &Trace) {
    machine.run(trace, 0, trace.len() as usize);
}

/// The same with every event made.
#[inline(never)]
fn counted_events(machine: &mut Machine, trace: &Trace) {
    measure::run_with_events(machine, trace);
}
