//! What the user looks at: the map's level and place, and what the inspector is pinned to.

use serde::{Deserialize, Serialize};
use sim_core::{Addr, ArenaId};

use crate::ground::Ground;
use crate::place::Place;

/// The three pictures of the map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum Level {
    /// All arenas as tiles of their pools.
    #[default]
    Heap,
    /// The pools of one arena.
    Arena,
    /// The blocks of one pool.
    Pool,
}

/// What the map's colors say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Paint {
    /// The size class.
    #[default]
    SizeClass,
    /// The type of the object.
    Type,
    /// Whose it is.
    Owner,
    /// By which way it is held.
    Path,
    /// Whether it is in memory, and whether another process has it too.
    Memory,
}

impl Paint {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::SizeClass, Self::Type, Self::Owner, Self::Path, Self::Memory];

    /// As it is chosen.
    pub fn words(self) -> &'static str {
        match self {
            Self::SizeClass => "size class",
            Self::Type => "type",
            Self::Owner => "owner",
            Self::Path => "path",
            Self::Memory => "in memory",
        }
    }
}

/// What is looked at. Changed by orders alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Selection {
    /// Which picture the map shows.
    pub level: Level,
    /// The arena that the map's second level shows.
    pub arena: Option<ArenaId>,
    /// The pool that the map's third level shows.
    pub pool: Option<Addr>,
    /// What the inspector stays with; otherwise it shows what the current step touched.
    pub pinned: Option<Place>,
    /// Whether the map goes to where each step happens.
    pub follow: bool,
    /// Whether the map leaves out most of the blocks of a pool that were never carved.
    pub fold: bool,
    /// What the map's colors say.
    #[serde(default)]
    pub paint: Paint,
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
            paint: Paint::SizeClass,
        }
    }
}

impl Selection {
    /// Points the map at a place without changing the level.
    pub fn look_at<'a>(&mut self, ground: impl Into<Ground<'a>>, place: Place) {
        let ground = ground.into();
        let (arena, pool) = place.resolve(ground);
        if arena.is_some() {
            self.arena = arena;
            if pool.is_some() || self.pool.is_some_and(|p| ground.arena_of(p) != arena) {
                self.pool = pool;
            }
        }
    }

    /// Lets go of what no longer exists, and finds something to show where nothing is chosen yet.
    pub fn repair<'a>(&mut self, ground: impl Into<Ground<'a>>) {
        let ground = ground.into();
        let arena = self.arena.and_then(|id| ground.same_arena(id));
        let arena = arena.or_else(|| ground.arenas().into_iter().next());
        self.arena = arena.map(|a| a.id);
        let inside = |pool: &Addr| arena.is_some_and(|a| ground.arena_of(*pool) == Some(a.id));
        self.pool = self.pool.filter(inside).or(arena.map(|a| a.first_pool));
    }
}
