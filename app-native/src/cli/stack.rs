//! What a replay tells of the layers: logs, hooks, interpreters, snapshots.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sim_core::arena::ArenaBackend as _;
use sim_core::machine::Layers;
use sim_core::tracemalloc::{
    BaseFilter, DomainFilter, Filter, KeyType, NamedTraceback, Snapshot, Tracemalloc,
};
use sim_core::{Machine, Profile};

use super::output::count;

/// What there is to tell beyond pymalloc; nothing of it for a plain run.
#[derive(Serialize)]
pub(super) struct StackReport {
    /// The last calls of logging tables, oldest first, each with its table's number from 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logged_calls: Vec<LoggedLine>,
    /// A scenario's own arena hooks in the order they were installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arena_hooks: Vec<HookLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreters: Option<InterpreterReport>,
}

#[derive(Serialize)]
struct LoggedLine {
    table: u16,
    number: u64,
    call: String,
}

#[derive(Serialize)]
struct HookLine {
    hook: String,
    alloc_calls: u64,
    free_calls: u64,
    arena_alloc_calls: u64,
    arena_free_calls: u64,
}

#[derive(Serialize)]
struct InterpreterReport {
    running: u32,
    state_of: u32,
    /// Numbers of the others; true for those with a pymalloc state of their own.
    others: BTreeMap<u32, bool>,
    leaked_blocks: i64,
    leaked_arenas: u64,
}

impl StackReport {
    pub(super) fn of(machine: &Machine) -> Self {
        let log = machine.layers().map(Layers::log);
        let hooks = machine.pymalloc().memory().hooks().map_or(&[][..], |h| h.user());
        Self {
            logged_calls: log
                .into_iter()
                .flatten()
                .map(|c| LoggedLine { table: c.table + 1, number: c.number + 1, call: c.to_string() })
                .collect(),
            arena_hooks: hooks
                .iter()
                .map(|hook| HookLine {
                    hook: hook.kind.to_string(),
                    alloc_calls: hook.calls[0],
                    free_calls: hook.calls[1],
                    arena_alloc_calls: hook.arena_calls[0],
                    arena_free_calls: hook.arena_calls[1],
                })
                .collect(),
            interpreters: machine.interpreters().map(|all| InterpreterReport {
                running: all.running(),
                state_of: all.state_of(),
                others: all.others().collect(),
                leaked_blocks: all.leaks(),
                leaked_arenas: all.leaked_arenas(),
            }),
        }
    }

    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        for (at, hook) in self.arena_hooks.iter().enumerate() {
            writeln!(
                out,
                "  arena hook {}: {}; {} alloc, {} free, of which {} and {} of an arena's size",
                at + 1,
                hook.hook,
                hook.alloc_calls,
                hook.free_calls,
                hook.arena_alloc_calls,
                hook.arena_free_calls
            )?;
        }
        if let Some(all) = &self.interpreters {
            writeln!(
                out,
                "  running    interpreter {} in the pymalloc state of {}; {} beside it, {} leaked by ended ones in {} that stay",
                all.running,
                all.state_of,
                all.others.len(),
                count(all.leaked_blocks.unsigned_abs(), "block"),
                count(all.leaked_arenas, "arena")
            )?;
        }
        for line in &self.logged_calls {
            writeln!(out, "  log {:<6} #{} {}", line.table, line.number, line.call)?;
        }
        Ok(())
    }
}

/// What is printed of the snapshots that a trace takes: as `Lib/tracemalloc.py` has it.
#[derive(clap::Args)]
pub(super) struct SnapshotArgs {
    /// Print the statistics of the snapshots that the trace takes with tracemalloc
    #[arg(long)]
    snapshots: bool,
    /// What --snapshots and --compare group by
    #[arg(long, value_name = "KEY", value_parser = key_type, default_value = "lineno")]
    group_by: KeyType,
    /// Credit every frame of a traceback, not only the one that allocated
    #[arg(long)]
    cumulative: bool,
    /// Print how snapshot NEW differs from OLD
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    compare: Option<Vec<String>>,
    /// Look at the traces alone that a filter lets through, as Snapshot.filter_traces() does: PATTERN or PATTERN:LINE, with
    /// `,all_frames` and `,domain=N` behind it, or domain=N; with ! in front those that it does not. Several can be given
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<BaseFilter>,
    /// Print what tracemalloc.get_tracemalloc_memory() returns at the end, in bytes
    #[arg(long)]
    pub(super) tracemalloc_memory: bool,
}

/// A filter as the command line writes it.
fn filter(text: &str) -> Result<BaseFilter, String> {
    let (inclusive, rest) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
    let number = |domain: &str| {
        domain
            .parse::<u32>()
            .map_err(|_| format!("`{domain}` is no domain, which is a number; write domain=0"))
    };
    if let Some(domain) = rest.strip_prefix("domain=") {
        return Ok(DomainFilter { inclusive, domain: number(domain)? }.into());
    }
    let mut parts = rest.split(',');
    let place = parts.next().unwrap_or_default();
    let (pattern, line) = match place.rsplit_once(':') {
        Some((pattern, line)) if line.bytes().all(|b| b.is_ascii_digit()) && !line.is_empty() => {
            let line = line.parse::<u32>().map_err(|_| format!("`{line}` is no line"))?;
            (pattern, Some(line))
        }
        _ => (place, None),
    };
    if pattern.is_empty() {
        return Err("it has no pattern for file names; write '*' for all".to_owned());
    }
    let mut filter = Filter::new(inclusive, pattern).lineno(line);
    for part in parts {
        filter = match part.split_once('=') {
            None if part == "all_frames" => filter.all_frames(true),
            Some(("domain", domain)) => filter.domain(Some(number(domain)?)),
            _ => return Err(format!("`{part}` is neither all_frames nor domain=N")),
        };
    }
    Ok(filter.into())
}

pub(super) fn key_type(text: &str) -> Result<KeyType, String> {
    text.parse().map_err(|e| format!("{e}; write lineno, filename or traceback"))
}

impl SnapshotArgs {
    /// Bytes of tracemalloc's tables, where they are asked for.
    pub(super) fn memory(&self, machine: Option<&Machine>, profile: &Profile) -> Option<u64> {
        let tracemalloc = machine.and_then(Machine::layers).map(Layers::tracemalloc);
        // A run that never traces has the tables of one that is off.
        let off = || Tracemalloc::new(profile.pointer_bytes, profile.tracemalloc).get_tracemalloc_memory();
        self.tracemalloc_memory.then(|| tracemalloc.map_or_else(off, Tracemalloc::get_tracemalloc_memory))
    }

    /// `statistics()` of each snapshot, by name.
    pub(super) fn statistics(
        &self,
        machine: Option<&Machine>,
    ) -> Result<Option<BTreeMap<String, Vec<String>>>> {
        if !self.snapshots {
            if !self.filter.is_empty() && self.compare.is_none() {
                super::usage_error("--filter is for --snapshots and --compare");
            }
            return Ok(None);
        }
        let all = machine.and_then(Machine::layers).map(Layers::snapshots);
        let statistics: Result<_> = all
            .into_iter()
            .flatten()
            .map(|(name, snapshot)| {
                let statistics =
                    snapshot.filter_traces(&self.filter).statistics(self.group_by, self.cumulative)?;
                let lines = statistics.iter().flat_map(|s| self.lines(s.to_string(), &s.traceback));
                Ok((name.clone(), lines.collect()))
            })
            .collect();
        statistics.map(Some)
    }

    /// `new.compare_to(old)` of the two names.
    pub(super) fn compare(&self, machine: Option<&Machine>) -> Result<Option<Vec<String>>> {
        let Some([old, new]) = self.compare.as_deref() else { return Ok(None) };
        let find = |name: &String| -> Result<&Snapshot> {
            let all = machine.and_then(Machine::layers).map(Layers::snapshots);
            all.and_then(|all| all.get(name)).map(std::convert::AsRef::as_ref).with_context(|| {
                let known: Vec<&str> = all.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                format!("the trace takes no snapshot `{name}` up to here; it takes: {}", known.join(", "))
            })
        };
        let filtered = |name| Ok::<_, anyhow::Error>(find(name)?.filter_traces(&self.filter));
        let diffs = filtered(new)?.compare_to(&filtered(old)?, self.group_by, self.cumulative)?;
        Ok(Some(diffs.iter().flat_map(|d| self.lines(d.to_string(), &d.traceback)).collect()))
    }

    /// A statistic, followed by its frames where it is a whole traceback.
    fn lines(&self, text: String, traceback: &NamedTraceback) -> Vec<String> {
        let mut lines = vec![text];
        if self.group_by == KeyType::Traceback {
            lines.extend(traceback.format(None, false, |_, _| None));
        }
        lines
    }
}
