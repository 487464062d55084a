//! Who holds a block: the last operation before now that gave its slot a pointer.
//!
//! Finding the slot looks at every pointer of the program, finding the operation goes back along the
//! tape. Both go on between frames, and an answer is carried along from step to step.

use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::{Addr, Kind, Machine, Slot, Trace};

/// Operations or pointers looked at in one go.
const CHUNK: u64 = 100_000;

/// The answer for one block in one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// No pointer of the program is this block.
    Nobody,
    /// Still looking.
    Searching,
    /// It was there before the trace: the block with this number of the picture that it begins with.
    Before(u32),
    /// The operation, by index, that made the pointer what it is.
    Operation(u64),
}

/// A search that goes on between frames.
#[derive(Clone, Copy, Debug)]
pub struct OwnerSearch {
    block: Addr,
    revision: u64,
    step: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Slots before this one do not hold it.
    Slots(u32),
    /// Operations from `before` on did not set the slot; before `floor` the old answer holds.
    Operations { slot: Slot, before: u64, floor: u64, old: Option<u64> },
    /// Done.
    Found { slot: Slot, operation: u64 },
    /// Done: the slot has its block from before the trace.
    Before(Slot),
    /// Done, in vain.
    Nobody,
}

fn holds(machine: &Machine, slot: Slot, block: Addr) -> bool {
    let Target::Block(b) = machine.target(slot) else { return false };
    let addr = machine.pymalloc().memory().block_addr(b);
    if machine.layers().is_none() {
        return addr == block;
    }
    // Under debug hooks the program's pointer lies inside the block.
    crate::facts::block_at(machine.pymalloc(), addr).is_some_and(|b| b.addr == block)
}

/// Slots that have a block before the first operation.
fn before_trace(trace: &Trace) -> u64 {
    trace.origin.picture.as_ref().map_or(0, |picture| picture.main_blocks())
}

impl OwnerSearch {
    /// Begins a search at `step` of the tape, from the answer of another search where there is one.
    pub fn new(machine: &Machine, step: u64, revision: u64, block: Addr, old: Option<Self>) -> Self {
        let stage = match old {
            Some(Self { block: same, step: old_step, stage: Stage::Found { slot, operation }, .. })
                if same == block && holds(machine, slot, block) =>
            {
                if operation < step {
                    Stage::Operations { slot, before: step, floor: old_step.min(step), old: Some(operation) }
                } else {
                    Stage::Operations { slot, before: step, floor: 0, old: None }
                }
            }
            _ => Stage::Slots(0),
        };
        Self { block, revision, step, stage }
    }

    /// The answer that the last operation gives itself: it returned this block.
    pub fn known(trace: &Trace, step: u64, revision: u64, block: Addr) -> Self {
        let operation = step.saturating_sub(1);
        let slot = trace.packed(operation as usize).slot;
        Self { block, revision, step, stage: Stage::Found { slot, operation } }
    }

    /// Whether it answers this question.
    pub fn is_for(&self, revision: u64, block: Addr) -> bool {
        self.block == block && self.revision == revision
    }

    /// Whether it is about this state.
    pub fn is_current(&self, revision: u64) -> bool {
        self.revision == revision
    }

    /// What is known.
    pub fn answer(&self) -> Owner {
        match self.stage {
            Stage::Slots(_) | Stage::Operations { .. } => Owner::Searching,
            Stage::Found { operation, .. } => Owner::Operation(operation),
            Stage::Before(slot) => Owner::Before(slot.0),
            Stage::Nobody => Owner::Nobody,
        }
    }

    /// Looks a bit further. The machine must be the one it began with.
    pub fn advance(&mut self, machine: &Machine, trace: &Trace) {
        self.stage = match self.stage {
            Stage::Slots(from) => {
                let until = trace.slot_count().min(from.saturating_add(CHUNK as u32));
                match (from..until).map(Slot).find(|&slot| holds(machine, slot, self.block)) {
                    Some(slot) => Stage::Operations { slot, before: self.step, floor: 0, old: None },
                    None if until == trace.slot_count() => Stage::Nobody,
                    None => Stage::Slots(until),
                }
            }
            Stage::Operations { slot, before, floor, old } => {
                let stop = before.saturating_sub(CHUNK).max(floor);
                let most = crate::facts::largest_request(machine.pymalloc().profile());
                let found = (stop..before).rev().find(|&index| {
                    let op = trace.packed(index as usize);
                    // A realloc that fails leaves the old block as it was.
                    let fails = op.kind == Kind::Realloc && op.size > most;
                    op.slot == slot && !matches!(op.kind, Kind::Free | Kind::Act) && !fails
                });
                let dangles = |index: u64| trace.packed(index as usize).kind == Kind::FreeKeep;
                match found.or(if stop == floor { old } else { None }) {
                    // A pointer that outlived its block; another one may hold what is there now.
                    Some(operation) if dangles(operation) => Stage::Slots(slot.0 + 1),
                    Some(operation) => Stage::Found { slot, operation },
                    None if stop > floor => Stage::Operations { slot, before: stop, floor, old },
                    None if u64::from(slot.0) < before_trace(trace) => Stage::Before(slot),
                    None => Stage::Nobody,
                }
            }
            done => done,
        };
    }
}
