//! What can be looked for along the tape, and what the rare events are called.

use sim_core::breakpoint::Condition;
use sim_core::index::{RareEvent, Wanted};

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
pub fn rare_event_name(event: RareEvent) -> &'static str {
    match event {
        RareEvent::ArenaObtained => "arena obtained",
        RareEvent::ArenaReleased => "arena released",
        RareEvent::ArenaRelinked => "arena relinked",
        RareEvent::ArenaFull => "arena full",
        RareEvent::ArenaRefused => "hook failure",
        RareEvent::PoolCarved => "pool carved",
        RareEvent::PoolInitialised => "pool initialised",
        RareEvent::PoolLinked => "pool linked",
        RareEvent::PoolFull => "pool full",
        RareEvent::PoolFreed => "pool freed",
        RareEvent::RawFallback => "RAW fallback",
        RareEvent::ReturnedNull => "NULL returned",
        RareEvent::Stopped => "end of the process",
    }
}
