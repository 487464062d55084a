//! A library that a Python program loads. It allocates through CPython's own functions, waits while somebody looks at the process, and
//! then does a pattern of calls during which nothing else runs. `rustc` alone builds it.

#![allow(clippy::missing_safety_doc, clippy::not_unsafe_ptr_arg_deref)]

#[path = "pattern.rs"]
mod pattern;

use std::ffi::{CStr, c_char, c_void};
use std::io::{Read, Write};
use std::sync::Mutex;

use pattern::{Pattern, Step};

type Malloc = extern "C" fn(usize) -> *mut c_void;
type Calloc = extern "C" fn(usize, usize) -> *mut c_void;
type Realloc = extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = extern "C" fn(*mut c_void);

/// `PyMem_*`, then `PyObject_*`.
#[repr(C)]
pub struct Functions {
    malloc: [Malloc; 2],
    calloc: [Calloc; 2],
    realloc: [Realloc; 2],
    free: [Free; 2],
}

/// `PyObjectArenaAllocator`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ArenaAllocator {
    ctx: *mut c_void,
    alloc: extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: extern "C" fn(*mut c_void, *mut c_void, usize),
}

// SAFETY: the context is NULL.
unsafe impl Send for ArenaAllocator {}

/// Blocks that were allocated before the process was seen.
static PLANTED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// Bases of arenas, in the order they were obtained.
static ARENAS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static SYSTEM: Mutex<Option<ArenaAllocator>> = Mutex::new(None);

extern "C" fn obtain(_: *mut c_void, size: usize) -> *mut c_void {
    let system = SYSTEM.lock().unwrap().unwrap();
    let base = (system.alloc)(system.ctx, size);
    if !base.is_null() {
        ARENAS.lock().unwrap().push(base as usize);
    }
    base
}

extern "C" fn release(_: *mut c_void, base: *mut c_void, size: usize) {
    let system = SYSTEM.lock().unwrap().unwrap();
    (system.free)(system.ctx, base, size);
}

/// Takes down from now on where arenas come from.
#[unsafe(no_mangle)]
pub extern "C" fn watch(
    get: extern "C" fn(*mut ArenaAllocator),
    set: extern "C" fn(*const ArenaAllocator),
) {
    let mut system = ArenaAllocator { ctx: std::ptr::null_mut(), alloc: obtain, free: release };
    get(&mut system);
    *SYSTEM.lock().unwrap() = Some(system);
    set(&ArenaAllocator { ctx: std::ptr::null_mut(), alloc: obtain, free: release });
}

/// Allocates blocks that stay until the pattern frees them.
#[unsafe(no_mangle)]
pub extern "C" fn plant(functions: &Functions, count: usize, size: usize) {
    let mut planted = PLANTED.lock().unwrap();
    planted.extend((0..count).map(|_| (functions.malloc[1])(size) as usize));
}

/// Says that it is ready, waits for a line, does so many calls, and writes down what each gave.
#[unsafe(no_mangle)]
pub extern "C" fn run(functions: &Functions, seed: u64, operations: u64, log: *const c_char) {
    let planted = PLANTED.lock().unwrap().clone();
    let mut live: Vec<(usize, usize)> = planted.iter().map(|&p| (p, 1)).collect();
    live.reserve(operations as usize);
    let mut given: Vec<u64> = Vec::with_capacity(operations as usize);
    ARENAS.lock().unwrap().clear();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    let mut pattern = Pattern::new(seed, operations);
    while let Some(step) = pattern.next(live.len()) {
        let address = match step {
            Step::Malloc { size, object } => {
                let domain = usize::from(object);
                let p = (functions.malloc[domain])(size) as usize;
                // Whoever has a block writes into all of it.
                unsafe { std::ptr::write_bytes(p as *mut u8, 0xa5, size) };
                live.push((p, domain));
                p
            }
            Step::Calloc { size, object } => {
                let domain = usize::from(object);
                let p = (functions.calloc[domain])(1, size) as usize;
                live.push((p, domain));
                p
            }
            Step::Realloc { at, size } => {
                let (p, domain) = live[at];
                let p = (functions.realloc[domain])(p as *mut c_void, size) as usize;
                unsafe { std::ptr::write_bytes(p as *mut u8, 0x5a, size) };
                live[at].0 = p;
                p
            }
            Step::Free { at } => {
                let (p, domain) = live.swap_remove(at);
                (functions.free[domain])(p as *mut c_void);
                0
            }
        };
        given.push(address as u64);
    }
    let arenas = ARENAS.lock().unwrap().clone();
    let path = unsafe { CStr::from_ptr(log) }.to_str().unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for list in [
        planted.iter().map(|&p| p as u64).collect::<Vec<_>>(),
        arenas.iter().map(|&p| p as u64).collect(),
        given,
    ] {
        file.write_all(&(list.len() as u64).to_le_bytes()).unwrap();
        for word in list {
            file.write_all(&word.to_le_bytes()).unwrap();
        }
    }
}
