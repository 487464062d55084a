//! The blocks that are live at a step: where each lies, and the operation that it was born by.

use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::mimalloc::SLICE_BYTES;
use sim_core::tape::Packed;
use sim_core::{Addr, Machine, SizeClass, Trace};

use super::births::{Births, given, picture_block};
use super::layout::{Layout, Placed};
use crate::facts::{self, Heap};

/// An arena, or a segment of mimalloc, with what is in use of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Regions obtained before it; of recorded arenas, those at lower addresses.
    pub number: u64,
    /// Where it begins.
    pub base: Addr,
    /// Its bytes.
    pub bytes: u64,
    /// Blocks in use.
    pub blocks: u64,
    /// Their bytes, as blocks.
    pub block_bytes: u64,
    /// Whether no block of it can be had, as far as is known.
    pub full: bool,
}

/// Blocks from before the trace, which no operation gave: nobody but their class is known of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unborn {
    /// Its region, by place in [`Census::regions`].
    pub region: u32,
    /// Their class.
    pub class: SizeClass,
    /// Bytes of one.
    pub block_bytes: u64,
    /// How many.
    pub blocks: u64,
}

/// The blocks that are live at a step, in columns: those of the first region, of the second, …, then those that lie in none,
/// which are the C library's; each in the order of their births.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Census {
    /// Operations done.
    pub step: u64,
    /// Where the blocks lie.
    pub placed: Placed,
    /// Arenas or segments, by address.
    pub regions: Vec<Region>,
    /// Where each region's blocks begin in the columns; one more for the C library's, and the end.
    pub starts: Vec<u32>,
    /// The slot of each.
    pub slots: Vec<u32>,
    /// The operation that it was born by.
    pub births: Vec<u32>,
    /// Bytes asked for in it.
    pub asked: Vec<u64>,
    /// Where it begins, 0 for the C library's.
    pub addrs: Vec<Addr>,
    /// Bytes of the block; of the C library's what was asked for.
    pub block_bytes: Vec<u64>,
    /// Those that no operation gave.
    pub unborn: Vec<Unborn>,
    /// Small blocks whose address the recording does not have, or has where no block of their class can lie; they are among
    /// the C library's.
    pub astray: u64,
}

/// A block before it is put to its region.
struct Found {
    region: u32,
    slot: u32,
    birth: u32,
    asked: u64,
    addr: Addr,
    block_bytes: u64,
}

impl Found {
    fn new(birth: u32, op: Packed, region: u32, addr: Addr, block_bytes: u64) -> Self {
        // Of a block from before the trace only the block is known.
        let asked = if picture_block(birth).is_some() { block_bytes } else { op.size };
        Self { region, slot: op.slot.0, birth, asked, addr, block_bytes }
    }
}

/// The C library's, until regions are counted.
const NOWHERE: u32 = u32::MAX;

/// Regions by address.
struct Finder {
    ends: Vec<(u64, u64)>,
    last: usize,
}

impl Finder {
    fn new(regions: &[Region]) -> Self {
        Self { ends: regions.iter().map(|r| (r.base.0, r.base.0 + r.bytes)).collect(), last: 0 }
    }

    /// The region of an address, in the order of bases.
    #[inline]
    fn find(&mut self, addr: Addr) -> Option<u32> {
        let holds =
            |at: usize, ends: &[(u64, u64)]| ends.get(at).is_some_and(|e| (e.0..e.1).contains(&addr.0));
        if !holds(self.last, &self.ends) {
            self.last = self.ends.partition_point(|e| e.0 <= addr.0).checked_sub(1)?;
            if !holds(self.last, &self.ends) {
                return None;
            }
        }
        Some(self.last as u32)
    }
}

impl Census {
    /// Of a machine after the step of `births`, as the model places blocks.
    pub fn of_model(machine: &Machine, trace: &Trace, births: &Births) -> Self {
        let mut found = Vec::new();
        let mut unborn = Vec::new();
        let mut regions;
        if let Some(run) = machine.mimalloc() {
            let heap = run.heap();
            regions = heap.segments().iter().map(segment).collect::<Vec<_>>();
            let mut finder = Finder::new(&regions);
            for (birth, op) in live(births, trace) {
                let addr = machine.address(op.slot).filter(|addr| addr.0 != 0);
                let page = addr.and_then(|addr| Some((addr, finder.find(addr)?, heap.page_around(addr)?)));
                if let Some((addr, region, page)) = page {
                    let block_bytes = heap.page(page).block_bytes;
                    found.push(Found::new(birth, op, region, addr, block_bytes));
                } else if addr.is_some() || matches!(machine.target(op.slot), Target::Raw(_)) {
                    found.push(Found::new(birth, op, NOWHERE, Addr(0), op.size));
                }
            }
        } else {
            let heap = machine.pymalloc();
            let arenas = facts::arenas(heap);
            regions = arenas.iter().map(|arena| region(heap, arena)).collect();
            let mut finder = Finder::new(&regions);
            let memory = heap.memory();
            let sizes: Vec<u64> = classes(heap).map(|class| heap.profile().block_size(class)).collect();
            for (birth, op) in live(births, trace) {
                let (region, addr, block_bytes) = match machine.target(op.slot) {
                    Target::Null => continue,
                    Target::Raw(id) => (NOWHERE, Addr(0), machine.raw().get(id).nbytes),
                    Target::Block(block) => {
                        let addr = memory.block_addr(block);
                        let class = memory.header(memory.pool_of(block)).szidx as usize;
                        match (finder.find(addr), sizes.get(class)) {
                            (Some(region), Some(size)) => (region, addr, *size),
                            // Another interpreter's, or a heap that its program broke.
                            _ => (NOWHERE, Addr(0), op.size),
                        }
                    }
                };
                found.push(Found::new(birth, op, region, addr, block_bytes));
            }
            unborn = from_before(heap, &arenas, &regions, &found);
        }
        for block in &found {
            if let Some(region) = regions.get_mut(block.region as usize) {
                region.blocks += 1;
                region.block_bytes += block.block_bytes;
            }
        }
        for other in &unborn {
            regions[other.region as usize].blocks += other.blocks;
            regions[other.region as usize].block_bytes += other.blocks * other.block_bytes;
        }
        Self::sorted(births.step(), Placed::Model, regions, found, unborn, 0)
    }

    /// Of the recorded addresses of the blocks that are live after the step of `births`.
    pub fn as_recorded(layout: &Layout, trace: &Trace, births: &Births) -> Self {
        let profile = layout.profile();
        let mut found = Vec::new();
        let mut astray = 0;
        // An arena's window begins with a pool, so it has this many places for pools.
        let pools_of_arena = layout.pools_of_arena() as usize;
        // Blocks in each place, and how many the pool holds.
        let mut pools = vec![(0_u64, 0_u64); layout.arenas() * pools_of_arena];
        let mut regions: Vec<Region> = layout
            .bases()
            .zip(0..)
            .map(|(base, number)| Region {
                number,
                base,
                bytes: profile.arena_size,
                blocks: 0,
                block_bytes: 0,
                full: false,
            })
            .collect();
        for (birth, op) in live(births, trace) {
            let address = picture_block(birth).is_none().then(|| trace.address_of(birth as usize)).flatten();
            let pool = address.and_then(|addr| layout.pool_of(op, addr));
            let Some((pool, class)) = pool else {
                astray += u64::from(layout.is_small(op));
                found.push(Found::new(birth, op, NOWHERE, Addr(0), op.size));
                continue;
            };
            let Some(region) = layout.arena_of(pool) else { continue };
            let block_bytes = profile.block_size(class);
            let addr = address.unwrap_or_default();
            found.push(Found::new(birth, op, region as u32, addr, block_bytes));
            let kept = &mut regions[region];
            kept.blocks += 1;
            kept.block_bytes += block_bytes;
            let place = (pool.bytes_from(kept.base) / profile.pool_size) as usize;
            if let Some(pool) = pools.get_mut(region * pools_of_arena + place) {
                *pool = (pool.0 + 1, profile.num_blocks(class));
            }
        }
        // An arena that is not aligned to pools has one less.
        for (region, pools) in regions.iter_mut().zip(pools.chunks(pools_of_arena)) {
            let full = pools.iter().filter(|pool| pool.1 > 0 && pool.0 >= pool.1).count();
            region.full = full + 1 >= pools_of_arena;
        }
        // What no live block lies in may have been given back.
        let mut number = 0;
        let numbers: Vec<u32> = regions
            .iter()
            .map(|region| {
                number += u32::from(region.blocks > 0);
                number.saturating_sub(1)
            })
            .collect();
        for block in &mut found {
            if let Some(number) = numbers.get(block.region as usize) {
                block.region = *number;
            }
        }
        regions.retain(|region| region.blocks > 0);
        Self::sorted(births.step(), Placed::Recorded, regions, found, Vec::new(), astray)
    }

    /// Puts each block to its region.
    fn sorted(
        step: u64,
        placed: Placed,
        regions: Vec<Region>,
        found: Vec<Found>,
        unborn: Vec<Unborn>,
        astray: u64,
    ) -> Self {
        let last = regions.len();
        let place = |region: u32| last.min(region as usize);
        let mut starts = vec![0_u32; last + 2];
        for block in &found {
            starts[place(block.region) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let count = found.len();
        let mut census = Self {
            step,
            placed,
            regions,
            starts,
            slots: vec![0; count],
            births: vec![0; count],
            asked: vec![0; count],
            addrs: vec![Addr(0); count],
            block_bytes: vec![0; count],
            unborn,
            astray,
        };
        for block in found {
            let next = &mut next[place(block.region)];
            let at = *next as usize;
            *next += 1;
            census.slots[at] = block.slot;
            census.births[at] = block.birth;
            census.asked[at] = block.asked;
            census.addrs[at] = block.addr;
            census.block_bytes[at] = block.block_bytes;
        }
        census
    }

    /// Blocks that the columns have.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no block is live.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.unborn.is_empty()
    }

    /// The places of a region's blocks in the columns; the number of regions stands for the C library.
    pub fn range(&self, region: usize) -> std::ops::Range<usize> {
        let at = |index: usize| self.starts.get(index).map_or(0, |start| *start as usize);
        at(region)..at(region + 1)
    }

    /// Bytes of all regions.
    pub fn held_bytes(&self) -> u64 {
        self.regions.iter().map(|region| region.bytes).sum()
    }

    /// Bytes of the blocks in use in them, as blocks.
    pub fn used_bytes(&self) -> u64 {
        self.regions.iter().map(|region| region.block_bytes).sum()
    }

    /// Regions with both blocks in use and room.
    pub fn part_used(&self) -> u64 {
        self.regions.iter().filter(|region| region.blocks > 0 && !region.full).count() as u64
    }
}

/// The operations that live blocks were born by, in order.
fn live(births: &Births, trace: &Trace) -> impl Iterator<Item = (u32, Packed)> {
    births.in_order().map(|birth| (birth, given(trace, birth)))
}

fn classes(heap: &Heap) -> impl Iterator<Item = SizeClass> {
    (0..heap.profile().nb_small_size_classes()).map(SizeClass)
}

fn segment(segment: &sim_core::mimalloc::SegmentView) -> Region {
    Region {
        number: u64::from(segment.ordinal),
        base: segment.base,
        bytes: u64::from(segment.slices) * SLICE_BYTES,
        blocks: 0,
        block_bytes: 0,
        full: segment.free_slices == 0,
    }
}

fn region(heap: &Heap, arena: &facts::ArenaFacts) -> Region {
    let full = arena.nfreepools == 0
        && heap.carved_pools(arena.id.index).all(|pool| heap.memory().header(pool).freeblock.is_none());
    Region {
        number: arena.id.ordinal,
        base: arena.base,
        bytes: heap.profile().arena_size,
        blocks: 0,
        block_bytes: 0,
        full,
    }
}

/// What pool headers count and no pointer of the program leads to.
fn from_before(
    heap: &Heap,
    arenas: &[facts::ArenaFacts],
    regions: &[Region],
    found: &[Found],
) -> Vec<Unborn> {
    let memory = heap.memory();
    let mut known = vec![0_u64; regions.len()];
    for block in found {
        if let Some(known) = known.get_mut(block.region as usize) {
            *known += 1;
        }
    }
    // Pools are looked at where an arena has more blocks than are known.
    let mut wanting = vec![false; regions.len()];
    for ((arena, known), wanting) in arenas.iter().zip(&known).zip(&mut wanting) {
        let used: u64 =
            heap.carved_pools(arena.id.index).map(|pool| u64::from(memory.header(pool).ref_count)).sum();
        *wanting = used > *known;
    }
    if !wanting.contains(&true) {
        return Vec::new();
    }
    let pool_size = heap.profile().pool_size;
    let pools_of_arena = heap.profile().max_pools_in_arena() as usize;
    let mut by_pool = vec![0_u64; regions.len() * pools_of_arena];
    let place = |region: usize, addr: Addr| {
        let first = arenas.get(region)?.first_pool;
        Some(region * pools_of_arena + (addr.0.checked_sub(first.0)? / pool_size) as usize)
    };
    for block in found.iter().filter(|block| wanting.get(block.region as usize) == Some(&true)) {
        if let Some(count) = place(block.region as usize, block.addr).and_then(|at| by_pool.get_mut(at)) {
            *count += 1;
        }
    }
    let mut all: Vec<Unborn> = Vec::new();
    for ((region, arena), _) in (0..).zip(arenas).zip(&wanting).filter(|(_, wanting)| **wanting) {
        let mut counts = vec![0_u64; usize::from(heap.profile().nb_small_size_classes())];
        for pool in heap.carved_pools(arena.id.index) {
            let header = memory.header(pool);
            let at = place(region as usize, memory.pool_addr(pool));
            let known = at.and_then(|at| by_pool.get(at)).copied().unwrap_or(0);
            if let Some(count) = counts.get_mut(header.szidx as usize) {
                *count += u64::from(header.ref_count).saturating_sub(known);
            }
        }
        all.extend(classes(heap).zip(counts).filter(|(_, blocks)| *blocks > 0).map(|(class, blocks)| {
            Unborn { region, class, block_bytes: heap.profile().block_size(class), blocks }
        }));
    }
    all
}
