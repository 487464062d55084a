//! Random operations over memory against the simulation, and a program's data in its blocks.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(unsafe_code, reason = "it writes into blocks")]

#[path = "../../sim-core/tests/support/mod.rs"]
mod support;

use mmap_arenas::{MmapMachine, PymallocHeap, Unsupported};
use proptest::prelude::*;
use sim_core::report::{ArenaEvents, Placement, Summary, debugmallocstats};
use sim_core::{ArenaPlacement, Event, Machine, Profile, Trace};

/// Cases and operations of one; an interpreter is a thousand times slower.
const CASES: u32 = if cfg!(miri) { 4 } else { 192 };
const OPERATIONS: usize = if cfg!(miri) { 120 } else { 1_500 };

/// Both memories side by side: every placement, then statistics, digest and the self-check.
fn compare(profile: &Profile, trace: &Trace) {
    let mut simulated = Machine::simulated(profile, trace.slot_count()).unwrap();
    let mut real = MmapMachine::for_trace(profile, trace, None).unwrap();
    for index in 0..trace.len() as usize {
        let (mut expected, mut got) = (ArenaEvents::default(), ArenaEvents::default());
        let pointer = simulated.step(trace, index, &mut expected);
        let placement = real.place(trace, index, &mut got);
        let came_and_went = |events: &ArenaEvents| -> Vec<(bool, u64)> {
            let of = |event: &Event| match event {
                Event::ArenaObtained { arena, .. } => vec![(true, arena.ordinal)],
                Event::ArenaReleased { arena, .. } => vec![(false, arena.ordinal)],
                Event::ArenaNotMarked { ordinal, .. } => vec![(true, *ordinal), (false, *ordinal)],
                other => panic!("{other:?}"),
            };
            events.as_slice().iter().flat_map(of).collect()
        };
        assert_eq!(came_and_went(&got), came_and_went(&expected), "operation {}", index + 1);
        assert_eq!(
            placement,
            Placement::of(&simulated, pointer),
            "operation {} {:?}",
            index + 1,
            trace.op(index as u64)
        );
        if index % 256 == 0 {
            real.verify().unwrap();
            assert_eq!(real.summary(), Summary::of(&simulated), "after operation {}", index + 1);
        }
    }
    real.verify().unwrap();
    assert_eq!(real.summary(), Summary::of(&simulated));
    if cfg!(all(unix, not(miri))) {
        assert_eq!(real.debugmallocstats(), debugmallocstats(simulated.pymalloc()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_does_what_the_simulation_does(
        profile in support::profiles().prop_filter("64-bit", |p| p.pointer_bytes == 8),
        wishes in support::wishes(OPERATIONS),
    ) {
        compare(&profile, &support::tape(&wishes));
    }

    #[test]
    fn contents_survive_whatever_the_heap_does(wishes in prop::collection::vec(
        (any::<u8>(), prop_oneof![3 => 1_usize..=64, 3 => 400_usize..=520, 1 => 0_usize..=2000], any::<u16>()),
        1..OPERATIONS,
    ), placement in prop_oneof![Just(None), Just(Some(ArenaPlacement::Mixed))]) {
        let mut heap = match placement {
            Some(placement) => PymallocHeap::placed(placement, 0).unwrap(),
            None => PymallocHeap::new(),
        };
        contents_survive(&mut heap, &wishes);
        heap.verify().unwrap();
        assert_eq!(heap.raw_allocated_blocks(), 0);
    }
}

/// A block, its size and the byte it is filled with.
type Filled = (*mut u8, usize, u8);

/// Fills every block with a byte of its own and looks for it whenever the block is touched again.
fn contents_survive(heap: &mut PymallocHeap, wishes: &[(u8, usize, u16)]) {
    let mut live: Vec<Filled> = Vec::new();
    let check = |(p, size, byte): Filled| {
        // SAFETY: a live block of this size, all written.
        let bytes = unsafe { std::slice::from_raw_parts(p, size) };
        assert!(bytes.iter().all(|&b| b == byte), "{p:?} of {size} bytes was overwritten");
    };
    for &(action, size, pick) in wishes {
        let at = usize::from(pick) % live.len().max(1);
        if live.is_empty() || action < 140 {
            let zeroed = action % 4 == 0;
            let p = if zeroed { heap.calloc(size) } else { heap.malloc(size) };
            assert!(!p.is_null() && p.addr().is_multiple_of(16));
            assert_eq!(heap.contains(p), (1..=512).contains(&size));
            if zeroed {
                check((p, size, 0));
            }
            // SAFETY: a new block of `size` bytes.
            unsafe { p.write_bytes(action, size) };
            live.push((p, size, action));
        } else if action < 180 {
            let (p, old, byte) = live[at];
            check(live[at]);
            // SAFETY: a live block; only the returned pointer is used from here on.
            let new = unsafe { heap.realloc(p, size) };
            check((new, old.min(size), byte));
            // SAFETY: the block has `size` bytes now.
            unsafe { new.write_bytes(byte, size) };
            live[at] = (new, size, byte);
        } else {
            check(live[at]);
            // SAFETY: the block goes out of `live`, so it is freed once.
            unsafe { heap.free(live.swap_remove(at).0) };
        }
    }
    heap.verify().unwrap();
    for filled in live.drain(..) {
        check(filled);
        // SAFETY: as above.
        unsafe { heap.free(filled.0) };
    }
}

#[test]
fn long_tapes_in_all_placements_end_in_the_same_state() {
    let count = if cfg!(miri) { 300 } else { 40_000 };
    for (seed, placement) in ["aligned", "page", "mixed"].into_iter().enumerate() {
        let mut profile = Profile::default();
        profile.set("arena_placement", placement).unwrap();
        compare(&profile, &support::tape(&support::seeded_wishes(seed as u64, count)));
    }
}

#[test]
fn what_memory_is_not_for_is_refused() {
    use sim_core::domains::AllocatorName;
    let trace = support::tape(&support::seeded_wishes(1, 10));
    let narrow = Profile::named("cpython-32bit").unwrap();
    assert!(matches!(MmapMachine::for_trace(&narrow, &trace, None), Err(Unsupported::PointerBytes)));
    let debug = MmapMachine::for_trace(&Profile::default(), &trace, Some(AllocatorName::PymallocDebug));
    assert!(debug.unwrap_err().to_string().contains("pymalloc_debug"));
}
