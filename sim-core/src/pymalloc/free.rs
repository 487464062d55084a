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
            let (pool, block, next) = self.memory.addrs_in(pool, block, last_free);
            observer.event(Event::BlockPushed { pool, block, next, ref_count });
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
}
