//! Saved states of simulated arenas, which share the pools that did not change.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Region, SimArenas, SimBlock, SimPool};
use crate::arena::{ArenaBackend as _, PoolHeader};
use crate::paged::Saved;

/// Saved arenas. A pool is its header and its free list: links of blocks in use mean nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedArenas {
    pools: Saved<[u16]>,
    region: Region,
}

impl SavedArenas {
    /// Bytes that nothing but this saved state holds.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.pools.own_bytes() + self.region.copied_bytes()
    }
}

impl SimArenas {
    /// Saves what changed since `base`, which must be the state saved or restored last; with the bytes
    /// that the result does not share with it.
    pub(crate) fn save(&mut self, base: &SavedArenas) -> (SavedArenas, u64) {
        let mut words = Vec::new();
        let (pools, bytes) = base.pools.with(&self.dirty, |at, _| {
            words.clear();
            self.write_pool(at, &mut words);
            Arc::from(words.as_slice())
        });
        self.dirty.fill(0);
        (SavedArenas { pools, region: self.region.clone() }, bytes + self.region.copied_bytes())
    }

    /// Goes to the state `to`; `base` as for [`Self::save`].
    pub(crate) fn restore(&mut self, base: &SavedArenas, to: &SavedArenas) {
        self.grow_to(to.region.slots);
        let dirty = std::mem::take(&mut self.dirty);
        for (at, page) in base.pools.differing(&to.pools, &dirty) {
            // A pool that was not carved then is written whole before it is read.
            if let Some(words) = page {
                self.read_pool(at, words);
            }
        }
        self.dirty = dirty;
        self.dirty.fill(0);
        self.region.clone_from(&to.region);
    }

    /// A pool as words: its header, then the links of its free list from the head on. The last one is
    /// NULL, unless a double free has bent the list into a circle; then every link of it is there.
    fn write_pool(&self, at: usize, words: &mut Vec<u16>) {
        let h = &self.pools[at];
        for field in [
            h.ref_count,
            h.freeblock.map_or(0, |b| b.0.get()),
            h.nextpool.map_or(0, |p| p.0.get()),
            h.prevpool.map_or(0, |p| p.0.get()),
            h.arenaindex,
            h.szidx,
            h.nextoffset,
            h.maxnextoffset,
        ] {
            words.extend([field as u16, (field >> 16) as u16]);
        }
        let most = 1_usize << self.units_bits;
        let list = std::iter::successors(h.freeblock, |&b| self.link(b)).take(most);
        words.extend(list.map(|b| self.links[b.0.get() as usize]));
    }

    fn read_pool(&mut self, at: usize, words: &[u16]) {
        let (fields, links) = words.split_at(16);
        let field = |i: usize| u32::from(fields[2 * i]) | u32::from(fields[2 * i + 1]) << 16;
        let block = |number| NonZeroU32::new(number).map(SimBlock);
        let pool = |number| NonZeroU32::new(number).map(SimPool);
        self.pools[at] = PoolHeader {
            ref_count: field(0),
            freeblock: block(field(1)),
            nextpool: pool(field(2)),
            prevpool: pool(field(3)),
            arenaindex: field(4),
            szidx: field(5),
            nextoffset: field(6),
            maxnextoffset: field(7),
        };
        let first = (at as u32) << self.units_bits;
        let mut number = field(1);
        for &link in links {
            self.links[number as usize] = link;
            number = first | u32::from(link);
        }
    }
}
