//! What mimalloc does inside one operation, in its own terms.

use crate::addr::Addr;

/// What came of a look at an abandoned segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It had no live block left and is freed.
    Empty,
    /// It has room and is taken over.
    HasRoom,
    /// It has none, but was looked at too often and is taken over.
    VisitedOften,
    /// It has none and goes back.
    NoRoom,
}

/// One change of mimalloc's state, or one decision that led to it. A page is named by where its first slice
/// begins, a segment by its ordinal. Sizes are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MiEvent {
    /// A thread used mimalloc for the first time.
    ThreadBegan {
        /// Its number.
        thread: u16,
        /// Its heaps.
        heaps: u8,
    },
    /// A thread ended; its heaps are gone.
    ThreadEnded {
        /// Its number.
        thread: u16,
    },
    /// `mi_page_malloc`: the head of the page's free list was handed out.
    BlockPopped {
        /// Its page.
        page: Addr,
        /// The block.
        block: Addr,
        /// The new head.
        next: Option<Addr>,
        /// `used` afterwards.
        used: u32,
    },
    /// `_mi_malloc_generic`: the short path had nothing.
    GenericPath {
        /// What was asked for.
        nbytes: u64,
        /// The heap's tag.
        tag: u8,
    },
    /// `_mi_malloc_generic`: no page was found; a forced collect comes before the last try.
    NoPage {
        /// What was asked for.
        nbytes: u64,
    },
    /// `mi_page_init`: a page was set up for blocks of one size, at the front of its queue.
    PageFresh {
        /// The page.
        page: Addr,
        /// Its slices.
        slices: u32,
        /// Bytes of a block.
        block_bytes: u64,
        /// Blocks that fit.
        reserved: u32,
        /// Its heap's tag.
        tag: u8,
    },
    /// `mi_page_extend_free`: never used blocks became the free list.
    PageExtended {
        /// The page.
        page: Addr,
        /// The first of them.
        first: Addr,
        /// Bytes of a block.
        block_bytes: u64,
        /// How many.
        count: u32,
        /// `capacity` afterwards.
        capacity: u32,
        /// Blocks that fit.
        reserved: u32,
    },
    /// `_mi_page_free_collect`: `local_free` became the free list.
    LocalFreeTaken {
        /// The page.
        page: Addr,
    },
    /// `_mi_page_thread_free_collect`: what other threads freed came to `local_free`.
    ThreadFreeCollected {
        /// The page.
        page: Addr,
        /// Blocks.
        count: u16,
        /// `used` afterwards.
        used: u32,
    },
    /// A list was hung in front of another.
    ListsJoined {
        /// The page.
        page: Addr,
        /// The last block of the first list.
        tail: Addr,
        /// The first block of the second.
        next: Option<Addr>,
    },
    /// `mi_page_to_full`.
    PageToFull {
        /// The page.
        page: Addr,
    },
    /// `_mi_page_unfull`: back to the end of its size's queue.
    PageUnfull {
        /// The page.
        page: Addr,
        /// The queue.
        bin: u8,
    },
    /// 2.5.2: the chosen page moved to the front of its queue.
    PageToFront {
        /// The page.
        page: Addr,
        /// The queue.
        bin: u8,
    },
    /// `_mi_page_retire`: empty, but the only page of its queue.
    PageRetired {
        /// The page.
        page: Addr,
        /// Page misses it survives.
        cycles: u8,
    },
    /// `_mi_page_free`.
    PageFreed {
        /// The page.
        page: Addr,
        /// Its slices, a free span now.
        slices: u32,
    },
    /// `_PyMem_mi_page_maybe_free`: empty, but other threads may still look at it.
    PageDeferred {
        /// The page.
        page: Addr,
        /// The sequence it waits for.
        goal: u64,
        /// Whether the shared sequence advanced for it.
        advance: bool,
    },
    /// `_PyMem_mi_heap_collect_qsbr`: every thread has passed a quiescent state since.
    GoalReached {
        /// The page.
        page: Addr,
        /// The sequence it waited for.
        goal: u64,
    },
    /// `_mi_page_abandon`.
    PageAbandoned {
        /// The page.
        page: Addr,
        /// Its blocks in use.
        used: u32,
    },
    /// `mi_segments_page_find_and_allocate`: a free span gave slices.
    SpanTaken {
        /// Where they begin.
        at: Addr,
        /// Slices taken.
        slices: u32,
        /// Slices the span had.
        of: u32,
    },
    /// `mi_segment_alloc`.
    SegmentObtained {
        /// The segment.
        ordinal: u32,
        /// Where it begins.
        base: Addr,
        /// Its slices.
        slices: u32,
        /// Whether it lies in an arena.
        in_arena: bool,
    },
    /// `mi_segment_free`.
    SegmentFreed {
        /// The segment.
        ordinal: u32,
        /// Where it began.
        base: Addr,
    },
    /// `mi_segment_abandon`.
    SegmentAbandoned {
        /// The segment.
        ordinal: u32,
        /// Pages in it.
        pages: u32,
    },
    /// `mi_segment_try_reclaim`: an abandoned segment was looked at.
    SegmentTried {
        /// The segment.
        ordinal: u32,
        /// How often so far.
        visits: u32,
        /// What came of it.
        verdict: Verdict,
    },
    /// `mi_segment_reclaim`.
    SegmentReclaimed {
        /// The segment.
        ordinal: u32,
        /// Its new owner.
        thread: u16,
    },
    /// `mi_free_block_local`: the block became the head of `local_free`.
    BlockFreed {
        /// Its page.
        page: Addr,
        /// The block.
        block: Addr,
        /// The head before.
        next: Option<Addr>,
        /// `used` afterwards.
        used: u32,
    },
    /// `mi_free_block_delayed_mt`: freed by another thread, into the owner heap's mailbox.
    BlockDelayed {
        /// The block.
        block: Addr,
        /// The block that lay on top before.
        next: Option<Addr>,
        /// The heap's tag.
        tag: u8,
        /// The heap's thread.
        thread: u16,
    },
    /// `mi_free_block_delayed_mt`: freed by another thread, onto the page's `thread_free`.
    BlockFreedRemotely {
        /// Its page.
        page: Addr,
        /// The block.
        block: Addr,
        /// The head before.
        next: Option<Addr>,
        /// Whether nobody owns the page.
        abandoned: bool,
    },
    /// `_mi_heap_delayed_free_all`: a heap empties its mailbox.
    DelayedProcessed {
        /// Blocks.
        count: u32,
        /// The heap's tag.
        tag: u8,
    },
    /// `mi_heap_collect_ex`.
    HeapCollected {
        /// The heap's tag.
        tag: u8,
        /// Whether everything is looked at.
        force: bool,
        /// Whether the thread ends.
        abandon: bool,
    },
    /// `mi_heap_visit_blocks`, for garbage collection or a count.
    HeapWalked {
        /// The heap's tag.
        tag: u8,
    },
    /// `_Py_qsbr_quiescent_state`.
    Quiescent {
        /// The thread.
        thread: u16,
        /// What it has seen now.
        seq: u64,
    },
    /// `_PyMem_FreeDelayed`: the block waits in a chunk.
    FreeDeferred {
        /// The block.
        block: Addr,
        /// The sequence it waits for.
        goal: u64,
        /// Whether the shared sequence advanced for it.
        advance: bool,
    },
    /// A deferred block was free already when its turn came; a process would break its lists here.
    DeferredTwice,
    /// `mi_realloc`: the block stays.
    ReallocInPlace {
        /// The block.
        block: Addr,
        /// Bytes of it.
        block_bytes: u64,
        /// Bytes asked for.
        nbytes: u64,
    },
    /// `mi_realloc`: a new block is taken, then the old one freed.
    ReallocMoves {
        /// The old block.
        block: Addr,
        /// Bytes of it.
        block_bytes: u64,
        /// Bytes asked for.
        nbytes: u64,
        /// Bytes to copy.
        copied: u64,
    },
}
