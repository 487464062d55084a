//! The tables of a picture: types, owners, ways, arenas, and who keeps arenas.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use session::format::printable;
use xray::image::edges::Edges;
use xray::image::nodes::Node;
use xray::image::reach::Reach;
use xray::image::retained::Retained;
use xray::image::steps::Contents;
use xray::image::summary::{Holder, OwnerRow, PathRow, TypeRow, Whose};
use xray::image::ways::{self, ArenaRow, TypeWay};

use super::super::output::{Reported, count, grouped};

/// Groups that are listed of an arena.
const GROUPS: usize = 3;

#[derive(Serialize)]
pub(super) struct TypeJson<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    blocks: u64,
    bytes: u64,
    free_listed: u64,
    buffers: u64,
    buffer_bytes: u64,
}

impl<'a> From<&'a TypeRow> for TypeJson<'a> {
    fn from(row: &'a TypeRow) -> Self {
        Self {
            name: &row.name,
            blocks: row.blocks,
            bytes: row.bytes,
            free_listed: row.dead,
            buffers: row.buffers,
            buffer_bytes: row.buffer_bytes,
        }
    }
}

#[derive(Serialize)]
pub(super) struct OwnerJson {
    kind: &'static str,
    owner: String,
    blocks: u64,
    bytes: u64,
}

impl From<&OwnerRow> for OwnerJson {
    fn from(row: &OwnerRow) -> Self {
        let kind = match row.whose {
            Whose::Type(_) => "type",
            Whose::Library(_) => "library",
            Whose::Stack => "stack",
            Whose::Register => "register",
            Whose::Other => "other",
            Whose::Nowhere => "nowhere",
        };
        Self { kind, owner: whose(&row.whose), blocks: row.blocks, bytes: row.bytes }
    }
}

#[derive(Serialize)]
pub(super) struct PathJson<'a> {
    path: &'a str,
    blocks: u64,
    bytes: u64,
    mostly: &'a str,
}

impl<'a> From<&'a PathRow> for PathJson<'a> {
    fn from(row: &'a PathRow) -> Self {
        Self { path: &row.name, blocks: row.blocks, bytes: row.bytes, mostly: &row.mostly }
    }
}

#[derive(Serialize)]
pub(super) struct HolderJson<'a> {
    path: &'a str,
    arenas: u64,
    alone: u64,
    blocks: u64,
    bytes: u64,
}

impl<'a> From<&'a Holder> for HolderJson<'a> {
    fn from(row: &'a Holder) -> Self {
        Self { path: &row.name, arenas: row.arenas, alone: row.alone, blocks: row.blocks, bytes: row.bytes }
    }
}

#[derive(Serialize)]
pub(super) struct ArenaJson {
    address: String,
    blocks: u64,
    bytes: u64,
    holders: Vec<ArenaHolderJson>,
}

#[derive(Serialize)]
struct ArenaHolderJson {
    path: String,
    blocks: u64,
    bytes: u64,
}

#[derive(Serialize)]
pub(super) struct WayJson {
    path: String,
    blocks: u64,
    bytes: u64,
    example: String,
}

#[derive(Serialize)]
pub(super) struct RetainedJson {
    bytes: u64,
    #[serde(rename = "type")]
    of: String,
    path: String,
}

/// Whose blocks are that are no objects.
fn whose(whose: &Whose) -> String {
    match whose {
        Whose::Type(name) => name.clone(),
        Whose::Library(name) => format!("C code, from {name}"),
        Whose::Stack => "C code, from a stack".to_owned(),
        Whose::Register => "C code, from a register".to_owned(),
        Whose::Other => "C code, from other memory".to_owned(),
        Whose::Nowhere => "nobody: nothing refers to it".to_owned(),
    }
}

/// Types with most bytes, their buffers with them.
pub(super) fn types(out: &mut Reported, rows: &[TypeRow], top: usize) -> Result<()> {
    writeln!(out, "\n{:>14} {:>14} {:>12}  type", "bytes", "with buffers", "blocks")?;
    for row in rows.iter().take(top) {
        let dead = if row.dead > 0 { format!(" ({} free-listed)", grouped(row.dead)) } else { String::new() };
        writeln!(
            out,
            "{:>14} {:>14} {:>12}  {}{dead}",
            grouped(row.bytes),
            grouped(row.bytes + row.buffer_bytes),
            grouped(row.blocks),
            printable(&row.name)
        )?;
    }
    let rest = &rows[rows.len().min(top)..];
    let sum = |of: fn(&TypeRow) -> u64| grouped(rest.iter().map(of).sum::<u64>());
    if !rest.is_empty() {
        let (bytes, all) = (sum(|row| row.bytes), sum(|row| row.bytes + row.buffer_bytes));
        let more = count(rest.len() as u64, "type");
        writeln!(
            out,
            "{bytes:>14} {all:>14} {:>12}  {more} more; --by type --top N lists them",
            sum(|row| row.blocks)
        )?;
    }
    Ok(())
}

/// Owners of blocks that are no objects.
pub(super) fn owners(out: &mut Reported, rows: &[OwnerRow], top: usize) -> Result<()> {
    writeln!(out, "\n{:>14} {:>12}  buffers of", "bytes", "blocks")?;
    for row in rows.iter().take(top) {
        writeln!(
            out,
            "{:>14} {:>12}  {}",
            grouped(row.bytes),
            grouped(row.blocks),
            printable(&whose(&row.whose))
        )?;
    }
    more(out, rows.len(), top, "owner", "--by owner")
}

/// Ways with most bytes.
pub(super) fn paths(out: &mut Reported, rows: &[PathRow], top: usize) -> Result<()> {
    writeln!(
        out,
        "\n{:>14} {:>12}  kept by (each with what has no line of its own; mostly)",
        "bytes", "blocks"
    )?;
    for row in rows.iter().take(top) {
        writeln!(
            out,
            "{:>14} {:>12}  {} ({})",
            grouped(row.bytes),
            grouped(row.blocks),
            printable(&row.name),
            printable(row.mostly.strip_prefix("builtins.").unwrap_or(&row.mostly))
        )?;
    }
    more(out, rows.len(), top, "way", "--by path")
}

/// Who holds arenas in which little is left.
pub(super) fn holders(out: &mut Reported, rows: &[Holder], top: usize) -> Result<()> {
    writeln!(
        out,
        "\n{:>8} {:>8} {:>12} {:>14}  who keeps arenas with little in them",
        "arenas", "alone", "blocks", "bytes"
    )?;
    for row in rows.iter().take(top) {
        writeln!(
            out,
            "{:>8} {:>8} {:>12} {:>14}  {}",
            grouped(row.arenas),
            grouped(row.alone),
            grouped(row.blocks),
            grouped(row.bytes),
            printable(&row.name)
        )?;
    }
    more(out, rows.len(), top, "way", "--by arena")
}

/// Arenas, those with least in them first.
pub(super) fn arenas(out: &mut Reported, rows: &[ArenaRow], top: usize) -> Result<()> {
    writeln!(out, "\n{:>18} {:>14} {:>12}  arena: what is in use in it", "address", "bytes", "blocks")?;
    for row in rows.iter().take(top) {
        let groups =
            row.groups.iter().map(|(name, blocks, _)| format!("{} {}", grouped(*blocks), printable(name)));
        let groups = groups.collect::<Vec<_>>().join(", ");
        let groups = if row.blocks == 0 { "nothing: it is kept as the last with room" } else { &groups };
        writeln!(out, "{:>#18x} {:>14} {:>12}  {groups}", row.addr, grouped(row.bytes), grouped(row.blocks))?;
    }
    more(out, rows.len(), top, "arena", "--by arena")
}

fn more(out: &mut Reported, all: usize, top: usize, noun: &str, flag: &str) -> Result<()> {
    let rest = all.saturating_sub(top) as u64;
    if rest > 0 {
        writeln!(out, "{:>14} {} more; {flag} --top {all} lists all", "", count(rest, noun))?;
    }
    Ok(())
}

/// All rows of arenas.
pub(super) fn arena_rows(edges: &Edges<'_>, reach: &Reach) -> Vec<ArenaRow> {
    ways::of_arenas(edges, reach, GROUPS)
}

impl From<&ArenaRow> for ArenaJson {
    fn from(row: &ArenaRow) -> Self {
        let holder = |(path, blocks, bytes): &(String, u64, u64)| ArenaHolderJson {
            path: path.clone(),
            blocks: *blocks,
            bytes: *bytes,
        };
        Self {
            address: format!("{:#x}", row.addr),
            blocks: row.blocks,
            bytes: row.bytes,
            holders: row.groups.iter().map(holder).collect(),
        }
    }
}

/// The ways by which objects of a type are kept, and one of each in detail.
pub(super) fn ways_of(
    edges: &Edges<'_>,
    reach: &Reach,
    contents: Contents,
    name: &str,
    top: usize,
) -> (Vec<TypeWay>, Vec<String>) {
    let ways = ways::of_type(edges, reach, name);
    let examples =
        ways.iter().take(top).map(|way| ways::exact(edges, reach, contents, way.example)).collect();
    (ways, examples)
}

pub(super) fn ways(
    out: &mut Reported,
    name: &str,
    rows: &[TypeWay],
    examples: &[String],
    top: usize,
) -> Result<()> {
    if rows.is_empty() {
        writeln!(
            out,
            "no live object has the type {}; `--by type --top N` lists those that there are",
            printable(name)
        )?;
        return Ok(());
    }
    writeln!(out, "\n{:>14} {:>12}  {} kept by", "bytes", "objects", printable(name))?;
    for (row, example) in rows.iter().zip(examples) {
        writeln!(out, "{:>14} {:>12}  {}", grouped(row.bytes), grouped(row.blocks), printable(&row.name))?;
        if *example != row.name {
            writeln!(out, "{:>14} {:>12}    as {}", "", "", printable(example))?;
        }
    }
    more(out, rows.len(), top, "way", "--path TYPE")
}

pub(super) fn ways_json(rows: &[TypeWay], examples: &[String]) -> Vec<WayJson> {
    let row = |(row, example): (&TypeWay, &String)| WayJson {
        path: row.name.clone(),
        blocks: row.blocks,
        bytes: row.bytes,
        example: example.clone(),
    };
    rows.iter().zip(examples).map(row).collect()
}

/// Objects that alone keep most, none of which lies below another that is listed.
pub(super) fn retained_rows(
    edges: &Edges<'_>,
    reach: &Reach,
    retained: &Retained,
    contents: Contents,
    top: usize,
) -> Vec<RetainedJson> {
    let nodes = edges.nodes();
    let mut objects: Vec<Node> = nodes.used().filter(|node| nodes.live_object(*node).is_some()).collect();
    objects.sort_by_key(|node| (std::cmp::Reverse(retained.bytes(*node)), *node));
    let mut rows: Vec<Node> = Vec::new();
    for node in objects {
        if rows.len() == top {
            break;
        }
        // An object that has nearly all from the one before it says nothing new.
        let keeper = std::iter::successors(retained.keeper(node), |node| retained.keeper(*node))
            .find(|keeper| nodes.live_object(*keeper).is_some());
        let is_new = keeper.is_none_or(|keeper| {
            !rows.contains(&keeper) || retained.bytes(node) < retained.bytes(keeper) / 10 * 9
        });
        if is_new {
            rows.push(node);
        }
    }
    let row = |node: Node| RetainedJson {
        bytes: retained.bytes(node),
        of: nodes
            .object(node)
            .map_or_else(String::new, |object| nodes.picture().types[object.of as usize].name.clone()),
        path: ways::exact(edges, reach, contents, node),
    };
    rows.into_iter().map(row).collect()
}

pub(super) fn retained(out: &mut Reported, rows: &[RetainedJson]) -> Result<()> {
    writeln!(out, "\n{:>14}  kept by this object alone: all goes if it goes", "bytes")?;
    for row in rows {
        let of = row.of.strip_prefix("builtins.").unwrap_or(&row.of);
        writeln!(out, "{:>14}  {} ({})", grouped(row.bytes), printable(&row.path), printable(of))?;
    }
    Ok(())
}
