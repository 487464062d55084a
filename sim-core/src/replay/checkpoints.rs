//! Saved states along the tape, within a budget of bytes.
//!
//! Two kinds are kept. Those of the tape lie one spacing apart and are thinned when the budget is used up.
//! Those near the position lie the closer the nearer they are, so that many steps back in a row cost
//! little more each than a step forward; they go first.

use std::sync::Arc;

use crate::machine::{Machine, SavedMachine};

/// Operations between two states of the tape at first.
const SPACING: u64 = 1 << 14;
/// Bytes that can be saved in the time of one operation.
const SAVED_BYTES_PER_OPERATION: u64 = 8;
/// log2 of the ratio between one distance of the near states and the next.
const LEVEL_BITS: u32 = 4;
/// Levels of near states: the farthest are `16^5`, a million operations, away.
const LEVELS: u32 = 5;

/// How far states of the tape lie apart, in times of what is usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gaps {
    /// As they are to stay.
    Usual = 1,
    /// Wider, on a way where others will be saved later: who waits for its end does not wait for them.
    Wide = 8,
}

#[derive(Debug)]
struct Saved {
    step: u64,
    state: Arc<SavedMachine>,
}

/// A machine with the state it was in when it was last saved or restored: pages not written since are that
/// state's.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The machine.
    pub(super) machine: Machine,
    base: Arc<SavedMachine>,
    /// Slots of the tape, which may have been fewer when a state was saved.
    slots: u32,
}

impl Tracked {
    /// Makes room for a tape that has grown.
    pub(super) fn grow(&mut self, slots: u32) {
        self.slots = slots;
        self.machine.grow(slots);
    }
}

/// Saved states along a tape.
#[derive(Debug)]
pub(super) struct Checkpoints {
    tape: Vec<Saved>,
    near: Vec<Saved>,
    bytes: u64,
    budget_bytes: u64,
    spacing: u64,
    /// Bytes that the last state of the tape did not share.
    last_bytes: u64,
}

impl Checkpoints {
    /// With the state at the start, which is always kept.
    pub(super) fn new(mut machine: Machine, slots: u32, budget_bytes: u64) -> (Self, Tracked) {
        let (state, bytes) = machine.save(None);
        let base = Arc::new(state);
        let this = Self {
            tape: vec![Saved { step: 0, state: Arc::clone(&base) }],
            near: Vec::new(),
            bytes,
            budget_bytes,
            spacing: SPACING,
            last_bytes: 0,
        };
        (this, Tracked { machine, base, slots })
    }

    /// Bytes that all of it takes, what is shared counted once.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Operations between two states of the tape.
    pub(super) fn spacing(&self) -> u64 {
        self.spacing
    }

    /// The last state of the tape.
    pub(super) fn last(&self) -> u64 {
        self.tape.last().map_or(0, |s| s.step)
    }

    /// The last step at or before `step` that has a state.
    pub(super) fn before(&self, step: u64) -> u64 {
        let last =
            |all: &[Saved]| all[..all.partition_point(|s| s.step <= step)].last().map_or(0, |s| s.step);
        last(&self.tape).max(last(&self.near))
    }

    /// Brings a machine to the state that [`Self::before`] tells of, and says at which step it is.
    pub(super) fn restore(&mut self, step: u64, to: &mut Tracked) -> u64 {
        let at = self.before(step);
        let found = self.near.iter().chain(&self.tape).find(|s| s.step == at);
        if let Some(state) = found.map(|s| Arc::clone(&s.state)) {
            to.machine.restore(&to.base, &state);
            to.machine.grow(to.slots);
            self.rebase(to, state);
        }
        at
    }

    /// Another machine like this one, at the start.
    pub(super) fn at_start(&mut self, like: &Tracked) -> Tracked {
        let mut new =
            Tracked { machine: like.machine.clone(), base: Arc::clone(&like.base), slots: like.slots };
        self.restore(0, &mut new);
        new
    }

    /// From now on all of it takes at most this many bytes.
    pub(super) fn set_budget(&mut self, bytes: u64) {
        self.budget_bytes = bytes;
        self.thin();
    }

    /// The next step after `step` at which a state is due, on the way to `target` if the way there is one
    /// back; 0 for a state of the tape only.
    pub(super) fn next_stop(&self, step: u64, target: u64, gaps: Gaps) -> u64 {
        let mut stop = self.due(step, gaps).max(step + 1);
        for level in 1..LEVELS {
            let distance = 1_u64 << (level * LEVEL_BITS);
            let from = (step + 1).max(target.saturating_sub(distance << LEVEL_BITS));
            let at = from.next_multiple_of(distance);
            if at < target {
                stop = stop.min(at);
            }
        }
        stop
    }

    /// The step at which the next state of the tape is due, on the way on from `step`.
    fn due(&self, step: u64, gaps: Gaps) -> u64 {
        // Saving must not cost more than the operations it spares.
        let worth = self.last_bytes / SAVED_BYTES_PER_OPERATION;
        let gap = self.spacing.max(worth).saturating_mul(gaps as u64);
        let after = self.tape.partition_point(|s| s.step <= step);
        let due = after.checked_sub(1).map_or(0, |last| self.tape[last].step) + gap;
        match self.tape.get(after) {
            // There is one soon; what comes after it is seen there.
            Some(next) if due + gap / 2 > next.step => next.step + gap,
            _ => due,
        }
    }

    /// Saves the state at `step` if one is due there.
    pub(super) fn keep(&mut self, step: u64, target: u64, gaps: Gaps, tracked: &mut Tracked) {
        if step >= self.due(step, gaps) {
            let (state, bytes) = self.save(tracked);
            self.last_bytes = bytes;
            let at = self.tape.partition_point(|s| s.step < step);
            self.tape.insert(at, Saved { step, state });
            self.thin();
        } else if Self::is_near(step, target) && self.before(step) != step && self.bytes < self.budget_bytes {
            let (state, _) = self.save(tracked);
            let at = self.near.partition_point(|s| s.step < step);
            self.near.insert(at, Saved { step, state });
            self.thin();
        }
    }

    fn is_near(step: u64, target: u64) -> bool {
        (1..LEVELS).any(|level| {
            let distance = 1_u64 << (level * LEVEL_BITS);
            step < target && step.is_multiple_of(distance) && target - step <= distance << LEVEL_BITS
        })
    }

    /// Drops near states that have become too far from `step` for their closeness.
    pub(super) fn forget_far(&mut self, step: u64) {
        let near = std::mem::take(&mut self.near);
        for saved in near {
            let level = (saved.step.trailing_zeros() / LEVEL_BITS).min(LEVELS - 1);
            if saved.step.abs_diff(step) <= 2 << ((level + 1) * LEVEL_BITS) {
                self.near.push(saved);
            } else {
                self.release(saved.state);
            }
        }
    }

    fn save(&mut self, tracked: &mut Tracked) -> (Arc<SavedMachine>, u64) {
        let (state, bytes) = tracked.machine.save(Some(&tracked.base));
        let state = Arc::new(state);
        self.bytes += bytes;
        self.rebase(tracked, Arc::clone(&state));
        (state, bytes)
    }

    fn rebase(&mut self, tracked: &mut Tracked, state: Arc<SavedMachine>) {
        let old = std::mem::replace(&mut tracked.base, state);
        self.release(old);
    }

    /// Drops a state and counts what goes with it.
    fn release(&mut self, state: Arc<SavedMachine>) {
        if let Some(state) = Arc::into_inner(state) {
            self.bytes = self.bytes.saturating_sub(state.own_bytes());
        }
    }

    fn thin(&mut self) {
        if self.bytes > self.budget_bytes {
            for saved in std::mem::take(&mut self.near) {
                self.release(saved.state);
            }
        }
        while self.bytes > self.budget_bytes && self.tape.len() > 1 {
            self.spacing = self.spacing.saturating_mul(2);
            for saved in std::mem::take(&mut self.tape) {
                let gap = self.tape.last().map_or(u64::MAX, |last: &Saved| saved.step - last.step);
                if gap >= self.spacing {
                    self.tape.push(saved);
                } else {
                    self.release(saved.state);
                }
            }
        }
    }
}
