//! The last operations that led to the position, with their events, so that steps back take them back.

use crate::arena::{SimArenas, SimPtr};
use crate::event::Event;
use crate::machine::{Machine, UndoLog};
use crate::tape::Trace;

/// Operations that a way back is prepared with.
pub(super) const LENGTH: u64 = 1 << 12;
/// The most bytes it takes.
const MOST_BYTES: u64 = 4 << 20;

/// Operations in a row that end at the position.
#[derive(Debug, Default)]
pub(super) struct Trail {
    log: UndoLog,
    /// For each operation where its events end and what it returned.
    done: Vec<(usize, SimPtr)>,
    events: Vec<Event>,
    most_bytes: u64,
}

impl Trail {
    /// Takes a small share of what a replay may take.
    pub(super) fn new(budget_bytes: u64) -> Self {
        Self { most_bytes: MOST_BYTES.min(budget_bytes / 16), ..Self::default() }
    }

    /// The most bytes it takes.
    pub(super) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Whether operations of this machine can be taken back at all.
    pub(super) fn serves(&self, machine: &Machine<SimArenas>) -> bool {
        self.most_bytes > 0 && machine.can_undo()
    }

    /// Whether steps back lead from `from` to `to` with the events of the operation before it.
    pub(super) fn leads(&self, from: u64, to: u64) -> bool {
        let first = from - self.log.len() as u64;
        to < from && (first < to || to == 0 && first == 0)
    }

    /// Forgets everything: the position is another.
    pub(super) fn clear(&mut self) {
        self.log.clear();
        self.done.clear();
        self.events.clear();
    }

    /// Does the operation after `index` others. `events` must be empty.
    pub(super) fn step(
        &mut self,
        machine: &mut Machine<SimArenas>,
        trace: &Trace,
        index: usize,
        events: &mut Vec<Event>,
    ) -> SimPtr {
        if !self.serves(machine) {
            return machine.step(trace, index, events);
        }
        let returned = machine.step_undoable(trace, index, events, &mut self.log);
        self.events.extend_from_slice(events);
        self.done.push((self.events.len(), returned));
        if self.bytes() > self.most_bytes {
            self.forget_first(self.done.len().div_ceil(2));
        }
        returned
    }

    /// Takes back the last operation.
    pub(super) fn step_back(&mut self, machine: &mut Machine<SimArenas>) {
        if machine.undo(&mut self.log) {
            self.done.pop();
            self.events.truncate(self.events_before(self.done.len()));
        }
    }

    /// Gives the events of the last operation, and what it returned.
    pub(super) fn recall(&self, events: &mut Vec<Event>) -> Option<SimPtr> {
        events.clear();
        events.extend_from_slice(&self.events[self.events_before(self.done.len().saturating_sub(1))..]);
        self.done.last().map(|d| d.1)
    }

    /// Events of the first `count` operations.
    fn events_before(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |at| self.done[at].0)
    }

    fn bytes(&self) -> u64 {
        let own = size_of_val(self.done.as_slice()) + size_of_val(self.events.as_slice());
        own as u64 + self.log.bytes()
    }

    fn forget_first(&mut self, count: usize) {
        self.log.forget_first(count);
        let events = self.events_before(count);
        self.events.drain(..events);
        self.done.drain(..count);
        for done in &mut self.done {
            done.0 -= events;
        }
    }
}
