//! The first pass over a tape: a second machine runs ahead, saves states and fills the index.

use super::Replay;
use super::checkpoints::Tracked;
use crate::index::Touched;

/// A machine that runs ahead of the position.
#[derive(Debug)]
pub(super) struct Scout {
    pub(super) tracked: Tracked,
    pub(super) step: u64,
    touched: Touched,
}

impl Scout {
    /// At the start of the tape.
    pub(super) fn new(tracked: Tracked) -> Self {
        Self { tracked, step: 0, touched: Touched::default() }
    }
}

impl Replay {
    /// Reads on at most `budget` operations ahead, so that seeks become short and searches find their way, and
    /// says whether the whole tape has been read. The position stays where it is.
    pub fn advance(&mut self, budget: u64) -> bool {
        let Self { scout, checkpoints, index, trace, budget_bytes, .. } = self;
        let end = trace.len();
        let from = index.known();
        if from >= end {
            return true;
        }
        let Scout { tracked, step, touched } =
            scout.get_or_insert_with(|| Scout::new(checkpoints.at_start(&self.here)));
        if *step != from {
            // A search has borrowed the machine in between.
            *step = checkpoints.restore(from, tracked);
            tracked.machine.run(trace, *step as usize, from as usize);
            *step = from;
        }
        let until = end.min(from.saturating_add(budget));
        while *step < until {
            let stop = until.min(checkpoints.next_stop(*step, 0));
            for at in *step..stop {
                touched.begin(&tracked.machine);
                tracked.machine.step(trace, at as usize, touched);
                touched.end(&tracked.machine);
                index.add(trace, touched);
            }
            *step = stop;
            checkpoints.keep(stop, 0, tracked);
        }
        if until == end {
            index.finish();
        }
        checkpoints.set_budget(budget_bytes.saturating_sub(index.state_bytes()));
        until == end
    }
}
