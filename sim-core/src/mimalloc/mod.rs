//! mimalloc as `CPython` bundles it: segments, pages, heaps, and what threads owe one another.
//!
//! Versions 2.1.2 (3.13, and 3.14 up to .9) and 2.5.2 (3.14.10 and later), with one heap a thread as under
//! `PYTHONMALLOC=mimalloc`, or with the four tagged heaps and the QSBR of a free-threaded build. Operations
//! are atomic here; what a release build would not notice (a block freed twice) is refused instead.

mod abandoned;
mod alloc;
mod arena;
mod collect;
mod delayed;
mod free;
mod inspect;
mod page;
mod qsbr;
mod queue;
mod reclaim;
mod record;
mod segment;
mod sizes;
mod span;
mod verify;

pub use alloc::ReallocDecision;
pub use arena::ARENA_BASE;
pub use free::BadFree;
pub use inspect::{HeapUse, PageView, SegmentView, Totals};
pub use record::{BlockId, Config, Delayed};
pub use sizes::{
    BIN_FULL, BIN_HUGE, LARGE_BYTES_MAX, SEGMENT_BYTES, SLICE_BYTES, SLICES_PER_SEGMENT, bin_block_bytes,
};

use std::collections::VecDeque;

use abandoned::Abandoned;
use arena::Arenas;
use record::{Heap, NONE, Page, QsbrCounters, Segment, Thread, WorkChunk};

use crate::addr::Addr;
use crate::event::{Event, MiEvent, Observer};

/// All of mimalloc's state in a process.
#[derive(Clone, Debug)]
pub struct Mimalloc {
    config: Config,
    pages: Vec<Page>,
    free_pages: Vec<u32>,
    segments: Vec<Segment>,
    free_segments: Vec<u32>,
    /// Segments by arena block, [`NONE`] where none begins.
    by_block: Vec<u32>,
    heaps: Vec<Heap>,
    free_heaps: Vec<u32>,
    threads: Vec<Thread>,
    free_threads: Vec<u32>,
    /// Threads by number, [`NONE`] where there is none.
    by_number: Vec<u32>,
    /// Threads' default heaps by number, where RAW uses them (3.15, free-threaded).
    defaults: Vec<u32>,
    arenas: Arenas,
    abandoned: Abandoned,
    /// `_qsbr_shared.wr_seq` and `rd_seq`.
    write_seq: u64,
    read_seq: u64,
    /// Counters of QSBR slots whose threads have ended, the last one on top.
    slots: Vec<QsbrCounters>,
    /// Delayed frees of threads that have ended.
    interp_work: VecDeque<WorkChunk>,
    /// Links that all pages keep together, for [`Self::state_bytes`].
    link_count: u64,
}

impl Mimalloc {
    /// Nothing allocated, no thread yet.
    pub fn new(mut config: Config) -> Self {
        config.build.qsbr &= config.build.free_threaded;
        Self {
            config,
            pages: Vec::new(),
            free_pages: Vec::new(),
            segments: Vec::new(),
            free_segments: Vec::new(),
            by_block: Vec::new(),
            heaps: Vec::new(),
            free_heaps: Vec::new(),
            threads: Vec::new(),
            free_threads: Vec::new(),
            by_number: Vec::new(),
            defaults: Vec::new(),
            arenas: Arenas::new(config.build.arenas),
            abandoned: Abandoned::default(),
            write_seq: 1,
            read_seq: 1,
            slots: Vec::new(),
            interp_work: VecDeque::new(),
            link_count: 0,
        }
    }

    /// The build.
    pub fn config(&self) -> Config {
        self.config
    }

    /// The record of a thread, made when it is used for the first time.
    #[inline]
    fn thread<O: Observer>(&mut self, number: u16, observer: &mut O) -> u32 {
        match self.by_number.get(usize::from(number)) {
            Some(&thread) if thread != NONE => thread,
            _ => self.new_thread(number, observer),
        }
    }

    #[cold]
    fn new_thread<O: Observer>(&mut self, number: u16, observer: &mut O) -> u32 {
        let thread = self.thread_record(number);
        let heaps = if self.config.build.free_threaded { 4 } else { 1 };
        for tag in 0..heaps {
            self.add_heap(thread, tag, self.config.build.qsbr && tag > 0);
        }
        if self.config.build.qsbr {
            let record = &mut self.threads[thread as usize];
            record.seq = self.write_seq;
            if self.config.build.qsbr_slots_recycled
                && let Some(counters) = self.slots.pop()
            {
                record.counters = counters;
            }
        }
        let at = usize::from(number);
        if self.by_number.len() <= at {
            self.by_number.resize(at + 1, NONE);
        }
        self.by_number[at] = thread;
        observer.event(Event::Mimalloc(MiEvent::ThreadBegan { thread: number, heaps }));
        thread
    }

    fn thread_record(&mut self, number: u16) -> u32 {
        let record = Thread::new(number);
        if let Some(thread) = self.free_threads.pop() {
            self.threads[thread as usize] = record;
            return thread;
        }
        self.threads.push(record);
        self.threads.len() as u32 - 1
    }

    fn add_heap(&mut self, thread: u32, tag: u8, page_use_qsbr: bool) {
        let record = Heap::new(thread, tag, page_use_qsbr);
        let heap = if let Some(heap) = self.free_heaps.pop() {
            self.heaps[heap as usize] = record;
            heap
        } else {
            self.heaps.push(record);
            self.heaps.len() as u32 - 1
        };
        self.threads[thread as usize].heaps[usize::from(tag)] = heap;
    }

    /// The heap of a thread with a tag: 0 mem, 1 obj, 2 gc, 3 `gc_pre`; without free threading the only one.
    #[inline]
    pub fn heap<O: Observer>(&mut self, number: u16, tag: u8, observer: &mut O) -> u32 {
        let thread = self.thread(number, observer);
        let tag = if self.config.build.free_threaded { usize::from(tag & 3) } else { 0 };
        self.threads[thread as usize].heaps[tag]
    }

    /// The default heap of a thread, which RAW uses in 3.15: the only one without free threading, else one
    /// apart from the four.
    pub fn default_heap<O: Observer>(&mut self, number: u16, observer: &mut O) -> u32 {
        if !self.config.build.free_threaded {
            return self.heap(number, 0, observer);
        }
        let at = usize::from(number);
        if self.defaults.len() <= at {
            self.defaults.resize(at + 1, NONE);
        }
        if self.defaults[at] == NONE {
            let thread = self.thread_record(number);
            self.add_heap(thread, 0, false);
            self.defaults[at] = thread;
        }
        self.threads[self.defaults[at] as usize].heaps[0]
    }

    /// Bytes that the simulated state takes.
    pub fn state_bytes(&self) -> u64 {
        let slices: usize = self.segments.iter().map(|s| s.slices.capacity()).sum();
        (self.pages.capacity() * size_of::<Page>()
            + self.segments.capacity() * size_of::<Segment>()
            + slices * size_of::<record::Slice>()
            + self.heaps.capacity() * size_of::<Heap>()
            + self.threads.capacity() * size_of::<Thread>()
            + self.by_block.capacity() * 4) as u64
            + self.link_count * 2
    }

    /// Reports what is costly to say.
    #[inline]
    fn say<O: Observer>(&self, observer: &mut O, event: impl FnOnce(&Self) -> MiEvent) {
        if O::ENABLED {
            observer.event(Event::Mimalloc(event(self)));
        }
    }

    /// Where a page's first slice begins.
    fn page_addr(&self, page: u32) -> Addr {
        let p = &self.pages[page as usize];
        Addr(self.segments[p.seg as usize].base + u64::from(p.slice) * SLICE_BYTES)
    }

    /// Where a block begins.
    pub fn block_addr(&self, block: BlockId) -> Addr {
        let p = &self.pages[block.page as usize];
        let base = self.segments[p.seg as usize].base;
        Addr(base + p.start + u64::from(block.index) * p.block_bytes)
    }

    fn link_addr(&self, page: u32, link: u16) -> Option<Addr> {
        (link < record::DELAYED).then(|| self.block_addr(BlockId { page, index: link }))
    }
}
