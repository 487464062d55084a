//! A picture of a process, for the command line and for the window.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use sim_core::picture::{PictureSource, ProcessPicture};
use sim_core::{Trace, TraceBuilder};
use xray::image::Picture;
use xray::image::picture::version_of;
use xray::source::{Copy, copy};

/// How often a process is stopped again where it was in the middle of malloc or free.
const TRIES: u32 = 5;
/// How long it runs in between.
const BETWEEN: Duration = Duration::from_millis(3);

/// A copy and what it shows.
pub(crate) struct Seen {
    pub(crate) shown: String,
    pub(crate) pid: i32,
    pub(crate) copy: Copy,
    pub(crate) picture: Picture,
    pub(crate) stops: u32,
    /// Whether it ran on meanwhile.
    pub(crate) ran: bool,
}

/// A picture, of a moment at which no pool was being changed where there is such a one.
pub(crate) fn look(pid: i32, stop: bool) -> Result<Seen> {
    let shown = || format!("process {pid}");
    let mut stops = 1;
    loop {
        let copy = copy(pid, stop)?;
        let version = version_of(&copy.memory).with_context(shown)?;
        let picture = Picture::of(&copy.memory, version).with_context(shown)?;
        if picture.pools.in_flight() == 0 || !stop || stops == TRIES {
            return Ok(Seen { shown: shown(), pid, copy, picture, stops, ran: !stop });
        }
        stops += 1;
        thread::sleep(BETWEEN);
    }
}

impl Seen {
    /// Where the picture comes from; `contents` says whether keys of dicts are shown.
    pub(crate) fn source(&self, contents: bool) -> PictureSource {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        PictureSource {
            python: format!("3.{}", self.picture.version.minor),
            pid: self.pid.cast_unsigned(),
            core: String::new(),
            taken_s: now.map_or(0, |now| now.as_secs()),
            pause_us: u64::try_from(self.copy.pause.as_micros()).unwrap_or(u64::MAX),
            resident_bytes: self.copy.rss_bytes,
            approximate: self.ran || self.picture.pools.in_flight() > 0,
            contents,
        }
    }

    /// A trace that is nothing but the picture.
    pub(crate) fn trace(&self, picture: ProcessPicture) -> Result<Trace> {
        let mut tape = TraceBuilder::new(&self.shown);
        tape.trace_mut().head.profile = Some(self.picture.profile().name);
        tape.begin_with(Arc::new(picture))?;
        Ok(tape.finish())
    }
}
