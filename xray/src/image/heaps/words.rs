//! Words of the copy that lie near each other, without looking for their region each time.

use crate::image::memory::{Memory, word_of};

/// A place in the copy.
#[derive(Debug)]
pub(super) struct Words<'a> {
    memory: &'a Memory,
    region: usize,
}

impl<'a> Words<'a> {
    pub(super) fn of(memory: &'a Memory) -> Self {
        Self { memory, region: 0 }
    }

    /// The word at an address, where it was copied.
    #[inline]
    pub(super) fn at(&mut self, addr: u64) -> Option<u64> {
        let regions = self.memory.regions();
        let is_in = |at: usize| regions.get(at).is_some_and(|region| region.lo <= addr && addr < region.hi());
        if !is_in(self.region) {
            self.region = regions.partition_point(|region| region.lo <= addr).checked_sub(1)?;
        }
        let region = &regions[self.region];
        let from = usize::try_from(addr - region.lo).ok()?;
        let bytes = region.bytes.get(from..from.checked_add(8)?)?;
        Some(word_of(bytes, 0))
    }
}
