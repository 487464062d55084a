//! `arenascope tracemalloc`: what tracemalloc says at a step, or would say where it did not run.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Serialize;
use session::Setup;
use session::at::At;
use session::diagnosis::traced::{caveats, supposed};
use session::diagnosis::{Inquiry, NotSupposed};
use session::format::{count, grouped, printable};
use sim_core::machine::Layers;
use sim_core::tape::Action;
use sim_core::tracemalloc::{
    KeyType, MAX_NFRAME, NamedTraceback, Snapshot, Statistic, StatisticDiff, format_size, format_sum,
    take_snapshot,
};
use sim_core::{Kind, Trace};

use super::super::input::{self, RunArgs};
use super::super::stack::key_type;
use super::elapsed_ms;

#[derive(clap::Args)]
#[command(
    after_help = "Lines are those of Lib/tracemalloc.py: size is what was asked for, in RAW, MEM and OBJ alike. Where the trace does not run \
                  tracemalloc itself, they are what it would say, had tracemalloc.start(LIMIT) been called before the first operation.\n\n\
                  Examples:\n  \
                  arenascope tracemalloc capture.bin --at peak\n  \
                  arenascope tracemalloc capture.bin --key-type traceback --limit all --top 3\n  \
                  arenascope tracemalloc capture.bin --at end --compare-to mark:warm"
)]
pub(in super::super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    /// When: operations done, start, end, peak, or mark:NAME
    #[arg(long, value_name = "STEP", default_value = "end")]
    at: At,
    /// What blocks are grouped by, as statistics() takes it: lineno, filename or traceback
    #[arg(long, value_name = "KEY", value_parser = key_type, default_value = "lineno")]
    key_type: KeyType,
    /// Credit every frame of a traceback that is kept, not only the one that allocated
    #[arg(long)]
    cumulative: bool,
    /// Frames kept of each stack, as start() takes them: a number, or all; default: 1
    #[arg(long, value_name = "N|all", value_parser = limit)]
    limit: Option<u16>,
    /// Print how the step differs from this older one, as compare_to() does
    #[arg(long, value_name = "STEP")]
    compare_to: Option<At>,
    #[command(flatten)]
    run: RunArgs,
    /// Groups to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Print one JSON object with all groups
    #[arg(long)]
    json: bool,
}

fn limit(text: &str) -> Result<u16, String> {
    match text {
        "all" => Ok(MAX_NFRAME),
        _ => text
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("write a number of frames from 1 to {MAX_NFRAME}, or all")),
    }
}

/// What tracemalloc has at a step.
struct Moment {
    step: u64,
    snapshot: Snapshot,
    traced_memory: (u64, u64),
}

/// Where moments come from.
enum Source {
    /// The trace's own tracemalloc.
    Own(Box<Trace>),
    /// The births of the blocks.
    Supposed(Box<Inquiry>, u16),
}

impl Source {
    fn at(&mut self, step: u64, setup: &Setup) -> Result<Moment> {
        match self {
            Self::Supposed(inquiry, limit) => Ok(Moment {
                step,
                snapshot: inquiry.snapshot(step, *limit).map_err(|error| anyhow!("{error}, with --limit"))?,
                traced_memory: inquiry.traced_memory(step),
            }),
            Self::Own(trace) => {
                let mut machine = setup.machine(trace)?;
                for index in 0..step as usize {
                    machine.step(trace, index, &mut ());
                }
                let tracemalloc =
                    machine.layers().map(Layers::tracemalloc).filter(|tracemalloc| tracemalloc.is_tracing());
                let tracemalloc = tracemalloc.with_context(|| not_tracing(trace, step))?;
                Ok(Moment {
                    step,
                    snapshot: take_snapshot(tracemalloc)?,
                    traced_memory: tracemalloc.get_traced_memory(),
                })
            }
        }
    }
}

fn not_tracing(trace: &Trace, step: u64) -> String {
    let starts = |index: &u64| {
        let op = trace.packed(*index as usize);
        op.kind == Kind::Act && matches!(trace.action(op.size), Some(Action::TracemallocStart(_)))
    };
    let first = (0..trace.len()).find(starts).map_or(0, |index| index + 1);
    format!(
        "its program runs tracemalloc itself, which is not tracing at step {}; it starts at step {}: name a step with --at",
        grouped(step),
        grouped(first)
    )
}

fn source(args: &Args, trace: Trace, setup: &Setup) -> Result<Source> {
    let why = match supposed(&trace) {
        Ok(()) => {
            let inquiry = Inquiry::new(std::sync::Arc::new(trace), setup.clone());
            return Ok(Source::Supposed(Box::new(inquiry), args.limit.unwrap_or(1)));
        }
        Err(why) => why,
    };
    match why {
        NotSupposed::RunsItself => {
            ensure!(args.limit.is_none(), "{why}, with a limit of its own; leave --limit out");
            Ok(Source::Own(Box::new(trace)))
        }
        NotSupposed::NoStacks => bail!(
            "{why}, by which tracemalloc groups; memray's captures have them, `arenascope holders` groups by what this trace has"
        ),
        NotSupposed::StacksOfC => bail!("{why}; `arenascope holders` groups by them"),
        NotSupposed::ReplacesTables => {
            bail!("{why}, so that nobody knows what it would see; add tracemalloc's start to the trace")
        }
    }
}

/// A group as a line of `Lib/tracemalloc.py`.
enum Group {
    Is(Statistic),
    Differs(StatisticDiff),
}

impl Group {
    fn traceback(&self) -> &NamedTraceback {
        match self {
            Self::Is(group) => &group.traceback,
            Self::Differs(group) => &group.traceback,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Is(group) => group.to_string(),
            Self::Differs(group) => group.to_string(),
        }
    }
}

#[derive(Serialize)]
struct Report {
    step: u64,
    /// Whether tracemalloc did not run, so that this is what it would say.
    supposed: bool,
    limit: u16,
    traced_bytes: u64,
    peak_bytes: u64,
    blocks: usize,
    key_type: &'static str,
    cumulative: bool,
    compared_to: Option<u64>,
    caveats: Vec<&'static str>,
    groups: Vec<Row>,
    query_ms: f64,
}

#[derive(Serialize)]
struct Row {
    /// As in a Traceback: the most recent call last.
    frames: Vec<Frame>,
    size: u128,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_diff: Option<i128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count_diff: Option<i64>,
}

#[derive(Serialize)]
struct Frame {
    file: String,
    line: u32,
}

impl Row {
    fn of(group: &Group) -> Self {
        let frames = group.traceback().frames().iter();
        let frames = frames.map(|frame| Frame { file: frame.filename.to_string(), line: frame.lineno });
        let (size, count, size_diff, count_diff) = match group {
            Group::Is(group) => (group.size, group.count, None, None),
            Group::Differs(group) => (group.size, group.count, Some(group.size_diff), Some(group.count_diff)),
        };
        Self { frames: frames.collect(), size, count, size_diff, count_diff }
    }
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    if args.cumulative && args.key_type == KeyType::Traceback {
        super::super::usage_error(
            "cumulative mode cannot by used with key type 'traceback'; leave --cumulative out, or take --key-type lineno",
        );
    }
    let trace = input::open(&args.file, args.run.taken.domain)?;
    let shown = args.file.display().to_string();
    let setup = Setup::resolve(&trace, &args.run.overrides())?;
    let operations = trace.len();
    let resolve = |at: &At| at.resolve(&trace, || input::peak(&setup, &trace)).with_context(|| shown.clone());
    let step = resolve(&args.at)?;
    let old = args.compare_to.as_ref().map(resolve).transpose()?;
    let caveats = caveats(&trace);
    let mut source = source(args, trace, &setup).with_context(|| shown.clone())?;
    let old = old.map(|step| source.at(step, &setup)).transpose().with_context(|| shown.clone())?;
    let new = source.at(step, &setup).with_context(|| shown.clone())?;
    let begun = Instant::now();
    let groups: Vec<Group> = if let Some(old) = &old {
        let diffs = new.snapshot.compare_to(&old.snapshot, args.key_type, args.cumulative)?;
        diffs.into_iter().map(Group::Differs).collect()
    } else {
        let statistics = new.snapshot.statistics(args.key_type, args.cumulative)?;
        statistics.into_iter().map(Group::Is).collect()
    };
    let query_ms = elapsed_ms(begun);
    let supposed = matches!(source, Source::Supposed(..));
    let mut out = super::super::output::reported();
    if args.json {
        let report = Report {
            step,
            supposed,
            limit: new.snapshot.traceback_limit(),
            traced_bytes: new.traced_memory.0,
            peak_bytes: new.traced_memory.1,
            blocks: new.snapshot.traces().len(),
            key_type: args.key_type.name(),
            cumulative: args.cumulative,
            compared_to: old.map(|old| old.step),
            caveats: if supposed { caveats } else { Vec::new() },
            groups: groups.iter().map(Row::of).collect(),
            query_ms,
        };
        // In one piece: tracebacks by the ten thousand have a million small parts.
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    writeln!(out, "{}", answer(&new, &groups))?;
    let began = if supposed {
        format!(
            "as if tracemalloc.start({}) had been called before the first operation",
            new.snapshot.traceback_limit()
        )
    } else {
        format!(
            "as the program traces it, {} of each stack",
            count(u64::from(new.snapshot.traceback_limit()), "frame")
        )
    };
    let compared = old.map(|old| format!(" against step {}", grouped(old.step))).unwrap_or_default();
    writeln!(out, "step {}{compared} of {}, {began}", grouped(step), grouped(operations))?;
    if supposed && !caveats.is_empty() {
        writeln!(out, "but {}", caveats.join("; "))?;
    }
    list(&mut out, args, &groups)
}

/// The answer in a sentence.
fn answer(new: &Moment, groups: &[Group]) -> String {
    let (now, peak) = new.traced_memory;
    let traced = format!(
        "{} traced in {}, {} at the peak",
        format_sum(u128::from(now)),
        count(new.snapshot.traces().len() as u64, "block"),
        format_sum(u128::from(peak))
    );
    let most = |traceback: &NamedTraceback| printable(&traceback.most_recent().to_string()).into_owned();
    match groups.first() {
        Some(Group::Is(group)) => format!(
            "{traced}; most under {}: {} in {}",
            most(&group.traceback),
            format_sum(group.size),
            count(group.count, "block")
        ),
        Some(Group::Differs(group)) if group.size_diff != 0 => format!(
            "{traced}; {} {} most: {}",
            most(&group.traceback),
            if group.size_diff > 0 { "grew" } else { "shrank" },
            format_size(group.size_diff as f64, true)
        ),
        Some(Group::Differs(_)) => format!("{traced}; no group has grown or shrunk"),
        None => traced,
    }
}

fn list(out: &mut impl Write, args: &Args, groups: &[Group]) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for group in groups.iter().take(args.top) {
        writeln!(out, "{}", printable(&group.text()))?;
        if args.key_type == KeyType::Traceback {
            for line in group.traceback().format(None, false, |_, _| None) {
                writeln!(out, "{}", printable(&line))?;
            }
        }
    }
    if let Some(more) = groups.len().checked_sub(args.top).filter(|more| *more > 0) {
        writeln!(out, "{} more; --top {} lists all", count(more as u64, "group"), groups.len())?;
    }
    Ok(())
}
