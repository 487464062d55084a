//! The part of [`Engine`] that tells a front what is new.

use crate::analysis::owner::Owner;
use crate::place::Place;
use crate::real::Real;
use crate::run::Session;
use crate::view::{Curves, Finding, Head, Hint, Opening, Picture, Sources, Status, Travel, Update};

use super::Engine;
use super::lessons::Taught;

/// What was told last.
#[derive(Default)]
pub(super) struct Told {
    /// Whether the front knows which trace is open, under which profile.
    pub(super) head: bool,
    /// Something was ordered or looked at since the last picture.
    pub(super) stale: bool,
    /// The same since the last update: a front that said something gets an answer.
    pub(super) asked: bool,
    known: u64,
    made_of: Option<MadeOf>,
    status: Status,
}

/// What a picture depends on that changes by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MadeOf {
    revision: u64,
    owner: Option<Owner>,
    /// Operations that the filter found, and whether it is done.
    found: (usize, bool),
    /// The share of the trace that has been counted, and whether that is done.
    counted: (u64, bool),
}

impl Engine {
    /// Whether an update would bring the picture that somebody waits for, after an order or for a new trace.
    pub fn answers(&self) -> bool {
        let waited_for = self.told.stale || !self.told.head;
        waited_for && self.session.as_ref().is_some_and(|session| !session.travels())
    }

    /// What is new since the last call, if anything is; with `progress` also when it is no more than that. During a seek
    /// the state is none to be shown, so that the last picture stays.
    pub fn update(&mut self, progress: bool) -> Option<Update> {
        self.place_blocks();
        let status = self.status();
        let (mut head, mut curves, mut picture) = (None, None, None);
        let made_of = self.made_of();
        if let Some(session) = &self.session {
            if !session.travels() && (self.told.stale || self.told.made_of != made_of) {
                if !self.told.head {
                    self.told.head = true;
                    self.told.known = u64::MAX;
                    head = Some(Box::new(Head::of(session)));
                }
                self.told.stale = false;
                self.told.made_of = made_of;
                let sources = Sources {
                    recorded: self.placing.recorded(),
                    look: &self.look,
                    lesson: self.taught.as_ref().and_then(Taught::view),
                    quiz: self.taught.as_ref().and_then(Taught::quiz_view),
                    selection: &self.selection,
                    kept: &self.kept,
                    filter: &self.filter,
                    contents: &self.contents,
                    statistics: &mut self.statistics,
                    painting: &mut self.painting,
                };
                picture = Some(Box::new(Picture::of(session, sources)));
            }
            let known = session.overview().known();
            if self.told.head && self.told.known != known && (progress || head.is_some()) {
                self.told.known = known;
                curves = Some(Box::new(Curves::of(session.overview())));
            }
        }
        let (copied, saved, still) = (self.copied.take(), self.saved.take(), self.still.take());
        // Never before the picture that it belongs to.
        let travels = self.session.as_ref().is_some_and(Session::travels);
        let held = if travels { None } else { self.held() };
        let tried = if travels { None } else { self.tried() };
        let anew = head.is_some();
        let judged = if travels { None } else { self.judged(anew) };
        let compared = if travels { None } else { self.compared(anew) };
        let brings = judged.is_some() || compared.is_some() || tried.is_some();
        let changed = brings || head.is_some() || curves.is_some() || picture.is_some() || held.is_some();
        let asked = std::mem::take(&mut self.told.asked);
        if !asked
            && !changed
            && copied.is_none()
            && saved.is_none()
            && still.is_none()
            && !(progress && status != self.told.status)
        {
            return None;
        }
        self.told.status = status.clone();
        Some(Update {
            head,
            curves,
            picture,
            held,
            tried,
            judged,
            compared,
            copied,
            saved,
            still,
            ..Update::of(status)
        })
    }

    fn made_of(&self) -> Option<MadeOf> {
        let session = self.session.as_ref()?;
        let owner = match self.inspected() {
            Some(Place::Block(block)) if self.placing.recorded().is_none() => Some(session.owner(block)),
            _ => None,
        };
        let found = (self.filter.found().len(), self.filter.complete());
        let counted = (self.contents.percent(), self.contents.callers().is_some());
        let counted = if self.look.callers { counted } else { (0, false) };
        Some(MadeOf { revision: session.revision(), owner, found, counted })
    }

    fn status(&self) -> Status {
        Status {
            opening: self.loading.as_ref().or_else(|| self.comparing.loading()).map(|loading| {
                let progress = loading.progress();
                Opening {
                    name: loading.name().to_owned(),
                    bytes: progress.bytes,
                    total_bytes: progress.total_bytes,
                    operations: progress.operations,
                    grows: loading.grows(),
                }
            }),
            travel: self.session.as_ref().map(Travel::of),
            finding: Finding::of(&self.find),
            error: self.error.clone(),
            hint: self.checked.map(Hint::Sound).or_else(|| self.hint.clone()),
            real: match (&self.real, &self.arenas) {
                (Some(Ok(run)), _) => run.told(),
                (Some(Err(why)), _) => Real::Refused(why.clone()),
                (None, Some(_)) => Real::Offered,
                (None, None) => Real::None,
            },
            played: self.played(),
            surveying: self.surveying(),
            beside: self.comparing.names(),
            busy: self.busy(),
        }
    }
}
