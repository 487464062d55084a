//! `arenascope ideal`: how few arenas the same blocks could lie in.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use session::Setup;
use session::format::bytes;
use session::whatif::{Ideal, ideal};

use super::input::{self, RunArgs};
use super::output::{self, count, grouped};

#[derive(clap::Args)]
#[command(
    after_help = "Perfect packing is a lower bound: as many arenas as the live blocks of each step fill, class by class. Known lifetimes is a \
                        placement that was made: each block lies beside those that end when it does, and none is moved; the least \
                        that an allocator could hold that knows the future lies between the two.\n\n\
                        Example:\n  arenascope ideal trace.atrace --profile cpython-3.9"
)]
pub(super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    trace: String,
    operations: u64,
    profile: String,
    arena_bytes: u64,
    #[serde(flatten)]
    ideal: Ideal,
    sentence: String,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let shown = || args.file.display().to_string();
    let trace = input::open(&args.file, args.run.taken.domain)?;
    if trace.is_empty() {
        bail!("{} has no operation", shown());
    }
    let setup = Setup::resolve(&trace, &args.run.overrides())?;
    let bar = input::progress_bar(Some(trace.len()), "running");
    let ideal = ideal(&trace, &setup, &mut |done| {
        bar.set_position(done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let ideal = ideal.with_context(shown)?;
    let sentence = ideal.sentence(setup.profile.arena_size);
    let report = Report {
        trace: trace.head.name.clone(),
        operations: trace.len(),
        profile: setup.profile.name.clone(),
        arena_bytes: setup.profile.arena_size,
        ideal,
        sentence,
    };
    if args.json { output::json(&report) } else { print(&report) }
}

fn print(report: &Report) -> Result<()> {
    let mut out = output::reported();
    let ideal = &report.ideal;
    writeln!(out, "{}\n", report.sentence)?;
    writeln!(
        out,
        "{}, {}, {}, arenas of {}\n",
        report.trace,
        count(report.operations, "operation"),
        report.profile,
        bytes(report.arena_bytes)
    )?;
    writeln!(out, "  {:<18}{:>14}{:>14}", "arenas", "at the most", "at the end")?;
    for (name, arenas) in ideal.rows() {
        writeln!(out, "  {name:<18}{:>14}{:>14}", grouped(arenas.peak_arenas), grouped(arenas.final_arenas))?;
    }
    Ok(())
}
