//! Random workloads through the simulation and the real pymalloc of a libpython in this process: every
//! address and the statistics text must be equal.

#![allow(clippy::unwrap_used, reason = "tests")]

use real_cpython::RealPymalloc;
use real_cpython::outside::{compared, grouped};
use sim_core::arena::{ArenaBackend, SimArenas, Target};
use sim_core::report::debugmallocstats;
use sim_core::{Machine, Profile, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

const SEEDS: u64 = 100;

/// A different shape for each seed: sizes, lifetimes, ramps that fill and empty arenas.
fn workload(seed: u64) -> Workload {
    let sizes = [
        Sizes::Uniform { min: 0, max: 600 },
        Sizes::Python,
        Sizes::Halving { min: 16, max: 1024 },
        Sizes::Uniform { min: 400, max: 520 },
        Sizes::Fixed(512),
    ][seed as usize % 5];
    let lifetimes = [Lifetimes::Random, Lifetimes::DieYoung, Lifetimes::OldestFirst, Lifetimes::NewestFirst]
        [seed as usize / 5 % 4];
    let up = Phase {
        operations: 60_000,
        sizes,
        lifetimes,
        live_from: 0,
        live_to: 24_000,
        realloc_percent: 6,
        calloc_percent: 5,
        raw_percent: 3,
        mem_percent: 30,
    };
    let down = Phase { operations: 60_000, live_from: 24_000, live_to: 0, ..up };
    let again = Phase { operations: 24_000, live_to: 9_000, lifetimes: Lifetimes::Random, ..up };
    Workload { seed, phases: vec![up, down, again] }
}

/// Placements, limits and injected failures by turns.
fn profile(seed: u64) -> Profile {
    let mut profile = Profile::default();
    profile.set("arena_placement", ["aligned", "page", "mixed"][seed as usize % 3]).unwrap();
    match seed % 7 {
        3 => profile.set("arena_limit", "2").unwrap(),
        5 => profile.set("arena_fail_at", "1,2,4,7").unwrap(),
        _ => {}
    }
    profile
}

#[test]
fn every_address_and_the_statistics_equal_the_real_pymalloc() {
    let Some(mut real) = RealPymalloc::compared() else { return };
    let (mut operations, mut arenas, mut released) = (0, 0, 0);
    for seed in 0..SEEDS {
        let profile = profile(seed);
        let mut tape = TraceBuilder::new("live");
        for op in &workload(seed) {
            tape.push(op).unwrap();
        }
        let trace = tape.finish();
        let mut machine = Machine::simulated(&profile, trace.slot_count()).unwrap();
        real.reset(&profile, trace.slot_count(), true);
        for index in 0..trace.len() as usize {
            let op = trace.packed(index);
            let simulated = machine.apply(op, &mut ());
            let address = real.apply(op);
            let expected = match SimArenas::target(simulated) {
                Target::Null => 0,
                Target::Block(block) => machine.pymalloc().memory().block_addr(block).0,
                Target::Raw(_) => {
                    assert!(
                        !machine.pymalloc().address_in_range(sim_core::Addr(address)) && address != 0,
                        "seed {seed}, operation {}: {address:#x} should be the C library's",
                        index + 1
                    );
                    address
                }
            };
            assert_eq!(
                format!("{expected:#x}"),
                format!("{address:#x}"),
                "seed {seed}, operation {} {:?}",
                index + 1,
                trace.op(index as u64)
            );
            operations += 1;
            if index % 4096 == 0 {
                assert_eq!(
                    debugmallocstats(machine.pymalloc()),
                    real.debugmallocstats().unwrap(),
                    "seed {seed}"
                );
            }
        }
        assert_eq!(debugmallocstats(machine.pymalloc()), real.debugmallocstats().unwrap(), "seed {seed}");
        machine.verify().unwrap();
        let counters = machine.pymalloc().counters();
        arenas += counters.ntimes_arena_allocated;
        released += counters.ntimes_arena_allocated - counters.narenas_currently_allocated;
        real.free_raw(|address| !machine.pymalloc().address_in_range(sim_core::Addr(address)));
    }
    compared(
        "random workloads in this process",
        &format!(
            "{}: {} operations, 0 differences ({} arenas obtained, {} released)",
            real.library(),
            grouped(operations),
            grouped(arenas),
            grouped(released)
        ),
    );
    assert!(operations > 10_000_000 && released > 100, "the workloads are too tame");
}
