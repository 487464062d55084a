//! `arenascope info`: what is in a trace.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use sim_core::{Domain, Kind};

use super::input;
use super::output::{self, grouped};

#[derive(clap::Args)]
#[command(
    after_help = "Formats read: ptrace (plain text, docs/ptrace.md) and RON lessons (docs/lessons.md), \
                        each plain or compressed with zstd."
)]
pub(super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Info {
    name: String,
    description: String,
    format: &'static str,
    compressed: bool,
    file_bytes: Option<u64>,
    operations: u64,
    by_kind: Vec<(&'static str, u64)>,
    by_domain: Vec<Row>,
    threads: u64,
    /// Different Python stacks.
    stacks: u64,
    /// Operations that are no call of an allocator.
    actions: u64,
    notes: usize,
    blocks_live_max: u64,
    profile: Option<String>,
    /// `PYTHONMALLOC`, where the trace names it.
    malloc: Option<&'static str>,
    settings: Vec<(String, String)>,
    missing: Vec<&'static str>,
    truncated: bool,
}

#[derive(Serialize)]
struct Row {
    domain: &'static str,
    malloc: u64,
    calloc: u64,
    realloc: u64,
    free: u64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let input = input::open(&args.file)?;
    let trace = &input.trace;
    let counts = trace.counts();
    let info = Info {
        name: trace.name.clone(),
        description: trace.description.clone(),
        format: input.format.name(),
        compressed: input.compressed,
        file_bytes: input.file_bytes,
        operations: trace.len(),
        by_kind: Kind::ALL.iter().map(|&k| (k.name(), counts.iter().map(|d| d[k as usize]).sum())).collect(),
        by_domain: Domain::ALL
            .iter()
            .map(|&d| {
                let [malloc, calloc, realloc, free] = counts[d as usize];
                Row { domain: d.name(), malloc, calloc, realloc, free }
            })
            .collect(),
        threads: trace.thread_count(),
        stacks: trace.stack_count(),
        actions: trace.action_count(),
        notes: trace.notes.len(),
        blocks_live_max: u64::from(trace.slot_count()),
        profile: trace.profile.clone(),
        malloc: trace.malloc.map(sim_core::domains::AllocatorName::name),
        settings: trace.settings.clone(),
        missing: [("call stacks", trace.stack_count() == 0), ("times", true), ("recorded addresses", true)]
            .into_iter()
            .filter_map(|(what, missing)| missing.then_some(what))
            .collect(),
        truncated: false,
    };
    if args.json {
        return output::json(&info);
    }
    print(&info)
}

fn print(info: &Info) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", info.name)?;
    if !info.description.is_empty() {
        writeln!(out, "  {}", info.description)?;
    }
    let zstd = if info.compressed { ", zstd" } else { "" };
    let size = info.file_bytes.map_or_else(String::new, |b| format!(", {} bytes", grouped(b)));
    writeln!(out, "  format      {}{zstd}{size}", info.format)?;
    writeln!(
        out,
        "  operations  {}, at most {} blocks live",
        grouped(info.operations),
        grouped(info.blocks_live_max)
    )?;
    writeln!(out, "              {:>13} {:>13} {:>13} {:>13}", "malloc", "calloc", "realloc", "free")?;
    for row in &info.by_domain {
        writeln!(
            out,
            "      {:<7} {:>13} {:>13} {:>13} {:>13}",
            row.domain,
            grouped(row.malloc),
            grouped(row.calloc),
            grouped(row.realloc),
            grouped(row.free)
        )?;
    }
    writeln!(out, "  threads     {}", info.threads)?;
    for (what, count) in [("stacks", info.stacks), ("actions", info.actions)] {
        if count > 0 {
            writeln!(out, "  {what:<11} {}", grouped(count))?;
        }
    }
    if info.notes > 0 {
        writeln!(out, "  notes       {}", info.notes)?;
    }
    if let Some(profile) = &info.profile {
        writeln!(out, "  profile     {profile}")?;
    }
    if let Some(malloc) = info.malloc {
        writeln!(out, "  malloc      {malloc}")?;
    }
    for (key, value) in &info.settings {
        writeln!(out, "  setting     {key}={value}")?;
    }
    writeln!(out, "  it has no   {}", info.missing.join(", "))?;
    Ok(())
}
