//! `arenascope replay`: a whole trace through the machine, and what came of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use mmap_arenas::MmapMachine;
use serde::Serialize;
use sim_core::domains::{AllocatorName, Allocators};
use sim_core::report::PlacementWriter;
use sim_core::{Machine, Profile, Trace};

use super::input::{self, Pieces, ProfileArgs};
use super::output::{self, Output, grouped};
use super::run::Run;
use super::stack::{self, SnapshotArgs, StackReport};

#[derive(clap::Args)]
#[command(after_help = "Without an output option it prints a report. With --placement - or --malloc-stats \
                        standard output carries exactly that text.")]
pub(super) struct Args {
    /// Traces to run; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    profile: ProfileArgs,
    /// What PYTHONMALLOC takes: default, debug, malloc, malloc_debug, pymalloc, pymalloc_debug; default: what the
    /// trace says, else default
    #[arg(long, value_name = "NAME", value_parser = malloc_name)]
    malloc: Option<AllocatorName>,
    /// Where arenas come from
    #[arg(long, value_enum, default_value_t = Backend::Sim)]
    backend: Backend,
    /// Stop after this many operations
    #[arg(long, value_name = "STEP")]
    until: Option<u64>,
    /// Write where every block landed; `-` is standard output
    #[arg(long, value_name = "FILE")]
    placement: Option<PathBuf>,
    /// Print the pymalloc block of sys._debugmallocstats(), byte for byte
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

fn malloc_name(text: &str) -> Result<AllocatorName, String> {
    AllocatorName::parse(text).map_err(|e| e.to_string())
}

/// The arena backends.
#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// Simulated arenas at fixed addresses
    Sim,
    /// Arenas in memory from the operating system, with headers and links inside them
    Mmap,
}

/// What a replay came to. Sizes in bytes.
#[derive(Serialize)]
struct Report {
    trace: String,
    profile: String,
    malloc: Option<&'static str>,
    operations: u64,
    arenas_obtained: u64,
    arenas_released: u64,
    arenas_highwater: u64,
    arenas_live: u64,
    arena_bytes_live: u64,
    blocks_live: u64,
    block_bytes_live: u64,
    available_bytes: u64,
    unused_pool_bytes: u64,
    raw_allocated_blocks: i64,
    raw_blocks_live: u64,
    raw_bytes_live: u64,
    /// `sim` or `mmap`.
    backend: &'static str,
    state_bytes: u64,
    state_bytes_highwater_ratio: Option<f64>,
    digest: String,
    /// What would have ended the process, as it would have been printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    malloc_stats: Option<String>,
    #[serde(flatten)]
    stack: Option<StackReport>,
    /// Lines that `statistics()` gives, by the snapshot's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshots: Option<BTreeMap<String, Vec<String>>>,
    /// Lines that `compare_to()` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Vec<String>>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.files.len() > 1 && args.placement.as_deref().is_some_and(|p| p != Path::new("-")) {
        super::usage_error("--placement FILE takes one trace; run them one by one");
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
    let mut trace = input::open(file)?;
    if args.pythonmallocstats.is_some() {
        trace.malloc_stats.clone_from(&args.pythonmallocstats);
    }
    let profile = args.profile.for_trace(&trace)?;
    bench::<R>(args, &trace, &profile, args.until.unwrap_or(u64::MAX).min(trace.len()), reps)
}

/// Runs a trace piece by piece, so that its size does not matter.
fn replay<R: Run>(args: &Args, file: &Path) -> Result<()> {
    let mut pieces = Pieces::open(file)?;
    if let Some(value) = &args.pythonmallocstats {
        pieces.set_malloc_stats(value)?;
    }
    let Some(first) = pieces.next_piece()? else { bail!("{} has no operation", file.display()) };
    let profile = args.profile.for_trace(first)?;
    let mut machine = R::for_trace(&profile, first, args.malloc)?;
    let mut placement = args.placement.as_deref().map(Placement::create).transpose()?;
    let until = args.until.unwrap_or(u64::MAX);
    let mut steps = 0;
    let mut piece = Some(first);
    while let Some(trace) = piece
        && steps < until
    {
        machine.prepare(trace).with_context(|| file.display().to_string())?;
        let here = trace.len().min(until - steps);
        match &mut placement {
            Some(placement) => placement.run(&mut machine, trace, here)?,
            None if trace.prints_malloc_stats() => (0..here as usize).for_each(|index| {
                machine.step(trace, index);
                stack::print_malloc_stats(machine.simulated());
            }),
            None => (0..here as usize).for_each(|index| machine.step(trace, index)),
        }
        steps += here;
        piece = pieces.next_piece()?;
    }
    if let Some(placement) = placement {
        placement.out.finish()?;
    }
    let Some(trace) = pieces.trace() else { bail!("{} has no operation", file.display()) };
    ensure!(
        !machine.out_of_space(),
        "the trace holds more memory at once than the address space for arenas has; \
         a real process would need over {} GiB for its small blocks alone",
        R::address_space_bytes(&profile) >> 30
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
    let to_stdout = args.placement.as_deref() == Some(Path::new("-"));
    if args.json {
        let mut report = report(&machine, trace, &profile, steps);
        report.malloc_stats = args.malloc_stats.then(|| machine.debugmallocstats());
        report.snapshots = statistics;
        report.compared = compared;
        return output::json(&report);
    }
    if statistics.is_some() || compared.is_some() {
        let mut out = std::io::stdout().lock();
        for (name, lines) in statistics.iter().flatten() {
            writeln!(out, "[ {name} ]")?;
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        for line in compared.iter().flatten() {
            writeln!(out, "{line}")?;
        }
    }
    if args.malloc_stats {
        std::io::stdout().write_all(machine.debugmallocstats().as_bytes())?;
    } else if !to_stdout && statistics.is_none() && compared.is_none() {
        print_report(&report(&machine, trace, &profile, steps), args.verify)?;
    }
    Ok(())
}

/// Where each block landed, being written.
struct Placement {
    out: Output,
    writer: PlacementWriter,
    lines: String,
}

impl Placement {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { out: Output::create(path)?, writer: PlacementWriter::default(), lines: String::new() })
    }

    fn run<R: Run>(&mut self, machine: &mut R, trace: &Trace, steps: u64) -> Result<()> {
        for index in 0..steps as usize {
            machine.place(&mut self.writer, trace, index, &mut self.lines);
            stack::print_malloc_stats(machine.simulated());
            if machine.has_stopped() {
                break;
            }
            if self.lines.len() > 1 << 16 {
                self.out.write_all(self.lines.as_bytes())?;
                self.lines.clear();
            }
        }
        self.out.write_all(self.lines.as_bytes())?;
        self.lines.clear();
        Ok(())
    }
}

fn bench<R: Run>(args: &Args, trace: &Trace, profile: &Profile, steps: u64, reps: u32) -> Result<()> {
    ensure!(reps > 0, "--bench needs at least one repetition");
    ensure!(steps > 0, "--bench needs at least one operation");
    let mut times_ns: Vec<f64> = Vec::new();
    for _ in 0..reps {
        let mut machine = R::for_trace(profile, trace, args.malloc)?;
        let start = Instant::now();
        for index in 0..steps as usize {
            machine.step(trace, index);
        }
        times_ns.push(start.elapsed().as_nanos() as f64 / steps as f64);
        std::hint::black_box(&machine);
    }
    times_ns.sort_by(f64::total_cmp);
    let (min, median) = (times_ns[0], times_ns[times_ns.len() / 2]);
    println!("ops={steps} reps={reps} min_ns={min:.2} median_ns={median:.2}");
    Ok(())
}

fn report<R: Run>(machine: &R, trace: &Trace, profile: &Profile, steps: u64) -> Report {
    let summary = machine.summary();
    let (counters, occupancy) = (summary.counters, summary.occupancy);
    let layers = machine.simulated().and_then(Machine::layers);
    let highwater_bytes = counters.narenas_highwater * profile.arena_size;
    let state_bytes = machine.state_bytes();
    Report {
        trace: trace.name.clone(),
        profile: profile.name.clone(),
        malloc: layers
            .map_or_else(|| Allocators::default().current_name(), |l| l.allocators().current_name()),
        operations: steps,
        arenas_obtained: counters.ntimes_arena_allocated,
        arenas_released: counters.ntimes_arena_allocated - occupancy.arenas,
        arenas_highwater: counters.narenas_highwater,
        arenas_live: occupancy.arenas,
        arena_bytes_live: occupancy.arenas * profile.arena_size,
        blocks_live: occupancy.blocks(),
        block_bytes_live: occupancy.allocated_bytes,
        available_bytes: occupancy.available_bytes,
        unused_pool_bytes: occupancy.unused_pools * profile.pool_size,
        raw_allocated_blocks: summary.raw_allocated_blocks,
        raw_blocks_live: summary.raw_blocks,
        raw_bytes_live: summary.raw_bytes,
        backend: R::BACKEND,
        state_bytes,
        state_bytes_highwater_ratio: (highwater_bytes > 0)
            .then(|| state_bytes as f64 / highwater_bytes as f64),
        digest: format!("{:016x}", summary.digest),
        stopped: machine.simulated().and_then(Machine::stopped).map(ToString::to_string),
        malloc_stats: None,
        stack: machine.simulated().map(StackReport::of),
        snapshots: None,
        compared: None,
    }
}

fn print_report(r: &Report, verified: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {} operations on {} ({})",
        r.trace,
        grouped(r.operations),
        r.profile,
        r.malloc.unwrap_or("no name")
    )?;
    writeln!(
        out,
        "  arenas     {} obtained, {} released, {} at most at once, {} live ({} bytes)",
        grouped(r.arenas_obtained),
        grouped(r.arenas_released),
        grouped(r.arenas_highwater),
        grouped(r.arenas_live),
        grouped(r.arena_bytes_live)
    )?;
    writeln!(
        out,
        "  in use     {} blocks ({} bytes); {} bytes free in their pools, {} bytes in unused pools",
        grouped(r.blocks_live),
        grouped(r.block_bytes_live),
        grouped(r.available_bytes),
        grouped(r.unused_pool_bytes)
    )?;
    writeln!(
        out,
        "  C library  {} blocks ({} bytes), {} of them for pymalloc",
        grouped(r.raw_blocks_live),
        grouped(r.raw_bytes_live),
        r.raw_allocated_blocks
    )?;
    let ratio = r
        .state_bytes_highwater_ratio
        .map_or_else(String::new, |x| format!(" ({x:.3} of the arenas at their most)"));
    let state = if r.backend == Machine::BACKEND { "simulation" } else { "memory    " };
    writeln!(out, "  {state} {} bytes{ratio}", grouped(r.state_bytes))?;
    if let Some(stack) = &r.stack {
        stack.print(&mut out)?;
    }
    if verified {
        writeln!(out, "  verified   lists, counts, links, radix tree and sums hold")?;
    }
    if let Some(stopped) = &r.stopped {
        writeln!(out, "  stopped    the process would have ended with:")?;
        for line in stopped.lines() {
            writeln!(out, "    {line}")?;
        }
    }
    writeln!(out, "  digest     {}", r.digest)?;
    Ok(())
}
