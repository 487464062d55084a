//! The C library's malloc as a labelled model.
//!
//! Where glibc puts a block is not predicted: each block gets a number in the order of its birth, and
//! its size is kept. That is all that `CPython`'s own behaviour depends on.

use crate::arena::RawId;

/// One block of the C library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawBlock {
    /// Bytes asked for.
    pub nbytes: u64,
    /// Blocks allocated before it.
    pub label: u64,
}

/// All live blocks of the C library.
#[derive(Clone, Debug, Default)]
pub struct RawModel {
    blocks: Vec<RawBlock>,
    free: Vec<u32>,
    born: u64,
    live_bytes: u64,
}

impl RawModel {
    /// `malloc(nbytes)`; the wrapper asks for 1 byte instead of 0, the size kept is the one asked for.
    #[inline]
    pub fn malloc(&mut self, nbytes: u64) -> RawId {
        let block = RawBlock { nbytes, label: self.born };
        self.born += 1;
        self.live_bytes = self.live_bytes.wrapping_add(nbytes);
        if let Some(row) = self.free.pop() {
            self.blocks[row as usize] = block;
            RawId(row)
        } else {
            self.blocks.push(block);
            RawId(self.blocks.len() as u32 - 1)
        }
    }

    /// `realloc(block, nbytes)`: the block keeps its label.
    #[inline]
    pub fn realloc(&mut self, id: RawId, nbytes: u64) -> RawBlock {
        let block = &mut self.blocks[id.0 as usize];
        let before = *block;
        block.nbytes = nbytes;
        self.live_bytes = self.live_bytes.wrapping_add(nbytes).wrapping_sub(before.nbytes);
        before
    }

    /// `free(block)`.
    #[inline]
    pub fn free(&mut self, id: RawId) -> RawBlock {
        let block = self.blocks[id.0 as usize];
        self.live_bytes = self.live_bytes.wrapping_sub(block.nbytes);
        self.free.push(id.0);
        block
    }

    /// What is kept of a live block.
    pub fn get(&self, id: RawId) -> RawBlock {
        self.blocks[id.0 as usize]
    }

    /// Live blocks.
    pub fn live_blocks(&self) -> u64 {
        (self.blocks.len() - self.free.len()) as u64
    }

    /// Sum of the sizes asked for of all live blocks, in bytes.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes this table takes.
    pub fn state_bytes(&self) -> u64 {
        (self.blocks.capacity() * size_of::<RawBlock>() + self.free.capacity() * 4) as u64
    }
}
