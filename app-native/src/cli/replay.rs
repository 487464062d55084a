//! `arenascope replay`: a whole trace through the machine, and what came of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use sim_core::domains::AllocatorName;
use sim_core::report::{Occupancy, PlacementWriter, Trust, digest, malloc_stats};
use sim_core::{Machine, Profile, Trace};

use super::input::{self, AsArgs, Pieces, ProfileArgs};
use super::output::{self, Output, grouped};
use super::stack::{self, SnapshotArgs, StackReport};
use super::trust::TrustReport;

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
    /// Where arenas come from
    #[arg(long, value_enum, default_value_t = Backend::Sim)]
    backend: Backend,
    /// Stop after this many operations
    #[arg(long, value_name = "STEP")]
    until: Option<u64>,
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

fn malloc_name(text: &str) -> Result<AllocatorName, String> {
    AllocatorName::parse(text).map_err(|e| e.to_string())
}

/// Arena backends so far.
#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// Simulated arenas at fixed addresses
    Sim,
}

/// What a replay came to. Sizes in bytes.
#[derive(Serialize)]
struct Report {
    trace: String,
    profile: String,
    malloc: Option<&'static str>,
    operations: u64,
    #[serde(flatten)]
    memory: Memory,
    raw_blocks_live: u64,
    raw_bytes_live: u64,
    state_bytes: u64,
    digest: String,
    /// How far recorded addresses agree, where the trace has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<TrustReport>,
    /// What would have ended the process, as it would have been printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    malloc_stats: Option<String>,
    #[serde(flatten)]
    stack: StackReport,
    /// Lines that `statistics()` gives, by the snapshot's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshots: Option<BTreeMap<String, Vec<String>>>,
    /// Lines that `compare_to()` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Vec<String>>,
}

/// What the run's allocator of MEM and OBJ holds.
#[derive(Serialize)]
#[serde(untagged)]
enum Memory {
    Pymalloc {
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
        state_bytes_highwater_ratio: Option<f64>,
    },
    Mimalloc {
        mimalloc: &'static str,
        segments: u64,
        segments_abandoned: u64,
        segment_bytes: u64,
        pages: u64,
        pages_full: u64,
        pages_deferred: u64,
        blocks_live: u64,
        block_bytes_live: u64,
        bytes_reserved: u64,
        bytes_committed: u64,
        system_bytes_reserved: u64,
    },
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.files.len() > 1 && args.placement.as_deref().is_some_and(|p| p != Path::new("-")) {
        super::usage_error("--placement FILE takes one trace; run them one by one");
    }
    match args.backend {
        Backend::Sim => {}
    }
    for file in &args.files {
        match args.bench {
            Some(reps) => {
                let mut trace = input::open(file, args.taken.domain)?;
                if args.pythonmallocstats.is_some() {
                    trace.malloc_stats.clone_from(&args.pythonmallocstats);
                }
                let profile = args.profile.for_trace(&trace)?;
                bench(args, &trace, &profile, args.until.unwrap_or(u64::MAX).min(trace.len()), reps)?;
            }
            None => replay(args, file)?,
        }
    }
    Ok(())
}

/// Runs a trace piece by piece, so that its size does not matter.
fn replay(args: &Args, file: &Path) -> Result<()> {
    let mut pieces = Pieces::open(file, args.taken.domain)?;
    if let Some(value) = &args.pythonmallocstats {
        pieces.set_malloc_stats(value)?;
    }
    let Some(first) = pieces.next_piece()? else { bail!("{} has no operation", file.display()) };
    let profile = args.profile.for_trace(first)?;
    let mut machine = Machine::for_trace(&profile, first, args.malloc)?;
    let mut placement =
        args.placement.as_deref().map(|path| Placement::create(path, args.placement_state)).transpose()?;
    let mut trust = if args.trust { Trust::with_arenas(&profile) } else { Trust::new(&profile) };
    let until = args.until.unwrap_or(u64::MAX);
    let mut steps = 0;
    let mut piece = Some(first);
    while let Some(trace) = piece
        && steps < until
    {
        ensure!(
            machine.layers().is_some() || !trace.needs_layers(),
            "{}: an action or a kept free comes after the first {} operations, where the run has no layers any more; \
             give --malloc default",
            file.display(),
            grouped(trace.first())
        );
        machine.check_piece(trace)?;
        machine.grow(trace.slot_count());
        let here = trace.len().min(until - steps);
        match &mut placement {
            Some(placement) => placement.run(&mut machine, trace, here, &mut trust)?,
            None if trace.prints_malloc_stats() || trace.has_addresses() => {
                for index in 0..here as usize {
                    let ptr = machine.step(trace, index, &mut ());
                    trust.after(&machine, trace, index, ptr);
                    stack::print_malloc_stats(&machine);
                }
            }
            None => (0..here as usize).for_each(|index| {
                machine.step(trace, index, &mut ());
            }),
        }
        steps += here;
        piece = pieces.next_piece()?;
    }
    if let Some(placement) = placement {
        placement.out.finish()?;
    }
    let Some(trace) = pieces.trace() else { bail!("{} has no operation", file.display()) };
    ensure!(
        !machine.pymalloc().memory().out_of_space(),
        "the trace holds more memory at once than the simulated address space has; \
         a real process would need over {} GiB for its small blocks alone",
        profile.alignment * 2
    );
    if args.verify {
        machine.verify()?;
    }
    if trace.prints_malloc_stats() && machine.stopped().is_none() {
        // The report at exit.
        eprint!("{}", malloc_stats(&machine));
    }
    let compared = args.snapshots.compare(&machine)?;
    let statistics = args.snapshots.statistics(&machine)?;
    let trust = TrustReport::of(&trust, &machine, trace);
    ensure!(
        trust.is_some() || !args.trust,
        "{}: --trust compares with recorded addresses of small blocks, and this trace has none; memray's captures have \
         them with `memray run --trace-python-allocators`",
        file.display()
    );
    let to_stdout = args.placement.as_deref() == Some(Path::new("-"));
    if args.json {
        let mut report = report(&machine, trace, &profile, steps, trust);
        report.malloc_stats = args.malloc_stats.then(|| malloc_stats(&machine));
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
        std::io::stdout().write_all(malloc_stats(&machine).as_bytes())?;
    } else if !to_stdout && statistics.is_none() && compared.is_none() {
        print_report(&report(&machine, trace, &profile, steps, trust), args)?;
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
    fn create(path: &Path, page_state: bool) -> Result<Self> {
        let mut writer = PlacementWriter::default();
        writer.page_state = page_state;
        Ok(Self { out: Output::create(path)?, writer, lines: String::new() })
    }

    fn run(&mut self, machine: &mut Machine, trace: &Trace, steps: u64, trust: &mut Trust) -> Result<()> {
        for index in 0..steps as usize {
            let ptr = self.writer.step(machine, trace, index, &mut self.lines);
            trust.after(machine, trace, index, ptr);
            stack::print_malloc_stats(machine);
            if machine.stopped().is_some() {
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

fn bench(args: &Args, trace: &Trace, profile: &Profile, steps: u64, reps: u32) -> Result<()> {
    ensure!(reps > 0, "--bench needs at least one repetition");
    ensure!(steps > 0, "--bench needs at least one operation");
    let mut times_ns: Vec<f64> = Vec::new();
    for _ in 0..reps {
        let mut machine = Machine::for_trace(profile, trace, args.malloc)?;
        let start = Instant::now();
        for index in 0..steps as usize {
            machine.step(trace, index, &mut ());
        }
        times_ns.push(start.elapsed().as_nanos() as f64 / steps as f64);
        std::hint::black_box(&machine);
    }
    times_ns.sort_by(f64::total_cmp);
    let (min, median) = (times_ns[0], times_ns[times_ns.len() / 2]);
    println!("ops={steps} reps={reps} min_ns={min:.2} median_ns={median:.2}");
    Ok(())
}

fn report(
    machine: &Machine,
    trace: &Trace,
    profile: &Profile,
    steps: u64,
    trust: Option<TrustReport>,
) -> Report {
    let state_bytes = machine.state_bytes();
    Report {
        trace: trace.name.clone(),
        profile: profile.name.clone(),
        malloc: machine.allocators().current_name(),
        operations: steps,
        memory: memory(machine, profile, state_bytes),
        raw_blocks_live: machine.raw().live_blocks(),
        raw_bytes_live: machine.raw().live_bytes(),
        state_bytes,
        digest: format!("{:016x}", digest(machine)),
        trust,
        stopped: machine.stopped().map(ToString::to_string),
        malloc_stats: None,
        stack: StackReport::of(machine),
        snapshots: None,
        compared: None,
    }
}

fn memory(machine: &Machine, profile: &Profile, state_bytes: u64) -> Memory {
    if let Some(run) = machine.mimalloc() {
        let heap = run.heap();
        let totals = heap.totals();
        return Memory::Mimalloc {
            mimalloc: heap.config().version.name(),
            segments: totals.segments,
            segments_abandoned: totals.abandoned_segments,
            segment_bytes: totals.segment_bytes,
            pages: totals.pages,
            pages_full: totals.full_pages,
            pages_deferred: totals.deferred_pages,
            blocks_live: totals.live_blocks,
            block_bytes_live: totals.live_bytes,
            bytes_reserved: totals.used.reserved_bytes,
            bytes_committed: totals.used.committed_bytes,
            system_bytes_reserved: totals.system_bytes,
        };
    }
    let pymalloc = machine.pymalloc();
    let occupancy = Occupancy::of(pymalloc);
    let counters = pymalloc.counters();
    let highwater_bytes = counters.narenas_highwater * profile.arena_size;
    Memory::Pymalloc {
        arenas_obtained: counters.ntimes_arena_allocated,
        arenas_released: counters.ntimes_arena_allocated - occupancy.arenas,
        arenas_highwater: counters.narenas_highwater,
        arenas_live: occupancy.arenas,
        arena_bytes_live: occupancy.arenas * profile.arena_size,
        blocks_live: occupancy.blocks(),
        block_bytes_live: occupancy.allocated_bytes,
        available_bytes: occupancy.available_bytes,
        unused_pool_bytes: occupancy.unused_pools * profile.pool_size,
        raw_allocated_blocks: pymalloc.raw_allocated_blocks,
        state_bytes_highwater_ratio: (highwater_bytes > 0)
            .then(|| state_bytes as f64 / highwater_bytes as f64),
    }
}

fn print_report(r: &Report, args: &Args) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {} operations on {} ({})",
        r.trace,
        grouped(r.operations),
        r.profile,
        r.malloc.unwrap_or("no name")
    )?;
    let mut for_pymalloc = String::new();
    let mut ratio = String::new();
    match &r.memory {
        Memory::Pymalloc {
            arenas_obtained,
            arenas_released,
            arenas_highwater,
            arenas_live,
            arena_bytes_live,
            blocks_live,
            block_bytes_live,
            available_bytes,
            unused_pool_bytes,
            raw_allocated_blocks,
            state_bytes_highwater_ratio,
        } => {
            writeln!(
                out,
                "  arenas     {} obtained, {} released, {} at most at once, {} live ({} bytes)",
                grouped(*arenas_obtained),
                grouped(*arenas_released),
                grouped(*arenas_highwater),
                grouped(*arenas_live),
                grouped(*arena_bytes_live)
            )?;
            writeln!(
                out,
                "  in use     {} blocks ({} bytes); {} bytes free in their pools, {} bytes in unused pools",
                grouped(*blocks_live),
                grouped(*block_bytes_live),
                grouped(*available_bytes),
                grouped(*unused_pool_bytes)
            )?;
            for_pymalloc = format!(", {raw_allocated_blocks} of them for pymalloc");
            if let Some(x) = state_bytes_highwater_ratio {
                ratio = format!(" ({x:.3} of the arenas at their most)");
            }
        }
        Memory::Mimalloc {
            mimalloc,
            segments,
            segments_abandoned,
            segment_bytes,
            pages,
            pages_full,
            pages_deferred,
            blocks_live,
            block_bytes_live,
            bytes_reserved,
            bytes_committed,
            system_bytes_reserved,
        } => {
            writeln!(
                out,
                "  segments   {} of mimalloc {mimalloc} ({} bytes), {} abandoned; {} bytes reserved from the system",
                grouped(*segments),
                grouped(*segment_bytes),
                grouped(*segments_abandoned),
                grouped(*system_bytes_reserved)
            )?;
            writeln!(
                out,
                "  pages      {}, {} full, {} empty but waiting for QSBR; {} bytes reserved, {} committed",
                grouped(*pages),
                grouped(*pages_full),
                grouped(*pages_deferred),
                grouped(*bytes_reserved),
                grouped(*bytes_committed)
            )?;
            writeln!(
                out,
                "  in use     {} blocks ({} bytes)",
                grouped(*blocks_live),
                grouped(*block_bytes_live)
            )?;
        }
    }
    writeln!(
        out,
        "  C library  {} blocks ({} bytes){for_pymalloc}",
        grouped(r.raw_blocks_live),
        grouped(r.raw_bytes_live)
    )?;
    writeln!(out, "  simulation {} bytes{ratio}", grouped(r.state_bytes))?;
    r.stack.print(&mut out)?;
    if args.verify {
        let what = match r.memory {
            Memory::Pymalloc { .. } => "lists, counts, links, radix tree and sums hold",
            Memory::Mimalloc { .. } => "spans, pages, lists, queues, owners and counts hold",
        };
        writeln!(out, "  verified   {what}")?;
    }
    if let Some(trust) = &r.trust {
        trust.print_share(&mut out)?;
        if args.trust {
            trust.print(&mut out)?;
        }
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
