//! `pymalloc_alloc`: a block from the front pool of its class, or from a new pool.

use super::Pymalloc;
use crate::addr::SizeClass;
use crate::arena::{ArenaBackend, DUMMY_SIZE_IDX};
use crate::event::{Event, Observer};

impl<A: ArenaBackend> Pymalloc<A> {
    /// `pymalloc_alloc`: a block for `nbytes`, `None` when the request is not small or no arena can be had.
    #[inline]
    pub fn alloc<O: Observer>(&mut self, nbytes: u64, observer: &mut O) -> Option<A::Block> {
        let Some(class) = self.size_class(nbytes) else {
            observer.event(Event::NotSmall { nbytes });
            return None;
        };
        observer.event(Event::SizeClassChosen { nbytes, class });
        self.alloc_of(class, observer)
    }

    /// A block of a class.
    #[inline]
    pub(crate) fn alloc_of<O: Observer>(&mut self, class: SizeClass, observer: &mut O) -> Option<A::Block> {
        let Some(pool) = self.used[usize::from(class.0)] else {
            return self.allocate_from_new_pool(class, observer);
        };
        // A pool on a used list always has a free block.
        let (block, next, ref_count) = self.memory.pop(pool)?;
        if O::ENABLED {
            let (pool, block, next) = self.memory.addrs_in(pool, block, next);
            observer.event(Event::BlockPopped { pool, block, next, ref_count });
        }
        if next.is_none() {
            self.pymalloc_pool_extend(pool, class, observer);
        }
        Some(block)
    }

    /// `pymalloc_pool_extend`: links one block never handed out, or takes the full pool off its list.
    #[inline]
    fn pymalloc_pool_extend<O: Observer>(&mut self, pool: A::Pool, class: SizeClass, observer: &mut O) {
        let size = self.block_bytes(u32::from(class.0));
        let header = self.memory.header_mut(pool);
        if header.nextoffset <= header.maxnextoffset {
            let offset = header.nextoffset;
            header.nextoffset += size;
            let block = self.memory.block_in(pool, offset);
            self.memory.header_mut(pool).freeblock = Some(block);
            self.memory.set_link(block, None);
            if O::ENABLED {
                observer.event(Event::BlockCarved {
                    pool: self.memory.pool_addr(pool),
                    block: self.memory.block_addr(block),
                    nextoffset: offset + size,
                });
            }
            return;
        }
        self.unlink_used(pool, class);
        observer.event(Event::PoolFull { pool: self.memory.pool_addr(pool), class });
    }

    /// Takes a pool off its used list. Its own links are left as they were.
    pub(super) fn unlink_used(&mut self, pool: A::Pool, class: SizeClass) {
        let header = self.memory.header(pool);
        let (prev, next) = (header.prevpool, header.nextpool);
        match prev {
            Some(prev) => self.memory.header_mut(prev).nextpool = next,
            None => {
                if let Some(front) = self.used.get_mut(usize::from(class.0)) {
                    *front = next;
                }
            }
        }
        if let Some(next) = next {
            self.memory.header_mut(next).prevpool = prev;
        }
    }

    /// `allocate_from_new_pool`: takes a free pool of the most used arena, or carves one.
    #[inline(never)]
    fn allocate_from_new_pool<O: Observer>(
        &mut self,
        class: SizeClass,
        observer: &mut O,
    ) -> Option<A::Block> {
        if self.usable_arenas.is_none() && !self.make_arena(observer) {
            return None;
        }
        let index = self.count_off_pool(observer)?;
        let pool = self.take_pool(index, observer);
        self.unlink_if_spent(index, observer);
        self.used[usize::from(class.0)] = Some(pool);
        observer.event(Event::PoolLinked { pool: self.memory.pool_addr(pool), class });

        let szidx = u32::from(class.0);
        let header = self.memory.header_mut(pool);
        header.nextpool = None;
        header.prevpool = None;
        header.ref_count = 1;
        if header.szidx == szidx {
            // Same class as last time: its free list is kept. It has at least two entries, since a
            // fresh pool links two blocks at once, so the list does not run dry here.
            let block = header.freeblock?;
            let next = self.memory.link(block);
            self.memory.header_mut(pool).freeblock = next;
            if O::ENABLED {
                let (pool, at, next) = self.memory.addrs_in(pool, block, next);
                observer.event(Event::PoolReused { pool, class });
                observer.event(Event::BlockPopped { pool, block: at, next, ref_count: 1 });
            }
            return Some(block);
        }
        let was = header.szidx;
        let size = self.block_bytes(szidx);
        let (pool_size, overhead) = (self.profile.pool_size as u32, self.pool_overhead);
        let block = self.memory.block_in(pool, overhead);
        let second = self.memory.block_in(pool, overhead + size);
        let header = self.memory.header_mut(pool);
        header.szidx = szidx;
        header.nextoffset = overhead + 2 * size;
        header.maxnextoffset = pool_size - size;
        header.freeblock = Some(second);
        self.memory.set_link(second, None);
        if O::ENABLED {
            observer.event(Event::PoolInitialised {
                pool: self.memory.pool_addr(pool),
                class,
                was: (was != DUMMY_SIZE_IDX).then_some(SizeClass(was as u16)),
                block: self.memory.block_addr(block),
                second: self.memory.block_addr(second),
                nextoffset: overhead + 2 * size,
                maxnextoffset: pool_size - size,
            });
        }
        Some(block)
    }

    /// The arena of which the next pool is, with that pool counted off.
    #[inline]
    pub(crate) fn count_off_pool<O: Observer>(&mut self, observer: &mut O) -> Option<u32> {
        // The head has the fewest free pools; with one less it is still the head.
        let index = self.usable_arenas?;
        let nfreepools = self.arenas[index as usize].nfreepools;
        if self.nfp2lasta[nfreepools as usize] == Some(index) {
            self.set_nfp2lasta(nfreepools, None, observer);
        }
        if nfreepools > 1 {
            self.set_nfp2lasta(nfreepools - 1, Some(index), observer);
        }
        self.arena_mut(index).nfreepools -= 1;
        Some(index)
    }

    /// A free pool of an arena that has one: the last emptied, else the next never carved.
    fn take_pool<O: Observer>(&mut self, index: u32, observer: &mut O) -> A::Pool {
        let Some(pool) = self.arenas[index as usize].freepools else {
            return self.carve_pool(index, observer);
        };
        let next = self.memory.header(pool).nextpool;
        self.arena_mut(index).freepools = next;
        let arena = self.arena_id(index);
        observer.event(Event::PoolTaken { arena, pool: self.memory.pool_addr(pool) });
        pool
    }

    /// The next pool never carved.
    pub(crate) fn carve_pool<O: Observer>(&mut self, index: u32, observer: &mut O) -> A::Pool {
        let at = self.arenas[index as usize].pool_address;
        let pool = self.memory.pool_at(at);
        self.arena_mut(index).pool_address = at.offset(self.profile.pool_size);
        let header = self.memory.header_mut(pool);
        header.arenaindex = index;
        header.szidx = DUMMY_SIZE_IDX;
        observer.event(Event::PoolCarved { arena: self.arena_id(index), pool: at });
        pool
    }

    /// Takes the arena whose last pool was counted off from `usable_arenas`.
    #[inline]
    pub(crate) fn unlink_if_spent<O: Observer>(&mut self, index: u32, observer: &mut O) {
        if self.arenas[index as usize].nfreepools == 0 {
            self.unlink_head_arena(index, observer);
        }
    }
}
