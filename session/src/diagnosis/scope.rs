//! Which of the live blocks are looked at: all, those that are never freed, those that were born in a stretch of the tape.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::{Kind, Trace};

use super::census::Census;

/// Which of the live blocks are looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Scope {
    /// All of them.
    #[default]
    Live,
    /// Those that the tape never frees: they are live at its end too.
    NeverFreed,
    /// Those that were born by one of these operations. A realloc gives birth, as everywhere.
    Born(Range<u64>),
}

/// Blocks of a census that are in a scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Within {
    /// Whether each block of the columns is in it.
    pub blocks: Vec<bool>,
    /// Whether those are that no operation gave.
    pub unborn: bool,
}

/// By slot, the operations up to the last one that freed a block of it; 0 where none did.
#[derive(Clone, Debug, Default)]
pub struct LastFrees {
    by_slot: Vec<u32>,
    read: u64,
}

impl LastFrees {
    /// Reads what it does not know yet; the trace must be the same, which may have grown.
    pub fn read(&mut self, trace: &Trace) {
        self.by_slot.resize(trace.slot_count() as usize, 0);
        for index in self.read..trace.len() {
            let op = trace.packed(index as usize);
            if matches!(op.kind, Kind::Free | Kind::FreeKeep)
                && !op.null
                && let Some(last) = self.by_slot.get_mut(op.slot.0 as usize)
            {
                *last = index as u32 + 1;
            }
        }
        self.read = trace.len();
    }

    /// Whether the block that is in a slot after `step` operations is freed later.
    fn after(&self, slot: u32, step: u64) -> bool {
        self.by_slot.get(slot as usize).is_some_and(|last| u64::from(*last) > step)
    }
}

impl Scope {
    /// The blocks that are in it; `None` where all are.
    pub fn within(&self, census: &Census, frees: &LastFrees) -> Option<Within> {
        match self {
            Self::Live => None,
            Self::NeverFreed => {
                let stays = |slot: &u32| !frees.after(*slot, census.step);
                // What no operation gave, none can free.
                Some(Within { blocks: census.slots.iter().map(stays).collect(), unborn: true })
            }
            Self::Born(range) => {
                let born = |birth: &u32| range.contains(&u64::from(*birth));
                Some(Within { blocks: census.births.iter().map(born).collect(), unborn: false })
            }
        }
    }
}
