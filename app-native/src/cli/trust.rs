//! How far the model agrees with recorded addresses, in words and as JSON.

use std::io::{self, Write};

use serde::Serialize;
use sim_core::report::Trust;
use sim_core::{Machine, Trace};

use super::output::grouped;
use super::words;

/// The report. Sizes and offsets in bytes, shares from 0 to 1.
#[derive(Serialize)]
pub(super) struct TrustReport {
    /// Blocks that lie in a pool of the model and have a recorded address.
    compared: u64,
    /// Those at the same place in their pool.
    same_place: u64,
    share: Option<f64>,
    /// The share if places were drawn by lot.
    share_by_chance: Option<f64>,
    by_kind: Vec<OfKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_divergence: Option<Divergence>,
    /// Why they may differ, the likeliest first.
    reasons: Vec<String>,
    /// Arenas and pools over time; only with --trust.
    arenas: Vec<Point>,
}

#[derive(Serialize)]
struct OfKind {
    kind: &'static str,
    compared: u64,
    same_place: u64,
    share: Option<f64>,
}

#[derive(Serialize)]
struct Divergence {
    /// Operations before it.
    step: u64,
    kind: &'static str,
    size: u64,
    thread: u16,
    model_offset: u64,
    recorded_offset: u64,
    recorded_address: String,
}

#[derive(Serialize)]
struct Point {
    step: u64,
    model_arenas: u64,
    recorded_arenas: u64,
    model_pools: u64,
    recorded_pools: u64,
}

impl TrustReport {
    /// What was compared; `None` when nothing could be.
    pub(super) fn of(trust: &Trust, machine: &Machine, trace: &Trace) -> Option<Self> {
        let total = trust.total();
        total.share()?;
        Some(Self {
            compared: total.compared,
            same_place: total.same,
            share: total.share(),
            share_by_chance: trust.share_by_chance(),
            by_kind: trust
                .by_kind()
                .into_iter()
                .map(|(kind, a)| OfKind {
                    kind: kind.name(),
                    compared: a.compared,
                    same_place: a.same,
                    share: a.share(),
                })
                .collect(),
            first_divergence: trust.first_divergence().map(|d| Divergence {
                step: d.step,
                kind: d.kind.name(),
                size: d.size,
                thread: d.thread,
                model_offset: d.model_offset,
                recorded_offset: d.recorded_offset,
                recorded_address: d.recorded.to_string(),
            }),
            reasons: trust.reasons(trace).iter().map(words::reason).collect(),
            arenas: trust
                .arenas(machine)
                .into_iter()
                .map(|p| Point {
                    step: p.step,
                    model_arenas: p.model_arenas,
                    recorded_arenas: p.recorded_arenas,
                    model_pools: p.model_pools,
                    recorded_pools: p.recorded_pools,
                })
                .collect(),
        })
    }

    /// The one line of every report.
    pub(super) fn print_share(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "  trust      {} of {} blocks at the recorded place in their pool ({}; by chance {})",
            grouped(self.same_place),
            grouped(self.compared),
            percent(self.share),
            percent(self.share_by_chance)
        )
    }

    /// What --trust adds.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for kind in self.by_kind.iter().filter(|k| k.compared > 0) {
            writeln!(
                out,
                "    {:<8} {:>13} of {:>13}  {}",
                kind.kind,
                grouped(kind.same_place),
                grouped(kind.compared),
                percent(kind.share)
            )?;
        }
        if let Some(first) = &self.first_divergence {
            writeln!(
                out,
                "  diverges   at step {}: {}({}) is at {} in its pool, recorded at {} ({})",
                grouped(first.step),
                first.kind,
                first.size,
                first.model_offset,
                first.recorded_offset,
                first.recorded_address
            )?;
        }
        for reason in &self.reasons {
            writeln!(out, "  reason     {reason}")?;
        }
        let Some(last) = self.arenas.last() else { return Ok(()) };
        writeln!(
            out,
            "  over time  step, arenas in the model and recorded, pools in the model and recorded"
        )?;
        // About ten lines, and the last moment whatever happens.
        for point in self.arenas.iter().step_by(self.arenas.len().div_ceil(10)).chain([last]) {
            writeln!(
                out,
                "    {:>15} {:>9} {:>9} {:>11} {:>9}",
                grouped(point.step),
                grouped(point.model_arenas),
                grouped(point.recorded_arenas),
                grouped(point.model_pools),
                grouped(point.recorded_pools)
            )?;
        }
        Ok(())
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "nothing compared".to_owned(), |s| format!("{:.2} %", 100.0 * s))
}
