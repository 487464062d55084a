//! Replay at full speed, where nobody watches.
//!
//! Nineteen operations in twenty touch one pool and nothing else: a block comes off its free list or goes
//! back. They are done here over the bare tables, kept in registers from one operation to the next. What
//! needs more is left to the algorithm itself; tests hold the two equal.

use super::Machine;
use crate::arena::{SimArenas, SimBlock, SimPtr, Tables};
use crate::paged::PAGE_BITS;
use crate::tape::{Rows, Trace};

impl Machine<SimArenas> {
    /// Does the operations of a trace from `from` to before `to`, as [`Machine::step`] does one.
    pub fn run(&mut self, trace: &Trace, from: usize, to: usize) {
        let mut at = from;
        while at < to {
            if self.plain {
                at += self.run_simple(trace.rows(at, to));
            }
            if at < to {
                self.step(trace, at, &mut ());
                at += 1;
            }
        }
    }

    /// Does operations as long as each needs one pool that stays on its list, and says how many.
    // Apart from its caller, so that the tables' addresses have the registers to themselves.
    #[inline(never)]
    fn run_simple(&mut self, rows: Rows<'_>) -> usize {
        let (used, memory, threshold) = self.pymalloc.quick_parts();
        let Tables { pools, links, dirty, units_bits, alignment_bits } = memory.tables();
        let (pointers, pointers_dirty) = self.pointers.parts();
        let dirty = &mut dirty[..pools.len()];
        let mask = (1_u32 << units_bits) - 1;
        let zipped = rows.heads.iter().zip(rows.slots).zip(rows.sizes);
        for (done, ((&head, &slot), &size)) in zipped.enumerate() {
            let slot = slot as usize;
            if Rows::is_small_malloc(head) {
                let below = size.wrapping_sub(1);
                if below >= threshold {
                    return done;
                }
                let class = below >> alignment_bits;
                let Some(pool) = used[class as usize] else { return done };
                let number = pool.number();
                let header = &mut pools[number as usize];
                let Some(block) = header.freeblock else { return done };
                let unit = u32::from(links[block.number() as usize]);
                let next = if unit != 0 {
                    number << units_bits | unit
                } else if header.nextoffset <= header.maxnextoffset {
                    let carved = number << units_bits | header.nextoffset >> alignment_bits;
                    header.nextoffset += (class + 1) << alignment_bits;
                    links[carved as usize] = 0;
                    carved
                } else {
                    return done;
                };
                header.freeblock = SimBlock::of_number(next);
                header.ref_count += 1;
                dirty[number as usize] = 1;
                pointers[slot] = SimPtr::of_block(block);
                pointers_dirty[slot >> PAGE_BITS] = 1;
            } else if Rows::is_free(head) {
                let Some(block) = pointers[slot].block() else { return done };
                let number = block.number() >> units_bits;
                let header = &mut pools[number as usize];
                let Some(last_free) = header.freeblock else { return done };
                if header.ref_count == 1 {
                    return done;
                }
                header.freeblock = Some(block);
                header.ref_count = header.ref_count.wrapping_sub(1);
                links[block.number() as usize] = (last_free.number() & mask) as u16;
                dirty[number as usize] = 1;
                pointers[slot] = SimPtr::default();
                pointers_dirty[slot >> PAGE_BITS] = 1;
            } else {
                return done;
            }
        }
        rows.heads.len()
    }
}
