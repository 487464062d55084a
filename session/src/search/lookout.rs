//! Breakpoints ahead of Play.

use sim_core::Replay;
use sim_core::breakpoint::Condition;
use sim_core::replay::{Found, Hunt};

use super::CHUNK;

/// Looks for the next breakpoint ahead of Play.
#[derive(Debug)]
pub struct Lookout {
    hunt: Hunt,
    found: Option<u64>,
}

impl Lookout {
    /// From a position on.
    pub fn new(conditions: Vec<Condition>, from: u64) -> Self {
        Self { hunt: Hunt::new(conditions, from, true), found: None }
    }

    /// Looks on until it knows of all operations up to `step`, or `go_on` says no.
    pub fn advance(&mut self, replay: &mut Replay, step: u64, mut go_on: impl FnMut() -> bool) {
        while self.found.is_none() && self.hunt.edge() < step.min(replay.len()) {
            match replay.hunt(&mut self.hunt, CHUNK) {
                Found::At(step) => self.found = Some(step),
                Found::Looking if go_on() => {}
                _ => break,
            }
        }
    }

    /// The step up to which Play may go.
    pub fn clear_to(&self) -> u64 {
        self.found.unwrap_or(self.hunt.edge())
    }

    /// The condition of the breakpoint at a step.
    pub fn breakpoint(&self, step: u64) -> Option<&Condition> {
        self.hunt.condition().filter(|_| self.found == Some(step))
    }
}
