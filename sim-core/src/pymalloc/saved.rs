//! pymalloc at one moment, to come back to.

use super::{Parked, Pymalloc};
use crate::arena::{SavedArenas, SimArenas, SimPool};

/// A saved [`Pymalloc`]: its memory shares what did not change, its tables are small and copied.
#[derive(Clone, Debug)]
pub(crate) struct SavedPymalloc {
    memory: SavedArenas,
    state: Parked<SimPool>,
}

impl SavedPymalloc {
    /// Bytes that nothing but this saved state holds.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.memory.own_bytes() + self.state.state_bytes()
    }
}

impl Pymalloc<SimArenas> {
    /// Saves what changed since `base`, the state saved or restored last, if there was one; with the
    /// bytes that the result does not share with it.
    pub(crate) fn save(&mut self, base: Option<&SavedPymalloc>) -> (SavedPymalloc, u64) {
        let none = SavedArenas::default();
        let (memory, bytes) = self.memory.save(base.map_or(&none, |b| &b.memory));
        let saved = SavedPymalloc { memory, state: self.copy_state() };
        let bytes = bytes + saved.state.state_bytes();
        (saved, bytes)
    }

    /// Goes to the state `to`; `base` as for [`Self::save`].
    pub(crate) fn restore(&mut self, base: &SavedPymalloc, to: &SavedPymalloc) {
        self.memory.restore(&base.memory, &to.memory);
        self.exchange(&mut to.state.clone());
    }
}
