//! Pages: set up, extended, their lists gathered, retired, and given back.

use super::record::{DELAYED, LIVE, NIL};
use super::sizes::{BIN_FULL, BIN_HUGE, SLICE_BYTES};
use super::{MiEvent, Mimalloc};
use crate::event::Observer;
use crate::profile::MimallocVersion;

impl Mimalloc {
    /// `mi_page_init`: a page of `block_bytes` blocks for a heap, with the first of them ready.
    pub(super) fn page_init<O: Observer>(
        &mut self,
        heap: u32,
        page: u32,
        block_bytes: u64,
        observer: &mut O,
    ) {
        let h = &self.heaps[heap as usize];
        let (tag, use_qsbr) = (h.tag, h.page_use_qsbr);
        let addr = self.page_addr(page).0;
        let huge = self.segments[self.pages[page as usize].seg as usize].huge;
        let version = self.config.version;
        let p = &mut self.pages[page as usize];
        let page_bytes = u64::from(p.slices) * SLICE_BYTES;
        // Where block 0 lies: apart from cache lines of other pages, and aligned from 2.5.2 on.
        let mut offset = 0;
        if version == MimallocVersion::V2_5_2 && block_bytes <= version.medium_block_max() {
            let adjust = block_bytes - addr % block_bytes;
            if adjust < block_bytes && page_bytes >= block_bytes + adjust {
                offset += adjust;
            }
        }
        if block_bytes <= 64 {
            offset += 3 * block_bytes;
        } else if block_bytes <= 512 {
            offset += block_bytes;
        }
        if version == MimallocVersion::V2_5_2 {
            offset = offset.next_multiple_of(16);
        }
        p.heap = heap;
        p.tag = tag;
        p.use_qsbr = use_qsbr;
        p.block_bytes = block_bytes;
        p.bin = if huge { BIN_HUGE } else { version.bin(block_bytes) };
        p.start = u64::from(p.slice) * SLICE_BYTES + offset;
        p.reserved = ((page_bytes - offset) / block_bytes) as u32;
        p.capacity = 0;
        p.used = 0;
        let (slices, reserved) = (p.slices, p.reserved);
        self.say(observer, |m| MiEvent::PageFresh {
            page: m.page_addr(page),
            slices,
            block_bytes,
            reserved,
            tag,
        });
        self.page_extend_free(page, observer);
    }

    /// `mi_page_extend_free`: makes never used blocks ready, one system page of them.
    pub(super) fn page_extend_free<O: Observer>(&mut self, page: u32, observer: &mut O) {
        let p = &mut self.pages[page as usize];
        if p.free != NIL || p.capacity >= p.reserved {
            return;
        }
        let step = (4096 / p.block_bytes).max(4) as u32;
        let count = step.min(p.reserved - p.capacity);
        let first = p.capacity as u16;
        p.capacity += count;
        p.links.extend((first + 1..p.capacity as u16).chain(std::iter::once(NIL)));
        p.free = first;
        self.link_count += u64::from(count);
        self.say(observer, |m| {
            let p = &m.pages[page as usize];
            MiEvent::PageExtended {
                page: m.page_addr(page),
                first: m.link_addr(page, first).unwrap_or_default(),
                block_bytes: p.block_bytes,
                count,
                capacity: p.capacity,
                reserved: p.reserved,
            }
        });
    }

    /// The last block of a list that is not empty.
    fn tail(&self, page: u32, first: u16) -> u16 {
        let links = &self.pages[page as usize].links;
        let mut at = first;
        while links[usize::from(at)] < DELAYED {
            at = links[usize::from(at)];
        }
        at
    }

    /// Hangs the list at `first` in front of the one at `rest`, and reports what the last block now says.
    fn join<O: Observer>(&mut self, page: u32, first: u16, rest: u16, observer: &mut O) {
        let tail = self.tail(page, first);
        self.pages[page as usize].links[usize::from(tail)] = rest;
        self.say(observer, |m| MiEvent::ListsJoined {
            page: m.page_addr(page),
            tail: m.link_addr(page, tail).unwrap_or_default(),
            next: m.link_addr(page, rest),
        });
    }

    /// `_mi_page_free_collect`: takes back what other threads freed, and makes `local_free` the free list
    /// when that is empty; with `force` puts it in front in any case.
    pub(super) fn page_free_collect<O: Observer>(&mut self, page: u32, force: bool, observer: &mut O) {
        let p = &mut self.pages[page as usize];
        if p.thread_free != NIL {
            let (first, rest) = (p.thread_free, p.local_free);
            let count = p.thread_free_len;
            p.local_free = first;
            p.thread_free = NIL;
            p.thread_free_len = 0;
            p.used -= u32::from(count);
            let used = p.used;
            self.say(observer, |m| MiEvent::ThreadFreeCollected { page: m.page_addr(page), count, used });
            self.join(page, first, rest, observer);
            if used == 0 {
                self.clear_qsbr(page);
            }
        }
        let p = &mut self.pages[page as usize];
        if p.local_free == NIL {
            return;
        }
        if p.free == NIL {
            p.free = std::mem::replace(&mut p.local_free, NIL);
            self.say(observer, |m| MiEvent::LocalFreeTaken { page: m.page_addr(page) });
        } else if force {
            let (first, rest) = (std::mem::replace(&mut p.local_free, NIL), p.free);
            p.free = first;
            self.join(page, first, rest, observer);
        }
    }

    /// `_mi_page_retire`: the page has no used block. The only page of its queue stays for a while.
    pub(super) fn page_retire<O: Observer>(&mut self, page: u32, observer: &mut O) {
        self.clear_qsbr(page);
        let p = &self.pages[page as usize];
        let (heap, bin) = (p.heap, p.queue());
        let queue = self.heaps[heap as usize].queues[usize::from(bin)];
        if bin < BIN_HUGE && queue.first == page && queue.last == page {
            let cycles = self.config.version.retire_cycles(p.block_bytes);
            self.pages[page as usize].retire = cycles;
            let h = &mut self.heaps[heap as usize];
            h.retired_min = h.retired_min.min(bin);
            h.retired_max = h.retired_max.max(bin);
            self.say(observer, |m| MiEvent::PageRetired { page: m.page_addr(page), cycles });
            return;
        }
        self.page_maybe_free(page, observer);
    }

    /// `_mi_heap_collect_retired`: called at each page miss, so it counts misses and no time.
    pub(super) fn heap_collect_retired<O: Observer>(&mut self, heap: u32, force: bool, observer: &mut O) {
        let h = &self.heaps[heap as usize];
        let (mut min, mut max) = (BIN_FULL, 0);
        for bin in h.retired_min..=h.retired_max {
            let page = self.first(heap, bin);
            let Some(p) = self.pages.get_mut(page as usize) else { continue };
            if p.retire == 0 {
                continue;
            }
            if p.used != 0 {
                p.retire = 0;
                continue;
            }
            p.retire -= 1;
            if force || p.retire == 0 {
                self.page_maybe_free(page, observer);
            } else {
                min = min.min(bin);
                max = max.max(bin);
            }
        }
        let h = &mut self.heaps[heap as usize];
        (h.retired_min, h.retired_max) = (min, max);
    }

    /// `_mi_page_free`: the page leaves its heap, its slices become a free span.
    pub(super) fn page_free<O: Observer>(&mut self, page: u32, observer: &mut O) {
        self.queue_remove(page);
        self.pages[page as usize].heap = super::NONE;
        self.say(observer, |m| MiEvent::PageFreed {
            page: m.page_addr(page),
            slices: m.pages[page as usize].slices,
        });
        self.segment_page_free(page, observer);
    }

    /// Gives the head of the free list, which must not be empty.
    #[inline]
    pub(super) fn page_pop<O: Observer>(&mut self, page: u32, observer: &mut O) -> super::BlockId {
        let p = &mut self.pages[page as usize];
        let index = p.free;
        p.used += 1;
        p.free = std::mem::replace(&mut p.links[usize::from(index)], LIVE);
        let block = super::BlockId { page, index };
        self.say(observer, |m| {
            let p = &m.pages[page as usize];
            MiEvent::BlockPopped {
                page: m.page_addr(page),
                block: m.block_addr(block),
                next: m.link_addr(page, p.free),
                used: p.used,
            }
        });
        block
    }
}
