//! `arenascope merge`: several traces as one.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use trace_io::care::{Merge, Order};

use super::input::{self, Pieces};
use super::output::{self, count};
use super::sink::Sink;

#[derive(clap::Args)]
#[command(
    after_help = "Where all inputs have times, operations are put in the order of their times, each input's counted from its own \
                  beginning; otherwise, or with --one-after-the-other, the inputs follow each other. Threads, blocks and \
                  stacks are numbered anew, so that none of one input is taken for one of another. Inputs made with different \
                  profiles, settings or PYTHONMALLOC are refused: no single process can have both.\n\n\
                  Example:\n  arenascope merge all.csv worker-1.csv worker-2.csv"
)]
pub(super) struct Args {
    /// The file to write: *.ptrace, *.ron or *.csv
    output: PathBuf,
    /// The traces to read
    #[arg(required = true, num_args = 1..)]
    inputs: Vec<PathBuf>,
    /// Do not look at times
    #[arg(long)]
    one_after_the_other: bool,
}

/// Rows after which what is merged is written.
const ROWS: u64 = 1 << 18;

pub(super) fn run(args: &Args) -> Result<()> {
    let mut inputs = Vec::new();
    let mut timed = true;
    for path in &args.inputs {
        let mut pieces = Pieces::open(path, None)?.in_small_pieces().without_bar();
        let Some(first) = pieces.next_piece()? else { bail!("{} has no operation", path.display()) };
        timed &= first.timed();
        inputs.push(pieces);
    }
    let order = if timed && !args.one_after_the_other { Order::Time } else { Order::Sequence };
    let mut merge = Merge::new(order, inputs.len());
    let mut sink = Sink::create(&args.output)?;
    let total: Option<u64> = inputs.iter().map(Pieces::file_bytes).sum();
    let bar = input::progress_bar(total, "merging");
    let mut open: Vec<usize> = (0..inputs.len()).collect();
    while !open.is_empty() {
        // The input whose next operation is the earliest, the first of these, up to where another is earlier.
        let mut times = Vec::new();
        for &input in &open {
            let time = inputs[input].trace().and_then(|piece| merge.next_time(input, piece));
            times.push((time.unwrap_or(0), input));
        }
        let (input, until) = match order {
            Order::Sequence => (open[0], u64::MAX),
            Order::Time => {
                times.sort_unstable();
                (times[0].1, times.get(1).map_or(u64::MAX, |next| next.0))
            }
        };
        let shown = || args.inputs[input].display().to_string();
        let Some(piece) = inputs[input].trace() else { bail!("{} has no operation", shown()) };
        let more = merge.take(input, piece, until).with_context(shown)?;
        if merge.out().trace().len() >= ROWS {
            sink.drain(merge.out())?;
            bar.set_position(inputs.iter().map(Pieces::bytes_read).sum());
        }
        if !more && inputs[input].next_piece()?.is_none() {
            if let Some(whole) = inputs[input].trace() {
                merge.finish(input, whole).with_context(shown)?;
            }
            open.retain(|&i| i != input);
        }
    }
    bar.finish_and_clear();
    sink.drain(merge.out())?;
    sink.finish(merge.out().trace())?;
    let how = match order {
        Order::Time => "by time",
        Order::Sequence => "one after the other",
    };
    output::line(format_args!(
        "{}: {} of {}, {how}",
        args.output.display(),
        count(merge.out().len(), "operation"),
        count(args.inputs.len() as u64, "trace")
    ))?;
    Ok(())
}
