//! `arenascope convert`: the same trace in another format.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use trace_io::{lesson, ptrace};

use super::input;
use super::output::Output;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.ptrace or *.ron
    output: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let ending = args.output.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    if ending != "ptrace" && ending != "ron" {
        bail!(
            "{}: `.{ending}` is no format that can be written; end the name in .ptrace or .ron",
            args.output.display()
        );
    }
    let trace = input::open(&args.input)?.trace;
    let mut out = Output::create(&args.output)?;
    let written =
        if ending == "ron" { lesson::write(&mut out, &trace) } else { ptrace::write(&mut out, &trace) };
    written.with_context(|| args.output.display().to_string())?;
    out.finish()?;
    if ending == "ptrace" {
        for lost in ptrace::losses(&trace) {
            eprintln!("arenascope: ptrace cannot carry {lost}");
        }
    }
    Ok(())
}
