//! The arena allocator that the real pymalloc is given: the simulation's addresses in real memory.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Where the memory at each base came from.
    made: BTreeMap<u64, Source>,
    /// The C library's free was given what it did not make.
    aborted: bool,
    /// Bases obtained (true) and given back since they were last asked for.
    marks: Vec<(bool, u64)>,
}

/// What a hook takes memory from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Mmap,
    Bump,
    Malloc,
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
        let region = Self::empty(Profile::default());
        if got as u64 != at.0 {
            return Err(io::Error::other("the address of the simulated arenas is taken in this process"));
        }
        Ok(Box::new(region))
    }

    fn empty(profile: Profile) -> Self {
        Self {
            profile,
            free: BTreeSet::new(),
            slots: 0,
            live: 0,
            obtained: 0,
            requests: 0,
            made: BTreeMap::new(),
            aborted: false,
            marks: Vec::new(),
        }
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
        *self = Self::empty(profile.clone());
    }

    /// Arenas that were obtained and given back since the last call, in their order.
    pub(crate) fn take_marks(&mut self) -> Vec<(bool, u64)> {
        std::mem::take(&mut self.marks)
    }

    /// Whether the C library's free would have ended the process.
    pub(crate) fn aborted(&self) -> bool {
        self.aborted
    }

    /// An address for an arena from some source.
    pub(crate) fn place(&mut self, source: Source) -> u64 {
        let base = if source == Source::Malloc {
            // Its pages begin 16 bytes in front of the block.
            self.slots += 2;
            region_base(&self.profile).0 + u64::from(self.slots - 2) * self.stride() + 16
        } else {
            let slot = self.free.pop_first().unwrap_or_else(|| {
                self.slots += 1;
                self.slots - 1
            });
            arena_base(&self.profile, slot, self.obtained).0
        };
        self.obtained += 1;
        self.made.insert(base, source);
        self.marks.push((true, base));
        base
    }

    /// Bytes from one slot to the next.
    fn stride(&self) -> u64 {
        arena_base(&self.profile, 1, 0).0 - arena_base(&self.profile, 0, 0).0
    }

    fn give_up(&mut self, base: u64, slots: u32) {
        let slot = ((base - region_base(&self.profile).0) / self.stride()) as u32;
        self.free.extend(slot..slot + slots);
        self.made.remove(&base);
    }

    /// An arena is given back, whatever comes of it.
    pub(crate) fn given_back(&mut self, base: u64) {
        if base != 0 {
            self.marks.push((false, base));
        }
    }

    /// What `free` of the C library does with an arena.
    pub(crate) fn free_of_malloc(&mut self, base: u64) {
        self.given_back(base);
        match self.made.get(&base) {
            _ if base == 0 => {}
            Some(Source::Malloc) => self.give_up(base, 2),
            _ => self.aborted = true,
        }
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
        region.live += 1;
        region.place(Source::Mmap) as *mut c_void
    }

    /// `PyObjectArenaAllocator.free`.
    pub(crate) extern "C" fn free(ctx: *mut c_void, ptr: *mut c_void, _size: usize) {
        // SAFETY: as in `alloc`.
        let region = unsafe { &mut *ctx.cast::<Self>() };
        let base = ptr as u64;
        region.given_back(base);
        match region.made.get(&base) {
            // munmap refuses what no page begins at, and CPython does not look.
            None | Some(Source::Malloc) => {}
            Some(source) => {
                region.live -= u64::from(*source == Source::Mmap);
                region.give_up(base, 1);
            }
        }
    }
}
