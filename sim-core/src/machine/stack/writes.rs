//! What pymalloc and mimalloc write into blocks, going to memory: an observer in front of the real one.

use std::collections::BTreeMap;

use crate::addr::Addr;
use crate::bytes::Bytes;
use crate::domains::ForeignFree;
use crate::event::{Event, MiEvent, Observer};
use crate::mimalloc::SLICE_BYTES;

/// Writes into memory what the allocators write into blocks, and passes events on.
pub(super) struct Writes<'a, O: Observer> {
    pub(super) bytes: &'a mut Bytes,
    /// Free blocks of mimalloc's whose first word a scenario overwrote.
    pub(super) wild: &'a mut BTreeMap<Addr, u64>,
    pub(super) arena_size: u64,
    pub(super) word_bytes: u32,
    /// The overwritten block that was handed out, if one was.
    pub(super) met_wild: Option<(Addr, u64)>,
    /// Arenas that a hook took back.
    pub(super) released: Vec<Addr>,
    /// The C library was given an arena to free that is not its own.
    pub(super) aborted: bool,
    pub(super) observer: &'a mut O,
}

impl<O: Observer> Writes<'_, O> {
    fn link(&mut self, at: Addr, to: Option<Addr>) {
        // Blocks lie in mapped memory, so these writes cannot fail.
        let _ = self.bytes.set_word(at, self.word_bytes, to.unwrap_or_default().0);
    }

    fn pushed(&mut self, block: Addr, next: Option<Addr>) {
        self.link(block, next);
        self.wild.remove(&block);
    }

    fn popped(&mut self, block: Addr) {
        if let Some(link) = self.wild.remove(&block) {
            self.met_wild = Some((block, link));
        }
    }

    fn mimalloc(&mut self, event: MiEvent) {
        match event {
            MiEvent::SegmentObtained { base, slices, .. } => {
                self.bytes.map(base, u64::from(slices) * SLICE_BYTES);
            }
            MiEvent::SegmentFreed { base, .. } => self.bytes.unmap(base),
            MiEvent::PageExtended { first, block_bytes, count, .. } => {
                for i in 0..u64::from(count) {
                    let next = (i + 1 < u64::from(count)).then(|| first.offset((i + 1) * block_bytes));
                    self.link(first.offset(i * block_bytes), next);
                }
            }
            MiEvent::ListsJoined { tail, next, .. } => self.pushed(tail, next),
            MiEvent::BlockFreed { block, next, .. }
            | MiEvent::BlockDelayed { block, next, .. }
            | MiEvent::BlockFreedRemotely { block, next, .. } => self.pushed(block, next),
            MiEvent::BlockPopped { block, .. } => self.popped(block),
            _ => {}
        }
    }
}

impl<O: Observer> Observer for Writes<'_, O> {
    const ENABLED: bool = true;
    fn event(&mut self, event: Event) {
        match event {
            Event::ArenaObtained { base, .. } => self.bytes.map(base, self.arena_size),
            Event::ArenaReleased { base, .. } => self.released.push(base),
            Event::ArenaFreedByOther { outcome: Some(ForeignFree::Aborted), .. } => self.aborted = true,
            Event::BlockCarved { block, .. } => self.link(block, None),
            Event::PoolInitialised { second, .. } => self.link(second, None),
            Event::BlockPushed { block, next, .. } => self.link(block, next),
            Event::Mimalloc(event) => self.mimalloc(event),
            _ => {}
        }
        // Observers that want no detail still want arenas; the others ignore all of it.
        self.observer.event(event);
    }
}
