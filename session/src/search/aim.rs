//! What can be looked for along the tape, and what the rare events are called.

use sim_core::breakpoint::Condition;
use sim_core::index::{Mark, Wanted};

/// What a search along the tape is for.
#[derive(Clone, PartialEq, Debug)]
pub enum Aim {
    /// An arena, or a segment of mimalloc, obtained or released.
    Arena,
    /// What the index knows.
    Of(Wanted),
    /// The block that the program holds at an address; who that is has to be found first.
    HeldAt(sim_core::Addr),
    /// The call site of the block that the program holds at an address.
    SiteOf(sim_core::Addr),
    /// Where a condition holds.
    Condition(Condition),
}

/// What an event that can be gone to is called.
pub fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::ArenaObtained => "arena obtained",
        Mark::ArenaReleased => "arena released",
        Mark::ArenaRelinked => "arena relinked",
        Mark::ArenaFull => "arena full",
        Mark::ArenaRefused => "hook failure",
        Mark::PoolCarved => "pool carved",
        Mark::PoolInitialised => "pool initialised",
        Mark::PoolLinked => "pool linked",
        Mark::PoolFull => "pool full",
        Mark::PoolFreed => "pool freed",
        Mark::RawFallback => "RAW fallback",
        Mark::ReturnedNull => "NULL returned",
        Mark::Stopped => "end of the process",
    }
}
