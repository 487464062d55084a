//! The whole stack at one moment, to come back to.

use super::{Fatal, Interpreters, Layers, Machine, MiRun};
use crate::arena::{SimArenas, SimPool, SimPtr};
use crate::paged::SavedPaged;
use crate::pymalloc::SavedPymalloc;
use crate::raw::SavedRaw;

/// A saved [`Machine`]. It shares with other saved states what did not change between them; layers,
/// other interpreters and mimalloc are copied whole, except for contents that nobody wrote since.
#[derive(Clone, Debug)]
pub(crate) struct SavedMachine {
    pymalloc: SavedPymalloc,
    raw: SavedRaw,
    pointers: SavedPaged<SimPtr>,
    layers: Option<Box<Layers>>,
    interpreters: Option<Box<Interpreters<SimPool>>>,
    mimalloc: Option<Box<MiRun>>,
    stopped: Option<Box<Fatal>>,
}

impl SavedMachine {
    /// Bytes that nothing but this saved state holds: what dropping it gives back. Contents of memory are
    /// taken to be its own.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.pymalloc.own_bytes() + self.raw.own_bytes() + self.pointers.own_bytes() + self.copied_bytes()
    }

    /// Bytes of what is copied whole.
    fn copied_bytes(&self) -> u64 {
        self.layers.as_ref().map_or(0, |l| l.state_bytes())
            + self.interpreters.as_ref().map_or(0, |i| i.state_bytes())
            + self.mimalloc.as_ref().map_or(0, |m| m.state_bytes())
    }
}

impl Machine<SimArenas> {
    /// Saves what changed since `base`, which must be the state saved or restored last, `None` if there
    /// was none; with the bytes that the result does not share with it.
    pub(crate) fn save(&mut self, base: Option<&SavedMachine>) -> (SavedMachine, u64) {
        let (pymalloc, pymalloc_bytes) = self.pymalloc.save(base.map(|b| &b.pymalloc));
        let (no_raw, no_pointers) = (SavedRaw::default(), SavedPaged::default());
        let (raw, raw_bytes) = self.raw.save(base.map_or(&no_raw, |b| &b.raw));
        let (pointers, pointer_bytes) = self.pointers.save(base.map_or(&no_pointers, |b| &b.pointers));
        let saved = SavedMachine {
            pymalloc,
            raw,
            pointers,
            layers: self.layers.clone(),
            interpreters: self.interpreters.clone(),
            mimalloc: self.mimalloc.clone(),
            stopped: self.stopped.clone(),
        };
        let bytes = pymalloc_bytes + raw_bytes + pointer_bytes + saved.copied_bytes();
        (saved, bytes)
    }

    /// Goes to the state `to`; `base` as for [`Self::save`].
    pub(crate) fn restore(&mut self, base: &SavedMachine, to: &SavedMachine) {
        self.pymalloc.restore(&base.pymalloc, &to.pymalloc);
        self.raw.restore(&base.raw, &to.raw);
        self.pointers.restore(&base.pointers, &to.pointers);
        self.layers.clone_from(&to.layers);
        self.interpreters.clone_from(&to.interpreters);
        self.mimalloc.clone_from(&to.mimalloc);
        self.stopped.clone_from(&to.stopped);
    }
}
