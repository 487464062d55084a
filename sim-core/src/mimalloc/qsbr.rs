//! QSBR: an empty page of an object heap is freed when every attached thread has passed a quiescent state.
//!
//! Another thread may read an object without a lock just while it is freed. So the page waits until the shared
//! sequence, of which each thread notes what it saw last, has passed the page's goal.

use super::record::NONE;
use super::{MiEvent, Mimalloc};
use crate::event::{Event, Observer};

/// `QSBR_PAGE_MEM_LIMIT`: bytes of pages that are deferred before the sequence advances, `4096 * 20`.
const PAGE_BYTES_MAX: u64 = 81_920;

impl Mimalloc {
    /// `_Py_qsbr_quiescent_state`: the thread holds no reference it got before.
    pub fn quiescent<O: Observer>(&mut self, number: u16, observer: &mut O) {
        let thread = self.thread(number, observer);
        if self.config.build.qsbr {
            let seq = self.write_seq;
            self.threads[thread as usize].seq = seq;
            observer.event(Event::Mimalloc(MiEvent::Quiescent { thread: number, seq }));
        }
    }

    /// The thread attaches, which is a quiescent state, or detaches and holds nobody back.
    pub fn set_attached<O: Observer>(&mut self, number: u16, attached: bool, observer: &mut O) {
        if attached {
            self.quiescent(number, observer);
        } else if self.config.build.qsbr {
            let thread = self.thread(number, observer);
            self.threads[thread as usize].seq = 0;
        }
    }

    /// `_Py_qsbr_poll`.
    pub(super) fn poll(&mut self, goal: u64) -> bool {
        if goal > self.read_seq {
            let seen = self.threads.iter().filter(|t| t.live && t.seq != 0).map(|t| t.seq).min();
            self.read_seq = self.read_seq.max(seen.unwrap_or(self.write_seq));
        }
        goal <= self.read_seq
    }

    /// `_Py_qsbr_advance` or `_Py_qsbr_shared_next`: the goal of something deferred now.
    pub(super) fn next_goal(&mut self, advance: bool) -> u64 {
        if advance {
            self.write_seq += 2;
            self.write_seq
        } else {
            self.write_seq + 2
        }
    }

    /// `_PyMem_mi_page_maybe_free`: frees an empty page, or lets it wait; true when it is freed.
    pub(super) fn page_maybe_free<O: Observer>(&mut self, page: u32, observer: &mut O) -> bool {
        let p = &self.pages[page as usize];
        if !p.use_qsbr {
            self.page_free(page, observer);
            return true;
        }
        if p.goal != 0 && p.goal <= self.read_seq {
            self.clear_qsbr(page);
            self.page_free(page, observer);
            return true;
        }
        if self.config.build.unfull_deferred {
            self.page_unfull(page, observer);
        }
        self.clear_qsbr(page);
        let p = &mut self.pages[page as usize];
        p.retire = 0;
        let bytes = u64::from(p.capacity) * p.block_bytes;
        let thread = self.heaps[p.heap as usize].thread;
        let counters = &mut self.threads[thread as usize].counters;
        counters.page_bytes = counters.page_bytes.saturating_add(bytes);
        let advance = bytes > PAGE_BYTES_MAX || counters.page_bytes > PAGE_BYTES_MAX;
        if advance {
            counters.page_bytes = 0;
        }
        let goal = self.next_goal(advance);
        self.pages[page as usize].goal = goal;
        self.qsbr_append(thread, page);
        self.say(observer, |m| MiEvent::PageDeferred { page: m.page_addr(page), goal, advance });
        false
    }

    fn qsbr_append(&mut self, thread: u32, page: u32) {
        let t = &mut self.threads[thread as usize];
        let last = std::mem::replace(&mut t.qsbr_last, page);
        if last == NONE {
            t.qsbr_first = page;
        } else {
            self.pages[last as usize].qsbr_next = page;
        }
        let p = &mut self.pages[page as usize];
        p.queued = true;
        (p.qsbr_prev, p.qsbr_next) = (last, NONE);
    }

    /// Takes a page off its thread's list of deferred pages, if it is there.
    pub(super) fn qsbr_unlink(&mut self, page: u32) {
        let p = &mut self.pages[page as usize];
        if !p.queued {
            return;
        }
        p.queued = false;
        let (prev, next, heap) = (p.qsbr_prev, p.qsbr_next, p.heap);
        let thread = self.heaps[heap as usize].thread as usize;
        if prev == NONE {
            self.threads[thread].qsbr_first = next;
        } else {
            self.pages[prev as usize].qsbr_next = next;
        }
        if next == NONE {
            self.threads[thread].qsbr_last = prev;
        } else {
            self.pages[next as usize].qsbr_prev = prev;
        }
    }

    /// `_PyMem_mi_page_clear_qsbr`: the page waits for nothing.
    pub(super) fn clear_qsbr(&mut self, page: u32) {
        self.qsbr_unlink(page);
        self.pages[page as usize].goal = 0;
    }

    /// `_PyMem_mi_page_reclaimed`.
    pub(super) fn page_reclaimed(&mut self, page: u32) {
        let p = &mut self.pages[page as usize];
        if p.goal == 0 {
            return;
        }
        if p.used != 0 {
            p.goal = 0;
            return;
        }
        p.retire = 0;
        let thread = self.heaps[p.heap as usize].thread;
        self.qsbr_append(thread, page);
    }

    /// `_PyMem_mi_heap_collect_qsbr`: frees the thread's deferred pages, oldest first, up to the first whose goal
    /// is not reached. The mem heap does not ask.
    pub(super) fn heap_collect_qsbr<O: Observer>(&mut self, heap: u32, observer: &mut O) {
        let h = &self.heaps[heap as usize];
        if !h.page_use_qsbr {
            return;
        }
        let mut page = self.threads[h.thread as usize].qsbr_first;
        while page != NONE {
            let p = &self.pages[page as usize];
            let (next, used, goal) = (p.qsbr_next, p.used, p.goal);
            if used == 0 && !self.poll(goal) {
                return;
            }
            self.clear_qsbr(page);
            if used == 0 {
                self.say(observer, |m| MiEvent::GoalReached { page: m.page_addr(page), goal });
                self.page_free(page, observer);
            }
            page = next;
        }
    }

    /// The shared write and read sequences.
    pub fn sequences(&self) -> (u64, u64) {
        (self.write_seq, self.read_seq)
    }
}
