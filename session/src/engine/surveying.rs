//! Runs along whole tapes that nobody watches, one after the other and a slice at a time: the verdict of what is open, and the
//! figures of what is compared with it.

use std::sync::Arc;
use std::time::Duration;

use sim_core::Trace;
use web_time::Instant;

use crate::diagnosis::survey::Point;
use crate::diagnosis::{Placed, SharedLayout, Surveyor, verdict};
use crate::setup::Setup;
use crate::view::findings::{Findings, Judged, Surveying};

use super::Engine;

/// Which run: a trace, under what, on which heap.
#[derive(Clone)]
pub(super) struct Of {
    pub(super) trace: Arc<Trace>,
    pub(super) setup: Setup,
    pub(super) placed: Placed,
    pub(super) layout: SharedLayout,
    /// The share of blocks that lie where they were recorded, where that is known.
    pub(super) trust: Option<f64>,
}

impl Of {
    /// Whether the runs are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trace, &other.trace) && self.setup == other.setup && self.placed == other.placed
    }
}

/// What a run came to.
pub(super) struct Surveyed {
    pub(super) of: Of,
    pub(super) found: Result<Found, String>,
}

/// The same where it got to the end.
pub(super) struct Found {
    pub(super) findings: Findings,
    pub(super) points: Vec<Point>,
    pub(super) arenas_highwater: u64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Surveys {
    done: Vec<Surveyed>,
    running: Option<(Of, Box<Surveyor>)>,
    stopped: bool,
    /// The run that somebody asked for of a trace that goes on, as it was then.
    demanded: Option<Of>,
    /// What was found of the beginning of a trace that goes on.
    earlier: Option<Findings>,
    /// Raised whenever something is found or forgotten, and what a front has been told by that.
    number: u64,
    told: (u64, Placed),
}

impl Surveys {
    /// Runs that are kept.
    const KEPT: usize = 64;

    pub(super) fn of(&self, of: &Of) -> Option<&Surveyed> {
        self.done.iter().find(|done| done.of.is(of))
    }

    /// Goes on with a run, or begins it; true once it is done.
    pub(super) fn advance(&mut self, of: &Of, slice: Duration) -> bool {
        if self.of(of).is_some() {
            return true;
        }
        let running = self.running.take().filter(|(running, _)| running.is(of));
        let begin = || {
            let Of { trace, setup, placed, layout, trust } = of.clone();
            let surveyor = Surveyor::on(trace, setup, placed, layout)?;
            Ok(Box::new(if trust.is_some() { surveyor.knowing(trust) } else { surveyor }))
        };
        let begun: Result<_, crate::setup::SetupError> =
            running.map_or_else(begin, |(_, running)| Ok(running));
        let found = match begun {
            Err(error) => Err(error.to_string()),
            Ok(mut surveyor) => {
                let begun = Instant::now();
                while !surveyor.advance() {
                    if begun.elapsed() >= slice {
                        self.running = Some((of.clone(), surveyor));
                        return false;
                    }
                }
                let found = surveyor.finish();
                let verdict = verdict::of_run(&found.survey, &found.doubts);
                let operations = of.trace.len();
                Ok(Found {
                    findings: Findings { placed: of.placed, operations, verdict },
                    arenas_highwater: found.survey.arenas_highwater,
                    points: found.survey.points,
                })
            }
        };
        self.number += 1;
        if self.demanded.take_if(|demanded| demanded.is(of)).is_some()
            && let Ok(found) = &found
        {
            self.earlier = Some(found.findings.clone());
        }
        self.done.push(Surveyed { of: of.clone(), found });
        if self.done.len() > Self::KEPT {
            self.done.remove(0);
        }
        true
    }

    /// Whether somebody stopped them.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// How far the run is that is under way.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        self.running.as_ref().map(|(_, surveyor)| surveyor.progress())
    }

    /// Forgets all but what is of some traces.
    pub(super) fn keep(&mut self, traces: &[Arc<Trace>]) {
        let kept = |of: &Of| traces.iter().any(|trace| Arc::ptr_eq(trace, &of.trace));
        self.done.retain(|done| kept(&done.of));
        self.running.take_if(|(of, _)| !kept(of));
        self.forget_earlier();
    }

    /// The trace that is open goes on: what is known of it is known of its beginning.
    pub(super) fn grow(&mut self) {
        if let Some(Ok(found)) = self.done.pop().map(|done| done.found) {
            self.earlier = Some(found.findings);
        }
        self.done.clear();
        self.number += 1;
    }

    /// Another trace is open, or under another profile.
    pub(super) fn forget_earlier(&mut self) {
        (self.demanded, self.earlier, self.stopped) = (None, None, false);
        self.number += 1;
    }
}

impl Engine {
    /// The run that tells what became of the memory of what is open.
    pub(super) fn own_survey(&self) -> Option<Of> {
        let session = self.session.as_ref()?;
        let known = session.overview().complete();
        Some(Of {
            trace: Arc::clone(session.trace()),
            setup: session.setup().ok()?,
            placed: self.placed(),
            layout: self.placing.layout().clone(),
            trust: session.trust().filter(|_| known).and_then(|trust| trust.total().share()),
        })
    }

    /// The verdict that is looked at, where it is known: of a trace that goes on that of its beginning.
    fn own_findings(&self) -> Option<&Findings> {
        let exact = self.surveys.of(&self.own_survey()?).and_then(|done| done.found.as_ref().ok());
        exact.map(|found| &found.findings).or(self.surveys.earlier.as_ref())
    }

    /// What is to be run next, for the verdict and then for what is compared.
    fn next_survey(&self) -> Option<Of> {
        let session = self.session.as_ref()?;
        let at_rest = !session.travels() && !session.playback.playing;
        let opens = self.loading.is_some() && !self.growing;
        if !at_rest || self.surveys.stopped || opens {
            return None;
        }
        if let Some(demanded) = &self.surveys.demanded {
            return Some(demanded.clone());
        }
        if self.growing || !session.overview().complete() {
            return None;
        }
        let own = (self.look.findings && self.surveys.earlier.is_none()).then(|| self.own_survey()).flatten();
        own.into_iter().chain(self.compared_surveys()).find(|of| self.surveys.of(of).is_none())
    }

    /// Whether a run over a whole tape goes on.
    pub(super) fn surveys(&self) -> bool {
        self.next_survey().is_some()
    }

    pub(super) fn survey(&mut self, slice: Duration) {
        if let Some(of) = self.next_survey() {
            self.surveys.advance(&of, slice);
        }
    }

    /// Stops runs over whole tapes.
    pub(super) fn stop_surveys(&mut self) {
        self.surveys.stopped |= self.surveys() || self.next_side().is_some();
    }

    /// Goes on with runs that were stopped; of a trace that goes on the verdict is found anew.
    pub(super) fn judge(&mut self) {
        self.surveys.stopped = false;
        if self.growing || self.surveys.earlier.is_some() {
            self.surveys.demanded = self.own_survey();
        }
    }

    /// The verdict, if it is another than the front was told; with `all` in any case.
    pub(super) fn judged(&mut self, all: bool) -> Option<Judged> {
        let now = (self.surveys.number, self.placed());
        if !self.look.findings || self.surveys.told == now && !all {
            return None;
        }
        self.surveys.told = now;
        Some(Judged { findings: self.own_findings().cloned().map(Box::new) })
    }

    /// How far such runs are.
    pub(super) fn surveying(&self) -> Surveying {
        let looked = self.look.findings || self.look.compare.is_some();
        let Some(session) = self.session.as_ref().filter(|_| looked) else { return Surveying::Nothing };
        if let Some(of) = self.next_survey() {
            let (done, all) = self.surveys.progress().unwrap_or((0, of.trace.len()));
            return Surveying::Runs(of.trace.head.name.clone(), done, all);
        }
        if self.surveys.stopped {
            return Surveying::Stopped;
        }
        if let Some((name, done, all)) = self.comparing.progress().filter(|_| self.next_side().is_some()) {
            return Surveying::Runs(name, done, all);
        }
        let own = self.own_survey();
        let known = own.as_ref().and_then(|own| self.surveys.of(own)).map(|done| &done.found);
        match (known, &self.surveys.earlier) {
            (Some(Err(why)), _) => Surveying::Failed(why.clone()),
            (Some(Ok(_)), _) => Surveying::Nothing,
            (None, _) if !self.look.findings => Surveying::Nothing,
            (None, Some(earlier)) if earlier.operations == session.len() => Surveying::Nothing,
            (None, earlier) if self.growing || earlier.is_some() => Surveying::OnDemand,
            (None, _) => Surveying::Waits,
        }
    }
}
