//! The heap as an allocator for Rust's collections.
//!
//! Both types are used by reference, `Vec::new_in(&heap)`, so that the heap outlives what it holds, or
//! given away whole, so that it goes when its one collection goes. Neither is `Clone`: dropping a heap gives
//! its arenas back, and no block may be left that would be freed later.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator, Global};
use sim_core::pymalloc::ArenaCounters;

use crate::heap::PymallocHeap;

/// The largest alignment of a block.
const ALIGNMENT: usize = 16;
/// `SMALL_REQUEST_THRESHOLD`.
const THRESHOLD: usize = 512;

/// Who serves a layout. A function of the layout alone, so that what was allocated is given back to the same.
enum Server {
    /// Nothing to serve.
    Nobody,
    Pymalloc,
    /// Rust's global allocator: too large, or aligned to more than blocks are.
    Global,
}

fn server(layout: Layout) -> Server {
    match layout.size() {
        0 => Server::Nobody,
        1..=THRESHOLD if layout.align() <= ALIGNMENT => Server::Pymalloc,
        _ => Server::Global,
    }
}

/// A block as the trait wants it: of the size asked for.
fn slice(p: *mut u8, bytes: usize) -> Result<NonNull<[u8]>, AllocError> {
    let p = NonNull::new(p).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(p, bytes))
}

/// An address for a value without size.
fn dangling(layout: Layout) -> NonNull<[u8]> {
    let p = std::ptr::without_provenance_mut(layout.align());
    // SAFETY: an alignment is not 0.
    NonNull::slice_from_raw_parts(unsafe { NonNull::new_unchecked(p) }, 0)
}

/// A heap for one thread.
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mmap_arenas::LocalHeap;
///
/// let heap = LocalHeap::new();
/// let mut names = Vec::new_in(&heap);
/// names.push("arena");
/// names.push("pool");
/// assert_eq!(names.concat(), "arenapool");
/// ```
#[derive(Debug, Default)]
pub struct LocalHeap(UnsafeCell<PymallocHeap>);

impl LocalHeap {
    /// A heap without arenas.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many arenas there are and were.
    pub fn counters(&self) -> ArenaCounters {
        self.with(|heap| heap.counters())
    }

    /// What `sys._debugmallocstats()` would print of pymalloc.
    pub fn debugmallocstats(&self) -> String {
        self.with(|heap| heap.debugmallocstats())
    }

    #[inline]
    fn with<T>(&self, f: impl FnOnce(&mut PymallocHeap) -> T) -> T {
        // SAFETY: the cell is not Sync, and no `f` of this module comes back to it, so that this is the only
        // reference while it lives.
        f(unsafe { &mut *self.0.get() })
    }
}

/// A heap for many threads, behind a lock.
///
/// ```
/// use allocator_api2::boxed::Box;
/// use mmap_arenas::SyncHeap;
///
/// let heap = SyncHeap::new();
/// let boxed = Box::new_in(42, &heap);
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(boxed));
/// });
/// ```
#[derive(Debug, Default)]
pub struct SyncHeap(Mutex<PymallocHeap>);

impl SyncHeap {
    /// A heap without arenas.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many arenas there are and were.
    pub fn counters(&self) -> ArenaCounters {
        self.lock().counters()
    }

    /// What `sys._debugmallocstats()` would print of pymalloc.
    pub fn debugmallocstats(&self) -> String {
        self.lock().debugmallocstats()
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, PymallocHeap> {
        // Nothing panics under the lock with the heap half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn with<T>(&self, f: impl FnOnce(&mut PymallocHeap) -> T) -> T {
        f(&mut self.lock())
    }
}

macro_rules! allocator {
    ($heap:ty) => {
        // SAFETY: blocks stay valid until they are freed or the heap is dropped; the heap does not move them
        // when it is moved itself, and it cannot be cloned. Each block has the size and the alignment of its
        // layout: pymalloc's and the C library's are aligned to 16.
        unsafe impl Allocator for $heap {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                match server(layout) {
                    Server::Nobody => Ok(dangling(layout)),
                    Server::Pymalloc => slice(self.with(|heap| heap.malloc(layout.size())), layout.size()),
                    Server::Global => Global.allocate(layout),
                }
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                match server(layout) {
                    Server::Nobody => Ok(dangling(layout)),
                    Server::Pymalloc => slice(self.with(|heap| heap.calloc(layout.size())), layout.size()),
                    Server::Global => Global.allocate_zeroed(layout),
                }
            }

            #[inline]
            unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
                match server(layout) {
                    Server::Nobody => {}
                    // SAFETY: the caller gives up a block that `allocate` took from this heap, since the
                    // layout fits it.
                    Server::Pymalloc => self.with(|heap| unsafe { heap.free(ptr.as_ptr()) }),
                    // SAFETY: as above, from the global allocator.
                    Server::Global => unsafe { Global.deallocate(ptr, layout) },
                }
            }

            #[inline]
            unsafe fn grow(
                &self,
                ptr: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's word for `grow` is what `resize` asks for.
                unsafe { resize(self, |p| self.with(|heap| heap.realloc(p, new.size())), ptr, old, new) }
            }

            #[inline]
            unsafe fn shrink(
                &self,
                ptr: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's word for `shrink` is what `resize` asks for.
                unsafe { resize(self, |p| self.with(|heap| heap.realloc(p, new.size())), ptr, old, new) }
            }
        }
    };
}

allocator!(LocalHeap);
allocator!(SyncHeap);

/// The block in another size, moved if need be.
///
/// # Safety
/// `ptr` must be a live block of `heap` that `old` fits; it is given up unless an error is returned. `realloc`
/// must be the heap's for the new size.
unsafe fn resize<A: Allocator>(
    heap: &A,
    realloc: impl FnOnce(*mut u8) -> *mut u8,
    ptr: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    if let (Server::Pymalloc, Server::Pymalloc) = (server(old), server(new)) {
        return slice(realloc(ptr.as_ptr()), new.size());
    }
    let moved = heap.allocate(new)?;
    // SAFETY: both have the smaller size, they are two blocks, and the caller gives the old one up.
    unsafe {
        moved.cast::<u8>().copy_from_nonoverlapping(ptr, old.size().min(new.size()));
        heap.deallocate(ptr, old);
    }
    Ok(moved)
}
