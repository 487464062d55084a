//! Searches along the tape: for what the index knows, for a block's life, for a condition, for the next
//! breakpoint. They go on in slices, and share the replay's second machine.

mod aim;
mod lookout;
mod quest;

pub use aim::{Aim, rare_event_name};
pub use lookout::Lookout;
pub use quest::Quest;

/// Operations that a search for a condition looks at between two looks at the clock.
const CHUNK: u64 = 8192;
