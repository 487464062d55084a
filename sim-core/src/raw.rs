//! The C library's malloc as a labelled model.
//!
//! Where glibc puts a block is not predicted: each block gets a number in the order of its birth, and
//! its size is kept. That is all that `CPython`'s own behaviour depends on.

use crate::arena::RawId;
use crate::paged::{Paged, SavedPaged};

/// One block of the C library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawBlock {
    /// Bytes asked for.
    pub nbytes: u64,
    /// Blocks allocated before it.
    pub label: u64,
}

/// All live blocks of the C library.
#[derive(Clone, Debug)]
pub struct RawModel {
    /// One row for each block. Rows not in use are a list: `label` is the next one's number.
    blocks: Paged<RawBlock>,
    counts: RawCounts,
    /// Bytes that all blocks together can have: more than an address space holds are refused, as they are of a process.
    room: u64,
}

#[derive(Clone, Copy, Debug)]
struct RawCounts {
    /// The first row not in use, [`NONE`] when all are.
    free: u64,
    live: u64,
    born: u64,
    live_bytes: u64,
}

const NONE: u64 = u64::MAX;

/// What one call can change of a [`RawModel`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawBefore {
    counts: RawCounts,
    rows: usize,
    row: u64,
    block: RawBlock,
}

/// A saved [`RawModel`].
#[derive(Clone, Debug)]
pub(crate) struct SavedRaw {
    blocks: SavedPaged<RawBlock>,
    counts: RawCounts,
}

impl Default for SavedRaw {
    fn default() -> Self {
        Self { blocks: SavedPaged::default(), counts: RawCounts::NONE }
    }
}

impl SavedRaw {
    /// Bytes that nothing but this saved state holds.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.blocks.own_bytes()
    }
}

impl RawCounts {
    const NONE: Self = Self { free: NONE, live: 0, born: 0, live_bytes: 0 };
}

impl RawModel {
    /// No block yet, in a process with pointers of `pointer_bytes` (8 or 4).
    pub fn new(pointer_bytes: u32) -> Self {
        Self { blocks: Paged::default(), counts: RawCounts::NONE, room: Self::room(pointer_bytes) }
    }

    /// Bytes that no request reaches in a process with such pointers, however little it holds.
    pub fn room(pointer_bytes: u32) -> u64 {
        // The lower half of the 48-bit address space, which is a process's own, less the page that Linux leaves out.
        if pointer_bytes == 4 { 1 << 32 } else { (1 << 47) - 4096 }
    }

    /// `malloc(nbytes)`; the wrapper asks for 1 byte instead of 0, the size kept is the one asked for. `None` for what no
    /// process has.
    #[inline]
    pub fn malloc(&mut self, nbytes: u64) -> Option<RawId> {
        let counts = &mut self.counts;
        if nbytes >= self.room - counts.live_bytes {
            return None;
        }
        let block = RawBlock { nbytes, label: counts.born };
        counts.born += 1;
        counts.live += 1;
        counts.live_bytes += nbytes;
        if counts.free == NONE {
            self.blocks.push(block);
            return Some(RawId(self.blocks.len() as u32 - 1));
        }
        let row = counts.free as u32;
        counts.free = self.blocks.replace(row as usize, block).label;
        Some(RawId(row))
    }

    /// `realloc(block, nbytes)`: the block keeps its label. What it was before; `None` for what no process has, which
    /// leaves it as it is.
    #[inline]
    pub fn realloc(&mut self, id: RawId, nbytes: u64) -> Option<RawBlock> {
        let before = self.get(id);
        let others = self.counts.live_bytes - before.nbytes;
        if nbytes >= self.room - others {
            return None;
        }
        self.blocks.replace(id.0 as usize, RawBlock { nbytes, ..before });
        self.counts.live_bytes = others + nbytes;
        Some(before)
    }

    /// `free(block)`.
    #[inline]
    pub fn free(&mut self, id: RawId) -> RawBlock {
        let unused = RawBlock { nbytes: 0, label: self.counts.free };
        let block = self.blocks.replace(id.0 as usize, unused);
        self.counts.free = u64::from(id.0);
        self.counts.live -= 1;
        self.counts.live_bytes -= block.nbytes;
        block
    }

    /// What is kept of a live block.
    pub fn get(&self, id: RawId) -> RawBlock {
        self.blocks.get(id.0 as usize)
    }

    /// Live blocks.
    pub fn live_blocks(&self) -> u64 {
        self.counts.live
    }

    /// Sum of the sizes asked for of all live blocks, in bytes.
    pub fn live_bytes(&self) -> u64 {
        self.counts.live_bytes
    }

    /// Bytes this table takes.
    pub fn state_bytes(&self) -> u64 {
        self.blocks.state_bytes()
    }

    /// What the next call can change: on the block `id`, or, without one, a malloc.
    pub(crate) fn before(&self, id: Option<RawId>) -> RawBefore {
        let row = id.map_or(self.counts.free, |id| u64::from(id.0));
        let block = self.blocks.as_slice().get(row as usize).copied();
        RawBefore {
            counts: self.counts,
            rows: self.blocks.len(),
            row,
            block: block.unwrap_or(RawBlock { nbytes: 0, label: 0 }),
        }
    }

    /// Takes a call back.
    pub(crate) fn take_back(&mut self, before: &RawBefore) {
        self.blocks.truncate(before.rows);
        // Other operations leave the table as it is.
        if self.blocks.as_slice().get(before.row as usize).is_some_and(|now| *now != before.block) {
            self.blocks.replace(before.row as usize, before.block);
        }
        self.counts = before.counts;
    }

    /// See [`Paged::save`].
    pub(crate) fn save(&mut self, base: &SavedRaw) -> (SavedRaw, u64) {
        let (blocks, bytes) = self.blocks.save(&base.blocks);
        (SavedRaw { blocks, counts: self.counts }, bytes)
    }

    /// See [`Paged::restore`].
    pub(crate) fn restore(&mut self, base: &SavedRaw, to: &SavedRaw) {
        self.blocks.restore(&base.blocks, &to.blocks);
        self.counts = to.counts;
    }
}
