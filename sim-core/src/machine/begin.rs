//! A machine that goes on from a process as it was.

use super::Machine;
use crate::arena::{ArenaBackend as _, SimArenas};
use crate::picture::{HeapPicture, PictureError};

impl Machine<SimArenas> {
    /// Goes on from the state of a process, exactly: the next operations give the addresses that they would give there. Slot `k` has
    /// block `k` of those in use, so that operations can free and resize them. To be called before the first operation, on a run
    /// over pymalloc's bare tables; after an error nothing is changed.
    ///
    /// Arenas lie where they lay in the process, and those obtained later where the picture says so. Blocks of the C library that were there
    /// before have no slot.
    pub fn begin_with(&mut self, picture: &HeapPicture) -> Result<(), PictureError> {
        if !self.plain || self.interpreters.is_some() || self.pymalloc.counters().ntimes_arena_allocated > 0 {
            return Err(PictureError::NotPlain);
        }
        let mut pointers = Vec::new();
        self.pymalloc.begin(picture, |block| pointers.push(SimArenas::pack_block(block)))?;
        self.grow(pointers.len() as u32);
        for (slot, pointer) in pointers.into_iter().enumerate() {
            self.pointers.replace(slot, pointer);
        }
        Ok(())
    }

    /// pymalloc's state as a picture, for another machine to go on from. Blocks in use stand in the order of their addresses in it,
    /// arena by arena, whatever slots they have here. `None` where a scenario may have broken the heap, or it is not pymalloc's.
    pub fn heap_picture(&self) -> Option<HeapPicture> {
        self.plain.then(|| self.pymalloc.picture())
    }
}
