//! The backend: arenas in memory, with headers and links where `CPython` has them.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::{self, NonNull};

use sim_core::arena::{ArenaBackend, PoolHeader, RawId, Target, arena_base, region_base};
use sim_core::{Addr, ArenaPlacement, Profile};

use crate::coverage::ADDRESS_BITS;
use crate::pointer::{Header, MmapBlock, MmapPool, MmapPtr};
use crate::source::{self, ReserveError, Window, base_of};

/// Where a program's addresses end; `coverage` knows none beyond.
const ADDRESS_END: u64 = 1 << ADDRESS_BITS;

/// What is remembered of a live arena.
struct LiveArena {
    memory: NonNull<u8>,
    slot: u32,
    ordinal: u64,
}

/// Arenas from the operating system.
///
/// Pools and blocks are addresses, and the functions of [`ArenaBackend`] follow them; [`MmapArenas::new`]
/// says what that asks of the caller. [`crate::PymallocHeap`] and [`crate::MmapMachine`] are the safe ways in.
pub struct MmapArenas {
    profile: Profile,
    /// The bits of an address that name its pool.
    pool_mask: usize,
    /// Live arenas by base.
    live: BTreeMap<u64, LiveArena>,
    /// `None` lets the system choose places.
    window: Option<Window>,
    /// Whether released arenas of a window keep their pages.
    keep_pages: bool,
    free_slots: BTreeSet<u32>,
    slots: u32,
    obtained: u64,
    requests: u64,
    bookkeeping_requests: u64,
    out_of_space: bool,
}

impl MmapArenas {
    /// Arenas wherever the system maps them, as `_PyObject_ArenaMmap` does. `arena_placement` does not count.
    ///
    /// # Safety
    /// The profile must have passed [`Profile::validate`] and be of a 64-bit build. The functions of
    /// [`ArenaBackend`] may be given only addresses in arenas that this backend has live, and pools and
    /// blocks that it made while those arenas were live; pools must have been carved, and blocks lie behind
    /// a pool's header. A [`sim_core::pymalloc::Pymalloc`] over this backend keeps to that as long as blocks
    /// are freed once, and nobody writes to free blocks. Whoever is lent the backend is bound by this, too.
    pub unsafe fn new(profile: &Profile) -> Self {
        Self::over(&Profile { arena_placement: ArenaPlacement::Aligned, ..profile.clone() }, None)
    }

    /// Arenas where the profile's `arena_placement` puts them, relative to the start of one reserved
    /// window. The same trace then gives the same placements, statistics and digest as in simulation.
    ///
    /// # Safety
    /// As for [`Self::new`].
    pub unsafe fn placed(profile: &Profile) -> Result<Self, ReserveError> {
        Ok(Self::over(profile, Some(Window::reserve()?)))
    }

    fn over(profile: &Profile, window: Option<Window>) -> Self {
        Self {
            profile: profile.clone(),
            pool_mask: !(profile.pool_size as usize - 1),
            live: BTreeMap::new(),
            window,
            keep_pages: false,
            free_slots: BTreeSet::new(),
            slots: 0,
            obtained: 0,
            requests: 0,
            bookkeeping_requests: 0,
            out_of_space: false,
        }
    }

    /// Keeps the pages of released arenas from now on, and touches those of the first `arenas` slots, so that
    /// a measurement meets no page for the first time. Arenas that the system places are left alone.
    pub fn keep_pages(&mut self, arenas: u32) {
        let Some(window) = &mut self.window else { return };
        self.keep_pages = true;
        let end = arena_base(&self.profile, arenas, 0).bytes_from(region_base(&self.profile));
        window.touch(end as usize);
    }

    /// True once an arena was refused because the reserved window was full.
    pub fn out_of_space(&self) -> bool {
        self.out_of_space
    }

    /// Bytes of all live arenas.
    pub fn live_bytes(&self) -> u64 {
        self.live.len() as u64 * self.profile.arena_size
    }

    /// Live arenas: their ordinals and bases.
    pub(crate) fn bases(&self) -> impl Iterator<Item = (u64, Addr)> + '_ {
        self.live.iter().map(|(&base, arena)| (arena.ordinal, Addr(base)))
    }

    fn arena_bytes(&self) -> usize {
        self.profile.arena_size as usize
    }

    /// Bytes from a place of the first arena's slot to its base.
    fn shift(&self, ordinal: u64) -> u64 {
        arena_base(&self.profile, 0, ordinal).bytes_from(region_base(&self.profile))
    }

    /// Gives an arena's memory back.
    ///
    /// # Safety
    /// Nothing may use the arena any more.
    unsafe fn give_back(&mut self, arena: &LiveArena) {
        let (bytes, shift) = (self.arena_bytes(), self.shift(arena.ordinal) as usize);
        match self.window {
            // SAFETY: the arena came from a window with this size and shift, and is not used any more.
            Some(_) if !self.keep_pages => unsafe { Window::discard(arena.memory, bytes, shift) },
            Some(_) => {}
            // SAFETY: the arena came from `map` with this size and is not used any more.
            None => unsafe { source::unmap(arena.memory, bytes) },
        }
    }

    #[inline]
    fn header_ptr(pool: MmapPool) -> NonNull<Header> {
        pool.0.cast()
    }
}

impl Drop for MmapArenas {
    fn drop(&mut self) {
        self.keep_pages = false;
        for (_, arena) in std::mem::take(&mut self.live) {
            // SAFETY: pools and blocks may be used with this backend only, which is no more.
            unsafe { self.give_back(&arena) };
        }
    }
}

impl std::fmt::Debug for MmapArenas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MmapArenas").field("live", &self.live.len()).finish_non_exhaustive()
    }
}

// Each SAFETY below rests on what `MmapArenas::new` asks for.
impl ArenaBackend for MmapArenas {
    type Pool = MmapPool;
    type Block = MmapBlock;
    type Ptr = MmapPtr;

    fn obtain(&mut self) -> Option<Addr> {
        self.requests += 1;
        let limit = self.profile.arena_limit.unwrap_or(u64::MAX);
        if self.live.len() as u64 >= limit || self.profile.arena_fail_at.binary_search(&self.requests).is_ok()
        {
            return None;
        }
        let slot = self.free_slots.first().copied().unwrap_or(self.slots);
        let bytes = self.arena_bytes();
        let (ordinal, shift) = (self.obtained, self.shift(self.obtained) as usize);
        let memory = match &mut self.window {
            Some(window) => {
                let place = arena_base(&self.profile, slot, ordinal).bytes_from(region_base(&self.profile));
                let memory = window.arena(place as usize, bytes, shift);
                self.out_of_space |= memory.is_none();
                memory?
            }
            None => source::map(bytes)?,
        };
        if (memory.addr().get() + bytes) as u64 > ADDRESS_END {
            // No system maps there unasked.
            // SAFETY: nobody has the memory yet.
            unsafe { self.give_back(&LiveArena { memory, slot, ordinal }) };
            return None;
        }
        if !self.free_slots.remove(&slot) {
            self.slots += 1;
        }
        self.obtained += 1;
        let base = base_of(memory);
        self.live.insert(base.0, LiveArena { memory, slot, ordinal });
        Some(base)
    }

    fn release(&mut self, base: Addr) {
        if let Some(arena) = self.live.remove(&base.0) {
            self.free_slots.insert(arena.slot);
            // SAFETY: pymalloc releases an arena when all its pools are free, and forgets them.
            unsafe { self.give_back(&arena) };
        }
    }

    fn bookkeeping(&mut self, _bytes: u64) -> bool {
        self.bookkeeping_requests += 1;
        self.profile.bookkeeping_fail_at.binary_search(&self.bookkeeping_requests).is_err()
    }

    fn canonical(&self, addr: Addr) -> Addr {
        let Some((&base, arena)) = self.live.range(..=addr.0).next_back() else { return addr };
        let shift = if self.window.is_some() { 0 } else { base & !self.pool_mask as u64 };
        arena_base(&self.profile, arena.slot, arena.ordinal).offset(addr.0 - base + shift)
    }

    #[inline]
    fn pool_at(&self, addr: Addr) -> MmapPool {
        // The arena's provenance was exposed when it was obtained.
        let at = ptr::with_exposed_provenance_mut(addr.0 as usize);
        // SAFETY: an address in a live arena, which is not null.
        MmapPool(unsafe { NonNull::new_unchecked(at) })
    }

    #[inline]
    fn pool_addr(&self, pool: MmapPool) -> Addr {
        pool.addr()
    }

    #[inline]
    fn pool_of(&self, block: MmapBlock) -> MmapPool {
        let start = block.0.as_ptr().map_addr(|addr| addr & self.pool_mask);
        // SAFETY: the block's pool lies in its arena, at no null address.
        MmapPool(unsafe { NonNull::new_unchecked(start) })
    }

    #[inline]
    fn block_in(&self, pool: MmapPool, offset: u32) -> MmapBlock {
        // SAFETY: pymalloc asks for blocks inside the pool, and a carved pool lies in its arena whole.
        MmapBlock(unsafe { pool.0.add(offset as usize) })
    }

    #[inline]
    fn block_addr(&self, block: MmapBlock) -> Addr {
        block.addr()
    }

    #[inline]
    fn header(&self, pool: MmapPool) -> &PoolHeader<MmapPool, MmapBlock> {
        // SAFETY: a carved pool of a live arena begins with its header, which only this backend writes, through
        // `&mut self`; every bit pattern that can be there is a header, and the program's blocks lie behind.
        unsafe { Self::header_ptr(pool).as_ref() }
    }

    #[inline]
    fn header_mut(&mut self, pool: MmapPool) -> &mut PoolHeader<MmapPool, MmapBlock> {
        // SAFETY: as for `header`; `&mut self` keeps every other reference to headers away.
        unsafe { Self::header_ptr(pool).as_mut() }
    }

    #[inline]
    fn link(&self, block: MmapBlock) -> Option<MmapBlock> {
        // SAFETY: a free block of a live arena is a word or more, aligned to one, and holds what `set_link`
        // wrote: a block of the same pool, or none.
        unsafe { block.0.cast::<Option<MmapBlock>>().read() }
    }

    #[inline]
    fn set_link(&mut self, block: MmapBlock, next: Option<MmapBlock>) {
        // SAFETY: a free block of a live arena is a word or more, aligned to one, and nobody else's.
        unsafe { block.0.cast::<Option<MmapBlock>>().write(next) };
    }

    #[inline]
    fn pack_block(block: MmapBlock) -> MmapPtr {
        MmapPtr::block(block)
    }

    #[inline]
    fn pack_raw(raw: RawId) -> MmapPtr {
        MmapPtr::raw(raw)
    }

    #[inline]
    fn target(ptr: MmapPtr) -> Target<MmapBlock> {
        ptr.target()
    }
}
