//! Instructions an operation, counted by callgrind: a regression shows on a noisy machine too.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::tools::{self, Need};
use crate::workspace::{cargo, command, root, run as run_command, shared};

/// As `cargo xtask bench --only` calls the table.
pub(crate) const NAME: &str = "instructions";

/// What is held to.
const BASELINE: &str = "real-cpython/instructions.txt";
/// Counts may grow by this share: code of the C library differs between machines.
const TOLERANCE: f64 = 0.02;

/// What counting takes.
pub(crate) const NEEDS: [Need; 1] = [Need::Valgrind];

/// Small traces that between them take the hot paths: a real program, steady random traffic, many arenas.
const TRACES: [&str; 3] = ["p00_tiny", "r2_pylike", "t07_many_arenas"];
const MODES: [&str; 2] = ["plain", "events"];

/// Instructions an operation.
struct Count {
    trace: &'static str,
    mode: &'static str,
    per_operation: f64,
}

/// The counts as a table.
pub(crate) fn table() -> Result<String> {
    let mut table = "Counted by callgrind, `cargo xtask bench --instructions`, which CI holds to \
                     `real-cpython/instructions.txt`.\n\n| trace | plain | with events |\n|---|---:|---:|\n"
        .to_owned();
    for pair in count()?.chunks(MODES.len()) {
        write!(table, "| {}", pair[0].trace)?;
        for count in pair {
            write!(table, " | {:.1}", count.per_operation)?;
        }
        table.push_str(" |\n");
    }
    Ok(table)
}

/// Compares the counts with those written down, or writes them down.
pub(crate) fn hold(write: bool) -> Result<()> {
    let path = root().join(BASELINE);
    let counts = count()?;
    if write {
        let mut text =
            "# Instructions an operation, counted by callgrind: cargo xtask bench --instructions --write\n"
                .to_owned();
        for Count { trace, mode, per_operation } in &counts {
            writeln!(text, "{trace} {mode} {per_operation:.2}")?;
        }
        return fs::write(path, text).with_context(|| format!("{BASELINE} cannot be written"));
    }
    let baseline = fs::read_to_string(path).with_context(|| format!("{BASELINE} cannot be read"))?;
    let mut grown = Vec::new();
    for Count { trace, mode, per_operation } in counts {
        let held = baseline
            .lines()
            .find_map(|line| {
                line.strip_prefix(trace)?.strip_prefix(' ')?.strip_prefix(mode)?.trim().parse::<f64>().ok()
            })
            .with_context(|| format!("{BASELINE} has no count for {trace} {mode}: write it with --write"))?;
        let change = per_operation / held - 1.0;
        println!(
            "{trace:<18} {mode:<8} {per_operation:>8.2} an operation, {held:>8.2} held to, {:>+6.1} %",
            change * 100.0
        );
        if change > TOLERANCE {
            grown.push(format!("{trace} {mode}"));
        }
    }
    ensure!(
        grown.is_empty(),
        "more instructions than in {BASELINE}: {}. Find what made them, or write them down with --write and a reason",
        grown.join(", ")
    );
    Ok(())
}

fn count() -> Result<Vec<Count>> {
    let valgrind = tools::on_path("valgrind").context("valgrind is missing: apt-get install valgrind")?;
    run_command(cargo().args([
        "build",
        "--locked",
        "--release",
        "--package",
        "real-cpython",
        "--bin",
        "instructions",
    ]))?;
    let program = root().join("target/release/instructions");
    let mut counts = Vec::new();
    for trace in TRACES {
        for mode in MODES {
            let mut callgrind = command(&valgrind);
            callgrind
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(format!("--toggle-collect=*counted_{mode}*"))
                .arg(&program)
                .arg(shared("oracle")?.join(format!("{trace}.ptrace.zst")))
                .arg(mode);
            let ran = callgrind.output().context("valgrind could not be started")?;
            let said = String::from_utf8_lossy(&ran.stderr);
            if !ran.status.success() {
                bail!("{trace} {mode}: {}", said.trim());
            }
            let collected = said
                .lines()
                .find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<f64>().ok())
                .filter(|&count| count > 0.0)
                .with_context(|| format!("{trace} {mode}: callgrind counted nothing: {}", said.trim()))?;
            let answer = String::from_utf8_lossy(&ran.stdout);
            let operations = answer.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
            let operations = operations.with_context(|| format!("{trace} {mode}: no operations"))?;
            counts.push(Count { trace, mode, per_operation: collected / operations });
        }
    }
    Ok(counts)
}
