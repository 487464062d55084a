//! The self-check: everything that must hold of the whole heap between two operations.

use std::collections::BTreeSet;

use thiserror::Error;

use super::Pymalloc;
use crate::addr::{Addr, SizeClass};
use crate::arena::{ArenaBackend, DUMMY_SIZE_IDX};
use crate::profile::Ownership;

/// A rule of the heap that does not hold: a defect of this program, or memory that was overwritten.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// The rule, in a word.
    pub rule: &'static str,
    /// Where and how it is broken.
    pub detail: String,
}

fn broken<T>(rule: &'static str, detail: String) -> Result<T, Violation> {
    Err(Violation { rule, detail })
}

impl<A: ArenaBackend> Pymalloc<A> {
    /// Checks lists, counts, links, radix tree and the accounting sum. Takes time in proportion to the heap.
    pub fn verify(&self) -> Result<(), Violation> {
        let used = self.verify_used_lists()?;
        let mut accounted = 0;
        let mut used_seen = 0;
        for (index, arena) in self.arenas.iter().enumerate() {
            if let Some(base) = arena.address {
                let (bytes, on_used) = self.verify_arena(index as u32, base, &used)?;
                accounted += bytes;
                used_seen += on_used;
            }
        }
        if used_seen != used.len() {
            return broken("used lists", "a pool on a used list is no carved pool of a live arena".into());
        }
        let live = self.arenas.iter().filter(|a| a.address.is_some()).count() as u64;
        if accounted != live * self.profile.arena_size {
            return broken("accounting", format!("{accounted} bytes accounted for in {live} arenas"));
        }
        self.verify_usable_arenas()?;
        self.verify_records(live)?;
        self.verify_arena_map()
    }

    fn verify_used_lists(&self) -> Result<BTreeSet<Addr>, Violation> {
        let mut all = BTreeSet::new();
        for szidx in 0..self.used.len() as u16 {
            let class = SizeClass(szidx);
            let mut prev = None;
            for pool in self.used_pools(class) {
                let addr = self.memory.pool_addr(pool);
                let header = self.header(pool);
                if !all.insert(addr) {
                    return broken("used lists", format!("pool {addr} is on a used list twice"));
                }
                if header.szidx != u32::from(szidx) || header.prevpool != prev {
                    return broken("used lists", format!("pool {addr} in usedpools[{class}]: {header:?}"));
                }
                prev = Some(pool);
            }
        }
        Ok(all)
    }

    /// Bytes accounted for in one arena and how many of its pools are on used lists.
    fn verify_arena(&self, index: u32, base: Addr, used: &BTreeSet<Addr>) -> Result<(u64, usize), Violation> {
        let arena = &self.arenas[index as usize];
        let bad = |detail: String| broken("arena", format!("arena {}: {detail}", arena.ordinal));
        let first = self.first_pool_addr(base);
        let carved = arena.pool_address.bytes_from(first) / self.profile.pool_size;
        let total = self.profile.max_pools_in_arena() - u32::from(first != base);
        if arena.ntotalpools != total || carved > u64::from(total) {
            return bad(format!("{carved} of {} pools carved", arena.ntotalpools));
        }
        let mut freepools = BTreeSet::new();
        for pool in self.freepools(index) {
            if !freepools.insert(self.memory.pool_addr(pool)) {
                return bad("freepools is circular".into());
            }
        }
        if u64::from(arena.nfreepools) != freepools.len() as u64 + u64::from(total) - carved {
            return bad(format!("nfreepools is {}", arena.nfreepools));
        }
        let mut bytes = u64::from(arena.nfreepools) * self.profile.pool_size;
        if first != base {
            bytes += self.profile.pool_size;
        }
        let mut on_used = 0;
        for pool in self.carved_pools(index) {
            let addr = self.memory.pool_addr(pool);
            let is_used = used.contains(&addr);
            on_used += usize::from(is_used);
            bytes += self.verify_pool(pool, index, is_used, freepools.remove(&addr))?;
        }
        if !freepools.is_empty() {
            return bad("freepools holds a pool that was never carved".into());
        }
        Ok((bytes, on_used))
    }

    /// Bytes accounted for in one pool, 0 when it is empty (its arena counts it).
    fn verify_pool(&self, pool: A::Pool, index: u32, is_used: bool, is_free: bool) -> Result<u64, Violation> {
        let header = self.header(pool);
        let addr = self.memory.pool_addr(pool);
        let bad = |detail: &str| {
            Err(Violation { rule: "pool", detail: format!("pool {addr}: {detail} {header:?}") })
        };
        if header.arenaindex != index {
            return bad("arenaindex is not its arena's");
        }
        if header.szidx == DUMMY_SIZE_IDX || header.szidx as usize >= self.used.len() {
            return bad("a carved pool must have a class");
        }
        let class = SizeClass(header.szidx as u16);
        let size = self.profile.block_size(class);
        let capacity = self.profile.num_blocks(class);
        let count = u64::from(header.ref_count);
        let expected = if count == 0 { (false, true) } else { (count < capacity, false) };
        if (is_used, is_free) != expected || count > capacity {
            return bad("is on the wrong list for its count");
        }
        let overhead = self.profile.pool_overhead();
        let linked = (u64::from(header.nextoffset) - overhead) / size;
        let mut seen = BTreeSet::new();
        for block in self.free_list(pool) {
            let offset = self.memory.block_addr(block).bytes_from(addr);
            if offset < overhead
                || offset >= u64::from(header.nextoffset)
                || !(offset - overhead).is_multiple_of(size)
            {
                return bad("its free list leaves the carved blocks");
            }
            if !seen.insert(offset) {
                return bad("its free list is circular");
            }
        }
        if seen.len() as u64 + count != linked || linked > capacity {
            return bad("used and free blocks are not the carved ones");
        }
        if count == 0 {
            return Ok(0);
        }
        Ok(overhead + capacity * size + self.profile.quantization_bytes(class))
    }

    fn verify_usable_arenas(&self) -> Result<(), Violation> {
        let bad = |detail: String| broken("usable_arenas", detail);
        let mut rightmost = vec![None; self.nfp2lasta.len()];
        let mut listed = BTreeSet::new();
        let mut prev: Option<u32> = None;
        for index in self.usable_arenas() {
            let arena = &self.arenas[index as usize];
            if !listed.insert(index) {
                return bad("the list is circular".into());
            }
            if arena.prevarena != prev || arena.address.is_none() || arena.nfreepools == 0 {
                return bad(format!("arena {}: {arena:?}", arena.ordinal));
            }
            if prev.is_some_and(|p| self.arenas[p as usize].nfreepools > arena.nfreepools) {
                return bad(format!("arena {} has fewer free pools than its left neighbour", arena.ordinal));
            }
            rightmost[arena.nfreepools as usize] = Some(index);
            prev = Some(index);
        }
        let with_free = self.arenas.iter().filter(|a| a.address.is_some() && a.nfreepools > 0).count();
        if with_free != listed.len() {
            return bad("an arena with free pools is not on the list".into());
        }
        if rightmost != self.nfp2lasta {
            return broken("nfp2lasta", format!("{:?} instead of {rightmost:?}", self.nfp2lasta));
        }
        Ok(())
    }

    fn verify_records(&self, live: u64) -> Result<(), Violation> {
        let mut unused = BTreeSet::new();
        for index in self.unused_arena_objects() {
            if !unused.insert(index) || self.arenas[index as usize].address.is_some() {
                return broken("unused_arena_objects", format!("record {index} is listed twice or live"));
            }
        }
        if unused.len() as u64 + live != self.arenas.len() as u64 {
            return broken("unused_arena_objects", format!("{} records unused, {live} live", unused.len()));
        }
        if live != self.narenas_currently_allocated
            || self.narenas_highwater < live
            || self.ntimes_arena_allocated < self.narenas_highwater
        {
            return broken("counters", format!("{live} live arenas, {:?}", self.counters()));
        }
        Ok(())
    }

    fn verify_arena_map(&self) -> Result<(), Violation> {
        if self.profile.ownership != Ownership::Radix {
            return Ok(());
        }
        let size = self.profile.arena_size;
        let mut windows = BTreeSet::new();
        for arena in &self.arenas {
            let Some(base) = arena.address else { continue };
            let last = base.offset(size - 1);
            windows.insert(base.0 / size);
            windows.insert(last.0 / size);
            if !self.arena_map.is_used(base) || !self.arena_map.is_used(last) {
                return broken("arena_map", format!("arena {} at {base} is not marked", arena.ordinal));
            }
            for outside in [Addr(base.0 - 1), base.offset(size)] {
                if self.arena_map.is_used(outside) != self.arena_of(outside).is_some() {
                    return broken("arena_map", format!("{outside} is marked wrongly"));
                }
            }
        }
        let marked: BTreeSet<u64> = self.arena_map.marked().map(|(w, _)| w).collect();
        if marked != windows {
            return broken("arena_map", "a window without an arena is marked".into());
        }
        Ok(())
    }
}
