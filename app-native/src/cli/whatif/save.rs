//! `whatif --save`: the fewest sites without which so much less is held at the end.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use session::Setup;
use session::whatif::{Fewest, FewestError, without};
use sim_core::Trace;

use crate::cli::cores;
use crate::cli::input;
use crate::cli::output::{self, count};

#[derive(Serialize)]
struct Report {
    trace: String,
    /// In one sentence.
    answer: String,
    wanted_bytes: u64,
    saved_bytes: u64,
    reached: bool,
    /// Bytes of arenas at the end, with all sites and without these.
    base_bytes: u64,
    left_bytes: u64,
    sites: Vec<Site>,
    runs: u64,
}

#[derive(Serialize)]
struct Site {
    site: String,
    blocks: u64,
}

pub(super) fn run(trace: &Trace, setup: &Setup, wanted: u64, json: bool) -> Result<()> {
    let mut search = Fewest::new(trace, setup, wanted)?;
    let bar = input::progress_bar(None, "runs without sites");
    loop {
        let tries = search.tries();
        if tries.is_empty() {
            break;
        }
        let left = cores::each(&tries, |sites| {
            let left = without(trace, setup, sites);
            bar.inc(1);
            left
        });
        search.take(&left.into_iter().collect::<Result<Vec<u64>, FewestError>>()?);
    }
    bar.finish_and_clear();
    let sites: Vec<Site> =
        search.chosen().into_iter().map(|of| Site { site: of.site, blocks: of.blocks }).collect();
    let report = Report {
        trace: trace.head.name.clone(),
        answer: search.answer(),
        wanted_bytes: wanted,
        saved_bytes: search.saved_bytes(),
        reached: search.reached(),
        base_bytes: search.base_bytes(),
        left_bytes: search.base_bytes().saturating_sub(search.saved_bytes()),
        sites,
        runs: search.runs(),
    };
    if json {
        return output::json(&report);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n", report.answer)?;
    for site in &report.sites {
        writeln!(out, "  {:<16}  site={}", count(site.blocks, "block"), site.site)?;
    }
    writeln!(
        out,
        "\nfound greedily with {}; blocks are those in arenas at the end",
        count(report.runs, "run")
    )?;
    Ok(())
}
