//! `arenascope trim`: a range of a trace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use session::analysis::peak::peaks;
use session::{At, Overrides, Setup};
use sim_core::Trace;
use trace_io::care::{Bound, Trim};

use super::input::{self, Pieces};
use super::output::{self, count, grouped};
use super::sink::Sink;
use super::words;

#[derive(clap::Args)]
#[command(
    after_help = "A bound is a number of operations, a time since the recording began with its unit, or a place by name: 1500000, 250ms, 12.5s, \
                  3min, start, end, peak (the most bytes asked for), mark:NAME, mark:NAME#2 for the second mark of that name.\n\
                  Times are as fine as the recording's (10 ms for most). --to itself is not in the range.\n\n\
                  Every block that is live where the range begins is allocated first, in the order in which the blocks were born. \
                  So each step has as many live blocks and bytes as in the whole trace; the holes between them, and what \
                  else the past left in the heap, are gone. With --no-prelude the trace begins with nothing: frees of blocks from \
                  before are dropped, reallocs of them become mallocs, and both are counted.\n\n\
                  Examples:\n  \
                  arenascope trim day.csv noon.csv --from 12s --to 13s\n  \
                  arenascope trim big.ptrace part.ptrace --from 1000000 --to 2000000\n  \
                  arenascope trim day.csv request.csv --from mark:request-begin --to mark:request-end"
)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.ptrace, *.ron or *.csv
    output: PathBuf,
    /// Where the range begins [default: the beginning]
    #[arg(long, value_name = "STEP|TIME|MARK", value_parser = bound)]
    from: Option<End>,
    /// Where it ends [default: the end]
    #[arg(long, value_name = "STEP|TIME|MARK", value_parser = bound)]
    to: Option<End>,
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

/// An end of the range as it was given.
#[derive(Clone, Debug)]
enum End {
    At(At),
    Time(u64),
}

fn bound(text: &str) -> Result<End, String> {
    match text.parse() {
        Ok(at) => return Ok(End::At(at)),
        Err(error) if text.trim_start().starts_with("mark:") => return Err(error.to_string()),
        Err(_) => {}
    }
    UNITS
        .iter()
        .find_map(|(unit, ns)| {
            let number: f64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            (number >= 0.0 && number.is_finite()).then(|| End::Time((number * ns) as u64))
        })
        .ok_or_else(|| {
            "write a number of operations, a time such as 250ms, 12.5s or 3min, start, end, peak or mark:NAME"
                .to_owned()
        })
}

impl End {
    /// The bound, as far as the trace is known.
    fn of(&self, trace: Option<&Trace>, peak: Option<u64>) -> Bound {
        match self {
            Self::Time(ns) => Bound::Time(*ns),
            Self::At(At::Step(step)) => Bound::Step(*step),
            Self::At(At::End) => Bound::Step(u64::MAX),
            Self::At(At::Start) => Bound::Step(0),
            Self::At(At::Peak) => peak.map_or(Bound::NotYet, Bound::Step),
            Self::At(at @ At::Mark(_)) => {
                let there = trace.and_then(|trace| at.resolve(trace, || Ok(0)).ok());
                there.map_or(Bound::NotYet, Bound::Step)
            }
        }
    }
}

/// The step of the peak, by a run over all of the file.
fn peak(path: &Path) -> Result<u64> {
    if !path.is_file() {
        bail!(
            "{}: peak is found by a run over the whole trace, and this can be read only once; save it in a file first",
            path.display()
        );
    }
    let trace = input::open(path, None)?;
    let mut machine = Setup::resolve(&trace, &Overrides::default())?.machine(&trace)?;
    Ok(peaks(&mut machine, &trace).asked().step)
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut pieces = Pieces::open(&args.input, None)?.in_small_pieces();
    let mut sink = Sink::create(&args.output)?;
    let (from, to) =
        (args.from.clone().unwrap_or(End::At(At::Start)), args.to.clone().unwrap_or(End::At(At::End)));
    let is_peak = |end: &End| matches!(end, End::At(At::Peak));
    let peak = if is_peak(&from) || is_peak(&to) { Some(peak(&args.input)?) } else { None };
    let (mut begins, mut ends) = (from.of(None, peak), to.of(None, peak));
    let mut trim = Trim::new(begins, ends, !args.no_prelude);
    let shown = || args.input.display().to_string();
    while let Some(piece) = pieces.next_piece()? {
        for (bound, end) in [(&mut begins, &from), (&mut ends, &to)] {
            if *bound == Bound::NotYet {
                *bound = end.of(Some(piece), peak);
            }
        }
        trim.set_bounds(begins, ends);
        trim.take(piece).map_err(words::range).with_context(shown)?;
        sink.drain(trim.out())?;
    }
    let Some(whole) = pieces.trace() else { bail!("{} has no operation", shown()) };
    for (option, end) in [("--from", &from), ("--to", &to)] {
        if let End::At(at @ At::Mark(_)) = end {
            at.resolve(whole, || Ok(0)).map_err(|error| anyhow::anyhow!("{option} {error}"))?;
        }
    }
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
