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

/// Rare events that one can go to, with what they are called.
pub const MARKS: [(Mark, &str); 8] = [
    (Mark::ArenaObtained, "arena obtained"),
    (Mark::ArenaReleased, "arena released"),
    (Mark::PoolCarved, "pool carved"),
    (Mark::PoolFreed, "pool freed"),
    (Mark::RawFallback, "RAW fallback"),
    (Mark::ArenaRefused, "hook failure"),
    (Mark::ReturnedNull, "NULL returned"),
    (Mark::Stopped, "end of the process"),
];

/// What one of [`MARKS`] is called.
pub fn mark_name(mark: Mark) -> &'static str {
    MARKS.iter().find(|(m, _)| *m == mark).map_or("event", |(_, name)| name)
}
