//! What one operation touched, gathered from its events.

use crate::addr::{Addr, SizeClass};
use crate::arena::ArenaBackend;
use crate::event::Event;
use crate::machine::Machine;

/// Something that happens in few operations and is worth going to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RareEvent {
    /// An arena came from the arena allocator.
    ArenaObtained,
    /// An arena went back to it.
    ArenaReleased,
    /// An arena moved right in `usable_arenas`.
    ArenaRelinked,
    /// An arena's last free pool was taken.
    ArenaFull,
    /// The arena allocator returned NULL.
    ArenaRefused,
    /// A pool was cut from an arena's untouched end.
    PoolCarved,
    /// A pool's header was written for a size class.
    PoolInitialised,
    /// A pool went to the front of a used list.
    PoolLinked,
    /// A pool's last block was taken.
    PoolFull,
    /// An empty pool went back to its arena.
    PoolFreed,
    /// pymalloc passed a request on to RAW: `raw_allocated_blocks` grew.
    RawFallback,
    /// An entry point returned NULL.
    ReturnedNull,
    /// The process would have ended here.
    Stopped,
}

impl RareEvent {
    /// All of them, with the names that conditions use.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::ArenaObtained, "arena_obtained"),
        (Self::ArenaReleased, "arena_released"),
        (Self::ArenaRelinked, "arena_relinked"),
        (Self::ArenaFull, "arena_full"),
        (Self::ArenaRefused, "arena_refused"),
        (Self::PoolCarved, "pool_carved"),
        (Self::PoolInitialised, "pool_initialised"),
        (Self::PoolLinked, "pool_linked"),
        (Self::PoolFull, "pool_full"),
        (Self::PoolFreed, "pool_freed"),
        (Self::RawFallback, "raw_fallback"),
        (Self::ReturnedNull, "returned_null"),
        (Self::Stopped, "stopped"),
    ];

    /// The one that an event is.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::ArenaObtained { .. } => Self::ArenaObtained,
            Event::ArenaReleased { .. } => Self::ArenaReleased,
            Event::ArenaRelinked { .. } => Self::ArenaRelinked,
            Event::ArenaFull { .. } => Self::ArenaFull,
            Event::ArenaRefused => Self::ArenaRefused,
            Event::PoolCarved { .. } => Self::PoolCarved,
            Event::PoolInitialised { .. } => Self::PoolInitialised,
            Event::PoolLinked { .. } => Self::PoolLinked,
            Event::PoolFull { .. } => Self::PoolFull,
            Event::PoolFreed { .. } => Self::PoolFreed,
            Event::ReturnedNull { .. } => Self::ReturnedNull,
            _ => return None,
        })
    }
}

/// Rare events of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RareEvents(u32);

impl RareEvents {
    /// Whether one is among them.
    pub fn has(self, rare: RareEvent) -> bool {
        self.0 & (1 << rare as u32) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, rare: RareEvent) -> Self {
        Self(self.0 | 1 << rare as u32)
    }

    /// Whether both have one in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// All that are in one or the other.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What one operation touched. A block is touched when it is handed out, given back or resized, a pool and
/// its arena and class when something in it is.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Blocks in pools, by address.
    pub blocks: Vec<Addr>,
    /// Pools, by address.
    pub pools: Vec<Addr>,
    /// Arenas, by order of creation.
    pub arenas: Vec<u64>,
    /// Size classes.
    pub classes: Vec<SizeClass>,
    /// What happened.
    pub rare_events: RareEvents,
    raw_blocks: i64,
    was_stopped: bool,
}

impl Touched {
    #[inline]
    fn add(&mut self, event: &Event) {
        match *event {
            Event::SizeClassChosen { class, .. } => self.classes.push(class),
            Event::BlockPopped { pool, block, .. }
            | Event::BlockPushed { pool, block, .. }
            | Event::PoolInitialised { pool, block, .. } => {
                self.blocks.push(block);
                self.pools.push(pool);
            }
            Event::PoolFull { pool, .. }
            | Event::PoolLinked { pool, .. }
            | Event::PoolEmptied { pool, .. }
            | Event::PoolReused { pool, .. } => self.pools.push(pool),
            Event::PoolTaken { arena, pool }
            | Event::PoolCarved { arena, pool }
            | Event::PoolFreed { arena, pool } => {
                self.pools.push(pool);
                self.arenas.push(arena.ordinal);
            }
            Event::ArenaObtained { arena, .. }
            | Event::ArenaLinked { arena }
            | Event::ArenaRelinked { arena, .. }
            | Event::ArenaFull { arena }
            | Event::ArenaKept { arena }
            | Event::ArenaReleased { arena, .. } => self.arenas.push(arena.ordinal),
            Event::ReallocInPlace { block, .. } => self.blocks.push(block),
            _ => {}
        }
        if let Some(rare) = RareEvent::of(event) {
            self.rare_events = self.rare_events.with(rare);
        }
    }

    /// Empty, before an operation of `machine`.
    pub fn begin<A: ArenaBackend>(&mut self, machine: &Machine<A>) {
        self.blocks.clear();
        self.pools.clear();
        self.arenas.clear();
        self.classes.clear();
        self.rare_events = RareEvents::default();
        self.raw_blocks = machine.pymalloc().raw_allocated_blocks;
        self.was_stopped = machine.stopped().is_some();
    }

    /// Completes it after the operation: what its events touched, classes and arenas of the pools, and what only
    /// the state tells.
    pub fn end<A: ArenaBackend>(&mut self, machine: &Machine<A>, events: &[Event]) {
        for event in events {
            self.add(event);
        }
        let pymalloc = machine.pymalloc();
        if pymalloc.raw_allocated_blocks > self.raw_blocks {
            self.rare_events = self.rare_events.with(RareEvent::RawFallback);
        }
        if machine.stopped().is_some() && !self.was_stopped {
            self.rare_events = self.rare_events.with(RareEvent::Stopped);
        }
        if self.pools.is_empty() {
            let pool_size = pymalloc.profile().pool_size;
            self.pools.extend(self.blocks.iter().map(|b| Addr(b.0 & !(pool_size - 1))));
        }
        for &pool in &self.pools {
            let header = pymalloc.memory().header(pymalloc.memory().pool_at(pool));
            self.classes.push(SizeClass(header.szidx as u16));
            if let Some(arena) = pymalloc.arenas().get(header.arenaindex as usize) {
                self.arenas.push(arena.ordinal);
            }
        }
    }
}
