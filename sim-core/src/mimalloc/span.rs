//! Spans: runs of slices, used by a page or free and in a queue of their thread by length.

use super::record::{INFO, NONE, Page};
use super::sizes::{SPAN_BINS, span_bin};
use super::{MiEvent, Mimalloc};
use crate::addr::Addr;
use crate::event::Observer;

/// A slice of any segment as one number.
fn row(seg: u32, slice: u32) -> u32 {
    seg << 9 | slice
}

impl Mimalloc {
    fn slice_mut(&mut self, row: u32) -> &mut super::record::Slice {
        &mut self.segments[(row >> 9) as usize].slices[(row & 511) as usize]
    }

    /// `mi_span_queue_push`.
    fn span_push(&mut self, seg: u32, start: u32, count: u32) {
        let thread = self.segments[seg as usize].thread;
        let at = row(seg, start);
        let head = std::mem::replace(&mut self.threads[thread as usize].spans[span_bin(count)], at);
        if head != NONE {
            self.slice_mut(head).prev = at;
        }
        let slice = self.slice_mut(at);
        (slice.prev, slice.next) = (NONE, head);
    }

    /// `mi_span_queue_delete`. While a segment is reclaimed, a span may be asked for that is in no queue yet.
    pub(super) fn span_remove(&mut self, seg: u32, start: u32) {
        let thread = self.segments[seg as usize].thread;
        let slice = self.slice_mut(row(seg, start));
        let (count, prev, next) = (slice.count, slice.prev, slice.next);
        (slice.prev, slice.next) = (NONE, NONE);
        let head = &mut self.threads[thread as usize].spans[span_bin(count)];
        if prev == NONE && *head != row(seg, start) {
            return;
        }
        if prev == NONE {
            *head = next;
        } else {
            self.slice_mut(prev).next = next;
        }
        if next != NONE {
            self.slice_mut(next).prev = prev;
        }
    }

    /// `mi_segment_span_free`.
    pub(super) fn span_free(&mut self, seg: u32, start: u32, count: u32) {
        let s = &mut self.segments[seg as usize];
        let slice = &mut s.slices[start as usize];
        (slice.count, slice.page) = (count, NONE);
        (slice.prev, slice.next) = (NONE, NONE);
        if s.huge {
            return;
        }
        s.slices[(start + count) as usize - 1].back = start as u16;
        if s.owner != 0 {
            self.span_push(seg, start, count);
        }
    }

    /// `mi_segment_span_free_coalesce`: joins a span with free neighbours and gives where it then begins.
    pub(super) fn span_free_coalesce(&mut self, seg: u32, start: u32) -> u32 {
        let s = &mut self.segments[seg as usize];
        let mut count = s.slices[start as usize].count;
        if s.huge {
            s.slices[start as usize].page = NONE;
            return start;
        }
        let (live, mut start) = (s.owner != 0, start);
        let next = start + count;
        if let Some(right) = s.slices.get(next as usize)
            && right.page == NONE
        {
            count += right.count;
            if live {
                self.span_remove(seg, next);
            }
        }
        let s = &self.segments[seg as usize];
        let before = u32::from(s.slices[start as usize - 1].back);
        if before > 0 && s.slices[before as usize].page == NONE {
            count += s.slices[before as usize].count;
            if live {
                self.span_remove(seg, before);
            }
            start = before;
        }
        self.span_free(seg, start, count);
        start
    }

    /// `mi_segment_span_allocate`: a page on a span that is no longer in a queue.
    pub(super) fn span_allocate(&mut self, seg: u32, start: u32, count: u32) -> u32 {
        let record = Page::new(seg, start, count);
        let page = if let Some(page) = self.free_pages.pop() {
            self.pages[page as usize] = record;
            page
        } else {
            self.pages.push(record);
            self.pages.len() as u32 - 1
        };
        let s = &mut self.segments[seg as usize];
        s.used += 1;
        let slice = &mut s.slices[start as usize];
        (slice.count, slice.page) = (count, page);
        if !s.huge {
            // A block may begin in any slice of a small or medium page, and the span's end is always looked at.
            let inner = count.min(8);
            for at in (start..start + inner).chain(std::iter::once(start + count - 1)) {
                s.slices[at as usize].back = start as u16;
            }
        }
        page
    }

    /// `mi_segments_page_find_and_allocate`: the first free span of a thread that is long enough, shortest bins
    /// first, inside a bin the one inserted last.
    pub(super) fn span_find<O: Observer>(&mut self, thread: u32, need: u32, observer: &mut O) -> Option<u32> {
        for bin in span_bin(need)..SPAN_BINS {
            let mut at = self.threads[thread as usize].spans[bin];
            while at != NONE {
                let slice = *self.slice_mut(at);
                if slice.count >= need {
                    let (seg, start) = (at >> 9, at & 511);
                    self.span_remove(seg, start);
                    if slice.count > need {
                        self.span_free(seg, start + need, slice.count - need);
                    }
                    self.say(observer, |m| MiEvent::SpanTaken {
                        at: Addr(m.segments[seg as usize].base + u64::from(start) * super::SLICE_BYTES),
                        slices: need,
                        of: slice.count,
                    });
                    return Some(self.span_allocate(seg, start, need));
                }
                at = slice.next;
            }
        }
        None
    }

    /// The spans of a segment, header excepted: where each begins, its slices and its page.
    pub(super) fn spans(&self, seg: u32) -> impl Iterator<Item = (u32, u32, Option<u32>)> + '_ {
        let slices = &self.segments[seg as usize].slices;
        let mut at = 1;
        std::iter::from_fn(move || {
            let slice = slices.get(at as usize)?;
            let start = at;
            at += slice.count.max(1);
            let page = (slice.page != NONE && slice.page != INFO).then_some(slice.page);
            Some((start, slice.count, page))
        })
    }
}
