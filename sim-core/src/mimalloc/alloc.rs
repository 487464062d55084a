//! malloc and realloc: the short path, the generic one, and the search for a page.

use super::record::{NIL, NONE};
use super::sizes::{
    BIN_HUGE, LARGE_BYTES_MAX, MEDIUM_PAGE_BYTES, SLICE_BYTES, SMALL_BYTES_MAX, bin_block_bytes,
    good_os_bytes,
};
use super::{BlockId, MiEvent, Mimalloc};
use crate::event::Observer;
use crate::mimalloc::collect::Collect;
use crate::profile::MimallocVersion;

/// Generic allocations between two looks at the delayed list (2.5.2).
const GENERIC_STEP: u32 = 100;
/// Generic allocations between two collects of a heap (2.5.2, `mi_option_generic_collect`).
const GENERIC_COLLECT: u32 = 10_000;
/// Pages looked at after the first candidate (2.5.2, `MI_MAX_CANDIDATE_SEARCH`).
const CANDIDATES_MAX: u32 = 4;

/// What `mi_realloc` does with a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReallocDecision {
    /// It stays.
    InPlace {
        /// Bytes of the block.
        block_bytes: u64,
    },
    /// A new block is taken before the old one is freed.
    Move {
        /// Bytes of the old block.
        block_bytes: u64,
        /// Bytes to copy.
        copied: u64,
    },
}

impl Mimalloc {
    /// `mi_heap_malloc`: a block of at least `bytes` bytes, `None` for NULL.
    #[inline]
    pub fn malloc<O: Observer>(&mut self, heap: u32, bytes: u64, observer: &mut O) -> Option<BlockId> {
        if bytes <= SMALL_BYTES_MAX {
            let page = self.first(heap, self.config.version.bin(bytes));
            if let Some(p) = self.pages.get(page as usize)
                && p.free != NIL
            {
                return Some(self.page_pop(page, observer));
            }
        }
        self.malloc_generic(heap, bytes, observer)
    }

    /// `_mi_malloc_generic`.
    fn malloc_generic<O: Observer>(&mut self, heap: u32, bytes: u64, observer: &mut O) -> Option<BlockId> {
        self.say(observer, |m| MiEvent::GenericPath { nbytes: bytes, tag: m.heaps[heap as usize].tag });
        if self.config.version == MimallocVersion::V2_1_2 {
            self.heap_delayed_free(heap, observer);
        } else {
            let h = &mut self.heaps[heap as usize];
            h.generic_count += 1;
            if h.generic_count >= GENERIC_STEP {
                h.generic_collect_count += h.generic_count;
                h.generic_count = 0;
                self.heap_delayed_free(heap, observer);
                let h = &mut self.heaps[heap as usize];
                if h.generic_collect_count >= GENERIC_COLLECT {
                    h.generic_collect_count = 0;
                    self.heap_collect(heap, Collect::Normal, observer);
                }
            }
        }
        let mut page = self.find_page(heap, bytes, observer);
        if page.is_none() {
            self.say(observer, |_| MiEvent::NoPage { nbytes: bytes });
            self.heap_collect(heap, Collect::Force, observer);
            page = self.find_page(heap, bytes, observer);
        }
        let page = page?;
        let block = self.page_pop(page, observer);
        let p = &self.pages[page as usize];
        if self.config.version == MimallocVersion::V2_5_2 && p.used == p.reserved {
            self.page_to_full(page, observer);
        }
        Some(block)
    }

    /// `mi_find_page`.
    fn find_page<O: Observer>(&mut self, heap: u32, bytes: u64, observer: &mut O) -> Option<u32> {
        let version = self.config.version;
        if bytes > version.medium_block_max() {
            if bytes > version.request_max() {
                return None;
            }
            self.heap_collect_qsbr(heap, observer);
            return self.page_fresh(heap, BIN_HUGE, good_os_bytes(bytes), observer);
        }
        let bin = version.bin(bytes);
        let page = self.first(heap, bin);
        if page != NONE {
            self.page_free_collect(page, false, observer);
            let p = &mut self.pages[page as usize];
            if p.free != NIL {
                p.retire = 0;
                self.clear_qsbr(page);
                return Some(page);
            }
        }
        // "Look again" can happen once: a reclaimed page with room may have come into the queue.
        self.queue_find_free(heap, bin, observer).or_else(|| self.queue_find_free(heap, bin, observer))
    }

    /// `mi_page_queue_find_free_ex`, without its own second try.
    fn queue_find_free<O: Observer>(&mut self, heap: u32, bin: u8, observer: &mut O) -> Option<u32> {
        let found = match self.config.version {
            MimallocVersion::V2_1_2 => self.first_fit(heap, bin, observer),
            MimallocVersion::V2_5_2 => self.best_candidate(heap, bin, observer),
        };
        let Some(page) = found else {
            self.heap_collect_qsbr(heap, observer);
            self.heap_collect_retired(heap, false, observer);
            return self.page_fresh(heap, bin, bin_block_bytes(bin), observer);
        };
        if self.config.version == MimallocVersion::V2_5_2 && self.first(heap, bin) != page {
            self.queue_remove(page);
            self.queue_push(heap, bin, page);
            self.say(observer, |m| MiEvent::PageToFront { page: m.page_addr(page), bin });
        }
        self.pages[page as usize].retire = 0;
        self.clear_qsbr(page);
        Some(page)
    }

    /// 2.1.2: the first page of the queue that has or can make a free block.
    fn first_fit<O: Observer>(&mut self, heap: u32, bin: u8, observer: &mut O) -> Option<u32> {
        let mut page = self.first(heap, bin);
        while page != NONE {
            let next = self.pages[page as usize].next;
            self.page_free_collect(page, false, observer);
            let p = &self.pages[page as usize];
            if p.free != NIL {
                return Some(page);
            }
            if p.capacity < p.reserved {
                self.page_extend_free(page, observer);
                return Some(page);
            }
            self.page_to_full(page, observer);
            page = next;
        }
        None
    }

    /// 2.5.2: the fullest of the first few usable pages.
    fn best_candidate<O: Observer>(&mut self, heap: u32, bin: u8, observer: &mut O) -> Option<u32> {
        let mut page = self.first(heap, bin);
        let (mut candidate, mut seen) = (None::<u32>, 0);
        while page != NONE {
            let next = self.pages[page as usize].next;
            seen += 1;
            self.page_free_collect(page, false, observer);
            let p = &self.pages[page as usize];
            let (ready, expandable) = (p.free != NIL, p.capacity < p.reserved);
            if ready || expandable {
                match candidate {
                    None => {
                        candidate = Some(page);
                        seen = 0;
                    }
                    Some(best) => {
                        let mostly_used = p.reserved - p.used <= p.reserved / 8;
                        if p.used >= self.pages[best as usize].used && !mostly_used && !expandable {
                            candidate = Some(page);
                        }
                    }
                }
                if ready || seen > CANDIDATES_MAX {
                    break;
                }
            } else {
                self.page_to_full(page, observer);
            }
            page = next;
        }
        let page = candidate?;
        if self.pages[page as usize].free == NIL {
            self.page_extend_free(page, observer);
        }
        Some(page)
    }

    /// `mi_page_fresh_alloc`: a new page at the front of its queue. `None` where memory is out, or where a page
    /// with room was reclaimed into the queue instead.
    fn page_fresh<O: Observer>(
        &mut self,
        heap: u32,
        bin: u8,
        block_bytes: u64,
        observer: &mut O,
    ) -> Option<u32> {
        let version = self.config.version;
        let thread = self.heaps[heap as usize].thread;
        if block_bytes > LARGE_BYTES_MAX {
            let seg = self.segment_alloc(thread, Some(block_bytes), observer)?;
            let slices = self.segments[seg as usize].slice_count - 1;
            let page = self.span_allocate(seg, 1, slices);
            self.page_init(heap, page, u64::from(slices) * SLICE_BYTES, observer);
            self.queue_push(heap, bin, page);
            return Some(page);
        }
        let medium = block_bytes > version.small_block_max() && block_bytes <= version.medium_block_max();
        let page_bytes = if medium { MEDIUM_PAGE_BYTES } else { block_bytes };
        let step = if page_bytes > MEDIUM_PAGE_BYTES { MEDIUM_PAGE_BYTES } else { SLICE_BYTES };
        let need = (page_bytes.next_multiple_of(step) / SLICE_BYTES) as u32;
        let page = loop {
            if let Some(page) = self.span_find(thread, need, observer) {
                break page;
            }
            match self.segment_try_reclaim(heap, need, block_bytes, observer) {
                (_, true) => return None,
                (Some(_), false) => {}
                (None, false) => {
                    self.segment_alloc(thread, None, observer)?;
                }
            }
        };
        let large = block_bytes > version.medium_block_max();
        // 2.1.2: the block of a large page is all of it.
        let block_bytes = if large && version == MimallocVersion::V2_1_2 {
            u64::from(self.pages[page as usize].slices) * SLICE_BYTES
        } else {
            block_bytes
        };
        self.page_init(heap, page, block_bytes, observer);
        self.queue_push(heap, bin, page);
        Some(page)
    }

    /// `_mi_heap_realloc_zero`: a block stays while at least half of it is used.
    pub fn realloc_decision(&self, block: BlockId, bytes: u64) -> ReallocDecision {
        let block_bytes = self.block_bytes(block);
        if bytes > 0 && bytes <= block_bytes && bytes >= block_bytes / 2 {
            ReallocDecision::InPlace { block_bytes }
        } else {
            ReallocDecision::Move { block_bytes, copied: bytes.min(block_bytes) }
        }
    }

    /// `mi_usable_size`: bytes of a block.
    pub fn block_bytes(&self, block: BlockId) -> u64 {
        self.pages[block.page as usize].block_bytes
    }
}
