//! Mapped memory: `mmap` and `munmap`, for the peak in memray's count and the arenas of captures that
//! show nothing else of pymalloc.

use std::collections::{BTreeMap, BTreeSet};

/// Steps that keeping the ranges may take for each record, on average; real processes stay far below.
const STEPS_A_RECORD: u64 = 64;
const STEPS_FREE: u64 = 1 << 20;

/// Ranges that are mapped.
#[derive(Debug, Default)]
pub(super) struct Maps {
    /// End and how often mapped, by start. Ranges do not overlap.
    ranges: BTreeMap<u64, (u64, u64)>,
    records: u64,
    steps: u64,
    /// The file maps and unmaps what no process could, and nobody counts any more.
    given_up: bool,
    arena_bytes: u64,
    arenas: BTreeSet<u64>,
    arenas_most: usize,
}

impl Maps {
    pub(super) fn set_arenas(&mut self, arena_bytes: u64) {
        self.arena_bytes = arena_bytes;
    }

    /// `mmap` gave this range.
    pub(super) fn map(&mut self, start: u64, bytes: u64) {
        if bytes == self.arena_bytes {
            self.arenas.insert(start);
            self.arenas_most = self.arenas_most.max(self.arenas.len());
        }
        let end = start.saturating_add(bytes);
        if !self.begin(start, end) {
            return;
        }
        // What lies in the range already is mapped once more, the gaps for the first time.
        let mut at = start;
        let inside: Vec<(u64, u64)> = self.ranges.range(start..end).map(|(&s, &(e, _))| (s, e)).collect();
        self.steps += inside.len() as u64;
        for (s, e) in inside {
            if at < s {
                self.ranges.insert(at, (s, 1));
            }
            if let Some(range) = self.ranges.get_mut(&s) {
                range.1 += 1;
            }
            at = e;
        }
        if at < end {
            self.ranges.insert(at, (end, 1));
        }
    }

    /// `munmap` of this range: how many bytes that were mapped it took away.
    pub(super) fn unmap(&mut self, start: u64, bytes: u64) -> u64 {
        if bytes == self.arena_bytes {
            self.arenas.remove(&start);
        }
        let end = start.saturating_add(bytes);
        if !self.begin(start, end) {
            return 0;
        }
        let inside: Vec<u64> = self.ranges.range(start..end).map(|(&s, _)| s).collect();
        self.steps += inside.len() as u64;
        inside
            .into_iter()
            .filter_map(|s| self.ranges.remove(&s).map(|(e, times)| (e - s).saturating_mul(times)))
            .fold(0, u64::saturating_add)
    }

    /// Cuts the ranges in which this one begins and ends; false when there is nothing to do.
    fn begin(&mut self, start: u64, end: u64) -> bool {
        self.records += 1;
        if self.steps > STEPS_FREE + self.records * STEPS_A_RECORD {
            self.given_up = true;
            self.ranges.clear();
        }
        if self.given_up || start >= end {
            return false;
        }
        for cut in [start, end] {
            if let Some((&s, &(e, times))) = self.ranges.range(..cut).next_back()
                && e > cut
            {
                self.ranges.insert(s, (cut, times));
                self.ranges.insert(cut, (e, times));
            }
        }
        true
    }

    /// Whether the ranges were too wild to count.
    pub(super) fn given_up(&self) -> bool {
        self.given_up
    }

    /// Maps of an arena's size: at most at once, and at the end.
    pub(super) fn arenas(&self) -> (usize, usize) {
        (self.arenas_most, self.arenas.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unmapped_is_what_was_mapped() {
        let mut maps = Maps::default();
        maps.map(100, 50);
        maps.map(140, 20);
        assert_eq!(maps.unmap(0, 100), 0);
        assert_eq!(maps.unmap(120, 25), 25 + 5, "140 to 145 was mapped twice");
        assert_eq!(maps.unmap(0, 1000), 20 + 5 + 15);
        assert_eq!(maps.unmap(0, u64::MAX), 0);
        assert!(maps.ranges.is_empty());
    }

    #[test]
    fn wild_ranges_do_not_take_for_ever() {
        let mut maps = Maps::default();
        for n in 0..40_000 {
            maps.map(n * 10, 5);
        }
        for _ in 0..2_000_000 {
            maps.map(0, 400_000);
            if maps.given_up() {
                return;
            }
        }
        panic!("it went on");
    }
}
