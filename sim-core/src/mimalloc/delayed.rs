//! `_PyMem_FreeDelayed`: frees that wait in chunks until no other thread can look at the memory any more.

use std::collections::VecDeque;

use super::record::WorkChunk;
use super::{BadFree, BlockId, MiEvent, Mimalloc};
use crate::event::{Event, Observer};

/// `WORK_ITEMS_PER_CHUNK`.
const ITEMS: usize = 254;
/// Bytes of a chunk.
const CHUNK_BYTES: u64 = 4096;
/// `QSBR_DEFERRED_LIMIT`: deferred frees before the sequence advances.
const BLOCKS_MAX: u32 = 127;
/// `QSBR_FREE_MEM_LIMIT`: deferred bytes before it advances, and of one block.
const BYTES_MAX: u64 = 1 << 20;

/// Whose chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Thread(u32),
    Interpreter,
}

impl Mimalloc {
    /// `_PyMem_FreeDelayed(ptr, bytes)`. With the GIL it is a plain free.
    pub fn free_delayed<O: Observer>(
        &mut self,
        number: u16,
        block: BlockId,
        bytes: u64,
        observer: &mut O,
    ) -> Result<(), BadFree> {
        if !self.config.build.free_threaded {
            return self.free(number, block, observer);
        }
        if !self.is_live(block) {
            return Err(BadFree::Freed);
        }
        let thread = self.thread(number, observer);
        if self.threads[thread as usize].work.back().is_none_or(|c| c.items.len() == ITEMS) {
            let heap = self.threads[thread as usize].heaps[0];
            let Some(memory) = self.malloc(heap, CHUNK_BYTES, observer) else {
                // The world is stopped and the block freed at once.
                return self.free(number, block, observer);
            };
            let chunk = WorkChunk { block: memory, done: 0, items: Vec::new() };
            self.threads[thread as usize].work.push_back(chunk);
        }
        let t = &mut self.threads[thread as usize];
        let counters = &mut t.counters;
        counters.blocks += 1;
        counters.block_bytes = counters.block_bytes.saturating_add(bytes);
        let advance = bytes > BYTES_MAX || counters.blocks > BLOCKS_MAX || counters.block_bytes > BYTES_MAX;
        if advance {
            (counters.blocks, counters.block_bytes) = (0, 0);
            t.should_process = true;
        }
        let goal = self.next_goal(advance);
        self.say(observer, |m| MiEvent::FreeDeferred { block: m.block_addr(block), goal, advance });
        let t = &mut self.threads[thread as usize];
        let Some(chunk) = t.work.back_mut() else { return Ok(()) };
        chunk.items.push((block, goal));
        if chunk.items.len() == ITEMS {
            self.process_delayed(number, observer);
        }
        Ok(())
    }

    /// `_PyMem_ProcessDelayed`: the thread's own chunks, then those that ended threads left.
    pub fn process_delayed<O: Observer>(&mut self, number: u16, observer: &mut O) {
        let thread = self.thread(number, observer);
        if !self.config.build.free_threaded {
            return;
        }
        self.threads[thread as usize].should_process = false;
        self.process_work(number, Work::Thread(thread), observer);
        self.process_work(number, Work::Interpreter, observer);
    }

    fn work_mut(&mut self, of: Work) -> &mut VecDeque<WorkChunk> {
        match of {
            Work::Thread(thread) => &mut self.threads[thread as usize].work,
            Work::Interpreter => &mut self.interp_work,
        }
    }

    fn process_work<O: Observer>(&mut self, number: u16, of: Work, observer: &mut O) {
        while let Some(chunk) = self.work_mut(of).front() {
            if let Some(&(block, goal)) = chunk.items.get(chunk.done) {
                if !self.poll(goal) {
                    return;
                }
                if let Some(chunk) = self.work_mut(of).front_mut() {
                    chunk.done += 1;
                }
                self.free_deferred(number, block, observer);
                continue;
            }
            let work = self.work_mut(of);
            if of != Work::Interpreter && work.len() == 1 {
                // The last chunk is kept and used from its start again.
                work[0].done = 0;
                work[0].items.clear();
                return;
            }
            let Some(chunk) = work.pop_front() else { return };
            self.free_deferred(number, chunk.block, observer);
        }
    }

    /// A block whose turn has come. A scenario may have freed it by itself meanwhile.
    fn free_deferred<O: Observer>(&mut self, number: u16, block: BlockId, observer: &mut O) {
        if self.free(number, block, observer).is_err() {
            observer.event(Event::Mimalloc(MiEvent::DeferredTwice));
        }
    }

    /// `_PyMem_AbandonDelayed`: what a thread that ends leaves undone goes to the interpreter.
    pub(super) fn abandon_delayed<O: Observer>(&mut self, number: u16, observer: &mut O) {
        let thread = self.thread(number, observer);
        let work = &mut self.threads[thread as usize].work;
        let Some(first) = work.front() else { return };
        if first.done == first.items.len() {
            if let Some(chunk) = work.pop_front() {
                self.free_deferred(number, chunk.block, observer);
            }
            return;
        }
        let mut work = std::mem::take(work);
        self.interp_work.append(&mut work);
        self.process_work(number, Work::Interpreter, observer);
    }

    /// Blocks that wait for a goal, and the chunks that hold them.
    pub fn deferred(&self) -> (u64, u64) {
        let chunks = self.threads.iter().filter(|t| t.live).flat_map(|t| &t.work).chain(&self.interp_work);
        chunks.fold((0, 0), |(items, n), c| (items + (c.items.len() - c.done) as u64, n + 1))
    }
}
