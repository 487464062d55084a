//! Replay at full speed, where nobody watches.
//!
//! Nearly all operations touch one pool and the front of its list: a block comes off the pool's free list
//! or goes back. They are done here over the bare tables, whose addresses stay in registers from one operation
//! to the next. What needs more is left to the algorithm itself; tests hold the two equal.

use std::ops::ControlFlow;

use super::Machine;
use crate::arena::{SimArenas, SimBlock, SimPool, SimPtr, Tables};
use crate::event::Observer;
use crate::paged::PAGE_BITS;
use crate::tape::{RowsRef, Trace};

impl Machine<SimArenas> {
    /// Does the operations of a trace from `from` to before `to`, as [`Machine::step`] does one.
    pub fn run(&mut self, trace: &Trace, from: usize, to: usize) {
        self.run_seen(trace, from, to, &mut (), |_, ()| ControlFlow::Continue(()));
    }

    /// The same, watched at that speed: `after` is called behind each operation that took more than the pools of a used list, and
    /// the observer hears of those alone. The others leave arenas, the C library's blocks and mimalloc as they are. With `Break`
    /// the run ends there; gives the index of the first operation that was not done.
    pub fn run_seen<O: Observer>(
        &mut self,
        trace: &Trace,
        from: usize,
        to: usize,
        observer: &mut O,
        mut after: impl FnMut(&Self, &mut O) -> ControlFlow<()>,
    ) -> usize {
        let mut at = from;
        while at < to {
            // As many as lie together; beyond the end of the tape there is none, and the step says so.
            let rows = trace.range(at, to);
            let (begin, end) = (at, (at + rows.heads.len()).max(at + 1));
            while at < end {
                if self.plain {
                    at += self.run_simple(rows.after(at - begin));
                }
                if at < end {
                    self.step(trace, at, observer);
                    at += 1;
                    if after(self, observer).is_break() {
                        return at;
                    }
                }
            }
        }
        at
    }

    /// Does operations as long as none needs more than the pools on a used list, and says how many.
    // Apart from its caller, so that the tables' addresses have the registers to themselves.
    #[inline(never)]
    fn run_simple(&mut self, rows: RowsRef<'_>) -> usize {
        let (used, memory, threshold) = self.pymalloc.quick_parts();
        let Tables { pools, links, dirty, units_bits, alignment_bits } = memory.tables();
        let (pointers, pointers_dirty) = self.pointers.parts();
        let dirty = &mut dirty[..pools.len()];
        let mask = (1_u32 << units_bits) - 1;
        let zipped = rows.heads.iter().zip(rows.slots).zip(rows.sizes);
        for (done, ((&head, &slot), &size)) in zipped.enumerate() {
            let slot = slot as usize;
            if RowsRef::is_small_malloc(head) {
                let below = size.wrapping_sub(1);
                if below >= threshold {
                    return done;
                }
                let class = below >> alignment_bits;
                let Some(pool) = used[class as usize] else { return done };
                let number = pool.number();
                let header = &mut pools[number as usize];
                let Some(block) = header.freeblock else { return done };
                header.ref_count += 1;
                dirty[number as usize] = 1;
                let unit = u32::from(links[block.number() as usize]);
                if unit != 0 {
                    header.freeblock = SimBlock::of_number(number << units_bits | unit);
                } else if header.nextoffset <= header.maxnextoffset {
                    let carved = number << units_bits | header.nextoffset >> alignment_bits;
                    header.nextoffset += (class + 1) << alignment_bits;
                    header.freeblock = SimBlock::of_number(carved);
                    links[carved as usize] = 0;
                } else {
                    // The pool is full and leaves the front of its list.
                    header.freeblock = None;
                    let next = header.nextpool;
                    used[class as usize] = next;
                    if let Some(next) = next {
                        pools[next.number() as usize].prevpool = None;
                        dirty[next.number() as usize] = 1;
                    }
                }
                pointers[slot] = SimPtr::of_block(block);
                pointers_dirty[slot >> PAGE_BITS] = 1;
            } else if RowsRef::is_free(head) {
                let Some(block) = pointers[slot].block() else { return done };
                let Some(pool) = SimPool::of_number(block.number() >> units_bits) else { return done };
                let number = pool.number();
                let header = &mut pools[number as usize];
                if header.ref_count == 1 {
                    // The pool empties and goes back to its arena.
                    return done;
                }
                header.ref_count = header.ref_count.wrapping_sub(1);
                dirty[number as usize] = 1;
                let last_free = header.freeblock.replace(block);
                links[block.number() as usize] = (last_free.map_or(0, SimBlock::number) & mask) as u16;
                if last_free.is_none() {
                    // It was full and goes to the front of its list.
                    let front = used[header.szidx as usize].replace(pool);
                    header.nextpool = front;
                    header.prevpool = None;
                    if let Some(front) = front {
                        pools[front.number() as usize].prevpool = Some(pool);
                        dirty[front.number() as usize] = 1;
                    }
                }
                pointers[slot] = SimPtr::default();
                pointers_dirty[slot >> PAGE_BITS] = 1;
            } else {
                return done;
            }
        }
        rows.heads.len()
    }
}
