//! A position on the tape: forward, back, and to anywhere.
//!
//! Going back starts from the nearest saved state before. Saved states share what did not change between
//! them, keep to a budget of bytes, and lie closer together near a position that goes back step by step.

mod checkpoints;
mod grow;
mod hunt;
mod scout;
mod search;
mod trail;

pub use grow::GrowError;
pub use hunt::Hunt;
pub use scout::Moment;
pub use search::{Found, Search};

use std::sync::Arc;

use checkpoints::{Checkpoints, Gaps, Tracked};
use scout::Scout;
use trail::Trail;

use crate::addr::Step;
use crate::arena::{ArenaBackend, SimArenas};
use crate::domains::AllocatorName;
use crate::event::Event;
use crate::index::Index;
use crate::machine::Machine;
use crate::profile::{Profile, ProfileError};
use crate::tape::Trace;

/// A way back of at most this many operations is taken for one of many.
const NEAR: u64 = 4096;

/// A machine somewhere on a trace, with what the last operation did.
#[derive(Debug)]
pub struct Replay {
    trace: Arc<Trace>,
    here: Tracked,
    step: u64,
    /// Events of the last operation, when it was stepped with them.
    events: Vec<Event>,
    last: Option<<SimArenas as ArenaBackend>::Ptr>,
    checkpoints: Checkpoints,
    index: Index,
    /// Runs ahead, and looks into the tape for searches.
    scout: Option<Scout>,
    budget_bytes: u64,
    trail: Trail,
    /// The step that a short way back leads to, 0 on any other way.
    back_to: u64,
    /// Whether all of the tape is going to be read by [`Self::advance`].
    is_read_ahead: bool,
    /// How far [`Self::dash`] has come.
    dashed: u64,
}

impl Replay {
    /// At the start of a trace. Saved states, index and the way back take at most `budget_bytes` together, the
    /// index half of it; the state at the start and the last one saved are kept in any case.
    pub fn new(trace: Arc<Trace>, profile: &Profile, budget_bytes: u64) -> Result<Self, ProfileError> {
        Self::with_malloc(trace, profile, None, budget_bytes)
    }

    /// The same under another `PYTHONMALLOC` than the trace's.
    pub fn with_malloc(
        trace: Arc<Trace>,
        profile: &Profile,
        malloc: Option<AllocatorName>,
        budget_bytes: u64,
    ) -> Result<Self, ProfileError> {
        let machine = Machine::for_trace(profile, &trace, malloc)?;
        Ok(Self::of_machine(trace, machine, budget_bytes))
    }

    /// The same on a machine that was made for the trace and has done nothing of it.
    pub fn of_machine(trace: Arc<Trace>, machine: Machine, budget_bytes: u64) -> Self {
        let trail = Trail::new(budget_bytes);
        let budget_bytes = budget_bytes - trail.most_bytes();
        let pymalloc = machine.pymalloc();
        let index = Index::of_memory(pymalloc.profile(), pymalloc.memory(), budget_bytes / 2);
        let (checkpoints, here) = Checkpoints::new(machine, trace.slot_count(), budget_bytes);
        Self {
            trace,
            checkpoints,
            index,
            scout: None,
            budget_bytes,
            here,
            step: 0,
            events: Vec::new(),
            last: None,
            trail,
            back_to: 0,
            is_read_ahead: false,
            dashed: 0,
        }
    }

    /// For who goes on to [`Self::advance`] over the whole tape: until then a way to somewhere saves fewer states, since
    /// those come with the reading.
    #[must_use]
    pub fn read_ahead(mut self) -> Self {
        self.is_read_ahead = true;
        self
    }

    /// The trace.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// The machine at this position.
    pub fn machine(&self) -> &Machine {
        &self.here.machine
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

    /// Bytes that saved states take, what they share counted once.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.checkpoints.bytes()
    }

    /// What is known of the tape so far; see [`Self::advance`].
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Operations that a seek to `step` would have to replay.
    pub fn seek_cost(&self, step: u64) -> u64 {
        let target = step.min(self.len());
        let from = self.checkpoints.before(target);
        if self.trail.leads(self.step, target) {
            return 0;
        }
        if target < self.step {
            return target - from;
        }
        // A short way on is not worth a copy.
        let here =
            if target - self.step <= self.checkpoints.spacing() { self.step } else { from.max(self.step) };
        target - here
    }

    /// Goes towards `step`, replaying at most `budget` operations, and says whether it got there.
    /// The events of the operation before `step` are kept. Call it again until it returns true.
    pub fn seek(&mut self, step: u64, budget: u64) -> bool {
        let target = step.min(self.len());
        if self.step == target && (target == 0 || !self.events.is_empty()) {
            return true;
        }
        if self.trail.leads(self.step, target) {
            while self.step > target {
                self.trail.step_back(&mut self.here.machine);
                self.step -= 1;
            }
            self.last = self.trail.recall(&mut self.events);
            return true;
        }
        // The last operation is done with an observer, so the quiet part ends one before it.
        let last = target.saturating_sub(1);
        if self.step > last {
            self.back_to = if self.step - last <= NEAR { target } else { 0 };
            self.restore(last);
        } else if last - self.step > self.checkpoints.spacing() && self.checkpoints.before(last) > self.step {
            self.back_to = 0;
            self.restore(last);
        }
        // After a short way back more such steps are likely, so they are prepared.
        let prepares = self.back_to == target && self.trail.serves(&self.here.machine);
        let quiet = if prepares { target.saturating_sub(trail::LENGTH) } else { last };
        let until = self.step.saturating_add(budget);
        self.run_quietly(quiet.min(until));
        while self.step < last.min(until) {
            self.step_with_events();
        }
        if self.step < last {
            return false;
        }
        if target > 0 {
            self.step_with_events();
        }
        self.back_to = 0;
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
        self.events.clear();
        let Self { here, trace, step, events, .. } = self;
        self.last = Some(self.trail.step(&mut here.machine, trace, *step as usize, events));
        self.step += 1;
        let gaps = self.gaps();
        self.checkpoints.keep(self.step, self.near(), gaps, &mut self.here);
    }

    /// How far apart states are saved on the way to a step.
    fn gaps(&self) -> Gaps {
        if self.is_read_ahead && self.index.known() < self.len() { Gaps::Wide } else { Gaps::Usual }
    }

    fn run_quietly(&mut self, stop: u64) {
        if self.step < stop {
            self.trail.clear();
        }
        while self.step < stop {
            self.events.clear();
            self.last = None;
            let gaps = self.gaps();
            let until = stop.min(self.checkpoints.next_stop(self.step, self.near(), gaps));
            self.here.machine.run(&self.trace, self.step as usize, until as usize);
            self.step = until;
            self.checkpoints.keep(self.step, self.near(), gaps, &mut self.here);
        }
    }

    /// Where a short way back leads that no trail makes shorter.
    fn near(&self) -> u64 {
        if self.trail.serves(&self.here.machine) { 0 } else { self.back_to }
    }

    fn restore(&mut self, step: u64) {
        self.trail.clear();
        self.checkpoints.forget_far(step);
        self.step = self.checkpoints.restore(step, &mut self.here);
        self.events.clear();
        self.last = None;
    }
}
