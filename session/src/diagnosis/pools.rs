//! Pools in which a block was seen, and how surely they are pools.
//!
//! Small blocks of the C library can lie as if in a pool, where a recorder cannot tell RAW from the rest. Of 16 bytes any address
//! fits, of 512 one in 32: each place says as much as it was unlikely to fit. A window that has said little is no pool where blocks that
//! are none of a pool's lie in it or right beside it, as all over the C library's heap.

use std::collections::{BTreeMap, BTreeSet};

/// A window in which blocks lie as in a pool.
#[derive(Clone, Debug)]
struct Seen {
    /// Which of its places had a block, in units of the alignment.
    places: Vec<u64>,
    /// How unlikely it is that all of them fit by chance, as a power of 2.
    bits: u32,
}

/// Pools in the order in which a block was first seen in each.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pool_size: u64,
    alignment: u64,
    seen: Vec<Seen>,
    by_address: BTreeMap<u64, u32>,
    /// Where those that were met lately stand in `seen`, so that few are looked up.
    lately: Vec<(u64, u32)>,
    /// Windows with blocks that are none of a pool's, by number.
    foreign: BTreeSet<u64>,
    foreign_lately: Vec<u64>,
}

impl Pools {
    const LATELY: usize = 1 << 12;
    /// With as many bits none of a million windows is one by chance.
    const SURE_BITS: u32 = 24;

    pub(super) fn new(pool_size: u64, alignment: u64) -> Self {
        Self {
            pool_size,
            alignment,
            seen: Vec::new(),
            by_address: BTreeMap::new(),
            lately: vec![(u64::MAX, 0); Self::LATELY],
            foreign: BTreeSet::new(),
            foreign_lately: vec![u64::MAX; Self::LATELY],
        }
    }

    /// A block of `block_bytes` was seen at a place of a pool.
    pub(super) fn note(&mut self, pool: u64, offset: u64, block_bytes: u64) {
        let place = (pool / self.pool_size) as usize % Self::LATELY;
        let index = match self.lately.get(place) {
            Some((met, index)) if *met == pool => *index,
            _ => self.look_up(pool, place),
        };
        let unit = offset / self.alignment;
        let Some(seen) = self.seen.get_mut(index as usize) else { return };
        let Some(word) = seen.places.get_mut((unit / 64) as usize) else { return };
        if *word & 1 << (unit % 64) == 0 {
            *word |= 1 << (unit % 64);
            seen.bits = seen.bits.saturating_add((block_bytes / self.alignment).max(1).ilog2());
        }
    }

    fn look_up(&mut self, pool: u64, place: usize) -> u32 {
        let next = self.seen.len() as u32;
        let index = *self.by_address.entry(pool).or_insert(next);
        if index == next {
            let words = (self.pool_size / self.alignment).div_ceil(64) as usize;
            self.seen.push(Seen { places: vec![0; words], bits: 0 });
        }
        if let Some(met) = self.lately.get_mut(place) {
            *met = (pool, index);
        }
        index
    }

    /// A block was seen that lies in no pool.
    pub(super) fn note_foreign(&mut self, addr: u64) {
        let window = addr / self.pool_size;
        let Some(met) = self.foreign_lately.get_mut(window as usize % Self::LATELY) else { return };
        if std::mem::replace(met, window) != window {
            self.foreign.insert(window);
        }
    }

    /// Those that are pools, by address, with their order.
    pub(super) fn told(&self) -> BTreeMap<u64, u32> {
        let is_pool = |pool: u64, index: u32| {
            let sure = self.seen.get(index as usize).is_some_and(|seen| seen.bits >= Self::SURE_BITS);
            let window = pool / self.pool_size;
            sure || self.foreign.range(window.saturating_sub(1)..=window + 1).next().is_none()
        };
        let told = self.by_address.iter().filter(|(pool, index)| is_pool(**pool, **index));
        told.map(|(pool, index)| (*pool, *index)).collect()
    }
}
