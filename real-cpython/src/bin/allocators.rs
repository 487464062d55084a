//! Allocators for real memory on the same traces, alternating in one process: pymalloc over mmap-arenas
//! beside `CPython`'s own, glibc, mimalloc and jemalloc.
//!
//! `cargo xtask bench` runs it after the simulation's table.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]
#![expect(unsafe_code, reason = "it calls allocators")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::ptr;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use mmap_arenas::PymallocHeap;
use real_cpython::RealPymalloc;
use sim_core::tape::Packed;
use sim_core::{Addr, Domain, Kind, Machine, Profile, Trace};

/// At most this many times `CPython`'s own pymalloc's time an operation.
const BAR: f64 = 1.0;
/// A shorter trace says little.
const LEAST_OPERATIONS: u64 = 100_000;

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
    let start = Instant::now();
    for index in 0..trace.len() as usize {
        let op = trace.packed(index);
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
    }
    let ns = start.elapsed().as_nanos() as f64 / trace.len() as f64;
    let mut is_raw = vec![false; blocks.len()];
    for index in 0..trace.len() as usize {
        let op = trace.packed(index);
        is_raw[op.slot.0 as usize] = op.domain == Domain::Raw;
    }
    for (p, is_raw) in blocks.into_iter().zip(is_raw) {
        // SAFETY: what is left is live, and the last operation with a slot names its family.
        unsafe { if is_raw { raw.free(p) } else { heap.free(p) } }
    }
    ns
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

/// The contenders: `CPython`'s pymalloc and ours with fresh and with resident arenas, then the others.
const NAMES: [&str; 7] = ["cpython", "ours", "cpython", "ours", "glibc", "mimalloc", "jemalloc"];
const CPYTHON_FRESH: usize = 0;
const OURS_FRESH: usize = 1;
const CPYTHON: usize = 2;
const OURS: usize = 3;

fn measure(real: &mut RealPymalloc, trace: &Trace, profile: &Profile, reps: u32) -> Result<[Vec<f64>; 7]> {
    let mut machine = Machine::simulated(profile, trace.slot_count())?;
    for index in 0..trace.len() as usize {
        machine.step(trace, index, &mut ());
    }
    let arenas = machine.pymalloc().counters().narenas_highwater as u32;
    let mut times: [Vec<f64>; 7] = Default::default();
    for _ in 0..reps {
        for (fresh, cpython, ours) in [(true, CPYTHON_FRESH, OURS_FRESH), (false, CPYTHON, OURS)] {
            times[cpython].push(cpython_run(real, trace, profile, fresh));
            let mut heap = PymallocHeap::placed(profile.arena_placement, if fresh { 0 } else { arenas })?;
            times[ours].push(run(trace, &mut heap, &mut Glibc));
            ensure!(heap.counters().narenas_highwater == u64::from(arenas), "{}: another run", trace.name);
        }
        times[4].push(run(trace, &mut Glibc, &mut Glibc));
        times[5].push(run(trace, &mut Mimalloc, &mut Mimalloc));
        times[6].push(run(trace, &mut Jemalloc, &mut Jemalloc));
    }
    Ok(times)
}

fn cpython_run(real: &mut RealPymalloc, trace: &Trace, profile: &Profile, fresh: bool) -> f64 {
    real.reset(profile, trace.slot_count(), fresh);
    let start = Instant::now();
    for index in 0..trace.len() as usize {
        std::hint::black_box(real.apply(trace.packed(index)));
    }
    let ns = start.elapsed().as_nanos() as f64 / trace.len() as f64;
    let base = sim_core::arena::region_base(profile);
    real.free_raw(|address| Addr(address).bytes_from(base) >= 16 << 30);
    ns
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of each repetition, which a drift of the machine's speed does not touch.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(a, b)| a / b).collect::<Vec<_>>())
}

fn main() -> ExitCode {
    match table() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("allocators: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; true when the bar is met on all traces.
fn table() -> Result<bool> {
    let (mut reps, mut files) = (7, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--reps" => reps = args.next().and_then(|n| n.parse().ok()).context("--reps takes a number")?,
            _ => files.push(PathBuf::from(arg)),
        }
    }
    ensure!(reps > 0, "--reps takes a number from 1");
    if files.is_empty() {
        files = oracle()?;
    }
    let mut real = RealPymalloc::get()?;
    println!(
        "Allocators over real memory beside {}, {reps} alternating repetitions, medians in ns an operation;",
        real.library()
    );
    println!(
        "fresh arenas in the first three columns, resident ones in the next three; ratios are ours to CPython's"
    );
    println!(
        "{:<24} {:>10} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6} {:>9} {:>9} {:>9}",
        "trace",
        "operations",
        NAMES[0],
        NAMES[1],
        "ratio",
        NAMES[2],
        NAMES[3],
        "ratio",
        NAMES[4],
        NAMES[5],
        NAMES[6]
    );
    let mut missed = Vec::new();
    let mut rows = 0;
    for file in &files {
        let name = file.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let source = File::open(file).with_context(|| file.display().to_string())?;
        let trace = trace_io::open(&name, Box::new(source)).with_context(|| file.display().to_string())?;
        // Limits and failures are the machine's; a heap has none.
        if trace.len() < LEAST_OPERATIONS || !trace.settings.is_empty() {
            continue;
        }
        let profile = Profile::default();
        let t = measure(&mut real, &trace, &profile, reps)?;
        let (fresh, resident) = (ratio(&t[OURS_FRESH], &t[CPYTHON_FRESH]), ratio(&t[OURS], &t[CPYTHON]));
        println!(
            "{:<24} {:>10} {:>9.2} {:>9.2} {fresh:>6.2} {:>9.2} {:>9.2} {resident:>6.2} {:>9.2} {:>9.2} {:>9.2}",
            trace.name,
            trace.len(),
            median(&t[0]),
            median(&t[1]),
            median(&t[2]),
            median(&t[3]),
            median(&t[4]),
            median(&t[5]),
            median(&t[6])
        );
        rows += 1;
        if fresh.max(resident) > BAR {
            missed.push(trace.name.clone());
        }
    }
    ensure!(rows > 0, "no trace has {LEAST_OPERATIONS} operations");
    if missed.is_empty() {
        println!("at most {BAR} x CPython's pymalloc, fresh and resident: met on all {rows} traces");
    } else {
        println!("at most {BAR} x CPython's pymalloc, fresh and resident: missed on {}", missed.join(", "));
    }
    Ok(missed.is_empty())
}

fn oracle() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} is missing; name traces on the command line", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.to_string_lossy().ends_with(".ptrace.zst"))
        .collect();
    files.sort();
    Ok(files)
}
