//! Who holds a block: the last operation before now that gave its slot a pointer.

use sim_core::{Addr, Kind, Slot, Trace};

use crate::facts;

/// Operations looked at in one go.
const CHUNK: u64 = 200_000;

/// The answer for one block in one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// No pointer of the program is this block.
    Nobody,
    /// Still looking back along the tape.
    Searching,
    /// The operation, by index, that made the pointer what it is.
    Operation(u64),
}

/// A search that goes on between frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnerSearch {
    block: Addr,
    revision: u64,
    slot: Option<Slot>,
    /// Operations before this one are not looked at yet.
    before: u64,
    answer: Owner,
}

impl OwnerSearch {
    /// Begins a search at `step` of the tape.
    pub(crate) fn new(machine: &sim_core::Machine, step: u64, revision: u64, block: Addr) -> Self {
        let slot = facts::slot_of(machine, block);
        let answer = if slot.is_some() { Owner::Searching } else { Owner::Nobody };
        Self { block, revision, slot, before: step, answer }
    }

    /// Whether it answers this question.
    pub(crate) fn is_for(&self, revision: u64, block: Addr) -> bool {
        self.block == block && self.revision == revision
    }

    /// What is known.
    pub(crate) fn answer(&self) -> Owner {
        self.answer
    }

    /// Looks a bit further back.
    pub(crate) fn advance(&mut self, trace: &Trace) {
        let (Some(slot), Owner::Searching) = (self.slot, self.answer) else { return };
        let stop = self.before.saturating_sub(CHUNK);
        for index in (stop..self.before).rev() {
            let op = trace.packed(index as usize);
            if op.slot == slot && op.kind != Kind::Free {
                self.answer = Owner::Operation(index);
                return;
            }
        }
        self.before = stop;
        if stop == 0 {
            self.answer = Owner::Nobody;
        }
    }
}
