//! Which allocator was in force, where memray knows no name for it.
//!
//! It has names for the tables that stand alone, `malloc_debug` apart; it has none where another table stands above, as
//! tracemalloc's does before recording. Where small blocks lie says which it was.

use super::domains::Domains;

/// Small blocks after which it is decided.
const ENOUGH: u64 = 256;
/// With fewer in the whole file nothing is.
const LEAST: u64 = 16;
/// Of ten blocks so many lie in pools, if there are any: RAW's do not.
const TENTHS: u64 = 9;

/// What the places of blocks say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Pymalloc,
    PymallocDebug,
    /// No pools.
    NoPools,
    /// Too few blocks, or nothing is known of the size of pools.
    Unknown,
}

/// Blocks looked at.
#[derive(Debug, Default)]
pub(super) struct Probe {
    pool_bytes: Option<u64>,
    pub(super) seen: u64,
    /// So many lie as in a pool, and as in one below debug hooks.
    pub(super) plain: u64,
    pub(super) hooked: u64,
}

impl Probe {
    pub(super) fn set_pools(&mut self, pool_bytes: Option<u64>) {
        *self = Self { pool_bytes, ..Self::default() };
    }

    pub(super) fn pool_bytes(&self) -> Option<u64> {
        self.pool_bytes
    }

    /// A block of Python's; true once there are enough.
    pub(super) fn birth(&mut self, address: u64, size: u64) -> bool {
        let Some(pool_bytes) = self.pool_bytes else { return false };
        // Every block of the smallest class lies as in a pool, and with hooks there are none of it.
        if !(17..=488).contains(&size) {
            return false;
        }
        self.seen += 1;
        self.plain += u64::from(Domains::lies_in_pool(address, size, pool_bytes));
        self.hooked += u64::from(Domains::lies_in_pool(address.wrapping_sub(16), size + 24, pool_bytes));
        self.seen >= ENOUGH
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.seen < LEAST {
            Verdict::Unknown
        } else if self.plain * 10 >= self.seen * TENTHS {
            Verdict::Pymalloc
        } else if self.hooked * 10 >= self.seen * TENTHS {
            Verdict::PymallocDebug
        } else {
            Verdict::NoPools
        }
    }
}
