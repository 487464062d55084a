//! Size classes and arenas as rows, segments and pages of mimalloc.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::SizeClass;
use sim_core::arena::ArenaBackend as _;
use sim_core::mimalloc::{PageView, SegmentView, Totals};
use sim_core::profile::MimallocVersion;
use sim_core::pymalloc::ArenaCounters;
use sim_core::report::ClassUse;

use crate::diagnosis::Recorded;
use crate::facts::{self, ArenaFacts, Heap, PoolFacts};
use crate::ground::Ground;
use crate::run::Session;

/// Pools of one class that are named; the rest is counted.
const LISTED_POOLS: usize = 64;

/// A size class with its `usedpools` list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClassRow {
    /// Its pools and blocks.
    pub in_use: ClassUse,
    /// The first pools of its list, front first.
    pub front: Vec<PoolFacts>,
    /// Pools on its list.
    pub listed: u64,
}

pub(super) fn classes(session: &Session) -> Vec<ClassRow> {
    let heap = session.heap();
    let row = |in_use: &ClassUse| {
        let (mut front, mut listed) = (Vec::new(), 0);
        for pool in heap.used_pools(SizeClass(in_use.class.0)) {
            if front.len() < LISTED_POOLS {
                front.extend(facts::pool_at(heap, heap.memory().pool_addr(pool)));
            }
            listed += 1;
        }
        ClassRow { in_use: *in_use, front, listed }
    };
    session.occupancy().classes.iter().map(row).collect()
}

/// An arena with its place on `usable_arenas`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArenaRow {
    /// The arena.
    pub arena: ArenaFacts,
    /// Arenas before it on `usable_arenas`; `None` when it is on no list.
    pub before: Option<u32>,
    /// Whether `nfp2lasta` names it.
    pub rightmost: bool,
    /// Bytes of its blocks in use.
    pub live_bytes: u64,
}

impl ArenaRow {
    /// The share of the arena that blocks in use fill, 0 to 1: what pools in use do not tell, since one block keeps a pool.
    pub fn live_share(&self, arena_size: u64) -> f32 {
        (self.live_bytes as f32 / arena_size.max(1) as f32).min(1.0)
    }
}

/// Bytes of an arena's blocks in use.
fn live_bytes(ground: Ground<'_>, arena: &ArenaFacts) -> u64 {
    let pools = (0..arena.ntotalpools).map_while(|index| ground.pool_of_arena(arena, index));
    pools.map(|pool| u64::from(pool.used.min(pool.capacity)) * u64::from(pool.block_size)).sum()
}

/// What is known of all arenas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ArenasKnown {
    /// Of the model's.
    Model {
        /// The counters.
        counters: ArenaCounters,
        /// Records of the arenas array without an arena.
        unused: u64,
    },
    /// What addresses tell of recorded ones, which have neither counters nor lists.
    Recorded {
        /// Those in which a block was ever seen.
        ever: u64,
        /// Those of them whose bounds are certain.
        certain: u64,
        /// For each of the rows, whether its bounds are.
        rows: Vec<bool>,
    },
}

/// Arenas: those of `usable_arenas` in its order first, then those that are on no list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArenaTable {
    /// What is known of all of them.
    pub known: ArenasKnown,
    /// Rows in all.
    pub total: u32,
    /// The first of the rows below.
    pub first: u32,
    /// As many as were asked for.
    pub rows: Vec<ArenaRow>,
}

impl ArenaTable {
    pub(super) fn of(heap: &Heap, wanted: &Range<u32>) -> Self {
        let order: HashMap<u32, u32> = heap.usable_arenas().zip(0..).collect();
        let mut all: Vec<ArenaRow> = facts::arenas(heap)
            .into_iter()
            .map(|arena| {
                let before = order.get(&arena.id.index).copied();
                let last = heap.nfp2lasta().get(arena.nfreepools as usize);
                let rightmost = before.is_some() && last == Some(&Some(arena.id.index));
                ArenaRow { arena, before, rightmost, live_bytes: 0 }
            })
            .collect();
        // The sort is stable: those on no list stay in the order of address.
        all.sort_by_key(|row| row.before.unwrap_or(u32::MAX));
        let total = all.len() as u32;
        let (first, end) = (wanted.start.min(total), wanted.end.min(total));
        let mut rows = all.get(first as usize..end as usize).unwrap_or_default().to_vec();
        for row in &mut rows {
            row.live_bytes = live_bytes(Ground::Model(heap), &row.arena);
        }
        Self {
            known: ArenasKnown::Model {
                counters: heap.counters(),
                unused: heap.unused_arena_objects().count() as u64,
            },
            total,
            first,
            rows,
        }
    }
}

impl ArenaTable {
    /// As recorded: by address, those in which a block is live.
    pub(super) fn of_recorded(recorded: &Recorded, wanted: &Range<u32>) -> Self {
        let (ground, layout) = (Ground::Recorded(recorded), recorded.layout());
        let all = ground.arenas();
        let total = all.len() as u32;
        let (first, end) = (wanted.start.min(total), wanted.end.min(total));
        let shown = all.get(first as usize..end as usize).unwrap_or_default();
        let is_certain = |arena: &ArenaFacts| layout.is_certain(arena.id.index as usize);
        let row = |arena: &ArenaFacts| {
            let live_bytes = live_bytes(ground, arena);
            ArenaRow { arena: *arena, before: None, rightmost: false, live_bytes }
        };
        Self {
            known: ArenasKnown::Recorded {
                ever: layout.arenas() as u64,
                certain: (0..layout.arenas()).filter(|arena| layout.is_certain(*arena)).count() as u64,
                rows: shown.iter().map(is_certain).collect(),
            },
            total,
            first,
            rows: shown.iter().map(row).collect(),
        }
    }
}

/// A row of mimalloc's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SegmentRow {
    /// A segment.
    Segment(SegmentView),
    /// A page of the segment above.
    Page(PageView),
}

/// Segments and their pages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentTable {
    /// mimalloc's release.
    pub version: MimallocVersion,
    /// Whether the build has four heaps a thread.
    pub free_threaded: bool,
    /// QSBR's sequences, written and read, where there are any.
    pub sequences: Option<(u64, u64)>,
    /// Sums over everything.
    pub totals: Totals,
    /// The page of the block that the last operation returned.
    pub returned: Option<u32>,
    /// Rows in all.
    pub total: u32,
    /// The first of the rows below.
    pub first: u32,
    /// As many as were asked for.
    pub rows: Vec<SegmentRow>,
}

impl SegmentTable {
    pub(super) fn of(session: &Session, wanted: &Range<u32>) -> Option<Self> {
        let run = session.machine().mimalloc()?;
        let heap = run.heap();
        let config = heap.config();
        let (mut rows, mut total) = (Vec::new(), 0);
        let mut add = |row| {
            if wanted.contains(&total) {
                rows.push(row);
            }
            total += 1;
        };
        for segment in heap.segments() {
            add(SegmentRow::Segment(segment));
            for page in heap.pages_of(segment.id) {
                add(SegmentRow::Page(page));
            }
        }
        Some(Self {
            version: config.version,
            free_threaded: config.build.free_threaded,
            sequences: config.build.qsbr.then(|| heap.sequences()),
            totals: heap.totals(),
            returned: run.returned_place().map(|place| place.2),
            first: wanted.start.min(total),
            total,
            rows,
        })
    }
}

/// What `sys._debugmallocstats()` prints.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatsFacts {
    /// At this step.
    pub text: String,
    /// With `PYTHONMALLOCSTATS`: reports printed so far, and those of the last operation.
    pub printed: Option<(u64, String)>,
}

impl StatsFacts {
    pub(super) fn of(session: &Session) -> Self {
        let printed = session.machine().layers().and_then(|l| l.malloc_stats());
        Self {
            text: sim_core::report::malloc_stats(session.machine()),
            printed: printed.map(|stats| (stats.printed, stats.text.clone())),
        }
    }
}
