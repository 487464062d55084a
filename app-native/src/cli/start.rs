//! `replay --start`: blocks that were there before the recording began.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;
use sim_core::machine::StartPicture;
use sim_core::{Machine, Trace};
use trace_io::stats_text::StatsText;
use trace_io::{Loaded, TraceError};

use super::input;
use super::output::{count, grouped};

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
    /// What the run began with.
    pub(super) fn of(picture: &StartPicture, machine: &Machine) -> Self {
        Self {
            blocks: picture.blocks(),
            pools: picture.pools(),
            unused_pools: picture.unused_pools,
            arenas: machine.pymalloc().counters().narenas_currently_allocated,
            unknown_frees: 0,
        }
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
            "  start      {} in {} of {}, spread evenly, as their places are not known; \
             {} frees and moves of blocks never seen are skipped",
            count(self.blocks, "block"),
            count(self.pools, "pool"),
            count(self.arenas, "arena"),
            grouped(self.unknown_frees)
        )
    }
}

/// The text of `sys._debugmallocstats()` in a file.
pub(super) fn read(path: &Path) -> Result<StatsText> {
    // What is no trace and no picture either is not the text that was asked for.
    match input::load(path, None).map_err(anyhow::Error::downcast::<TraceError>) {
        Ok(Loaded::Picture(stats)) => Ok(*stats),
        Err(Err(other)) => Err(other),
        Ok(Loaded::Trace(..) | Loaded::Account(_)) | Err(Ok(_)) => bail!(
            "{} is not the text of sys._debugmallocstats(); print it where the recording begins",
            path.display()
        ),
    }
}
