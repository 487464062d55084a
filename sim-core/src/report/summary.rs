//! A state in numbers.

use super::{Occupancy, digest};
use crate::arena::ArenaBackend;
use crate::machine::Machine;
use crate::pymalloc::ArenaCounters;

/// What a replay came to, whatever memory it ran over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Arenas live, obtained and at most at once, of all interpreters.
    pub counters: ArenaCounters,
    /// What pymalloc's bytes are used for, in all interpreters.
    pub occupancy: Occupancy,
    /// `raw_allocated_blocks`.
    pub raw_allocated_blocks: i64,
    /// Live blocks of the C library.
    pub raw_blocks: u64,
    /// The bytes that they were asked for with.
    pub raw_bytes: u64,
    /// The digest of the whole state.
    pub digest: u64,
}

impl Summary {
    /// Counts over the whole state.
    pub fn of<A: ArenaBackend>(machine: &Machine<A>) -> Self {
        let pymalloc = machine.pymalloc();
        Self {
            counters: machine.arena_counters(),
            occupancy: machine.occupancy(),
            raw_allocated_blocks: pymalloc.raw_allocated_blocks,
            raw_blocks: machine.raw().live_blocks(),
            raw_bytes: machine.raw().live_bytes(),
            digest: digest(machine),
        }
    }
}
