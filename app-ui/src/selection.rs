//! What the user looks at: the map's level and place, and what the inspector is pinned to.

use sim_core::{Addr, ArenaId, Event};

use crate::facts::{self, Heap};
use crate::snapshots::Snapshots;

/// The three pictures of the map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Level {
    /// All arenas as tiles of their pools.
    #[default]
    Heap,
    /// The pools of one arena.
    Arena,
    /// The blocks of one pool.
    Pool,
}

/// Something on the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// An arena, by name.
    Arena(ArenaId),
    /// A pool, by where it starts.
    Pool(Addr),
    /// A block, by where it starts.
    Block(Addr),
}

impl Place {
    /// The place an event is about.
    pub(crate) fn of_event(event: &Event) -> Option<Self> {
        Some(match *event {
            Event::BlockPopped { block, .. }
            | Event::BlockCarved { block, .. }
            | Event::BlockPushed { block, .. }
            | Event::PoolInitialised { block, .. }
            | Event::ReallocInPlace { block, .. }
            | Event::ReallocMoves { block, .. } => Self::Block(block),
            Event::AddressInRange { addr, owned: true } => Self::Block(addr),
            Event::PoolFull { pool, .. }
            | Event::PoolLinked { pool, .. }
            | Event::PoolTaken { pool, .. }
            | Event::PoolCarved { pool, .. }
            | Event::PoolReused { pool, .. }
            | Event::PoolEmptied { pool, .. }
            | Event::PoolFreed { pool, .. } => Self::Pool(pool),
            Event::ArenaObtained { arena, .. }
            | Event::ArenaLinked { arena }
            | Event::ArenaRelinked { arena, .. }
            | Event::ArenaFull { arena }
            | Event::ArenaKept { arena }
            | Event::ArenaReleased { arena, .. }
            | Event::Nfp2lastaSet { arena: Some(arena), .. } => Self::Arena(arena),
            _ => return None,
        })
    }

    /// The arena and the pool it lies in, in this state of the heap; no arena once that is gone.
    pub(crate) fn resolve(self, heap: &Heap) -> (Option<ArenaId>, Option<Addr>) {
        match self {
            Self::Arena(id) => (facts::same_arena(heap, id).map(|a| a.id), None),
            Self::Pool(addr) | Self::Block(addr) => {
                let pool = facts::pool_at(heap, addr);
                (heap.arena_of(addr), pool.map(|p| p.addr))
            }
        }
    }
}

/// What is looked at. Changed by `apply` alone.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Which picture the map shows.
    pub(crate) level: Level,
    /// The arena that the map's second level shows.
    pub(crate) arena: Option<ArenaId>,
    /// The pool that the map's third level shows.
    pub(crate) pool: Option<Addr>,
    /// What the inspector stays with; otherwise it shows what the current step touched.
    pub(crate) pinned: Option<Place>,
    /// Whether the map goes to where each step happens.
    pub(crate) follow: bool,
    /// Whether the map leaves out most of the blocks of a pool that were never carved.
    pub(crate) fold: bool,
    /// What was kept of tracemalloc, to compare.
    pub(crate) snapshots: Snapshots,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            level: Level::Heap,
            arena: None,
            pool: None,
            pinned: None,
            follow: true,
            fold: true,
            snapshots: Snapshots::default(),
        }
    }
}

impl Selection {
    /// Points the map at a place without changing the level.
    pub(crate) fn look_at(&mut self, heap: &Heap, place: Place) {
        let (arena, pool) = place.resolve(heap);
        if arena.is_some() {
            self.arena = arena;
            if pool.is_some() || self.pool.is_some_and(|p| heap.arena_of(p) != arena) {
                self.pool = pool;
            }
        }
    }

    /// Lets go of what no longer exists, and finds something to show where nothing is chosen yet.
    pub(crate) fn repair(&mut self, heap: &Heap) {
        let arena = self.arena.and_then(|id| facts::same_arena(heap, id));
        let arena = arena.or_else(|| facts::arenas(heap).into_iter().next());
        self.arena = arena.map(|a| a.id);
        let inside = |pool: &Addr| arena.is_some_and(|a| heap.arena_of(*pool) == Some(a.id));
        self.pool = self.pool.filter(inside).or(arena.map(|a| a.first_pool));
    }
}
