//! A libpython: its allocators, and its tracemalloc.

use std::ffi::{CString, c_char, c_int, c_long, c_void};

use super::arenas::ArenaAllocator;
use super::c::{self, Library};
use super::tables::Table;

type Pointer = *mut c_void;

/// The entry points of one domain.
#[derive(Clone, Copy)]
pub(crate) struct Domain {
    pub(crate) malloc: unsafe extern "C" fn(usize) -> Pointer,
    pub(crate) calloc: unsafe extern "C" fn(usize, usize) -> Pointer,
    pub(crate) realloc: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    pub(crate) free: unsafe extern "C" fn(Pointer),
}

/// The library with its functions by what they do. None of them is safe to call but with what CPython asks.
pub(crate) struct Python {
    /// RAW, MEM and OBJ.
    pub(crate) domains: [Domain; 3],
    get_allocator: unsafe extern "C" fn(c_int, *mut Table),
    set_allocator: unsafe extern "C" fn(c_int, *mut Table),
    get_arena_allocator: unsafe extern "C" fn(*mut ArenaAllocator),
    set_arena_allocator: unsafe extern "C" fn(*mut ArenaAllocator),
    setup_debug_hooks: unsafe extern "C" fn(),
    debug_malloc_stats: unsafe extern "C" fn(*mut c::File) -> c_int,
    /// What `sys.getallocatedblocks()` calls, where the library lets others call it: until 3.11.
    allocated_blocks: Option<unsafe extern "C" fn() -> isize>,
    /// The tables that the library was loaded with: the C library's, and pymalloc's.
    pub(crate) libc: Table,
    pub(crate) pymalloc: [Table; 2],
    library: Library,
}

/// What `Py_GetVersion()` says, which needs no interpreter that runs.
pub(crate) fn version(path: &str) -> Result<String, String> {
    let library = Library::open(path)?;
    // SAFETY: const char *Py_GetVersion(void), a text with an end that stays.
    let text = unsafe {
        let get: unsafe extern "C" fn() -> *const c_char = library.get("Py_GetVersion")?;
        std::ffi::CStr::from_ptr(get()).to_string_lossy().into_owned()
    };
    Ok(text)
}

impl Python {
    pub(crate) fn load(path: &str) -> Result<Self, String> {
        let library = Library::open(path)?;
        let domain = |prefix: &str| -> Result<Domain, String> {
            // SAFETY: the documented signatures of the C API (pymem.h, objimpl.h).
            unsafe {
                Ok(Domain {
                    malloc: library.get(&format!("{prefix}Malloc"))?,
                    calloc: library.get(&format!("{prefix}Calloc"))?,
                    realloc: library.get(&format!("{prefix}Realloc"))?,
                    free: library.get(&format!("{prefix}Free"))?,
                })
            }
        };
        let domains = [domain("PyMem_Raw")?, domain("PyMem_")?, domain("PyObject_")?];
        // SAFETY: as above.
        unsafe {
            let get_allocator: unsafe extern "C" fn(c_int, *mut Table) = library.get("PyMem_GetAllocator")?;
            let table = |domain: c_int| {
                let mut table = std::mem::MaybeUninit::uninit();
                get_allocator(domain, table.as_mut_ptr());
                table.assume_init()
            };
            Ok(Self {
                domains,
                get_allocator,
                set_allocator: library.get("PyMem_SetAllocator")?,
                get_arena_allocator: library.get("PyObject_GetArenaAllocator")?,
                set_arena_allocator: library.get("PyObject_SetArenaAllocator")?,
                setup_debug_hooks: library.get("PyMem_SetupDebugHooks")?,
                debug_malloc_stats: library.get("_PyObject_DebugMallocStats")?,
                allocated_blocks: library.get("_Py_GetAllocatedBlocks").ok(),
                libc: table(0),
                pymalloc: [table(1), table(2)],
                library,
            })
        }
    }

    /// Starts the interpreter on the C library's memory, so that pymalloc stays as it was loaded, and gives it
    /// tracemalloc. `PYTHONMALLOC` must be `malloc`, or with `debug` `malloc_debug`: tracemalloc frees some of RAW's blocks
    /// that it has from before the trace.
    pub(crate) fn start(&self, debug: bool) -> Result<Tracemalloc, String> {
        // SAFETY: int Py_NoSiteFlag, void Py_InitializeEx(int): once, in the main thread, which has the GIL from here on.
        unsafe {
            *self.library.get::<*mut c_int>("Py_NoSiteFlag")? = 1;
            self.library.get::<unsafe extern "C" fn(c_int)>("Py_InitializeEx")?(0);
        }
        let same = |domain, table: Table| std::ptr::fn_addr_eq(self.allocator(domain).malloc, table.malloc);
        if same(2, self.pymalloc[1]) || same(0, self.libc) == debug {
            return Err(format!("PYTHONMALLOC must be {}", if debug { "malloc_debug" } else { "malloc" }));
        }
        Tracemalloc::import(&self.library)
    }

    /// `PyMem_GetAllocator`.
    pub(crate) fn allocator(&self, domain: u8) -> Table {
        let mut table = self.libc;
        // SAFETY: it copies a struct.
        unsafe { (self.get_allocator)(c_int::from(domain), &raw mut table) };
        table
    }

    /// `PyMem_SetAllocator`.
    pub(crate) fn set_allocator(&self, domain: u8, mut table: Table) {
        // SAFETY: it copies a struct; every ctx lives as long as the process.
        unsafe { (self.set_allocator)(c_int::from(domain), &raw mut table) };
    }

    pub(crate) fn arena_allocator(&self, mut any: ArenaAllocator) -> ArenaAllocator {
        // SAFETY: it copies a struct.
        unsafe { (self.get_arena_allocator)(&raw mut any) };
        any
    }

    pub(crate) fn set_arena_allocator(&self, mut table: ArenaAllocator) {
        // SAFETY: it copies a struct; every ctx lives as long as the process.
        unsafe { (self.set_arena_allocator)(&raw mut table) };
    }

    pub(crate) fn setup_debug_hooks(&self) {
        // SAFETY: it puts tables over tables.
        unsafe { (self.setup_debug_hooks)() };
    }

    /// What `sys.getallocatedblocks()` returns.
    pub(crate) fn allocated_blocks(&self) -> Option<isize> {
        // SAFETY: it adds up what pools and raw_allocated_blocks hold.
        self.allocated_blocks.map(|count| unsafe { count() })
    }

    /// What `sys._debugmallocstats()` prints of pymalloc.
    pub(crate) fn debugmallocstats(&self) -> Result<String, String> {
        // SAFETY: a FILE that is open.
        c::written(|file| unsafe {
            (self.debug_malloc_stats)(file);
        })
    }
}

/// The functions of the module `_tracemalloc`, and their arguments: both made beforehand, so that a call asks for no memory.
pub(crate) struct Tracemalloc {
    call: unsafe extern "C" fn(Pointer, Pointer, Pointer) -> Pointer,
    decref: unsafe extern "C" fn(Pointer),
    number: unsafe extern "C" fn(Pointer) -> u64,
    item: unsafe extern "C" fn(Pointer, isize) -> Pointer,
    new_number: unsafe extern "C" fn(c_long) -> Pointer,
    pack: unsafe extern "C" fn(isize, ...) -> Pointer,
    attribute: unsafe extern "C" fn(Pointer, *const c_char) -> Pointer,
    module: Pointer,
    nothing: Pointer,
    /// `True`.
    yes: Pointer,
    ready: Vec<(String, Pointer, Pointer)>,
}

impl Tracemalloc {
    fn import(library: &Library) -> Result<Self, String> {
        // SAFETY: the documented signatures of the C API, called with the GIL.
        unsafe {
            let import: unsafe extern "C" fn(*const c_char) -> Pointer =
                library.get("PyImport_ImportModule")?;
            let module = import(c"_tracemalloc".as_ptr());
            let pack: unsafe extern "C" fn(isize, ...) -> Pointer = library.get("PyTuple_Pack")?;
            let nothing = pack(0);
            if module.is_null() || nothing.is_null() {
                return Err("it has no _tracemalloc".to_owned());
            }
            Ok(Self {
                call: library.get("PyObject_Call")?,
                decref: library.get("Py_DecRef")?,
                number: library.get("PyLong_AsUnsignedLongLong")?,
                item: library.get("PyTuple_GetItem")?,
                new_number: library.get("PyLong_FromLong")?,
                pack,
                attribute: library.get("PyObject_GetAttrString")?,
                module,
                nothing,
                yes: library.get("_Py_TrueStruct")?,
                ready: Vec::new(),
            })
        }
    }

    /// Makes a call of the trace ready: the words after `x tracemalloc`.
    pub(crate) fn prepare(&mut self, words: &str) -> Result<(), String> {
        if self.ready.iter().any(|(known, ..)| known == words) {
            return Ok(());
        }
        let (name, argument) = words.split_once(' ').unwrap_or((words, ""));
        let name = CString::new(name).map_err(|e| e.to_string())?;
        // SAFETY: with the GIL; new references are kept for good.
        let (function, arguments) = unsafe {
            let arguments = match argument.parse() {
                Ok(n) => (self.pack)(1, (self.new_number)(n)),
                Err(_) => self.nothing,
            };
            ((self.attribute)(self.module, name.as_ptr()), arguments)
        };
        if function.is_null() {
            return Err(format!("its _tracemalloc has no {words}"));
        }
        self.ready.push((words.to_owned(), function, arguments));
        Ok(())
    }

    /// Does a call that is ready.
    pub(crate) fn run(&self, words: &str) -> Result<Pointer, String> {
        let (_, function, arguments) =
            self.ready.iter().find(|(known, ..)| known == words).ok_or("a call was not made ready")?;
        // SAFETY: with the GIL; objects that are kept for good.
        let answer = unsafe { (self.call)(*function, *arguments, std::ptr::null_mut()) };
        if answer.is_null() { Err(format!("tracemalloc refuses {words}")) } else { Ok(answer) }
    }

    /// `is_tracing()`.
    pub(crate) fn is_tracing(&self) -> Result<bool, String> {
        Ok(self.run("is_tracing")? == self.yes)
    }

    /// `get_tracemalloc_memory()`, then both numbers of `get_traced_memory()`.
    pub(crate) fn memory(&self) -> Result<[u64; 3], String> {
        let tables = self.run("get_tracemalloc_memory")?;
        // SAFETY: with the GIL; an int and a tuple of two, as documented. The int is gone before the next call counts.
        unsafe {
            let memory = (self.number)(tables);
            (self.decref)(tables);
            let traced = self.run("get_traced_memory")?;
            Ok([memory, (self.number)((self.item)(traced, 0)), (self.number)((self.item)(traced, 1))])
        }
    }
}
