//! Questions about a moment of a trace: who holds the memory, what would give it back, what it is used for.

pub(super) mod check;
pub(super) mod compare;
pub(super) mod document;
pub(super) mod forecast;
pub(super) mod holders;
mod moment;
pub(super) mod shrink;
pub(super) mod verdict;
pub(super) mod waterfall;

use std::time::Instant;

use session::diagnosis::Placed;

/// Milliseconds that a question took.
fn elapsed_ms(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 1e5).round() / 100.0
}

/// `--placed`.
fn placed(text: &str) -> Result<Placed, String> {
    [Placed::Model, Placed::Recorded]
        .into_iter()
        .find(|placed| placed.name() == text)
        .ok_or_else(|| "write model or recorded".to_owned())
}
