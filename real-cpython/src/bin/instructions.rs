//! One replay of a trace for callgrind to count: `cargo xtask bench --instructions` runs it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it answers on standard output")]

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use sim_core::{Event, Machine, Profile, Trace};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().context("instructions TRACE [plain|events]")?;
    let events = args.next().as_deref() == Some("events");
    let source = File::open(&file).with_context(|| file.clone())?;
    let name = Path::new(&file).file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let trace = trace_io::open(&name, Box::new(source)).with_context(|| file.clone())?;
    let mut profile = Profile::default();
    for (key, value) in &trace.settings {
        profile.set(key, value)?;
    }
    let mut machine = Machine::simulated(&profile, trace.slot_count())?;
    if events {
        counted_events(&mut machine, &trace);
    } else {
        counted_plain(&mut machine, &trace);
    }
    println!("{} {:016x}", trace.len(), sim_core::report::digest(&machine));
    Ok(())
}

/// What callgrind counts; it finds the function by its name.
#[inline(never)]
fn counted_plain(machine: &mut Machine, trace: &Trace) {
    machine.run(trace, 0, trace.len() as usize);
}

/// The same with every event made.
#[inline(never)]
fn counted_events(machine: &mut Machine, trace: &Trace) {
    let mut events: Vec<Event> = Vec::new();
    for index in 0..trace.len() as usize {
        events.clear();
        machine.step(trace, index, &mut events);
        std::hint::black_box(&events);
    }
}
