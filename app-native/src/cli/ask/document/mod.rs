//! `arenascope report`: all that can be said of a trace, on one page that needs nothing else.

mod change;
mod curves;
mod map;
mod page;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use session::diagnosis::verdict::{self, Verdict};
use session::diagnosis::{Found, Placed};
use session::format::printable;

use super::super::input::{self, RunArgs};
use super::super::output::Output;
use super::super::render::escaped;
use super::survey;

#[derive(clap::Args)]
#[command(
    after_help = "The page needs no network, no script and not this program. It has the names of functions and files that stand in the trace; \
                  `arenascope anonymize` replaces them first.\n\n\
                  Example:\n  arenascope report before.bin after.bin -o report.html"
)]
pub(in super::super) struct Args {
    /// The traces
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The page to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where blocks lie: as the model puts them, or as their addresses were recorded
    #[arg(long, value_name = "model|recorded", value_parser = super::placed)]
    placed: Option<Placed>,
    /// Settings to try beside the run as it is, as in `arenascope whatif`; may be repeated
    #[arg(long, value_name = "KEY=A,B,C")]
    grid: Vec<String>,
    #[command(flatten)]
    run: RunArgs,
}

/// What is known of one trace.
struct Part {
    file: String,
    found: Found,
    verdict: Verdict,
    placed: Placed,
}

/// Text from a trace, made harmless.
fn safe(text: &str) -> String {
    escaped(&printable(text))
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let cells = change::cells(&args.grid)?;
    let mut parts = Vec::new();
    for file in &args.files {
        let shown = file.display().to_string();
        let trace = input::open(file, args.run.taken.domain)?;
        let found = survey(trace, &args.run.overrides(), Placed::Model).with_context(|| shown.clone())?;
        let verdict = verdict::of_run(&found.survey, &found.doubts);
        let placed = args.placed.unwrap_or_else(|| found.inquiry.usual_placement(found.doubts.trust));
        parts.push(Part { file: shown, found, verdict, placed });
    }
    let html = page::page(&mut parts, &cells, &args.run.overrides());
    let mut out = Output::create(&args.output)?;
    out.write_all(html.as_bytes()).with_context(|| args.output.display().to_string())?;
    out.finish()
}
