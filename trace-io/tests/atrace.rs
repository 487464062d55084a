//! `.atrace`: nothing is lost, the middle can be read without the start, predicted addresses cost nothing.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

#[path = "support/outside.rs"]
mod outside;
mod support;

use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::report::digest;
use sim_core::tape::{StackId, Trace, TraceBuilder};
use sim_core::{Addr, Kind, Machine, Profile};
use support::{Extras, check_same, open, pack, pack_in_blocks, trace};
use trace_io::atrace::{AtraceFile, BlockKind, FileProfile};
use trace_io::workload::{Sizes, Workload};
use trace_io::{atrace_writer, lesson, ptrace};

const PROFILES: [FileProfile; 2] = [FileProfile::Capture, FileProfile::Archive];

fn extras() -> impl Strategy<Value = Extras> {
    any::<[bool; 6]>().prop_map(|[scenario, stacks, addresses, times, threads, wild_ids]| Extras {
        scenario,
        stacks,
        addresses,
        times,
        threads,
        wild_ids,
    })
}

/// Reading from each state gives what reading from the start gives.
fn check_middles(packed: &[u8], whole: &Trace) {
    let mut file = AtraceFile::open("test", Cursor::new(packed)).unwrap();
    let states: Vec<u64> =
        file.blocks().iter().filter(|e| e.kind == BlockKind::State).map(|e| e.first).collect();
    for state in states {
        file.seek(state).unwrap();
        let mut at = state;
        while let Some(block) = file.next_block().unwrap() {
            assert_eq!(block.first(), at);
            for index in 0..block.len() as usize {
                let there = at as usize + index;
                assert_eq!(block.op(index as u64), whole.op(there as u64), "operation {there}");
                assert_eq!(block.address_of(index), whole.address_of(there), "address of {there}");
                assert_eq!(block.thread(index), whole.thread(there), "thread of {there}");
                let lines = |t: &Trace, at: usize| t.origin.stacks.lines(t.stack_of(at));
                assert_eq!(lines(block, index), lines(whole, there), "stack of {there}");
            }
            at += block.len();
        }
        assert_eq!(at, whole.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn everything_comes_back(seed: u64, operations in 1_u64..600, extras in extras(), piece in 1_u64..200, block in 1_usize..90, tight in 0_u8..40) {
        let whole = trace(seed, operations, extras, |_| {}).finish();
        // The bytes an operation fall along the file, so that all, some or no columns are tight.
        let packed = pack_in_blocks(&whole, block, 0.0..f64::from(tight));
        check_same(&open(packed.clone()).unwrap(), &whole, 0);
        check_middles(&packed, &whole);
        // The same written a piece at a time.
        let mut out = Vec::new();
        let mut writer = atrace_writer(&mut out, FileProfile::Capture);
        let last = trace(seed, operations, extras, |tape| {
            if tape.trace().len() >= piece {
                writer.write(tape.trace()).unwrap();
                tape.forget();
            }
        });
        writer.write(last.trace()).unwrap();
        writer.finish(last.trace()).unwrap();
        check_same(&open(out.clone()).unwrap(), &whole, 0);
        // Facts and index alone say the same as all operations.
        let mut file = AtraceFile::open("test", Cursor::new(out)).unwrap();
        let (summary, notes) = file.summary().unwrap().unwrap();
        prop_assert_eq!(summary.totals(), whole.totals());
        prop_assert_eq!(&summary.origin.source, &whole.origin.source);
        prop_assert_eq!(&summary.head.marks, &whole.head.marks);
        prop_assert_eq!(notes as usize >= whole.head.notes.len(), true);
    }

    #[test]
    fn texts_come_back_through_it(seed: u64, operations in 1_u64..300, scenario: bool, wild_ids: bool) {
        let extras = Extras { scenario, stacks: false, addresses: false, times: false, threads: true, wild_ids };
        let first = trace(seed, operations, extras, |_| {}).finish();
        let text = |trace: &Trace| {
            let mut out = Vec::new();
            ptrace::write(&mut out, trace).unwrap();
            out
        };
        let ron = |trace: &Trace| {
            let mut out = Vec::new();
            lesson::write(&mut out, trace).unwrap();
            out
        };
        let from_text = open(text(&first)).unwrap();
        let from_ron = open(ron(&first)).unwrap();
        for profile in PROFILES {
            prop_assert_eq!(&from_text.head.marks, &first.head.marks);
            prop_assert_eq!(&from_ron.head.marks, &first.head.marks);
            prop_assert_eq!(text(&open(pack(&from_text, profile)).unwrap()), text(&first));
            prop_assert_eq!(ron(&open(pack(&from_ron, profile)).unwrap()), ron(&from_ron));
        }
    }
}

/// The trace with the pointers that the model itself gives.
fn with_addresses(trace: &Trace) -> Trace {
    let mut machine = Machine::simulated(&Profile::default(), trace.slot_count()).unwrap();
    let mut tape = TraceBuilder::new("addresses");
    let address = |machine: &Machine, index: usize| match machine.target(trace.packed(index).slot) {
        Target::Null => None,
        Target::Block(block) => Some(machine.pymalloc().memory().block_addr(block)),
        Target::Raw(id) => Some(Addr(0x5555_0000_0000 + (u64::from(id.0) << 20))),
    };
    for index in 0..trace.len() as usize {
        let op = trace.packed(index);
        let free = matches!(op.kind, Kind::Free);
        let before = if free && !op.null { address(&machine, index) } else { None };
        machine.step(trace, index, &mut ());
        let address = if free { before } else { address(&machine, index) };
        tape.push_recorded(trace.op(index as u64).unwrap(), StackId(0), address).unwrap();
    }
    tape.finish()
}

#[test]
fn addresses_that_pymalloc_gives_cost_next_to_nothing() {
    // pymalloc's blocks only: where the C library puts its own is nobody's to predict.
    let mut workload = Workload::python(5, 300_000, 20_000);
    for phase in &mut workload.phases {
        phase.sizes = Sizes::Uniform { min: 1, max: 512 };
        phase.raw_percent = 0;
    }
    let mut tape = TraceBuilder::new("plain");
    for op in &workload {
        tape.push(op).unwrap();
    }
    let plain = tape.finish();
    let addressed = with_addresses(&plain);
    for profile in PROFILES {
        let bare = pack(&plain, profile);
        let packed = pack(&addressed, profile);
        check_same(&open(packed.clone()).unwrap(), &addressed, 0);
        let more = (packed.len() - bare.len()) as f64 / plain.len() as f64;
        eprintln!("{}: {more:.4} bytes an operation for addresses", profile.name());
        assert!(more < 0.02, "{more} bytes an operation");
    }
}

#[test]
fn the_start_of_a_program_stays_small() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/tiny-script-3.11.ptrace.zst");
    let whole = open(std::fs::read(path).unwrap()).unwrap();
    let packed = pack(&whole, FileProfile::Archive);
    // Without the feature zstd the archive is packed with LZ4.
    if FileProfile::best() == FileProfile::Archive {
        assert!(packed.len() as f64 <= 0.6 * whole.len() as f64, "{} bytes", packed.len());
    }
    check_same(&open(packed).unwrap(), &whole, 0);
    // Tight columns, and states between them.
    let states = |packed: &[u8]| {
        let file = AtraceFile::open("test", Cursor::new(packed)).unwrap();
        file.blocks().iter().filter(|e| e.kind == BlockKind::State).count()
    };
    let mut tape = TraceBuilder::new("again");
    for op in &Workload::python(4, 60_000, 300) {
        tape.push(op).unwrap();
    }
    let whole = tape.finish();
    let packed = pack_in_blocks(&whole, 512, 0.0..9.0);
    let plain = pack_in_blocks(&whole, 512, 0.0..0.0);
    assert!(packed.len() < plain.len() && states(&packed) > 1, "{} of {}", packed.len(), plain.len());
    check_same(&open(packed.clone()).unwrap(), &whole, 0);
    check_middles(&packed, &whole);
}

#[test]
fn the_middle_is_read_without_the_start() {
    let mut tape = TraceBuilder::new("long");
    for op in &Workload::python(9, 2_300_000, 3_000) {
        tape.push(op).unwrap();
    }
    let whole = with_addresses(&tape.finish());
    let packed = pack(&whole, FileProfile::Archive);
    let mut file = AtraceFile::open("long", Cursor::new(&packed)).unwrap();
    assert_eq!(file.operations(), whole.len());
    let states: Vec<u64> =
        file.blocks().iter().filter(|e| e.kind == BlockKind::State).map(|e| e.first).collect();
    assert_eq!(states, [1 << 20, 2 << 20]);
    for step in [2_200_000, 5, 1_100_000, (1 << 20) - 1, 1 << 20] {
        file.seek(step).unwrap();
        let mut at = states.iter().rev().find(|&&s| s <= step).copied().unwrap_or(0);
        while let Some(block) = file.next_block().unwrap() {
            assert_eq!(block.first(), at);
            for index in 0..block.len() {
                let there = (at + index) as usize;
                assert_eq!(block.op(index), whole.op(there as u64), "operation {there}");
                assert_eq!(block.address_of(index as usize), whole.address_of(there), "address of {there}");
                assert_eq!(block.packed(index as usize).slot, whole.packed(there).slot);
            }
            at += block.len();
            if at > step + 200_000 {
                break;
            }
        }
        assert!(at > step, "{step} was read");
    }
    // Without its end the file has no index; it is found again.
    let mut cut = AtraceFile::open("cut", Cursor::new(&packed[..packed.len() - 20])).unwrap();
    assert!(cut.truncated().is_some() && cut.summary().unwrap().is_none());
    assert_eq!(cut.operations(), whole.len());
    let offsets = |f: &AtraceFile<Cursor<&Vec<u8>>>| f.blocks().iter().map(|e| e.offset).collect::<Vec<_>>();
    assert_eq!(cut.blocks().iter().map(|e| e.offset).collect::<Vec<_>>(), offsets(&file));
    cut.seek(2_200_000).unwrap();
    assert_eq!(cut.next_block().unwrap().map(Trace::first), Some(2 << 20));
}

/// Every trace of a folder as an archive and back: how many, and their operations.
fn check_folder(folder: &Path) -> (usize, u64) {
    let paths = outside::files(folder, ".ptrace.zst").unwrap();
    let (mut operations, mut bytes) = (0, 0);
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let trace = trace_io::open(&name, Box::new(File::open(path).unwrap())).unwrap();
        let packed = pack(&trace, FileProfile::Archive);
        bytes += packed.len();
        let back = open(packed).unwrap();
        for index in 0..trace.len() {
            assert_eq!(back.op(index), trace.op(index), "{name}: operation {index}");
        }
        assert_eq!((back.totals(), &back.head.settings), (trace.totals(), &trace.head.settings), "{name}");
        let run = |trace: &Trace| {
            let mut machine = Machine::for_trace(&Profile::default(), trace, None).unwrap();
            for index in 0..trace.len() as usize {
                machine.step(trace, index, &mut ());
            }
            digest(&machine)
        };
        assert_eq!(run(&back), run(&trace), "{name}: digest");
        operations += trace.len();
    }
    eprintln!("{} traces, {operations} operations, {bytes} bytes as archive", paths.len());
    (paths.len(), operations)
}

#[test]
fn small_goldens_come_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    assert_eq!(check_folder(&folder), (7, 132_609), "traces in the repository and their operations");
}

#[test]
fn goldens_come_back() {
    let folder = match outside::shared("oracle") {
        Ok(folder) => folder,
        Err(why) => return outside::not_run("all golden traces of CPython, as archives", why),
    };
    let (traces, operations) = check_folder(&folder);
    let found = format!("{traces} traces with {operations} operations in {}", folder.display());
    assert!(traces >= 28 && operations >= 25_558_352, "{found}; there were 28 with 25,558,352");
}
