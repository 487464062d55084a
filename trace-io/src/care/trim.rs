//! A range of a trace, with the blocks that were live when it began.

use sim_core::tape::{StackId, TimeMark};
use sim_core::{Addr, Call, Domain, Kind, ObjectHeap, Op, Trace, TraceBuilder};

use super::{CareError, Clock, Marks, Notes, StackMap, copy_head, push, push_whole, refuse_scenarios, same};

/// An end of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Operations before it.
    Step(u64),
    /// Nanoseconds since the recording began.
    Time(u64),
    /// Past all that has been read: see [`Trim::set_bounds`].
    NotYet,
}

/// What a trim came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TrimCounts {
    /// Operations of the range.
    pub kept: u64,
    /// Operations before it.
    pub before: u64,
    /// Operations after it.
    pub after: u64,
    /// Blocks that were live at its beginning and are born first.
    pub prelude: u64,
    /// Frees of such blocks that were dropped, where no prelude is wanted.
    pub dropped_frees: u64,
    /// Reallocs of such blocks that count as births, where no prelude is wanted.
    pub births_from_realloc: u64,
}

/// A block that is live in front of the range.
#[derive(Clone, Copy, Debug)]
struct EarlierBlock {
    born: u64,
    id: u64,
    size: u64,
    domain: Domain,
    heap: ObjectHeap,
    thread: u16,
    stack: StackId,
    address: Option<Addr>,
}

/// Cuts a range out.
///
/// Every block that is live where the range begins is born in a prelude, in the order of the births, so
/// that live blocks and bytes are right at every step. Their places are not those of the whole
/// trace, for the holes between them are gone.
#[derive(Debug)]
pub struct Trim {
    from: Bound,
    to: Bound,
    with_prelude: bool,
    out: TraceBuilder,
    /// By slot; in the range only where no prelude is wanted, for the blocks that were not born.
    live: Vec<Option<EarlierBlock>>,
    begun: bool,
    ended: bool,
    clock: Clock,
    stacks: StackMap,
    notes: Notes,
    marks: Marks,
    counts: TrimCounts,
}

impl Trim {
    /// A trim from a bound up to another, which is not in it.
    pub fn new(from: Bound, to: Bound, with_prelude: bool) -> Self {
        Self {
            from,
            to,
            with_prelude,
            out: TraceBuilder::default(),
            live: Vec::new(),
            begun: false,
            ended: false,
            clock: Clock::default(),
            stacks: StackMap::default(),
            notes: Notes::default(),
            marks: Marks::default(),
            counts: TrimCounts::default(),
        }
    }

    /// Sets the range, where it becomes known along the way, such as by a mark. To be called before the piece that it begins or ends in
    /// is taken, and only for a bound that was [`Bound::NotYet`].
    pub fn set_bounds(&mut self, from: Bound, to: Bound) {
        (self.from, self.to) = (from, to);
    }

    /// What is ready to be written and then forgotten.
    pub fn out(&mut self) -> &mut TraceBuilder {
        &mut self.out
    }

    /// What came of it so far.
    pub fn counts(&self) -> TrimCounts {
        self.counts
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &Trace) -> Result<(), CareError> {
        refuse_scenarios(piece, "trim")?;
        if !self.begun {
            copy_head(piece, self.out.trace_mut());
        }
        for index in 0..piece.len() as usize {
            let step = piece.first() + index as u64;
            self.moments(piece, step);
            if !self.begun && self.reached(self.from, step) {
                self.begin(piece, index)?;
            }
            // Those at the very end are in the range, since its last state is theirs.
            if self.begun && !self.ended {
                self.marks.copy(piece, step, &mut self.out)?;
            }
            self.ended |= self.begun && self.reached(self.to, step);
            match (self.begun, self.ended) {
                (false, _) => self.before(piece, index),
                (true, false) => self.inside(piece, index)?,
                (true, true) => self.counts.after += 1,
            }
        }
        self.moments(piece, u64::MAX);
        self.clock.next_piece();
        Ok(())
    }

    fn moments(&mut self, piece: &Trace, step: u64) {
        let inside = self.begun && !self.ended;
        let at = self.out.len();
        let marks = &mut self.out.trace_mut().origin.moments;
        self.clock.pass(piece, step, |mark| {
            if inside {
                marks.push(TimeMark { at, ..*mark });
            }
        });
    }

    /// Takes what is known at the end of the trace.
    pub fn finish(&mut self, whole: &Trace) -> Result<(), CareError> {
        let time = |bound| matches!(bound, Bound::Time(_));
        if (time(self.from) || time(self.to)) && !whole.timed() {
            return Err(CareError::NoTimes);
        }
        if self.counts.kept == 0 {
            return Err(CareError::EmptyRange);
        }
        if !self.ended {
            self.marks.copy(whole, u64::MAX, &mut self.out)?;
        }
        copy_head(whole, self.out.trace_mut());
        let counts = self.counts;
        let source = &mut self.out.trace_mut().origin.source;
        // They are of the whole recording.
        source.records = None;
        source.peak_bytes = None;
        source.calls.clear();
        let all = counts.before + counts.kept + counts.after;
        let range = format!("operations {} to {} of {all}", counts.before, counts.before + counts.kept);
        source.set("trimmed", range);
        source.doubt.unknown_frees += counts.dropped_frees;
        source.doubt.unknown_reallocs += counts.births_from_realloc;
        Ok(())
    }

    fn reached(&self, bound: Bound, step: u64) -> bool {
        match bound {
            Bound::Step(at) => step >= at,
            Bound::Time(ns) => self.clock.last.is_some_and(|m| m.time_ns >= ns),
            Bound::NotYet => false,
        }
    }

    fn before(&mut self, piece: &Trace, index: usize) {
        self.counts.before += 1;
        let packed = piece.packed(index);
        let Some(op) = piece.op(index as u64) else { return };
        let slot = packed.slot.0 as usize;
        if self.live.len() <= slot {
            self.live.resize(slot + 1, None);
        }
        let born = EarlierBlock {
            born: piece.first() + index as u64,
            id: 0,
            size: packed.size,
            domain: packed.domain,
            heap: piece.object_heap(index),
            thread: op.thread,
            stack: piece.stack_of(index),
            address: piece.address_of(index),
        };
        match op.call {
            Call::Malloc { id, .. } | Call::Calloc { id, .. } | Call::Realloc { id: 0, newid: id, .. } => {
                self.live[slot] = Some(EarlierBlock { id, ..born });
            }
            Call::Realloc { newid, size, .. } => {
                if let Some(live) = &mut self.live[slot] {
                    live.id = newid;
                    // A request that large gives NULL and leaves the block as it is.
                    if i64::try_from(size).is_ok() {
                        *live = EarlierBlock {
                            id: newid,
                            domain: live.domain,
                            heap: live.heap,
                            born: live.born,
                            ..born
                        };
                    }
                }
            }
            Call::Free { id } if id != 0 => self.live[slot] = None,
            _ => {}
        }
    }

    fn begin(&mut self, piece: &Trace, index: usize) -> Result<(), CareError> {
        self.begun = true;
        self.marks.skip(piece, piece.first() + index as u64);
        if let Some(mark) = self.clock.last {
            self.out.trace_mut().origin.moments.push(TimeMark { at: 0, ..mark });
        }
        if !self.with_prelude {
            return Ok(());
        }
        let mut live: Vec<EarlierBlock> = std::mem::take(&mut self.live).into_iter().flatten().collect();
        live.sort_unstable_by_key(|l| l.born);
        for block in live {
            self.counts.prelude += 1;
            let op = Op {
                thread: block.thread,
                domain: block.domain,
                call: Call::Malloc { id: block.id, size: block.size },
            };
            let stack = self.stack(piece, block.stack);
            push_whole(&mut self.out, op, block.heap, stack, block.address)?;
        }
        // The prelude takes no time.
        if let Some(mark) = self.clock.last.filter(|_| self.counts.prelude > 0) {
            self.out.trace_mut().origin.moments.push(TimeMark { at: self.counts.prelude, ..mark });
        }
        Ok(())
    }

    fn stack(&mut self, piece: &Trace, stack: StackId) -> StackId {
        self.stacks.get(&piece.origin.stacks, &mut self.out.trace_mut().origin.stacks, stack, &mut same)
    }

    fn inside(&mut self, piece: &Trace, index: usize) -> Result<(), CareError> {
        self.counts.kept += 1;
        let Some(mut op) = piece.op(index as u64) else { return Ok(()) };
        let packed = piece.packed(index);
        if !packed.null && matches!(packed.kind, Kind::Free | Kind::Realloc) {
            let unborn = self.live.get_mut(packed.slot.0 as usize).and_then(Option::take);
            if unborn.is_some() {
                let Call::Realloc { newid: id, size, .. } = op.call else {
                    self.counts.dropped_frees += 1;
                    return Ok(());
                };
                self.counts.births_from_realloc += 1;
                op.call = Call::Malloc { id, size };
            }
        }
        self.notes.copy(piece, piece.first() + index as u64, &mut self.out);
        let stack = self.stack(piece, piece.stack_of(index));
        push(&mut self.out, op, stack, piece, index)
    }
}
