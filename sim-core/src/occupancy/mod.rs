//! Who uses how much of what pymalloc holds, and `CPython`'s text on it.

mod debugmallocstats;

pub use debugmallocstats::{debugmallocstats, grouped};

use crate::addr::SizeClass;
use crate::arena::ArenaBackend;
use crate::profile::Profile;
use crate::pymalloc::{ArenaObject, Pymalloc};

/// Pools and blocks of one size class, counted over pools with at least one used block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassUse {
    /// The class.
    pub class: SizeClass,
    /// Bytes of a block.
    pub block_size: u64,
    /// Pools with a used block.
    pub pools: u64,
    /// Used blocks.
    pub blocks: u64,
    /// Free blocks of those pools, never carved ones included.
    pub avail: u64,
}

/// The state of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PoolState {
    /// Some blocks used, some free; on its class's used list.
    Used,
    /// All blocks used; on no list.
    Full,
    /// No block used; on its arena's `freepools`.
    Empty,
    /// Beyond `pool_address`: part of the arena, never a pool yet.
    NeverCarved,
}

/// Every byte of every arena, by what it is used for. All sums in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occupancy {
    /// Each size class, in order.
    pub classes: Vec<ClassUse>,
    /// Live arenas.
    pub arenas: u64,
    /// Bytes in used blocks.
    pub allocated_bytes: u64,
    /// Bytes in free blocks of pools with a used block.
    pub available_bytes: u64,
    /// Free pools: emptied or never carved.
    pub unused_pools: u64,
    /// Bytes of headers of pools with a used block.
    pub header_bytes: u64,
    /// Bytes at the ends of those pools.
    pub quantization_bytes: u64,
    /// Bytes lost in arenas that are not pool-aligned.
    pub alignment_bytes: u64,
}

impl Occupancy {
    /// Counts over all arenas, as `_PyObject_DebugMallocStats` does.
    pub fn of<A: ArenaBackend>(pymalloc: &Pymalloc<A>) -> Self {
        Self::of_arenas(pymalloc.profile(), pymalloc.memory(), pymalloc.arenas())
    }

    /// Counts over arena records, which may be those of an interpreter that does not run now.
    pub(crate) fn of_arenas<A: ArenaBackend>(
        profile: &Profile,
        memory: &A,
        records: &[ArenaObject<A::Pool>],
    ) -> Self {
        // Sums are size_t in CPython: after a double free a count that wrapped around makes them wrap, too.
        let size_t = |sum: u64| if profile.pointer_bytes == 4 { sum & u64::from(u32::MAX) } else { sum };
        let mut classes: Vec<ClassUse> = (0..profile.nb_small_size_classes())
            .map(|c| ClassUse {
                class: SizeClass(c),
                block_size: profile.block_size(SizeClass(c)),
                pools: 0,
                blocks: 0,
                avail: 0,
            })
            .collect();
        let (mut arenas, mut unused_pools, mut alignment_bytes) = (0, 0, 0);
        for arena in records {
            let Some(base) = arena.address else { continue };
            arenas += 1;
            unused_pools += u64::from(arena.nfreepools);
            if profile.first_pool_addr(base) != base {
                alignment_bytes += profile.pool_size;
            }
            for pool in arena.carved_pools(profile) {
                let header = memory.header(memory.pool_at(pool));
                if header.ref_count > 0
                    && let Some(class) = classes.get_mut(header.szidx as usize)
                {
                    class.pools += 1;
                    class.blocks += u64::from(header.ref_count);
                    // CPython's uint arithmetic: after a double free the count may have wrapped around.
                    let capacity = profile.num_blocks(class.class) as u32;
                    class.avail += u64::from(capacity.wrapping_sub(header.ref_count));
                }
            }
        }
        for class in &mut classes {
            (class.blocks, class.avail) = (size_t(class.blocks), size_t(class.avail));
        }
        let sum = |f: &dyn Fn(&ClassUse) -> u64| size_t(classes.iter().map(f).fold(0, u64::wrapping_add));
        Self {
            arenas,
            allocated_bytes: sum(&|c| c.blocks.wrapping_mul(c.block_size)),
            available_bytes: sum(&|c| c.avail.wrapping_mul(c.block_size)),
            unused_pools,
            header_bytes: sum(&|c| c.pools * profile.pool_overhead()),
            quantization_bytes: sum(&|c| c.pools * profile.quantization_bytes(c.class)),
            alignment_bytes,
            classes,
        }
    }

    /// Adds what another interpreter's state holds.
    pub(crate) fn add(&mut self, other: &Self) {
        for (class, of) in self.classes.iter_mut().zip(&other.classes) {
            class.pools += of.pools;
            class.blocks += of.blocks;
            class.avail += of.avail;
        }
        self.arenas += other.arenas;
        self.allocated_bytes += other.allocated_bytes;
        self.available_bytes += other.available_bytes;
        self.unused_pools += other.unused_pools;
        self.header_bytes += other.header_bytes;
        self.quantization_bytes += other.quantization_bytes;
        self.alignment_bytes += other.alignment_bytes;
    }

    /// Bytes of all of it: `Total` of the text.
    pub fn total_bytes(&self, profile: &Profile) -> u64 {
        let total = self
            .allocated_bytes
            .wrapping_add(self.available_bytes)
            .wrapping_add(self.unused_pools * profile.pool_size)
            .wrapping_add(self.header_bytes + self.quantization_bytes + self.alignment_bytes);
        if profile.pointer_bytes == 4 { total & u64::from(u32::MAX) } else { total }
    }

    /// Blocks in use in pools.
    pub fn blocks(&self) -> u64 {
        self.classes.iter().map(|c| c.blocks).sum()
    }
}

impl PoolState {
    /// The state of a carved pool.
    pub fn of<A: ArenaBackend>(pymalloc: &Pymalloc<A>, pool: A::Pool) -> Self {
        let header = pymalloc.memory().header(pool);
        if header.ref_count == 0 {
            Self::Empty
        } else if header.freeblock.is_none() {
            Self::Full
        } else {
            Self::Used
        }
    }
}
