//! `arenascope convert`: the same trace in another format.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use trace_io::atrace::FileProfile;
use trace_io::{Format, atrace_writer, writer};

use super::input::Pieces;
use super::output::Output;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.atrace, *.ptrace or *.ron
    output: PathBuf,
    /// How *.atrace is packed
    #[arg(long, value_enum, value_name = "PROFILE", default_value_t = Packing::Archive)]
    pack: Packing,
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
    let shown = args.output.display();
    let ending = args.output.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(format) = Format::of_ending(&ending) else {
        bail!(
            "{shown}: `.{ending}` is no format that can be written; end the name in .atrace, .ptrace or .ron"
        );
    };
    let mut pieces = Pieces::open(&args.input)?;
    let mut out = Output::create(&args.output)?;
    let Some(mut writer) = (match format {
        Format::Atrace => Some(atrace_writer(&mut out, args.pack.into())),
        _ => writer(format, &mut out),
    }) else {
        bail!("{shown}: {} can only be read; end the name in .atrace, .ptrace or .ron", format.name());
    };
    while let Some(piece) = pieces.next_piece()? {
        writer.write(piece).with_context(|| shown.to_string())?;
    }
    let Some(trace) = pieces.trace() else { bail!("{} has no operation", args.input.display()) };
    let losses = writer.finish(trace).with_context(|| shown.to_string())?;
    out.finish()?;
    for lost in losses {
        eprintln!("arenascope: {} cannot carry {lost}", format.name());
    }
    Ok(())
}
