//! `arenascope convert`: the same trace in another format.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use trace_io::atrace::FileProfile;

use super::input::{AsArgs, Pieces};
use super::sink::Sink;

#[derive(clap::Args)]
#[command(
    after_help = "What the target cannot carry is said on standard error, a line each. OUT appears only once it is complete."
)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.atrace, *.ptrace, *.ron or *.csv
    output: PathBuf,
    /// How *.atrace is packed
    #[arg(long, value_enum, value_name = "PROFILE", default_value_t = Packing::Archive)]
    pack: Packing,
    #[command(flatten)]
    taken: AsArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Packing {
    /// zstd: small
    Archive,
    /// LZ4: as a program writes it while it runs
    Capture,
}

impl From<Packing> for FileProfile {
    fn from(packing: Packing) -> Self {
        match packing {
            Packing::Archive => Self::Archive,
            Packing::Capture => Self::Capture,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut pieces = Pieces::open(&args.input, args.taken.domain)?;
    let mut sink = Sink::packed(&args.output, args.pack.into())?;
    while let Some(piece) = pieces.next_piece()? {
        sink.write(piece)?;
    }
    let Some(trace) = pieces.trace() else { bail!("{} has no operation", args.input.display()) };
    sink.finish(trace)
}
