//! libpython's allocator, called without an interpreter.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, OnceLock};

use sim_core::domains::{AllocatorName, ArenaChoice};
use sim_core::tape::Packed;
use sim_core::{Domain, Kind, Profile};

use crate::arenas::Region;
use crate::hooks::{ArenaAllocator, Hook};
use crate::or_not_run;
use crate::pristine::Pristine;

type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Calloc = unsafe extern "C" fn(usize, usize) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);

/// `PyPreConfig`, with room to spare; its functions write it.
#[repr(C, align(8))]
struct PreConfig([u8; 256]);

/// `PyStatus`.
#[repr(C)]
struct Status {
    kind: c_int,
    func: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

type PreConfigInit = unsafe extern "C" fn(*mut PreConfig);
type PreInitialize = unsafe extern "C" fn(*const PreConfig) -> Status;

/// The entry points of one domain.
struct Domain4 {
    malloc: Malloc,
    calloc: Calloc,
    realloc: Realloc,
    free: Free,
}

/// Why there is no real pymalloc to compare with.
#[derive(Debug)]
pub struct LoadError(pub String);

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; on Debian and Ubuntu `apt-get install libpython3.11` provides it", self.0)
    }
}

impl std::error::Error for LoadError {}

const LIBRARY: &str = "libpython3.11.so.1.0";

/// The pymalloc of libpython3.11. One thread at a time has it.
pub struct RealPymalloc {
    domains: [Domain4; 3],
    get_arena_allocator: unsafe extern "C" fn(*mut ArenaAllocator),
    set_arena_allocator: unsafe extern "C" fn(*mut ArenaAllocator),
    debug_malloc_stats: unsafe extern "C" fn(*mut libc::FILE) -> i32,
    setup_allocators: unsafe extern "C" fn(i32) -> i32,
    current_allocator_name: unsafe extern "C" fn() -> *const c_char,
    pristine: Pristine,
    region: Box<Region>,
    pointers: Vec<*mut c_void>,
    /// Hooks of the run.
    #[expect(clippy::vec_box, reason = "the library keeps their addresses while the list grows")]
    hooks: Vec<Box<Hook>>,
    pre_init: (PreConfigInit, PreInitialize),
}

// SAFETY: the library's state is only reached through the one mutex below.
unsafe impl Send for RealPymalloc {}

impl RealPymalloc {
    /// Loads the library on the first call, and waits until no other thread uses it.
    pub fn get() -> Result<MutexGuard<'static, Self>, LoadError> {
        static LOADED: OnceLock<Result<Mutex<RealPymalloc>, String>> = OnceLock::new();
        match LOADED.get_or_init(|| Self::load().map(Mutex::new)) {
            Ok(real) => Ok(real.lock().unwrap_or_else(std::sync::PoisonError::into_inner)),
            Err(why) => Err(LoadError(why.clone())),
        }
    }

    /// The same for a comparison, or `None` after saying that it does not run.
    pub fn compared() -> Option<MutexGuard<'static, Self>> {
        or_not_run("comparisons with the pymalloc of libpython 3.11", Self::get())
    }

    fn load() -> Result<Self, String> {
        // SAFETY: libpython's initialisers only fill its own tables; it is never unloaded.
        let library = unsafe {
            libloading::os::unix::Library::open(
                Some(LIBRARY),
                libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_LOCAL,
            )
        }
        .map_err(|e| format!("{LIBRARY} cannot be loaded ({e})"))?;
        let domain = |prefix: &str| -> Result<Domain4, String> {
            // SAFETY: these are the documented signatures of the C API (cpython/pymem.h, objimpl.h).
            unsafe {
                Ok(Domain4 {
                    malloc: symbol(&library, &format!("{prefix}Malloc"))?,
                    calloc: symbol(&library, &format!("{prefix}Calloc"))?,
                    realloc: symbol(&library, &format!("{prefix}Realloc"))?,
                    free: symbol(&library, &format!("{prefix}Free"))?,
                })
            }
        };
        let domains = [domain("PyMem_Raw")?, domain("PyMem_")?, domain("PyObject_")?];
        // SAFETY: as above; _PyObject_DebugMallocStats(FILE *) returns an int.
        let (get_arena_allocator, set_arena_allocator, debug_malloc_stats) = unsafe {
            (
                symbol(&library, "PyObject_GetArenaAllocator")?,
                symbol(&library, "PyObject_SetArenaAllocator")?,
                symbol(&library, "_PyObject_DebugMallocStats")?,
            )
        };
        // SAFETY: void PyPreConfig_InitPythonConfig(PyPreConfig *), PyStatus Py_PreInitialize(const PyPreConfig *).
        let pre_init = unsafe {
            (symbol(&library, "PyPreConfig_InitPythonConfig")?, symbol(&library, "Py_PreInitialize")?)
        };
        // SAFETY: int _PyMem_SetupAllocators(PyMemAllocatorName), const char *…Name(void).
        let (setup_allocators, current_allocator_name) = unsafe {
            (symbol(&library, "_PyMem_SetupAllocators")?, symbol(&library, "_PyMem_GetCurrentAllocatorName")?)
        };
        std::mem::forget(library);
        let pristine = Pristine::of(LIBRARY).ok_or_else(|| format!("{LIBRARY} has no writable data"))?;
        let region = Region::reserve().map_err(|e| format!("no room for its arenas ({e})"))?;
        Ok(Self {
            domains,
            get_arena_allocator,
            set_arena_allocator,
            debug_malloc_stats,
            setup_allocators,
            current_allocator_name,
            pristine,
            region,
            pointers: Vec::new(),
            hooks: Vec::new(),
            pre_init,
        })
    }

    /// Back to the state of a process that has allocated nothing, with arenas as the profile places
    /// them. `fresh` gives the pages of earlier arenas back, as in a program that meets them first.
    pub fn reset(&mut self, profile: &Profile, slots: u32, fresh: bool) {
        self.pointers.clear();
        self.pointers.resize(slots as usize, std::ptr::null_mut());
        // SAFETY: the mutex keeps other threads out, and all pointers have just been dropped.
        unsafe { self.pristine.restore() };
        self.region.reset(profile, fresh);
        self.hooks.clear();
        self.set_arena_allocator(ArenaChoice::Default);
    }

    /// `PyObject_SetArenaAllocator`, over what `PyObject_GetArenaAllocator` gives. The default is the region
    /// in place of mmap.
    pub fn set_arena_allocator(&mut self, choice: ArenaChoice) {
        let region: *mut Region = &raw mut *self.region;
        let mut table = ArenaAllocator { ctx: region.cast(), alloc: Region::alloc, free: Region::free };
        // SAFETY: structs are copied in and out; a ctx points into a box that outlives its use: the region
        // is never dropped (it lies in a static), hooks are dropped after the library's state is reset.
        unsafe {
            if choice != ArenaChoice::Default {
                let mut inner = table;
                (self.get_arena_allocator)(&raw mut inner);
                self.hooks.push(Box::new(Hook::new(choice, inner, region)));
                if let Some(hook) = self.hooks.last_mut() {
                    table = hook.table();
                }
            }
            (self.set_arena_allocator)(&raw mut table);
        }
    }

    /// Calls of alloc and free of each hook that was installed.
    pub fn hook_calls(&self) -> Vec<[u64; 2]> {
        self.hooks.iter().map(|hook| hook.calls).collect()
    }

    /// Whether a hook would have ended the process.
    pub fn aborted(&self) -> bool {
        self.region.aborted()
    }

    /// The arenas' places taken from the hook (true) and given back to it since the last call, by base.
    pub fn arena_marks(&mut self) -> Vec<(bool, u64)> {
        self.region.take_marks()
    }

    /// `Py_PreInitialize` with the configuration of `python`: `PYTHONMALLOC` of this process takes effect. To
    /// be called after [`Self::reset`], once, before the first operation.
    pub fn preinitialize(&mut self) -> Result<(), LoadError> {
        let mut config = PreConfig([0; 256]);
        // SAFETY: PyPreConfig has ten ints, fewer than the buffer; the library has allocated nothing yet.
        let status = unsafe {
            (self.pre_init.0)(&raw mut config);
            (self.pre_init.1)(&raw const config)
        };
        if status.kind == 0 {
            return Ok(());
        }
        let text = |p: *const c_char| {
            if p.is_null() {
                String::new()
            } else {
                // SAFETY: a PyStatus holds strings of the library.
                unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned()
            }
        };
        let (func, message) = (text(status.func), text(status.message));
        Err(LoadError(format!("Fatal Python error: {func}: {message} (exit code {})", status.exit_code)))
    }

    /// `_PyMem_SetupAllocators`. To be called after [`Self::reset`], before the first operation.
    pub fn setup(&mut self, name: AllocatorName) -> Result<(), LoadError> {
        let number = match name {
            AllocatorName::Default => 1,
            AllocatorName::Debug => 2,
            AllocatorName::Malloc => 3,
            AllocatorName::MallocDebug => 4,
            AllocatorName::Pymalloc => 5,
            AllocatorName::PymallocDebug => 6,
            AllocatorName::Mimalloc => 7,
            AllocatorName::MimallocDebug => 8,
        };
        // SAFETY: it writes the library's own tables; no block is live.
        match unsafe { (self.setup_allocators)(number) } {
            0 => Ok(()),
            code => Err(LoadError(format!("_PyMem_SetupAllocators({number}) returned {code}"))),
        }
    }

    /// `_PyMem_GetCurrentAllocatorName`; `None` is NULL.
    pub fn current_allocator_name(&self) -> Option<String> {
        // SAFETY: it compares tables and returns a string of the library or NULL.
        unsafe {
            let name = (self.current_allocator_name)();
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    }

    /// Bytes of real memory from `address` on.
    ///
    /// # Safety
    /// The range must belong to a live block or to the debug hooks' pads around it.
    pub unsafe fn read(&self, address: u64, len: u64) -> Vec<u8> {
        // SAFETY: as the caller vouches.
        unsafe { std::slice::from_raw_parts(address as *const u8, len as usize) }.to_vec()
    }

    /// Writes into real memory.
    ///
    /// # Safety
    /// As for [`Self::read`].
    pub unsafe fn write(&mut self, address: u64, bytes: &[u8]) {
        // SAFETY: as the caller vouches.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    }

    /// Does one operation and returns the address that the call returned, 0 for NULL and for free.
    #[inline]
    pub fn apply(&mut self, op: Packed) -> u64 {
        let domain = &self.domains[op.domain as usize];
        let pointer = &mut self.pointers[op.slot.0 as usize];
        // SAFETY: the trace was checked when it was built: a pointer is passed only while its block is
        // live, and only to the family it came from. Sizes over PY_SSIZE_T_MAX give NULL.
        unsafe {
            match op.kind {
                Kind::Malloc => {
                    *pointer = (domain.malloc)(op.size as usize);
                    *pointer as u64
                }
                Kind::Calloc => {
                    *pointer = (domain.calloc)(1, op.size as usize);
                    *pointer as u64
                }
                Kind::Realloc => {
                    let new = (domain.realloc)(*pointer, op.size as usize);
                    if !new.is_null() {
                        *pointer = new;
                    }
                    new as u64
                }
                Kind::Free | Kind::FreeKeep | Kind::Act if op.null || op.kind != Kind::Free => 0,
                Kind::Free | Kind::FreeKeep | Kind::Act => {
                    (domain.free)(std::mem::replace(pointer, std::ptr::null_mut()));
                    0
                }
            }
        }
    }

    /// What `_PyObject_DebugMallocStats` prints now.
    pub fn debugmallocstats(&mut self) -> Result<String, LoadError> {
        let mut text: *mut c_char = std::ptr::null_mut();
        let mut length = 0;
        // SAFETY: open_memstream, the C function and fclose are used as documented; after fclose
        // `text` holds `length` bytes that we own and free.
        unsafe {
            let file = libc::open_memstream(&raw mut text, &raw mut length);
            if file.is_null() {
                return Err(LoadError("no memory for the statistics text".to_owned()));
            }
            (self.debug_malloc_stats)(file);
            libc::fclose(file);
            let bytes = std::slice::from_raw_parts(text.cast::<u8>(), length).to_vec();
            libc::free(text.cast());
            String::from_utf8(bytes).map_err(|e| LoadError(format!("the statistics are no text ({e})")))
        }
    }

    /// Frees what a trace left alive in the C library, so that many runs do not pile up.
    pub fn free_raw(&mut self, is_raw: impl Fn(u64) -> bool) {
        for pointer in &mut self.pointers {
            if !pointer.is_null() && is_raw(*pointer as u64) {
                // SAFETY: a live block of the C library's malloc, whichever domain asked for it.
                unsafe { libc::free(std::mem::replace(pointer, std::ptr::null_mut())) };
            }
        }
    }

    /// Which domains' tables were found, for reports.
    pub fn library(&self) -> &'static str {
        debug_assert_eq!(self.domains.len(), Domain::ALL.len());
        LIBRARY
    }
}

/// A function of the library.
///
/// # Safety
/// `T` must be the function's type.
unsafe fn symbol<T: Copy>(library: &libloading::os::unix::Library, name: &str) -> Result<T, String> {
    let c_name = CString::new(name).map_err(|e| e.to_string())?;
    // SAFETY: the caller vouches for the type.
    unsafe { library.get::<T>(c_name.as_bytes_with_nul()) }
        .map(|s| *s)
        .map_err(|e| format!("{LIBRARY} has no {name} ({e})"))
}
