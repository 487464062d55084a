//! A global allocator that ends the process when an input needs more memory than any file may.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What reading a file may take at most, in bytes.
const LIMIT: usize = 256 << 20;

struct Counting(AtomicUsize);

#[global_allocator]
static MEMORY: Counting = Counting(AtomicUsize::new(0));

impl Counting {
    fn grown(&self, bytes: usize) {
        if self.0.fetch_add(bytes, Relaxed) + bytes > LIMIT {
            // No panic: that would ask for memory.
            std::process::abort();
        }
    }
}

// SAFETY: all calls go to the system's allocator as they came; only sizes are counted beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}
