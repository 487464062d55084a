//! `arenascope forecast`: what freeing some blocks would give back, or what has to be freed to get so much.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use session::diagnosis::{Census, Choice, Forecast, Key, Rule};
use session::format::{bytes, count, grouped, parse_bytes, printable};

use super::elapsed_ms;
use super::holders::key;
use super::moment::{Moment, MomentArgs};

#[derive(clap::Args)]
#[command(
    after_help = "An arena goes back only when it has no block left, and CPython from 3.9 on keeps the last of its usable arenas even so. On the \
                  model the blocks are freed in the order of their births and what goes back is what then happens; on a recorded \
                  heap, and for blocks from before the trace, arenas without another block are counted.\n\n\
                  Examples:\n  \
                  arenascope forecast capture.bin --free site=cache.py:7\n  \
                  arenascope forecast capture.bin --at 1000000 --free module=json.decoder class=3\n  \
                  arenascope forecast capture.bin --want 50M"
)]
pub(in super::super) struct Args {
    #[command(flatten)]
    moment: MomentArgs,
    /// Free the blocks that have this in common: site=FILE:LINE, function=NAME, module=NAME, class=NUMBER, thread=NUMBER,
    /// domain=NAME, kind=NAME, age=LABEL, as `arenascope holders` names them; several add up
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., required_unless_present = "want")]
    free: Vec<Choice>,
    /// Name groups to free so that so many bytes go back, or such a share of what is held: 50M, 25%; K, M and G are powers
    /// of two
    #[arg(long, value_name = "BYTES", conflicts_with = "free", value_parser = amount)]
    want: Option<Amount>,
    /// With --want, what puts blocks in a group, as in `arenascope holders`
    #[arg(long, value_name = "KEY", requires = "want")]
    by: Option<Key>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How much is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Amount {
    Bytes(u64),
    /// Hundredths of what is held.
    Percent(u64),
}

impl Amount {
    fn of(self, census: &Census) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let held = census.held_bytes();
                held / 100 * percent
            }
        }
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent = percent.trim().parse().ok().filter(|percent| (1..=100).contains(percent));
        return percent.map(Amount::Percent).ok_or_else(|| "write a share from 1% to 100%".to_owned());
    }
    bytes_of(text).map(Amount::Bytes).map_err(|error| format!("{error}, or a share such as 25%"))
}

/// Bytes as a person writes them.
pub(super) fn bytes_of(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "write bytes, such as 1048576, 64K, 500M or 2G".to_owned())
}

#[derive(Serialize)]
struct Report<'a> {
    step: u64,
    placed: &'static str,
    trust: Option<f64>,
    returned_bytes: u64,
    reusable_bytes: u64,
    c_library_bytes: u64,
    blocks: u64,
    block_bytes: u64,
    arenas: &'a [u64],
    kept_empty: &'a [u64],
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    free: Option<Vec<Row<'a>>>,
    query_ms: f64,
}

#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    blocks: u64,
    bytes: u64,
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let mut moment = args.moment.reach()?;
    let shown = args.moment.shown();
    let begun = Instant::now();
    let census = moment.census();
    let Moment { inquiry, machine, .. } = &moment;
    let want = args.want.map(|want| want.of(&census));
    let (holders, groups, forecast) = if let Some(want) = want {
        let key = key(args.by, None, &moment, &shown)?;
        let holders = inquiry.holders(&census, key, Rule::Sole);
        let (groups, forecast) = inquiry.want(machine, &census, &holders, want);
        (Some(holders), groups, forecast)
    } else {
        let chosen = inquiry.chosen(&census, &args.free).with_context(|| shown.clone())?;
        (None, Vec::new(), inquiry.forecast(machine, &census, &chosen))
    };
    let query_ms = elapsed_ms(begun);
    let named: Vec<_> = holders
        .iter()
        .flat_map(|holders| groups.iter().map(|group| &holders.groups[*group as usize]))
        .collect();
    let mut out = super::super::output::reported();
    if args.json {
        let row =
            |group: &&'_ session::diagnosis::Group| (group.label.key.clone(), group.blocks, group.bytes);
        let rows: Vec<_> = named.iter().map(row).collect();
        let free = args.want.map(|_| {
            rows.iter().map(|(key, blocks, bytes)| Row { key, blocks: *blocks, bytes: *bytes }).collect()
        });
        let report = Report {
            step: census.step,
            placed: census.placed.name(),
            trust: moment.trust,
            returned_bytes: forecast.returned_bytes,
            reusable_bytes: forecast.reusable_bytes,
            c_library_bytes: forecast.c_library_bytes,
            blocks: forecast.blocks,
            block_bytes: forecast.block_bytes,
            arenas: &forecast.arenas,
            kept_empty: &forecast.kept_empty,
            exact: forecast.exact,
            free,
            query_ms,
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", moment.heading(&census))?;
    writeln!(out, "{}", Moment::held(&census))?;
    if let Some(want) = want {
        let enough = forecast.returned_bytes >= want;
        let all =
            if enough { String::new() } else { format!("not {}, but all that there is: ", bytes(want)) };
        writeln!(out, "{all}free these {}:", count(named.len() as u64, "group"))?;
        for group in &named {
            let label = printable(&group.label.to_string()).into_owned();
            writeln!(out, "  {:>12} blocks {:>12}  {label}", grouped(group.blocks), bytes(group.bytes))?;
        }
    }
    for sentence in sentences(&forecast) {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

/// What comes of it, in sentences.
pub(super) fn sentences(forecast: &Forecast) -> Vec<String> {
    let mut all = vec![format!(
        "freeing {} ({}) gives {} back to the system: {}{}",
        count(forecast.blocks, "block"),
        bytes(forecast.block_bytes),
        bytes(forecast.returned_bytes),
        count(forecast.arenas.len() as u64, "arena"),
        if forecast.exact { "" } else { ", of which one may be kept" }
    )];
    if !forecast.arenas.is_empty() {
        all.push(format!("arenas that go: {}", ranges(&forecast.arenas)));
    }
    if !forecast.kept_empty.is_empty() {
        let kept = ranges(&forecast.kept_empty);
        all.push(format!("arena {kept} would be empty and is kept, as the last one that has room"));
    }
    if forecast.reusable_bytes > 0 {
        let reusable = bytes(forecast.reusable_bytes);
        all.push(format!("{reusable} stay in arenas that others hold, for new blocks"));
    }
    if forecast.c_library_bytes > 0 {
        let c_library = bytes(forecast.c_library_bytes);
        all.push(format!("{c_library} go to the C library, which may keep them"));
    }
    all
}

/// Numbers in order, rows of them by their ends: `0-3, 7`.
fn ranges(numbers: &[u64]) -> String {
    let mut text: Vec<String> = Vec::new();
    let mut rest = numbers;
    while let [first, ..] = rest {
        let row = rest.iter().zip(*first..).take_while(|(number, expected)| **number == *expected).count();
        let last = first + row as u64 - 1;
        text.push(if row == 1 { first.to_string() } else { format!("{first}-{last}") });
        rest = &rest[row..];
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_ranges_are_as_people_write_them() {
        assert_eq!(amount("64K"), Ok(Amount::Bytes(65_536)));
        assert_eq!(amount("1,000"), Ok(Amount::Bytes(1000)));
        assert_eq!(amount("2GB"), Ok(Amount::Bytes(2 << 30)));
        assert_eq!(amount("25%"), Ok(Amount::Percent(25)));
        assert!(amount("0%").is_err() && amount("101%").is_err());
        assert!(amount("much").is_err() && amount("99999999999999999999").is_err() && amount("").is_err());
        assert!(amount("18446744073709551615K").is_err());
        assert_eq!(ranges(&[0, 1, 2, 7, 9, 10]), "0-2, 7, 9-10");
        assert_eq!(ranges(&[]), "");
    }
}
