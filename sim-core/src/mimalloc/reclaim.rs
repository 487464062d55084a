//! Taking over abandoned segments.

use super::record::{Delayed, NONE};
use super::{MiEvent, Mimalloc};
use crate::event::{Observer, Verdict};
use crate::profile::MimallocVersion;

/// Visits after which a segment is taken over whether it helps or not.
const VISITS_MAX: u32 = 3;

impl Mimalloc {
    /// `mi_segment_check_free`: frees the empty pages of an abandoned segment and says whether it has room: a
    /// span of `need` slices or a free block of `block_bytes`.
    fn segment_check_free<O: Observer>(
        &mut self,
        seg: u32,
        need: u32,
        block_bytes: u64,
        observer: &mut O,
    ) -> bool {
        let (mut has_room, mut at) = (false, 1);
        while let Some(&slice) = self.segments[seg as usize].slices.get(at as usize) {
            let mut count = slice.count;
            if slice.page == NONE {
                has_room |= count >= need;
            } else {
                let page = slice.page;
                self.page_free_collect(page, false, observer);
                let p = &mut self.pages[page as usize];
                if p.used == 0 && (p.goal == 0 || p.goal <= self.read_seq) {
                    p.goal = 0;
                    self.say(observer, |m| MiEvent::PageFreed { page: m.page_addr(page), slices: count });
                    self.segments[seg as usize].abandoned -= 1;
                    at = self.segment_page_clear(page);
                    count = self.segments[seg as usize].slices[at as usize].count;
                    has_room |= count >= need;
                } else if p.block_bytes == block_bytes && p.has_any_available() {
                    has_room = true;
                }
            }
            at += count.max(1);
        }
        has_room
    }

    /// `mi_segment_reclaim`: a heap's thread takes a segment over. Gives the segment unless it was empty and is
    /// freed, and whether the heap got a page with a free block of `block_bytes`.
    fn segment_reclaim<O: Observer>(
        &mut self,
        heap: u32,
        seg: u32,
        block_bytes: u64,
        observer: &mut O,
    ) -> (Option<u32>, bool) {
        let thread = self.heaps[heap as usize].thread;
        let t = &mut self.threads[thread as usize];
        t.segments += 1;
        let (owner, number) = (t.owner(), t.number);
        let s = &mut self.segments[seg as usize];
        (s.owner, s.thread, s.visits) = (owner, thread, 0);
        let ordinal = s.ordinal;
        self.say(observer, |_| MiEvent::SegmentReclaimed { ordinal, thread: number });
        let (mut right, mut at) = (false, 1);
        while let Some(&slice) = self.segments[seg as usize].slices.get(at as usize) {
            if slice.page == NONE {
                at = self.span_free_coalesce(seg, at);
            } else {
                let page = slice.page;
                self.segments[seg as usize].abandoned -= 1;
                let target = self.heap_by_tag(heap, self.pages[page as usize].tag);
                let p = &mut self.pages[page as usize];
                p.heap = target;
                p.delayed = Delayed::Use;
                self.page_free_collect(page, false, observer);
                let p = &mut self.pages[page as usize];
                if p.used == 0 && (p.goal == 0 || p.goal <= self.read_seq) {
                    p.goal = 0;
                    self.say(observer, |m| MiEvent::PageFreed {
                        page: m.page_addr(page),
                        slices: slice.count,
                    });
                    at = self.segment_page_clear(page);
                } else {
                    let (bin, fits) = (p.bin, p.block_bytes == block_bytes && p.has_any_available());
                    self.queue_push(target, bin, page);
                    self.page_reclaimed(page);
                    right |= fits && block_bytes <= self.config.version.medium_block_max() && target == heap;
                }
            }
            at += self.segments[seg as usize].slices[at as usize].count.max(1);
        }
        if self.segments[seg as usize].used == 0 {
            self.segment_free(seg, observer);
            return (None, right);
        }
        (Some(seg), right)
    }

    /// `_mi_heap_by_tag`: the heap of the same thread that a page with this tag goes to.
    fn heap_by_tag(&self, heap: u32, tag: u8) -> u32 {
        let h = &self.heaps[heap as usize];
        let other = self.threads[h.thread as usize].heaps[usize::from(tag)];
        if h.tag == tag || other == NONE { heap } else { other }
    }

    /// `mi_segment_try_reclaim`: looks for an abandoned segment with room. Gives a segment to look into, or says
    /// that the heap's own queue has the right page now.
    pub(super) fn segment_try_reclaim<O: Observer>(
        &mut self,
        heap: u32,
        need: u32,
        block_bytes: u64,
        observer: &mut O,
    ) -> (Option<u32>, bool) {
        let abandoned = self.abandoned.len();
        let first_fit = self.config.version == MimallocVersion::V2_1_2;
        let mut tries = if first_fit || abandoned > 8 { 8 } else { abandoned.min(1) };
        if !first_fit {
            tries = tries.max((abandoned / 10).min(1024));
        }
        let mut cursor = self.abandoned.cursor();
        while tries > 0 {
            tries -= 1;
            let Some(seg) = self.abandoned_pop(&mut cursor) else { break };
            let s = &mut self.segments[seg as usize];
            s.visits += 1;
            let (visits, ordinal) = (s.visits, s.ordinal);
            let has_room = self.segment_check_free(seg, need, block_bytes, observer);
            let verdict = if self.segments[seg as usize].used == 0 {
                Verdict::Empty
            } else if has_room {
                Verdict::HasRoom
            } else if visits > VISITS_MAX {
                Verdict::VisitedOften
            } else {
                Verdict::NoRoom
            };
            self.say(observer, |_| MiEvent::SegmentTried { ordinal, visits, verdict });
            match verdict {
                Verdict::HasRoom => return self.segment_reclaim(heap, seg, block_bytes, observer),
                Verdict::Empty | Verdict::VisitedOften => {
                    self.segment_reclaim(heap, seg, 0, observer);
                }
                Verdict::NoRoom => {
                    if !first_fit {
                        tries += 1;
                    }
                    self.abandoned_push(seg, true);
                }
            }
        }
        (None, false)
    }

    /// `_mi_abandoned_collect`: frees what is empty among abandoned segments.
    pub(super) fn abandoned_collect<O: Observer>(&mut self, heap: u32, force: bool, observer: &mut O) {
        let tries = match (self.config.version, force) {
            (_, false) => 1024,
            (MimallocVersion::V2_1_2, true) => 16 << 10,
            (MimallocVersion::V2_5_2, true) => self.abandoned.len(),
        };
        if force && self.config.version == MimallocVersion::V2_1_2 {
            self.abandoned.revisit();
        }
        let mut cursor = self.abandoned.cursor();
        for _ in 0..tries {
            let Some(seg) = self.abandoned_pop(&mut cursor) else { break };
            self.segment_check_free(seg, 0, 0, observer);
            if self.segments[seg as usize].used == 0 {
                self.segment_reclaim(heap, seg, 0, observer);
            } else {
                self.abandoned_push(seg, true);
            }
        }
    }

    /// `_mi_abandoned_reclaim_all`: a forced collect of the process's main thread.
    pub(super) fn abandoned_reclaim_all<O: Observer>(&mut self, heap: u32, observer: &mut O) {
        let mut cursor = self.abandoned.cursor();
        while let Some(seg) = self.abandoned_pop(&mut cursor) {
            self.segment_reclaim(heap, seg, 0, observer);
        }
    }
}
