//! `.atrace` beside the files it is made from: bytes an operation, and how fast it is read and written.
//!
//! Part of `cargo xtask bench`; without files all of `../shared/oracle` and `../shared/captures`. Rates are millions
//! of operations in a second of this thread's processor time, the best of the repetitions.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::io::Cursor;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use real_cpython::{WorkClock, measure};
use sim_core::tape::StackId;
use sim_core::{Trace, TraceBuilder};
use trace_io::atrace::FileProfile;
use trace_io::{Loader, atrace_writer};

/// Millions of operations a second that reading without addresses, and writing, must reach on average.
const READ_BAR: f64 = 60.0;
const WRITE_BAR: f64 = 15.0;
/// Bytes an operation at most for real programs, by profile.
const SIZE_BARS: [(FileProfile, f64); 2] = [(FileProfile::Archive, 0.6), (FileProfile::Capture, 1.5)];

fn main() -> ExitCode {
    let about = "`.atrace` in bytes an operation and operations a second";
    measure::main("files", about, 5, |arguments| {
        let files = arguments.files_or(&[("oracle", ".ptrace.zst"), ("captures", ".bin")])?;
        measure::head(&[
            "trace",
            "operations",
            "file B/op",
            "archive B/op",
            "read M/s",
            "written M/s",
            "capture B/op",
            "read M/s",
            "written M/s",
        ]);
        let mut rows = Vec::new();
        for file in &files {
            let (trace, _) = measure::open(file)?;
            let bytes = std::fs::metadata(file)?.len();
            let name = measure::trace_name(file);
            rows.push(row(&trace, &name, Some(bytes), arguments.reps)?);
            if trace.has_addresses() {
                let name = format!("{name} no addr.");
                rows.push(row(&without_addresses(&trace)?, &name, None, arguments.reps)?);
            }
        }
        Ok(summary(&rows))
    })
}

struct Row {
    name: String,
    operations: u64,
    has_addresses: bool,
    /// Bytes an operation, then seconds of reading and of writing, by profile as in [`SIZE_BARS`].
    by_profile: Vec<(f64, f64, f64)>,
}

fn row(trace: &Trace, name: &str, file_bytes: Option<u64>, reps: u32) -> Result<Row> {
    let operations = trace.len();
    let mut by_profile = Vec::new();
    for (profile, _) in SIZE_BARS {
        let (mut read, mut written, mut bytes) = (f64::INFINITY, f64::INFINITY, 0);
        for _ in 0..reps {
            let mut out = Vec::new();
            let start = WorkClock::now();
            let mut writer = atrace_writer(&mut out, profile);
            writer.write(trace)?;
            writer.finish(trace)?;
            written = written.min(start.elapsed_ns() / 1e9);
            bytes = out.len();
            let start = WorkClock::now();
            let mut loader = Loader::new(name, Box::new(Cursor::new(out)), None);
            while !loader.advance()? {
                loader.forget();
            }
            ensure!(loader.progress().operations == operations, "{name}: operations are missing");
            read = read.min(start.elapsed_ns() / 1e9);
        }
        by_profile.push((bytes as f64 / operations as f64, read, written));
    }
    let rate = |seconds: f64| operations as f64 / seconds / 1e6;
    let file = file_bytes.map_or_else(|| "-".to_owned(), |b| format!("{:.3}", b as f64 / operations as f64));
    print!("| {name} | {operations} | {file}");
    for &(bytes, read, written) in &by_profile {
        print!(" | {bytes:.3} | {:.1} | {:.1}", rate(read), rate(written));
    }
    println!(" |");
    Ok(Row { name: name.to_owned(), operations, has_addresses: trace.has_addresses(), by_profile })
}

fn without_addresses(trace: &Trace) -> Result<Trace> {
    let mut builder = TraceBuilder::new(&trace.head.name);
    builder.trace_mut().origin.stacks = trace.origin.stacks.clone();
    for index in 0..trace.len() {
        if let Some(op) = trace.op(index) {
            let stack: StackId = trace.stack_of(index as usize);
            builder.push_recorded(op, stack, None)?;
        }
    }
    Ok(builder.finish())
}

/// Says which bars are met; true when all are. Rates are over all traces together, and sizes are those of real programs, whose
/// names begin with `p` or `m` or end in `.bin`: both from 100,000 operations on.
fn summary(rows: &[Row]) -> bool {
    let timed = || rows.iter().filter(|r| r.operations >= measure::TIMED_OPERATIONS);
    let rate = |addresses: Option<bool>, profile: usize, part: fn(&(f64, f64, f64)) -> f64| {
        let all = timed().filter(|r| addresses.is_none_or(|wanted| r.has_addresses == wanted));
        let operations: u64 = all.clone().map(|r| r.operations).sum();
        operations as f64 / all.map(|r| part(&r.by_profile[profile])).sum::<f64>() / 1e6
    };
    println!();
    let mut met = true;
    for (at, (profile, most)) in SIZE_BARS.iter().enumerate() {
        let name = profile.name();
        let plain = rate(Some(false), at, |p| p.1);
        let addressed = rate(Some(true), at, |p| p.1);
        let written = rate(None, at, |p| p.2);
        println!(
            "- The {name} profile is read at {plain:.1} M/s (at least {READ_BAR}: {}), with addresses at {addressed:.1} M/s, and \
             written at {written:.1} M/s (at least {WRITE_BAR}: {})",
            verdict(plain.is_nan() || plain >= READ_BAR),
            verdict(written >= WRITE_BAR),
        );
        met &= (plain.is_nan() || plain >= READ_BAR) && written >= WRITE_BAR;
        let real = timed().filter(|r| r.name.starts_with(['p', 'm']) || r.name.contains(".bin"));
        let sizes = real.map(|r| (r.name.as_str(), r.by_profile[at].0));
        met &= measure::bar(&format!("{name} profile, bytes an operation of real programs"), *most, sizes);
    }
    met
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}
