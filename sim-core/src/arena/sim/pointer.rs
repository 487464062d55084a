//! What names pools, blocks and pointers of the region, in 4 bytes each.

use std::num::NonZeroU32;

/// A pool of the region. The number counts from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimPool(pub(super) NonZeroU32);

/// A block: alignment units from the start of pool "0", the one before the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimBlock(pub(super) NonZeroU32);

/// A block of the C library: its row in the RAW model's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawId(pub u32);

/// A program's pointer in 4 bytes: 0 is NULL, the top bit marks the C library's blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SimPtr(pub(super) u32);

/// The bit of a [`SimPtr`] that marks a block of the C library.
pub(super) const RAW_BIT: u32 = 1 << 31;

impl SimPool {
    #[inline]
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    #[inline]
    pub(crate) fn of_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}

impl SimBlock {
    #[inline]
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    #[inline]
    pub(crate) fn of_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}

impl SimPtr {
    #[inline]
    pub(crate) fn of_block(block: SimBlock) -> Self {
        Self(block.0.get())
    }

    /// The pool's block it points to, if it is one.
    #[inline]
    pub(crate) fn block(self) -> Option<SimBlock> {
        if self.0 & RAW_BIT == 0 { SimBlock::of_number(self.0) } else { None }
    }
}
