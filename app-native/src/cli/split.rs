//! `arenascope split`: one trace for each thread.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use trace_io::care::Split;

use super::input::Pieces;
use super::output::{self, count, grouped};
use super::sink::Sink;

#[derive(clap::Args)]
#[command(
    after_help = "Thread K's trace is PREFIX.K.csv, or another ending with --format. All operations of a block go to the trace of the \
                  thread that it was born on, so that each trace replays by itself; one that was called on another \
                  thread keeps that thread's number, and how many there are is said.\n\n\
                  Example:\n  arenascope split capture.csv --by thread -o parts/capture"
)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// What to split by
    #[arg(long, value_enum, default_value_t = By::Thread)]
    by: By,
    /// What the names of the written files begin with
    #[arg(short, long, value_name = "PREFIX")]
    output: PathBuf,
    /// The format of the written files, by its ending: csv, ptrace or ron
    #[arg(long, default_value = "csv")]
    format: String,
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
}

/// What a trace can be split by.
#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// The thread that a block was born on
    Thread,
}

/// What the split came to.
#[derive(Serialize)]
struct Report {
    operations: u64,
    foreign_frees: u64,
    foreign_reallocs: u64,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    thread: u16,
    path: String,
    operations: u64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let By::Thread = args.by;
    let mut pieces = Pieces::open(&args.input, None)?.in_small_pieces();
    let shown = || args.input.display().to_string();
    let mut split = Split::default();
    let mut sinks: BTreeMap<u16, (PathBuf, Sink)> = BTreeMap::new();
    while let Some(piece) = pieces.next_piece()? {
        split.take(piece).with_context(shown)?;
        for (thread, out) in split.outs() {
            let (_, sink) = match sinks.entry(thread) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let mut path = args.output.clone().into_os_string();
                    path.push(format!(".{thread}.{}", args.format));
                    let path = PathBuf::from(path);
                    let sink = Sink::create(&path)?;
                    new.insert((path, sink))
                }
            };
            sink.drain(out)?;
        }
    }
    let Some(whole) = pieces.trace() else { bail!("{} has no operation", shown()) };
    split.finish(whole).with_context(shown)?;
    let counts = split.counts();
    let mut files = Vec::new();
    for (thread, out) in split.outs() {
        if let Some((path, sink)) = sinks.remove(&thread) {
            sink.finish(out.trace())?;
            files.push(File { thread, path: path.display().to_string(), operations: out.len() });
        }
    }
    let report = Report {
        operations: counts.operations,
        foreign_frees: counts.foreign_frees,
        foreign_reallocs: counts.foreign_reallocs,
        files,
    };
    if args.json {
        return output::json(&report);
    }
    for file in &report.files {
        output::line(format_args!("{}: {}", file.path, count(file.operations, "operation")))?;
    }
    output::line(format_args!(
        "{} frees and {} reallocs on another thread went with their blocks",
        grouped(report.foreign_frees),
        grouped(report.foreign_reallocs)
    ))?;
    Ok(())
}
