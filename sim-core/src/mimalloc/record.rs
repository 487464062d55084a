//! The records: pages, segments with their slices, heaps and threads. They name one another by index.

use std::collections::VecDeque;

use super::sizes::{QUEUES, SPAN_BINS};
use crate::profile::{MimallocBuild, MimallocVersion};

/// No page, segment, heap, thread or slice.
pub(super) const NONE: u32 = u32::MAX;

/// The end of a list of blocks.
pub(super) const NIL: u16 = u16::MAX;
/// In place of a link: the program has the block.
pub(super) const LIVE: u16 = u16::MAX - 1;
/// In place of a link: another thread freed the block and the owner's heap has not looked yet.
pub(super) const DELAYED: u16 = u16::MAX - 2;

/// A block: its page's record and its number there. A live block keeps its page alive, so this does not change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BlockId {
    /// The page's record.
    pub page: u32,
    /// Blocks before it in the page.
    pub index: u16,
}

impl BlockId {
    /// No block.
    pub const NULL: Self = Self { page: NONE, index: 0 };

    /// Whether it is no block.
    pub fn is_null(self) -> bool {
        self.page == NONE
    }
}

/// The build and the process around it, as far as mimalloc's behaviour depends on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// mimalloc's release.
    pub version: MimallocVersion,
    /// Everything else.
    pub build: MimallocBuild,
}

/// `mi_delayed_t` without `MI_DELAYED_FREEING`, which nothing can see between two operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Delayed {
    /// `MI_USE_DELAYED_FREE`: the next remote free goes to the heap's list.
    Use,
    /// `MI_NO_DELAYED_FREE`: the owner knows already, remote frees go to the page.
    No,
    /// `MI_NEVER_DELAYED_FREE`: the page is abandoned or about to be.
    Never,
}

/// `mi_page_t`.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) seg: u32,
    pub(super) slice: u32,
    pub(super) slices: u32,
    /// Bytes of a block.
    pub(super) block_bytes: u64,
    /// Bytes from the segment's base to block 0.
    pub(super) start: u64,
    pub(super) reserved: u32,
    pub(super) capacity: u32,
    /// Blocks handed out, those on `thread_free` included.
    pub(super) used: u32,
    pub(super) free: u16,
    pub(super) local_free: u16,
    pub(super) thread_free: u16,
    pub(super) thread_free_len: u16,
    pub(super) delayed: Delayed,
    pub(super) heap: u32,
    pub(super) tag: u8,
    pub(super) bin: u8,
    pub(super) in_full: bool,
    pub(super) retire: u8,
    pub(super) prev: u32,
    pub(super) next: u32,
    /// `use_qsbr`: freed only when no other thread can look at it any more.
    pub(super) use_qsbr: bool,
    pub(super) goal: u64,
    /// On its thread's list of deferred pages.
    pub(super) queued: bool,
    pub(super) qsbr_prev: u32,
    pub(super) qsbr_next: u32,
    /// For each block the next one on its list, or [`LIVE`].
    pub(super) links: Vec<u16>,
}

impl Page {
    pub(super) fn new(seg: u32, slice: u32, slices: u32) -> Self {
        Self {
            seg,
            slice,
            slices,
            block_bytes: 0,
            start: 0,
            reserved: 0,
            capacity: 0,
            used: 0,
            free: NIL,
            local_free: NIL,
            thread_free: NIL,
            thread_free_len: 0,
            delayed: Delayed::Use,
            heap: NONE,
            tag: 0,
            bin: 0,
            in_full: false,
            retire: 0,
            prev: NONE,
            next: NONE,
            use_qsbr: false,
            goal: 0,
            queued: false,
            qsbr_prev: NONE,
            qsbr_next: NONE,
            links: Vec::new(),
        }
    }

    /// The queue it is in.
    pub(super) fn queue(&self) -> u8 {
        if self.in_full { super::BIN_FULL } else { self.bin }
    }

    /// Whether it has a block to give, on whatever list.
    pub(super) fn has_any_available(&self) -> bool {
        self.used < self.reserved || self.thread_free != NIL
    }
}

/// A slice of a segment. What it says counts where a span begins; `back` where one ends or lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// Slices of the span that begins here.
    pub(super) count: u32,
    /// Its page, [`NONE`] for a free span, [`INFO`] for the segment's header.
    pub(super) page: u32,
    /// Where the span begins that this slice ends, or lies in where that is a page.
    pub(super) back: u16,
    /// Neighbours in the queue of free spans, as `segment * 512 + slice`.
    pub(super) prev: u32,
    pub(super) next: u32,
}

/// The header's own slice.
pub(super) const INFO: u32 = u32::MAX - 1;

/// `mi_segment_t`.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// 32-MiB block counted from the first arena; from 1000 on for memory outside arenas.
    pub(super) ordinal: u32,
    pub(super) base: u64,
    /// One block of its own instead of spans.
    pub(super) huge: bool,
    /// Slices, the header's included.
    pub(super) slice_count: u32,
    pub(super) used: u32,
    pub(super) abandoned: u32,
    pub(super) visits: u32,
    /// `thread_id`: the owner's number plus one, 0 while it is abandoned.
    pub(super) owner: u32,
    /// The owner's record, which has its free spans.
    pub(super) thread: u32,
    /// Whether it lies in an arena, and how many of its blocks it takes.
    pub(super) arena_blocks: Option<u32>,
    /// All 512 slices; of a huge segment only the header and the page.
    pub(super) slices: Vec<Slice>,
    pub(super) live: bool,
}

/// `mi_page_queue_t`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) first: u32,
    pub(super) last: u32,
}

/// `mi_heap_t`.
#[derive(Clone, Debug)]
pub(super) struct Heap {
    pub(super) thread: u32,
    pub(super) tag: u8,
    pub(super) queues: [Queue; QUEUES],
    /// `thread_delayed_free`: blocks that other threads freed, the last one first.
    pub(super) delayed: Vec<BlockId>,
    pub(super) page_count: u32,
    pub(super) retired_min: u8,
    pub(super) retired_max: u8,
    pub(super) generic_count: u32,
    pub(super) generic_collect_count: u32,
    pub(super) page_use_qsbr: bool,
}

impl Heap {
    pub(super) fn new(thread: u32, tag: u8, page_use_qsbr: bool) -> Self {
        Self {
            thread,
            tag,
            queues: [Queue { first: NONE, last: NONE }; QUEUES],
            delayed: Vec::new(),
            page_count: 0,
            retired_min: super::BIN_FULL,
            retired_max: 0,
            generic_count: 0,
            generic_collect_count: 0,
            page_use_qsbr,
        }
    }
}

/// QSBR counters of a thread, which outlive it in their slot.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct QsbrCounters {
    /// Bytes of pages deferred since the last advance.
    pub(super) page_bytes: u64,
    /// Blocks whose free was deferred since the last advance.
    pub(super) blocks: u32,
    /// Their bytes.
    pub(super) block_bytes: u64,
}

/// `struct _mem_work_chunk`: frees that wait for a goal.
#[derive(Clone, Debug)]
pub(super) struct WorkChunk {
    /// The memory it lies in; none where that could not be had.
    pub(super) block: BlockId,
    /// Entries done.
    pub(super) done: usize,
    /// Blocks with their goals.
    pub(super) items: Vec<(BlockId, u64)>,
}

/// A thread's mimalloc: its heaps and what they share (`mi_tld_t`, `_PyThreadStateImpl`).
#[derive(Clone, Debug)]
pub(super) struct Thread {
    /// Its number in the trace.
    pub(super) number: u16,
    /// Its heaps by tag.
    pub(super) heaps: [u32; 4],
    /// First free span of each bin.
    pub(super) spans: [u32; SPAN_BINS],
    pub(super) segments: u32,
    /// `_Py_qsbr` sequence seen last, 0 while detached.
    pub(super) seq: u64,
    pub(super) qsbr_first: u32,
    pub(super) qsbr_last: u32,
    pub(super) counters: QsbrCounters,
    /// Whether the eval breaker is asked to process delayed frees.
    pub(super) should_process: bool,
    pub(super) work: VecDeque<WorkChunk>,
    pub(super) live: bool,
}

impl Thread {
    pub(super) fn new(number: u16) -> Self {
        Self {
            number,
            heaps: [NONE; 4],
            spans: [NONE; SPAN_BINS],
            segments: 0,
            seq: 0,
            qsbr_first: NONE,
            qsbr_last: NONE,
            counters: QsbrCounters::default(),
            should_process: false,
            work: VecDeque::new(),
            live: true,
        }
    }

    /// `thread_id` of its segments.
    pub(super) fn owner(&self) -> u32 {
        u32::from(self.number) + 1
    }
}
