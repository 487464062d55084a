//! free: by the owner into `local_free`, by others into the page's or the heap's mailbox.

use super::record::{DELAYED, Delayed, LIVE, NIL, NONE};
use super::{BlockId, MiEvent, Mimalloc};
use crate::addr::Addr;
use crate::event::Observer;

/// A pointer that `mi_free` must not get. A release build does not notice and breaks its lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadFree {
    /// It lies in no page of mimalloc's, or not where a block begins.
    NoBlock,
    /// The block is free already.
    Freed,
}

impl Mimalloc {
    /// The block that begins at an address, if the program has it.
    pub fn block_at(&self, addr: Addr) -> Result<BlockId, BadFree> {
        let (block, offset) = self.block_around(addr).ok_or(BadFree::NoBlock)?;
        if offset != 0 {
            return Err(BadFree::NoBlock);
        }
        if self.is_live(block) { Ok(block) } else { Err(BadFree::Freed) }
    }

    /// Whether the program has a block.
    pub fn is_live(&self, block: BlockId) -> bool {
        self.pages
            .get(block.page as usize)
            .and_then(|p| p.links.get(usize::from(block.index)))
            .is_some_and(|&link| link == LIVE)
    }

    /// `mi_free` by a thread.
    pub fn free<O: Observer>(
        &mut self,
        number: u16,
        block: BlockId,
        observer: &mut O,
    ) -> Result<(), BadFree> {
        if !self.is_live(block) {
            return Err(BadFree::Freed);
        }
        let p = &self.pages[block.page as usize];
        let owner = self.segments[p.seg as usize].owner;
        // A thread that ends has abandoned some pages of a segment that is still its own.
        if owner == u32::from(number) + 1 && p.heap != NONE {
            self.free_local(block, observer);
        } else {
            self.free_remote(block, observer);
        }
        Ok(())
    }

    /// `mi_free_block_local`.
    fn free_local<O: Observer>(&mut self, block: BlockId, observer: &mut O) {
        let BlockId { page, index } = block;
        let p = &mut self.pages[page as usize];
        let next = std::mem::replace(&mut p.local_free, index);
        p.links[usize::from(index)] = next;
        p.used -= 1;
        let (used, in_full) = (p.used, p.in_full);
        self.say(observer, |m| MiEvent::BlockFreed {
            page: m.page_addr(page),
            block: m.block_addr(block),
            next: m.link_addr(page, next),
            used,
        });
        if used == 0 {
            self.page_retire(page, observer);
        } else if in_full {
            self.page_unfull(page, observer);
        }
    }

    /// `mi_free_block_delayed_mt`: to the owner's heap when it has not been told yet, else to the page.
    fn free_remote<O: Observer>(&mut self, block: BlockId, observer: &mut O) {
        let BlockId { page, index } = block;
        let p = &mut self.pages[page as usize];
        if p.delayed == Delayed::Use && p.heap != NONE {
            p.delayed = Delayed::No;
            p.links[usize::from(index)] = DELAYED;
            let heap = p.heap;
            let next = self.heaps[heap as usize].delayed.last().copied();
            self.heaps[heap as usize].delayed.push(block);
            self.say(observer, |m| MiEvent::BlockDelayed {
                block: m.block_addr(block),
                next: next.map(|b| m.block_addr(b)),
                tag: m.heaps[heap as usize].tag,
                thread: m.threads[m.heaps[heap as usize].thread as usize].number,
            });
            return;
        }
        let next = std::mem::replace(&mut p.thread_free, index);
        p.links[usize::from(index)] = next;
        p.thread_free_len += 1;
        let abandoned = p.heap == NONE;
        self.say(observer, |m| MiEvent::BlockFreedRemotely {
            page: m.page_addr(page),
            block: m.block_addr(block),
            next: m.link_addr(page, next),
            abandoned,
        });
        debug_assert!(next == NIL || next < DELAYED, "only listed blocks are linked");
    }

    /// `_mi_heap_delayed_free_all`: frees what other threads left in a heap's mailbox.
    pub(super) fn heap_delayed_free<O: Observer>(&mut self, heap: u32, observer: &mut O) {
        let h = &mut self.heaps[heap as usize];
        if h.delayed.is_empty() {
            return;
        }
        let mut blocks = std::mem::take(&mut h.delayed);
        self.say(observer, |m| MiEvent::DelayedProcessed {
            count: blocks.len() as u32,
            tag: m.heaps[heap as usize].tag,
        });
        while let Some(block) = blocks.pop() {
            let p = &mut self.pages[block.page as usize];
            if p.delayed != Delayed::Never {
                p.delayed = Delayed::Use;
            }
            self.page_free_collect(block.page, false, observer);
            self.free_local(block, observer);
        }
        // Nothing is freed remotely meanwhile, so the emptied list can be used again.
        if self.heaps[heap as usize].delayed.is_empty() {
            self.heaps[heap as usize].delayed = blocks;
        }
    }
}
