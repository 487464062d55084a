//! The self-check: what must hold between two operations.

use super::Mimalloc;
use super::record::{DELAYED, INFO, LIVE, NONE};
use super::sizes::{BIN_FULL, QUEUES, span_bin};
use crate::pymalloc::Violation;

fn broken<T>(rule: &'static str, detail: String) -> Result<T, Violation> {
    Err(Violation { rule, detail })
}

impl Mimalloc {
    /// Checks spans, pages, lists, queues, owners and counts. Takes time in proportion to the heap.
    pub fn verify(&self) -> Result<(), Violation> {
        let (mut pages, mut free_spans) = (0, 0);
        for (id, s) in self.segments.iter().enumerate().filter(|(_, s)| s.live) {
            let (p, f) = self.verify_segment(id as u32)?;
            pages += p;
            free_spans += if s.owner == 0 { 0 } else { f };
        }
        if pages + self.free_pages.len() != self.pages.len() {
            return broken("pages", format!("{pages} in segments of {} records", self.pages.len()));
        }
        let mut queued_spans = 0;
        for (id, t) in self.threads.iter().enumerate().filter(|(_, t)| t.live) {
            queued_spans += self.verify_spans(id as u32)?;
            let owned = self.segments.iter().filter(|s| s.live && s.thread == id as u32).count();
            if owned != t.segments as usize {
                return broken("segments", format!("thread {} counts {} of {owned}", t.number, t.segments));
            }
        }
        if queued_spans != free_spans {
            return broken("span queues", format!("{queued_spans} queued of {free_spans} free spans"));
        }
        let mut queued_pages = 0;
        for t in self.threads.iter().filter(|t| t.live) {
            for &heap in t.heaps.iter().filter(|&&h| h != NONE) {
                queued_pages += self.verify_heap(heap)?;
            }
        }
        let owned =
            self.segments.iter().filter(|s| s.live).map(|s| (s.used - s.abandoned) as usize).sum::<usize>();
        if queued_pages != owned {
            return broken("page queues", format!("{queued_pages} pages in queues, {owned} have a heap"));
        }
        let abandoned = self.segments.iter().filter(|s| s.live && s.owner == 0).count();
        if abandoned != self.abandoned.len() {
            return broken("abandoned", format!("{abandoned} segments, {} kept", self.abandoned.len()));
        }
        Ok(())
    }

    /// The spans of a segment tile it, and its pages are sound. Gives pages and free spans.
    fn verify_segment(&self, seg: u32) -> Result<(usize, usize), Violation> {
        let s = &self.segments[seg as usize];
        let name = || format!("segment {}", s.ordinal);
        if s.slices[0].page != INFO {
            return broken("segment header", name());
        }
        let (mut at, mut used, mut abandoned, mut free, mut last_free) = (1, 0, 0, 0, false);
        for (start, count, page) in self.spans(seg) {
            if start != at || count == 0 {
                return broken("spans tile the segment", format!("{}, slice {start}", name()));
            }
            at += count;
            if let Some(page) = page {
                let p = &self.pages[page as usize];
                if (p.seg, p.slice, p.slices) != (seg, start, count) {
                    return broken("page of a span", format!("{}, slice {start}", name()));
                }
                used += 1;
                abandoned += u32::from(p.heap == NONE);
                self.verify_page(page)?;
                last_free = false;
            } else {
                if last_free {
                    return broken("free spans are joined", format!("{}, slice {start}", name()));
                }
                free += 1;
                last_free = true;
            }
        }
        if at != s.slice_count {
            return broken("spans tile the segment", format!("{} ends at {at}", name()));
        }
        if (used, abandoned) != (s.used, s.abandoned) || (s.owner == 0) != (used == abandoned) {
            return broken("pages of a segment", format!("{}: {used} used, {abandoned} abandoned", name()));
        }
        Ok((used as usize, free))
    }

    fn verify_page(&self, page: u32) -> Result<(), Violation> {
        let p = &self.pages[page as usize];
        let at = || format!("page {}", self.page_addr(page));
        let mut seen = vec![false; p.links.len()];
        let mut lens = [0_u32; 3];
        for (len, first) in lens.iter_mut().zip([p.free, p.local_free, p.thread_free]) {
            for index in self.list(page, first) {
                match seen.get_mut(usize::from(index)) {
                    Some(seen) if !*seen => *seen = true,
                    _ => return broken("lists of a page", format!("{}, block {index}", at())),
                }
                *len += 1;
            }
        }
        let [free, local, remote] = lens;
        if p.links.len() != p.capacity as usize || p.capacity > p.reserved || p.reserved == 0 {
            return broken("capacity", at());
        }
        if free + local + p.used != p.capacity || remote != u32::from(p.thread_free_len) {
            return broken("used", format!("{}: {} used, {free} + {local} + {remote} listed", at(), p.used));
        }
        let out = p.links.iter().zip(&seen).filter(|(l, seen)| !**seen && **l != LIVE && **l != DELAYED);
        if out.count() != 0 {
            return broken("links", format!("{}: a block is neither live nor listed", at()));
        }
        let delayed = p.links.iter().filter(|&&l| l == DELAYED).count();
        let listed = self
            .heaps
            .get(p.heap as usize)
            .map_or(0, |h| h.delayed.iter().filter(|b| b.page == page).count());
        if delayed != listed {
            return broken("delayed list", format!("{}: {delayed} delayed, {listed} listed", at()));
        }
        Ok(())
    }

    fn verify_spans(&self, thread: u32) -> Result<usize, Violation> {
        let mut count = 0;
        for (bin, &head) in self.threads[thread as usize].spans.iter().enumerate() {
            let (mut at, mut before) = (head, NONE);
            while at != NONE {
                let s = &self.segments[(at >> 9) as usize];
                let slice = s.slices.get((at & 511) as usize);
                let ok = slice.is_some_and(|l| {
                    l.page == NONE && l.prev == before && span_bin(l.count) == bin && s.thread == thread
                });
                count += 1;
                match slice {
                    Some(l) if ok && count <= 512 * self.segments.len() => (before, at) = (at, l.next),
                    _ => return broken("span queues", format!("bin {bin}, segment {}", s.ordinal)),
                }
            }
        }
        Ok(count)
    }

    fn verify_heap(&self, heap: u32) -> Result<usize, Violation> {
        let h = &self.heaps[heap as usize];
        let mut count = 0;
        for bin in 0..QUEUES as u8 {
            let mut before = NONE;
            for page in self.queue_pages(heap, bin) {
                let p = &self.pages[page as usize];
                let right = if bin == BIN_FULL { p.in_full } else { !p.in_full && p.bin == bin };
                count += 1;
                if !right || p.heap != heap || p.prev != before || count > self.pages.len() {
                    return broken("page queues", format!("page {} in queue {bin}", self.page_addr(page)));
                }
                if p.queued && !p.use_qsbr {
                    return broken("deferred pages", format!("page {}", self.page_addr(page)));
                }
                before = page;
            }
            if h.queues[usize::from(bin)].last != before {
                return broken("page queues", format!("queue {bin} ends elsewhere"));
            }
        }
        if count != h.page_count as usize {
            return broken("page queues", format!("{count} pages, {} counted", h.page_count));
        }
        Ok(count)
    }
}
