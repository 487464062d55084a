//! `arenascope convert`: the same trace in another format.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::input::{AsArgs, Pieces};
use super::sink::Sink;

#[derive(clap::Args)]
#[command(
    after_help = "What the target cannot carry is said on standard error, a line each. OUT appears only once it is complete."
)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.ptrace, *.ron or *.csv
    output: PathBuf,
    #[command(flatten)]
    taken: AsArgs,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut pieces = Pieces::open(&args.input, args.taken.domain)?;
    let mut sink = Sink::create(&args.output)?;
    while let Some(piece) = pieces.next_piece()? {
        sink.write(piece)?;
    }
    let Some(trace) = pieces.trace() else { bail!("{} has no operation", args.input.display()) };
    sink.finish(trace)
}
