//! pymalloc as a library: pointers in, pointers out.

use std::ptr::{self, NonNull};

use sim_core::pymalloc::{ArenaCounters, Pymalloc, Realloc, Violation};
use sim_core::report::debugmallocstats;
use sim_core::{Addr, ArenaPlacement, Profile};

use crate::arenas::MmapArenas;
use crate::coverage::Coverage;
use crate::pointer::MmapBlock;
use crate::source::ReserveError;

/// `CPython` 3.14's pymalloc with arenas of its own.
///
/// Requests from 1 to 512 bytes are served from pools, others by the C library, as `PyObject_Malloc` does.
/// Dropping the heap gives all arenas back: what was allocated from them is gone. Blocks of the C library that
/// were not freed stay allocated.
///
/// ```
/// use mmap_arenas::PymallocHeap;
///
/// let mut heap = PymallocHeap::new();
/// let block = heap.malloc(24);
/// // SAFETY: the block has 24 bytes and is freed once.
/// unsafe {
///     block.write_bytes(7, 24);
///     let moved = heap.realloc(block, 100);
///     assert_eq!(moved.add(23).read(), 7);
///     heap.free(moved);
/// }
/// assert!(heap.debugmallocstats().contains("# arenas allocated total"));
/// ```
pub struct PymallocHeap {
    pymalloc: Pymalloc<MmapArenas>,
    coverage: Coverage,
}

// SAFETY: the pointers inside lead to memory that the heap owns or that only unsafe callers reach; nothing of
// it is bound to a thread.
unsafe impl Send for PymallocHeap {}

impl Default for PymallocHeap {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for PymallocHeap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PymallocHeap").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl PymallocHeap {
    /// A heap without arenas; the system places them as they come to be needed.
    pub fn new() -> Self {
        let profile = Coverage::profile();
        // SAFETY: the default profile is a 64-bit build's. Only `pymalloc` uses the backend; blocks come from
        // it, and callers of the unsafe functions vouch that they are freed once and not written to then.
        Self::over(&profile, unsafe { MmapArenas::new(&profile) })
    }

    /// A heap whose arenas lie in one reserved window, placed as in the simulation. Its first `resident`
    /// arenas are in memory already, and released ones stay there. For measurements.
    pub fn placed(placement: ArenaPlacement, resident: u32) -> Result<Self, ReserveError> {
        let profile = Profile { arena_placement: placement, ..Coverage::profile() };
        // SAFETY: as in `new`.
        let mut arenas = unsafe { MmapArenas::placed(&profile)? };
        arenas.keep_pages(resident);
        Ok(Self::over(&profile, arenas))
    }

    fn over(profile: &Profile, arenas: MmapArenas) -> Self {
        Self { pymalloc: Pymalloc::new(profile, arenas), coverage: Coverage::new() }
    }

    /// `PyObject_Malloc`: a block of `nbytes` bytes, aligned to 16, with any contents; null when there is no
    /// memory. 0 bytes give a block, too. It is to be freed with this heap's [`Self::free`].
    #[inline]
    pub fn malloc(&mut self, nbytes: usize) -> *mut u8 {
        // With a pool at hand nothing else is called, which this says to the compiler.
        if let Some(class) = self.pymalloc.size_class(nbytes as u64)
            && self.pymalloc.used_front(class).is_some()
            && let Some(block) = self.pymalloc.alloc(nbytes as u64, &mut self.coverage)
        {
            return block.0.as_ptr();
        }
        self.malloc_without_pool(nbytes)
    }

    #[cold]
    #[inline(never)]
    fn malloc_without_pool(&mut self, nbytes: usize) -> *mut u8 {
        match self.pymalloc.alloc(nbytes as u64, &mut self.coverage) {
            Some(block) => block.0.as_ptr(),
            None => self.raw_malloc(nbytes),
        }
    }

    /// `_PyMem_RawMalloc` for pymalloc.
    fn raw_malloc(&mut self, nbytes: usize) -> *mut u8 {
        if nbytes > isize::MAX as usize {
            return ptr::null_mut();
        }
        // SAFETY: malloc takes any size.
        let p = unsafe { libc::malloc(nbytes.max(1)) };
        self.pymalloc.raw_allocated_blocks += i64::from(!p.is_null());
        p.cast()
    }

    /// `PyObject_Calloc` of one element: as [`Self::malloc`], with `nbytes` zeros.
    #[inline]
    pub fn calloc(&mut self, nbytes: usize) -> *mut u8 {
        if let Some(block) = self.pymalloc.alloc(nbytes as u64, &mut self.coverage) {
            // SAFETY: the block has `nbytes` bytes or more and is the caller's from now on.
            unsafe { block.0.as_ptr().write_bytes(0, nbytes) };
            return block.0.as_ptr();
        }
        if nbytes > isize::MAX as usize {
            return ptr::null_mut();
        }
        // SAFETY: calloc takes any size.
        let p = unsafe { libc::calloc(1, nbytes.max(1)) };
        self.pymalloc.raw_allocated_blocks += i64::from(!p.is_null());
        p.cast()
    }

    /// `PyObject_Free`. Null is left alone.
    ///
    /// # Safety
    /// `p` must be null or a block of this heap, and nothing may use it afterwards.
    #[inline]
    pub unsafe fn free(&mut self, p: *mut u8) {
        if let Some(block) = NonNull::new(p)
            && self.coverage.contains(p.addr())
        {
            self.pymalloc.free(MmapBlock(block), &mut self.coverage);
        } else if !p.is_null() {
            self.pymalloc.raw_allocated_blocks -= 1;
            // SAFETY: a block that lies in no arena came from the C library.
            unsafe { libc::free(p.cast()) };
        }
    }

    /// `PyObject_Realloc`: the block stays when the new size fits and wastes less than a quarter of it, else
    /// a new block is taken, the contents are copied and the old one is freed. Null when there is no memory;
    /// `p` is untouched then.
    ///
    /// # Safety
    /// `p` must be null or a block of this heap. Unless null is returned nothing may use `p` afterwards.
    #[inline]
    pub unsafe fn realloc(&mut self, p: *mut u8, nbytes: usize) -> *mut u8 {
        let Some(block) = NonNull::new(p) else { return self.malloc(nbytes) };
        if nbytes > isize::MAX as usize {
            return ptr::null_mut();
        }
        if !self.coverage.contains(p.addr()) {
            // SAFETY: a block that lies in no arena came from the C library.
            return unsafe { libc::realloc(p.cast(), nbytes.max(1)) }.cast();
        }
        match self.pymalloc.realloc_decision(MmapBlock(block), nbytes as u64) {
            Realloc::InPlace { .. } => p,
            Realloc::Move { copied, .. } => {
                let new = self.malloc(nbytes);
                if !new.is_null() {
                    // SAFETY: both blocks have `copied` bytes, the new one is another block; the caller
                    // gives the old one up.
                    unsafe {
                        ptr::copy_nonoverlapping(p, new, copied as usize);
                        self.free(p);
                    }
                }
                new
            }
        }
    }

    /// `address_in_range`: whether a pointer leads into one of this heap's arenas.
    pub fn contains(&self, p: *const u8) -> bool {
        self.coverage.contains(p.addr())
    }

    /// How many arenas there are and were.
    pub fn counters(&self) -> ArenaCounters {
        self.pymalloc.counters()
    }

    /// Live blocks that the C library serves.
    pub fn raw_allocated_blocks(&self) -> i64 {
        self.pymalloc.raw_allocated_blocks
    }

    /// What `sys._debugmallocstats()` would print of pymalloc.
    pub fn debugmallocstats(&self) -> String {
        debugmallocstats(&self.pymalloc)
    }

    /// Checks all lists, counts and links, and that both forms of the radix tree agree. Takes time in
    /// proportion to the heap.
    pub fn verify(&self) -> Result<(), Violation> {
        self.pymalloc.verify()?;
        let size = self.pymalloc.profile().arena_size;
        for base in self.pymalloc.arenas().iter().filter_map(|arena| arena.address) {
            for addr in [Addr(base.0 - 1), base, base.offset(size - 1), base.offset(size)] {
                if self.coverage.contains(addr.0 as usize) != self.pymalloc.address_in_range(addr) {
                    return Err(Violation { rule: "coverage", detail: format!("{addr} is marked wrongly") });
                }
            }
        }
        Ok(())
    }
}
