//! The goldens over arenas in memory: placements, statistics text and the simulation's digest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]
#![cfg(not(miri))]

#[path = "../../trace-io/tests/support/golden.rs"]
mod golden;

use golden::{Subject, check_all, check_small};
use mmap_arenas::MmapMachine;
use sim_core::report::{ArenaEvents, PlacementWriter, Summary};
use sim_core::{Machine, Profile, Trace};

impl Subject for MmapMachine {
    const NAME: &'static str = "over arenas in memory";

    fn new(profile: &Profile, trace: &Trace) -> Self {
        Self::for_trace(profile, trace, None).unwrap()
    }

    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents, out: &mut String) {
        let placement = self.place(trace, index, events);
        PlacementWriter::landed(trace, index, placement, events.as_slice(), out);
    }

    fn stats(&self) -> String {
        self.debugmallocstats()
    }

    fn check_end(&self, profile: &Profile, trace: &Trace) {
        self.verify().expect("the heap is sound at the end");
        let mut simulated = Machine::simulated(profile, trace.slot_count()).unwrap();
        for index in 0..trace.len() as usize {
            simulated.step(trace, index, &mut ());
        }
        assert_eq!(self.summary(), Summary::of(&simulated), "{}", trace.head.name);
    }
}

#[test]
fn small_goldens_are_met() {
    check_small::<MmapMachine>();
}

#[test]
fn all_goldens_are_met() {
    check_all::<MmapMachine>();
}
