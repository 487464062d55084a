//! Instructions an operation, counted by callgrind: a regression shows on a noisy machine too.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::not_run::NotRun;
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

/// Where a trace comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A file of the repository.
    Repository(&'static str),
    /// The counting program makes it from a seed, by the trace's name.
    Seed,
    /// `../shared/oracle`.
    Shared,
}

/// Small traces that between them take the hot paths: a real program, steady random traffic, many arenas. These can be
/// counted everywhere; of the last two, as the oracle has them, where it is.
const TRACES: [(&str, Source); 5] = [
    ("p00_tiny", Source::Repository("traces/tiny-script-3.11.ptrace.zst")),
    ("steady", Source::Seed),
    ("arenas", Source::Seed),
    ("r2_pylike", Source::Shared),
    ("t07_many_arenas", Source::Shared),
];
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

/// The traces that are not here to be counted.
pub(crate) fn uncounted() -> Vec<NotRun> {
    let not_here = |(trace, source): &(&str, Source)| {
        let why = argument(trace, *source).err()?;
        Some(NotRun { what: format!("instructions of {trace}"), why: format!("{why:#}") })
    };
    TRACES.iter().filter_map(not_here).collect()
}

/// What the counting program is to open.
fn argument(trace: &str, source: Source) -> Result<OsString> {
    Ok(match source {
        Source::Repository(file) => root().join(file).into(),
        Source::Seed => trace.into(),
        Source::Shared => shared("oracle")?.join(format!("{trace}.ptrace.zst")).into(),
    })
}

/// Compares the counts with those written down, or writes them down; those that are not here to be counted stay.
pub(crate) fn hold(write: bool) -> Result<()> {
    let path = root().join(BASELINE);
    let counts = count()?;
    let baseline = fs::read_to_string(&path).with_context(|| format!("{BASELINE} cannot be read"))?;
    if write {
        return fs::write(path, written(&counts, &baseline))
            .with_context(|| format!("{BASELINE} cannot be written"));
    }
    let mut grown = Vec::new();
    for Count { trace, mode, per_operation } in counts {
        let held = held(&baseline, trace, mode)
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

/// The count of a trace in the text of the baseline.
fn held(baseline: &str, trace: &str, mode: &str) -> Option<f64> {
    baseline.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == trace && words.next()? == mode).then(|| words.next()?.parse().ok())?
    })
}

/// The baseline with these counts.
fn written(counts: &[Count], baseline: &str) -> String {
    let mut lines = vec![
        "# Instructions an operation, counted by callgrind: cargo xtask bench --instructions --write"
            .to_owned(),
    ];
    for (trace, mode) in TRACES.iter().flat_map(|(trace, _)| MODES.map(|mode| (*trace, mode))) {
        let counted = counts.iter().find(|count| (count.trace, count.mode) == (trace, mode));
        let count = counted.map(|count| count.per_operation).or_else(|| held(baseline, trace, mode));
        lines.extend(count.map(|count| format!("{trace} {mode} {count:.2}")));
    }
    lines.join("\n") + "\n"
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
    for (trace, source) in TRACES {
        let Ok(argument) = argument(trace, source) else { continue };
        for mode in MODES {
            let mut callgrind = command(&valgrind);
            callgrind
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(format!("--toggle-collect=*counted_{mode}*"))
                .arg(&program)
                .arg(&argument)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hot_path_is_counted_in_every_clone() {
        let here = TRACES.iter().filter(|(_, source)| *source != Source::Shared);
        assert_eq!(here.clone().count(), 3);
        for (trace, source) in here {
            if let Source::Repository(file) = source {
                assert!(root().join(file).is_file(), "{trace}: {file}");
            }
        }
    }

    #[test]
    fn every_trace_has_a_count_to_hold_to() {
        let baseline = fs::read_to_string(root().join(BASELINE)).unwrap();
        for (trace, mode) in TRACES.iter().flat_map(|(trace, _)| MODES.map(|mode| (trace, mode))) {
            assert!(held(&baseline, trace, mode).is_some(), "{trace} {mode}");
        }
        assert_eq!(written(&[], &baseline), baseline, "what is not counted stays as it is");
    }

    #[test]
    fn counts_are_written_in_place_of_the_old_ones() {
        let old = "# a comment\nsteady plain 9.00\nsteady events 90.00\n";
        let new = written(&[Count { trace: "steady", mode: "plain", per_operation: 8.0 }], old);
        assert_eq!((held(&new, "steady", "plain"), held(&new, "steady", "events")), (Some(8.0), Some(90.0)));
        assert_eq!(held(&new, "stead", "plain"), None);
    }
}
