//! What `arenascope info` prints of the text of `sys._debugmallocstats()`.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use trace_io::stats_text::StatsText;

use super::output::{self, grouped};

/// The picture as one JSON object. Sizes in bytes.
#[derive(Serialize)]
struct Still<'a> {
    format: &'static str,
    allocator: &'static str,
    /// Pictures in the text; this is the last one.
    pictures: u64,
    small_block_threshold: u64,
    size_classes: u64,
    arenas: Option<u64>,
    arena_bytes: Option<u64>,
    unused_pools: Option<u64>,
    bytes_held: u64,
    bytes_in_use: u64,
    bytes_free: u64,
    bytes_lost: u64,
    /// The share of what is held that is in no block in use.
    fragmentation: f64,
    classes: Vec<Class>,
    free_lists: Vec<FreeList<'a>>,
    doubts: Vec<String>,
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

/// Prints the picture.
pub(super) fn print(stats: &StatsText, json: bool) -> Result<()> {
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
        allocator: if stats.is_mimalloc() { "mimalloc" } else { "pymalloc" },
        pictures: stats.pictures,
        small_block_threshold: stats.threshold,
        size_classes: stats.size_classes,
        arenas: stats.arenas().map(|a| a.0),
        arena_bytes: stats.arenas().map(|a| a.1),
        unused_pools: stats.unused_pools().map(|p| p.0),
        bytes_held: stats.bytes_held(),
        bytes_in_use: stats.bytes_in_use(),
        bytes_free: stats.bytes_free(),
        bytes_lost: stats.bytes_lost(),
        fragmentation: stats.fragmentation(),
        classes: classes.collect(),
        free_lists: lists.map(|l| FreeList { name: &l.name, count: l.count, size: l.size }).collect(),
        doubts: stats.doubts(),
    };
    if json { output::json(&still) } else { table(&still) }
}

fn table(still: &Still<'_>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let which = if still.pictures > 1 { format!(", the last of {}", still.pictures) } else { String::new() };
    writeln!(out, "{} at one moment{which}: no trace, so nothing to replay", still.allocator)?;
    if let (Some(arenas), Some(bytes)) = (still.arenas, still.arena_bytes) {
        writeln!(out, "  arenas      {} of {} bytes", grouped(arenas), grouped(bytes))?;
    }
    let share = |bytes: u64| 100.0 * bytes as f64 / still.bytes_held.max(1) as f64;
    for (name, bytes) in [
        ("held", still.bytes_held),
        ("in use", still.bytes_in_use),
        ("free", still.bytes_free),
        ("lost", still.bytes_lost),
    ] {
        writeln!(out, "  {name:<11} {:>15} bytes {:>6.1} %", grouped(bytes), share(bytes))?;
    }
    writeln!(
        out,
        "  fragmented  {:.1} % of what is held is in no block in use",
        100.0 * still.fragmentation
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
    let lists: u64 =
        still.free_lists.iter().map(|l| l.count.saturating_mul(l.size)).fold(0, u64::saturating_add);
    if lists > 0 {
        writeln!(out, "\n  free lists  {} bytes of the blocks in use are kept for reuse:", grouped(lists))?;
    }
    for list in still.free_lists.iter().filter(|l| l.count > 0) {
        writeln!(out, "    {:<30} {:>9} of {} bytes", list.name, grouped(list.count), list.size)?;
    }
    for doubt in &still.doubts {
        writeln!(out, "  doubt       {doubt}")?;
    }
    Ok(())
}
