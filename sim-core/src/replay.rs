//! A position on the tape: forward, back, and to anywhere.
//!
//! Going back starts from the nearest checkpoint, a copy of the machine. Checkpoints keep to a budget of
//! bytes: when it is used up every second one is dropped and their spacing doubles. They are spaced by cost, too:
//! a large heap is copied less often.

use std::sync::Arc;

use crate::addr::Step;
use crate::arena::{ArenaBackend, SimArenas};
use crate::domains::AllocatorName;
use crate::event::Event;
use crate::machine::Machine;
use crate::profile::{Profile, ProfileError};
use crate::tape::Trace;

/// Operations between two checkpoints at first.
const SPACING: u64 = 1 << 14;

/// Bytes that can be copied in the time of one operation.
const COPIED_BYTES_PER_OPERATION: u64 = 64;

/// A machine somewhere on a trace, with what the last operation did.
#[derive(Debug)]
pub struct Replay {
    trace: Arc<Trace>,
    machine: Machine,
    step: u64,
    /// Events of the last operation, when it was stepped with them.
    events: Vec<Event>,
    last: Option<<SimArenas as ArenaBackend>::Ptr>,
    checkpoints: Vec<(u64, Machine)>,
    checkpoint_bytes: u64,
    checkpoint_budget_bytes: u64,
    spacing: u64,
}

impl Replay {
    /// At the start of a trace. Checkpoints take at most `checkpoint_budget_bytes`, the first excepted.
    pub fn new(
        trace: Arc<Trace>,
        profile: &Profile,
        checkpoint_budget_bytes: u64,
    ) -> Result<Self, ProfileError> {
        Self::with_malloc(trace, profile, None, checkpoint_budget_bytes)
    }

    /// The same under another `PYTHONMALLOC` than the trace's.
    pub fn with_malloc(
        trace: Arc<Trace>,
        profile: &Profile,
        malloc: Option<AllocatorName>,
        checkpoint_budget_bytes: u64,
    ) -> Result<Self, ProfileError> {
        let machine = Machine::for_trace(profile, &trace, malloc)?;
        Ok(Self {
            trace,
            checkpoints: vec![(0, machine.clone())],
            machine,
            step: 0,
            events: Vec::new(),
            last: None,
            checkpoint_bytes: 0,
            checkpoint_budget_bytes,
            spacing: SPACING,
        })
    }

    /// The trace.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// The machine at this position.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Operations done.
    pub fn step(&self) -> Step {
        Step(self.step)
    }

    /// Operations on the tape.
    pub fn len(&self) -> u64 {
        self.trace.len()
    }

    /// Whether the tape has no operation.
    pub fn is_empty(&self) -> bool {
        self.trace.is_empty()
    }

    /// What the last operation did; empty at the start.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The pointer that the last operation returned.
    pub fn last_pointer(&self) -> Option<<SimArenas as ArenaBackend>::Ptr> {
        self.last
    }

    /// Bytes that checkpoints take, the one at the start excepted.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes
    }

    /// Operations that a seek to `step` would have to replay.
    pub fn seek_cost(&self, step: u64) -> u64 {
        let target = step.min(self.len());
        if target >= self.step && target - self.step <= self.spacing {
            return target - self.step;
        }
        let from = self.checkpoints[self.checkpoint_before(target)].0;
        let from = if target >= self.step { from.max(self.step) } else { from };
        target - from
    }

    /// Goes towards `step`, replaying at most `budget` operations, and says whether it got there.
    /// The events of the operation before `step` are kept. Call it again until it returns true.
    pub fn seek(&mut self, step: u64, budget: u64) -> bool {
        let target = step.min(self.len());
        // The last operation is done with an observer, so the quiet part ends one before it.
        let quiet = target.saturating_sub(1);
        let shown = self.step == target && !self.events.is_empty();
        if self.step > quiet && !shown {
            self.restore(quiet);
        } else if self.step < quiet && quiet - self.step > self.spacing {
            let (at, _) = self.checkpoints[self.checkpoint_before(quiet)];
            if at > self.step {
                self.restore(quiet);
            }
        }
        if self.step == target && (target == 0 || !self.events.is_empty()) {
            return true;
        }
        let stop = quiet.min(self.step.saturating_add(budget));
        self.run_quietly(stop);
        if self.step < quiet {
            return false;
        }
        if target > 0 {
            self.step_with_events();
        }
        true
    }

    /// Goes to `step` at once, however far it is.
    pub fn seek_now(&mut self, step: u64) {
        while !self.seek(step, u64::MAX) {}
    }

    /// Does the next operation and keeps its events; false at the end.
    pub fn step_forward(&mut self) -> bool {
        if self.step >= self.len() {
            return false;
        }
        self.step_with_events();
        true
    }

    fn step_with_events(&mut self) {
        self.keep_checkpoint();
        self.events.clear();
        self.last = Some(self.machine.step(&self.trace, self.step as usize, &mut self.events));
        self.step += 1;
    }

    fn run_quietly(&mut self, stop: u64) {
        while self.step < stop {
            self.keep_checkpoint();
            self.events.clear();
            self.last = None;
            let next = (self.step / self.spacing + 1) * self.spacing;
            let until = stop.min(next);
            for index in self.step as usize..until as usize {
                self.machine.step(&self.trace, index, &mut ());
            }
            self.step = until;
        }
    }

    fn checkpoint_before(&self, step: u64) -> usize {
        self.checkpoints.partition_point(|c| c.0 <= step).saturating_sub(1)
    }

    fn restore(&mut self, step: u64) {
        let (at, machine) = &self.checkpoints[self.checkpoint_before(step)];
        self.machine.clone_from(machine);
        self.step = *at;
        self.events.clear();
        self.last = None;
    }

    fn keep_checkpoint(&mut self) {
        let last = self.checkpoints.last().map_or(0, |c| c.0);
        if !self.step.is_multiple_of(self.spacing) || last >= self.step {
            return;
        }
        // A copy must not cost more than the operations it saves.
        if self.step - last < self.machine.state_bytes() / COPIED_BYTES_PER_OPERATION {
            return;
        }
        self.checkpoint_bytes += self.machine.state_bytes();
        self.checkpoints.push((self.step, self.machine.clone()));
        while self.checkpoint_bytes > self.checkpoint_budget_bytes && self.checkpoints.len() > 2 {
            self.spacing *= 2;
            let spacing = self.spacing;
            self.checkpoints.retain(|c| c.0.is_multiple_of(spacing));
            self.checkpoint_bytes = self.checkpoints.iter().skip(1).map(|c| c.1.state_bytes()).sum();
        }
    }
}
