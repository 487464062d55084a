//! What `arenascope info` prints of files that hold no trace.

use std::io::Write;

use anyhow::{Result, bail};
use serde::Serialize;
use trace_io::account::{Account, BlockMessage, Sites};
use trace_io::stats_text::{FreeList as StatsFreeList, StatsText};

use super::output::{self, count, grouped};

/// The picture as one JSON object. Sizes in bytes.
#[derive(Serialize)]
struct Still<'a> {
    format: &'static str,
    /// `pymalloc` or `mimalloc`; none where the text has neither's figures.
    allocator: Option<&'static str>,
    /// The number of this picture, from 1.
    picture: u64,
    /// Pictures in the text.
    pictures: u64,
    small_block_threshold: u64,
    size_classes: u64,
    arenas: Option<u64>,
    arena_bytes: Option<u64>,
    unused_pools: Option<u64>,
    bytes_held: u64,
    /// What mimalloc has made usable of what it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_committed: Option<u64>,
    bytes_in_use: u64,
    bytes_free: u64,
    bytes_lost: u64,
    /// The share of what is held that is in no block in use.
    fragmentation: f64,
    classes: Vec<Class>,
    free_lists: Vec<FreeList<'a>>,
    /// Bytes of blocks in use that free lists keep.
    free_lists_bytes: u64,
    /// How the figures grew from picture to picture, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series: Vec<Moment>,
    doubts: Vec<String>,
}

/// The figures of one of several pictures.
#[derive(Serialize)]
struct Moment {
    picture: u64,
    arenas: Option<u64>,
    bytes_held: u64,
    bytes_in_use: u64,
    fragmentation: f64,
}

#[derive(Serialize)]
struct Class {
    #[serde(rename = "class")]
    number: u64,
    size: u64,
    pools: u64,
    in_use: u64,
    available: u64,
}

#[derive(Serialize)]
struct FreeList<'a> {
    name: &'a str,
    count: u64,
    size: u64,
}

/// An account as one JSON object: its format, and what it says.
#[derive(Serialize)]
struct Said<'a> {
    format: &'static str,
    #[serde(flatten)]
    says: Says<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Says<'a> {
    Sites(&'a Sites),
    Block(&'a BlockMessage),
}

/// Prints what a file says that is neither trace nor picture.
pub(super) fn account(account: &Account, json: bool) -> Result<()> {
    if json {
        let says = match account {
            Account::Sites(sites) => Says::Sites(sites),
            Account::Block(block) => Says::Block(block),
        };
        return output::json(&Said { format: account.format(), says });
    }
    let mut out = output::reported();
    for line in account.lines() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Prints a picture: the one with a number, else the last.
pub(super) fn print(all: &StatsText, picture: Option<u64>, json: bool) -> Result<()> {
    let number = picture.unwrap_or(all.pictures);
    let Some(stats) = all.series().find(|stats| stats.pictures == number) else {
        let why = if (1..=all.pictures).contains(&number) {
            "that one was not kept, since there are very many; take a number near it"
        } else {
            "choose one of them"
        };
        bail!("there is no picture {number}: the text has {}; {why}", all.pictures);
    };
    let moments = all.series().map(|stats| Moment {
        picture: stats.pictures,
        arenas: stats.arenas().map(|a| a.0),
        bytes_held: stats.bytes_held(),
        bytes_in_use: stats.bytes_in_use(),
        fragmentation: stats.fragmentation(),
    });
    let classes = stats.classes.iter().map(|c| Class {
        number: c.class,
        size: c.size,
        pools: c.pools,
        in_use: c.in_use,
        available: c.available,
    });
    let lists = stats.free_lists.iter();
    let still = Still {
        format: "debugmallocstats",
        allocator: stats.allocator(),
        picture: stats.pictures,
        pictures: all.pictures,
        small_block_threshold: stats.threshold,
        size_classes: stats.size_classes,
        arenas: stats.arenas().map(|a| a.0),
        arena_bytes: stats.arenas().map(|a| a.1),
        unused_pools: stats.unused_pools().map(|p| p.0),
        bytes_held: stats.bytes_held(),
        bytes_committed: stats.bytes_committed(),
        bytes_in_use: stats.bytes_in_use(),
        bytes_free: stats.bytes_free(),
        bytes_lost: stats.bytes_lost(),
        fragmentation: stats.fragmentation(),
        classes: classes.collect(),
        free_lists: lists.map(|l| FreeList { name: &l.name, count: l.count, size: l.size }).collect(),
        free_lists_bytes: stats
            .free_lists
            .iter()
            .map(StatsFreeList::block_bytes)
            .fold(0, u64::saturating_add),
        series: if all.pictures > 1 { moments.collect() } else { Vec::new() },
        doubts: stats.doubts(),
    };
    if json { output::json(&still) } else { table(&still) }
}

fn table(still: &Still<'_>) -> Result<()> {
    let mut out = output::reported();
    let which = match (still.picture, still.pictures) {
        (_, 0 | 1) => String::new(),
        (here, all) if here == all => format!(", the last of {all}"),
        (here, all) => format!(", picture {here} of {all}"),
    };
    let Some(allocator) = still.allocator else {
        writeln!(
            out,
            "free lists at one moment{which}, and no allocator's figures: neither pymalloc nor mimalloc was in use, as under \
             PYTHONMALLOC=malloc, or another table stood above, as under memray or tracemalloc before 3.13"
        )?;
        return free_lists(&mut out, still);
    };
    writeln!(out, "{allocator} at one moment{which}: no trace, so nothing to replay")?;
    if let (Some(arenas), Some(bytes)) = (still.arenas, still.arena_bytes) {
        writeln!(out, "  arenas      {} of {}", grouped(arenas), count(bytes, "byte"))?;
    }
    let share = |bytes: u64| 100.0 * bytes as f64 / still.bytes_held.max(1) as f64;
    for (name, bytes) in [
        (if still.bytes_committed.is_some() { "reserved" } else { "held" }, Some(still.bytes_held)),
        ("committed", still.bytes_committed),
        ("in use", Some(still.bytes_in_use)),
        ("free", Some(still.bytes_free)),
        ("lost", Some(still.bytes_lost)),
    ] {
        let Some(bytes) = bytes else { continue };
        writeln!(out, "  {name:<11} {:>15} bytes {:>6.1} %", grouped(bytes), share(bytes))?;
    }
    writeln!(
        out,
        "  fragmented  {:.1} % of what is {} is in no block in use",
        100.0 * still.fragmentation,
        if still.bytes_committed.is_some() { "committed" } else { "held" }
    )?;
    if !still.classes.is_empty() {
        writeln!(
            out,
            "\n  {:>5} {:>6} {:>9} {:>13} {:>13} {:>15} {:>7}",
            "class", "size", "pools", "in use", "available", "bytes in use", "in use"
        )?;
    }
    for class in &still.classes {
        let blocks = class.in_use.saturating_add(class.available).max(1);
        writeln!(
            out,
            "  {:>5} {:>6} {:>9} {:>13} {:>13} {:>15} {:>5.1} %",
            class.number,
            class.size,
            grouped(class.pools),
            grouped(class.in_use),
            grouped(class.available),
            grouped(class.in_use.saturating_mul(class.size)),
            100.0 * class.in_use as f64 / blocks as f64
        )?;
    }
    growth(&mut out, still)?;
    free_lists(&mut out, still)
}

/// How it grew over the pictures of a text: the first, the last, and where the steps between are many, some of them.
fn growth(out: &mut impl Write, still: &Still<'_>) -> Result<()> {
    const ROWS: usize = 12;
    if still.series.is_empty() {
        return Ok(());
    }
    let peak = still.series.iter().map(|m| m.bytes_held).max().unwrap_or(0);
    writeln!(
        out,
        "\n  {:>7} {:>7} {:>15} {:>15} {:>11}   --picture N shows another one",
        "picture", "arenas", "held", "in use", "fragmented"
    )?;
    let last = still.series.len() - 1;
    let step = last.div_ceil(ROWS).max(1);
    let first_peak = still.series.iter().position(|m| m.bytes_held == peak);
    for (at, moment) in still.series.iter().enumerate() {
        if at.is_multiple_of(step) || at == last || Some(at) == first_peak {
            writeln!(
                out,
                "  {:>7} {:>7} {:>15} {:>15} {:>9.1} %{}",
                moment.picture,
                moment.arenas.map_or_else(String::new, grouped),
                grouped(moment.bytes_held),
                grouped(moment.bytes_in_use),
                100.0 * moment.fragmentation,
                if Some(at) == first_peak { "   the most held" } else { "" }
            )?;
        }
    }
    Ok(())
}

fn free_lists(out: &mut impl Write, still: &Still<'_>) -> Result<()> {
    let kept = still.free_lists_bytes;
    if kept > 0 {
        writeln!(
            out,
            "\n  free lists  {} of the blocks in use {} kept for reuse, headers of the collector included:",
            count(kept, "byte"),
            if kept == 1 { "is" } else { "are" }
        )?;
    }
    for list in still.free_lists.iter().filter(|l| l.count > 0) {
        writeln!(out, "    {:<30} {:>9} of {} bytes", list.name, grouped(list.count), list.size)?;
    }
    for doubt in &still.doubts {
        writeln!(out, "  doubt       {doubt}")?;
    }
    Ok(())
}
