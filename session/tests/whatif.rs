//! What-if: rows of a grid against the goldens of the real `CPython` and against the same runs step by step.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../trace-io/tests/support/outside.rs"]
mod outside;

use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use ruzstd::decoding::StreamingDecoder;
use session::analysis::overview::Overview;
use session::pass;
use session::whatif::{
    Allocator, Blame, Cell, CellError, Figures, Grid, Ideal, IdealError, Tape, ideal, run,
};
use session::{Overrides, Setup};
use sim_core::arena::Target;
use sim_core::domains::AllocatorName;
use sim_core::profile::PRESETS;
use sim_core::{Call, Domain, Kind, Machine, Op, Slot, Trace, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

fn figures(trace: &Arc<Trace>, overrides: &Overrides) -> Result<Figures, CellError> {
    let setup = Setup::resolve(trace, overrides).map_err(CellError::Setup)?;
    run(&Tape::of(trace), &setup, &mut |_| ControlFlow::Continue(()))
}

/// Swells, shrinks and swells again, with reallocs and some requests over the threshold.
fn workload(seed: u64, operations: u64, live: u64) -> Arc<Trace> {
    let phase = |share: u64, sizes, lifetimes, live_from, live_to, realloc_percent| Phase {
        operations: operations * share / 4,
        sizes,
        lifetimes,
        live_from,
        live_to,
        realloc_percent,
        ..Workload::python(seed, operations, live).phases[0]
    };
    let phases = vec![
        phase(1, Sizes::Python, Lifetimes::DieYoung, 0, live, 5),
        phase(1, Sizes::Uniform { min: 0, max: 700 }, Lifetimes::Random, live, live / 10, 10),
        phase(2, Sizes::Python, Lifetimes::OldestFirst, live / 10, live / 2, 5),
    ];
    let mut tape = TraceBuilder::new("w");
    for op in &(Workload { seed, phases }) {
        tape.push(op).unwrap();
    }
    Arc::new(tape.finish())
}

/// The number behind `# arenas highwater mark` in a golden's statistics, and the arenas at its end.
fn marks(golden: &Path) -> (u64, u64) {
    let mut text = String::new();
    StreamingDecoder::new(File::open(golden).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    let number = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once('=').unwrap().1.trim().replace(',', "").parse().unwrap()
    };
    (number("# arenas highwater mark"), number("# arenas allocated current"))
}

#[test]
fn the_default_cell_has_the_arenas_of_the_real_interpreter() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-io/tests/data");
    let mut pairs: Vec<_> =
        ["t01_classes", "t03_usedpools_order", "t06_arena_release_p64", "t12_arena_limit"]
            .map(|name| (here.clone(), name))
            .into();
    match outside::shared("oracle") {
        Ok(oracle) => {
            pairs.extend(["p02_json", "p06_django", "p08_networkx"].map(|name| (oracle.clone(), name)));
        }
        Err(why) => outside::not_run("peaks of whole programs in a what-if grid", why),
    }
    for (folder, name) in pairs {
        let file = format!("{name}.ptrace.zst");
        let trace = trace_io::open(&file, Box::new(File::open(folder.join(&file)).unwrap())).unwrap();
        let trace = Arc::new(trace);
        let (highwater, current) = marks(&folder.join(format!("{name}.golden.zst")));
        let mut grid = Grid::default();
        grid.add("profile=cpython-3.14").unwrap();
        grid.add("malloc=default").unwrap();
        let [cell] = grid.cells().try_into().unwrap();
        let setup = cell.setup(&trace, &Overrides::default()).unwrap();
        let got = run(&Tape::of(&trace), &setup, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((got.peak_arenas, got.final_arenas), (highwater, current), "{name}");
    }
}

#[test]
fn full_speed_sees_what_each_step_shows_and_every_byte_has_a_place() {
    let traces = [workload(1, 60_000, 12_000), workload(2, 9000, 4000)];
    let mallocs = [AllocatorName::Default, AllocatorName::Debug, AllocatorName::Mimalloc];
    let mut runs = 0;
    for trace in &traces {
        for (preset, _) in PRESETS {
            for malloc in mallocs.into_iter().chain([AllocatorName::Malloc, AllocatorName::MimallocDebug]) {
                let overrides = Overrides { malloc: Some(malloc), ..Overrides::preset(preset) };
                let name = format!("{preset} {}", malloc.name());
                let setup = Setup::resolve(trace, &overrides).unwrap();
                let got = match figures(trace, &overrides) {
                    Err(CellError::Setup(_)) => {
                        assert!(!malloc.known_to(&setup.profile), "{name} can be set up");
                        continue;
                    }
                    got => got.unwrap(),
                };
                let mut machine = setup.machine(trace).unwrap();
                let mut overview = Overview::new(trace, &setup.profile);
                pass::run(&mut machine, trace, trace.len() as usize, &mut [&mut overview]);
                let most = overview.buckets.iter().map(|b| b.held_bytes).max().unwrap();
                assert!(got.peak_bytes >= most, "{name}: {} and step by step {most}", got.peak_bytes);
                // More only by what came and went inside one operation.
                assert!(got.peak_bytes <= most.max(got.peak_arenas * setup.profile.arena_size), "{name}");
                let obtained = overview.marks.iter().filter(|mark| mark.obtained).count();
                assert_eq!(got.released as usize, overview.marks.len() - obtained, "{name}");
                assert_eq!(got.final_arenas + got.released, obtained as u64, "{name}");
                let counters = machine.arena_counters();
                if machine.mimalloc().is_none() {
                    assert_eq!(got.peak_arenas, counters.narenas_highwater, "{name}");
                    assert_eq!(got.final_bytes, got.final_arenas * setup.profile.arena_size, "{name}");
                }
                assert_eq!(got.raw_final_bytes, machine.raw().live_bytes(), "{name}");
                // Every byte that is held was asked for or is lost for a reason.
                assert_eq!(
                    got.peak_asked_bytes + got.losses.at_peak.sum(),
                    got.peak_bytes,
                    "{name} at its peak"
                );
                assert_eq!(
                    got.final_asked_bytes + got.losses.at_end.sum(),
                    got.final_bytes,
                    "{name} at its end"
                );
                assert_eq!(got.final_asked_bytes, asked(&machine, trace), "{name}");
                assert_eq!(got.losses.at_end.debug > 0, malloc.is_debug() && got.final_bytes > 0, "{name}");
                let on_mimalloc = machine.mimalloc().is_some();
                assert_eq!(got.allocator == Allocator::Mimalloc, on_mimalloc, "{name}");
                assert_eq!(got.allocator == Allocator::Malloc, malloc == AllocatorName::Malloc, "{name}");
                assert_eq!(got.curve.iter().max(), Some(&got.peak_bytes), "{name}");
                runs += 1;
            }
        }
    }
    assert!(runs > 100, "{runs}");
}

/// Bytes asked for that are live in pools or mimalloc's pages, by the last call on each block.
fn asked(machine: &Machine, trace: &Trace) -> u64 {
    let mut sizes = vec![None; trace.slot_count() as usize];
    for index in 0..trace.len() {
        let op = trace.packed(index as usize);
        if !(op.kind == Kind::Free && op.null) {
            sizes[op.slot.0 as usize] = (op.kind != Kind::Free).then_some(op.size);
        }
    }
    let raw = |slot| matches!(machine.target(Slot(slot)), Target::Raw(_));
    (0..).zip(&sizes).filter(|(slot, _)| !raw(*slot)).filter_map(|(_, size)| *size).sum()
}

#[test]
fn a_cell_that_cannot_be_says_why_and_the_others_run() {
    let trace = workload(3, 2000, 500);
    let mut grid = Grid::default();
    grid.add("profile=cpython-3.12,cpython-3.14").unwrap();
    grid.add("malloc=pymalloc,mimalloc").unwrap();
    let mut lines = Vec::new();
    for Cell { settings } in grid.cells() {
        let cell = Cell { settings };
        let row = cell
            .setup(&trace, &Overrides::default())
            .map_err(CellError::Setup)
            .and_then(|setup| run(&Tape::of(&trace), &setup, &mut |_| ControlFlow::Continue(())));
        lines.push(row.map(|figures| figures.final_bytes > 0).map_err(|error| error.to_string()));
    }
    let [Ok(true), Err(error), Ok(true), Ok(true)] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(error.contains("unknown allocator (`mimalloc`; cpython-3.12 knows"), "{error}");
    let mut grid = Grid::default();
    grid.add("pool_size=3K,64K").unwrap();
    let errors = grid.cells().into_iter().map(|cell| cell.setup(&trace, &Overrides::default()).err());
    let errors: Vec<_> = errors.collect();
    let [Some(error), None] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(error.to_string().contains("it must be a power of two"), "{error}");
}

#[test]
fn whoever_has_seen_enough_stops_it() {
    let trace = workload(4, 3000, 500);
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let mut heard = 0;
    let stopped = run(&Tape::of(&trace), &setup, &mut |done| {
        heard = done;
        if done > 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped, Err(CellError::Stopped));
    assert!(heard > 100 && heard < 3000, "{heard}");
    let mut empty = TraceBuilder::new("nothing");
    let empty = Arc::new(std::mem::take(empty.trace_mut()));
    let nothing = figures(&empty, &Overrides::default()).unwrap();
    assert_eq!((nothing.peak_bytes, nothing.final_arenas, nothing.losses.at_peak.sum()), (0, 0, 0));
}

/// Perfect packing is no bound if pymalloc ever goes below it, and knowing lifetimes is no better than that.
#[test]
fn no_run_goes_below_perfect_packing() {
    let mut blames = Vec::new();
    for (seed, lifetimes) in (0..12).zip(
        [Lifetimes::Random, Lifetimes::OldestFirst, Lifetimes::NewestFirst, Lifetimes::DieYoung]
            .into_iter()
            .cycle(),
    ) {
        let base = Workload::python(seed, 8000, 3000).phases[0];
        let phases = [(0, 3000, 8000), (3000, 200, 6000), (200, 1000, 4000), (1000, 60, 3000)];
        let phases = phases.map(|(live_from, live_to, operations)| Phase {
            operations,
            live_from,
            live_to,
            lifetimes,
            realloc_percent: 8,
            sizes: if seed % 3 == 0 { Sizes::Uniform { min: 0, max: 600 } } else { Sizes::Python },
            ..base
        });
        let mut tape = TraceBuilder::new("w");
        for op in &(Workload { seed, phases: phases.into() }) {
            tape.push(op).unwrap();
        }
        let trace = tape.finish();
        for (preset, _) in PRESETS {
            for settings in
                [vec![], vec![("arena_placement", "page")], vec![("arena_size", "64K"), ("pool_size", "4K")]]
            {
                let settings =
                    settings.iter().map(|(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned())).collect();
                let overrides = Overrides { settings, ..Overrides::preset(preset) };
                let setup = Setup::resolve(&trace, &overrides).unwrap();
                let got = match ideal(&trace, &setup, &mut |_| ControlFlow::Continue(())) {
                    Err(IdealError::NotPymalloc) => {
                        assert!(setup.profile.mimalloc.free_threaded, "{preset}");
                        continue;
                    }
                    got => got.unwrap(),
                };
                let counters = {
                    let mut machine = setup.machine(&trace).unwrap();
                    machine.run(&trace, 0, trace.len() as usize);
                    machine.arena_counters()
                };
                let Ideal { real, perfect_packing: packed, known_lifetimes: known, blame, .. } = got;
                assert_eq!(real.peak_arenas, counters.narenas_highwater);
                assert_eq!(real.final_arenas, counters.narenas_currently_allocated);
                for [least, between, most] in [
                    [packed.peak_arenas, known.peak_arenas, real.peak_arenas],
                    [packed.final_arenas, known.final_arenas, real.final_arenas],
                ] {
                    assert!(least <= between && between <= most, "{preset} seed {seed}: {got:?}");
                }
                assert!(packed.peak_arenas > 0);
                blames.push(blame);
            }
        }
    }
    assert!(blames.contains(&Blame::Allocator) && blames.contains(&Blame::Neither), "{blames:?}");
}

/// Blocks that stay, each born among a hundred that do not: the program that pins arenas.
#[test]
fn a_planted_pin_is_what_known_lifetimes_undo() {
    let mut tape = TraceBuilder::new("pin");
    let op = |call| Op { thread: 0, domain: Domain::Obj, call };
    for id in 1..=100_000 {
        tape.push(op(Call::Malloc { id, size: 64 })).unwrap();
    }
    for id in (1..=100_000).filter(|id| id % 100 != 0) {
        tape.push(op(Call::Free { id })).unwrap();
    }
    let trace = tape.finish();
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let got = ideal(&trace, &setup, &mut |_| ControlFlow::Continue(())).unwrap();
    // 255 blocks a pool and 64 pools an arena: 393 pools.
    assert_eq!((got.real.peak_arenas, got.real.final_arenas), (7, 7));
    assert_eq!((got.perfect_packing.peak_arenas, got.perfect_packing.final_arenas), (7, 1));
    assert_eq!((got.known_lifetimes.peak_arenas, got.known_lifetimes.final_arenas), (7, 1));
    assert_eq!(got.blame, Blame::Allocator);
}
