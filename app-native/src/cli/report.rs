//! What a replay came to, in words and as JSON.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use sim_core::report::Summary;
use sim_core::{Machine, Profile, Trace};

use super::output::{count, grouped};
use super::run::Run;
use super::stack::StackReport;
use super::start::StartReport;
use super::trust::TrustReport;

/// What a replay came to. Sizes in bytes.
#[derive(Serialize)]
pub(super) struct Report {
    trace: String,
    profile: String,
    malloc: Option<&'static str>,
    operations: u64,
    #[serde(flatten)]
    memory: Memory,
    raw_blocks_live: u64,
    raw_bytes_live: u64,
    /// `sim` or `mmap`.
    backend: &'static str,
    state_bytes: u64,
    digest: String,
    /// How far recorded addresses agree, where the trace has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<TrustReport>,
    /// What it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<StartReport>,
    #[serde(flatten)]
    pub(super) until: Option<UntilReport>,
    /// What would have ended the process, as it would have been printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) malloc_stats: Option<String>,
    #[serde(flatten)]
    stack: Option<StackReport>,
    /// Lines that `statistics()` gives, by the snapshot's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshots: Option<BTreeMap<String, Vec<String>>>,
    /// Lines that `compare_to()` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compared: Option<Vec<String>>,
    /// What `tracemalloc.get_tracemalloc_memory()` returns, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tracemalloc_memory: Option<u64>,
}

/// What came of `--until CONDITION`.
#[derive(Serialize)]
pub(super) struct UntilReport {
    /// The condition.
    pub(super) condition: String,
    /// The step after which it held first; `null` when it never did.
    pub(super) stopped_at: Option<u64>,
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

impl Report {
    /// Of a machine after `steps` operations of a trace.
    pub(super) fn of<R: Run>(
        machine: &R,
        trace: &Trace,
        profile: &Profile,
        steps: u64,
        trust: Option<TrustReport>,
    ) -> Self {
        let summary = machine.summary();
        let state_bytes = machine.state_bytes();
        let simulated = machine.simulated();
        let memory = simulated
            .and_then(Memory::of_mimalloc)
            .unwrap_or_else(|| Memory::of_pymalloc(&summary, profile, state_bytes));
        Self {
            trace: trace.head.name.clone(),
            profile: profile.name.clone(),
            malloc: simulated.map_or(Some("pymalloc"), |m| m.allocators().current_name()),
            operations: steps,
            memory,
            raw_blocks_live: summary.raw_blocks,
            raw_bytes_live: summary.raw_bytes,
            backend: R::BACKEND,
            state_bytes,
            digest: format!("{:016x}", summary.digest),
            trust,
            start: None,
            until: None,
            stopped: simulated.and_then(Machine::stopped).map(ToString::to_string),
            malloc_stats: None,
            stack: simulated.map(StackReport::of),
            snapshots: None,
            compared: None,
            tracemalloc_memory: None,
        }
    }
}

impl Memory {
    fn of_mimalloc(machine: &Machine) -> Option<Self> {
        let heap = machine.mimalloc()?.heap();
        let totals = heap.totals();
        Some(Self::Mimalloc {
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
        })
    }

    fn of_pymalloc(summary: &Summary, profile: &Profile, state_bytes: u64) -> Self {
        let (counters, occupancy) = (summary.counters, &summary.occupancy);
        let highwater_bytes = counters.narenas_highwater * profile.arena_size;
        Self::Pymalloc {
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
            state_bytes_highwater_ratio: (highwater_bytes > 0)
                .then(|| state_bytes as f64 / highwater_bytes as f64),
        }
    }
}

/// Prints it; `verified` and `trusted` say what else was asked for.
pub(super) fn print(r: &Report, verified: bool, trusted: bool) -> Result<()> {
    let mut out = super::output::reported();
    writeln!(
        out,
        "{}: {} on {} ({})",
        r.trace,
        count(r.operations, "operation"),
        r.profile,
        r.malloc.unwrap_or("no name")
    )?;
    match &r.until {
        Some(UntilReport { condition, stopped_at: Some(step) }) => {
            writeln!(out, "  until      step {}, where it holds that {condition}", grouped(*step))?;
        }
        Some(UntilReport { condition, stopped_at: None }) => {
            writeln!(out, "  until      it never holds that {condition}")?;
        }
        None => {}
    }
    if let Some(start) = &r.start {
        start.print(&mut out)?;
    }
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
                "  arenas     {} obtained, {} released, {} at most at once, {} live ({})",
                grouped(*arenas_obtained),
                grouped(*arenas_released),
                grouped(*arenas_highwater),
                grouped(*arenas_live),
                count(*arena_bytes_live, "byte")
            )?;
            writeln!(
                out,
                "  in use     {} ({}); {} free in their pools, {} in unused pools",
                count(*blocks_live, "block"),
                count(*block_bytes_live, "byte"),
                count(*available_bytes, "byte"),
                count(*unused_pool_bytes, "byte")
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
                "  in use     {} ({})",
                count(*blocks_live, "block"),
                count(*block_bytes_live, "byte")
            )?;
        }
    }
    writeln!(
        out,
        "  C library  {} ({}){for_pymalloc}",
        count(r.raw_blocks_live, "block"),
        count(r.raw_bytes_live, "byte")
    )?;
    let state = if r.backend == Machine::BACKEND { "simulation" } else { "memory    " };
    writeln!(out, "  {state} {} bytes{ratio}", grouped(r.state_bytes))?;
    if let Some(stack) = &r.stack {
        stack.print(&mut out)?;
    }
    if verified {
        let what = match r.memory {
            Memory::Pymalloc { .. } => "lists, counts, links, radix tree and sums hold",
            Memory::Mimalloc { .. } => "spans, pages, lists, queues, owners and counts hold",
        };
        writeln!(out, "  verified   {what}")?;
    }
    if let Some(trust) = &r.trust {
        trust.print_share(&mut out)?;
        if trusted {
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
