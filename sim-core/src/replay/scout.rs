//! The first pass over a tape: a second machine runs ahead, saves states and fills the index.

use super::Replay;
use super::checkpoints::{Checkpoints, Tracked};
use crate::event::Event;
use crate::index::Touched;
use crate::machine::Machine;
use crate::tape::Trace;

/// Somebody who sees the first pass over a tape: the events, and the machine after each operation.
pub trait Witness {
    /// The operation after `index` others has just been done.
    fn after(&mut self, trace: &Trace, index: usize, events: &[Event], machine: &Machine);
}

impl Witness for () {
    #[inline]
    fn after(&mut self, _trace: &Trace, _index: usize, _events: &[Event], _machine: &Machine) {}
}

/// A machine that runs ahead of the position.
#[derive(Debug)]
pub(super) struct Scout {
    pub(super) tracked: Tracked,
    pub(super) step: u64,
    touched: Touched,
    events: Vec<Event>,
}

impl Scout {
    /// At the start of the tape.
    pub(super) fn new(tracked: Tracked) -> Self {
        Self { tracked, step: 0, touched: Touched::default(), events: Vec::new() }
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
        let Self { tracked, step, touched, events } = self;
        events.clear();
        touched.begin(&tracked.machine);
        tracked.machine.step(trace, *step as usize, events);
        touched.end(&tracked.machine, events);
        *step += 1;
        touched
    }
}

impl Replay {
    /// Reads on at most `budget` operations ahead, so that seeks become short and searches find their way, and
    /// says whether the whole tape has been read. The position stays where it is.
    pub fn advance(&mut self, budget: u64) -> bool {
        self.advance_with(budget, &mut ())
    }

    /// The same with somebody who sees each operation of the tape once, in order.
    pub fn advance_with(&mut self, budget: u64, witness: &mut impl Witness) -> bool {
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
            let stop = until.min(checkpoints.next_stop(scout.step, 0));
            while scout.step < stop {
                let at = scout.step as usize;
                index.add(trace, scout.step(trace));
                witness.after(trace, at, &scout.events, &scout.tracked.machine);
            }
            checkpoints.keep(stop, 0, &mut scout.tracked);
        }
        if until == end {
            index.finish();
        }
        checkpoints.set_budget(budget_bytes.saturating_sub(index.state_bytes()));
        until == end
    }
}
