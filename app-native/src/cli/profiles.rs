//! `arenascope profiles`: the presets with their constants.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use sim_core::Profile;
use sim_core::profile::{KEYS, PRESETS};

use super::output;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    description: &'static str,
    fields: BTreeMap<&'static str, String>,
    pool_overhead: u64,
    size_classes: u16,
    max_pools_in_arena: u32,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut entries = Vec::new();
    for &(name, description) in PRESETS {
        let profile = Profile::named(name)?;
        entries.push(Entry {
            name,
            description,
            fields: KEYS.iter().filter_map(|k| Some((k.0, profile.get(k.0)?))).collect(),
            pool_overhead: profile.pool_overhead(),
            size_classes: profile.nb_small_size_classes(),
            max_pools_in_arena: profile.max_pools_in_arena(),
        });
    }
    if args.json {
        return output::json(&BTreeMap::from([("profiles", entries)]));
    }
    let mut out = output::reported();
    for entry in &entries {
        writeln!(out, "{}\n    {}", entry.name, entry.description)?;
        writeln!(
            out,
            "    arena_size={} pool_size={} alignment={} small_request_threshold={} pools an arena={} classes={} header={}",
            entry.fields["arena_size"],
            entry.fields["pool_size"],
            entry.fields["alignment"],
            entry.fields["small_request_threshold"],
            entry.max_pools_in_arena,
            entry.size_classes,
            entry.pool_overhead
        )?;
        let field = |key: &str| &entry.fields[key];
        if field("mimalloc") != "none" {
            write!(out, "    mimalloc={} free_threaded={}", field("mimalloc"), field("free_threaded"))?;
            write!(out, " mimalloc_raw={} main_thread={}", field("mimalloc_raw"), field("main_thread"))?;
            if field("free_threaded") == "true" {
                write!(out, " qsbr={} qsbr_slots={}", field("qsbr"), field("qsbr_slots"))?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "\nFields that --set changes:")?;
    for (key, takes) in KEYS {
        writeln!(out, "    {key:<24} {takes}")?;
    }
    Ok(())
}
