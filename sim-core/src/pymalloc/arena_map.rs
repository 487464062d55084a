//! The radix tree over addresses: which parts of the address space are arenas.
//!
//! A leaf (`arena_coverage_t`) covers one window of `ARENA_SIZE`; at most one arena starts in it and at
//! most one spills into it from below. Interior nodes are created on demand and never freed. Each leaf
//! is kept under its window number; the tree's nodes are counted, since their sizes are what
//! `CPython`'s statistics report.

use std::collections::{BTreeMap, BTreeSet};

use crate::addr::Addr;
use crate::event::RadixNode;
use crate::profile::{Ownership, Profile};

/// `arena_coverage_t`: which offsets of one window belong to arenas. Compared as signed 32-bit numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArenaCoverage {
    /// Offset at which an arena starts in this window; -1 when it starts at 0; 0 for none.
    pub tail_hi: i32,
    /// Offset at which the arena that spilled in from below ends; 0 for none.
    pub tail_lo: i32,
}

/// Windows from the first arena's on that are kept in a row: 64 GiB of arenas of 1 MiB.
const NEAR_WINDOWS: u64 = 1 << 16;

/// `arena_map_root` with all nodes below it.
#[derive(Clone, Debug)]
pub struct ArenaMap {
    enabled: bool,
    arena_bits: u32,
    mid_bits: u32,
    bot_bits: u32,
    single_level: bool,
    /// The window of the first leaf of `near`.
    first: u64,
    /// Leaves of the windows from `first` on, where arenas usually are.
    near: Vec<ArenaCoverage>,
    /// All other leaves.
    far: BTreeMap<u64, ArenaCoverage>,
    mid_nodes: BTreeSet<u64>,
    bot_nodes: BTreeSet<u64>,
    root_bytes: u64,
    mid_node_bytes: u64,
    bot_node_bytes: u64,
}

impl ArenaMap {
    pub(super) fn new(profile: &Profile) -> Self {
        let (top, mid, bot) = profile.radix_bits();
        let pointer = u64::from(profile.pointer_bytes);
        let single_level = profile.pointer_bytes == 4;
        let bot_node_bytes = 8_u64 << bot;
        Self {
            enabled: profile.ownership == Ownership::Radix,
            arena_bits: profile.arena_size.trailing_zeros(),
            mid_bits: mid,
            bot_bits: bot,
            single_level,
            first: u64::MAX,
            near: Vec::new(),
            far: BTreeMap::new(),
            mid_nodes: BTreeSet::new(),
            bot_nodes: BTreeSet::new(),
            root_bytes: if single_level { bot_node_bytes } else { pointer << top },
            mid_node_bytes: pointer << mid,
            bot_node_bytes,
        }
    }

    /// Whether this build has the tree.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether the tree is the root alone, as in 32-bit builds.
    pub fn single_level(&self) -> bool {
        self.single_level
    }

    /// `arena_map_mid_count` and `arena_map_bot_count`.
    pub fn node_counts(&self) -> (u64, u64) {
        (self.mid_nodes.len() as u64, self.bot_nodes.len() as u64)
    }

    /// Bytes of the root, of one mid node and of one bottom node in `CPython`.
    pub fn node_bytes(&self) -> (u64, u64, u64) {
        (self.root_bytes, self.mid_node_bytes, self.bot_node_bytes)
    }

    /// Windows whose leaf is not all zero, by window number, with their coverage.
    pub fn marked(&self) -> impl Iterator<Item = (u64, ArenaCoverage)> + '_ {
        // `first` is the last number of all while `near` is empty, so nothing may be counted on from it.
        let near = self.near.iter().enumerate().map(|(at, c)| (self.first + at as u64, *c));
        let far = |w: std::ops::Range<u64>| self.far.range(w).map(|(w, c)| (*w, *c));
        // All of `near` lies between the `far` ones below it and those above.
        let all = far(0..self.first).chain(near).chain(far(self.first..u64::MAX));
        all.filter(|(_, c)| *c != ArenaCoverage::default())
    }

    /// The leaf that covers an address; all zero where the tree has no node.
    pub fn leaf(&self, addr: Addr) -> ArenaCoverage {
        let window = addr.0 >> self.arena_bits;
        let near = usize::try_from(window.wrapping_sub(self.first)).ok();
        if let Some(leaf) = near.and_then(|at| self.near.get(at)) {
            return *leaf;
        }
        self.far.get(&window).copied().unwrap_or_default()
    }

    fn leaf_mut(&mut self, window: u64) -> &mut ArenaCoverage {
        if self.near.is_empty() {
            self.first = window;
        }
        let at = window.wrapping_sub(self.first);
        if at >= NEAR_WINDOWS {
            return self.far.entry(window).or_default();
        }
        let at = at as usize;
        if at >= self.near.len() {
            self.near.resize(at + 1, ArenaCoverage::default());
        }
        &mut self.near[at]
    }

    /// `arena_map_is_used`.
    pub fn is_used(&self, addr: Addr) -> bool {
        let leaf = self.leaf(addr);
        let tail = (addr.0 & ((1 << self.arena_bits) - 1)) as i32;
        tail < leaf.tail_lo || (leaf.tail_hi != 0 && tail >= leaf.tail_hi)
    }

    pub(super) fn state_bytes(&self) -> u64 {
        // A B-tree keeps key and value with about a third of slack.
        (self.near.len() * 8 + self.far.len() * 24 + (self.mid_nodes.len() + self.bot_nodes.len()) * 12)
            as u64
    }

    /// The nodes that marking an arena would make, in order, with their bytes.
    pub(crate) fn missing_nodes(&self, base: Addr) -> Vec<u64> {
        let mut wanted = Vec::new();
        self.clone().mark_used(base, true, &mut |_, bytes| {
            wanted.push(bytes);
            true
        });
        wanted
    }

    /// `arena_map_get(create)`: makes the nodes over an address's window; false when RAW gave no memory.
    fn create(&mut self, window: u64, raw: &mut dyn FnMut(RadixNode, u64) -> bool) -> bool {
        if self.single_level {
            return true;
        }
        let bot = window >> self.bot_bits;
        let mid = bot >> self.mid_bits;
        if !self.mid_nodes.contains(&mid) {
            if !raw(RadixNode::Mid, self.mid_node_bytes) {
                return false;
            }
            self.mid_nodes.insert(mid);
        }
        if !self.bot_nodes.contains(&bot) {
            if !raw(RadixNode::Bot, self.bot_node_bytes) {
                return false;
            }
            self.bot_nodes.insert(bot);
        }
        true
    }

    /// `arena_map_mark_used`: `raw` is asked for each node to create and says whether it got memory.
    pub(super) fn mark_used(
        &mut self,
        base: Addr,
        used: bool,
        raw: &mut dyn FnMut(RadixNode, u64) -> bool,
    ) -> bool {
        if !self.enabled {
            return true;
        }
        let window = base.0 >> self.arena_bits;
        let tail = (base.0 & ((1 << self.arena_bits) - 1)) as i32;
        if !self.create(window, raw) {
            return false;
        }
        if tail == 0 {
            self.leaf_mut(window).tail_hi = if used { -1 } else { 0 };
        } else {
            self.leaf_mut(window).tail_hi = if used { tail } else { 0 };
            if !self.create(window + 1, raw) {
                self.leaf_mut(window).tail_hi = 0;
                return false;
            }
            self.leaf_mut(window + 1).tail_lo = if used { tail } else { 0 };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> ArenaMap {
        ArenaMap::new(&Profile::default())
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn an_arena_across_a_16_gib_border_needs_two_bottom_nodes() {
        let mut map = map();
        let border = 0x7e04_0000_0000;
        let base = Addr(border - 4096);
        assert!(map.mark_used(base, true, &mut |_, _| true));
        assert_eq!(map.node_counts(), (1, 2));
        assert!(map.is_used(base) && map.is_used(base.offset(MIB - 1)));
        assert!(!map.is_used(Addr(base.0 - 1)) && !map.is_used(base.offset(MIB)));
        assert!(map.mark_used(base, false, &mut |_, _| false), "unmarking creates nothing");
        assert_eq!(map.node_counts(), (1, 2), "nodes are never freed");
        assert_eq!(map.marked().count(), 0);
    }

    #[test]
    fn a_foreign_pointer_in_a_partly_covered_window_is_foreign() {
        let mut map = map();
        let window = 0x7e00_0000_0000;
        assert!(map.mark_used(Addr(window + 0x5000), true, &mut |_, _| true));
        assert!(!map.is_used(Addr(window + 0x4fff)));
        assert!(map.is_used(Addr(window + 0x5000)));
        assert!(map.is_used(Addr(window + MIB + 0x4fff)));
        assert!(!map.is_used(Addr(window + MIB + 0x5000)));
        // The gap is as wide as the shift: the next arena may begin right there.
        assert!(map.mark_used(Addr(window + MIB + 0x5000), true, &mut |_, _| true));
        assert!(map.is_used(Addr(window + MIB + 0x5000)));
    }

    #[test]
    fn no_memory_for_the_second_window_undoes_the_first() {
        let mut map = map();
        let base = Addr(0x7e04_0000_0000 - 4096);
        let mut asked = 0;
        let ok = map.mark_used(base, true, &mut |_, _| {
            asked += 1;
            asked < 3
        });
        assert!(!ok && asked == 3);
        assert_eq!(map.marked().count(), 0);
        assert!(!map.is_used(base));
    }
}
