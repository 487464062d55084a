//! What can be said of a place on the map: which arena, pool and block an address lies in and how they are.
//!
//! Facts are plain data, read off a heap once; they can be kept, compared and sent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim_core::arena::{ArenaBackend as _, DUMMY_SIZE_IDX, SimArenas, SimPool};
use sim_core::pymalloc::Pymalloc;
use sim_core::raw::RawModel;
use sim_core::report::PoolState;
use sim_core::{Addr, ArenaId, Profile, SizeClass};

/// The allocator as the window sees it.
pub type Heap = Pymalloc<SimArenas>;

/// The largest request that a process of a profile can be given.
pub fn largest_request(profile: &Profile) -> u64 {
    profile.py_ssize_t_max().min(RawModel::room(profile.pointer_bytes) - 1)
}

/// The state of one block of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BlockState {
    /// Handed out.
    Live,
    /// On the pool's free list, counted from its head.
    Free(u32),
    /// At or beyond `nextoffset`.
    NeverCarved,
    /// In a recorded heap: free, or with a block from before the recording.
    Unknown,
}

/// One live arena, as its `arena_object` has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArenaFacts {
    /// Its name.
    pub id: ArenaId,
    /// What the arena allocator returned.
    pub base: Addr,
    /// Its first pool, `base` unless it is misaligned.
    pub first_pool: Addr,
    /// The next pool to carve; everything below was a pool before.
    pub pool_address: Addr,
    /// Pools that any class may take.
    pub nfreepools: u32,
    /// All its pools.
    pub ntotalpools: u32,
}

impl ArenaFacts {
    /// Pools that a class has.
    pub fn pools_in_use(&self) -> u32 {
        self.ntotalpools - self.nfreepools
    }
}

/// One pool, carved or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolFacts {
    /// Its arena.
    pub arena: ArenaId,
    /// Where it starts.
    pub addr: Addr,
    /// Which pool of its arena, from 0.
    pub index: u32,
    /// Used, full, empty or never carved.
    pub state: PoolState,
    /// Its size class, once it has one.
    pub class: Option<SizeClass>,
    /// Blocks in use.
    pub used: u32,
    /// Blocks it holds in its class, 0 without a class.
    pub capacity: u32,
    /// Bytes of one block, 0 without a class.
    pub block_size: u32,
}

impl PoolFacts {
    /// A pool of a class, or of none yet.
    pub fn new(
        profile: &Profile,
        arena: &ArenaFacts,
        index: u32,
        state: PoolState,
        class: Option<SizeClass>,
        used: u32,
    ) -> Self {
        Self {
            arena: arena.id,
            addr: arena.first_pool.offset(u64::from(index) * profile.pool_size),
            index,
            state,
            class,
            used,
            capacity: class.map_or(0, |class| profile.num_blocks(class) as u32),
            block_size: class.map_or(0, |class| profile.block_size(class) as u32),
        }
    }

    /// Blocks in use as a share of all, 0 to 1. A double free can make the count wrap around.
    pub fn share(&self) -> f32 {
        if self.capacity == 0 { 0.0 } else { (self.used as f32 / self.capacity as f32).min(1.0) }
    }
}

/// One block of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockFacts {
    /// Where it starts.
    pub addr: Addr,
    /// Its pool.
    pub pool: Addr,
    /// Which block of its pool, from 0.
    pub index: u32,
    /// Bytes from the pool's start.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Its class.
    pub class: SizeClass,
    /// Live, free or never carved.
    pub state: BlockState,
}

/// The live arenas by address, which is how the map shows them.
pub fn arenas(heap: &Heap) -> Vec<ArenaFacts> {
    let mut all: Vec<_> = (0..heap.arenas().len() as u32).filter_map(|i| arena(heap, i)).collect();
    all.sort_by_key(|a| a.base);
    all
}

/// The arena at a record index, if there is one.
pub fn arena(heap: &Heap, index: u32) -> Option<ArenaFacts> {
    let record = heap.arenas().get(index as usize)?;
    let base = record.address?;
    Some(ArenaFacts {
        id: heap.arena_id(index),
        base,
        first_pool: heap.first_pool_addr(base),
        pool_address: record.pool_address,
        nfreepools: record.nfreepools,
        ntotalpools: record.ntotalpools,
    })
}

/// The arena that is still the one this name was given to.
pub fn same_arena(heap: &Heap, id: ArenaId) -> Option<ArenaFacts> {
    arena(heap, id.index).filter(|a| a.id == id)
}

/// The header's handle of a pool that was carved.
pub fn carved(heap: &Heap, pool: &PoolFacts) -> Option<SimPool> {
    (pool.state != PoolState::NeverCarved).then(|| heap.memory().pool_at(pool.addr))
}

/// Pool number `index` of an arena.
pub fn pool_of_arena(heap: &Heap, arena: &ArenaFacts, index: u32) -> Option<PoolFacts> {
    if index >= arena.ntotalpools {
        return None;
    }
    let profile = heap.profile();
    let addr = arena.first_pool.offset(u64::from(index) * profile.pool_size);
    if addr >= arena.pool_address {
        return Some(PoolFacts::new(profile, arena, index, PoolState::NeverCarved, None, 0));
    }
    let pool = heap.memory().pool_at(addr);
    let header = heap.memory().header(pool);
    let class = (header.szidx != DUMMY_SIZE_IDX).then_some(SizeClass(header.szidx as u16));
    Some(PoolFacts::new(profile, arena, index, PoolState::of(heap, pool), class, header.ref_count))
}

/// The pool that holds an address.
pub fn pool_at(heap: &Heap, addr: Addr) -> Option<PoolFacts> {
    let arena = arena(heap, heap.arena_of(addr)?.index)?;
    if addr < arena.first_pool {
        return None;
    }
    let index = addr.bytes_from(arena.first_pool) / heap.profile().pool_size;
    pool_of_arena(heap, &arena, index as u32)
}

/// A pool's free list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FreeList {
    /// Its blocks from the head on, each once.
    pub blocks: Vec<Addr>,
    /// The block of them that the last one names, where the list runs in a circle, as it does after a double free.
    pub back_to: Option<Addr>,
}

/// The free list of a pool, empty where none was carved.
pub fn free_list(heap: &Heap, pool: &PoolFacts) -> FreeList {
    let mut list = FreeList::default();
    let Some(handle) = carved(heap, pool) else { return list };
    let mut met = BTreeSet::new();
    for block in heap.free_list(handle) {
        let addr = heap.memory().block_addr(block);
        if !met.insert(addr) {
            list.back_to = Some(addr);
            break;
        }
        list.blocks.push(addr);
    }
    list
}

/// The states of all blocks of a pool, in order of address.
pub fn block_states(heap: &Heap, pool: &PoolFacts) -> Vec<BlockState> {
    let Some(handle) = carved(heap, pool) else { return Vec::new() };
    let header = heap.memory().header(handle);
    let overhead = heap.profile().pool_overhead() as u32;
    let mut states: Vec<BlockState> = (0..pool.capacity)
        .map(|i| {
            if overhead + i * pool.block_size >= header.nextoffset {
                BlockState::NeverCarved
            } else {
                BlockState::Live
            }
        })
        .collect();
    for (position, block) in free_list(heap, pool).blocks.into_iter().enumerate() {
        let offset = block.bytes_from(pool.addr) as u32;
        if let Some(state) = states.get_mut((offset.saturating_sub(overhead) / pool.block_size) as usize) {
            *state = BlockState::Free(position as u32);
        }
    }
    states
}

/// The block that holds an address; `None` for headers, tails and memory without a class.
pub fn block_at(heap: &Heap, addr: Addr) -> Option<BlockFacts> {
    let pool = pool_at(heap, addr)?;
    let class = pool.class?;
    let offset = addr.bytes_from(pool.addr) as u32;
    let within = offset.checked_sub(heap.profile().pool_overhead() as u32)?;
    let index = within / pool.block_size;
    if index >= pool.capacity {
        return None;
    }
    let state = *block_states(heap, &pool).get(index as usize)?;
    Some(block_of_pool(heap.profile(), &pool, class, index, state))
}

/// Block number `index` of a pool.
pub fn block_of_pool(
    profile: &Profile,
    pool: &PoolFacts,
    class: SizeClass,
    index: u32,
    state: BlockState,
) -> BlockFacts {
    let offset = block_offset(profile, pool, index);
    BlockFacts {
        addr: pool.addr.offset(u64::from(offset)),
        pool: pool.addr,
        index,
        offset,
        size: pool.block_size,
        class,
        state,
    }
}

/// Bytes from a pool's start to one of its blocks.
pub fn block_offset(profile: &Profile, pool: &PoolFacts, index: u32) -> u32 {
    profile.pool_overhead() as u32 + index * pool.block_size
}

/// A pool's state in `CPython`'s word.
pub fn state_word(state: PoolState) -> &'static str {
    match state {
        PoolState::Used => "used",
        PoolState::Full => "full",
        PoolState::Empty => "empty",
        PoolState::NeverCarved => "never carved",
    }
}
