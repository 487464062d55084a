//! Arenas that have a process's own addresses: which slot of the region stands for which one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::addr::Addr;

/// Where each arena lies.
#[derive(Clone, Debug)]
pub(super) struct Places {
    arena_size: u64,
    pool_size: u64,
    /// By slot: the pool boundary at or below its arena, of arenas that are gone too.
    starts: Vec<Addr>,
    /// Slots of live arenas, by base.
    live: BTreeMap<u64, u32>,
    /// Bases that the next arenas get.
    told: VecDeque<Addr>,
    /// Bases that were given back.
    gone: BTreeSet<u64>,
    /// The lowest base so far.
    lowest: u64,
}

impl Places {
    pub(super) fn new(arena_size: u64, pool_size: u64, bases: &[Addr], told: &[Addr]) -> Self {
        let lowest = bases.iter().chain(told).map(|base| base.0).min();
        Self {
            arena_size,
            pool_size,
            starts: bases.iter().map(|base| boundary(*base, pool_size)).collect(),
            live: bases.iter().map(|base| base.0).zip(0..).collect(),
            told: told.iter().copied().collect(),
            gone: BTreeSet::new(),
            // Of a process without arenas nobody knows where the next one lies.
            lowest: lowest.unwrap_or(0x4000_0000),
        }
    }

    /// The slot of the arena that an address lies in, and its bytes from where the slot starts.
    pub(super) fn find(&self, addr: Addr) -> Option<(u32, u64)> {
        let (&base, &slot) = self.live.range(..=addr.0).next_back()?;
        let inside = addr.0 - base < self.arena_size;
        inside.then(|| (slot, addr.bytes_from(boundary(Addr(base), self.pool_size))))
    }

    /// Where a slot starts.
    #[inline]
    pub(super) fn start(&self, slot: u64) -> Option<Addr> {
        self.starts.get(usize::try_from(slot).ok()?).copied()
    }

    /// A new arena for a slot; `None` where there is no room for one.
    pub(super) fn put(&mut self, slot: u32) -> Option<Addr> {
        let base = self.next()?;
        self.lowest = self.lowest.min(base);
        let start = boundary(Addr(base), self.pool_size);
        if self.starts.len() <= slot as usize {
            self.starts.resize(slot as usize + 1, start);
        }
        if let Some(entry) = self.starts.get_mut(slot as usize) {
            *entry = start;
        }
        self.live.insert(base, slot);
        Some(Addr(base))
    }

    /// An arena goes; the slot it had.
    pub(super) fn take(&mut self, base: Addr) -> Option<u32> {
        let slot = self.live.remove(&base.0)?;
        self.gone.insert(base.0);
        Some(slot)
    }

    /// An address in the middle of all arenas.
    pub(super) fn middle(&self) -> Option<Addr> {
        let (lowest, highest) = (self.live.first_key_value()?.0, self.live.last_key_value()?.0);
        Some(Addr(lowest + (highest - lowest) / 2))
    }

    /// The next base: one that is known, else one that was given back, else below all others, as the system goes on downwards.
    fn next(&mut self) -> Option<u64> {
        while let Some(base) = self.told.pop_front() {
            if self.has_room(base.0) {
                self.gone.remove(&base.0);
                return Some(base.0);
            }
        }
        while let Some(base) = self.gone.pop_last() {
            if self.has_room(base) {
                return Some(base);
            }
        }
        // The windows before the lowest arena are looked at too.
        let below = self.lowest.checked_sub(self.arena_size).filter(|&base| base >= self.arena_size);
        let above = || self.live.last_key_value().map(|(base, _)| base + self.arena_size);
        below.or_else(above).filter(|&base| self.has_room(base))
    }

    /// Whether an arena at this base would lie over no other.
    fn has_room(&self, base: u64) -> bool {
        let Some(end) = base.checked_add(self.arena_size) else { return false };
        self.live.range(..end).next_back().is_none_or(|(below, _)| below + self.arena_size <= base)
    }
}

fn boundary(base: Addr, pool_size: u64) -> Addr {
    Addr(base.0 & !(pool_size - 1))
}
