//! Where the bytes went that an allocator holds: asked for, or lost to one of its rules.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::{Machine, Slot};

use super::asked::Asked;
use crate::diagnosis::waterfall::{Cause, beside_blocks, block_parts};

/// Bytes that an allocator holds and nobody asked for, by why. In mimalloc a pool is a page, and what is left of its slices beside
/// blocks is quantization.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Losses {
    /// Sizes rounded up to those of their classes.
    pub rounding: u64,
    /// Free blocks of pools with a used block.
    pub free_in_used_pools: u64,
    /// Pools that no class has, those never carved too.
    pub unused_pools: u64,
    /// Headers of pools with a used block; mimalloc's of segments.
    pub headers: u64,
    /// Ends of pools with a used block that no block covers.
    pub quantization: u64,
    /// Arenas that do not begin where a pool does.
    pub alignment: u64,
    /// What debug hooks put around blocks.
    pub debug: u64,
}

impl Losses {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.parts().iter().map(|part| part.1).sum()
    }

    /// Each with what a waterfall calls it.
    pub fn parts(&self) -> [(Cause, u64); 7] {
        [
            (Cause::Rounding, self.rounding),
            (Cause::DebugHooks, self.debug),
            (Cause::FreeBlocks, self.free_in_used_pools),
            (Cause::EmptyPools, self.unused_pools),
            (Cause::PoolHeaders, self.headers),
            (Cause::PoolTails, self.quantization),
            (Cause::Alignment, self.alignment),
        ]
    }
}

/// All bytes of arenas or segments at one step.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Ledger {
    /// Asked for in live blocks, with the whole of blocks that no pointer of the program leads to.
    pub asked: u64,
    /// The others.
    pub losses: Losses,
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        let (all, of) = (&mut self.losses, other.losses);
        all.rounding += of.rounding;
        all.free_in_used_pools += of.free_in_used_pools;
        all.unused_pools += of.unused_pools;
        all.headers += of.headers;
        all.quantization += of.quantization;
        all.alignment += of.alignment;
        all.debug += of.debug;
    }
}

/// What is known of blocks by the program's pointers.
#[derive(Default)]
struct Named {
    bytes: u64,
    ledger: Ledger,
}

impl Named {
    /// A block of so many bytes, where so many were asked for.
    fn add(&mut self, bytes: u64, asked: u64, debug: u64) {
        let (asked, debug, rounding) = block_parts(bytes, asked, debug);
        self.bytes += bytes;
        self.ledger.asked += asked;
        self.ledger.losses.debug += debug;
        self.ledger.losses.rounding += rounding;
    }

    /// With all that is beside blocks.
    fn with(mut self, beside: [(Cause, u64); 7]) -> Ledger {
        let losses = &mut self.ledger.losses;
        for (cause, bytes) in beside {
            *match cause {
                Cause::FreeBlocks => &mut losses.free_in_used_pools,
                Cause::EmptyPools | Cause::FreeSlices => &mut losses.unused_pools,
                Cause::PoolTails => &mut losses.quantization,
                Cause::Alignment => &mut losses.alignment,
                _ => &mut losses.headers,
            } += bytes;
        }
        self.ledger
    }
}

impl Ledger {
    /// Everything that is held and asked for.
    pub fn total(&self) -> u64 {
        self.asked + self.losses.sum()
    }

    /// Of a machine whose blocks were asked for with these sizes; debug hooks put `debug` bytes around each.
    pub(super) fn of(machine: &Machine, asked: &Asked, debug: u64) -> Self {
        if machine.mimalloc().is_some() {
            Self::of_mimalloc(machine, asked, debug)
        } else {
            Self::of_pymalloc(machine, asked, debug)
        }
    }

    fn of_pymalloc(machine: &Machine, asked: &Asked, debug: u64) -> Self {
        let (heap, occupancy) = (machine.pymalloc(), machine.occupancy());
        let (profile, memory) = (heap.profile(), heap.memory());
        let mut named = Named::default();
        for (slot, target) in machine.live() {
            let Target::Block(block) = target else { continue };
            let header = memory.header(memory.pool_of(block));
            // A pointer that outlived its block may lead into a pool that no class has any more.
            if header.ref_count > 0 && header.szidx < u32::from(profile.nb_small_size_classes()) {
                let bytes = u64::from(header.szidx + 1) * profile.alignment;
                named.add(bytes, asked.of(slot.0 as usize), debug);
            }
        }
        named.ledger.asked += occupancy.allocated_bytes.saturating_sub(named.bytes);
        let used = named.bytes;
        named.with(beside_blocks(machine, &occupancy, used))
    }

    fn of_mimalloc(machine: &Machine, asked: &Asked, debug: u64) -> Self {
        let mut named = Named::default();
        let Some(heap) = machine.mimalloc().map(sim_core::machine::MiRun::heap) else {
            return Self::default();
        };
        let mut slot = 0;
        while let Some(bytes) = asked.known(slot) {
            let at = Slot(slot as u32);
            slot += 1;
            if matches!(machine.target(at), Target::Raw(_)) {
                continue;
            }
            let Some((block, _)) = machine.address(at).and_then(|addr| heap.block_around(addr)) else {
                continue;
            };
            if heap.is_live(block) {
                named.add(heap.page(block.page).block_bytes, bytes, debug);
            }
        }
        let used = named.bytes;
        named.with(beside_blocks(machine, &machine.occupancy(), used))
    }
}
