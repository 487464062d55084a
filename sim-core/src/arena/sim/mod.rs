//! Simulated arenas: slots of one address region, with headers and links in compact arrays.
//!
//! A link is the block's number inside its pool (2 bytes for each alignment unit, an eighth of the
//! simulated heap at 16-byte alignment); a pool header takes 32 bytes. Since all arenas lie in one
//! region, finding the pool or the link of a block is arithmetic.

mod places;
mod pointer;
mod saved;
mod write_log;

pub use pointer::{RawId, SimBlock, SimPool, SimPtr};
pub(crate) use saved::SavedArenas;
pub(crate) use write_log::{LogPosition, WriteLog};

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use places::Places;
use pointer::RAW_BIT;

use super::hooks::{ArenaHooks, MALLOC_HEADER_BYTES, Source};
use super::{ArenaBackend, PoolHeader, Target};
use crate::addr::Addr;
use crate::domains::ArenaChoice;
use crate::event::Observer;
use crate::profile::{ArenaPlacement, Profile};

/// The bare tables: headers by pool number, links by block number, and a byte to set for each pool written.
/// The pool of a block is its number `>> units_bits`.
pub(crate) struct Tables<'a> {
    pub(crate) pools: &'a mut [PoolHeader<SimPool, SimBlock>],
    pub(crate) links: &'a mut [u16],
    pub(crate) dirty: &'a mut [u8],
    pub(crate) units_bits: u32,
    pub(crate) alignment_bits: u32,
}

/// Arenas handed out from one region, lowest free slot first.
#[derive(Clone, Debug)]
pub struct SimArenas {
    pools: Vec<PoolHeader<SimPool, SimBlock>>,
    links: Vec<u16>,
    /// Address of pool "0", one pool before the region, so that no pool or block is number 0.
    origin: Addr,
    alignment_bits: u32,
    pool_bits: u32,
    /// log2 of alignment units in a pool.
    units_bits: u32,

    slot_stride: u64,
    placement: ArenaPlacement,
    max_slots: u32,
    limit: u64,
    fail_at: Vec<u64>,
    bookkeeping_fail_at: Vec<u64>,
    arena_size: u64,
    pointer_bytes: u32,
    region: Region,
    /// For each pool whether its header or a link in it was written since it was last saved.
    dirty: Vec<u8>,
    /// Takes down what is overwritten, while somebody wants to take it back.
    log: Option<Box<WriteLog>>,
}

/// Which slots of the region are in use, and what was asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Region {
    free_slots: BTreeSet<u32>,
    slots: u32,
    live: u64,
    obtained: u64,
    requests: u64,
    bookkeeping_requests: u64,
    out_of_space: bool,
    hooks: Option<Box<ArenaHooks>>,
    /// Where arenas lie that have a process's own addresses; shared with saved states until one comes or goes.
    places: Option<Arc<Places>>,
}

impl Region {
    /// Bytes beside its own size that a copy takes.
    pub(crate) fn copied_bytes(&self) -> u64 {
        // A B-tree of small keys is about half full.
        self.free_slots.len() as u64 * 8 + self.hooks.as_ref().map_or(0, |h| h.made().count() as u64 * 40)
    }
}

const EMPTY_POOL: PoolHeader<SimPool, SimBlock> = PoolHeader {
    ref_count: 0,
    freeblock: None,
    nextpool: None,
    prevpool: None,
    arenaindex: 0,
    szidx: super::DUMMY_SIZE_IDX,
    nextoffset: 0,
    maxnextoffset: 0,
};

/// Where simulated arenas begin: 0x7e0000000000, a multiple of 16 GiB, or 0x40000000 in 32-bit builds.
pub fn region_base(profile: &Profile) -> Addr {
    Addr(if profile.pointer_bytes == 4 { 0x4000_0000 } else { 0x7e00_0000_0000 })
}

/// The base of the arena that is `ordinal`-th in order of creation and lies in slot `slot`.
pub fn arena_base(profile: &Profile, slot: u32, ordinal: u64) -> Addr {
    let shift = placement_shift(profile.arena_placement, ordinal);
    region_base(profile).offset(u64::from(slot) * slot_stride(profile) + shift)
}

fn placement_shift(placement: ArenaPlacement, ordinal: u64) -> u64 {
    match placement {
        ArenaPlacement::Aligned => 0,
        ArenaPlacement::Page => 4096,
        ArenaPlacement::Mixed => 4096 * (ordinal % 4),
    }
}

/// Bytes from one slot to the next.
fn slot_stride(profile: &Profile) -> u64 {
    match profile.arena_placement {
        ArenaPlacement::Aligned | ArenaPlacement::Page => profile.arena_size,
        // A shifted arena must not reach into an unshifted one after it.
        ArenaPlacement::Mixed => profile.arena_size + profile.pool_size.max(1 << 14),
    }
}

impl SimArenas {
    /// An empty region for this profile.
    ///
    /// [`region_base`] says where it starts.
    pub fn new(profile: &Profile) -> Self {
        let region = region_base(profile);
        let region_bytes = match profile.pointer_bytes {
            4 => 0xB000_0000_u64,
            _ => u64::from(RAW_BIT) * profile.alignment,
        };
        let slot_stride = slot_stride(profile);
        // One pool before the region, one arena after it: a misaligned arena spills over.
        let usable = region_bytes - profile.pool_size - 2 * slot_stride;
        Self {
            pools: vec![EMPTY_POOL],
            links: vec![0; (profile.pool_size / profile.alignment) as usize],
            origin: Addr(region.0 - profile.pool_size),
            alignment_bits: profile.alignment.trailing_zeros(),
            pool_bits: profile.pool_size.trailing_zeros(),
            units_bits: (profile.pool_size / profile.alignment).trailing_zeros(),
            slot_stride,
            placement: profile.arena_placement,
            max_slots: (usable / slot_stride) as u32,
            limit: profile.arena_limit.unwrap_or(u64::MAX),
            fail_at: profile.arena_fail_at.clone(),
            bookkeeping_fail_at: profile.bookkeeping_fail_at.clone(),
            arena_size: profile.arena_size,
            pointer_bytes: profile.pointer_bytes,
            region: Region::default(),
            dirty: vec![0],
            log: None,
        }
    }

    /// Which slots are in use, and what was asked for.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Goes back to what [`Self::region`] gave, when the memory does too.
    pub(crate) fn set_region(&mut self, region: Region) {
        self.region = region;
    }

    /// Bytes this simulated memory takes.
    pub fn state_bytes(&self) -> u64 {
        (self.pools.capacity() * size_of::<PoolHeader<SimPool, SimBlock>>()
            + self.links.capacity() * 2
            + self.dirty.capacity()) as u64
    }

    /// True once an arena was refused because the simulated region was full, which no real build would do.
    pub fn out_of_space(&self) -> bool {
        self.region.out_of_space
    }

    fn region_base(&self) -> Addr {
        self.origin.offset(1 << self.pool_bits)
    }

    /// Makes room for every pool of slots below `slots`, with the spill of the last one.
    fn grow_to(&mut self, slots: u32) {
        let bytes = u64::from(slots) * self.slot_stride + (1 << self.pool_bits);
        let spill =
            if self.placement == ArenaPlacement::Aligned { 0 } else { 1 + ((4096 * 3) >> self.pool_bits) };
        let pools = ((bytes >> self.pool_bits) + spill) as usize;
        if pools > self.pools.len() {
            // Exact growth past the first arenas: doubling would double the state of a big heap.
            let extra = pools - self.pools.len();
            let slack = (self.pools.len() / 8).max(extra);
            self.pools.reserve_exact(slack);
            self.links.reserve_exact(slack << self.units_bits);
            self.pools.resize(pools, EMPTY_POOL);
            self.links.resize(pools << self.units_bits, 0);
            self.dirty.resize(pools, 0);
        }
    }

    /// The tables by themselves.
    pub(crate) fn tables(&mut self) -> Tables<'_> {
        Tables {
            pools: &mut self.pools,
            links: &mut self.links,
            dirty: &mut self.dirty,
            units_bits: self.units_bits,
            alignment_bits: self.alignment_bits,
        }
    }
}

/// Arenas at a process's own addresses. In the tables each has a slot all the same.
impl SimArenas {
    /// The most arenas that can have addresses of their own.
    pub(crate) fn most_placed(profile: &Profile) -> u64 {
        // Two more than there are slots, for the pool before the first one and for what `grow_to` rounds up.
        (u64::from(RAW_BIT) * profile.alignment / (profile.arena_size + profile.pool_size)).saturating_sub(2)
    }

    /// Whether arenas have a process's own addresses: then one that lies in the middle of them.
    pub(crate) fn placed_around(&self) -> Option<Addr> {
        self.region.places.as_ref().and_then(|places| places.middle())
    }

    /// Takes arenas at these bases, which must not lie over each other; those obtained from now on lie at `later` first. Nothing must
    /// have been obtained before, and there must be no more than [`Self::most_placed`].
    pub(crate) fn place(&mut self, bases: &[Addr], later: &[Addr]) {
        // The first pool boundary at or below a base that is no boundary belongs to the slot too.
        let pool_size = 1 << self.pool_bits;
        self.slot_stride = self.arena_size + pool_size;
        let room = (u64::from(RAW_BIT) << self.alignment_bits) / self.slot_stride;
        self.max_slots = room.saturating_sub(2) as u32;
        let count = bases.len() as u32;
        self.grow_to(count);
        self.region = Region {
            slots: count,
            live: u64::from(count),
            obtained: u64::from(count),
            requests: u64::from(count),
            places: Some(Arc::new(Places::new(self.arena_size, pool_size, bases, later))),
            ..Region::default()
        };
    }

    /// A pool's address in the region.
    #[inline]
    fn inner_pool(&self, pool: SimPool) -> Addr {
        self.origin.offset(u64::from(pool.0.get()) << self.pool_bits)
    }

    /// A block's address in the region.
    #[inline]
    fn inner_block(&self, block: SimBlock) -> Addr {
        self.origin.offset(u64::from(block.0.get()) << self.alignment_bits)
    }

    /// The address in the region that stands for one of a process; any other as it is.
    #[inline]
    fn inner(&self, addr: Addr) -> Addr {
        match &self.region.places {
            None => addr,
            Some(places) => self.inner_of(places, addr),
        }
    }

    /// The way back.
    #[inline]
    fn outer(&self, addr: Addr) -> Addr {
        match &self.region.places {
            None => addr,
            Some(places) => self.outer_of(places, addr),
        }
    }

    // These stand by themselves so that a run without a picture, which asks for addresses all the time, has no more than a test.
    #[cold]
    #[inline(never)]
    fn inner_of(&self, places: &Places, addr: Addr) -> Addr {
        let Some((slot, offset)) = places.find(addr) else { return addr };
        self.region_base().offset(u64::from(slot) * self.slot_stride + offset)
    }

    #[cold]
    #[inline(never)]
    fn outer_of(&self, places: &Places, addr: Addr) -> Addr {
        let offset = addr.bytes_from(self.region_base());
        places.start(offset / self.slot_stride).map_or(addr, |start| start.offset(offset % self.slot_stride))
    }

    #[cold]
    #[inline(never)]
    fn outer_in(
        &self,
        places: &Places,
        pool: SimPool,
        block: SimBlock,
        next: Option<SimBlock>,
    ) -> (Addr, Addr, Option<Addr>) {
        let outer = |addr| self.outer_of(places, addr);
        (
            outer(self.inner_pool(pool)),
            outer(self.inner_block(block)),
            next.map(|next| outer(self.inner_block(next))),
        )
    }
}

/// Where memory lies that a hook hands out.
impl SimArenas {
    fn hooks_mut(&mut self) -> &mut ArenaHooks {
        let (pointer_bytes, arena_size) = (self.pointer_bytes, self.arena_size);
        self.region.hooks.get_or_insert_with(|| Box::new(ArenaHooks::new(pointer_bytes, arena_size)))
    }

    /// A place for an arena, shifted as the profile has it; `None` when the region is full.
    fn take_slot(&mut self) -> Option<Addr> {
        let slot =
            if let Some(slot) = self.region.free_slots.pop_first() { slot } else { self.new_slots(1)? };
        let shift = placement_shift(self.placement, self.region.obtained);
        self.region.obtained += 1;
        if let Some(places) = &mut self.region.places {
            return Arc::make_mut(places).put(slot);
        }
        Some(self.region_base().offset(u64::from(slot) * self.slot_stride + shift))
    }

    /// A place for an arena that begins behind the C library's header and so ends in the next slot.
    fn take_two_slots(&mut self) -> Option<Addr> {
        let slot = self.new_slots(2)?;
        self.region.obtained += 1;
        Some(self.region_base().offset(u64::from(slot) * self.slot_stride + MALLOC_HEADER_BYTES))
    }

    /// The first of `count` slots that were never used.
    fn new_slots(&mut self, count: u32) -> Option<u32> {
        if self.max_slots - self.region.slots < count {
            self.region.out_of_space = true;
            return None;
        }
        let first = self.region.slots;
        self.region.slots += count;
        self.grow_to(self.region.slots);
        Some(first)
    }

    fn free_slot(&mut self, base: Addr) {
        if let Some(places) = &mut self.region.places {
            self.region.free_slots.extend(Arc::make_mut(places).take(base));
            return;
        }
        let slot = base.bytes_from(self.region_base()) / self.slot_stride;
        self.region.free_slots.insert(slot as u32);
    }
}

impl ArenaBackend for SimArenas {
    type Pool = SimPool;
    type Block = SimBlock;
    type Ptr = SimPtr;

    fn obtain(&mut self) -> Option<Addr> {
        let region = &mut self.region;
        region.requests += 1;
        if region.live >= self.limit || self.fail_at.binary_search(&region.requests).is_ok() {
            return None;
        }
        let base = self.take_slot()?;
        self.region.live += 1;
        Some(base)
    }

    fn release(&mut self, base: Addr) {
        self.free_slot(base);
        self.region.live -= 1;
    }

    fn obtain_from_hook<O: Observer>(&mut self, observer: &mut O) -> Option<Addr> {
        let Some(hooks) = &mut self.region.hooks else { return self.obtain() };
        let source = hooks.alloc(self.arena_size, true, observer)?;
        let base = match source {
            Source::Mmap => self.obtain(),
            Source::Bump(_) => self.take_slot(),
            Source::Malloc => self.take_two_slots(),
        }?;
        if let Some(hooks) = &mut self.region.hooks {
            hooks.remember(base, self.arena_size, source);
        }
        Some(base)
    }

    fn release_to_hook<O: Observer>(&mut self, base: Addr, observer: &mut O) {
        let Some(hooks) = &mut self.region.hooks else {
            if base != Addr(0) {
                self.release(base);
            }
            return;
        };
        let freed = hooks.free(base, self.arena_size, true, observer);
        if freed.gone {
            match freed.source {
                Source::Mmap => self.release(base),
                Source::Bump(_) => self.free_slot(base),
                Source::Malloc => {
                    self.free_slot(base);
                    self.free_slot(base.offset(self.slot_stride));
                }
            }
        }
    }

    fn hooks(&self) -> Option<&ArenaHooks> {
        self.region.hooks.as_deref()
    }

    fn set_arena_allocator(&mut self, choice: ArenaChoice) {
        self.hooks_mut().set(choice);
    }

    fn virtual_alloc<O: Observer>(&mut self, size: u64, observer: &mut O) -> Option<Addr> {
        let hooks = self.hooks_mut();
        let source = hooks.alloc(size, size == hooks.arena_size(), observer)?;
        let at = hooks.chunk(size, source)?;
        hooks.remember(at, size, source);
        Some(at)
    }

    fn virtual_free<O: Observer>(&mut self, at: Addr, observer: &mut O) -> bool {
        let hooks = self.hooks_mut();
        let size = hooks.size_of(at);
        hooks.free(at, size, size == hooks.arena_size(), observer).gone
    }

    fn bookkeeping(&mut self, _bytes: u64) -> bool {
        self.region.bookkeeping_requests += 1;
        self.bookkeeping_fail_at.binary_search(&self.region.bookkeeping_requests).is_err()
    }

    #[inline]
    fn pool_at(&self, addr: Addr) -> SimPool {
        let addr = self.inner(addr);
        let number = (addr.bytes_from(self.origin) >> self.pool_bits) as u32;
        SimPool(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    }

    #[inline]
    fn pool_addr(&self, pool: SimPool) -> Addr {
        self.outer(self.inner_pool(pool))
    }

    #[inline]
    fn pool_of(&self, block: SimBlock) -> SimPool {
        SimPool(NonZeroU32::new(block.0.get() >> self.units_bits).unwrap_or(NonZeroU32::MIN))
    }

    #[inline]
    fn block_in(&self, pool: SimPool, offset: u32) -> SimBlock {
        let number = (pool.0.get() << self.units_bits) | (offset >> self.alignment_bits);
        SimBlock(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    }

    #[inline]
    fn block_addr(&self, block: SimBlock) -> Addr {
        self.outer(self.inner_block(block))
    }

    #[inline]
    fn addrs_in(&self, pool: SimPool, block: SimBlock, next: Option<SimBlock>) -> (Addr, Addr, Option<Addr>) {
        // Every operation names these three: one test for all of them.
        if let Some(places) = &self.region.places {
            return self.outer_in(places, pool, block, next);
        }
        (self.inner_pool(pool), self.inner_block(block), next.map(|next| self.inner_block(next)))
    }

    #[inline]
    fn header(&self, pool: SimPool) -> &PoolHeader<SimPool, SimBlock> {
        &self.pools[pool.0.get() as usize]
    }

    #[inline]
    fn header_mut(&mut self, pool: SimPool) -> &mut PoolHeader<SimPool, SimBlock> {
        let at = pool.0.get();
        self.log_header(at);
        self.dirty[at as usize] = 1;
        &mut self.pools[at as usize]
    }

    #[inline]
    fn link(&self, block: SimBlock) -> Option<SimBlock> {
        let number = block.0.get();
        let unit = u32::from(self.links[number as usize]);
        if unit == 0 {
            return None;
        }
        NonZeroU32::new((number >> self.units_bits << self.units_bits) | unit).map(SimBlock)
    }

    #[inline]
    fn set_link(&mut self, block: SimBlock, next: Option<SimBlock>) {
        let mask = (1_u32 << self.units_bits) - 1;
        let at = block.0.get();
        self.log_link(at);
        self.dirty[(at >> self.units_bits) as usize] = 1;
        self.links[at as usize] = next.map_or(0, |b| (b.0.get() & mask) as u16);
    }

    // As in the trait, with one look at each table.
    #[inline]
    fn pop(&mut self, pool: SimPool) -> Option<(SimBlock, Option<SimBlock>, u32)> {
        let at = pool.0.get();
        self.log_header(at);
        let header = &mut self.pools[at as usize];
        let block = header.freeblock?;
        let unit = u32::from(self.links[block.0.get() as usize]);
        let next = if unit == 0 { None } else { NonZeroU32::new(at << self.units_bits | unit).map(SimBlock) };
        header.freeblock = next;
        header.ref_count += 1;
        self.dirty[at as usize] = 1;
        Some((block, next, header.ref_count))
    }

    #[inline]
    fn push(&mut self, block: SimBlock) -> (SimPool, Option<SimBlock>, u32, u32) {
        let pool = self.pool_of(block);
        self.log_header(pool.0.get());
        self.log_link(block.0.get());
        let at = pool.0.get() as usize;
        let header = &mut self.pools[at];
        let last_free = header.freeblock.replace(block);
        header.ref_count = header.ref_count.wrapping_sub(1);
        self.dirty[at] = 1;
        let mask = (1_u32 << self.units_bits) - 1;
        self.links[block.0.get() as usize] = last_free.map_or(0, |b| b.0.get()) as u16 & mask as u16;
        (pool, last_free, header.ref_count, header.szidx)
    }

    #[inline]
    fn pack_block(block: SimBlock) -> SimPtr {
        SimPtr(block.0.get())
    }

    #[inline]
    fn pack_raw(raw: RawId) -> SimPtr {
        SimPtr(raw.0 | RAW_BIT)
    }

    #[inline]
    fn target(ptr: SimPtr) -> Target<SimBlock> {
        if ptr.0 & RAW_BIT != 0 {
            Target::Raw(RawId(ptr.0 & !RAW_BIT))
        } else {
            NonZeroU32::new(ptr.0).map_or(Target::Null, |b| Target::Block(SimBlock(b)))
        }
    }
}
