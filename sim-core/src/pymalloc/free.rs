//! `pymalloc_free`: a block goes back to its pool, the pool perhaps to its arena.

use super::Pymalloc;
use crate::addr::SizeClass;
use crate::arena::ArenaBackend;
use crate::event::{Event, Observer};

impl<A: ArenaBackend> Pymalloc<A> {
    /// `pymalloc_free` of a block that lies in an arena.
    #[inline]
    pub fn free<O: Observer>(&mut self, block: A::Block, observer: &mut O) {
        let (pool, last_free, ref_count, szidx) = self.memory.push(block);
        let class = SizeClass(szidx as u16);
        if O::ENABLED {
            observer.event(Event::BlockPushed {
                pool: self.memory.pool_addr(pool),
                block: self.memory.block_addr(block),
                next: last_free.map(|b| self.memory.block_addr(b)),
                ref_count,
            });
        }
        if last_free.is_none() {
            // The pool was full. It holds two blocks or more, so it is not empty now.
            self.insert_to_usedpool(pool, class, observer);
        } else if ref_count == 0 {
            self.unlink_used(pool, class);
            observer.event(Event::PoolEmptied { pool: self.memory.pool_addr(pool), class });
            self.insert_to_freepool(pool, observer);
        }
    }

    /// `insert_to_usedpool`: a pool that was full goes to the front of its class's list.
    fn insert_to_usedpool<O: Observer>(&mut self, pool: A::Pool, class: SizeClass, observer: &mut O) {
        // A class read from a header is in bounds; asking for it without a panic keeps this path short.
        let front = self.used.get_mut(usize::from(class.0)).and_then(|front| front.replace(pool));
        let header = self.memory.header_mut(pool);
        header.nextpool = front;
        header.prevpool = None;
        if let Some(front) = front {
            self.memory.header_mut(front).prevpool = Some(pool);
        }
        observer.event(Event::PoolLinked { pool: self.memory.pool_addr(pool), class });
    }

    /// `insert_to_freepool`: an empty pool goes on top of its arena's `freepools`.
    fn insert_to_freepool<O: Observer>(&mut self, pool: A::Pool, observer: &mut O) {
        let index = self.memory.header(pool).arenaindex;
        let top = self.arena_mut(index).freepools.replace(pool);
        self.memory.header_mut(pool).nextpool = top;
        observer.event(Event::PoolFreed { arena: self.arena_id(index), pool: self.memory.pool_addr(pool) });
        self.arena_gained_pool(index, observer);
    }

    /// The free block whose bytes include an address that lies in an arena.
    pub fn free_block_around(&self, addr: crate::Addr) -> Option<A::Block> {
        let base = crate::Addr(addr.0 & !(self.profile.pool_size - 1));
        let pool =
            self.carved_pools(self.arena_of(addr)?.index).find(|&p| self.memory.pool_addr(p) == base)?;
        let size = u64::from(self.block_bytes(self.header(pool).szidx));
        self.free_list(pool).find(|&b| addr.bytes_from(self.memory.block_addr(b)) < size)
    }

    /// The program overwrote a free block's link. False when the new value is no block of its pool, which
    /// this memory cannot hold.
    pub fn overwrite_link(&mut self, block: A::Block, link: crate::Addr) -> bool {
        if link == crate::Addr(0) {
            self.memory.set_link(block, None);
            return true;
        }
        let pool = self.memory.pool_of(block);
        let offset = link.bytes_from(self.memory.pool_addr(pool));
        let fits = offset >= u64::from(self.pool_overhead)
            && offset < self.profile.pool_size
            && offset.is_multiple_of(self.profile.alignment);
        if fits {
            let next = self.memory.block_in(pool, offset as u32);
            self.memory.set_link(block, Some(next));
        }
        fits
    }
}
