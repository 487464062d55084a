//! `arenascope holders`: who holds the live blocks and the arenas.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use session::diagnosis::inquiry::TRUSTED;
use session::diagnosis::key::{Known, WHOLE_STACK, has_stacks};
use session::diagnosis::{Census, Group, Holders, Key, Placed, Rule};
use session::format::{bytes, count, grouped, printable};

use super::elapsed_ms;
use super::moment::{Moment, MomentArgs};

#[derive(clap::Args)]
#[command(
    after_help = "An arena goes back to the system only when its last block is freed. `alone` counts the arenas in which no block of \
                  another group lies; by the rule `sole` those are what a group pins. `split` gives each group of an arena the same \
                  part of it; `marginal` gives an arena to the last of its groups, as if one group after the other were freed.\n\n\
                  Examples:\n  \
                  arenascope holders capture.bin --at end\n  \
                  arenascope holders capture.bin --by module --rule split --json\n  \
                  arenascope holders capture.bin --depth all"
)]
pub(in super::super) struct Args {
    #[command(flatten)]
    moment: MomentArgs,
    /// What puts blocks in a group: site, function, module, class, thread, domain, kind or age; default: site where
    /// the trace has stacks, else class
    #[arg(long, value_name = "KEY")]
    by: Option<Key>,
    /// Frames of the stack that make a call site, the most recent first: a number, or all
    #[arg(long, value_name = "N|all", value_parser = depth)]
    depth: Option<u32>,
    /// How the bytes of an arena that several groups hold are shared: sole, split or marginal
    #[arg(long, value_name = "RULE", default_value = "sole")]
    rule: Rule,
    /// Groups to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Print one JSON object with all groups
    #[arg(long)]
    json: bool,
}

fn depth(text: &str) -> Result<u32, String> {
    match text {
        "all" => Ok(WHOLE_STACK),
        _ => {
            text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a number of frames, or all".to_owned())
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    step: u64,
    placed: &'static str,
    trust: Option<f64>,
    reasons: &'a [String],
    by: &'static str,
    rule: &'static str,
    arenas: Arenas,
    astray: u64,
    groups: Vec<Row<'a>>,
    query_ms: f64,
}

#[derive(Serialize)]
struct Arenas {
    live: usize,
    part_used: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    beside: &'a str,
    blocks: u64,
    bytes: u64,
    block_bytes: u64,
    arenas: u64,
    arenas_alone: u64,
    pinned_bytes: u64,
}

impl<'a> Row<'a> {
    fn of(group: &'a Group) -> Self {
        Self {
            key: &group.label.key,
            beside: &group.label.beside,
            blocks: group.blocks,
            bytes: group.bytes,
            block_bytes: group.block_bytes,
            arenas: group.arenas,
            arenas_alone: group.arenas_alone,
            pinned_bytes: group.pinned_bytes,
        }
    }
}

/// The key that is asked for, which the trace must have.
pub(super) fn key(by: Option<Key>, depth: Option<u32>, moment: &Moment, shown: &str) -> Result<Key> {
    let trace = moment.inquiry.trace();
    let key = match (by.unwrap_or_else(|| Key::usual(trace)), depth) {
        (Key::Site(_), Some(depth)) => Key::Site(depth),
        (key, _) => key,
    };
    ensure!(
        !key.needs_stacks() || has_stacks(trace),
        "{shown} has no Python stacks, so no block has a {}; ask --by class, thread, domain, kind or age",
        key.name()
    );
    ensure!(
        Known::of(trace).has(key),
        "{shown} does not begin with the picture of a process, so no block has a {} there; `arenascope xray PID -o FILE` makes one",
        key.name()
    );
    Ok(key)
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let mut moment = args.moment.reach()?;
    let key = key(args.by, args.depth, &moment, &args.moment.shown())?;
    let begun = Instant::now();
    let census = moment.census();
    let holders = moment.inquiry.holders(&census, key, args.rule);
    let query_ms = elapsed_ms(begun);
    let mut out = super::super::output::reported();
    if args.json {
        let bytes = census.held_bytes();
        let report = Report {
            step: census.step,
            placed: census.placed.name(),
            trust: moment.trust,
            reasons: &moment.reasons,
            by: key.name(),
            rule: args.rule.name(),
            arenas: Arenas { live: census.regions.len(), part_used: census.part_used(), bytes },
            astray: census.astray,
            groups: holders.groups.iter().map(Row::of).collect(),
            query_ms,
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", moment.heading(&census))?;
    writeln!(out, "{}", Moment::held(&census))?;
    for line in answer(&census, &holders) {
        writeln!(out, "{line}")?;
    }
    if moment.lacks_birth() {
        writeln!(out, "blocks from before the recording are not in it, and may hold these arenas too")?;
    }
    if census.placed == Placed::Model && moment.trust.is_some_and(|share| share < TRUSTED) {
        for reason in &moment.reasons {
            writeln!(out, "doubt: {reason}")?;
        }
    }
    table(&mut out, &holders, args.top)
}

/// The answer in sentences.
fn answer(census: &Census, holders: &Holders) -> Vec<String> {
    let alone: u64 = holders.groups.iter().map(|group| group.arenas_alone).sum();
    let empty = census.regions.iter().filter(|region| region.blocks == 0).count() as u64;
    let shared = census.regions.len() as u64 - alone - empty;
    let mut lines = Vec::new();
    match holders.groups.iter().max_by_key(|group| group.arenas_alone).filter(|group| group.arenas_alone > 0)
    {
        Some(most) => lines.push(format!(
            "{} alone holds {} ({}) with {} ({})",
            printable(&most.label.to_string()),
            count(most.arenas_alone, "arena"),
            bytes(most.arenas_alone * census.regions.first().map_or(0, |region| region.bytes)),
            count(most.blocks, "block"),
            bytes(most.block_bytes)
        )),
        None if shared > 0 => lines.push(
            "no group holds an arena alone; `arenascope forecast --want BYTES` names groups to free together"
                .to_owned(),
        ),
        None => {}
    }
    if shared > 0 {
        lines.push(format!("{} held by several groups", count(shared, "arena")));
    }
    if empty > 0 {
        lines.push(format!("{} without a block, kept for what comes", count(empty, "arena")));
    }
    if census.astray > 0 {
        lines.push(format!(
            "{} at addresses where no pool has such a place; counted without an arena",
            count(census.astray, "small block")
        ));
    }
    lines
}

fn table(out: &mut impl std::io::Write, holders: &Holders, top: usize) -> Result<()> {
    if holders.groups.is_empty() {
        writeln!(out, "no block is live")?;
        return Ok(());
    }
    writeln!(
        out,
        "\n{:>12} {:>8} {:>8} {:>12} {:>12}  {}",
        "pinned",
        "arenas",
        "alone",
        "blocks",
        "bytes",
        holders.key.name()
    )?;
    for group in holders.groups.iter().take(top) {
        writeln!(
            out,
            "{:>12} {:>8} {:>8} {:>12} {:>12}  {}",
            bytes(group.pinned_bytes),
            grouped(group.arenas),
            grouped(group.arenas_alone),
            grouped(group.blocks),
            bytes(group.bytes),
            printable(&group.label.to_string())
        )?;
    }
    if let Some(more) = holders.groups.len().checked_sub(top).filter(|more| *more > 0) {
        writeln!(out, "{} more; --top {} lists all", count(more as u64, "group"), holders.groups.len())?;
    }
    Ok(())
}
