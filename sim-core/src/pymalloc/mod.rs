//! pymalloc: size classes, pools, arenas, radix tree; malloc, free and realloc of small blocks.
//!
//! The algorithm of `Objects/obmalloc.c`, written once over [`ArenaBackend`]. It knows neither domains
//! nor the C library: what it does not serve it hands back to its caller. Functions carry the names
//! they have in `CPython`.

mod alloc;
mod arena_map;
mod arena_object;
mod begin;
mod free;
mod places;
mod realloc;
mod saved;
mod state;
mod undo;
mod verify;

pub use arena_map::{ArenaCoverage, ArenaMap};
pub use arena_object::ArenaObject;
pub(crate) use arena_object::Growth;
pub use realloc::Realloc;
pub(crate) use saved::SavedPymalloc;
pub use state::Parked;
pub(crate) use undo::{Beside, Changed};
pub use verify::Violation;

use std::sync::Arc;

use crate::addr::{Addr, ArenaId, SizeClass};
use crate::arena::ArenaBackend;
use crate::profile::{Ownership, Profile};

/// `_obmalloc_state`: everything pymalloc remembers, over the memory `A`.
#[derive(Clone, Debug)]
pub struct Pymalloc<A: ArenaBackend> {
    profile: Profile,
    alignment_bits: u32,
    threshold: u64,
    pool_overhead: u32,

    memory: A,
    /// `usedpools`: the front pool of each size class.
    used: Vec<Option<A::Pool>>,
    arenas: Vec<ArenaObject<A::Pool>>,
    /// Where `arenas` lies, where its memory came through RAW's table and is looked at; else 0.
    arenas_at: Addr,
    unused_arena_objects: Option<u32>,
    usable_arenas: Option<u32>,
    nfp2lasta: Vec<Option<u32>>,
    /// Shared with saved states until an arena comes or goes.
    arena_map: Arc<ArenaMap>,

    narenas_currently_allocated: u64,
    ntimes_arena_allocated: u64,
    narenas_highwater: u64,
    /// Arenas that the arena allocator gave, one that the radix tree could not mark among them. Not in CPython: the names of
    /// arenas.
    arenas_given: u64,
    /// `raw_allocated_blocks`: kept by the callers that fall back to RAW.
    pub raw_allocated_blocks: i64,
}

/// The counters of `_obmalloc_state`, as `CPython` names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ArenaCounters {
    /// Arenas live now.
    pub narenas_currently_allocated: u64,
    /// Arenas ever obtained.
    pub ntimes_arena_allocated: u64,
    /// The most arenas that were live at once.
    pub narenas_highwater: u64,
}

impl<A: ArenaBackend> Pymalloc<A> {
    /// Pristine state over `memory`. The profile must have passed [`Profile::validate`].
    pub fn new(profile: &Profile, memory: A) -> Self {
        Self {
            alignment_bits: profile.alignment.trailing_zeros(),
            threshold: profile.small_request_threshold,
            pool_overhead: profile.pool_overhead() as u32,
            memory,
            used: vec![None; usize::from(profile.nb_small_size_classes())],
            arenas: Vec::new(),
            arenas_at: Addr(0),
            unused_arena_objects: None,
            usable_arenas: None,
            nfp2lasta: vec![None; profile.max_pools_in_arena() as usize + 1],
            arena_map: Arc::new(ArenaMap::new(profile)),
            narenas_currently_allocated: 0,
            ntimes_arena_allocated: 0,
            narenas_highwater: 0,
            arenas_given: 0,
            raw_allocated_blocks: 0,
            profile: profile.clone(),
        }
    }

    /// The constants this state runs with.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The memory below.
    pub fn memory(&self) -> &A {
        &self.memory
    }

    /// The memory, to replace what arenas come from.
    pub fn memory_mut(&mut self) -> &mut A {
        &mut self.memory
    }

    /// `usedpools` and the memory, both to be changed, and `SMALL_REQUEST_THRESHOLD`.
    pub(crate) fn quick_parts(&mut self) -> (&mut [Option<A::Pool>], &mut A, u32) {
        (&mut self.used, &mut self.memory, self.threshold as u32)
    }

    /// The front pool of a class's `usedpools` list.
    pub fn used_front(&self, class: SizeClass) -> Option<A::Pool> {
        self.used.get(usize::from(class.0)).copied().flatten()
    }

    /// Pools of one class that have both used and free blocks, front first. A broken heap can bend the list into a circle; it
    /// ends after as many pools as there can be.
    pub fn used_pools(&self, class: SizeClass) -> impl Iterator<Item = A::Pool> + '_ {
        std::iter::successors(self.used_front(class), |&p| self.memory.header(p).nextpool)
            .take(self.most_pools())
    }

    /// All arena records, the unassociated ones included.
    pub fn arenas(&self) -> &[ArenaObject<A::Pool>] {
        &self.arenas
    }

    /// Record indices of the arenas that are live.
    pub fn live_arenas(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.arenas).filter(|(_, a)| a.address.is_some()).map(|(index, _)| index)
    }

    /// The block that an address in an arena points to: `CPython` takes any address inside a pool for one.
    pub fn block_at(&self, addr: Addr) -> A::Block {
        let offset = addr.0 & (self.profile.pool_size - 1);
        let pool = self.memory.pool_at(Addr(addr.0 - offset));
        self.memory.block_in(pool, offset as u32)
    }

    /// The name of the arena at a record index.
    pub fn arena_id(&self, index: u32) -> ArenaId {
        ArenaId { index, ordinal: self.arenas[index as usize].ordinal }
    }

    /// Record indices of `usable_arenas`, head first.
    pub fn usable_arenas(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.usable_arenas, |&a| self.arenas[a as usize].nextarena)
            .take(self.arenas.len())
    }

    /// Record indices on the `unused_arena_objects` stack, top first.
    pub fn unused_arena_objects(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.unused_arena_objects, |&a| self.arenas[a as usize].nextarena)
            .take(self.arenas.len())
    }

    /// `nfp2lasta`: for each number of free pools the rightmost usable arena that has it.
    pub fn nfp2lasta(&self) -> &[Option<u32>] {
        &self.nfp2lasta
    }

    /// Pools on an arena's `freepools` stack, top first.
    pub fn freepools(&self, index: u32) -> impl Iterator<Item = A::Pool> + '_ {
        std::iter::successors(self.arenas[index as usize].freepools, |&p| self.memory.header(p).nextpool)
            .take(self.most_pools())
    }

    /// Every pool carved from an arena, by address.
    pub fn carved_pools(&self, index: u32) -> impl Iterator<Item = A::Pool> + '_ {
        self.arenas[index as usize].carved_pools(&self.profile).map(|at| self.memory.pool_at(at))
    }

    /// A pool's free list, head first. A double free can bend it into a circle; it ends after as many
    /// blocks as a pool can hold.
    pub fn free_list(&self, pool: A::Pool) -> impl Iterator<Item = A::Block> + '_ {
        let most = self.profile.pool_size >> self.alignment_bits;
        std::iter::successors(self.memory.header(pool).freeblock, |&b| self.memory.link(b))
            .take(most as usize)
    }

    /// The radix tree; empty in builds without one.
    pub fn arena_map(&self) -> &ArenaMap {
        &self.arena_map
    }

    /// The arena counters.
    pub fn counters(&self) -> ArenaCounters {
        ArenaCounters {
            narenas_currently_allocated: self.narenas_currently_allocated,
            ntimes_arena_allocated: self.ntimes_arena_allocated,
            narenas_highwater: self.narenas_highwater,
        }
    }

    /// `(n - 1) >> ALIGNMENT_SHIFT`, `None` when a request is not small (0 or over the threshold).
    #[inline]
    pub fn size_class(&self, nbytes: u64) -> Option<SizeClass> {
        let below = nbytes.wrapping_sub(1);
        (below < self.threshold).then(|| SizeClass((below >> self.alignment_bits) as u16))
    }

    /// `INDEX2SIZE`, in bytes.
    #[inline]
    fn block_bytes(&self, szidx: u32) -> u32 {
        (szidx + 1) << self.alignment_bits
    }

    /// The first pool-aligned address of an arena.
    pub fn first_pool_addr(&self, base: Addr) -> Addr {
        self.profile.first_pool_addr(base)
    }

    /// `address_in_range`: whether an address belongs to this pymalloc.
    ///
    /// Builds without the radix tree read `arenaindex` from the page the address lies in; memory that is
    /// no arena's is taken to hold no number that passes their test by accident.
    pub fn address_in_range(&self, addr: Addr) -> bool {
        match self.profile.ownership {
            Ownership::Radix => self.arena_map.is_used(addr),
            Ownership::ArenaIndex => self.arenas.iter().any(|a| a.holds(addr, &self.profile)),
        }
    }

    /// The live arena an address lies in.
    pub fn arena_of(&self, addr: Addr) -> Option<ArenaId> {
        self.arenas.iter().position(|a| a.holds(addr, &self.profile)).map(|i| self.arena_id(i as u32))
    }

    /// Bytes that pymalloc's own tables take here, the simulated memory excluded.
    pub fn table_bytes(&self) -> u64 {
        (self.used.capacity() * size_of::<Option<A::Pool>>()
            + self.arenas.capacity() * size_of::<ArenaObject<A::Pool>>()
            + self.nfp2lasta.capacity() * size_of::<Option<u32>>()) as u64
            + self.arena_map.state_bytes()
    }

    fn header(&self, pool: A::Pool) -> &crate::arena::PoolHeader<A::Pool, A::Block> {
        self.memory.header(pool)
    }

    fn arena_mut(&mut self, index: u32) -> &mut ArenaObject<A::Pool> {
        &mut self.arenas[index as usize]
    }
}
