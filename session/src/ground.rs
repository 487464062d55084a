//! What the map and what stands beside it are read off: the model's heap, or the recorded one.

use sim_core::report::PoolState;
use sim_core::{Addr, ArenaId, Profile};

use crate::diagnosis::{Placed, Recorded};
use crate::facts::{self, ArenaFacts, BlockFacts, BlockState, Heap, PoolFacts};

/// One of the two.
#[derive(Clone, Copy)]
pub enum Ground<'a> {
    /// Blocks where the model puts them.
    Model(&'a Heap),
    /// Blocks where they were recorded.
    Recorded(&'a Recorded),
}

impl<'a> From<&'a Heap> for Ground<'a> {
    fn from(heap: &'a Heap) -> Self {
        Self::Model(heap)
    }
}

impl<'a> Ground<'a> {
    /// Which it is.
    pub fn placed(self) -> Placed {
        match self {
            Self::Model(_) => Placed::Model,
            Self::Recorded(_) => Placed::Recorded,
        }
    }

    /// The constants of the build.
    pub fn profile(self) -> &'a Profile {
        match self {
            Self::Model(heap) => heap.profile(),
            Self::Recorded(recorded) => recorded.layout().profile(),
        }
    }

    /// The arenas by address; as recorded, those in which a block is live.
    pub fn arenas(self) -> Vec<ArenaFacts> {
        match self {
            Self::Model(heap) => facts::arenas(heap),
            Self::Recorded(recorded) => {
                recorded.held().filter_map(|number| recorded_arena(recorded, number)).collect()
            }
        }
    }

    /// The arena that is still the one this name was given to.
    pub fn same_arena(self, id: ArenaId) -> Option<ArenaFacts> {
        match self {
            Self::Model(heap) => facts::same_arena(heap, id),
            Self::Recorded(recorded) => {
                recorded_arena(recorded, id.index).filter(|arena| arena.id == id && recorded.holds(id.index))
            }
        }
    }

    /// The arena that holds an address.
    pub fn arena_of(self, addr: Addr) -> Option<ArenaId> {
        match self {
            Self::Model(heap) => heap.arena_of(addr),
            Self::Recorded(recorded) => {
                let (arena, _) = recorded.at(addr)?;
                recorded.holds(arena).then(|| recorded_id(arena))
            }
        }
    }

    /// Pool number `index` of an arena.
    pub fn pool_of_arena(self, arena: &ArenaFacts, index: u32) -> Option<PoolFacts> {
        match self {
            Self::Model(heap) => facts::pool_of_arena(heap, arena, index),
            Self::Recorded(recorded) => {
                let inside = index < arena.ntotalpools;
                inside.then(|| recorded_pool(recorded, arena, index))
            }
        }
    }

    /// The pool that holds an address.
    pub fn pool_at(self, addr: Addr) -> Option<PoolFacts> {
        match self {
            Self::Model(heap) => facts::pool_at(heap, addr),
            Self::Recorded(recorded) => {
                let (arena, index) = recorded.at(addr)?;
                self.pool_of_arena(&self.same_arena(recorded_id(arena))?, index)
            }
        }
    }

    /// The states of all blocks of a pool, in order of address.
    pub fn block_states(self, pool: &PoolFacts) -> Vec<BlockState> {
        match self {
            Self::Model(heap) => facts::block_states(heap, pool),
            Self::Recorded(recorded) => {
                let live = recorded.live_places(pool.arena.index, pool.index);
                live.map(|live| if live { BlockState::Live } else { BlockState::Unknown }).collect()
            }
        }
    }

    /// The block that holds an address; `None` for headers, tails and memory without a class.
    pub fn block_at(self, addr: Addr) -> Option<BlockFacts> {
        match self {
            Self::Model(heap) => facts::block_at(heap, addr),
            Self::Recorded(_) => {
                let pool = self.pool_at(addr)?;
                let within = addr.bytes_from(pool.addr).checked_sub(self.profile().pool_overhead())?;
                let index = within.checked_div(u64::from(pool.block_size))?;
                let state = *self.block_states(&pool).get(index as usize)?;
                Some(facts::block_of_pool(self.profile(), &pool, pool.class?, index as u32, state))
            }
        }
    }
}

fn recorded_id(number: u32) -> ArenaId {
    ArenaId { index: number, ordinal: u64::from(number) }
}

/// A recorded arena. Its free pools are those without a live block.
fn recorded_arena(recorded: &Recorded, number: u32) -> Option<ArenaFacts> {
    let base = recorded.layout().base_of(number as usize)?;
    let total = recorded.layout().pools_of(number as usize);
    let used = (0..total).filter(|place| recorded.pool(number, *place).is_some()).count() as u32;
    Some(ArenaFacts {
        id: recorded_id(number),
        base,
        first_pool: base,
        pool_address: base.offset(u64::from(total) * recorded.layout().profile().pool_size),
        nfreepools: total - used,
        ntotalpools: total,
    })
}

fn recorded_pool(recorded: &Recorded, arena: &ArenaFacts, index: u32) -> PoolFacts {
    let profile = recorded.layout().profile();
    if let Some((class, live)) = recorded.pool(arena.id.index, index) {
        let full = u64::from(live) >= profile.num_blocks(class);
        let state = if full { PoolState::Full } else { PoolState::Used };
        return PoolFacts::new(profile, arena, index, state, Some(class), live);
    }
    let addr = arena.first_pool.offset(u64::from(index) * profile.pool_size);
    let seen = recorded.layout().has_pool(addr);
    let state = if seen { PoolState::Empty } else { PoolState::NeverCarved };
    PoolFacts::new(profile, arena, index, state, None, 0)
}
