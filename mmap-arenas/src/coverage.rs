//! `arena_map`, the radix tree of `address_in_range`, as a table that is quick to read.
//!
//! sim-core's `ArenaMap` is the model of that tree and counts its nodes; this one answers for every pointer
//! that is freed. It is an observer: the events of pymalloc say which arenas come and go.

use sim_core::{Addr, Event, Observer, Profile};

/// Bits of an address that a program has: beyond them there is no arena.
pub(crate) const ADDRESS_BITS: u32 = 48;
const ARENA_BITS: u32 = 20;
const ARENA_SIZE: u32 = 1 << ARENA_BITS;
/// `MAP_BOT_BITS`.
const BOT_BITS: u32 = 14;
const TOP_BITS: u32 = ADDRESS_BITS - ARENA_BITS - BOT_BITS;

/// `arena_coverage_t`, as lengths instead of offsets: bytes at the end of the window that belong to the arena
/// that starts in it (`ARENA_SIZE - tail_hi`), and at its beginning to the arena that spills in (`tail_lo`).
struct Leaf {
    end: u32,
    start: u32,
}

type Node = [Leaf; 1 << BOT_BITS];

/// Which addresses lie in arenas of 1 MiB.
pub(crate) struct Coverage {
    top: Box<[Option<Box<Node>>; 1 << TOP_BITS]>,
}

impl Coverage {
    /// The profile that the constants are for.
    pub(crate) fn profile() -> Profile {
        let profile = Profile::default();
        debug_assert_eq!(profile.arena_size, u64::from(ARENA_SIZE));
        profile
    }

    pub(crate) fn new() -> Self {
        // SAFETY: None of an optional box is the null pointer.
        Self { top: unsafe { Box::new_zeroed().assume_init() } }
    }

    /// `address_in_range`.
    #[inline]
    pub(crate) fn contains(&self, addr: usize) -> bool {
        let top = addr >> (ARENA_BITS + BOT_BITS);
        let Some(Some(node)) = self.top.get(top) else { return false };
        let leaf = &node[(addr >> ARENA_BITS) & ((1 << BOT_BITS) - 1)];
        let tail = addr as u32 & (ARENA_SIZE - 1);
        tail + leaf.end >= ARENA_SIZE || tail < leaf.start
    }

    fn leaf(&mut self, window: u64) -> Option<&mut Leaf> {
        let node = self.top.get_mut((window >> BOT_BITS) as usize)?;
        // SAFETY: a leaf is two numbers.
        let node = node.get_or_insert_with(|| unsafe { Box::new_zeroed().assume_init() });
        node.get_mut(window as usize & ((1 << BOT_BITS) - 1))
    }

    fn mark(&mut self, base: Addr, used: bool) {
        let window = base.0 >> ARENA_BITS;
        let tail = base.0 as u32 & (ARENA_SIZE - 1);
        if let Some(leaf) = self.leaf(window) {
            leaf.end = if used { ARENA_SIZE - tail } else { 0 };
        }
        if tail != 0
            && let Some(leaf) = self.leaf(window + 1)
        {
            leaf.start = if used { tail } else { 0 };
        }
    }
}

impl Observer for Coverage {
    // The events that come with every block are not needed.
    const ENABLED: bool = false;

    #[inline]
    fn event(&mut self, event: Event) {
        match event {
            Event::ArenaObtained { base, .. } => self.mark(base, true),
            Event::ArenaReleased { base, .. } => self.mark(base, false),
            _ => {}
        }
    }
}
