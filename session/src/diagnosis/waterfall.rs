//! What the memory of a moment is used for: from what the program asked for down to what no block can use.

use serde::{Deserialize, Serialize};
use sim_core::debug_hooks;
use sim_core::mimalloc::SLICE_BYTES;
use sim_core::report::Occupancy;
use sim_core::{Machine, Profile};

use super::census::Census;
use super::layout::Placed;
use crate::setup::Setup;

/// What bytes are used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// Bytes that the program asked for, in blocks of arenas.
    Asked,
    /// What blocks are larger than what was asked for.
    Rounding,
    /// What debug hooks put around blocks.
    DebugHooks,
    /// Blocks from before the trace, of which nobody knows what was asked for.
    FromBefore,
    /// Free blocks of pools with a used one.
    FreeBlocks,
    /// Pools without a used block.
    EmptyPools,
    /// Pools of recorded arenas in which no block of the recording lives: empty, never carved, or held by blocks from before it.
    UnseenPools,
    /// Headers of pools.
    PoolHeaders,
    /// Ends of pools that hold no block.
    PoolTails,
    /// What is lost where an arena does not begin at a pool's boundary.
    Alignment,
    /// Arenas of other interpreters.
    OtherInterpreters,
    /// Tables of arenas, and the radix tree.
    ArenaMap,
    /// Blocks of the C library: the domain RAW, and what is too large for pymalloc.
    Raw,
    /// Parts of mimalloc's segments without a page.
    FreeSlices,
    /// Headers of mimalloc's segments.
    SegmentHeaders,
}

impl Cause {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked for",
            Self::Rounding => "class rounding",
            Self::DebugHooks => "debug padding",
            Self::FromBefore => "blocks from before the trace",
            Self::FreeBlocks => "free blocks in used pools",
            Self::EmptyPools => "empty pools in held arenas",
            Self::UnseenPools => "pools without a recorded block",
            Self::PoolHeaders => "pool headers",
            Self::PoolTails => "pool tails",
            Self::Alignment => "alignment of arenas",
            Self::OtherInterpreters => "arenas of other interpreters",
            Self::ArenaMap => "arena map",
            Self::Raw => "RAW and large blocks",
            Self::FreeSlices => "free slices of segments",
            Self::SegmentHeaders => "segment headers",
        }
    }
}

/// A bar of the waterfall.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// What for.
    pub cause: Cause,
    /// How many bytes.
    pub bytes: u64,
    /// Whether they come of the model, or of what recorded addresses imply, rather than of what the trace says.
    pub modelled: bool,
}

/// Parts that sum to all that is held.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Waterfall {
    /// The sum.
    pub total_bytes: u64,
    /// The parts that are there, from what was asked for on.
    pub parts: Vec<Part>,
}

impl Waterfall {
    /// Of a census and the machine that it was taken of; where blocks lie as recorded, the machine is not asked.
    pub fn of(machine: &Machine, setup: &Setup, census: &Census) -> Self {
        let mut sums = Sums::of(setup, census);
        let mut parts = Vec::new();
        let mut add = |cause, bytes, modelled| parts.push(Part { cause, bytes, modelled });
        add(Cause::Asked, sums.asked, false);
        add(Cause::Rounding, sums.rounding, true);
        add(Cause::DebugHooks, sums.hooks, true);
        add(Cause::FromBefore, sums.unborn, true);
        let held = census.held_bytes();
        match census.placed {
            Placed::Recorded => recorded(&setup.profile, census, held, &mut add),
            Placed::Model => {
                let occupancy = Occupancy::of(machine.pymalloc());
                for (cause, bytes) in beside_blocks(machine, &occupancy, census.used_bytes()) {
                    add(cause, bytes, true);
                }
                if machine.mimalloc().is_none() {
                    let all = machine.arena_counters().narenas_currently_allocated;
                    let others = all.saturating_sub(census.regions.len() as u64);
                    add(Cause::OtherInterpreters, others * setup.profile.arena_size, true);
                    // Blocks of other interpreters lie in their arenas, not with the C library.
                    sums.elsewhere = machine.raw().live_bytes();
                    add(Cause::ArenaMap, tables(machine, &setup.profile), true);
                }
            }
        }
        add(Cause::Raw, sums.elsewhere, false);
        parts.retain(|part| part.bytes > 0);
        Self { total_bytes: parts.iter().map(|part| part.bytes).sum(), parts }
    }
}

/// What the blocks of a census sum to, in bytes.
#[derive(Default)]
struct Sums {
    asked: u64,
    rounding: u64,
    hooks: u64,
    unborn: u64,
    elsewhere: u64,
}

impl Sums {
    fn of(setup: &Setup, census: &Census) -> Self {
        let mut sums = Self::default();
        let extra = hook_bytes(setup);
        let inside = census.range(census.regions.len()).start;
        for at in 0..inside {
            let (asked, hooks, rounding) = block_parts(census.block_bytes[at], census.asked[at], extra);
            sums.asked += asked;
            sums.hooks += hooks;
            sums.rounding += rounding;
        }
        sums.elsewhere = census.block_bytes[inside..].iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
        sums.unborn = census.unborn.iter().map(|unborn| unborn.blocks * unborn.block_bytes).sum();
        sums
    }
}

/// Bytes of `arenas` and of the radix tree's nodes; the root is a variable of the interpreter.
fn tables(machine: &Machine, profile: &Profile) -> u64 {
    let heap = machine.pymalloc();
    let (mids, bottoms) = heap.arena_map().node_counts();
    let (_, mid_bytes, bottom_bytes) = heap.arena_map().node_bytes();
    let nodes = if heap.arena_map().single_level() { 0 } else { mids * mid_bytes + bottoms * bottom_bytes };
    heap.arenas().len() as u64 * profile.arena_object_bytes() + nodes
}

/// What recorded arenas have beside their live blocks, as far as pools with a live block tell.
fn recorded(profile: &Profile, census: &Census, held: u64, add: &mut impl FnMut(Cause, u64, bool)) {
    let (mut headers, mut tails, mut free, mut used_pools) = (0, 0, 0, 0);
    let mut at = 0;
    let end = census.range(census.regions.len()).start;
    let mut order: Vec<usize> = (0..end).collect();
    order.sort_unstable_by_key(|at| census.addrs[*at]);
    while at < end {
        let first = order[at];
        let pool = census.addrs[first].0 / profile.pool_size;
        let block = census.block_bytes[first];
        let mut blocks = 0;
        while at < end && census.addrs[order[at]].0 / profile.pool_size == pool {
            blocks += 1;
            at += 1;
        }
        let room = profile.pool_size - profile.pool_overhead();
        used_pools += 1;
        headers += profile.pool_overhead();
        tails += room % block;
        free += (room / block).saturating_sub(blocks) * block;
    }
    add(Cause::FreeBlocks, free, true);
    add(Cause::UnseenPools, held.saturating_sub(used_pools * profile.pool_size), true);
    add(Cause::PoolHeaders, headers, true);
    add(Cause::PoolTails, tails, true);
}

/// What a block is made of: asked for, put around it by debug hooks, and the rest of its class.
pub(crate) fn block_parts(bytes: u64, asked: u64, hooks: u64) -> (u64, u64, u64) {
    let asked = asked.min(bytes);
    let hooks = hooks.min(bytes - asked);
    (asked, hooks, bytes - asked - hooks)
}

/// Bytes that debug hooks put around a block, where the run has them.
pub(crate) fn hook_bytes(setup: &Setup) -> u64 {
    let word_bytes = setup.profile.pointer_bytes;
    if setup.malloc.is_debug() { debug_hooks::Layout { word_bytes }.extra() } else { 0 }
}

/// What arenas with this occupancy have beside their used blocks, or mimalloc's segments, whose used blocks take `used_bytes`.
pub(crate) fn beside_blocks(machine: &Machine, occupancy: &Occupancy, used_bytes: u64) -> [(Cause, u64); 7] {
    let (mut free, mut empty, mut tails, mut alignment, mut headers) = (0, 0, 0, 0, 0);
    let (mut slices, mut segment_headers) = (0, 0);
    if let Some(run) = machine.mimalloc() {
        let heap = run.heap();
        for segment in heap.segments() {
            let mut others = u64::from(segment.slices - segment.free_slices) * SLICE_BYTES;
            slices += u64::from(segment.free_slices) * SLICE_BYTES;
            for page in heap.pages_of(segment.id) {
                let span = u64::from(page.slices) * SLICE_BYTES;
                others = others.saturating_sub(span);
                if page.used == 0 {
                    empty += span;
                } else {
                    let room = (u64::from(page.reserved) * page.block_bytes).min(span);
                    free += room;
                    tails += span - room;
                }
            }
            segment_headers += others;
        }
        free = free.saturating_sub(used_bytes);
    } else {
        free = occupancy.available_bytes;
        empty = occupancy.unused_pools * machine.pymalloc().profile().pool_size;
        headers = occupancy.header_bytes;
        tails = occupancy.quantization_bytes;
        alignment = occupancy.alignment_bytes;
    }
    [
        (Cause::FreeBlocks, free),
        (Cause::EmptyPools, empty),
        (Cause::FreeSlices, slices),
        (Cause::PoolHeaders, headers),
        (Cause::SegmentHeaders, segment_headers),
        (Cause::PoolTails, tails),
        (Cause::Alignment, alignment),
    ]
}
