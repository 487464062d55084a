//! What was asked for in each slot, found out only where a state is looked at.

use sim_core::{Kind, Trace};

/// Bytes asked for by slot, up to an operation of a trace.
#[derive(Debug)]
pub(super) struct Asked {
    bytes: Vec<u64>,
    done: usize,
    most: u64,
}

impl Asked {
    /// Nothing asked for yet. A request of over `most` bytes leaves what the slot had: either it was refused and the old block
    /// stays, or its block is none of those that are counted.
    pub(super) fn new(trace: &Trace, most: u64) -> Self {
        Self { bytes: vec![0; trace.slot_count() as usize], done: 0, most }
    }

    /// Goes on to the state after so many operations.
    pub(super) fn advance(&mut self, trace: &Trace, to: usize) {
        for index in self.done..to {
            let op = trace.packed(index);
            if matches!(op.kind, Kind::Malloc | Kind::Calloc | Kind::Realloc)
                && op.size <= self.most
                && let Some(bytes) = self.bytes.get_mut(op.slot.0 as usize)
            {
                *bytes = op.size;
            }
        }
        self.done = self.done.max(to);
    }

    /// Bytes asked for in a slot.
    pub(super) fn of(&self, slot: usize) -> u64 {
        self.known(slot).unwrap_or(0)
    }

    /// The same; `None` for a slot that the trace does not have.
    pub(super) fn known(&self, slot: usize) -> Option<u64> {
        self.bytes.get(slot).copied()
    }
}
