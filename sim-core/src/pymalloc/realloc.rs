//! The decision of `pymalloc_realloc`: stay or move.

use super::Pymalloc;
use crate::arena::ArenaBackend;

/// What `pymalloc_realloc` does with a block in a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Realloc {
    /// The block stays where it is.
    InPlace {
        /// Bytes of its block.
        block_size: u64,
    },
    /// A new block is allocated first, this many bytes are copied, then the old one is freed.
    Move {
        /// Bytes of the old block.
        block_size: u64,
        /// Bytes copied.
        copied: u64,
    },
}

impl Realloc {
    /// What is done with a block of `block_size` bytes.
    #[inline]
    pub(crate) fn of(block_size: u64, nbytes: u64) -> Self {
        if nbytes > block_size {
            Self::Move { block_size, copied: block_size }
        } else if 4 * nbytes > 3 * block_size {
            Self::InPlace { block_size }
        } else {
            Self::Move { block_size, copied: nbytes }
        }
    }
}

impl<A: ArenaBackend> Pymalloc<A> {
    /// What a realloc of `block` to `nbytes` does: it stays if it fits and at least a quarter of the
    /// block would not be wasted (`4 * nbytes > 3 * block size`).
    #[inline]
    pub fn realloc_decision(&self, block: A::Block, nbytes: u64) -> Realloc {
        let szidx = self.header(self.memory.pool_of(block)).szidx;
        Realloc::of(u64::from(self.block_bytes(szidx)), nbytes)
    }
}
