//! Traces that the real `CPython` 3.14 answered: every placement and the statistics text, byte for byte.
//!
//! `tests/data` has the small ones. The large ones lie beside the repository in `../shared/oracle`; where they are
//! missing this says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

#[path = "support/golden.rs"]
mod golden;

use golden::{Subject, check_all, check_small};
use sim_core::report::{ArenaEvents, PlacementWriter, debugmallocstats};
use sim_core::{Machine, Profile, Trace};

impl Subject for Machine {
    const NAME: &'static str = "simulated";

    fn new(profile: &Profile, trace: &Trace) -> Self {
        Self::simulated(profile, trace.slot_count()).unwrap()
    }

    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents, out: &mut String) {
        let pointer = self.step(trace, index, events);
        PlacementWriter::default().after(self, trace, index, pointer, events.as_slice(), out);
    }

    fn stats(&self) -> String {
        debugmallocstats(self.pymalloc())
    }

    fn check_end(&self, _profile: &Profile, _trace: &Trace) {
        self.verify().expect("the heap is sound at the end");
    }
}

#[test]
fn small_goldens_are_met() {
    check_small::<Machine>();
}

#[test]
fn all_goldens_are_met() {
    check_all::<Machine>();
}
