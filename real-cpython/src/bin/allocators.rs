//! Allocators for real memory on the same traces, alternating in one process: pymalloc over mmap-arenas
//! beside `CPython`'s own, glibc, mimalloc and jemalloc.
//!
//! `cargo xtask bench` runs it after the simulation's table.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(unsafe_code, reason = "it calls allocators")]

use std::process::ExitCode;
use std::ptr;

use anyhow::{Result, ensure};
use mmap_arenas::PymallocHeap;
use real_cpython::RealPymalloc;
use real_cpython::measure::{self, Arguments, median, ratio};
use sim_core::tape::Packed;
use sim_core::{Domain, Kind, Machine, Profile, Trace};

/// At most this many times `CPython`'s own pymalloc's time an operation.
const BAR: f64 = 1.0;

/// What a program calls. Each function is called, not inlined, as across a library's border.
trait Heap {
    fn malloc(&mut self, nbytes: usize) -> *mut u8;
    fn calloc(&mut self, nbytes: usize) -> *mut u8;
    /// # Safety
    /// `p` must be null or a block of this heap.
    unsafe fn realloc(&mut self, p: *mut u8, nbytes: usize) -> *mut u8;
    /// # Safety
    /// As for `realloc`; the block is gone.
    unsafe fn free(&mut self, p: *mut u8);
}

impl Heap for PymallocHeap {
    #[inline(never)]
    fn malloc(&mut self, nbytes: usize) -> *mut u8 {
        self.malloc(nbytes)
    }

    #[inline(never)]
    fn calloc(&mut self, nbytes: usize) -> *mut u8 {
        self.calloc(nbytes)
    }

    #[inline(never)]
    unsafe fn realloc(&mut self, p: *mut u8, nbytes: usize) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { self.realloc(p, nbytes) }
    }

    #[inline(never)]
    unsafe fn free(&mut self, p: *mut u8) {
        // SAFETY: as the caller vouches.
        unsafe { self.free(p) }
    }
}

macro_rules! c_heap {
    ($name:ident, $malloc:path, $calloc:path, $realloc:path, $free:path) => {
        struct $name;

        impl Heap for $name {
            fn malloc(&mut self, nbytes: usize) -> *mut u8 {
                // SAFETY: malloc takes any size.
                unsafe { $malloc(nbytes.max(1)) }.cast()
            }

            fn calloc(&mut self, nbytes: usize) -> *mut u8 {
                // SAFETY: calloc takes any size.
                unsafe { $calloc(1, nbytes.max(1)) }.cast()
            }

            unsafe fn realloc(&mut self, p: *mut u8, nbytes: usize) -> *mut u8 {
                // SAFETY: as the caller vouches.
                unsafe { $realloc(p.cast(), nbytes.max(1)) }.cast()
            }

            unsafe fn free(&mut self, p: *mut u8) {
                // SAFETY: as the caller vouches.
                unsafe { $free(p.cast()) }
            }
        }
    };
}

c_heap!(Glibc, libc::malloc, libc::calloc, libc::realloc, libc::free);
c_heap!(
    Mimalloc,
    libmimalloc_sys::mi_malloc,
    libmimalloc_sys::mi_calloc,
    libmimalloc_sys::mi_realloc,
    libmimalloc_sys::mi_free
);
c_heap!(
    Jemalloc,
    tikv_jemalloc_sys::malloc,
    tikv_jemalloc_sys::calloc,
    tikv_jemalloc_sys::realloc,
    tikv_jemalloc_sys::free
);

/// Runs a trace and frees what it leaves; nanoseconds an operation, without that.
///
/// RAW goes to `raw`: in `CPython` it is the C library's.
fn run<H: Heap, R: Heap>(trace: &Trace, heap: &mut H, raw: &mut R) -> f64 {
    // Written now, so that no page of the table is met for the first time while the clock runs.
    let mut blocks: Vec<*mut u8> = Vec::new();
    blocks.resize(trace.slot_count() as usize, ptr::null_mut());
    let ns = measure::timed(trace, |op| {
        let p = &mut blocks[op.slot.0 as usize];
        // SAFETY: the trace was checked when it was built: a pointer is passed only while its block is live,
        // and only to the family it came from.
        unsafe {
            if op.domain == Domain::Raw {
                apply(raw, op, p);
            } else {
                apply(heap, op, p);
            }
        }
    });
    let mut is_raw = vec![false; blocks.len()];
    for index in 0..trace.len() as usize {
        let op = trace.packed(index);
        is_raw[op.slot.0 as usize] = op.domain == Domain::Raw;
    }
    for (p, is_raw) in blocks.into_iter().zip(is_raw) {
        // SAFETY: what is left is live, and the last operation with a slot names its family.
        unsafe { if is_raw { raw.free(p) } else { heap.free(p) } }
    }
    ns / trace.len() as f64
}

/// # Safety
/// `p` must be null or a live block of `heap`.
#[inline]
unsafe fn apply<H: Heap>(heap: &mut H, op: Packed, p: &mut *mut u8) {
    if op.size > isize::MAX as u64 {
        return;
    }
    let size = op.size as usize;
    match op.kind {
        Kind::Malloc => *p = heap.malloc(size),
        Kind::Calloc => *p = heap.calloc(size),
        Kind::Realloc => {
            // SAFETY: as the caller vouches.
            let new = unsafe { heap.realloc(*p, size) };
            if !new.is_null() {
                *p = new;
            }
        }
        Kind::Free | Kind::FreeKeep if !op.null => {
            // SAFETY: as the caller vouches; the slot forgets the block.
            unsafe { heap.free(std::mem::replace(p, ptr::null_mut())) };
        }
        Kind::Free | Kind::FreeKeep | Kind::Act => {}
    }
}

/// Which of [`compare`]'s times is whose: `CPython`'s pymalloc and ours, with fresh and with resident arenas.
const CPYTHON_FRESH: usize = 0;
const OURS_FRESH: usize = 1;
const CPYTHON: usize = 2;
const OURS: usize = 3;

/// Times of `CPython`'s and our pymalloc with fresh arenas, the same with resident ones, glibc, mimalloc, jemalloc.
fn compare(real: &mut RealPymalloc, trace: &Trace, profile: &Profile, reps: u32) -> Result<[Vec<f64>; 7]> {
    let mut machine = Machine::simulated(profile, trace.slot_count())?;
    for index in 0..trace.len() as usize {
        machine.step(trace, index, &mut ());
    }
    let arenas = machine.pymalloc().counters().narenas_highwater as u32;
    let mut times: [Vec<f64>; 7] = Default::default();
    for _ in 0..reps {
        for (fresh, cpython, ours) in [(true, CPYTHON_FRESH, OURS_FRESH), (false, CPYTHON, OURS)] {
            times[cpython].push(measure::real_run(real, trace, profile, fresh));
            let mut heap = PymallocHeap::placed(profile.arena_placement, if fresh { 0 } else { arenas })?;
            times[ours].push(run(trace, &mut heap, &mut Glibc));
            ensure!(
                heap.counters().narenas_highwater == u64::from(arenas),
                "{}: another run",
                trace.head.name
            );
        }
        times[4].push(run(trace, &mut Glibc, &mut Glibc));
        times[5].push(run(trace, &mut Mimalloc, &mut Mimalloc));
        times[6].push(run(trace, &mut Jemalloc, &mut Jemalloc));
    }
    Ok(times)
}

fn main() -> ExitCode {
    let about = "allocators over real memory, in nanoseconds an operation";
    measure::main("allocators", about, 7, table)
}

/// Prints the table; true when the bar is met on all traces.
fn table(arguments: &Arguments) -> Result<bool> {
    let files = arguments.files_or(&[("oracle", ".ptrace.zst")])?;
    let mut real = RealPymalloc::get()?;
    let columns = [
        "trace",
        "operations",
        "CPython fresh ns",
        "ours ns",
        "ratio",
        "CPython resident ns",
        "ours ns",
        "ratio",
        "glibc ns",
        "mimalloc ns",
        "jemalloc ns",
    ];
    arguments.head(real.library(), &columns);
    let (mut fresh, mut resident) = (Vec::new(), Vec::new());
    for file in &files {
        let (trace, profile) = measure::open(file)?;
        // Limits and failures are the machine's; a heap has none.
        if trace.len() < measure::TIMED_OPERATIONS || !trace.head.settings.is_empty() {
            continue;
        }
        let times = compare(&mut real, &trace, &profile, arguments.reps)?;
        let fresh_ratio = ratio(&times[OURS_FRESH], &times[CPYTHON_FRESH]);
        let resident_ratio = ratio(&times[OURS], &times[CPYTHON]);
        let name = measure::trace_name(file);
        let [cpython_fresh, ours_fresh, cpython, ours, others @ ..] = times.map(|t| median(&t));
        println!(
            "| {name} | {} | {cpython_fresh:.2} | {ours_fresh:.2} | {fresh_ratio:.2} | {cpython:.2} | {ours:.2} | \
             {resident_ratio:.2} | {:.2} | {:.2} | {:.2} |",
            trace.len(),
            others[0],
            others[1],
            others[2],
        );
        fresh.push((name.clone(), fresh_ratio));
        resident.push((name, resident_ratio));
    }
    println!();
    let bar = |what, rows: &[(String, f64)]| {
        measure::bar(what, BAR, rows.iter().map(|(name, value)| (name.as_str(), *value)))
    };
    let fresh_met = bar("Times CPython's own pymalloc with fresh arenas", &fresh);
    Ok(bar("times CPython's own pymalloc with its arenas in memory", &resident) && fresh_met)
}
