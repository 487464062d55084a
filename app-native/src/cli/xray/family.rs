//! `arenascope xray PID PID…`: processes of one family on one screen: what each has for itself, what they hold together, and what was copied.

use std::ffi::OsStr;
use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use session::format::{bytes, printable};
use xray::image::family::{Copied, CopiedType, Counted, Family, Member, Process, Says};

use super::super::output::{self, Reported, count, grouped};
use super::super::usage_error;
use super::screen::short;
use super::{Args, copying, number, pause_ms};
use crate::xray::{Seen, look_together};

#[derive(Serialize)]
struct Report<'a> {
    pids: Vec<i32>,
    family: bool,
    rss_bytes: u64,
    held_bytes: u64,
    held_by: &'static str,
    says: &'static str,
    copied_bytes: u64,
    copied_object_bytes: u64,
    copied_buffer_bytes: u64,
    copied_uncollected_bytes: u64,
    unknown_bytes: u64,
    twice_bytes: u64,
    processes: Vec<ProcessJson<'a>>,
    copied_types: Vec<TypeJson<'a>>,
    pause_ms: f64,
    stops: u32,
    in_flight: u64,
    approximate: bool,
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    pid: i32,
    parent: Option<i32>,
    python: String,
    rss_bytes: u64,
    pss_bytes: Option<u64>,
    private_bytes: u64,
    shared_bytes: u64,
    arena_private_bytes: u64,
    arena_shared_bytes: u64,
    arenas: ArenasJson,
    unknown_bytes: u64,
    twice_bytes: u64,
    copied_bytes: u64,
    copied_object_bytes: u64,
    copied_buffer_bytes: u64,
    copied_uncollected_bytes: u64,
    copied_types: Vec<TypeJson<'a>>,
    threads: usize,
}

#[derive(Serialize)]
struct ArenasJson {
    before_fork: u64,
    unknown: u64,
    twice: u64,
    own: u64,
}

#[derive(Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    blocks: u64,
    bytes: u64,
    unchanged_bytes: u64,
    tracked_bytes: u64,
}

impl<'a> From<&'a CopiedType> for TypeJson<'a> {
    fn from(row: &'a CopiedType) -> Self {
        Self {
            name: &row.name,
            blocks: row.blocks,
            bytes: row.bytes,
            unchanged_bytes: row.unchanged,
            tracked_bytes: row.tracked,
        }
    }
}

/// Looks at all that were named.
pub(super) fn show(args: &Args, of: &[&OsStr]) -> Result<()> {
    let pids = pids(args, of);
    let all = copying(|tell| look_together(&pids, !args.no_stop, tell))?;
    let members: Vec<Member<'_>> = all.iter().zip(&pids).map(|(seen, pid)| member(seen, *pid)).collect();
    let family = Family::of(&members);
    let mut out = output::reported();
    if args.json {
        serde_json::to_writer(&mut out, &report(args, &all, &family))?;
        writeln!(out)?;
        return Ok(());
    }
    heading(&mut out, &all, &family)?;
    processes(&mut out, &family)?;
    types(&mut out, &family.copied, args.top)?;
    ending(&mut out, args, &all)
}

/// The numbers of the processes. What is said of one alone cannot be said of several.
fn pids(args: &Args, of: &[&OsStr]) -> Vec<i32> {
    for (given, option) in [
        (args.by.is_some(), "--by"),
        (args.path.is_some(), "--path"),
        (args.retained, "--retained"),
        (args.output.is_some(), "-o"),
    ] {
        if given {
            usage_error(&format!(
                "{option} says more of one process: name one of them alone, `arenascope xray PID {option} …`, or leave it out to see all \
                 side by side"
            ));
        }
    }
    let number = |named: &&OsStr| {
        number(named).unwrap_or_else(|| {
            let named = named.to_string_lossy();
            let named = printable(&named);
            usage_error(&format!(
                "{named} is no number of a process, and of several only processes are looked at together: a core alone, `arenascope xray \
                 {named}`"
            ))
        })
    };
    of.iter().map(number).collect()
}

fn member(seen: &Seen, pid: i32) -> Member<'_> {
    let copy = &seen.copy;
    Member {
        pid,
        parent: copy.parent,
        rss_bytes: copy.rss_bytes,
        pss_bytes: copy.pss_bytes,
        memory: &copy.memory,
        picture: &seen.picture,
        resident: &copy.resident,
        private: &copy.private,
    }
}

fn objects(copied: &Copied) -> u64 {
    copied.types.iter().map(|row| row.bytes).sum()
}

fn sum(family: &Family, of: impl Fn(&Process) -> u64) -> u64 {
    family.processes.iter().map(of).sum()
}

fn report<'a>(args: &Args, all: &[Seen], family: &'a Family) -> Report<'a> {
    let process = |(process, seen): (&'a Process, &Seen)| ProcessJson {
        pid: process.pid,
        parent: process.parent,
        python: format!("3.{}", seen.picture.version.minor),
        rss_bytes: process.rss_bytes,
        pss_bytes: process.pss_bytes,
        private_bytes: process.private_bytes,
        shared_bytes: process.shared_bytes,
        arena_private_bytes: process.arena_private_bytes,
        arena_shared_bytes: process.arena_shared_bytes,
        arenas: ArenasJson {
            before_fork: process.arenas_before,
            unknown: process.arenas_unknown,
            twice: process.arenas_twice,
            own: process.arenas_own,
        },
        unknown_bytes: process.unknown_bytes,
        twice_bytes: process.twice_bytes,
        copied_bytes: process.copied.bytes,
        copied_object_bytes: objects(&process.copied),
        copied_buffer_bytes: process.copied.buffer_bytes,
        copied_uncollected_bytes: process.copied.uncollected_bytes,
        copied_types: process.copied.types.iter().map(TypeJson::from).collect(),
        threads: seen.copy.threads,
    };
    let in_flight = all.iter().map(|seen| seen.picture.pools.in_flight()).sum();
    Report {
        pids: family.processes.iter().map(|process| process.pid).collect(),
        family: family.is_one(),
        rss_bytes: sum(family, |process| process.rss_bytes),
        held_bytes: family.held_bytes,
        held_by: family.counted.name(),
        says: family.says().name(),
        copied_bytes: family.copied.bytes,
        copied_object_bytes: objects(&family.copied),
        copied_buffer_bytes: family.copied.buffer_bytes,
        copied_uncollected_bytes: family.copied.uncollected_bytes,
        unknown_bytes: sum(family, |process| process.unknown_bytes),
        twice_bytes: sum(family, |process| process.twice_bytes),
        processes: family.processes.iter().zip(all).map(process).collect(),
        copied_types: family.copied.types.iter().map(TypeJson::from).collect(),
        pause_ms: pause(all),
        stops: all.first().map_or(0, |seen| seen.stops),
        in_flight,
        approximate: args.no_stop || in_flight > 0,
    }
}

/// They were held together.
fn pause(all: &[Seen]) -> f64 {
    all.first().map_or(0.0, |seen| pause_ms(&seen.copy))
}

/// What they come to, and what can be done.
fn heading(out: &mut Reported, all: &[Seen], family: &Family) -> Result<()> {
    let mut versions: Vec<u8> = all.iter().map(|seen| seen.picture.version.minor).collect();
    versions.sort_unstable();
    versions.dedup();
    let versions: Vec<String> = versions.iter().map(|minor| format!("3.{minor}")).collect();
    writeln!(
        out,
        "{} processes (Python {}) hold {} together, {}; one by one they sum to {}",
        all.len(),
        versions.join(", "),
        bytes(family.held_bytes),
        match family.counted {
            Counted::Proportional => "each page counted once",
            Counted::PrivateAndMostShared =>
                "their private pages and the shared ones of the one with most (PSS is not known)",
        },
        bytes(sum(family, |process| process.rss_bytes))
    )?;
    let says = family.says();
    let (part, what) = match says {
        Says::NoFamily => (
            None,
            "they share no arena of Python's: they were not forked from one another, or before there was anything in one".to_owned(),
        ),
        Says::Copied { unchanged, .. } => (Some(family.copied.bytes), copied(family, unchanged)),
        Says::Unknown => (
            Some(sum(family, |process| process.unknown_bytes)),
            "arenas with objects of the same types at the same addresses, and no page of them in common: copied whole, or made by each for \
             itself after the fork"
                .to_owned(),
        ),
        Says::Twice => (
            Some(sum(family, |process| process.twice_bytes)),
            "arenas that were made after the fork and have objects of the same types at the same addresses in several processes: each has \
             made the same for itself"
                .to_owned(),
        ),
        Says::Little => {
            (Some(family.copied.bytes), "of the pages from before the fork hardly one was copied".to_owned())
        }
    };
    match part {
        Some(part) => {
            writeln!(out, "\n{} ({} %): {what}", bytes(part), 100 * part / family.held_bytes.max(1))?;
        }
        None => writeln!(out, "\n{what}")?,
    }
    writeln!(out, "  next: {}", next(says, family))?;
    Ok(())
}

fn copied(family: &Family, unchanged: bool) -> String {
    let objects = objects(&family.copied).max(1);
    let most = family.copied.types.first().map_or_else(String::new, |row| {
        format!("; {} % of the objects on them are {}", 100 * row.bytes / objects, short(&row.name))
    });
    let same: u64 = family.copied.types.iter().map(|row| row.unchanged).sum();
    let same = 100 * same / objects;
    let written = if unchanged {
        format!(
            "{same} % hold what they held: reference counts were written there, the collector's links, or something beside them"
        )
    } else {
        format!("{same} % hold what they held, the others were changed")
    };
    format!("pages from before the fork of which a process has its own copy by now{most}; {written}")
}

/// What to do about it.
fn next(says: Says, family: &Family) -> String {
    match says {
        Says::NoFamily => {
            "`arenascope xray PID` looks at each alone; a server that loads before the fork shares (gunicorn --preload)".to_owned()
        }
        Says::Copied { unchanged: true, collected: true } => {
            "gc.freeze() before the fork keeps the collector from these; but what is read is copied, too, since that counts a reference: load \
             after the fork what only some need, or keep it in few large objects (bytes, array, numpy)"
                .to_owned()
        }
        Says::Copied { unchanged: true, collected: false } => {
            format!(
                "{} of these pages have nothing that the collector writes to, so gc.freeze() is no help there; to read an object counts a \
                 reference: load after the fork what only some need, or keep it in few large objects (bytes, array, numpy)",
                bytes(family.copied.uncollected_bytes)
            )
        }
        Says::Copied { unchanged: false, .. } => {
            "the processes change what they were given: load after the fork what each changes".to_owned()
        }
        Says::Unknown => match missing(family) {
            Some(parent) => format!("name their parent, too, process {parent}: what it has as well was there before the fork"),
            None => "name the process that they were forked from, too: what it has as well was there before the fork".to_owned(),
        },
        Says::Twice => "load before the fork what all of them need (gunicorn --preload), then its pages are shared".to_owned(),
        Says::Little => {
            let most = family.processes.iter().max_by_key(|process| process.private_bytes);
            most.map_or_else(String::new, |process| {
                format!(
                    "nothing about the fork; `arenascope xray {}` says what the one with most of its own ({}) has",
                    process.pid,
                    bytes(process.private_bytes)
                )
            })
        }
    }
}

/// A parent of several that was not named.
fn missing(family: &Family) -> Option<i32> {
    let is_named = |pid: i32| family.processes.iter().any(|process| process.pid == pid);
    let parents = family.processes.iter().filter_map(|process| process.parent);
    let is_of_two =
        |parent: &i32| family.processes.iter().filter(|process| process.parent == Some(*parent)).count() > 1;
    { parents }.find(|parent| *parent > 1 && !is_named(*parent) && is_of_two(parent))
}

/// A row for each.
fn processes(out: &mut Reported, family: &Family) -> Result<()> {
    writeln!(out, "\n{:>42}{:>22}  {:>32}", "", "pages that it has", "of these, in pymalloc's arenas")?;
    writeln!(
        out,
        "{:>10} {:>10} {:>10}  {:>10} {:>10}  {:>10} {:>10} {:>10}  mostly",
        "pid", "RSS", "PSS", "private", "shared", "private", "shared", "copied"
    )?;
    for process in &family.processes {
        let mostly = process.copied.types.first().filter(|_| process.copied.bytes > 0);
        let mut mostly = mostly.map_or_else(String::new, |row| short(&row.name).into_owned());
        if process.arenas_before == 0 && process.arenas_unknown == 0 {
            "(shares no arena)".clone_into(&mut mostly);
        }
        let row = format!(
            "{:>10} {:>10} {:>10}  {:>10} {:>10}  {:>10} {:>10} {:>10}  {mostly}",
            process.pid,
            bytes(process.rss_bytes),
            process.pss_bytes.map_or_else(|| "?".to_owned(), bytes),
            bytes(process.private_bytes),
            bytes(process.shared_bytes),
            bytes(process.arena_private_bytes),
            bytes(process.arena_shared_bytes),
            bytes(process.copied.bytes)
        );
        writeln!(out, "{}", row.trim_end())?;
    }
    Ok(())
}

/// Types of objects on copied pages.
fn types(out: &mut Reported, copied: &Copied, top: usize) -> Result<()> {
    if copied.bytes == 0 {
        return Ok(());
    }
    writeln!(out, "\n{:>14} {:>12} {:>12}  on copied pages: objects of", "bytes", "blocks", "unchanged")?;
    let line = |out: &mut Reported, row: &CopiedType, name: &str| {
        let unchanged = format!("{} %", 100 * row.unchanged / row.bytes.max(1));
        writeln!(out, "{:>14} {:>12} {unchanged:>12}  {name}", grouped(row.bytes), grouped(row.blocks))
    };
    for row in copied.types.iter().take(top) {
        line(out, row, &printable(&row.name))?;
    }
    let rest = &copied.types[copied.types.len().min(top)..];
    if !rest.is_empty() {
        let sum = |of: fn(&CopiedType) -> u64| rest.iter().map(of).sum();
        let (blocks, bytes) = (sum(|row| row.blocks), sum(|row| row.bytes));
        let all = CopiedType { blocks, bytes, unchanged: sum(|row| row.unchanged), ..CopiedType::default() };
        let more = count(rest.len() as u64, "type");
        line(out, &all, &format!("{more} more; --top {} lists all", copied.types.len()))?;
    }
    writeln!(out, "{:>14} {:>12} {:>12}  buffers", grouped(copied.buffer_bytes), "", "")?;
    let rest = copied.bytes.saturating_sub(objects(copied) + copied.buffer_bytes);
    writeln!(out, "{:>14} {:>12} {:>12}  free, or made since", grouped(rest), "", "")?;
    Ok(())
}

/// What it cost, and how far it can be believed.
fn ending(out: &mut Reported, args: &Args, all: &[Seen]) -> Result<()> {
    if args.no_stop {
        writeln!(out, "\nthe processes went on running, so the figures are approximate")?;
    } else {
        let stops = all.first().map_or(0, |seen| seen.stops);
        let times = if stops > 1 { format!(", stopped {stops} times") } else { String::new() };
        let threads: usize = all.iter().map(|seen| seen.copy.threads).sum();
        let threads = count(threads as u64, "thread");
        writeln!(out, "\nthe processes did not run for {:.0} ms ({threads}{times})", pause(all))?;
    }
    writeln!(
        out,
        "private is what no other process has; copied, what was a page of several before the fork and is its own now"
    )?;
    Ok(())
}
