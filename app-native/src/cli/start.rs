//! `replay --start`: blocks that were there before the recording began.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use sim_core::machine::{StartClass, StartPicture};
use sim_core::{Machine, Profile, Trace};
use trace_io::stats_text::StatsText;
use trace_io::{Loaded, TraceError};

use super::input;
use super::output::grouped;

/// What the run began with.
#[derive(Serialize)]
pub(super) struct StartReport {
    blocks: u64,
    pools: u64,
    /// Pools of the arenas that no class had.
    unused_pools: u64,
    arenas: u64,
    /// Frees and moves of blocks that the recording has not seen, among them of these. They are skipped.
    unknown_frees: u64,
}

impl StartReport {
    /// Begins with the picture in a text of `sys._debugmallocstats()`.
    pub(super) fn begin(machine: &mut Machine, path: &Path, profile: &Profile) -> Result<Self> {
        let shown = path.display();
        // What is no trace and no picture either is not the text that was asked for.
        let stats = match input::load(path, None).map_err(anyhow::Error::downcast::<TraceError>) {
            Ok(Loaded::Picture(stats)) => stats,
            Err(Err(other)) => return Err(other),
            Ok(Loaded::Trace(..)) | Err(Ok(_)) => {
                bail!(
                    "{shown} is not the text of sys._debugmallocstats(); print it where the recording begins"
                )
            }
        };
        ensure!(!stats.is_mimalloc(), "{shown} shows mimalloc's heap; a start is for runs on pymalloc");
        if let Some(doubt) = stats.doubts().first() {
            bail!("{shown} is no whole picture: {doubt}");
        }
        let sizes = [stats.arenas(), stats.unused_pools()].map(|s| s.map(|(_, bytes)| bytes));
        for (what, said, has) in
            [("arenas", sizes[0], profile.arena_size), ("pools", sizes[1], profile.pool_size)]
        {
            ensure!(
                said.is_none_or(|said| said == has),
                "{shown} has {what} of {} bytes, {} has {has}; choose the interpreter's own with --profile",
                said.unwrap_or(0),
                profile.name
            );
        }
        let picture = picture(&stats);
        machine.start_with(&picture).with_context(|| shown.to_string())?;
        Ok(Self {
            blocks: picture.blocks(),
            pools: picture.pools(),
            unused_pools: picture.unused_pools,
            arenas: machine.pymalloc().counters().narenas_currently_allocated,
            unknown_frees: 0,
        })
    }

    /// Adds what the whole trace came to.
    pub(super) fn after(mut self, trace: &Trace) -> Self {
        let doubt = &trace.origin.source.doubt;
        self.unknown_frees = doubt.unknown_frees + doubt.unknown_reallocs;
        self
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "  start      {} blocks in {} pools of {} arenas, spread evenly, as their places are not known; \
             {} frees and moves of blocks never seen are skipped",
            grouped(self.blocks),
            grouped(self.pools),
            grouped(self.arenas),
            grouped(self.unknown_frees)
        )
    }
}

fn picture(stats: &StatsText) -> StartPicture {
    let class =
        |c: &trace_io::stats_text::ClassRow| StartClass { size: c.size, pools: c.pools, in_use: c.in_use };
    StartPicture {
        classes: stats.classes.iter().map(class).collect(),
        unused_pools: stats.unused_pools().map_or(0, |(count, _)| count),
    }
}
