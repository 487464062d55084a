//! The heap as the map shows it, at one of three levels.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::arena::ArenaBackend as _;
use sim_core::report::PoolState;
use sim_core::{Addr, ArenaId, Machine, Profile, SizeClass};

use crate::facts::{self, ArenaFacts, BlockFacts, BlockState, FreeList, PoolFacts};
use crate::ground::Ground;
use crate::place::Place;
use crate::selection::{Level, Selection};
use crate::view::inspect::HeaderFacts;

/// Which part of the map a front has room for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MapLook {
    /// Arenas of the first level, by their order of address.
    pub tiles: Range<u32>,
}

impl Default for MapLook {
    fn default() -> Self {
        Self { tiles: 0..1024 }
    }
}

/// A pool as a cell of the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolCell {
    /// Used, full, empty or never carved.
    pub state: PoolState,
    /// Its size class, once it has one.
    pub class: Option<SizeClass>,
    /// Blocks in use.
    pub used: u32,
}

/// An arena with its pools.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tile {
    /// The arena.
    pub arena: ArenaFacts,
    /// Its pools, by address.
    pub cells: Vec<PoolCell>,
}

impl Tile {
    fn of(ground: Ground<'_>, arena: ArenaFacts) -> Self {
        let cells = (0..arena.ntotalpools)
            .filter_map(|index| ground.pool_of_arena(&arena, index))
            .map(|pool| PoolCell { state: pool.state, class: pool.class, used: pool.used })
            .collect();
        Self { arena, cells }
    }

    /// Pool number `index`; `None` for the one that a misaligned arena loses.
    pub fn pool(&self, profile: &Profile, index: u32) -> Option<PoolFacts> {
        let cell = self.cells.get(index as usize)?;
        Some(PoolFacts::new(profile, &self.arena, index, cell.state, cell.class, cell.used))
    }

    /// The number of the pool that holds an address.
    pub fn pool_index(&self, profile: &Profile, addr: Addr) -> Option<u32> {
        let within = addr.0.checked_sub(self.arena.first_pool.0)?;
        let index = within / profile.pool_size;
        (index < self.cells.len() as u64).then_some(index as u32)
    }

    /// Whether an address lies in the arena.
    pub fn holds(&self, profile: &Profile, addr: Addr) -> bool {
        addr.bytes_from(self.arena.base) < profile.arena_size
    }
}

/// The level that is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MapPicture {
    /// All arenas as tiles of their pools.
    Heap {
        /// How many arenas there are.
        total: u32,
        /// The first of the tiles, in the order of address.
        first: u32,
        /// As many as were asked for.
        tiles: Vec<Tile>,
        /// The number of the arena that the last operation was about.
        focus: Option<u32>,
    },
    /// The pools of one arena.
    Arena {
        /// The arena.
        tile: Tile,
        /// Its emptied pools: `freepools`, top first.
        emptied: Vec<Addr>,
    },
    /// The blocks of one pool.
    Pool {
        /// The pool.
        pool: PoolFacts,
        /// Its header, once it was carved; none as recorded.
        header: Option<HeaderFacts>,
        /// Its blocks, by address.
        states: Vec<BlockState>,
        /// Its free list.
        free: FreeList,
    },
    /// No arena, or the place shown is gone.
    Nothing,
}

impl MapPicture {
    pub(super) fn of(
        machine: &Machine,
        ground: Ground<'_>,
        selection: &Selection,
        focus: Option<Place>,
        look: &MapLook,
    ) -> Self {
        Self::shown(machine, ground, selection, focus, look).unwrap_or(Self::Nothing)
    }

    fn shown(
        machine: &Machine,
        ground: Ground<'_>,
        selection: &Selection,
        focus: Option<Place>,
        look: &MapLook,
    ) -> Option<Self> {
        Some(match selection.level {
            Level::Heap => {
                let all = ground.arenas();
                let total = all.len() as u32;
                let shown = look.tiles.start.min(total)..look.tiles.end.min(total);
                let first = shown.start;
                let shown = all.get(shown.start as usize..shown.end as usize).unwrap_or_default();
                if total == 0 {
                    return None;
                }
                let focus = focus.and_then(|place| place.resolve(ground).0);
                let focus = all.iter().position(|arena| Some(arena.id) == focus).map(|at| at as u32);
                let tiles = shown.iter().map(|arena| Tile::of(ground, *arena)).collect();
                Self::Heap { total, first, tiles, focus }
            }
            Level::Arena => {
                let arena = ground.same_arena(selection.arena?)?;
                let emptied = match ground {
                    Ground::Model(heap) => {
                        heap.freepools(arena.id.index).map(|p| heap.memory().pool_addr(p)).collect()
                    }
                    Ground::Recorded(_) => Vec::new(),
                };
                Self::Arena { tile: Tile::of(ground, arena), emptied }
            }
            Level::Pool => {
                let pool = ground.pool_at(selection.pool?)?;
                let states = ground.block_states(&pool);
                let (header, free) = match ground {
                    Ground::Model(heap) => (HeaderFacts::of(machine, &pool), facts::free_list(heap, &pool)),
                    Ground::Recorded(_) => (None, FreeList::default()),
                };
                Self::Pool { header, pool, states, free }
            }
        })
    }

    /// Tiles that are in the picture.
    pub fn tiles(&self) -> &[Tile] {
        match self {
            Self::Heap { tiles, .. } => tiles,
            Self::Arena { tile, .. } => std::slice::from_ref(tile),
            Self::Pool { .. } | Self::Nothing => &[],
        }
    }

    /// The arena that a place of the picture lies in.
    pub fn arena_of(&self, profile: &Profile, place: Place) -> Option<ArenaId> {
        match place {
            Place::Arena(id) => Some(id),
            Place::Pool(addr) | Place::Block(addr) => match self {
                Self::Pool { pool, .. } => Some(pool.arena),
                _ => self.tiles().iter().find(|t| t.holds(profile, addr)).map(|t| t.arena.id),
            },
        }
    }

    /// A pool of the picture, by where it starts.
    pub fn pool(&self, profile: &Profile, addr: Addr) -> Option<PoolFacts> {
        if let Self::Pool { pool, .. } = self {
            return (pool.addr == addr).then_some(*pool);
        }
        let tile = self.tiles().iter().find(|t| t.holds(profile, addr))?;
        tile.pool(profile, tile.pool_index(profile, addr)?)
    }

    /// A block of the picture, by where it starts.
    pub fn block(&self, profile: &Profile, addr: Addr) -> Option<BlockFacts> {
        let Self::Pool { pool, states, .. } = self else { return None };
        let within = addr.0.checked_sub(pool.addr.0)?.checked_sub(profile.pool_overhead())?;
        let index = within.checked_div(u64::from(pool.block_size))?;
        let state = *states.get(index as usize)?;
        Some(facts::block_of_pool(profile, pool, pool.class?, index as u32, state))
    }
}

/// The way from the whole heap down to what the map's levels show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Crumbs {
    /// The arena of the second level.
    pub arena: Option<ArenaId>,
    /// The pool of the third.
    pub pool: Option<PoolFacts>,
}

impl Crumbs {
    pub(super) fn of(ground: Ground<'_>, selection: &Selection) -> Self {
        Self {
            arena: selection.arena.and_then(|id| ground.same_arena(id)).map(|a| a.id),
            pool: selection.pool.and_then(|addr| ground.pool_at(addr)),
        }
    }
}
