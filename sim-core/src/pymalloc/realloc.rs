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

impl<A: ArenaBackend> Pymalloc<A> {
    /// What a realloc of `block` to `nbytes` does: it stays if it fits and at least a quarter of the
    /// block would not be wasted (`4 * nbytes > 3 * block size`).
    #[inline]
    pub fn realloc_decision(&self, block: A::Block, nbytes: u64) -> Realloc {
        let szidx = self.header(self.memory.pool_of(block)).szidx;
        let block_size = u64::from(self.block_bytes(szidx));
        if nbytes > block_size {
            Realloc::Move { block_size, copied: block_size }
        } else if 4 * nbytes > 3 * block_size {
            Realloc::InPlace { block_size }
        } else {
            Realloc::Move { block_size, copied: nbytes }
        }
    }
}
