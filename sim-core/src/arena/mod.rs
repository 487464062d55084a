//! The arena allocator and the memory arenas consist of.
//!
//! pymalloc is written once, against [`ArenaBackend`]: where arenas come from (`PyObjectArenaAllocator`)
//! and how the pool headers and free-list links inside them are read and written. It stands apart so
//! that the same algorithm runs over compact simulated memory and over real memory.

mod hooks;
mod sim;

pub use hooks::{ArenaHooks, Made};
pub(crate) use sim::{LogPosition, Region, SavedArenas, Tables, WriteLog};
pub use sim::{RawId, SimArenas, SimBlock, SimPool, SimPtr, arena_base, region_base};

use std::fmt::Debug;

use crate::addr::Addr;
use crate::domains::ArenaChoice;
use crate::event::Observer;

/// `struct pool_header`, with its fields in `CPython`'s order and under `CPython`'s names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct PoolHeader<P, B> {
    /// `ref.count`: blocks currently allocated.
    pub ref_count: u32,
    /// Head of the pool's free list.
    pub freeblock: Option<B>,
    /// Next pool of this size class, or next pool on the arena's `freepools`.
    pub nextpool: Option<P>,
    /// Previous pool of this size class; `None` is the list's head in `usedpools`.
    pub prevpool: Option<P>,
    /// Index of the owning `arena_object` in `arenas`.
    pub arenaindex: u32,
    /// Size class, [`DUMMY_SIZE_IDX`] for a pool that never had one.
    pub szidx: u32,
    /// Bytes from the pool's start to the next block never handed out.
    pub nextoffset: u32,
    /// The largest valid `nextoffset`.
    pub maxnextoffset: u32,
}

/// `DUMMY_SIZE_IDX`: the size class of a pool carved but not yet given one.
pub const DUMMY_SIZE_IDX: u32 = 0xFFFF;

/// What a pointer of a program is, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<B> {
    /// NULL.
    Null,
    /// A block in a pool.
    Block(B),
    /// A block of the C library.
    Raw(RawId),
}

/// Arenas and the memory in them.
///
/// Offsets and sizes are in bytes. Implementations keep headers and links wherever they like; pymalloc
/// asks only for pools it has carved and blocks it has linked.
pub trait ArenaBackend {
    /// A pool, as cheap to copy as a number.
    type Pool: Copy + Eq + Debug;
    /// A block in a pool.
    type Block: Copy + Eq + Debug;
    /// A program's pointer: NULL, a block or a block of the C library, packed.
    type Ptr: Copy + Eq + Debug + Default;

    /// `PyObjectArenaAllocator.alloc`: the base of a new arena, `None` for NULL.
    fn obtain(&mut self) -> Option<Addr>;
    /// `PyObjectArenaAllocator.free`.
    fn release(&mut self, base: Addr);
    /// [`Self::obtain`] through the hook in force, which reports what it does.
    fn obtain_from_hook<O: Observer>(&mut self, _observer: &mut O) -> Option<Addr> {
        self.obtain()
    }
    /// [`Self::release`] through the hook in force, which is given NULL too.
    fn release_to_hook<O: Observer>(&mut self, base: Addr, _observer: &mut O) {
        if base != Addr(0) {
            self.release(base);
        }
    }
    /// What replaces the arena allocator, where a scenario has replaced it.
    fn hooks(&self) -> Option<&ArenaHooks> {
        None
    }
    /// `PyObject_SetArenaAllocator`. A backend over real memory has no use for it.
    fn set_arena_allocator(&mut self, _choice: ArenaChoice) {}
    /// `_PyObject_VirtualAlloc`: memory from the hook that is no arena; `None` for NULL.
    fn virtual_alloc<O: Observer>(&mut self, _size: u64, _observer: &mut O) -> Option<Addr> {
        None
    }
    /// `_PyObject_VirtualFree`; true when the memory is no longer there afterwards.
    fn virtual_free<O: Observer>(&mut self, _at: Addr, _observer: &mut O) -> bool {
        false
    }
    /// Asks RAW for `bytes` of bookkeeping (arena records, radix nodes); false for NULL.
    fn bookkeeping(&mut self, bytes: u64) -> bool;

    /// The address that the simulation would have in place of `addr`, which lies in a live arena. Memory of the
    /// system's has other addresses each time; what is compared and digested must not.
    fn canonical(&self, addr: Addr) -> Addr {
        addr
    }

    /// The pool that starts at `addr`.
    fn pool_at(&self, addr: Addr) -> Self::Pool;
    /// Where a pool starts.
    fn pool_addr(&self, pool: Self::Pool) -> Addr;
    /// `POOL_ADDR`: the pool a block lies in.
    fn pool_of(&self, block: Self::Block) -> Self::Pool;
    /// The block `offset` bytes into a pool.
    fn block_in(&self, pool: Self::Pool, offset: u32) -> Self::Block;
    /// Where a block starts.
    fn block_addr(&self, block: Self::Block) -> Addr;
    /// Where a pool starts, one of its blocks, and another one that this one may link to.
    #[inline]
    fn addrs_in(
        &self,
        pool: Self::Pool,
        block: Self::Block,
        next: Option<Self::Block>,
    ) -> (Addr, Addr, Option<Addr>) {
        (self.pool_addr(pool), self.block_addr(block), next.map(|next| self.block_addr(next)))
    }

    /// The header of a carved pool.
    fn header(&self, pool: Self::Pool) -> &PoolHeader<Self::Pool, Self::Block>;
    /// The header, to be changed.
    fn header_mut(&mut self, pool: Self::Pool) -> &mut PoolHeader<Self::Pool, Self::Block>;
    /// The free-list link that the first word of a free block holds.
    fn link(&self, block: Self::Block) -> Option<Self::Block>;
    /// Writes that word.
    fn set_link(&mut self, block: Self::Block, next: Option<Self::Block>);

    /// Takes the head off a pool's free list and counts the block as used: the head, the next one and the
    /// count. `None` when the list is empty, which changes nothing.
    #[inline]
    fn pop(&mut self, pool: Self::Pool) -> Option<(Self::Block, Option<Self::Block>, u32)> {
        let block = self.header(pool).freeblock?;
        let next = self.link(block);
        let header = self.header_mut(pool);
        header.freeblock = next;
        header.ref_count += 1;
        Some((block, next, header.ref_count))
    }

    /// Puts a block at the head of its pool's free list and counts it off: the pool, the head before, the
    /// count and the size class.
    #[inline]
    fn push(&mut self, block: Self::Block) -> (Self::Pool, Option<Self::Block>, u32, u32) {
        let pool = self.pool_of(block);
        let last_free = self.header(pool).freeblock;
        self.set_link(block, last_free);
        let header = self.header_mut(pool);
        header.freeblock = Some(block);
        header.ref_count = header.ref_count.wrapping_sub(1);
        (pool, last_free, header.ref_count, header.szidx)
    }

    /// Packs a pool block as a program's pointer.
    fn pack_block(block: Self::Block) -> Self::Ptr;
    /// Packs a block of the C library.
    fn pack_raw(raw: RawId) -> Self::Ptr;
    /// Takes a program's pointer apart.
    fn target(ptr: Self::Ptr) -> Target<Self::Block>;
}
