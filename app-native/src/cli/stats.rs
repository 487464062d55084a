//! `arenascope stats`: what is in a trace.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;
use sim_core::Domain;
use sim_core::tape::SourceLine;
use trace_io::care::{CallSite, Share, Stats, StatsReport};

use super::input::{AsArgs, Pieces};
use super::output::{self, count, grouped};

#[derive(clap::Args)]
#[command(
    after_help = "Nothing is simulated: sizes are those asked for, a lifetime is counted in operations of the whole trace, and a realloc's \
                  being in place is known only where the recording has addresses. A call site is the innermost frame.\n\n\
                  Example:\n  arenascope stats capture.csv --top 20"
)]
pub(super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    /// Call sites to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    taken: AsArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The report as one JSON object. Sizes in bytes, lifetimes in operations.
#[derive(Serialize)]
struct Report {
    trace: String,
    operations: u64,
    births: u64,
    bytes: u64,
    sizes: Vec<Size>,
    lifetimes: Vec<Lifetime>,
    never_freed: u64,
    call_sites_by_bytes: Vec<Site>,
    call_sites_by_count: Vec<Site>,
    reallocs: Reallocs,
    peak_bytes: Peak,
    peak_blocks: Peak,
    threads: Vec<Part>,
    domains: Vec<Part>,
}

#[derive(Serialize)]
struct Size {
    up_to: u64,
    births: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Lifetime {
    from: u64,
    blocks: u64,
}

#[derive(Serialize)]
struct Site {
    function: String,
    file: String,
    line: u32,
    births: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Reallocs {
    grown: u64,
    shrunk: u64,
    same: u64,
    in_place: u64,
    moved: u64,
    /// Of those whose addresses are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_place_share: Option<f64>,
}

#[derive(Serialize)]
struct Peak {
    most: u64,
    step: u64,
}

#[derive(Serialize)]
struct Part {
    name: String,
    operations: u64,
    births: u64,
    bytes: u64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut pieces = Pieces::open(&args.file, args.taken.domain)?.in_small_pieces();
    let mut stats = Stats::default();
    while let Some(piece) = pieces.next_piece()? {
        stats.take(piece);
    }
    let Some(whole) = pieces.trace() else { bail!("{} has no operation", args.file.display()) };
    let names = &whole.origin.source.thread_names;
    let report = report(&whole.head.name, stats.report(whole, args.top), names);
    if args.json { output::json(&report) } else { print(&report) }
}

fn report(name: &str, r: StatsReport, thread_names: &[String]) -> Report {
    let sites = |sites: Vec<CallSite>| -> Vec<Site> {
        let site = |s: CallSite| Site {
            function: s.line.function,
            file: s.line.file,
            line: s.line.line,
            births: s.births,
            bytes: s.bytes,
        };
        sites.into_iter().map(site).collect()
    };
    let part =
        |name: String, s: &Share| Part { name, operations: s.operations, births: s.births, bytes: s.bytes };
    let thread = |s: &Share| {
        let known = thread_names.get(usize::from(s.number)).filter(|n| !n.is_empty());
        part(known.map_or_else(|| s.number.to_string(), |n| format!("{} {n}", s.number)), s)
    };
    let placed = r.reallocs.in_place + r.reallocs.moved;
    Report {
        trace: name.to_owned(),
        operations: r.operations,
        births: r.births,
        bytes: r.bytes,
        sizes: r.sizes.iter().map(|s| Size { up_to: s.up_to, births: s.births, bytes: s.bytes }).collect(),
        lifetimes: (0..)
            .zip(&r.lifetimes.by_power)
            .map(|(power, &blocks)| Lifetime { from: 1 << power, blocks })
            .collect(),
        never_freed: r.lifetimes.never,
        call_sites_by_bytes: sites(r.by_bytes),
        call_sites_by_count: sites(r.by_count),
        reallocs: Reallocs {
            grown: r.reallocs.grown,
            shrunk: r.reallocs.shrunk,
            same: r.reallocs.same,
            in_place: r.reallocs.in_place,
            moved: r.reallocs.moved,
            in_place_share: (placed > 0).then(|| r.reallocs.in_place as f64 / placed as f64),
        },
        peak_bytes: Peak { most: r.peak_bytes.0, step: r.peak_bytes.1 },
        peak_blocks: Peak { most: r.peak_blocks.0, step: r.peak_blocks.1 },
        threads: r.threads.iter().map(thread).collect(),
        domains: Domain::ALL.iter().zip(&r.domains).map(|(d, s)| part(d.name().to_owned(), s)).collect(),
    }
}

fn print(r: &Report) -> Result<()> {
    let mut out = output::reported();
    writeln!(
        out,
        "{}: {}, {} born, {} asked for",
        r.trace,
        count(r.operations, "operation"),
        count(r.births, "block"),
        count(r.bytes, "byte")
    )?;
    for (peak, of) in [(&r.peak_bytes, "bytes"), (&r.peak_blocks, "blocks")] {
        writeln!(
            out,
            "  peak        {:>15} {of} live after operation {}",
            grouped(peak.most),
            grouped(peak.step)
        )?;
    }
    let most = r.sizes.iter().map(|s| s.births).max().unwrap_or(1).max(1);
    writeln!(out, "\n  size up to          births           bytes")?;
    for s in &r.sizes {
        let bar = "#".repeat((s.births * 30).div_ceil(most) as usize);
        writeln!(
            out,
            "  {:>10} {:>15} {:>15}  {bar}",
            grouped(s.up_to),
            grouped(s.births),
            grouped(s.bytes)
        )?;
    }
    let most = r.lifetimes.iter().map(|l| l.blocks).max().unwrap_or(1).max(1);
    writeln!(out, "\n  freed after at least (operations)")?;
    for l in &r.lifetimes {
        let bar = "#".repeat((l.blocks * 30).div_ceil(most) as usize);
        writeln!(out, "  {:>10} {:>15}  {bar}", grouped(l.from), grouped(l.blocks))?;
    }
    writeln!(out, "       never {:>15}", grouped(r.never_freed))?;
    let c = &r.reallocs;
    write!(
        out,
        "\n  reallocs    {} grown, {} shrunk, {} of the same size",
        grouped(c.grown),
        grouped(c.shrunk),
        grouped(c.same)
    )?;
    match c.in_place_share {
        Some(share) => writeln!(out, "; {} in place ({:.1} %)", grouped(c.in_place), 100.0 * share)?,
        None => writeln!(out)?,
    }
    for (title, sites) in [("by bytes", &r.call_sites_by_bytes), ("by count", &r.call_sites_by_count)] {
        if !sites.is_empty() {
            writeln!(out, "\n  call sites {title:<8} births           bytes")?;
        }
        for s in sites {
            let line = SourceLine { function: s.function.clone(), file: s.file.clone(), line: s.line };
            let place = session::format::whole_frame(&line);
            writeln!(out, "  {:>15} {:>15}  {place}", grouped(s.births), grouped(s.bytes))?;
        }
    }
    for (title, parts) in [("thread", &r.threads), ("domain", &r.domains)] {
        writeln!(out, "\n  {title:<20}      operations          births           bytes")?;
        for p in parts {
            let (operations, births) = (grouped(p.operations), grouped(p.births));
            writeln!(out, "  {:<20} {operations:>15} {births:>15} {:>15}", p.name, grouped(p.bytes))?;
        }
    }
    Ok(())
}
