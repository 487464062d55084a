//! What the bench programs share: arguments, traces, clocks, medians, the real pymalloc's run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "bench programs answer on standard output")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use sim_core::tape::Packed;
use sim_core::{Addr, Event, Machine, Profile, Trace};

use crate::{RealPymalloc, WorkClock, outside};

/// Traces with fewer operations are no measure of time.
pub const TIMED_OPERATIONS: u64 = 100_000;

/// Operations that are decoded before they are timed.
const DECODED: usize = 16_384;

/// What a bench program was asked.
pub struct Arguments {
    /// Repetitions.
    pub reps: u32,
    /// Files named on the command line.
    files: Vec<PathBuf>,
}

impl Arguments {
    /// The files that were named, else those of folders of `../shared` whose names end so.
    pub fn files_or(&self, shared_ones: &[(&str, &str)]) -> Result<Vec<PathBuf>> {
        if !self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let folders = shared_ones.iter().map(|(folder, ending)| shared(folder, ending));
        Ok(folders.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Whether files were named.
    pub fn names_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Begins a table of medians beside what `name` does.
    pub fn head(&self, name: &str, columns: &[&str]) {
        println!("{name}, {} alternating repetitions, medians:\n", self.reps);
        head(columns);
    }
}

/// The `main` of a bench program: reads `[--reps N] [FILE…]`, runs it, and fails when a bar was missed, which `run` tells
/// with `false`.
pub fn main(name: &str, about: &str, reps: u32, run: impl FnOnce(&Arguments) -> Result<bool>) -> ExitCode {
    let answer = arguments(reps).and_then(|arguments| {
        if let Some(arguments) = arguments {
            return run(&arguments);
        }
        println!("{name} [--reps N] [FILE…]: {about}");
        Ok(true)
    });
    exit(name, answer)
}

/// How a program called `name` ends: well when all bars were met.
pub fn exit(name: &str, met: Result<bool>) -> ExitCode {
    match met {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// None for `--help`.
fn arguments(reps: u32) -> Result<Option<Arguments>> {
    let mut arguments = Arguments { reps, files: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--reps" => {
                arguments.reps = args.next().and_then(|n| n.parse().ok()).context("--reps takes a number")?;
            }
            "--help" | "-h" => return Ok(None),
            _ => arguments.files.push(PathBuf::from(arg)),
        }
    }
    ensure!(arguments.reps > 0, "--reps takes a number from 1");
    Ok(Some(arguments))
}

/// The files of a folder of `../shared` whose names end so, in order.
fn shared(folder: &str, ending: &str) -> Result<Vec<PathBuf>> {
    let folder = outside::shared(folder).map_err(anyhow::Error::msg);
    let folder =
        folder.context("name files on the command line, or provide those that are measured by default")?;
    outside::files(&folder, ending).with_context(|| folder.display().to_string())
}

/// The name of a file without its folders.
pub fn name(file: &Path) -> String {
    file.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// The same without the ending of a trace of `../shared/oracle`.
pub fn trace_name(file: &Path) -> String {
    name(file).trim_end_matches(".ptrace.zst").to_owned()
}

/// A trace and the profile that its settings ask for.
pub fn open(file: &Path) -> Result<(Trace, Profile)> {
    let source = File::open(file).with_context(|| file.display().to_string())?;
    let trace = trace_io::open(&name(file), Box::new(source)).with_context(|| file.display().to_string())?;
    if trace.is_empty() {
        bail!("{}: no operations", file.display());
    }
    let mut profile = Profile::default();
    for (key, value) in &trace.head.settings {
        profile.set(key, value)?;
    }
    Ok((trace, profile))
}

/// The middle of some times.
pub fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of each repetition, which a drift of the machine's speed does not touch.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(a, b)| a / b).collect::<Vec<_>>())
}

/// A table's head in Markdown: the first column is text, the others are numbers.
pub fn head(columns: &[&str]) {
    println!("| {} |", columns.join(" | "));
    println!("|---|{}", "---:|".repeat(columns.len() - 1));
}

/// One bar and the traces it was measured on.
pub fn bar<'a>(what: &str, most: f64, values: impl IntoIterator<Item = (&'a str, f64)>) -> bool {
    let values: Vec<(&str, f64)> = values.into_iter().collect();
    let missed: Vec<&str> = values.iter().filter(|(_, v)| *v > most).map(|(name, _)| *name).collect();
    let largest = values.iter().map(|(_, v)| *v).fold(0.0, f64::max);
    let verdict = match (values.is_empty(), missed.is_empty()) {
        (true, _) => "not measured".to_owned(),
        (_, true) => "met".to_owned(),
        (_, false) => format!("**missed** on {}", missed.join(", ")),
    };
    println!("- {what}, at most {most}: {verdict} ({} traces, the largest {largest:.3})", values.len());
    missed.is_empty() && !values.is_empty()
}

/// Calls `each` with an operation at a time and times that alone, in nanoseconds: a program does not read its calls
/// from a tape, so decoding is no part of the time.
pub fn timed(trace: &Trace, mut each: impl FnMut(Packed)) -> f64 {
    let mut ns = 0.0;
    let mut operations: Vec<Packed> = Vec::with_capacity(DECODED);
    let len = trace.len() as usize;
    for from in (0..len).step_by(DECODED) {
        operations.clear();
        operations.extend((from..(from + DECODED).min(len)).map(|index| trace.packed(index)));
        let start = WorkClock::now();
        for &operation in &operations {
            each(operation);
        }
        ns += start.elapsed_ns();
    }
    ns
}

/// Runs a trace with every event made and kept for one operation.
pub fn run_with_events(machine: &mut Machine, trace: &Trace) {
    let mut events: Vec<Event> = Vec::new();
    for index in 0..trace.len() as usize {
        events.clear();
        machine.step(trace, index, &mut events);
        std::hint::black_box(&events);
    }
}

/// Nanoseconds an operation of the real pymalloc; `fresh` arenas are met for the first time, others are in memory.
pub fn real_run(real: &mut RealPymalloc, trace: &Trace, profile: &Profile, fresh: bool) -> f64 {
    real.reset(profile, trace.slot_count(), fresh);
    let ns = timed(trace, |operation| {
        std::hint::black_box(real.apply(operation));
    });
    let base = sim_core::arena::region_base(profile);
    real.free_raw(|address| Addr(address).bytes_from(base) >= 16 << 30);
    ns / trace.len() as f64
}
