//! A scenario's arena hooks as C functions, so that the real pymalloc meets what the simulated one meets.

use std::ffi::c_void;

use sim_core::domains::ArenaChoice;

use crate::arenas::{Region, Source};

/// `PyObjectArenaAllocator`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ArenaAllocator {
    pub(crate) ctx: *mut c_void,
    pub(crate) alloc: extern "C" fn(*mut c_void, usize) -> *mut c_void,
    pub(crate) free: extern "C" fn(*mut c_void, *mut c_void, usize),
}

/// A hook with the struct that `PyObject_GetArenaAllocator` gave when it was installed.
pub(crate) struct Hook {
    kind: ArenaChoice,
    inner: ArenaAllocator,
    region: *mut Region,
    /// Calls of alloc and free.
    pub(crate) calls: [u64; 2],
    used_bytes: u64,
}

impl Hook {
    pub(crate) fn new(kind: ArenaChoice, inner: ArenaAllocator, region: *mut Region) -> Self {
        Self { kind, inner, region, calls: [0; 2], used_bytes: 0 }
    }

    pub(crate) fn table(&mut self) -> ArenaAllocator {
        ArenaAllocator { ctx: (&raw mut *self).cast(), alloc: Self::alloc, free: Self::free }
    }

    extern "C" fn alloc(ctx: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: ctx is the boxed hook that `RealPymalloc` keeps, used by one thread.
        let hook = unsafe { &mut *ctx.cast::<Self>() };
        // SAFETY: as above; the region outlives the hooks.
        let region = unsafe { &mut *hook.region };
        hook.calls[0] += 1;
        let place = match hook.kind {
            ArenaChoice::FailEvery(n) if n > 0 && hook.calls[0].is_multiple_of(n) => {
                return std::ptr::null_mut();
            }
            ArenaChoice::FailFrom(n) if hook.calls[0] >= n => return std::ptr::null_mut(),
            ArenaChoice::Bump { bytes } if bytes - hook.used_bytes < size as u64 => {
                return std::ptr::null_mut();
            }
            ArenaChoice::Bump { .. } => {
                hook.used_bytes += size as u64;
                region.place(Source::Bump)
            }
            ArenaChoice::Malloc => region.place(Source::Malloc),
            _ => return (hook.inner.alloc)(hook.inner.ctx, size),
        };
        place as *mut c_void
    }

    extern "C" fn free(ctx: *mut c_void, ptr: *mut c_void, size: usize) {
        // SAFETY: as in `alloc`.
        let hook = unsafe { &mut *ctx.cast::<Self>() };
        // SAFETY: as in `alloc`.
        let region = unsafe { &mut *hook.region };
        hook.calls[1] += 1;
        match hook.kind {
            ArenaChoice::Bump { .. } => region.given_back(ptr as u64),
            // The C library's free would abort on what it did not give out.
            ArenaChoice::Malloc => region.free_of_malloc(ptr as u64),
            _ => (hook.inner.free)(hook.inner.ctx, ptr, size),
        }
    }
}
