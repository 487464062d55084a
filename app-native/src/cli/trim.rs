//! `arenascope trim`: a range of a trace.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use trace_io::care::{Bound, Trim};

use super::input::Pieces;
use super::output::{self, count, grouped};
use super::sink::Sink;
use super::words;

#[derive(clap::Args)]
#[command(
    after_help = "A bound is a number of operations, or a time since the recording began with its unit: 1500000, 250ms, 12.5s, 3min.\n\
                  Times are as fine as the recording's (10 ms for most). --to itself is not in the range.\n\n\
                  Every block that is live where the range begins is allocated first, in the order in which the blocks were born. \
                  So each step has as many live blocks and bytes as in the whole trace; the holes between them, and what \
                  else the past left in the heap, are gone. With --no-prelude the trace begins with nothing: frees of blocks from \
                  before are dropped, reallocs of them become mallocs, and both are counted.\n\n\
                  Examples:\n  \
                  arenascope trim day.csv noon.csv --from 12s --to 13s\n  \
                  arenascope trim big.ptrace part.ptrace --from 1000000 --to 2000000"
)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.ptrace, *.ron or *.csv
    output: PathBuf,
    /// Where the range begins [default: the beginning]
    #[arg(long, value_name = "STEP|TIME", value_parser = bound)]
    from: Option<Bound>,
    /// Where it ends [default: the end]
    #[arg(long, value_name = "STEP|TIME", value_parser = bound)]
    to: Option<Bound>,
    /// Begin with an empty heap
    #[arg(long)]
    no_prelude: bool,
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
}

/// What the trim came to, in operations.
#[derive(Serialize)]
struct Report {
    kept: u64,
    before: u64,
    after: u64,
    prelude: u64,
    dropped_frees: u64,
    births_from_realloc: u64,
}

const UNITS: [(&str, f64); 6] =
    [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("min", 6e10), ("s", 1e9), ("h", 3.6e12)];

fn bound(text: &str) -> Result<Bound, String> {
    if let Ok(step) = text.parse() {
        return Ok(Bound::Step(step));
    }
    UNITS
        .iter()
        .find_map(|(unit, ns)| {
            let number: f64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            (number >= 0.0 && number.is_finite()).then(|| Bound::Time((number * ns) as u64))
        })
        .ok_or_else(|| "write a number of operations, or a time such as 250ms, 12.5s or 3min".to_owned())
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut pieces = Pieces::open(&args.input, None)?.in_small_pieces();
    let mut sink = Sink::create(&args.output)?;
    let (from, to) = (args.from.unwrap_or(Bound::Step(0)), args.to.unwrap_or(Bound::Step(u64::MAX)));
    let mut trim = Trim::new(from, to, !args.no_prelude);
    let shown = || args.input.display().to_string();
    while let Some(piece) = pieces.next_piece()? {
        trim.take(piece).map_err(words::range).with_context(shown)?;
        sink.drain(trim.out())?;
    }
    let Some(whole) = pieces.trace() else { bail!("{} has no operation", shown()) };
    trim.finish(whole).map_err(words::range).with_context(shown)?;
    sink.finish(trim.out().trace())?;
    let c = trim.counts();
    if args.json {
        return output::json(&Report {
            kept: c.kept,
            before: c.before,
            after: c.after,
            prelude: c.prelude,
            dropped_frees: c.dropped_frees,
            births_from_realloc: c.births_from_realloc,
        });
    }
    let out = args.output.display();
    output::line(format_args!(
        "{out}: {} kept, {} before and {} after left out",
        count(c.kept, "operation"),
        grouped(c.before),
        grouped(c.after)
    ))?;
    if c.prelude > 0 {
        output::line(format_args!(
            "  {} that {} live where the range begins {} allocated first",
            count(c.prelude, "block"),
            if c.prelude == 1 { "was" } else { "were" },
            if c.prelude == 1 { "is" } else { "are" }
        ))?;
    }
    if c.dropped_frees + c.births_from_realloc > 0 {
        output::line(format_args!(
            "  {} frees of blocks from before were dropped, {} reallocs of them count as mallocs",
            grouped(c.dropped_frees),
            grouped(c.births_from_realloc)
        ))?;
    }
    Ok(())
}
