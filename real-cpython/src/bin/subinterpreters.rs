//! Several interpreters in a real CPython, and whose memory is whose.
//!
//! `subinterpreters LIBRARY STEP…` loads a libpython from 3.12 on, starts it and does the steps, one line for
//! each: `new N own` and `new N main` create an interpreter (the running one goes on), `switch N` runs one (0 is the
//! main one), `malloc ID SIZE` and `free ID` are `PyObject_Malloc` and `PyObject_Free`. For a malloc it prints the
//! interpreter that obtained the arena that holds the block; the arena hook tells.

#![expect(unsafe_code, reason = "it calls CPython through its C interface")]
#![expect(clippy::print_stdout, reason = "a line must be out before the next step ends the process")]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

#[derive(Clone, Copy)]
#[repr(C)]
struct ArenaAllocator {
    ctx: *mut c_void,
    alloc: extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: extern "C" fn(*mut c_void, *mut c_void, usize),
}

/// `PyInterpreterConfig`.
#[repr(C)]
struct Config {
    use_main_obmalloc: c_int,
    allow_fork: c_int,
    allow_exec: c_int,
    allow_threads: c_int,
    allow_daemon_threads: c_int,
    check_multi_interp_extensions: c_int,
    gil: c_int,
}

/// `PyStatus`.
#[repr(C)]
struct Status {
    kind: c_int,
    func: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

type State = *mut c_void;

const ARENA_BYTES: usize = 1 << 20;

/// The interpreter that runs, and arenas by base with the one that obtained them.
static ARENAS: Mutex<(u32, BTreeMap<usize, u32>)> = Mutex::new((0, BTreeMap::new()));

extern "C" fn alloc(_ctx: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: a fresh anonymous mapping.
    let p = unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0)
    };
    if p == libc::MAP_FAILED {
        return std::ptr::null_mut();
    }
    // Data-stack chunks come this way too; they are no arenas.
    if size == ARENA_BYTES
        && let Ok(mut arenas) = ARENAS.lock()
    {
        let running = arenas.0;
        arenas.1.insert(p as usize, running);
    }
    p
}

extern "C" fn free(_ctx: *mut c_void, p: *mut c_void, size: usize) {
    if let Ok(mut arenas) = ARENAS.lock() {
        arenas.1.remove(&(p as usize));
    }
    if !p.is_null() {
        // SAFETY: the whole of a mapping that `alloc` made.
        unsafe { libc::munmap(p, size) };
    }
}

fn run_as(interpreter: u32) {
    if let Ok(mut arenas) = ARENAS.lock() {
        arenas.0 = interpreter;
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [library, steps @ ..] = args.as_slice() else { anyhow::bail!("name a libpython") };
    // SAFETY: libpython's initialisers only fill its own tables; it is never unloaded.
    let python = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }?;
    // SAFETY: the documented signatures of the C API.
    let (set_arena_allocator, initialize, swap, new_interpreter, malloc, object_free) = unsafe {
        (
            python.get::<unsafe extern "C" fn(*const ArenaAllocator)>(b"PyObject_SetArenaAllocator\0")?,
            python.get::<unsafe extern "C" fn(c_int)>(b"Py_InitializeEx\0")?,
            python.get::<unsafe extern "C" fn(State) -> State>(b"PyThreadState_Swap\0")?,
            python.get::<unsafe extern "C" fn(*mut State, *const Config) -> Status>(
                b"Py_NewInterpreterFromConfig\0",
            )?,
            python.get::<unsafe extern "C" fn(usize) -> *mut c_void>(b"PyObject_Malloc\0")?,
            python.get::<unsafe extern "C" fn(*mut c_void)>(b"PyObject_Free\0")?,
        )
    };
    // SAFETY: as the C API asks: the hook before initialisation; one thread, which always has one of its
    // thread states attached. Frees may be wrong on purpose; then the C library ends the process.
    unsafe {
        let hook = ArenaAllocator { ctx: std::ptr::null_mut(), alloc, free };
        set_arena_allocator(&raw const hook);
        initialize(0);
        let mut states: BTreeMap<u32, State> = BTreeMap::new();
        let main_state = swap(std::ptr::null_mut());
        swap(main_state);
        states.insert(0, main_state);
        let mut running = 0;
        let mut owners = BTreeMap::from([(0, 0)]);
        let mut pointers: BTreeMap<u64, *mut c_void> = BTreeMap::new();
        for step in steps {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |at: usize| -> Result<u64> {
                words.get(at).and_then(|w| w.parse().ok()).with_context(|| format!("`{step}` is no step"))
            };
            match words[0] {
                "new" => {
                    let main = c_int::from(words.get(2) == Some(&"main"));
                    let config = Config {
                        use_main_obmalloc: main,
                        allow_fork: main,
                        allow_exec: main,
                        allow_threads: 1,
                        allow_daemon_threads: main,
                        check_multi_interp_extensions: 1 - main,
                        gil: if main == 1 { 1 } else { 2 },
                    };
                    let interpreter = number(1)? as u32;
                    // A legacy interpreter's arenas are the main one's; that the other may free there shows it.
                    owners.insert(interpreter, if main == 1 { 0 } else { interpreter });
                    run_as(owners[&interpreter]);
                    let mut state = std::ptr::null_mut();
                    let status = new_interpreter(&raw mut state, &raw const config);
                    ensure!(status.kind == 0 && !state.is_null(), "no interpreter could be created");
                    states.insert(interpreter, state);
                    swap(states[&running]);
                    run_as(owners[&running]);
                }
                "switch" => {
                    running = number(1)? as u32;
                    swap(*states.get(&running).context("no such interpreter")?);
                    run_as(owners[&running]);
                }
                "malloc" => {
                    let p = malloc(number(2)? as usize);
                    pointers.insert(number(1)?, p);
                    let arenas = ARENAS.lock().ok().context("the hook panicked")?;
                    let arena = arenas.1.range(..=p as usize).next_back();
                    let owner = arena.filter(|a| p as usize - a.0 < ARENA_BYTES).map(|a| *a.1);
                    println!("{}", owner.map_or_else(|| "raw".to_owned(), |n| n.to_string()));
                }
                "free" => {
                    object_free(pointers.remove(&number(1)?).context("no such block")?);
                    println!("freed");
                }
                _ => anyhow::bail!("`{step}` is no step"),
            }
        }
        // What CPython would do at exit is not the question here.
        libc::_exit(0);
    }
}
