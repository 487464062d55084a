//! What can be seen of the state: segments, pages, sums. Nothing here changes it.

use super::arena::arena_block_of;
use super::record::{Delayed, INFO, NIL, NONE, WorkChunk};
use super::sizes::{BIN_FULL, QUEUES, SEGMENT_BYTES, SLICE_BYTES};
use super::{BlockId, Mimalloc};
use crate::addr::Addr;

/// A segment as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SegmentView {
    /// The segment's record.
    pub id: u32,
    /// Blocks of 32 MiB before it in the arenas; from 1000 on outside arenas.
    pub ordinal: u32,
    /// Where it begins.
    pub base: Addr,
    /// Slices of 64 KiB, the header's included.
    pub slices: u32,
    /// Slices in free spans.
    pub free_slices: u32,
    /// Pages in use.
    pub used: u32,
    /// The thread that owns it, `None` while it is abandoned.
    pub owner: Option<u16>,
    /// Whether it has one block of its own.
    pub huge: bool,
}

/// A page as it is. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PageView {
    /// The page's record.
    pub id: u32,
    /// Its segment's ordinal.
    pub segment: u32,
    /// Pages in use in that segment.
    pub segment_used: u32,
    /// Where its slices begin.
    pub base: Addr,
    /// Where block 0 begins.
    pub first_block: Addr,
    /// Slices before it in its segment.
    pub slice: u32,
    /// Its slices.
    pub slices: u32,
    /// Bytes of a block.
    pub block_bytes: u64,
    /// Blocks handed out, those that others freed and the owner has not taken back included.
    pub used: u32,
    /// Blocks made ready so far.
    pub capacity: u32,
    /// Blocks that fit.
    pub reserved: u32,
    /// Its heap's tag.
    pub tag: u8,
    /// The thread of its heap, `None` while it is abandoned.
    pub owner: Option<u16>,
    /// Whether it is in the full queue.
    pub full: bool,
    /// Page misses it survives while it is empty, 0 unless it is retired.
    pub retire: u8,
    /// What a remote free does.
    pub delayed: Delayed,
    /// The QSBR goal it waits for, 0 for none.
    pub goal: u64,
}

/// Sums over one heap's pages, as `mi_heap_visit_blocks` gives them to `_PyObject_DebugMallocStats`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeapUse {
    /// Blocks in use.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The same with what padding would add, of which a release build has none.
    pub bytes_with_overhead: u64,
    /// Bytes of all blocks that fit.
    pub reserved_bytes: u64,
    /// Bytes of all blocks made ready.
    pub committed_bytes: u64,
}

/// Sums over everything.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Totals {
    /// Segments.
    pub segments: u64,
    /// Those without an owner.
    pub abandoned_segments: u64,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Bytes reserved from the system, in arenas and outside.
    pub system_bytes: u64,
    /// Pages in use.
    pub pages: u64,
    /// Pages in the full queue.
    pub full_pages: u64,
    /// Empty pages that wait for a goal of QSBR.
    pub deferred_pages: u64,
    /// Blocks and bytes, over all pages of all threads.
    pub used: HeapUse,
    /// Blocks that the program or a deferred free still has: without those that only wait to be taken back.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
}

impl Mimalloc {
    /// The segments, by ordinal.
    pub fn segments(&self) -> Vec<SegmentView> {
        let mut all: Vec<SegmentView> = self
            .segments
            .iter()
            .enumerate()
            .filter(|(_, s)| s.live)
            .map(|(id, s)| {
                let id = id as u32;
                let free_slices = self.spans(id).filter(|s| s.2.is_none()).map(|s| s.1).sum();
                SegmentView {
                    id,
                    ordinal: s.ordinal,
                    base: Addr(s.base),
                    slices: s.slice_count,
                    free_slices,
                    used: s.used,
                    owner: self.threads.get(s.thread as usize).map(|t| t.number),
                    huge: s.huge,
                }
            })
            .collect();
        all.sort_by_key(|s| (s.base, s.ordinal));
        all
    }

    /// The pages of a segment, by slice.
    pub fn pages_of(&self, segment: u32) -> impl Iterator<Item = PageView> + '_ {
        self.spans(segment).filter_map(|span| span.2).map(|page| self.page(page))
    }

    /// A page that is in use.
    pub fn page(&self, id: u32) -> PageView {
        let p = &self.pages[id as usize];
        let s = &self.segments[p.seg as usize];
        let owner = self.heaps.get(p.heap as usize).map(|h| self.threads[h.thread as usize].number);
        PageView {
            id,
            segment: s.ordinal,
            segment_used: s.used,
            base: self.page_addr(id),
            first_block: Addr(s.base + p.start),
            slice: p.slice,
            slices: p.slices,
            block_bytes: p.block_bytes,
            used: p.used,
            capacity: p.capacity,
            reserved: p.reserved,
            tag: p.tag,
            owner,
            full: p.in_full,
            retire: p.retire,
            delayed: p.delayed,
            goal: p.goal,
        }
    }

    /// Blocks on `free`, `local_free` and `thread_free` of a page that is in use.
    pub fn list_lengths(&self, id: u32) -> [u32; 3] {
        let p = &self.pages[id as usize];
        [p.free, p.local_free, p.thread_free].map(|first| self.list(id, first).count() as u32)
    }

    /// The blocks of a list of a page, first to last.
    pub(super) fn list(&self, page: u32, first: u16) -> impl Iterator<Item = u16> + '_ {
        let links = &self.pages[page as usize].links;
        let next = move |at: u16| (at != NIL).then_some(at);
        std::iter::successors(next(first), move |&at| links.get(usize::from(at)).copied().and_then(next))
            .take(links.len() + 1)
    }

    /// The free blocks of a page in the order in which the page would hand them out: `free`, then `local_free`,
    /// then what other threads freed.
    pub fn free_blocks(&self, page: u32) -> impl Iterator<Item = BlockId> + '_ {
        let p = &self.pages[page as usize];
        [p.free, p.local_free, p.thread_free]
            .into_iter()
            .flat_map(move |first| self.list(page, first))
            .map(move |index| BlockId { page, index })
    }

    /// What the first word of a free block says: the next block of its list.
    pub fn next_free(&self, block: BlockId) -> Option<Addr> {
        let link = *self.pages.get(block.page as usize)?.links.get(usize::from(block.index))?;
        self.link_addr(block.page, link)
    }

    /// The segment that an address lies in.
    fn segment_around(&self, addr: Addr) -> Option<u32> {
        if let Some(block) = arena_block_of(addr.0) {
            // A huge segment may begin some blocks before.
            let seg = (0..=block.min(31)).find_map(|back| {
                let seg = self.by_block.get((block - back) as usize).copied()?;
                (seg != NONE).then_some(seg)
            })?;
            let s = &self.segments[seg as usize];
            return (addr.0 - s.base < u64::from(s.slice_count) * SLICE_BYTES).then_some(seg);
        }
        let at = self.segments.iter().position(|s| {
            s.live
                && s.arena_blocks.is_none()
                && addr.0.wrapping_sub(s.base) / SLICE_BYTES < u64::from(s.slice_count)
        })?;
        Some(at as u32)
    }

    /// The page that an address lies in.
    pub fn page_around(&self, addr: Addr) -> Option<u32> {
        let seg = self.segment_around(addr)?;
        let s = &self.segments[seg as usize];
        let slice = ((addr.0 - s.base) / SLICE_BYTES) as u32;
        self.spans(seg)
            .take_while(|&(start, _, _)| start <= slice)
            .find(|&(start, count, _)| slice < start + count)?
            .2
    }

    /// The block that an address lies in, and bytes from its start. Also of blocks that are free.
    pub fn block_around(&self, addr: Addr) -> Option<(BlockId, u64)> {
        let seg = self.segment_around(addr)?;
        let s = &self.segments[seg as usize];
        let slice = (addr.0 - s.base) / SLICE_BYTES;
        // Blocks of pages with several begin in one of their first eight slices, which know their page.
        let start = s.slices.get(slice as usize).map_or(0, |l| l.back);
        let at = s.slices.get(usize::from(start)).filter(|at| {
            start > 0 && at.page != NONE && at.page != INFO && slice < u64::from(start) + u64::from(at.count)
        });
        let page = match at {
            Some(at) => at.page,
            None => self.page_around(addr)?,
        };
        let p = &self.pages[page as usize];
        let offset = (addr.0 - s.base).checked_sub(p.start)?;
        let index = offset / p.block_bytes;
        (index < u64::from(p.capacity))
            .then_some((BlockId { page, index: index as u16 }, offset % p.block_bytes))
    }

    /// Segment ordinal and bytes from the start of the 32-MiB-aligned segment that a pointer seems to lie in.
    pub fn place_of(&self, addr: Addr) -> Option<(u32, u64)> {
        let s = &self.segments[self.segment_around(addr)? as usize];
        let offset = addr.0 - s.base;
        if offset < SEGMENT_BYTES {
            Some((s.ordinal, offset))
        } else {
            Some((s.ordinal + (offset / SEGMENT_BYTES) as u32, offset % SEGMENT_BYTES))
        }
    }

    fn add_page(&self, page: u32, sum: &mut HeapUse) {
        let p = &self.pages[page as usize];
        let bytes = |blocks: u32| u64::from(blocks) * p.block_bytes;
        sum.blocks += u64::from(p.used);
        sum.bytes += bytes(p.used);
        sum.bytes_with_overhead += bytes(p.used);
        sum.reserved_bytes += bytes(p.reserved);
        sum.committed_bytes += bytes(p.capacity);
    }

    /// Sums over the default heap of a thread: the only one with the GIL; with free threading the one that RAW
    /// uses in 3.15 and nobody before.
    pub fn default_heap_use(&self, number: u16) -> HeapUse {
        let by_number = if self.config.build.free_threaded { &self.defaults } else { &self.by_number };
        let thread = by_number.get(usize::from(number)).and_then(|&t| self.threads.get(t as usize));
        let mut sum = HeapUse::default();
        if let Some(thread) = thread {
            for bin in 0..QUEUES as u8 {
                for page in self.queue_pages(thread.heaps[0], bin) {
                    self.add_page(page, &mut sum);
                }
            }
        }
        sum
    }

    /// Takes what other threads freed back into the default heap of a thread, as the statistics do first.
    pub fn drain_default_heap(&mut self, number: u16) {
        if !self.config.build.free_threaded
            && let Some(thread) =
                self.by_number.get(usize::from(number)).and_then(|&t| self.threads.get(t as usize))
        {
            let heap = thread.heaps[0];
            self.heap_delayed_free(heap, &mut ());
        }
    }

    /// Sums over all segments.
    pub fn totals(&self) -> Totals {
        let mut sum = Totals { system_bytes: self.arenas.reserved_bytes(), ..Totals::default() };
        for (id, s) in self.segments.iter().enumerate().filter(|(_, s)| s.live) {
            sum.segments += 1;
            sum.segment_bytes += u64::from(s.slice_count) * SLICE_BYTES;
            sum.abandoned_segments += u64::from(s.owner == 0);
            for page in self.spans(id as u32).filter_map(|span| span.2) {
                self.add_page(page, &mut sum.used);
                let p = &self.pages[page as usize];
                sum.pages += 1;
                sum.full_pages += u64::from(p.in_full);
                sum.deferred_pages += u64::from(p.goal != 0 && p.used == 0);
                let live = u64::from(p.used) - u64::from(p.thread_free_len);
                sum.live_blocks += live;
                sum.live_bytes += live * p.block_bytes;
            }
        }
        for heap in &self.heaps {
            sum.live_blocks -= heap.delayed.len() as u64;
            sum.live_bytes -= heap.delayed.iter().map(|b| self.block_bytes(*b)).sum::<u64>();
        }
        sum
    }

    /// What waits in a chunk, as words. A scenario may have freed a block by itself meanwhile.
    fn waiting(&self, chunk: &WorkChunk) -> impl Iterator<Item = u64> + '_ {
        let items = chunk.items[chunk.done..].to_vec();
        let addr = |b| if self.is_live(b) { self.block_addr(b).0 } else { 0 };
        items.into_iter().map(move |(b, goal)| addr(b) ^ goal)
    }

    /// All that decides the future, in words, for a digest: addresses and counts only.
    pub fn fingerprint(&self, mut word: impl FnMut(u64)) {
        for segment in self.segments() {
            word(segment.base.0);
            word(u64::from(segment.ordinal) << 32 | segment.owner.map_or(0xffff_ffff, u64::from));
            let s = &self.segments[segment.id as usize];
            word(u64::from(s.used) << 32 | u64::from(s.visits));
            for (start, count, page) in self.spans(segment.id) {
                word(u64::from(start) << 32 | u64::from(count));
                let Some(page) = page else { continue };
                let p = &self.pages[page as usize];
                for w in [
                    p.block_bytes,
                    p.start,
                    u64::from(p.capacity) << 32 | u64::from(p.used),
                    u64::from(p.tag) << 24
                        | u64::from(p.in_full) << 16
                        | u64::from(p.retire) << 8
                        | p.delayed as u64,
                    p.goal,
                ] {
                    word(w);
                }
                for first in [p.free, p.local_free, p.thread_free] {
                    self.list(page, first).for_each(|index| word(u64::from(index)));
                    word(u64::MAX);
                }
            }
        }
        let threads = self.by_number.iter().chain(&self.defaults).filter(|&&t| t != NONE);
        for &thread in threads {
            let t = &self.threads[thread as usize];
            for w in [
                u64::from(t.number),
                t.seq,
                t.counters.page_bytes,
                u64::from(t.counters.blocks),
                t.counters.block_bytes,
            ] {
                word(w);
            }
            for &head in &t.spans {
                let mut at = head;
                while at != NONE {
                    let s = &self.segments[(at >> 9) as usize];
                    word(s.base + u64::from(at & 511));
                    at = s.slices[(at & 511) as usize].next;
                }
            }
            let mut page = t.qsbr_first;
            while page != NONE {
                word(self.page_addr(page).0);
                page = self.pages[page as usize].qsbr_next;
            }
            for &heap in t.heaps.iter().filter(|&&h| h != NONE) {
                let h = &self.heaps[heap as usize];
                word(u64::from(h.generic_count) << 32 | u64::from(h.generic_collect_count));
                word(u64::from(h.retired_min) << 8 | u64::from(h.retired_max));
                for bin in 1..=BIN_FULL {
                    for page in self.queue_pages(heap, bin) {
                        word(self.page_addr(page).0);
                    }
                }
                h.delayed.iter().for_each(|&b| word(self.block_addr(b).0));
            }
            for chunk in &t.work {
                word(chunk.done as u64);
                self.waiting(chunk).for_each(&mut word);
            }
        }
        for chunk in &self.interp_work {
            self.waiting(chunk).for_each(&mut word);
        }
        for seg in self.abandoned.iter() {
            word(u64::from(self.segments[seg as usize].ordinal));
        }
        for counters in &self.slots {
            word(counters.page_bytes ^ u64::from(counters.blocks) << 32 ^ counters.block_bytes << 40);
        }
        word(self.write_seq);
        word(self.read_seq);
    }
}
