//! `arenascope info`: what is in a trace.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Serialize, Serializer};
use sim_core::picture::ProcessPicture;
use sim_core::{Domain, Kind, Trace};
use trace_io::atrace::AtraceFile;
use trace_io::{Format, Packing};

use super::input::{AsArgs, Counted, Pieces};
use super::output::{self, count, grouped};
use super::still;
use super::words;

#[derive(clap::Args)]
#[command(after_help = formats())]
pub(super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Of the text of sys._debugmallocstats() or PYTHONMALLOCSTATS with several pictures print the Nth; default: the last
    #[arg(long, value_name = "N")]
    picture: Option<u64>,
    #[command(flatten)]
    taken: AsArgs,
}

/// The formats as the help lists them.
fn formats() -> String {
    let rows = Format::ALL.map(|format| format!("  {:<18}  {}", format.name(), format.about()));
    let head = "Formats read, each plain or packed with zstd, LZ4 or gzip (docs/formats.md):";
    let tail = "A text is printed as a table with what follows from it, and so are the sums of `memray run --aggregate`; what debug hooks \
                print of a damaged block is explained byte by byte.";
    format!("{head}\n{}\n{tail}", rows.join("\n"))
}

#[derive(Serialize)]
struct Info {
    name: String,
    description: String,
    format: &'static str,
    compressed: bool,
    /// `zstd`, `LZ4`, `gzip` or nothing.
    packing: &'static str,
    file_bytes: Option<u64>,
    operations: u64,
    by_kind: Vec<(&'static str, u64)>,
    by_domain: Vec<Row>,
    threads: u64,
    /// Different Python stacks.
    stacks: u64,
    /// Operations that are no call of an allocator.
    actions: u64,
    notes: usize,
    marks: Vec<MarkRow>,
    blocks_live_max: u64,
    /// The process that it begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<PictureRow>,
    profile: Option<String>,
    /// `PYTHONMALLOC`, where the trace names it.
    malloc: Option<&'static str>,
    settings: Vec<(String, String)>,
    /// Facts the file gives about program, machine and recorder.
    #[serde(serialize_with = "pairs")]
    facts: Vec<(String, String)>,
    /// Records in the recorder's own count.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    /// The most bytes live at once in the recorder's own count.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    /// Calls by function in the recorder's own words.
    #[serde(serialize_with = "pairs")]
    calls: Vec<(String, u64)>,
    thread_names: Vec<String>,
    missing: Vec<Lack>,
    /// Why not to trust it in everything, a sentence each.
    doubts: Vec<String>,
    truncated: bool,
}

/// What the file lacks, and what would give it.
#[derive(Serialize)]
struct Lack {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Pairs as one JSON object, in their order.
fn pairs<S: Serializer, V: Serialize>(pairs: &[(String, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(k, v)| (k, v)))
}

/// The picture of a process that a trace begins with.
#[derive(Serialize)]
struct PictureRow {
    python: String,
    pid: u32,
    /// pymalloc states: one for each interpreter that has one.
    heaps: usize,
    arenas: usize,
    blocks: u64,
    chunks: usize,
    types: usize,
    approximate: bool,
    contents: bool,
}

impl PictureRow {
    fn of(picture: &ProcessPicture) -> Self {
        let ProcessPicture { heaps, inventory } = picture;
        Self {
            python: inventory.source.python.clone(),
            pid: inventory.source.pid,
            heaps: heaps.len(),
            arenas: heaps.iter().map(|heap| heap.arenas.len()).sum(),
            blocks: picture.blocks(),
            chunks: inventory.chunks.len(),
            types: inventory.types.len(),
            approximate: inventory.source.approximate,
            contents: inventory.source.contents,
        }
    }

    /// One line.
    fn said(&self) -> String {
        let of = if self.pid == 0 { "a process".to_owned() } else { format!("process {}", self.pid) };
        let contents = if self.contents { ", with contents" } else { "" };
        let moments = if self.approximate { ", approximate" } else { "" };
        let arenas = count(self.arenas as u64, "arena");
        format!("the picture of {of}: {} in {arenas}{contents}{moments}", count(self.blocks, "block"))
    }
}

/// A name at a step.
#[derive(Serialize)]
struct MarkRow {
    name: String,
    step: u64,
}

#[derive(Serialize)]
struct Row {
    domain: &'static str,
    malloc: u64,
    calloc: u64,
    realloc: u64,
    free: u64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let info = if let Some((trace, notes, bytes)) = indexed(&args.file)? {
        info(&trace, Format::Atrace, Packing::None, Some(bytes), usize::try_from(notes)?)
    } else {
        let pieces = match Pieces::count(&args.file, args.taken.domain)? {
            Counted::Trace(pieces) => pieces,
            // No trace, but what else `info` can print.
            Counted::Picture(stats) => return still::print(&stats, args.picture, args.json),
            Counted::Account(account) => {
                ensure!(
                    args.picture.is_none(),
                    "{} has no pictures; leave --picture away",
                    args.file.display()
                );
                return still::account(&account, args.json);
            }
        };
        let (Some(trace), Some(format)) = (pieces.trace(), pieces.format()) else {
            bail!("{} has no operation", args.file.display());
        };
        info(trace, format, pieces.packing(), pieces.file_bytes(), trace.head.notes.len())
    };
    ensure!(
        args.picture.is_none(),
        "{} is a trace; --picture chooses from the text of sys._debugmallocstats()",
        args.file.display()
    );
    if args.json { output::json(&info) } else { print(&info) }
}

/// What an .atrace file's index says of the trace, with the number of notes and the file's size; `None`
/// where there is no such index or a block is damaged, so that all has to be read.
fn indexed(path: &Path) -> Result<Option<(Trace, u64, u64)>> {
    if !path.is_file() {
        return Ok(None);
    }
    let source = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let bytes = source.metadata()?.len();
    let name = path.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    // What is wrong with it is said when it is read as a whole.
    let Ok(mut file) = AtraceFile::open(&name, BufReader::new(source)) else { return Ok(None) };
    if !file.intact()? {
        return Ok(None);
    }
    let summary = file.summary().with_context(|| path.display().to_string())?;
    Ok(summary.map(|(trace, notes)| (trace, notes, bytes)).filter(|(trace, ..)| trace.first() > 0))
}

fn info(trace: &Trace, format: Format, packing: Packing, file_bytes: Option<u64>, notes: usize) -> Info {
    let source = &trace.origin.source;
    let mut missing: Vec<Lack> =
        source.missing.iter().map(|m| Lack { what: m.what.clone(), remedy: Some(words::lack(m)) }).collect();
    for (what, has) in [
        ("call stacks", trace.stack_count() > 0),
        ("times", trace.timed()),
        ("recorded addresses", trace.has_addresses()),
    ] {
        if !has && !missing.iter().any(|m| m.what == what) {
            missing.push(Lack { what: what.to_owned(), remedy: None });
        }
    }
    let counts = trace.counts();
    Info {
        name: trace.head.name.clone(),
        description: trace.head.description.clone(),
        format: format.name(),
        compressed: packing != Packing::None,
        packing: packing.name(),
        file_bytes,
        operations: trace.first() + trace.len(),
        by_kind: Kind::ALL.iter().map(|&k| (k.name(), counts.iter().map(|d| d[k as usize]).sum())).collect(),
        by_domain: Domain::ALL
            .iter()
            .map(|&d| {
                let [malloc, calloc, realloc, free] = counts[d as usize];
                Row { domain: d.name(), malloc, calloc, realloc, free }
            })
            .collect(),
        threads: trace.thread_count(),
        stacks: trace.stack_count(),
        actions: trace.action_count(),
        notes,
        marks: trace.head.marks.iter().map(|m| MarkRow { name: m.name().to_owned(), step: m.at }).collect(),
        blocks_live_max: u64::from(trace.slot_count()),
        picture: trace.origin.picture.as_deref().map(PictureRow::of),
        profile: trace.head.profile.clone(),
        malloc: trace.head.malloc.map(sim_core::domains::AllocatorName::name),
        settings: trace.head.settings.clone(),
        facts: source.facts.clone(),
        records: source.records,
        peak_bytes: source.peak_bytes,
        calls: source.calls.iter().map(|c| (c.function.clone(), c.calls)).collect(),
        thread_names: source.thread_names.clone(),
        doubts: source.doubt.sentences(),
        truncated: source.doubt.truncated.is_some(),
        missing,
    }
}

/// Names of threads that are printed; `--json` has all.
const THREADS_LISTED: usize = 40;

/// Marks that are printed; `--json` has all.
const MARKS_PRINTED: usize = 40;

fn print_marks(out: &mut impl Write, marks: &[MarkRow]) -> Result<()> {
    if !marks.is_empty() {
        writeln!(out, "  marks       {}", grouped(marks.len() as u64))?;
    }
    for mark in marks.iter().take(MARKS_PRINTED) {
        writeln!(out, "      step {:>13}  {}", grouped(mark.step), mark.name)?;
    }
    if let Some(more) = marks.len().checked_sub(MARKS_PRINTED).filter(|&more| more > 0) {
        writeln!(out, "      and {} more, which --json has", grouped(more as u64))?;
    }
    Ok(())
}

fn print(info: &Info) -> Result<()> {
    let mut out = output::reported();
    writeln!(out, "{}", info.name)?;
    if !info.description.is_empty() {
        writeln!(out, "  {}", info.description)?;
    }
    let packing = if info.packing.is_empty() { String::new() } else { format!(", {}", info.packing) };
    let size = info.file_bytes.map_or_else(String::new, |b| format!(", {}", count(b, "byte")));
    writeln!(out, "  format      {}{packing}{size}", info.format)?;
    writeln!(
        out,
        "  operations  {}, at most {} live",
        grouped(info.operations),
        count(info.blocks_live_max, "block")
    )?;
    if let Some(picture) = &info.picture {
        writeln!(out, "  begins with {}", picture.said())?;
    }
    writeln!(out, "              {:>13} {:>13} {:>13} {:>13}", "malloc", "calloc", "realloc", "free")?;
    for row in &info.by_domain {
        writeln!(
            out,
            "      {:<7} {:>13} {:>13} {:>13} {:>13}",
            row.domain,
            grouped(row.malloc),
            grouped(row.calloc),
            grouped(row.realloc),
            grouped(row.free)
        )?;
    }
    writeln!(out, "  threads     {}", info.threads)?;
    let named: Vec<_> = info.thread_names.iter().enumerate().filter(|(_, name)| !name.is_empty()).collect();
    for (number, name) in named.iter().take(THREADS_LISTED) {
        writeln!(out, "      {number:<7} {name}")?;
    }
    if let Some(more) = named.len().checked_sub(THREADS_LISTED).filter(|more| *more > 0) {
        writeln!(out, "      {} more; --json has all", count(more as u64, "name"))?;
    }
    for (what, count) in [("stacks", info.stacks), ("actions", info.actions)] {
        if count > 0 {
            writeln!(out, "  {what:<11} {}", grouped(count))?;
        }
    }
    if info.notes > 0 {
        writeln!(out, "  notes       {}", info.notes)?;
    }
    print_marks(&mut out, &info.marks)?;
    if let Some(profile) = &info.profile {
        writeln!(out, "  profile     {profile}")?;
    }
    if let Some(malloc) = info.malloc {
        writeln!(out, "  malloc      {malloc}")?;
    }
    for (key, value) in &info.settings {
        writeln!(out, "  setting     {key}={value}")?;
    }
    for (name, value) in &info.facts {
        writeln!(out, "  {name:<11} {value}")?;
    }
    if let Some(records) = info.records {
        writeln!(out, "  records     {}", grouped(records))?;
    }
    if let Some(peak) = info.peak_bytes {
        writeln!(out, "  peak        {}", count(peak, "byte"))?;
    }
    for (function, calls) in &info.calls {
        writeln!(out, "      {function:<20} {:>13}", grouped(*calls))?;
    }
    for lack in &info.missing {
        let remedy = lack.remedy.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
        writeln!(out, "  it has no   {}{remedy}", lack.what)?;
    }
    for doubt in &info.doubts {
        writeln!(out, "  doubt       {doubt}")?;
    }
    Ok(())
}
