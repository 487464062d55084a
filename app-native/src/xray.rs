//! A picture of a process, for the command line and for the window.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use sim_core::picture::PictureSource;
use sim_core::{Trace, TraceBuilder};
use xray::image::edges::Edges;
use xray::image::inventory::{Pages, process_picture};
use xray::image::owners::Owners;
use xray::image::parts::parts;
use xray::image::picture::version_of;
use xray::image::reach::Reach;
use xray::image::summary::Summary;
use xray::image::verdict::{Evidence, Finding, findings};
use xray::image::{Part, Picture};
use xray::source::{Copy, Progress, Target, copy_family};

/// How often a process is stopped again where it was in the middle of malloc or free.
const TRIES: u32 = 5;
/// How long it runs in between.
const BETWEEN: Duration = Duration::from_millis(3);

/// A copy and what it shows.
pub(crate) struct Seen {
    pub(crate) shown: String,
    pub(crate) pid: Option<i32>,
    /// Of a core what is resident is all that was mapped.
    pub(crate) copy: Copy,
    pub(crate) picture: Picture,
    pub(crate) stops: u32,
    /// Whether it ran on meanwhile.
    pub(crate) ran: bool,
    /// The core's file without its folders; empty for a process.
    pub(crate) core: String,
}

/// A picture, of a moment at which no pool was being changed where there is such a one. `tell` hears how much is copied.
pub(crate) fn look(pid: i32, stop: bool, tell: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Seen> {
    look_together(&[pid], stop, tell)?.pop().with_context(|| format!("process {pid} was not copied"))
}

/// Pictures of several processes at one moment.
pub(crate) fn look_together(
    pids: &[i32],
    stop: bool,
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Seen>> {
    let targets: Vec<Target> = pids.iter().map(|pid| python(*pid)).collect::<Result<_>>()?;
    let mut stops = 1;
    loop {
        let copies = copy_family(&targets, stop, tell)?;
        let mut all = Vec::new();
        for (target, copy) in targets.iter().zip(copies) {
            let shown = format!("process {}", target.pid());
            let version = version_of(&copy.memory).with_context(|| shown.clone())?;
            let picture = Picture::of(&copy.memory, version).with_context(|| shown.clone())?;
            let pid = Some(target.pid());
            all.push(Seen { shown, pid, copy, picture, stops, ran: !stop, core: String::new() });
        }
        if !stop || stops == TRIES || all.iter().all(|seen| seen.picture.pools.in_flight() == 0) {
            return Ok(all);
        }
        stops += 1;
        thread::sleep(BETWEEN);
    }
}

/// A process that is a `CPython`. Asked before any is stopped and copied for nothing.
fn python(pid: i32) -> Result<Target> {
    let target = Target::open(pid)?;
    if target.python()?.is_none() {
        bail!(
            "process {pid} is no CPython: nothing that it has mapped is named as one is (python3.X, libpython3.X.so, an extension module)"
        );
    }
    Ok(target)
}

/// What was found in a copy.
pub(crate) struct Found {
    pub(crate) parts: Vec<Part>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) summary: Summary,
}

impl Seen {
    /// Whether it is a core's.
    pub(crate) fn is_core(&self) -> bool {
        !self.core.is_empty()
    }

    /// Where the picture comes from; `contents` says whether keys of dicts are shown.
    #[expect(clippy::disallowed_methods, reason = "a picture says when it was taken")]
    fn source(&self, contents: bool) -> PictureSource {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        PictureSource {
            python: format!("3.{}", self.picture.version.minor),
            pid: self.pid.unwrap_or_default().cast_unsigned(),
            core: self.core.clone(),
            taken_s: now.map_or(0, |now| now.as_secs()),
            pause_us: u64::try_from(self.copy.pause.as_micros()).unwrap_or(u64::MAX),
            resident_bytes: self.copy.rss_bytes,
            approximate: self.ran || self.picture.pools.in_flight() > 0,
            contents,
        }
    }

    /// What it comes to.
    pub(crate) fn found(&self, edges: &Edges<'_>, owners: &Owners, reach: &Reach) -> Found {
        let Copy { memory, rss_bytes, resident, .. } = &self.copy;
        let summary = Summary::of(edges, owners, reach);
        let parts = parts(memory, resident, &self.picture);
        let findings = findings(&Evidence::of(*rss_bytes, resident, &self.picture, &parts, &summary));
        Found { parts, findings, summary }
    }

    /// A trace that is nothing but the picture, whose references were followed; `contents` says whether keys of dicts are shown.
    pub(crate) fn trace(
        &self,
        edges: &Edges<'_>,
        owners: &Owners,
        reach: &Reach,
        found: &Found,
        contents: bool,
    ) -> Result<Trace> {
        let Copy { resident, private, .. } = &self.copy;
        let Found { parts, findings, .. } = found;
        let pages = Pages { parts, findings, resident: resident.clone(), private: private.clone() };
        let picture = process_picture(edges, owners, reach, &pages, self.source(contents))
            .with_context(|| format!("{} cannot be gone on from", self.shown))?;
        let mut tape = TraceBuilder::new(&self.shown);
        tape.trace_mut().head.profile = Some(self.picture.profile().name);
        tape.begin_with(Arc::new(picture))?;
        Ok(tape.finish())
    }
}
