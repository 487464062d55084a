//! `arenascope shrink`: the few operations that still show what became of the memory.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use session::Setup;
use session::diagnosis::shrink::shrink;
use session::format::{count, grouped, printable};

use super::super::input::{self, RunArgs};
use super::super::output::shown;
use super::super::sink::Sink;

#[derive(clap::Args)]
#[command(
    after_help = "The verdict of `arenascope verdict`, and the site that it names first, stay the same; blocks that are not needed for that go, and \
                  what stays runs in arenas of 16 KiB with larger requests, so that a few hundred operations are enough. Written as \
                  *.ron it is a lesson with notes. It has the names of functions and files that stand in the trace; \
                  `arenascope anonymize` replaces them.\n\n\
                  Example:\n  arenascope shrink capture.bin small.ron"
)]
pub(in super::super) struct Args {
    /// The trace; `-` is standard input
    input: PathBuf,
    /// The lesson to write: *.ron, or *.ptrace, *.atrace
    output: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let mut sink = Sink::create(&args.output)?;
    let trace = Arc::new(input::open(&args.input, args.run.taken.domain)?);
    let named = || args.input.display().to_string();
    let setup = Setup::resolve(&trace, &args.run.overrides()).with_context(named)?;
    let bar = input::progress_bar(None, "taking blocks away");
    let small = shrink(&trace, &setup, &mut |blocks| {
        bar.set_position(blocks as u64);
        true
    })
    .with_context(named)?;
    bar.finish_and_clear();
    sink.write(&small.trace)?;
    sink.finish(&small.trace)?;
    let site = small.symptom.site.as_ref().map_or_else(String::new, |site| format!(" by {site}"));
    eprintln!(
        "{}: {} of {} still show {}{}",
        shown(&args.output),
        count(small.trace.len(), "operation"),
        grouped(small.operations),
        small.symptom.word.name(),
        printable(&site)
    );
    Ok(())
}
