//! The first pass over a tape: a second machine runs ahead, saves states and fills the index.

use super::Replay;
use super::checkpoints::{Checkpoints, Gaps, Tracked};
use crate::arena::{ArenaBackend, SimArenas};
use crate::event::Event;
use crate::index::Touched;
use crate::machine::Machine;
use crate::tape::Trace;

/// An operation that has just been done, for whoever watches a run.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The trace, or a piece of it.
    pub trace: &'a Trace,
    /// Operations of it before this one.
    pub index: usize,
    /// What the operation did, as far as somebody wanted it.
    pub events: &'a [Event],
    /// The state after it.
    pub machine: &'a Machine,
    /// What the call returned; NULL for free and for actions.
    pub pointer: <SimArenas as ArenaBackend>::Ptr,
}

/// A machine that runs ahead of the position.
#[derive(Debug)]
pub(super) struct Scout {
    pub(super) tracked: Tracked,
    pub(super) step: u64,
    touched: Touched,
    events: Vec<Event>,
    pointer: <SimArenas as ArenaBackend>::Ptr,
}

impl Scout {
    /// At the start of the tape.
    pub(super) fn new(tracked: Tracked) -> Self {
        Self {
            tracked,
            step: 0,
            touched: Touched::default(),
            events: Vec::new(),
            pointer: <SimArenas as ArenaBackend>::Ptr::default(),
        }
    }

    /// Goes to a step, from the saved state before it unless it stands between the two.
    pub(super) fn go_to(&mut self, step: u64, checkpoints: &mut Checkpoints, trace: &Trace) {
        if self.step > step || checkpoints.before(step) > self.step {
            self.step = checkpoints.restore(step, &mut self.tracked);
        }
        self.tracked.machine.run(trace, self.step as usize, step as usize);
        self.step = step;
    }

    /// Does the next operation, and says what it touched.
    #[inline]
    pub(super) fn step(&mut self, trace: &Trace) -> &Touched {
        let Self { tracked, step, touched, events, pointer } = self;
        events.clear();
        touched.begin(&tracked.machine);
        *pointer = tracked.machine.step(trace, *step as usize, events);
        touched.end(&tracked.machine, events);
        *step += 1;
        touched
    }
}

impl Replay {
    /// Runs on at most `budget` operations towards the end without reading them, and says whether it is there: it saves a
    /// state here and there, so that a way to anywhere is soon short, long before [`Self::advance`] has read the tape.
    /// There is nothing to do where that is not to come, or where running takes as long as reading.
    pub fn dash(&mut self, budget: u64) -> bool {
        if !self.is_read_ahead || !self.here.machine.is_plain() {
            return true;
        }
        let Self { scout, checkpoints, trace, dashed, .. } = self;
        let end = trace.len();
        let from = checkpoints.last().max(*dashed);
        let until = end.min(from.saturating_add(budget));
        if from < until {
            let scout = scout.get_or_insert_with(|| Scout::new(checkpoints.at_start(&self.here)));
            scout.go_to(from, checkpoints, trace);
            while scout.step < until {
                let stop = until.min(checkpoints.next_stop(scout.step, 0, Gaps::Wide));
                scout.go_to(stop, checkpoints, trace);
                checkpoints.keep(stop, 0, Gaps::Wide, &mut scout.tracked);
            }
            *dashed = until;
        }
        until == end
    }

    /// Reads on at most `budget` operations ahead, so that seeks become short and searches find their way, and
    /// says whether the whole tape has been read. The position stays where it is.
    pub fn advance(&mut self, budget: u64) -> bool {
        self.advance_with(budget, |_| {})
    }

    /// The same, calling `after` for each operation of the tape once, in order.
    pub fn advance_with(&mut self, budget: u64, mut after: impl FnMut(&Moment<'_>)) -> bool {
        let Self { scout, checkpoints, index, trace, budget_bytes, .. } = self;
        let end = trace.len();
        let from = index.known();
        if from >= end {
            return true;
        }
        let scout = scout.get_or_insert_with(|| Scout::new(checkpoints.at_start(&self.here)));
        // A search may have borrowed the machine in between.
        scout.go_to(from, checkpoints, trace);
        let until = end.min(from.saturating_add(budget));
        while scout.step < until {
            let stop = until.min(checkpoints.next_stop(scout.step, 0, Gaps::Usual));
            while scout.step < stop {
                let at = scout.step as usize;
                index.add(trace, scout.step(trace));
                let Scout { tracked, events, pointer, .. } = &*scout;
                after(&Moment { trace, index: at, events, machine: &tracked.machine, pointer: *pointer });
            }
            checkpoints.keep(stop, 0, Gaps::Usual, &mut scout.tracked);
        }
        if until == end {
            index.finish();
        }
        checkpoints.set_budget(budget_bytes.saturating_sub(index.state_bytes()));
        until == end
    }
}
