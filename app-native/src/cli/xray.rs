//! `arenascope xray`: what a process that runs has in its memory, read from outside.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use session::format::bytes;
use xray::image::parts::{Use, parts};
use xray::image::picture::version_of;
use xray::image::{Part, Picture};
use xray::source::{Copy, copy};

use super::output::{self, count, grouped};

/// How often a process is stopped again where it was in the middle of malloc or free.
const TRIES: u32 = 5;
/// How long it runs in between.
const BETWEEN: Duration = Duration::from_millis(3);
/// Types of the screen.
const TYPES: usize = 10;
/// Hundredths of an arena that are in use where there is hardly anything in it.
const LITTLE_PERCENT: u64 = 10;

#[derive(clap::Args)]
#[command(
    after_help = "The process is held for as long as its memory is copied, by ptrace, so that it goes on even if this program is killed; with \
                  --no-stop it runs on, and the picture is approximate. Nothing is run in it and nothing is written into it. Type names are \
                  shown, contents of objects are not.\n\n\
                  It reads 64-bit CPython 3.8 to 3.15 with pymalloc.\n\n\
                  Example:\n  arenascope xray 4711"
)]
pub(super) struct Args {
    /// The process's number
    #[arg(value_name = "PID")]
    pid: i32,
    /// Do not stop the process; the picture is approximate
    #[arg(long)]
    no_stop: bool,
    /// Types to list
    #[arg(long, value_name = "N", default_value_t = TYPES)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    python: String,
    pid: i32,
    rss_bytes: u64,
    parts: Vec<PartRow>,
    pymalloc: Pymalloc,
    types: Vec<TypeRow>,
    pause_ms: f64,
    stops: u32,
    threads: usize,
    in_flight: u64,
    approximate: bool,
}

#[derive(Serialize)]
struct PartRow {
    name: &'static str,
    bytes: u64,
}

#[derive(Serialize)]
struct Pymalloc {
    arenas: u64,
    arena_bytes: u64,
    little_used: u64,
    interpreters: usize,
    pools: usize,
    empty_pools: u64,
    blocks: u64,
    free_blocks: u64,
    untyped: u64,
    untyped_bytes: u64,
}

#[derive(Serialize)]
struct TypeRow {
    #[serde(rename = "type")]
    name: String,
    blocks: u64,
    bytes: u64,
    free_listed: u64,
}

/// A copy and what it shows.
struct Seen {
    copy: Copy,
    picture: Picture,
    stops: u32,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let seen = look(args.pid, !args.no_stop)?;
    let parts = parts(&seen.copy.memory, &seen.copy.resident, &seen.picture);
    let report = report(args, &seen, &parts);
    if args.json { output::json(&report) } else { print(&report, args) }
}

/// A picture, of a moment at which no pool was being changed where there is such a one.
fn look(pid: i32, stop: bool) -> Result<Seen> {
    let shown = || format!("process {pid}");
    let mut stops = 1;
    loop {
        let copy = copy(pid, stop)?;
        let version = version_of(&copy.memory).with_context(shown)?;
        let picture = Picture::of(&copy.memory, version).with_context(shown)?;
        if picture.pools.in_flight() == 0 || !stop || stops == TRIES {
            return Ok(Seen { copy, picture, stops });
        }
        stops += 1;
        thread::sleep(BETWEEN);
    }
}

fn report(args: &Args, seen: &Seen, parts: &[Part]) -> Report {
    let Seen { copy, picture, stops } = seen;
    let pools = &picture.pools;
    let (untyped, untyped_bytes) = picture.untyped();
    let little = picture.geometry.arena / 100 * LITTLE_PERCENT;
    Report {
        python: format!("3.{}", picture.version.minor),
        pid: args.pid,
        rss_bytes: copy.rss_bytes,
        parts: parts.iter().map(|part| PartRow { name: part.what.name(), bytes: part.bytes }).collect(),
        pymalloc: Pymalloc {
            arenas: picture.arenas(),
            arena_bytes: picture.geometry.arena,
            little_used: picture.used_of_arenas().into_iter().filter(|used| *used < little).count() as u64,
            interpreters: picture.tables.len(),
            pools: pools.pools.len(),
            empty_pools: pools.empty,
            blocks: pools.blocks(),
            free_blocks: pools.free_blocks(picture.geometry),
            untyped,
            untyped_bytes,
        },
        types: picture
            .by_type()
            .into_iter()
            .map(|sum| TypeRow {
                name: sum.name,
                blocks: sum.blocks,
                bytes: sum.bytes,
                free_listed: sum.dead,
            })
            .collect(),
        pause_ms: (copy.pause.as_secs_f64() * 1e6).round() / 1e3,
        stops: *stops,
        threads: copy.threads,
        in_flight: pools.in_flight(),
        approximate: args.no_stop || pools.in_flight() > 0,
    }
}

fn print(report: &Report, args: &Args) -> Result<()> {
    let mut out = output::reported();
    let Report { pymalloc, parts, .. } = report;
    let held = pymalloc.arenas * pymalloc.arena_bytes;
    let of = |what: Use| parts.iter().find(|part| part.name == what.name()).map_or(0, |part| part.bytes);
    let c_library = Use::ALL.into_iter().filter(|what| what.is_c_library()).map(of).sum();
    let free = of(Use::FreeBlocks) + of(Use::EmptyPools) + of(Use::Uncarved);
    writeln!(
        out,
        "process {} (Python {}) has {} in memory: {} are Python's objects and their buffers in arenas, {} are free in arenas that are held, \
         {} are the C library's",
        report.pid,
        report.python,
        bytes(report.rss_bytes),
        bytes(of(Use::Objects) + of(Use::Buffers) + of(Use::FreeListed)),
        bytes(free),
        bytes(c_library)
    )?;
    writeln!(
        out,
        "{}, {}; {} of them {} less than {LITTLE_PERCENT} % in use",
        count(pymalloc.arenas, "arena"),
        bytes(held),
        grouped(pymalloc.little_used),
        if pymalloc.little_used == 1 { "is" } else { "are" }
    )?;
    if pymalloc.interpreters > 1 {
        writeln!(out, "they are of {} interpreters with arenas of their own", pymalloc.interpreters)?;
    }
    writeln!(out, "\n{:>14} {:>8}  resident memory", "bytes", "share")?;
    for part in parts {
        let share = 100.0 * part.bytes as f64 / report.rss_bytes.max(1) as f64;
        writeln!(out, "{:>14} {share:>6.1} %  {}", grouped(part.bytes), part.name)?;
    }
    let sum = parts.iter().map(|part| part.bytes).sum();
    let share = 100.0 * sum as f64 / report.rss_bytes.max(1) as f64;
    writeln!(
        out,
        "{:>14} {share:>6.1} %  in all; the system counts {}",
        grouped(sum),
        grouped(report.rss_bytes)
    )?;
    writeln!(out, "\n{:>14} {:>14} {:>12}  type", "bytes", "blocks", "free-listed")?;
    for row in report.types.iter().take(args.top) {
        writeln!(
            out,
            "{:>14} {:>14} {:>12}  {}",
            grouped(row.bytes),
            grouped(row.blocks),
            grouped(row.free_listed),
            session::format::printable(&row.name)
        )?;
    }
    let rest = &report.types[report.types.len().min(args.top)..];
    if !rest.is_empty() {
        let (blocks, all): (u64, u64) =
            rest.iter().fold((0, 0), |sum, row| (sum.0 + row.blocks, sum.1 + row.bytes));
        writeln!(
            out,
            "{:>14} {:>14} {:>12}  {} more; --top {} lists all",
            grouped(all),
            grouped(blocks),
            "",
            count(rest.len() as u64, "type"),
            report.types.len()
        )?;
    }
    writeln!(
        out,
        "{:>14} {:>14} {:>12}  (buffers: no object begins there)",
        grouped(pymalloc.untyped_bytes),
        grouped(pymalloc.untyped),
        ""
    )?;
    if args.no_stop {
        writeln!(out, "\nthe process went on running, so the picture is approximate")?;
    } else {
        let times =
            if report.stops > 1 { format!(", stopped {} times", report.stops) } else { String::new() };
        writeln!(
            out,
            "\nthe process did not run for {:.0} ms ({}{times})",
            report.pause_ms,
            count(report.threads as u64, "thread")
        )?;
    }
    if report.in_flight > 0 {
        writeln!(
            out,
            "{} were being changed: the picture is approximate there",
            count(report.in_flight, "pool")
        )?;
    }
    Ok(())
}
