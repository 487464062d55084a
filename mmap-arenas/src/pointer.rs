//! Pools, blocks and a program's pointers as addresses in memory, and the header as `CPython` lays it out.

use std::mem::offset_of;
use std::ptr::{self, NonNull};

use sim_core::Addr;
use sim_core::arena::{PoolHeader, RawId, Target};

/// `struct pool_header` in memory.
///
/// One field differs in meaning: `prevpool` of the front pool is 0, where `CPython` points to a fake header
/// inside `usedpools`. The list's heads lie outside the arenas in both, and only what lies inside is
/// promised.
pub type Header = PoolHeader<MmapPool, MmapBlock>;

const _: () = assert!(size_of::<usize>() == 8, "arenas in memory are laid out for 64-bit builds");
const _: () = assert!(size_of::<Header>() == 48 && align_of::<Header>() == 8);
const _: () = assert!(offset_of!(Header, ref_count) == 0);
const _: () = assert!(offset_of!(Header, freeblock) == 8);
const _: () = assert!(offset_of!(Header, nextpool) == 16);
const _: () = assert!(offset_of!(Header, prevpool) == 24);
const _: () = assert!(offset_of!(Header, arenaindex) == 32);
const _: () = assert!(offset_of!(Header, szidx) == 36);
const _: () = assert!(offset_of!(Header, nextoffset) == 40);
const _: () = assert!(offset_of!(Header, maxnextoffset) == 44);
// A list's end is the null pointer, so that a link is one word.
const _: () = assert!(size_of::<Option<MmapPool>>() == 8 && size_of::<Option<MmapBlock>>() == 8);

/// Where a pool starts. It may be used with the arenas it came from, while its arena is live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct MmapPool(pub(crate) NonNull<u8>);

/// Where a block starts, under the same rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct MmapBlock(pub(crate) NonNull<u8>);

/// A program's pointer: null, a block, or a row of the C library's model, marked by its lowest bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct MmapPtr(*mut u8);

impl Default for MmapPtr {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl MmapPool {
    pub(crate) fn addr(self) -> Addr {
        Addr(self.0.addr().get() as u64)
    }
}

impl MmapBlock {
    #[inline]
    pub(crate) fn addr(self) -> Addr {
        Addr(self.0.addr().get() as u64)
    }
}

impl MmapPtr {
    #[inline]
    pub(crate) fn block(block: MmapBlock) -> Self {
        Self(block.0.as_ptr())
    }

    #[inline]
    pub(crate) fn raw(raw: RawId) -> Self {
        Self(ptr::without_provenance_mut(raw.0 as usize * 2 + 1))
    }

    #[inline]
    pub(crate) fn target(self) -> Target<MmapBlock> {
        if self.0.addr() & 1 != 0 {
            return Target::Raw(RawId((self.0.addr() >> 1) as u32));
        }
        NonNull::new(self.0).map_or(Target::Null, |p| Target::Block(MmapBlock(p)))
    }
}
