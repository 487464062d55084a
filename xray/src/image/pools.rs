//! What lies in the arenas: pools, and of each pool which blocks are in use.

use super::layout::{CLASSES, Geometry, POOL_HEADER};
use super::memory::{Memory, half_of, word_of};
use super::tables::Table;

/// A pool with at least one block in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Where its header begins.
    pub addr: u64,
    /// Its table, by place, and its arena by place in the table's list.
    pub table: u32,
    /// The arena that it lies in.
    pub arena: u32,
    /// `szidx`.
    pub class: u32,
    /// Blocks in use, as the header says.
    pub count: u32,
    /// Blocks carved so far.
    pub carved: u32,
    /// Free blocks by number in the pool, in the order in which they are handed out.
    pub free: Vec<u16>,
    /// Whether count and free list disagree, as they do for a moment in the middle of malloc and free.
    pub in_flight: bool,
    /// Its first block in [`Pools::used`].
    pub first: u32,
}

/// All pools.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pools {
    /// Those with a block in use, by table, arena and address.
    pub pools: Vec<Pool>,
    /// Pools without a block in use that some class once had.
    pub empty: u64,
    /// Pools that no class ever had.
    pub uncarved: u64,
    /// Places in the list, by address.
    order: Vec<u32>,
    /// Of all blocks of these pools that were carved, pool by pool: whether each is in use.
    pub used: Vec<bool>,
}

impl Pool {
    /// Bytes of its blocks.
    pub fn block_bytes(&self) -> u64 {
        Geometry::block(self.class)
    }

    /// Where one of its blocks begins.
    pub fn block(&self, number: u32) -> u64 {
        self.addr + POOL_HEADER + u64::from(number) * self.block_bytes()
    }
}

impl Pools {
    /// Of the arenas of all tables.
    pub(super) fn of(memory: &Memory, geometry: Geometry, tables: &[Table]) -> Self {
        let mut all = Self::default();
        for (table, number) in tables.iter().zip(0..) {
            for (arena, at) in table.arenas.iter().zip(0..) {
                let (first, carved) = (arena.first_pool(geometry), arena.carved(geometry));
                all.uncarved += u64::from(arena.ntotalpools).saturating_sub(carved);
                for pool in 0..carved {
                    let addr = first + pool * geometry.pool;
                    let Some(bytes) = memory.slice(addr, geometry.pool) else { continue };
                    match pool_of(bytes, addr, geometry, all.used.len() as u32) {
                        Some(pool) => {
                            let from = all.used.len();
                            all.used.resize(from + pool.carved as usize, true);
                            for block in &pool.free {
                                all.used[from + usize::from(*block)] = false;
                            }
                            all.pools.push(Pool { table: number, arena: at, ..pool });
                        }
                        None => all.empty += 1,
                    }
                }
            }
        }
        all.order = (0..all.pools.len() as u32).collect();
        all.order.sort_by_key(|at| all.pools[*at as usize].addr);
        all
    }

    /// The pool that begins at an address, where it has a block in use.
    pub fn at(&self, addr: u64) -> Option<&Pool> {
        let at = self.order.partition_point(|at| self.pools[*at as usize].addr < addr);
        let pool = &self.pools[*self.order.get(at)? as usize];
        (pool.addr == addr).then_some(pool)
    }

    /// Blocks in use: the pool and the number in it.
    pub fn in_use(&self) -> impl Iterator<Item = (&Pool, u32)> {
        self.pools.iter().flat_map(move |pool| {
            let is_used = move |block: &u32| self.used[(pool.first + block) as usize];
            (0..pool.carved).filter(is_used).map(move |block| (pool, block))
        })
    }

    /// Blocks in use.
    pub fn blocks(&self) -> u64 {
        self.used.iter().filter(|used| **used).count() as u64
    }

    /// Free blocks of pools with one in use: those that were, and those that were not carved yet.
    pub fn free_blocks(&self, geometry: Geometry) -> u64 {
        self.pools.iter().map(|pool| geometry.blocks(pool.class)).sum::<u64>() - self.blocks()
    }

    /// Pools that were stopped in the middle of a change.
    pub fn in_flight(&self) -> u64 {
        self.pools.iter().filter(|pool| pool.in_flight).count() as u64
    }
}

/// A pool of whose blocks one is in use.
fn pool_of(bytes: &[u8], addr: u64, geometry: Geometry, first: u32) -> Option<Pool> {
    if half_of(bytes, 0) == 0 {
        return None;
    }
    header_of(bytes, addr, geometry).map(|pool| Pool { first, ..pool })
}

/// A pool that some class has, an empty one too: it keeps its free list.
pub(super) fn header_of(bytes: &[u8], addr: u64, geometry: Geometry) -> Option<Pool> {
    let (count, class) = (half_of(bytes, 0), half_of(bytes, 36));
    if class >= CLASSES {
        return None;
    }
    let (block, most) = (Geometry::block(class), geometry.blocks(class));
    let next = u64::from(half_of(bytes, 40));
    let carved = (next.saturating_sub(POOL_HEADER) / block).min(most);
    let mut free = Vec::new();
    let mut seen = vec![false; carved as usize];
    let mut whole = next >= POOL_HEADER && (next - POOL_HEADER).is_multiple_of(block);
    let mut link = word_of(bytes, 8);
    while link != 0 {
        let offset = link.wrapping_sub(addr).wrapping_sub(POOL_HEADER);
        let number = offset / block;
        // A list that leaves the pool or comes back to itself ends here.
        if !offset.is_multiple_of(block)
            || number >= carved
            || std::mem::replace(&mut seen[number as usize], true)
        {
            whole = false;
            break;
        }
        free.push(number as u16);
        link = word_of(bytes, (POOL_HEADER + offset) as usize);
    }
    let in_flight = !whole || u64::from(count) + free.len() as u64 != carved;
    Some(Pool { addr, table: 0, arena: 0, class, count, carved: carved as u32, free, in_flight, first: 0 })
}
