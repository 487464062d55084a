//! A process at one moment, as plain data: pymalloc's state, exactly, and what is known of its blocks.
//!
//! Whoever looks into a process fills it, a file carries it, a machine goes on from it. A [`HeapPicture`] has no name for anything
//! but the process's own: addresses, numbers of records, numbers of blocks in their pools. All of it may come from memory that
//! was overwritten or from a file that somebody damaged; [`HeapPicture::check`] and [`Inventory::check`] say whether it
//! can be true.

mod check;
mod heap;
mod inventory;

pub use check::{PictureError, Place};
pub(crate) use heap::numbers_in_use;
pub use heap::{ArenaPicture, HeapPicture, PoolPicture};
pub use inventory::{
    BlockColumns, BlockFlags, Cause, ChunkRow, ChunkState, Finding, Inventory, MappingRow, PartRow,
    PictureSource, PoolMemory, TypeRow,
};

/// A process at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProcessPicture {
    /// pymalloc's state of each interpreter that has one of its own, the main one's first. A machine goes on from that one, and a
    /// trace that begins here has its blocks: block `k` is slot `k`, with id `k + 1`.
    pub heaps: Vec<HeapPicture>,
    /// What is known beside that.
    pub inventory: Inventory,
}

impl ProcessPicture {
    /// The main interpreter's heap.
    pub fn main(&self) -> Option<&HeapPicture> {
        self.heaps.first()
    }

    /// Blocks in use of the main interpreter's heap: those that a trace which begins here has slots for.
    pub fn main_blocks(&self) -> u64 {
        self.main().map_or(0, HeapPicture::blocks)
    }

    /// Blocks in use of all heaps.
    pub fn blocks(&self) -> u64 {
        self.heaps.iter().map(HeapPicture::blocks).sum()
    }

    /// Bytes it takes.
    pub fn state_bytes(&self) -> u64 {
        self.heaps.iter().map(HeapPicture::state_bytes).sum::<u64>() + self.inventory.state_bytes()
    }
}
