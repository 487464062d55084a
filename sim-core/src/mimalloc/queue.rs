//! Queues of pages: one for each bin of a heap, one for its full pages.

use super::record::{NONE, Queue};
use super::sizes::BIN_FULL;
use super::{MiEvent, Mimalloc};
use crate::event::Observer;

impl Mimalloc {
    fn queue_mut(&mut self, heap: u32, bin: u8) -> &mut Queue {
        &mut self.heaps[heap as usize].queues[usize::from(bin)]
    }

    /// The first page of a queue.
    pub(super) fn first(&self, heap: u32, bin: u8) -> u32 {
        self.heaps[heap as usize].queues[usize::from(bin)].first
    }

    /// `mi_page_queue_push`: to the front.
    pub(super) fn queue_push(&mut self, heap: u32, bin: u8, page: u32) {
        let queue = self.queue_mut(heap, bin);
        let first = std::mem::replace(&mut queue.first, page);
        if first == NONE {
            queue.last = page;
        } else {
            self.pages[first as usize].prev = page;
        }
        let p = &mut self.pages[page as usize];
        p.in_full = bin == BIN_FULL;
        (p.prev, p.next) = (NONE, first);
        self.heaps[heap as usize].page_count += 1;
    }

    fn queue_unlink(&mut self, heap: u32, bin: u8, page: u32) {
        let p = &mut self.pages[page as usize];
        let (prev, next) = (p.prev, p.next);
        (p.prev, p.next) = (NONE, NONE);
        if prev == NONE {
            self.queue_mut(heap, bin).first = next;
        } else {
            self.pages[prev as usize].next = next;
        }
        if next == NONE {
            self.queue_mut(heap, bin).last = prev;
        } else {
            self.pages[next as usize].prev = prev;
        }
    }

    /// `mi_page_queue_remove`.
    pub(super) fn queue_remove(&mut self, page: u32) {
        let p = &self.pages[page as usize];
        let (heap, bin) = (p.heap, p.queue());
        self.queue_unlink(heap, bin, page);
        self.pages[page as usize].in_full = false;
        self.heaps[heap as usize].page_count -= 1;
    }

    /// `mi_page_queue_enqueue_from`: to the end of another queue of its heap.
    fn queue_append_from(&mut self, page: u32, to: u8) {
        let p = &self.pages[page as usize];
        let (heap, from) = (p.heap, p.queue());
        self.queue_unlink(heap, from, page);
        let queue = self.queue_mut(heap, to);
        let last = std::mem::replace(&mut queue.last, page);
        if last == NONE {
            queue.first = page;
        } else {
            self.pages[last as usize].next = page;
        }
        let p = &mut self.pages[page as usize];
        (p.prev, p.next) = (last, NONE);
        p.in_full = to == BIN_FULL;
    }

    /// `mi_page_to_full`.
    pub(super) fn page_to_full<O: Observer>(&mut self, page: u32, observer: &mut O) {
        if self.pages[page as usize].in_full {
            return;
        }
        self.queue_append_from(page, BIN_FULL);
        self.say(observer, |m| MiEvent::PageToFull { page: m.page_addr(page) });
        self.page_free_collect(page, false, observer);
    }

    /// `_mi_page_unfull`.
    pub(super) fn page_unfull<O: Observer>(&mut self, page: u32, observer: &mut O) {
        let p = &self.pages[page as usize];
        if !p.in_full {
            return;
        }
        let bin = p.bin;
        self.queue_append_from(page, bin);
        self.say(observer, |m| MiEvent::PageUnfull { page: m.page_addr(page), bin });
    }

    /// All pages of a queue, first to last.
    pub(super) fn queue_pages(&self, heap: u32, bin: u8) -> impl Iterator<Item = u32> + '_ {
        let next = |page: u32| (page != NONE).then_some(page);
        std::iter::successors(next(self.first(heap, bin)), move |&p| next(self.pages[p as usize].next))
    }
}
