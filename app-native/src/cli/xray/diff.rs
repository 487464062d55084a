//! `arenascope xray diff`: what grew between two pictures of one process.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use session::diagnosis::grown::{Change, Grown};
use session::format::{bytes, printable};
use sim_core::{Profile, Trace};

use super::super::input;
use super::super::output::{self, grouped};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The earlier picture, as `xray PID -o A.atrace` wrote it
    a: PathBuf,
    /// The later one
    b: PathBuf,
    /// Rows of a table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    rss_bytes: (u64, u64),
    parts: Vec<Row<'a>>,
    types: Vec<Row<'a>>,
    owners: Vec<Row<'a>>,
    paths: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    blocks: (u64, u64),
    bytes: (u64, u64),
}

impl<'a> From<&'a Change> for Row<'a> {
    fn from(change: &'a Change) -> Self {
        let Change { name, before, after } = change;
        Self { name, blocks: (before.blocks, after.blocks), bytes: (before.bytes, after.bytes) }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let (a, b) = (opened(&args.a)?, opened(&args.b)?);
    let side = |trace: &Trace, path: &Path| -> Result<_> {
        let picture = trace.origin.picture.clone();
        let picture = picture.with_context(|| {
            format!(
                "{} does not begin with the picture of a process; `arenascope xray PID -o FILE` makes one",
                path.display()
            )
        })?;
        Ok((picture, Profile::chosen(trace.head.profile.as_deref())?))
    };
    let (a, b) = (side(&a, &args.a)?, side(&b, &args.b)?);
    let grown = Grown::between((&a.0, &a.1), (&b.0, &b.1));
    let mut out = output::reported();
    if args.json {
        let report = Report {
            rss_bytes: grown.resident,
            parts: grown.parts.iter().map(Row::from).collect(),
            types: grown.types.iter().map(Row::from).collect(),
            owners: grown.owners.iter().map(Row::from).collect(),
            paths: grown.paths.iter().map(Row::from).collect(),
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    let (before, after) = grown.resident;
    let most = grown.paths.first().filter(|change| change.bytes() > 0);
    let most = most.map_or_else(String::new, |change| {
        format!(
            "; most came under {}, {}",
            printable(&change.name),
            bytes(change.bytes().unsigned_abs() as u64)
        )
    });
    writeln!(out, "resident memory went from {} to {}{most}", bytes(before), bytes(after))?;
    for (what, rows) in [
        ("part of the resident memory", &grown.parts),
        ("type", &grown.types),
        ("buffers and objects of", &grown.owners),
        ("kept by", &grown.paths),
    ] {
        table(&mut out, what, rows, args.top)?;
    }
    Ok(())
}

/// What came most, and what went most.
fn table(out: &mut output::Reported, what: &str, rows: &[Change], top: usize) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{:>16} {:>14} {:>16}  {what}", "bytes", "blocks", "bytes now")?;
    let came = rows.iter().take(top).filter(|change| change.bytes() >= 0).count();
    let went = rows
        .iter()
        .rev()
        .take_while(|change| change.bytes() < 0)
        .take(top.saturating_sub(came).max(top / 3))
        .count();
    let shown = rows.iter().take(came).chain(&rows[rows.len() - went..]);
    for change in shown {
        writeln!(
            out,
            "{:>16} {:>14} {:>16}  {}",
            signed(change.bytes()),
            signed(change.blocks()),
            grouped(change.after.bytes),
            printable(&change.name)
        )?;
    }
    let rest = rows.len() - came - went;
    if rest > 0 {
        writeln!(out, "{:>16} {} more changed; --top {} lists all", "", grouped(rest as u64), rows.len())?;
    }
    Ok(())
}

fn signed(number: i128) -> String {
    let sign = if number < 0 { "-" } else { "+" };
    format!("{sign}{}", grouped(u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX)))
}

fn opened(path: &Path) -> Result<Trace> {
    input::open(path, None)
}
