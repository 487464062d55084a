//! A replay asks nobody for memory once its tables have their size. It is here and not beside the machine because counting takes an
//! allocator of one's own, which is `unsafe`.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(unsafe_code, reason = "it counts requests for memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sim_core::report::digest;
use sim_core::{Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};

struct Counting;

#[global_allocator]
static MEMORY: Counting = Counting;

thread_local! {
    /// Requests of this thread: the harness has others.
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all calls go to the system's allocator as they came; they are only counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        REQUESTS.set(REQUESTS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// How often `f` asks for memory.
fn requests(f: impl FnOnce()) -> u64 {
    let before = REQUESTS.get();
    f();
    REQUESTS.get() - before
}

/// Blocks that live at a time.
const LIVE: u64 = 3_000;
const ROUNDS: u64 = 60;

/// A heap that is full from the first round on; then each round frees its blocks one by one and takes others of the same classes.
fn tape() -> Trace {
    let mut tape = TraceBuilder::new("steady");
    let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    for round in 0..ROUNDS {
        for n in 0..LIVE {
            // Another order each round, so that lists of free blocks mix.
            let n = n * [1, 7, 1_009][round as usize % 3] % LIVE;
            let id = round * LIVE + n + 1;
            if round > 0 {
                push(Call::Free { id: id - LIVE });
            }
            push(Call::Malloc { id, size: 1 + n * 37 % 512 });
        }
    }
    tape.finish()
}

#[test]
fn a_replay_asks_for_no_memory() {
    let trace = tape();
    let end = trace.len() as usize;
    let warm = end / 3;
    let mut fast = Machine::simulated(&Profile::default(), trace.slot_count()).unwrap();
    assert_ne!(requests(|| fast.run(&trace, 0, warm)), 0, "nothing is counted");
    let mut slow = fast.clone();
    assert_eq!(requests(|| fast.run(&trace, warm, end)), 0, "at full speed");
    assert_eq!(
        requests(|| (warm..end).for_each(|index| _ = slow.step(&trace, index, &mut ()))),
        0,
        "step by step"
    );
    assert_eq!(digest(&fast), digest(&slow));
}
