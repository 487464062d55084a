//! `.atrace` beside the files it is made from: bytes an operation, and how fast it is read and written.
//!
//! Part of `cargo xtask bench`; without files all of `../shared/oracle` and `../shared/captures`. Rates are millions
//! of operations in a second of this thread's processor time, the best of the repetitions.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
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
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("a bar is missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("files: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let (mut reps, mut files) = (5, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--reps" => reps = args.next().and_then(|n| n.parse().ok()).context("--reps takes a number")?,
            "--help" | "-h" => {
                println!("files [--reps N] [TRACE…]: .atrace in bytes an operation and operations a second");
                return Ok(true);
            }
            _ => files.push(PathBuf::from(arg)),
        }
    }
    ensure!(reps > 0, "--reps takes a number from 1");
    if files.is_empty() {
        for (folder, ending) in [("oracle", ".ptrace.zst"), ("captures", ".bin")] {
            files.extend(listed(folder, ending)?);
        }
    }
    println!(
        "{:<24} {:>10} {:>8} | {:>8} {:>8} {:>8} | {:>8} {:>8} {:>8}",
        "", "", "file", "archive", "read", "write", "capture", "read", "write"
    );
    println!(
        "{:<24} {:>10} {:>8} | {:>8} {:>8} {:>8} | {:>8} {:>8} {:>8}",
        "trace", "operations", "B/op", "B/op", "M/s", "M/s", "B/op", "M/s", "M/s"
    );
    let mut rows = Vec::new();
    for file in &files {
        let name = file.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let trace = trace_io::open(&name, Box::new(File::open(file)?)).with_context(|| name.clone())?;
        let bytes = std::fs::metadata(file)?.len();
        rows.push(measure(&trace, &name, Some(bytes), reps)?);
        if trace.has_addresses() {
            let name = format!("{name} no addr.");
            rows.push(measure(&without_addresses(&trace)?, &name, None, reps)?);
        }
    }
    Ok(summary(&rows))
}

fn listed(folder: &str, ending: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(folder);
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} is missing; name traces on the command line", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    Ok(files)
}

struct Row {
    name: String,
    operations: u64,
    has_addresses: bool,
    /// Bytes an operation, then seconds of reading and of writing, by profile as in [`SIZE_BARS`].
    by_profile: Vec<(f64, f64, f64)>,
}

fn measure(trace: &Trace, name: &str, file_bytes: Option<u64>, reps: u32) -> Result<Row> {
    let operations = trace.len();
    let mut by_profile = Vec::new();
    for (profile, _) in SIZE_BARS {
        let (mut read, mut written, mut bytes) = (f64::INFINITY, f64::INFINITY, 0);
        for _ in 0..reps {
            let mut out = Vec::new();
            let start = Clock::start();
            let mut writer = atrace_writer(&mut out, profile);
            writer.write(trace)?;
            writer.finish(trace)?;
            written = written.min(start.seconds());
            bytes = out.len();
            let start = Clock::start();
            let mut loader = Loader::new(name, Box::new(Cursor::new(out)), None);
            while !loader.advance()? {
                loader.forget();
            }
            ensure!(loader.progress().operations == operations, "{name}: operations are missing");
            read = read.min(start.seconds());
        }
        by_profile.push((bytes as f64 / operations as f64, read, written));
    }
    let rate = |seconds: f64| operations as f64 / seconds / 1e6;
    let file = file_bytes.map_or_else(|| "-".to_owned(), |b| format!("{:.3}", b as f64 / operations as f64));
    print!("{:<24} {operations:>10} {file:>8}", name.trim_end_matches(".ptrace.zst"));
    for &(bytes, read, written) in &by_profile {
        print!(" | {bytes:>8.3} {:>8.1} {:>8.1}", rate(read), rate(written));
    }
    println!();
    Ok(Row { name: name.to_owned(), operations, has_addresses: trace.has_addresses(), by_profile })
}

fn without_addresses(trace: &Trace) -> Result<Trace> {
    let mut builder = TraceBuilder::new(&trace.name);
    builder.trace_mut().stacks = trace.stacks.clone();
    for index in 0..trace.len() {
        if let Some(op) = trace.op(index) {
            let stack: StackId = trace.stack_of(index as usize);
            builder.push_recorded(op, stack, None)?;
        }
    }
    Ok(builder.finish())
}

/// Processor time of this thread where the system tells it, else the time that passes.
enum Clock {
    Thread(u64),
    Wall(Instant),
}

impl Clock {
    fn start() -> Self {
        thread_ns().map_or_else(|| Self::Wall(Instant::now()), Self::Thread)
    }

    fn seconds(&self) -> f64 {
        match self {
            Self::Thread(start) => thread_ns().unwrap_or(*start).saturating_sub(*start) as f64 / 1e9,
            Self::Wall(start) => start.elapsed().as_secs_f64(),
        }
    }
}

fn thread_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// Says which bars are met; true when all are. Rates are over all traces together; sizes are those of
/// real programs, whose names begin with `p` or `m` or end in `.bin`, from 100,000 operations on.
fn summary(rows: &[Row]) -> bool {
    let rate = |with: &dyn Fn(&Row) -> bool, profile: usize, part: fn(&(f64, f64, f64)) -> f64| {
        let all = rows.iter().filter(|r| with(r));
        let operations: u64 = all.clone().map(|r| r.operations).sum();
        operations as f64 / all.map(|r| part(&r.by_profile[profile])).sum::<f64>() / 1e6
    };
    let mut met = true;
    for (at, (profile, most)) in SIZE_BARS.iter().enumerate() {
        let name = profile.name();
        let plain = rate(&|r| !r.has_addresses, at, |p| p.1);
        let addressed = rate(&|r| r.has_addresses, at, |p| p.1);
        let written = rate(&|_| true, at, |p| p.2);
        println!("{name}: read {plain:.1} M/s, with addresses {addressed:.1} M/s; written {written:.1} M/s");
        met &= plain.is_nan() || plain >= READ_BAR;
        met &= written >= WRITE_BAR;
        let real =
            |r: &&Row| r.operations >= 100_000 && (r.name.starts_with(['p', 'm']) || r.name.contains(".bin"));
        let large: Vec<&str> = rows
            .iter()
            .filter(real)
            .filter(|r| r.by_profile[at].0 > *most)
            .map(|r| r.name.as_str())
            .collect();
        println!("{name}: at most {most} bytes an operation: missed on {} {large:?}", large.len());
        met &= large.is_empty();
    }
    println!("bars: read {READ_BAR} M/s without addresses, written {WRITE_BAR} M/s");
    met
}
