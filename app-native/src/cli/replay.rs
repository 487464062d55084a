//! `arenascope replay`: a whole trace through the machine, and what came of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use mmap_arenas::MmapMachine;
use session::at::AtError;
use session::pass::{self, PlacementLines, PrintedStats, Watcher};
use session::{Overrides, Setup, SetupError};
use sim_core::domains::AllocatorName;
use sim_core::report::{PlacementWriter, Trust};
use sim_core::{Machine, Trace};

use super::input::{self, AsArgs, Pieces, ProfileArgs, malloc_name};
use super::output::{self, Output};
use super::report::{self, Report};
use super::run::Run;
use super::stack::SnapshotArgs;
use super::start::{self, StartReport};
use super::trust::TrustReport;
use super::until::{self, Until};

#[derive(clap::Args)]
#[command(after_help = "Without an output option it prints a report. With --placement - or --malloc-stats \
                        standard output carries exactly that text.")]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Args {
    /// Traces to run; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    taken: AsArgs,
    /// What PYTHONMALLOC takes: default, debug, malloc, malloc_debug, pymalloc, pymalloc_debug, mimalloc,
    /// mimalloc_debug; default: what the trace says, else default
    #[arg(long, value_name = "NAME", value_parser = malloc_name)]
    malloc: Option<AllocatorName>,
    /// Begin with the blocks that were there before the recording: FILE is the text of sys._debugmallocstats() from then
    #[arg(long, value_name = "FILE", conflicts_with = "bench")]
    start: Option<PathBuf>,
    /// Where arenas come from
    #[arg(long, value_enum, default_value_t = Backend::Sim)]
    backend: Backend,
    /// Stop after this many operations, at a mark (mark:NAME, mark:NAME#2), or after the first operation where a condition
    /// holds, such as 'arena_released && arenas > 40'; docs/cli.md lists the names
    #[arg(long, value_name = "STEP|MARK|CONDITION")]
    until: Option<Until>,
    /// Write where every block landed; `-` is standard output
    #[arg(long, value_name = "FILE")]
    placement: Option<PathBuf>,
    /// Compare with recorded addresses in full: by kind of call, arenas over time, first divergence and why
    #[arg(long, conflicts_with = "bench")]
    trust: bool,
    /// With --placement, add the state of each block's page in runs with mimalloc
    #[arg(long, requires = "placement")]
    placement_state: bool,
    /// Print the pymalloc or mimalloc block of sys._debugmallocstats(), byte for byte
    #[arg(long)]
    malloc_stats: bool,
    /// PYTHONMALLOCSTATS: unless VALUE is empty, print that block to standard error before each new arena and at
    /// the end, as CPython does; default: what the trace says
    #[arg(long, value_name = "VALUE")]
    pythonmallocstats: Option<String>,
    #[command(flatten)]
    snapshots: SnapshotArgs,
    /// Check the whole heap's lists, counts, links and sums at the end
    #[arg(long)]
    verify: bool,
    /// Replay N times from memory, each time on a new machine, and print nanoseconds an operation
    #[arg(long, value_name = "N", conflicts_with_all = ["placement", "malloc_stats", "json", "verify", "snapshots", "compare"])]
    bench: Option<u32>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// The arena backends.
#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// Simulated arenas at fixed addresses
    Sim,
    /// Arenas in memory from the operating system, with headers and links inside them
    Mmap,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.files.len() > 1 && args.placement.as_deref().is_some_and(|p| p != Path::new("-")) {
        super::usage_error("--placement FILE takes one trace; run them one by one");
    }
    if args.start.is_some() && (args.files.len() > 1 || matches!(args.backend, Backend::Mmap)) {
        super::usage_error(
            "--start is the past of one trace over simulated arenas; run it by itself, without --backend mmap",
        );
    }
    if args.trust && matches!(args.backend, Backend::Mmap) {
        super::usage_error("--trust compares with the simulated arenas; leave --backend mmap out");
    }
    let is_condition = matches!(args.until, Some(Until::Condition(_)));
    if is_condition && (args.placement.is_some() || args.bench.is_some()) {
        super::usage_error("--until CONDITION finds a step; give that step with --placement or --bench");
    }
    for file in &args.files {
        match args.backend {
            Backend::Sim => replay_or_bench::<Machine>(args, file)?,
            Backend::Mmap => replay_or_bench::<MmapMachine>(args, file)?,
        }
    }
    Ok(())
}

fn replay_or_bench<R: Run>(args: &Args, file: &Path) -> Result<()> {
    let Some(reps) = args.bench else { return replay::<R>(args, file) };
    let mut trace = input::open(file, args.taken.domain)?;
    if args.pythonmallocstats.is_some() {
        trace.head.malloc_stats.clone_from(&args.pythonmallocstats);
    }
    let setup = Setup::resolve(&trace, &overrides(args)?)?;
    let until = args.until.as_ref();
    Until::check(until, &trace).map_err(|error| of_until(&error))?;
    bench::<R>(&trace, &setup, Until::steps(until, &trace).min(trace.len()), reps)
}

fn of_until(error: &AtError) -> anyhow::Error {
    anyhow::anyhow!("--until {error}")
}

/// What is wanted otherwise than a trace says.
fn overrides(args: &Args) -> Result<Overrides> {
    let start = args.start.as_deref().map(start::read).transpose()?;
    Ok(Overrides { malloc: args.malloc, start, ..args.profile.overrides() })
}

/// Names the file that an error is about, if that is the one of `--start`.
fn of_start(args: &Args, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let of_profile = matches!(error.downcast_ref(), None | Some(SetupError::Profile(_)));
    match &args.start {
        Some(path) if !of_profile => error.context(path.display().to_string()),
        _ => error,
    }
}

/// Runs a trace piece by piece, so that its size does not matter.
fn replay<R: Run>(args: &Args, file: &Path) -> Result<()> {
    let mut pieces = Pieces::open(file, args.taken.domain)?;
    if let Some(value) = &args.pythonmallocstats {
        pieces.set_malloc_stats(value)?;
    }
    let Some(first) = pieces.next_piece()? else { bail!("{} has no operation", file.display()) };
    let setup = Setup::resolve(first, &overrides(args)?).map_err(|e| of_start(args, e))?;
    let profile = &setup.profile;
    let mut machine = R::set_up(&setup, first).map_err(|e| of_start(args, e))?;
    let start = setup.start.as_ref().zip(machine.simulated()).map(|(picture, m)| StartReport::of(picture, m));
    let mut placement = args.placement.as_deref().map(|p| placement(p, args.placement_state)).transpose()?;
    let mut trust = if args.trust { Trust::with_arenas(profile) } else { Trust::new(profile) };
    let mut condition = until::watcher(args.until.as_ref(), machine.simulated())?;
    let mut printed = PrintedStats(|text: &str| eprint!("{text}"));
    let mut until = Until::steps(args.until.as_ref(), first);
    let mut steps = 0;
    let mut piece = Some(first);
    while let Some(trace) = piece
        && steps < until
        && condition.as_ref().is_none_or(|c| c.stopped_at().is_none())
        && !placement.as_ref().is_some_and(PlacementLines::failed)
    {
        machine.prepare(trace).with_context(|| file.display().to_string())?;
        if until == u64::MAX {
            until = Until::steps(args.until.as_ref(), trace);
        }
        let here = trace.len().min(until.saturating_sub(steps)) as usize;
        let done = match (machine.simulated_mut(), &mut placement) {
            (Some(machine), placement) => {
                let mut watchers: Vec<&mut dyn Watcher> = vec![&mut trust, &mut printed];
                watchers.extend(placement.as_mut().map(|p| p as &mut dyn Watcher));
                watchers.extend(condition.as_mut().map(|c| c as &mut dyn Watcher));
                pass::run(machine, trace, here, &mut watchers)
            }
            (None, Some(placement)) => {
                placement.place_each(trace, here, |index, events| machine.place(trace, index, events))
            }
            (None, None) => {
                machine.run(trace, here);
                here
            }
        };
        steps += done as u64;
        piece = pieces.next_piece()?;
    }
    if until == u64::MAX
        && let Some(trace) = pieces.trace()
    {
        Until::check(args.until.as_ref(), trace).map_err(|error| of_until(&error))?;
    }
    if let Some(placement) = placement {
        let shown = || args.placement.as_deref().map(output::shown).unwrap_or_default();
        placement.finish().with_context(shown)?.finish()?;
    }
    let Some(trace) = pieces.trace() else { bail!("{} has no operation", file.display()) };
    ensure!(
        !machine.out_of_space(),
        "the trace holds more memory at once than the address space for arenas has; \
         a real process would need over {} GiB for its small blocks alone",
        R::address_space_bytes(profile) >> 30
    );
    if args.verify {
        machine.verify()?;
    }
    if trace.prints_malloc_stats() && !machine.has_stopped() {
        // The report at exit.
        eprint!("{}", machine.debugmallocstats());
    }
    let compared = args.snapshots.compare(machine.simulated())?;
    let statistics = args.snapshots.statistics(machine.simulated())?;
    let tracemalloc_memory = args.snapshots.memory(machine.simulated(), profile);
    let trust = machine.simulated().and_then(|simulated| TrustReport::of(&trust, simulated, trace));
    ensure!(
        trust.is_some() || !args.trust,
        "{}: --trust compares with recorded addresses of small blocks, and this trace has none; memray's captures have \
         them with `memray run --trace-python-allocators`",
        file.display()
    );
    let start = start.map(|start| start.after(trace));
    let until = condition
        .map(|c| report::UntilReport { condition: c.condition().to_owned(), stopped_at: c.stopped_at() });
    let to_stdout = args.placement.as_deref() == Some(Path::new("-"));
    if args.json {
        let mut report = Report::of(&machine, trace, profile, steps, trust);
        report.until = until;
        report.start = start;
        report.malloc_stats = args.malloc_stats.then(|| machine.debugmallocstats());
        report.snapshots = statistics;
        report.compared = compared;
        report.tracemalloc_memory = tracemalloc_memory;
        return output::json(&report);
    }
    if statistics.is_some() || compared.is_some() {
        let mut out = output::reported();
        for (name, lines) in statistics.iter().flatten() {
            writeln!(out, "[ {name} ]")?;
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        for line in compared.iter().flatten() {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(bytes) = tracemalloc_memory {
        writeln!(std::io::stdout(), "{bytes}")?;
    }
    if args.malloc_stats {
        std::io::stdout().write_all(machine.debugmallocstats().as_bytes())?;
    } else if !to_stdout && statistics.is_none() && compared.is_none() && tracemalloc_memory.is_none() {
        let mut report = Report::of(&machine, trace, profile, steps, trust);
        report.until = until;
        report.start = start;
        report::print(&report, args.verify, args.trust)?;
    }
    Ok(())
}

/// A file for where each block landed.
fn placement(path: &Path, page_state: bool) -> Result<PlacementLines<Output>> {
    Ok(PlacementLines::new(PlacementWriter { page_state }, Output::create(path)?))
}

fn bench<R: Run>(trace: &Trace, setup: &Setup, steps: u64, reps: u32) -> Result<()> {
    ensure!(reps > 0, "--bench needs at least one repetition");
    ensure!(steps > 0, "--bench needs at least one operation");
    let mut times_ns: Vec<f64> = Vec::new();
    for _ in 0..reps {
        let mut machine = R::set_up(setup, trace)?;
        let start = Instant::now();
        machine.run(trace, steps as usize);
        times_ns.push(start.elapsed().as_nanos() as f64 / steps as f64);
        std::hint::black_box(&machine);
    }
    times_ns.sort_by(f64::total_cmp);
    let (min, median) = (times_ns[0], times_ns[times_ns.len() / 2]);
    output::line(format_args!("ops={steps} reps={reps} min_ns={min:.2} median_ns={median:.2}"))?;
    Ok(())
}
