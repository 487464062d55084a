//! The same random workloads under each `PYTHONMALLOC`, through the tables of a libpython in this process:
//! addresses, the bytes of blocks with their headers and pads, names and statistics must be equal.

#![allow(clippy::unwrap_used, unsafe_code, reason = "tests")]

use real_cpython::RealPymalloc;
use real_cpython::outside::{compared, grouped};
use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::domains::{AllocatorName, Build};
use sim_core::report::debugmallocstats;
use sim_core::{Addr, Kind, Machine, Profile, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

const SEEDS: u64 = 24;

fn workload(seed: u64) -> Workload {
    let sizes = [
        Sizes::Uniform { min: 0, max: 600 },
        Sizes::Python,
        Sizes::Uniform { min: 100, max: 300 },
        Sizes::Uniform { min: 470, max: 520 },
    ][seed as usize % 4];
    let up = Phase {
        operations: 4_000,
        sizes,
        lifetimes: Lifetimes::Random,
        live_from: 0,
        live_to: 1_500,
        realloc_percent: 25,
        calloc_percent: 20,
        raw_percent: 15,
        mem_percent: 30,
    };
    let down = Phase { operations: 4_000, live_from: 1_500, live_to: 0, ..up };
    Workload { seed, phases: vec![up, down] }
}

#[test]
fn every_pythonmalloc_equals_the_real_one() {
    let Some(mut real) = RealPymalloc::compared() else { return };
    let (mut operations, mut compared_bytes, mut in_arenas) = (0_u64, 0_u64, 0_u64);
    // mimalloc cannot be made pristine again in a process; `mimalloc.rs` compares it in processes of its own.
    let names = AllocatorName::ALL.into_iter().filter(|n| !n.is_mimalloc(Build::default()));
    for name in names.clone() {
        for seed in 0..SEEDS {
            let mut profile = Profile::default();
            profile.set("arena_placement", ["aligned", "page", "mixed"][seed as usize % 3]).unwrap();
            let mut tape = TraceBuilder::new("live");
            for op in &workload(seed) {
                tape.push(op).unwrap();
            }
            let trace = tape.finish();
            let mut machine = Machine::simulated(&profile, trace.slot_count()).unwrap();
            machine.setup(name);
            real.reset(&profile, trace.slot_count(), true);
            real.setup(name).unwrap();
            let allocators = machine.layers().map(|l| l.allocators().clone()).unwrap_or_default();
            assert_eq!(
                allocators.current_name().map(str::to_owned),
                real.current_allocator_name(),
                "{name:?}"
            );
            for index in 0..trace.len() as usize {
                let op = trace.packed(index);
                let place =
                    format!("{name:?}, seed {seed}, operation {} {:?}", index + 1, trace.op(index as u64));
                let simulated = machine.apply(op, &mut ());
                assert_eq!(machine.stopped(), None, "{place}");
                let address = real.apply(op);
                operations += 1;
                match SimArenas::target(simulated) {
                    Target::Null => assert_eq!(address, 0, "{place}"),
                    Target::Block(block) => {
                        let expected = machine.pymalloc().memory().block_addr(block);
                        assert_eq!(format!("{expected}"), format!("{:#x}", address), "{place}");
                        in_arenas += 1;
                    }
                    Target::Raw(_) => {
                        assert!(
                            address != 0 && !machine.pymalloc().address_in_range(Addr(address)),
                            "{place}"
                        );
                    }
                }
                if op.kind == Kind::Free || address == 0 || op.size > 1 << 16 {
                    continue;
                }
                let Some(layers) = machine.layers() else { continue };
                let hooked = allocators.is_debug_enabled;
                let word = u64::from(layers.layout().word_bytes);
                let (before, after) = if hooked { (2 * word, word) } else { (0, 0) };
                // Without hooks fresh memory holds whatever was there; only calloc promises something.
                if hooked || op.kind == Kind::Calloc {
                    let ours = machine.address(op.slot).unwrap();
                    let expected =
                        layers.bytes().read(Addr(ours.0 - before), before + op.size + after).unwrap();
                    // SAFETY: a block that the call just returned, with its header and pads.
                    let bytes = unsafe { real.read(address - before, before + op.size + after) };
                    assert_eq!(expected, bytes, "{place}");
                    compared_bytes += bytes.len() as u64;
                }
                // A program writes into its blocks; reallocs must carry it along.
                let data: Vec<u8> =
                    (0..op.size.min(300)).map(|i| (i as u8).wrapping_mul(31) ^ seed as u8).collect();
                machine.poke(op.slot, 0, &data);
                // SAFETY: within the size that was asked for.
                unsafe { real.write(address, &data) };
            }
            let stats =
                if machine.pymalloc_enabled() { debugmallocstats(machine.pymalloc()) } else { String::new() };
            assert_eq!(stats, real.debugmallocstats().unwrap(), "{name:?}, seed {seed}");
            machine.verify().unwrap();
        }
    }
    compared(
        "the same under each PYTHONMALLOC",
        &format!(
            "{}: {} operations and {} bytes of blocks under {} names",
            real.library(),
            grouped(operations),
            grouped(compared_bytes),
            names.count()
        ),
    );
    assert!(compared_bytes > 10_000_000 && in_arenas > 100_000, "the workloads are too tame");
}
