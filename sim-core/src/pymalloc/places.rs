//! Addresses and what lies there, for heaps that a program broke.

use super::{ArenaObject, Pymalloc};
use crate::addr::{Addr, SizeClass};
use crate::arena::ArenaBackend;

impl<A: ArenaBackend> Pymalloc<A> {
    /// The pool that begins at an address, if one was carved there.
    pub(crate) fn carved_pool_at(&self, addr: Addr) -> Option<A::Pool> {
        if !addr.0.is_multiple_of(self.profile.pool_size) || !self.address_in_range(addr) {
            return None;
        }
        let pool = self.memory.pool_at(addr);
        let holds = |arena: &&ArenaObject<A::Pool>| arena.holds(addr, &self.profile);
        // The header names the arena, unless it was overwritten or never written.
        let named = self.arenas.get(self.header(pool).arenaindex as usize).filter(holds);
        let arena = named.or_else(|| self.arenas.iter().find(holds))?;
        (addr < arena.pool_address).then_some(pool)
    }

    /// The carved pool that an address lies in.
    pub(crate) fn carved_pool_around(&self, addr: Addr) -> Option<A::Pool> {
        self.carved_pool_at(Addr(addr.0 & !(self.profile.pool_size - 1)))
    }

    /// Where the block begins that an address lies in, used or free, and its bytes.
    pub(crate) fn block_around(&self, addr: Addr) -> Option<(Addr, u64)> {
        let pool = self.carved_pool_around(addr)?;
        let start = self.memory.pool_addr(pool).offset(u64::from(self.pool_overhead));
        let header = self.header(pool);
        let size = u64::from(self.block_bytes(header.szidx & u32::from(u16::MAX)));
        let number = addr.0.checked_sub(start.0)? / size;
        Some((start.offset(number * size), size))
    }

    /// A block at an address, if one could begin there in this pool.
    pub(crate) fn aligned_block(&self, pool: A::Pool, addr: Addr) -> Option<A::Block> {
        let offset = addr.bytes_from(self.memory.pool_addr(pool));
        let fits = offset >= u64::from(self.pool_overhead)
            && offset < self.profile.pool_size
            && offset.is_multiple_of(self.profile.alignment);
        fits.then(|| self.memory.block_in(pool, offset as u32))
    }

    /// Sets the front of a class's list, as memory has it.
    pub(crate) fn set_used_front(&mut self, class: SizeClass, pool: Option<A::Pool>) {
        if let Some(front) = self.used.get_mut(usize::from(class.0)) {
            *front = pool;
        }
    }

    /// Sets the top of an arena's `freepools`, as memory has it.
    pub(crate) fn set_freepools(&mut self, index: u32, pool: Option<A::Pool>) {
        if let Some(arena) = self.arenas.get_mut(index as usize) {
            arena.freepools = pool;
        }
    }

    /// Pools that there can be in all arenas: no list that holds is longer.
    pub(super) fn most_pools(&self) -> usize {
        self.arenas.len() * self.profile.max_pools_in_arena() as usize
    }
}
