//! The next or previous operation that touched something.

use super::Replay;
use super::scout::Scout;
use crate::index::{STRETCH, Wanted};
use crate::tape::Kind;

/// A search under way, to be taken on with [`Replay::look`].
#[derive(Clone, Copy, Debug)]
pub struct Search {
    wanted: Wanted,
    forward: bool,
    /// The position it began at.
    from: u64,
    /// The stretch to look into next.
    stretch: Option<u32>,
}

/// How far a search has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// At this step the operation has just been done.
    At(u64),
    /// There is none on the tape.
    Nowhere,
    /// There is none in what has been read; the rest of the tape is to be read with [`Replay::advance`].
    NotRead,
    /// More to look at.
    Looking,
}

impl Search {
    /// For the first operation after the position `from`, or the last one before the one that led to it.
    pub fn new(wanted: Wanted, from: u64, forward: bool) -> Self {
        // Operation `from - 1` led here; forward begins with the next one, back with the one before.
        let index = if forward { Some(from) } else { from.checked_sub(2) };
        Self { wanted, forward, from, stretch: index.map(|i| u32::try_from(i / STRETCH).unwrap_or(u32::MAX)) }
    }
}

impl Replay {
    /// Takes a search on. One call looks into at most `stretches` of the tape; each may replay from the
    /// saved state before it.
    pub fn look(&mut self, search: &mut Search, stretches: u32) -> Found {
        if let Some(found) = self.look_up(search) {
            return found;
        }
        for _ in 0..stretches {
            let candidate = search.stretch.and_then(|s| self.index.stretch(search.wanted, s, search.forward));
            let Some(stretch) = candidate else {
                let all_read = self.index.known() >= self.len();
                return if search.forward && !all_read { Found::NotRead } else { Found::Nowhere };
            };
            if let Some(step) = self.look_into(search, stretch) {
                return if self.is_same_life(search, step) { Found::At(step) } else { Found::Nowhere };
            }
            search.stretch = if search.forward { stretch.checked_add(1) } else { stretch.checked_sub(1) };
        }
        Found::Looking
    }

    /// Searches to the end at once, reading the tape as far as needed.
    pub fn find(&mut self, wanted: Wanted, from: u64, forward: bool) -> Option<u64> {
        let mut search = Search::new(wanted, from, forward);
        loop {
            // What lies before the position has to be read before anything can be said of it.
            if !forward && self.index.known() < from.min(self.len()) {
                self.advance(1 << 16);
                continue;
            }
            match self.look(&mut search, 1) {
                Found::At(step) => return Some(step),
                Found::Nowhere => return None,
                Found::NotRead => {
                    self.advance(1 << 16);
                }
                Found::Looking => {}
            }
        }
    }

    /// What can be said at once: that the tape has not been read, or what the index knows by step.
    fn look_up(&self, search: &Search) -> Option<Found> {
        let index = &self.index;
        let from = search.from.min(self.len());
        if !search.forward && index.known() < from {
            return Some(Found::NotRead);
        }
        let Wanted::RareEvent(rare) = search.wanted else { return None };
        let covers = if search.forward { index.covered() == index.known() } else { index.covered() >= from };
        if !covers {
            return None;
        }
        Some(match index.step_of(rare, search.from, search.forward) {
            Some(step) => Found::At(step),
            None if search.forward && index.known() < self.len() => Found::NotRead,
            None => Found::Nowhere,
        })
    }

    /// The step in a stretch that the search is for.
    fn look_into(&mut self, search: &Search, stretch: u32) -> Option<u64> {
        let begin = u64::from(stretch) * STRETCH;
        let end = (begin + STRETCH).min(self.index.known());
        let (first, last) = if search.forward {
            (begin.max(search.from), end)
        } else {
            (begin, end.min(search.from.saturating_sub(1)))
        };
        if search.wanted.on_tape() {
            let mut range = first..last.max(first);
            let is = |&at: &u64| search.wanted.is_on_tape(&self.trace, at as usize);
            let found = if search.forward { range.find(is) } else { range.rfind(is) };
            return found.map(|at| at + 1);
        }
        let Self { scout, checkpoints, trace, .. } = self;
        let probe = scout.get_or_insert_with(|| Scout::new(checkpoints.at_start(&self.here)));
        probe.go_to(first, checkpoints, trace);
        let mut found = None;
        while probe.step < last && !(search.forward && found.is_some()) {
            if search.wanted.is_touched(probe.step(trace)) {
                found = Some(probe.step);
            }
        }
        found
    }

    /// Whether a block found by its slot is the one that the slot holds at the search's position.
    fn is_same_life(&self, search: &Search, step: u64) -> bool {
        if !matches!(search.wanted, Wanted::Block(_)) {
            return true;
        }
        let op = self.trace.packed(step as usize - 1);
        if search.forward {
            let is_birth =
                matches!(op.kind, Kind::Malloc | Kind::Calloc) || (op.kind == Kind::Realloc && op.null);
            !is_birth
        } else {
            op.kind != Kind::Free
        }
    }
}
