//! Something on the map: an arena, a pool or a block, by a name that survives steps.

use serde::{Deserialize, Serialize};
use sim_core::{Addr, ArenaId, Event};

use crate::ground::Ground;

/// Something on the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Place {
    /// An arena, by name.
    Arena(ArenaId),
    /// A pool, by where it starts.
    Pool(Addr),
    /// A block, by where it starts.
    Block(Addr),
}

impl Place {
    /// The place an event is about.
    pub fn of_event(event: &Event) -> Option<Self> {
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
    pub fn resolve<'a>(self, ground: impl Into<Ground<'a>>) -> (Option<ArenaId>, Option<Addr>) {
        let ground = ground.into();
        match self {
            Self::Arena(id) => (ground.same_arena(id).map(|a| a.id), None),
            Self::Pool(addr) | Self::Block(addr) => {
                let pool = ground.pool_at(addr);
                (ground.arena_of(addr), pool.map(|p| p.addr))
            }
        }
    }
}
