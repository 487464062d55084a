//! `arenascope lesson new`: a lesson to begin with.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::super::output::Output;

/// Arguments of `lesson new`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  arenascope lesson new my-lesson.ron\n  arenascope my-lesson.ron\n  arenascope lesson check my-lesson.ron"
)]
pub(crate) struct Args {
    /// The file to write; it must not exist
    file: PathBuf,
}

/// Every kind of step once, each with a word on what it is for.
const TEMPLATE: &str = include_str!("template.ron");

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.file.exists() {
        bail!("{}: it is there already; choose another name", args.file.display());
    }
    let stem = args.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let id: String =
        stem.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut out = Output::create(&args.file)?;
    out.write_all(TEMPLATE.replace("\"my-lesson\"", &format!("\"{id}\"")).as_bytes())
        .with_context(|| args.file.display().to_string())?;
    out.finish()
}
