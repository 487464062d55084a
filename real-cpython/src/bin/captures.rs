//! `arenascope info` and `convert` beside `memray stats` on the same captures, by turns.
//!
//! Part of `cargo xtask bench`; without files all of `../shared/captures` and a recording of some 10 million
//! operations, which is made first. Times are those that pass: memray's reader and ours are whole programs.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use real_cpython::measure::{self, Arguments, median, ratio};
use real_cpython::memray::Memray;
use real_cpython::packages;
use trace_io::Loader;

/// `memray stats` takes at least this many times as long as `info`.
const INFO_BAR: f64 = 10.0;
/// Seconds for a capture of 10 million operations.
const LARGE_INFO_BAR: f64 = 2.0;
const LARGE_CONVERT_BAR: f64 = 10.0;
/// Records from which a capture is large.
const LARGE: u64 = 10_000_000;

fn main() -> ExitCode {
    let about = "reading captures beside memray, in seconds";
    measure::main("captures", about, 3, table)
}

fn table(arguments: &Arguments) -> Result<bool> {
    let arenascope = build()?;
    let memray = Memray::newest().map_err(anyhow::Error::msg)?;
    let mut files = arguments.files_or(&[("captures", ".bin")])?;
    if !arguments.names_files() {
        files.push(memray.record(&["python", "packed", "long"]).map_err(anyhow::Error::msg)?);
    }
    let columns = [
        "capture",
        "records",
        "MB",
        "memray stats s",
        "info s",
        "ratio",
        "convert s",
        ".atrace MB",
        "convert Mops/s",
    ];
    arguments.head(&memray.name, &columns);
    let mut rows = Vec::new();
    for file in &files {
        let row = compare(&arenascope, &memray, file, arguments.reps)?;
        println!(
            "| {} | {} | {:.1} | {:.2} | {:.3} | {:.1} | {:.2} | {:.1} | {:.1} |",
            row.name,
            row.records,
            row.bytes as f64 / 1e6,
            median(&row.memray),
            median(&row.info),
            ratio(&row.memray, &row.info),
            median(&row.convert),
            row.atrace_bytes as f64 / 1e6,
            row.records as f64 / median(&row.convert) / 1e6,
        );
        rows.push(row);
    }
    println!();
    let all = rows.iter().map(|r| (r.name.as_str(), 1.0 / ratio(&r.memray, &r.info)));
    let info = measure::bar("`info`, times `memray stats`", 1.0 / INFO_BAR, all);
    let large = || rows.iter().filter(|r| r.records >= LARGE);
    if large().next().is_none() {
        return Ok(info);
    }
    let large_info = measure::bar(
        "`info` of 10 million records, seconds",
        LARGE_INFO_BAR,
        large().map(|r| (r.name.as_str(), median(&r.info))),
    );
    let large_convert = measure::bar(
        "`convert` of 10 million records, seconds",
        LARGE_CONVERT_BAR,
        large().map(|r| (r.name.as_str(), median(&r.convert))),
    );
    Ok(info && large_info && large_convert)
}

/// The command line in release mode.
fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "app-native",
            "--no-default-features",
        ])
        .current_dir(&root)
        .status()
        .context("cargo cannot be run")?;
    ensure!(built.success(), "arenascope does not build");
    Ok(root.join("target/release/arenascope"))
}

struct Row {
    name: String,
    records: u64,
    bytes: u64,
    atrace_bytes: u64,
    /// Seconds.
    memray: Vec<f64>,
    info: Vec<f64>,
    convert: Vec<f64>,
}

fn compare(arenascope: &Path, memray: &Memray, file: &Path, reps: u32) -> Result<Row> {
    let seconds = |command: &mut Command| -> Result<f64> {
        let start = Instant::now();
        packages::succeed(command).map_err(anyhow::Error::msg)?;
        Ok(start.elapsed().as_secs_f64())
    };
    let out = memray.folder.join("converted.atrace");
    let mut row = Row {
        name: measure::name(file).trim_end_matches(".bin").to_owned(),
        records: records(file)?,
        bytes: std::fs::metadata(file)?.len(),
        atrace_bytes: 0,
        memray: Vec::new(),
        info: Vec::new(),
        convert: Vec::new(),
    };
    for _ in 0..reps {
        row.memray.push(seconds(memray.python().args(["-m", "memray", "stats"]).arg(file))?);
        row.info.push(seconds(Command::new(arenascope).arg("info").arg(file))?);
        let mut convert = Command::new(arenascope);
        row.convert.push(seconds(convert.arg("convert").arg(file).arg(&out))?);
    }
    row.atrace_bytes = std::fs::metadata(&out)?.len();
    std::fs::remove_file(out)?;
    Ok(row)
}

/// memray's `total_allocations`.
fn records(file: &Path) -> Result<u64> {
    let mut loader = Loader::new(&measure::name(file), Box::new(File::open(file)?), None).counting();
    while !loader.advance()? {
        loader.forget();
    }
    let records = loader.trace().and_then(|trace| trace.origin.source.records);
    records.with_context(|| format!("{}: a capture has records, and this has none", file.display()))
}
