//! One replay of a trace for callgrind to count: `cargo xtask bench --instructions` runs it.

#![expect(clippy::print_stdout, reason = "it answers on standard output")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use real_cpython::measure;
use sim_core::{Machine, Trace};

fn main() -> ExitCode {
    measure::exit("instructions", run())
}

fn run() -> Result<bool> {
    let mut args = std::env::args().skip(1);
    let file = args.next().context("instructions TRACE [plain|events]")?;
    let events = args.next().as_deref() == Some("events");
    let (trace, profile) = measure::open(Path::new(&file))?;
    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    if events {
        counted_events(&mut machine, &trace);
    } else {
        counted_plain(&mut machine, &trace);
    }
    println!("{} {:016x}", trace.len(), sim_core::report::digest(&machine));
    Ok(true)
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
