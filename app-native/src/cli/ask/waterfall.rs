//! `arenascope waterfall`: what every byte that is held is used for.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use session::format::{bytes, grouped};

use super::elapsed_ms;
use super::moment::{Moment, MomentArgs};

#[derive(clap::Args)]
#[command(
    after_help = "Parts sum to the total. Those marked `modelled` follow from where the model, or the recorded addresses, put blocks; the others \
                  stand in the trace. What the C library itself adds to RAW blocks is not known.\n\n\
                  Example:\n  arenascope waterfall capture.bin --at end"
)]
pub(in super::super) struct Args {
    #[command(flatten)]
    moment: MomentArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    step: u64,
    placed: &'static str,
    trust: Option<f64>,
    total_bytes: u64,
    parts: Vec<Part>,
    query_ms: f64,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    bytes: u64,
    modelled: bool,
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let mut moment = args.moment.reach()?;
    let begun = Instant::now();
    let census = moment.census();
    let waterfall = moment.inquiry.waterfall(&moment.machine, &census);
    let query_ms = elapsed_ms(begun);
    let mut out = super::super::output::reported();
    if args.json {
        let parts = waterfall.parts.iter().map(|part| Part {
            name: part.cause.name(),
            bytes: part.bytes,
            modelled: part.modelled,
        });
        let report = Report {
            step: census.step,
            placed: census.placed.name(),
            trust: moment.trust,
            total_bytes: waterfall.total_bytes,
            parts: parts.collect(),
            query_ms,
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", moment.heading(&census))?;
    writeln!(out, "{}", Moment::held(&census))?;
    writeln!(out, "\n{:>16} {:>8}  what for", "bytes", "share")?;
    for part in &waterfall.parts {
        let share = 100.0 * part.bytes as f64 / waterfall.total_bytes.max(1) as f64;
        let modelled = if part.modelled { " (modelled)" } else { "" };
        writeln!(out, "{:>16} {share:>6.1} %  {}{modelled}", grouped(part.bytes), part.cause.name())?;
    }
    writeln!(
        out,
        "{:>16} {:>6.1} %  in all, {}",
        grouped(waterfall.total_bytes),
        100.0,
        bytes(waterfall.total_bytes)
    )?;
    Ok(())
}
