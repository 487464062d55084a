//! Segments: taken from arenas, given back, abandoned.

use super::arena::Piece;
use super::record::{INFO, NONE, Segment, Slice};
use super::sizes::{SLICE_BYTES, SLICES_PER_SEGMENT};
use super::{MiEvent, Mimalloc};
use crate::addr::Addr;
use crate::event::Observer;

/// Segment records at most, so that a slice of any segment is one number of 32 bits.
const SEGMENTS_MAX: usize = 1 << 22;

impl Mimalloc {
    /// `mi_segment_alloc`: a segment of 512 slices, or one for a block of `huge_bytes`. Gives the segment.
    pub(super) fn segment_alloc<O: Observer>(
        &mut self,
        thread: u32,
        huge_bytes: Option<u64>,
        observer: &mut O,
    ) -> Option<u32> {
        let slice_count = match huge_bytes {
            None => u64::from(SLICES_PER_SEGMENT),
            Some(bytes) => bytes.checked_add(SLICE_BYTES)?.div_ceil(SLICE_BYTES),
        };
        if self.segments.len() - self.free_segments.len() >= SEGMENTS_MAX {
            return None;
        }
        let piece = self.arenas.alloc(slice_count)?;
        let huge = huge_bytes.is_some();
        let empty = Slice { count: 0, page: NONE, back: 0, prev: NONE, next: NONE };
        let mut slices = vec![empty; if huge { 2 } else { SLICES_PER_SEGMENT as usize }];
        slices[0] = Slice { count: 1, page: INFO, ..empty };
        let owner = self.threads[thread as usize].owner();
        let record = Segment {
            ordinal: piece.ordinal,
            base: piece.base,
            huge,
            slice_count: slice_count as u32,
            used: 0,
            abandoned: 0,
            visits: 0,
            owner,
            thread,
            arena_blocks: piece.arena_blocks,
            slices,
            live: true,
        };
        let seg = if let Some(seg) = self.free_segments.pop() {
            self.segments[seg as usize] = record;
            seg
        } else {
            self.segments.push(record);
            self.segments.len() as u32 - 1
        };
        if piece.arena_blocks.is_some() {
            let at = piece.ordinal as usize;
            if self.by_block.len() <= at {
                self.by_block.resize(at + 1, NONE);
            }
            self.by_block[at] = seg;
        }
        self.threads[thread as usize].segments += 1;
        observer.event(crate::event::Event::Mimalloc(MiEvent::SegmentObtained {
            ordinal: piece.ordinal,
            base: Addr(piece.base),
            slices: slice_count as u32,
            in_arena: piece.arena_blocks.is_some(),
        }));
        if !huge {
            self.span_free(seg, 1, SLICES_PER_SEGMENT - 1);
        }
        Some(seg)
    }

    /// `mi_segment_free`.
    pub(super) fn segment_free<O: Observer>(&mut self, seg: u32, observer: &mut O) {
        if !self.segments[seg as usize].huge {
            let free: Vec<u32> = self.spans(seg).map(|span| span.0).collect();
            for start in free {
                self.span_remove(seg, start);
            }
        }
        let s = &mut self.segments[seg as usize];
        s.live = false;
        s.slices = Vec::new();
        let piece = Piece { ordinal: s.ordinal, base: s.base, arena_blocks: s.arena_blocks };
        self.threads[s.thread as usize].segments -= 1;
        if piece.arena_blocks.is_some() {
            self.by_block[piece.ordinal as usize] = NONE;
        }
        self.arenas.free(piece);
        self.free_segments.push(seg);
        observer.event(crate::event::Event::Mimalloc(MiEvent::SegmentFreed {
            ordinal: piece.ordinal,
            base: Addr(piece.base),
        }));
    }

    /// `mi_segment_page_clear`: the page's slices become free; gives where the free span begins.
    pub(super) fn segment_page_clear(&mut self, page: u32) -> u32 {
        let p = &mut self.pages[page as usize];
        let (seg, start) = (p.seg, p.slice);
        self.link_count -= p.links.len() as u64;
        p.links = Vec::new();
        p.heap = NONE;
        p.seg = NONE;
        self.free_pages.push(page);
        self.segments[seg as usize].used -= 1;
        self.span_free_coalesce(seg, start)
    }

    /// `_mi_segment_page_free`.
    pub(super) fn segment_page_free<O: Observer>(&mut self, page: u32, observer: &mut O) {
        let seg = self.pages[page as usize].seg;
        self.segment_page_clear(page);
        let s = &self.segments[seg as usize];
        if s.used == 0 {
            self.segment_free(seg, observer);
        } else if s.used == s.abandoned {
            self.segment_abandon(seg, observer);
        }
    }

    /// `mi_segment_abandon`: nobody owns it any more.
    pub(super) fn segment_abandon<O: Observer>(&mut self, seg: u32, observer: &mut O) {
        let free: Vec<u32> = self.spans(seg).filter(|span| span.2.is_none()).map(|span| span.0).collect();
        for start in free {
            self.span_remove(seg, start);
        }
        let s = &mut self.segments[seg as usize];
        self.threads[s.thread as usize].segments -= 1;
        (s.owner, s.thread, s.visits) = (0, NONE, 1);
        let (ordinal, pages) = (s.ordinal, s.used);
        observer.event(crate::event::Event::Mimalloc(MiEvent::SegmentAbandoned { ordinal, pages }));
        self.abandoned_push(seg, false);
    }
}
