//! `arenascope compare`: two moments side by side.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use session::at::At;
use session::diagnosis::compare::{Comparison, Figure, GroupPair, Pair, Side};
use session::diagnosis::{Key, Placed, Rule};
use session::format::{bytes, grouped, printable};
use sim_core::domains::AllocatorName;

use super::super::input::{AsArgs, ProfileArgs};
use super::elapsed_ms;
use super::holders::key;
use super::moment::{Moment, reach};

#[derive(clap::Args)]
#[command(
    after_help = "Without B, A is compared with itself at another step or under another build. What is left out for B is as for A. Where A and B lie \
                  on different heaps by themselves, both are taken on the model.\n\n\
                  Examples:\n  \
                  arenascope compare before.bin after.bin\n  \
                  arenascope compare capture.bin --at 1000000 --b-at end --by module\n  \
                  arenascope compare capture.bin --profile cpython-3.9 --b-profile cpython-3.14"
)]
pub(in super::super) struct Args {
    /// The first trace
    a: PathBuf,
    /// The second; default: the first
    b: Option<PathBuf>,
    /// When in A: operations done, start, end, peak, or mark:NAME
    #[arg(long, value_name = "STEP", default_value = "end")]
    at: At,
    /// When in B; default: as in A, end for another trace
    #[arg(long, value_name = "STEP")]
    b_at: Option<At>,
    /// Where blocks lie: as the model puts them, or as their addresses were recorded
    #[arg(long, value_name = "model|recorded", value_parser = super::placed)]
    placed: Option<Placed>,
    #[command(flatten)]
    profile: ProfileArgs,
    /// B's profile
    #[arg(long, value_name = "NAME")]
    b_profile: Option<String>,
    /// Change one field of B's profile after those of --set; may be repeated
    #[arg(long = "b-set", value_name = "KEY=VALUE", value_parser = super::super::input::key_value)]
    b_sets: Vec<(String, String)>,
    /// What PYTHONMALLOC takes; default: what the trace says
    #[arg(long, value_name = "NAME", value_parser = super::super::input::malloc_name)]
    malloc: Option<AllocatorName>,
    /// The same for B
    #[arg(long, value_name = "NAME", value_parser = super::super::input::malloc_name)]
    b_malloc: Option<AllocatorName>,
    #[command(flatten)]
    taken: AsArgs,
    /// What puts blocks in a group, as in `arenascope holders`
    #[arg(long, value_name = "KEY")]
    by: Option<Key>,
    /// Groups to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    a: End,
    b: End,
    statistics: Vec<Row<'a>>,
    classes: Vec<Row<'a>>,
    by: &'static str,
    groups: Vec<Group<'a>>,
    query_ms: f64,
}

#[derive(Serialize)]
struct End {
    file: String,
    step: u64,
    profile: String,
    placed: &'static str,
    trust: Option<f64>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    unit: &'static str,
    a: u64,
    b: u64,
    change: i128,
}

impl<'a> Row<'a> {
    fn of(figure: &'a Figure) -> Self {
        let Pair { a, b } = figure.pair;
        let unit = if figure.bytes { "bytes" } else { "count" };
        Self { name: &figure.name, unit, a, b, change: figure.pair.change() }
    }
}

#[derive(Serialize)]
struct Group<'a> {
    key: &'a str,
    blocks: Signed,
    bytes: Signed,
    arenas: Signed,
    arenas_alone: Signed,
    pinned_bytes: Signed,
}

#[derive(Serialize)]
struct Signed {
    a: u64,
    b: u64,
    change: i128,
}

impl From<Pair> for Signed {
    fn from(pair: Pair) -> Self {
        Self { a: pair.a, b: pair.b, change: pair.change() }
    }
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let mut of_a = args.profile.overrides();
    of_a.malloc = args.malloc;
    let mut of_b = of_a.clone();
    of_b.profile = args.b_profile.clone().or(of_b.profile);
    of_b.settings.extend(args.b_sets.iter().cloned());
    of_b.malloc = args.b_malloc.or(of_b.malloc);
    let file_b = args.b.as_ref().unwrap_or(&args.a);
    let at_b = args.b_at.as_ref().unwrap_or(if args.b.is_some() { &At::End } else { &args.at });
    ensure!(
        args.b.is_some()
            || *at_b != args.at
            || of_b.profile != of_a.profile
            || !args.b_sets.is_empty()
            || of_b.malloc != of_a.malloc,
        "both sides are the same; name a second trace, or give --b-at, --b-profile, --b-set or --b-malloc"
    );
    let domain = args.taken.domain;
    let mut a = reach(&args.a, &args.at, args.placed, &of_a, domain)?;
    let mut b = reach(file_b, at_b, args.placed, &of_b, domain)?;
    if a.placed != b.placed {
        (a.placed, b.placed) = (Placed::Model, Placed::Model);
    }
    let by = key(args.by, None, &a, &args.a.display().to_string())?;
    key(Some(by), None, &b, &file_b.display().to_string())?;
    let begun = Instant::now();
    let comparison = Comparison::of(&side(&mut a, by), &side(&mut b, by));
    let query_ms = elapsed_ms(begun);
    let mut out = super::super::output::reported();
    if args.json {
        let end = |file: &PathBuf, moment: &Moment| End {
            file: file.display().to_string(),
            step: moment.step,
            profile: moment.inquiry.setup().profile.name.clone(),
            placed: moment.placed.name(),
            trust: moment.trust,
        };
        let group = |group: &'_ GroupPair| (group.label.key.clone(), group.clone());
        let groups: Vec<_> = comparison.groups.iter().map(group).collect();
        let report = Report {
            a: end(&args.a, &a),
            b: end(file_b, &b),
            statistics: comparison.figures.iter().map(Row::of).collect(),
            classes: comparison.classes.iter().map(Row::of).collect(),
            by: by.name(),
            groups: groups
                .iter()
                .map(|(key, group)| Group {
                    key,
                    blocks: group.blocks.into(),
                    bytes: group.bytes.into(),
                    arenas: group.arenas.into(),
                    arenas_alone: group.arenas_alone.into(),
                    pinned_bytes: group.pinned_bytes.into(),
                })
                .collect(),
            query_ms,
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    for (name, file, moment) in [("A", &args.a, &a), ("B", file_b, &b)] {
        writeln!(
            out,
            "{name}  {} after step {}, {}, {}",
            printable(&file.display().to_string()),
            grouped(moment.step),
            moment.inquiry.setup().profile.name,
            match moment.placed {
                Placed::Model => "as the model places blocks",
                Placed::Recorded => "as recorded",
            }
        )?;
    }
    print(&mut out, &comparison, args.top)
}

fn side(moment: &mut Moment, by: Key) -> Side {
    let census = moment.census();
    let holders = moment.inquiry.holders(&census, by, Rule::Sole);
    Side::of(&moment.inquiry, &moment.machine, &census, holders)
}

/// A change with its sign, `0` for none.
pub(super) fn signed(change: i128, amount: impl Fn(u64) -> String) -> String {
    let size = u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX);
    match change.signum() {
        0 => "0".to_owned(),
        1 => format!("+{}", amount(size)),
        _ => format!("-{}", amount(size)),
    }
}

fn print(out: &mut impl std::io::Write, comparison: &Comparison, top: usize) -> Result<()> {
    writeln!(out, "\n{:>14} {:>14} {:>14}", "A", "B", "change")?;
    for figure in &comparison.figures {
        let amount = |number: u64| if figure.bytes { bytes(number) } else { grouped(number) };
        let Pair { a, b } = figure.pair;
        let change = signed(figure.pair.change(), amount);
        writeln!(out, "{:>14} {:>14} {change:>14}  {}", amount(a), amount(b), figure.name)?;
    }
    let differ: Vec<&Figure> = comparison.classes.iter().filter(|class| class.pair.change() != 0).collect();
    if !differ.is_empty() {
        writeln!(out, "\nblocks in use by size class, where they differ")?;
    }
    for class in differ {
        let Pair { a, b } = class.pair;
        let change = signed(class.pair.change(), grouped);
        writeln!(out, "{:>14} {:>14} {change:>14}  {}", grouped(a), grouped(b), class.name)?;
    }
    let differ: Vec<&GroupPair> = comparison.groups.iter().filter(|group| group.differs()).collect();
    let key = comparison.key.name();
    if differ.is_empty() {
        writeln!(out, "\nno {key} differs in blocks, bytes or arenas")?;
        return Ok(());
    }
    writeln!(
        out,
        "\n{:>14} {:>14} {:>14} {:>10} {:>10}  {key}",
        "bytes A", "bytes B", "change", "blocks", "arenas"
    )?;
    for group in differ.iter().take(top) {
        writeln!(
            out,
            "{:>14} {:>14} {:>14} {:>10} {:>10}  {}",
            bytes(group.bytes.a),
            bytes(group.bytes.b),
            signed(group.bytes.change(), bytes),
            signed(group.blocks.change(), grouped),
            signed(group.arenas.change(), grouped),
            printable(&group.label.to_string())
        )?;
    }
    if differ.len() > top {
        let more = super::super::output::count(differ.len() as u64 - top as u64, "group");
        writeln!(out, "{more} more; --top {} lists all", differ.len())?;
    }
    Ok(())
}
