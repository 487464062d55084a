//! One trace as several, by thread.

use std::collections::BTreeMap;

use sim_core::tape::TimeMark;
use sim_core::{Kind, Trace, TraceBuilder};

use super::{CareError, Clock, Marks, Notes, StackMap, copy_head, push, refuse_scenarios, same};

/// Traces written at the same time.
const THREADS_MAX: usize = 256;

/// How many operations went where their block was born and not where they were called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SplitCounts {
    /// Operations of all traces.
    pub operations: u64,
    /// Frees on another thread than the birth's.
    pub foreign_frees: u64,
    /// Reallocs on another thread than the birth's.
    pub foreign_reallocs: u64,
}

/// Splits a trace by thread.
///
/// All operations of a block go to the trace of the thread that it was born on, so that each trace
/// replays by itself; an operation keeps the number of its own thread.
#[derive(Debug, Default)]
pub struct Split {
    parts: BTreeMap<u16, Part>,
    /// The thread each slot's block was born on.
    owners: Vec<u16>,
    clock: Clock,
    counts: SplitCounts,
}

#[derive(Debug, Default)]
struct Part {
    out: TraceBuilder,
    stacks: StackMap,
    notes: Notes,
    marks: Marks,
    time_ns: Option<u64>,
}

impl Split {
    /// What came of it so far.
    pub fn counts(&self) -> SplitCounts {
        self.counts
    }

    /// Threads with what is ready to be written and then forgotten.
    pub fn outs(&mut self) -> impl Iterator<Item = (u16, &mut TraceBuilder)> {
        self.parts.iter_mut().map(|(thread, part)| (*thread, &mut part.out))
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &Trace) -> Result<(), CareError> {
        refuse_scenarios(piece, "split")?;
        for index in 0..piece.len() as usize {
            let step = piece.first() + index as u64;
            self.clock.pass(piece, step, |_| {});
            let Some(op) = piece.op(index as u64) else { break };
            let packed = piece.packed(index);
            let slot = packed.slot.0 as usize;
            let birth = packed.kind == Kind::Malloc
                || packed.kind == Kind::Calloc
                || (packed.kind == Kind::Realloc && packed.null);
            if birth {
                if self.owners.len() <= slot {
                    self.owners.resize(slot + 1, 0);
                }
                self.owners[slot] = op.thread;
            }
            // free(NULL) is of no block.
            let owner =
                if packed.null { op.thread } else { self.owners.get(slot).copied().unwrap_or(op.thread) };
            if owner != op.thread {
                match packed.kind {
                    Kind::Realloc => self.counts.foreign_reallocs += 1,
                    _ => self.counts.foreign_frees += 1,
                }
            }
            self.counts.operations += 1;
            if self.parts.len() >= THREADS_MAX && !self.parts.contains_key(&owner) {
                return Err(CareError::TooManyThreads(THREADS_MAX));
            }
            let part = self.parts.entry(owner).or_default();
            if part.out.is_empty() {
                head(piece, owner, part.out.trace_mut());
            }
            if let Some(mark) = self.clock.last.filter(|m| part.time_ns != Some(m.time_ns)) {
                part.time_ns = Some(mark.time_ns);
                let at = part.out.len();
                part.out.trace_mut().origin.moments.push(TimeMark { at, ..mark });
            }
            // A mark is of the whole recording, so each thread's trace has it.
            part.marks.copy(piece, step, &mut part.out)?;
            part.notes.copy(piece, step, &mut part.out);
            let to = &mut part.out.trace_mut().origin.stacks;
            let stack = part.stacks.get(&piece.origin.stacks, to, piece.stack_of(index), &mut same);
            push(&mut part.out, op, stack, piece, index)?;
        }
        self.clock.pass(piece, u64::MAX, |_| {});
        self.clock.next_piece();
        Ok(())
    }

    /// Takes what is known at the end of the trace.
    pub fn finish(&mut self, whole: &Trace) -> Result<(), CareError> {
        for (thread, part) in &mut self.parts {
            part.marks.copy(whole, u64::MAX, &mut part.out)?;
            head(whole, *thread, part.out.trace_mut());
        }
        Ok(())
    }
}

fn head(from: &Trace, thread: u16, to: &mut Trace) {
    copy_head(from, to);
    to.head.name = format!("{} thread {thread}", from.head.name);
    // They are of the whole recording.
    to.origin.source.records = None;
    to.origin.source.peak_bytes = None;
    to.origin.source.calls.clear();
    to.origin.source.set("split", format!("blocks born on thread {thread}"));
}
