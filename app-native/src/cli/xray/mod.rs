//! `arenascope xray`: what a process that runs has in its memory, read from outside, or one that left a core.

mod core;
mod diff;
mod family;
mod screen;
mod tables;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use session::diagnosis::verdict::Word;
use sim_core::Trace;
use trace_io::atrace::FileProfile;
use xray::image::Part;
use xray::image::edges::Edges;
use xray::image::owners::Owners;
use xray::image::parts::parts;
use xray::image::reach::Reach;
use xray::image::retained::Retained;
use xray::image::steps::Contents;
use xray::source::{Copy, Watch, keep_files_private};

use self::core::CoreRow;
use super::input;
use super::output;
use super::sink::Sink;
use crate::xray::{Found, Seen, look};
use tables::{ArenaJson, HolderJson, OwnerJson, PathJson, RetainedJson, TypeJson, WayJson};

/// Rows of a table.
const ROWS: usize = 10;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Command {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    look: Option<Args>,
}

#[derive(clap::Subcommand)]
enum What {
    /// What grew between two pictures of one process
    Diff(diff::Args),
}

#[derive(clap::Args)]
#[command(
    after_help = "The process is held for as long as its memory is copied, by ptrace, so that it goes on even if this program is killed; with \
                  --no-stop it runs on, and the picture is approximate. Nothing is run in it and nothing is written into it. Names of modules, \
                  types and attributes are shown; of dicts' keys only type and length, unless --contents is given.\n\n\
                  It reads 64-bit CPython 3.8 to 3.15 with pymalloc. A core is the kernel's or gcore's; the files that its process had mapped \
                  are read where they are the same ones.\n\n\
                  Several processes are looked at as one family, all held at one moment: what each has for itself, what they hold together, and \
                  of which types the objects are whose pages were copied since the fork.\n\n\
                  Examples:\n  arenascope xray 4711\n  arenascope xray core.4711 --root /srv/image\n  arenascope xray 4711 $(pgrep -P 4711)"
)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of the command line")]
struct Args {
    /// The process's number, or the file of a core; of a family, the numbers of its processes
    #[arg(value_name = "PID|CORE", required = true)]
    of: Vec<OsString>,
    /// Where a core's programs and libraries are, if it is not of this machine
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Do not stop the process; the picture is approximate
    #[arg(long)]
    no_stop: bool,
    /// One table instead of the overview
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["path", "retained"])]
    by: Option<By>,
    /// Which ways keep the objects of this type
    #[arg(long, value_name = "TYPE", conflicts_with = "retained")]
    path: Option<String>,
    /// Which objects alone keep most: what goes if one goes
    #[arg(long)]
    retained: bool,
    /// Write the picture as a trace: the window, `holders`, `forecast` and all else open it
    #[arg(short = 'o', long = "output", value_name = "X.atrace")]
    output: Option<PathBuf>,
    /// Show keys of dicts, their first letters
    #[arg(long)]
    contents: bool,
    /// Rows of a table
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The type of the object
    Type,
    /// Whose it is
    Owner,
    /// The way from a module, a running function or C code
    Path,
    /// The arena
    Arena,
}

/// All that is told of a picture.
#[derive(Serialize)]
struct Report<'a> {
    python: String,
    pid: Option<i32>,
    rss_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<&'a CoreRow>,
    verdict: Vec<FindingRow>,
    parts: Vec<PartRow>,
    pymalloc: Pymalloc,
    malloc: MallocRow,
    types: Vec<TypeJson<'a>>,
    owners: Vec<OwnerJson>,
    paths: Vec<PathJson<'a>>,
    holders: Vec<HolderJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arenas: Option<Vec<ArenaJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ways: Option<Vec<WayJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retained: Option<Vec<RetainedJson>>,
    contents: bool,
    pause_ms: f64,
    stops: u32,
    threads: usize,
    in_flight: u64,
    approximate: bool,
}

#[derive(Serialize)]
struct FindingRow {
    verdict: &'static str,
    cause: &'static str,
    bytes: u64,
}

#[derive(Serialize)]
struct PartRow {
    name: &'static str,
    bytes: u64,
    /// Bytes of pages that no other process has mapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_bytes: Option<u64>,
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
}

#[derive(Serialize)]
struct MallocRow {
    looks_like: String,
    chunks: usize,
    free_bytes: u64,
    trim_bytes: u64,
    lost_bytes: u64,
}

pub(super) fn run(command: &Command) -> Result<()> {
    match (&command.what, &command.look) {
        (Some(What::Diff(args)), _) => diff::run(args),
        (None, Some(args)) => show(args),
        (None, None) => bail!("say which process, or which core: arenascope xray PID"),
    }
}

fn show(args: &Args) -> Result<()> {
    let of = named(args);
    let [one] = of.as_slice() else { return family::show(args, &of) };
    let (seen, core) = if let Some(pid) = number(one) {
        (copying(|tell| look(pid, !args.no_stop, tell))?, None)
    } else {
        let (seen, row) = core::open(Path::new(one), &args.root)?;
        (seen, Some(row))
    };
    let contents = if args.contents { Contents::Shown } else { Contents::Hidden };
    let edges = Edges::of(&seen.copy.memory, &seen.picture);
    let owners = Owners::find(&edges);
    let reach = Reach::find(&edges, &owners.outside, contents);
    let found = seen.found(&edges, &owners, &reach);
    if let Some(path) = &args.output {
        write(&seen.trace(&edges, &owners, &reach, &found, args.contents)?, path)?;
    }
    let arenas = (args.by == Some(By::Arena)).then(|| tables::arena_rows(&edges, &reach));
    let ways = args.path.as_deref().map(|name| tables::ways_of(&edges, &reach, contents, name, args.top));
    let retained = args.retained.then(|| {
        let retained = Retained::find(&edges, &owners.outside);
        tables::retained_rows(&edges, &reach, &retained, contents, args.top)
    });
    let mut out = output::reported();
    if args.json {
        let mut report = report(args, &seen, &found, core.as_ref());
        report.arenas = arenas.map(|rows| rows.iter().map(ArenaJson::from).collect());
        report.ways = ways.map(|(ways, examples)| tables::ways_json(&ways, &examples));
        report.retained = retained;
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    screen::heading(&mut out, &seen, &found)?;
    match args.by {
        _ if retained.is_some() => tables::retained(&mut out, &retained.unwrap_or_default())?,
        _ if ways.is_some() => {
            let (ways, examples) = ways.unwrap_or_default();
            tables::ways(&mut out, args.path.as_deref().unwrap_or_default(), &ways, &examples, args.top)?;
        }
        Some(By::Type) => tables::types(&mut out, &found.summary.types, args.top)?,
        Some(By::Owner) => tables::owners(&mut out, &found.summary.owners, args.top)?,
        Some(By::Path) => tables::paths(&mut out, &found.summary.paths, args.top)?,
        Some(By::Arena) => tables::arenas(&mut out, &arenas.unwrap_or_default(), args.top)?,
        None => screen::overview(&mut out, args, &seen, &found)?,
    }
    screen::ending(&mut out, args, &seen, core.as_ref())
}

/// What was named, each once.
fn named(args: &Args) -> Vec<&OsStr> {
    let mut named: Vec<&OsStr> = Vec::new();
    for one in &args.of {
        let is_same = |other: &&OsStr| number(other).map_or(*other == one, |pid| number(one) == Some(pid));
        if !named.iter().any(is_same) {
            named.push(one);
        }
    }
    named
}

/// The number of a process, where it is one.
fn number(named: &OsStr) -> Option<i32> {
    named.to_str()?.parse().ok()
}

/// Shows how far a copy is while it is made.
fn copying<T>(look: impl FnOnce(Watch<'_>) -> Result<T>) -> Result<T> {
    let bar = input::progress_bar(Some(0), "copying");
    let seen = look(&mut |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    seen
}

/// Writes a trace that is nothing but the picture.
fn write(trace: &Trace, path: &Path) -> Result<()> {
    keep_files_private();
    let mut sink = Sink::packed(path, FileProfile::best())?;
    sink.write(trace)?;
    sink.finish(trace)
}

fn report<'a>(args: &Args, seen: &'a Seen, found: &'a Found, core: Option<&'a CoreRow>) -> Report<'a> {
    let Seen { copy, picture, stops, .. } = seen;
    let pools = &picture.pools;
    let in_flight = pools.in_flight();
    Report {
        python: format!("3.{}", picture.version.minor),
        pid: seen.pid,
        rss_bytes: copy.rss_bytes,
        core,
        verdict: found
            .findings
            .iter()
            .map(|found| FindingRow {
                verdict: Word::of_finding(found.cause).name(),
                cause: found.cause.name(),
                bytes: found.bytes,
            })
            .collect(),
        parts: part_rows(seen, &found.parts),
        pymalloc: Pymalloc {
            arenas: picture.arenas(),
            arena_bytes: picture.geometry.arena,
            little_used: found.summary.little_used,
            interpreters: picture.tables.len(),
            pools: pools.pools.len(),
            empty_pools: pools.empty,
            blocks: pools.blocks(),
            free_blocks: pools.free_blocks(picture.geometry),
        },
        malloc: MallocRow {
            looks_like: screen::malloc(&picture.heaps.malloc),
            chunks: picture.used_chunks().count(),
            free_bytes: picture.heaps.fordblks,
            trim_bytes: picture.heaps.trim_bytes(&copy.resident),
            lost_bytes: found.summary.lost,
        },
        types: found.summary.types.iter().map(TypeJson::from).collect(),
        owners: found.summary.owners.iter().map(OwnerJson::from).collect(),
        paths: found.summary.paths.iter().map(PathJson::from).collect(),
        holders: found.summary.holders.iter().map(HolderJson::from).collect(),
        arenas: None,
        ways: None,
        retained: None,
        contents: args.contents,
        pause_ms: pause_ms(copy),
        stops: *stops,
        threads: copy.threads,
        in_flight,
        approximate: args.no_stop || in_flight > 0,
    }
}

/// The parts; of a process, not of a core, how much of each nobody else has.
fn part_rows(seen: &Seen, all: &[Part]) -> Vec<PartRow> {
    let private = (!seen.is_core()).then(|| parts(&seen.copy.memory, &seen.copy.private, &seen.picture));
    let of = |part: &Part| {
        let own = private.as_ref()?.iter().find(|own| own.what == part.what);
        Some(own.map_or(0, |own| own.bytes))
    };
    let row = |part: &Part| PartRow { name: part.what.name(), bytes: part.bytes, private_bytes: of(part) };
    all.iter().map(row).collect()
}

fn pause_ms(copy: &Copy) -> f64 {
    (copy.pause.as_secs_f64() * 1e6).round() / 1e3
}
