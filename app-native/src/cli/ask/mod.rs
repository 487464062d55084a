//! Questions about a moment of a trace: who holds the memory, what would give it back, what it is used for.

pub(super) mod check;
pub(super) mod compare;
pub(super) mod document;
pub(super) mod forecast;
pub(super) mod holders;
mod moment;
pub(super) mod shrink;
pub(super) mod tracemalloc;
pub(super) mod verdict;
pub(super) mod waterfall;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use session::diagnosis::{Found, Placed, SharedLayout, Surveyor};
use session::{Overrides, Setup};
use sim_core::Trace;

use super::input;

/// Milliseconds that a question took.
fn elapsed_ms(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 1e5).round() / 100.0
}

/// `--placed`.
fn placed(text: &str) -> std::result::Result<Placed, String> {
    [Placed::Model, Placed::Recorded]
        .into_iter()
        .find(|placed| placed.name() == text)
        .ok_or_else(|| "write model or recorded".to_owned())
}

/// Runs a whole trace and notes what there was on the way, with progress.
fn survey(trace: Trace, overrides: &Overrides, placed: Placed) -> Result<Found> {
    let setup = Setup::resolve(&trace, overrides)?;
    let bar = input::progress_bar(Some(trace.len()), "running");
    let mut surveyor = Surveyor::on(Arc::new(trace), setup, placed, SharedLayout::default())?;
    anyhow::ensure!(
        surveyor.placed() == placed,
        "the trace has no addresses of blocks in pymalloc's pools, so there is no heap as recorded; leave --placed out"
    );
    while !surveyor.advance() {
        bar.set_position(surveyor.progress().0);
    }
    bar.finish_and_clear();
    Ok(surveyor.finish())
}
