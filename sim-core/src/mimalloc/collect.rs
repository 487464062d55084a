//! Collects, heap walks, and the end of a thread.

use super::record::{Delayed, NONE};
use super::sizes::{BIN_FULL, QUEUES};
use super::{MiEvent, Mimalloc};
use crate::event::{Event, Observer};
use crate::profile::MimallocVersion;

/// `mi_collect_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Collect {
    Normal,
    Force,
    Abandon,
}

impl Mimalloc {
    /// `mi_heap_collect` of all heaps of a thread.
    pub fn collect<O: Observer>(&mut self, number: u16, force: bool, observer: &mut O) {
        let thread = self.thread(number, observer);
        for heap in self.heaps_of(thread) {
            let kind = if force { Collect::Force } else { Collect::Normal };
            self.heap_collect(heap, kind, observer);
        }
    }

    fn heaps_of(&self, thread: u32) -> impl Iterator<Item = u32> + use<> {
        self.threads[thread as usize].heaps.into_iter().filter(|&h| h != NONE)
    }

    /// `mi_heap_collect_ex`.
    pub(super) fn heap_collect<O: Observer>(&mut self, heap: u32, kind: Collect, observer: &mut O) {
        let force = kind != Collect::Normal;
        let h = &self.heaps[heap as usize];
        let (tag, thread) = (h.tag, h.thread);
        observer.event(Event::Mimalloc(MiEvent::HeapCollected {
            tag,
            force,
            abandon: kind == Collect::Abandon,
        }));
        let main = self.config.build.main_thread && self.threads[thread as usize].number == 0;
        if kind == Collect::Force && main && tag == 0 {
            self.abandoned_reclaim_all(heap, observer);
        }
        if kind == Collect::Abandon {
            for bin in 0..QUEUES as u8 {
                let mut page = self.first(heap, bin);
                while let Some(p) = self.pages.get_mut(page as usize) {
                    p.delayed = Delayed::Never;
                    page = p.next;
                }
            }
        }
        self.heap_delayed_free(heap, observer);
        self.heap_collect_retired(heap, force, observer);
        self.heap_collect_qsbr(heap, observer);
        let skip_full = !force && self.config.version == MimallocVersion::V2_5_2;
        let queues = if skip_full { BIN_FULL } else { BIN_FULL + 1 };
        for bin in 0..queues {
            let mut page = self.first(heap, bin);
            while page != NONE {
                let next = self.pages[page as usize].next;
                self.page_free_collect(page, force, observer);
                let empty = self.pages[page as usize].used == 0;
                let freed = empty && self.page_maybe_free(page, observer);
                if !freed && kind == Collect::Abandon {
                    self.page_abandon(page, observer);
                }
                page = next;
            }
        }
        self.abandoned_collect(heap, kind == Collect::Force, observer);
    }

    /// `_mi_page_abandon`.
    fn page_abandon<O: Observer>(&mut self, page: u32, observer: &mut O) {
        self.qsbr_unlink(page);
        self.queue_remove(page);
        let p = &mut self.pages[page as usize];
        p.heap = NONE;
        let seg = p.seg;
        let s = &mut self.segments[seg as usize];
        s.abandoned += 1;
        let whole = s.used == s.abandoned;
        self.say(observer, |m| MiEvent::PageAbandoned {
            page: m.page_addr(page),
            used: m.pages[page as usize].used,
        });
        if whole {
            self.segment_abandon(seg, observer);
        }
    }

    /// A walk over a thread's heaps, as garbage collection and `sys.getallocatedblocks` do: nothing is freed,
    /// but what was freed locally comes in front of what was never used.
    pub fn walk<O: Observer>(&mut self, number: u16, mask: u64, observer: &mut O) {
        let thread = self.thread(number, observer);
        for heap in self.heaps_of(thread) {
            let tag = self.heaps[heap as usize].tag;
            if self.config.build.free_threaded && mask >> tag & 1 == 0 {
                continue;
            }
            observer.event(Event::Mimalloc(MiEvent::HeapWalked { tag }));
            self.heap_delayed_free(heap, observer);
            for bin in 0..QUEUES as u8 {
                let mut page = self.first(heap, bin);
                while page != NONE {
                    self.page_free_collect(page, true, observer);
                    page = self.pages[page as usize].next;
                }
            }
        }
    }

    /// The end of a thread: delayed frees are handed over, then its heaps are abandoned in order of their tags.
    pub fn thread_exit<O: Observer>(&mut self, number: u16, observer: &mut O) {
        let thread = self.thread(number, observer);
        if self.config.build.free_threaded {
            self.abandon_delayed(number, observer);
        }
        for heap in self.heaps_of(thread) {
            self.heap_collect(heap, Collect::Abandon, observer);
            self.free_heaps.push(heap);
        }
        let t = &mut self.threads[thread as usize];
        (t.seq, t.live) = (0, false);
        self.slots.push(t.counters);
        self.free_threads.push(thread);
        self.by_number[usize::from(number)] = NONE;
        if let Some(default) = self.defaults.get_mut(usize::from(number))
            && *default != NONE
        {
            let thread = std::mem::replace(default, NONE);
            let heap = self.threads[thread as usize].heaps[0];
            self.heap_collect(heap, Collect::Abandon, observer);
            self.threads[thread as usize].live = false;
            self.free_heaps.push(heap);
            self.free_threads.push(thread);
        }
        observer.event(Event::Mimalloc(MiEvent::ThreadEnded { thread: number }));
    }
}
