//! The arena allocator that the real pymalloc is given: the simulation's addresses in real memory.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::io;

use sim_core::Profile;
use sim_core::arena::{arena_base, region_base};

/// One reserved stretch of address space, handed out slot by slot, lowest free first.
pub(crate) struct Region {
    profile: Profile,
    free: BTreeSet<u32>,
    slots: u32,
    live: u64,
    obtained: u64,
    requests: u64,
}

/// Enough for every trace of the oracle.
const REGION_BYTES: usize = 16 << 30;

impl Region {
    /// Reserves the region at the address the simulation uses.
    pub(crate) fn reserve() -> io::Result<Box<Self>> {
        let at = region_base(&Profile::default());
        // SAFETY: an anonymous mapping at a place that the kernel refuses when anything is there
        // (MAP_FIXED_NOREPLACE), so no memory in use is touched.
        let got = unsafe {
            libc::mmap(
                at.0 as *mut c_void,
                REGION_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let region = Self {
            profile: Profile::default(),
            free: BTreeSet::new(),
            slots: 0,
            live: 0,
            obtained: 0,
            requests: 0,
        };
        if got as u64 != at.0 {
            return Err(io::Error::other("the address of the simulated arenas is taken in this process"));
        }
        Ok(Box::new(region))
    }

    /// Forgets all arenas. With `fresh` their pages go back to the system, so that the next ones are
    /// as new as a program's.
    pub(crate) fn reset(&mut self, profile: &Profile, fresh: bool) {
        if fresh {
            // SAFETY: the range is this region's own mapping, and the pymalloc state that pointed
            // into it is reset together with it.
            unsafe {
                libc::madvise(region_base(profile).0 as *mut c_void, REGION_BYTES, libc::MADV_DONTNEED);
            }
        }
        *self = Self {
            profile: profile.clone(),
            free: BTreeSet::new(),
            slots: 0,
            live: 0,
            obtained: 0,
            requests: 0,
        };
    }

    /// `PyObjectArenaAllocator.alloc`. `ctx` is the region.
    pub(crate) extern "C" fn alloc(ctx: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: pymalloc passes back the ctx it was given, which points to the region that outlives
        // it; pymalloc is called from one thread at a time.
        let region = unsafe { &mut *ctx.cast::<Self>() };
        region.requests += 1;
        let refused = region.profile.arena_limit.is_some_and(|limit| region.live >= limit)
            || region.profile.arena_fail_at.contains(&region.requests);
        if refused || size as u64 != region.profile.arena_size {
            return std::ptr::null_mut();
        }
        let slot = region.free.pop_first().unwrap_or_else(|| {
            region.slots += 1;
            region.slots - 1
        });
        let base = arena_base(&region.profile, slot, region.obtained);
        region.obtained += 1;
        region.live += 1;
        base.0 as *mut c_void
    }

    /// `PyObjectArenaAllocator.free`.
    pub(crate) extern "C" fn free(ctx: *mut c_void, ptr: *mut c_void, _size: usize) {
        // SAFETY: as in `alloc`.
        let region = unsafe { &mut *ctx.cast::<Self>() };
        let stride = arena_base(&region.profile, 1, 0).0 - arena_base(&region.profile, 0, 0).0;
        let slot = (ptr as u64 - region_base(&region.profile).0) / stride;
        region.free.insert(slot as u32);
        region.live -= 1;
    }
}
