//! Care for recordings: parts of them, without names, several as one, one as several, and what is in them.
//!
//! All of it streams: pieces of a trace go in, and what comes out stands in a [`TraceBuilder`] until it is
//! written and forgotten. Only live blocks and tables are kept, so that a file of any size passes through.

mod anonymize;
mod merge;
mod split;
mod stats;
mod trim;

pub use anonymize::Anonymize;
pub use merge::{Input, Merge, Order};
pub use split::{Split, SplitCounts};
pub use stats::{CallSite, Lifetimes, Reallocs, Share, SizeRow, Stats, StatsReport};
pub use trim::{Bound, Trim, TrimCounts};

use sim_core::tape::MarkError;
use sim_core::tape::{FrameId, StackId, Stacks, TimeMark};
use sim_core::{Addr, Note, ObjectHeap, TapeError, Trace, TraceBuilder};
use thiserror::Error;

/// Why a trace cannot be cared for so.
#[derive(Debug, Error)]
pub enum CareError {
    /// A scenario's operations hang together in more ways than by blocks.
    #[error(
        "it has actions or kept frees, whose meaning hangs on all that came before; {what} takes recordings alone"
    )]
    Scenario {
        /// What was to be done with it: `trim`.
        what: &'static str,
    },
    /// Blocks from before it that have no birth.
    #[error("it begins with the picture of a process; {what} takes traces without one")]
    Picture {
        /// What was to be done with it.
        what: &'static str,
    },
    /// A picture that cannot stand in the result.
    #[error("the picture of a process that it begins with: {0}")]
    Begin(TapeError),
    /// A range that ends before it begins, or lies past the end.
    #[error("no operation lies in the range")]
    EmptyRange,
    /// A time asked of a trace without times.
    #[error("it has no times, so the range must be told in numbers of operations")]
    NoTimes,
    /// Traces that cannot be one.
    #[error("{a} and {b} were made with different {what}, so that no single run can replay both")]
    Different {
        /// The first one's name.
        a: String,
        /// The other's.
        b: String,
        /// What differs.
        what: &'static str,
    },
    /// More threads than can be numbered or written.
    #[error("there are more than {0} threads; take fewer inputs or a part of them")]
    TooManyThreads(usize),
    /// A mark that cannot stand in the result.
    #[error("after {at} operations: {error}")]
    Mark {
        /// Operations of the result before it.
        at: u64,
        /// Why not.
        error: MarkError,
    },
    /// An operation that cannot stand in the result.
    #[error("operation {at}: {error}")]
    Operation {
        /// Operations of the result before it.
        at: u64,
        /// Why not.
        error: TapeError,
    },
}

fn refuse_scenarios(piece: &Trace, what: &'static str) -> Result<(), CareError> {
    if piece.origin.picture.is_some() {
        return Err(CareError::Picture { what });
    }
    if piece.needs_layers() || piece.action_count() > 0 { Err(CareError::Scenario { what }) } else { Ok(()) }
}

/// The stacks of one trace as those of another.
#[derive(Debug, Default)]
struct StackMap {
    stacks: Vec<Option<StackId>>,
    frames: Vec<Option<FrameId>>,
    /// Stacks of the way up, while one is translated.
    way: Vec<StackId>,
}

impl StackMap {
    /// A stack of `from` in `to`; `name` is what a string becomes.
    fn get(
        &mut self,
        from: &Stacks,
        to: &mut Stacks,
        stack: StackId,
        name: &mut impl FnMut(&str, NameOf) -> String,
    ) -> StackId {
        let mut known = StackId(0);
        let mut at = stack;
        while let Some((caller, _)) = from.node(at) {
            if let Some(Some(done)) = self.stacks.get(at.0 as usize) {
                known = *done;
                break;
            }
            self.way.push(at);
            at = caller;
        }
        while let Some(at) = self.way.pop() {
            let Some((_, frame)) = from.node(at) else { break };
            let frame = self.frame(from, to, frame, name);
            known = to.push(known, frame);
            let index = at.0 as usize;
            if self.stacks.len() <= index {
                self.stacks.resize(index + 1, None);
            }
            self.stacks[index] = Some(known);
        }
        known
    }

    fn frame(
        &mut self,
        from: &Stacks,
        to: &mut Stacks,
        frame: FrameId,
        name: &mut impl FnMut(&str, NameOf) -> String,
    ) -> FrameId {
        let index = frame.0 as usize;
        if let Some(Some(done)) = self.frames.get(index) {
            return *done;
        }
        let line = from.line(frame);
        let function = to.string(&name(&line.function, NameOf::Function));
        let file = to.string(&name(&line.file, NameOf::File));
        let done = to.frame(sim_core::tape::Frame { function, file, line: line.line });
        if self.frames.len() <= index {
            self.frames.resize(index + 1, None);
        }
        self.frames[index] = Some(done);
        done
    }
}

/// What a string names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NameOf {
    Function,
    File,
}

/// Names as they are.
fn same(text: &str, _: NameOf) -> String {
    text.to_owned()
}

/// Passes over the moments of a piece in step with its operations, and remembers the last one.
#[derive(Debug, Default)]
struct Clock {
    last: Option<TimeMark>,
    /// Moments of the piece that were passed.
    passed: usize,
}

impl Clock {
    /// Moments up to the operation after `at` others of the whole trace; each is given once.
    fn pass(&mut self, piece: &Trace, at: u64, mut each: impl FnMut(&TimeMark)) {
        while let Some(mark) = piece.origin.moments.get(self.passed).filter(|m| m.at <= at) {
            each(mark);
            self.last = Some(*mark);
            self.passed += 1;
        }
    }

    /// The piece is done with.
    fn next_piece(&mut self) {
        self.passed = 0;
    }
}

/// Passes over the notes in step with the operations.
#[derive(Debug, Default)]
struct Notes {
    passed: usize,
}

impl Notes {
    /// Puts the note of an operation, if it has one, where the next one of `out` will be.
    fn copy(&mut self, piece: &Trace, step: u64, out: &mut TraceBuilder) {
        while let Some(note) = piece.head.notes.get(self.passed).filter(|n| n.at <= step) {
            if note.at == step {
                let at = out.len();
                out.trace_mut().head.notes.push(Note { at, text: note.text.clone() });
            }
            self.passed += 1;
        }
    }
}

/// Passes over the marks in step with the operations.
#[derive(Debug, Default)]
struct Marks {
    passed: usize,
}

impl Marks {
    /// Puts the marks up to a step where `out` is.
    fn copy(&mut self, piece: &Trace, step: u64, out: &mut TraceBuilder) -> Result<(), CareError> {
        while let Some(mark) = piece.head.marks.get(self.passed).filter(|m| m.at <= step) {
            let at = out.len();
            out.mark(mark.name()).map_err(|error| CareError::Mark { at, error })?;
            self.passed += 1;
        }
        Ok(())
    }

    /// Passes over the marks before a step.
    fn skip(&mut self, piece: &Trace, step: u64) {
        self.passed = self.passed.max(piece.head.marks.partition_point(|m| m.at < step));
    }
}

/// Sets what is known of a trace besides operations, stacks, moments, notes and marks.
fn copy_head(from: &Trace, to: &mut Trace) {
    to.head.name.clone_from(&from.head.name);
    to.head.description.clone_from(&from.head.description);
    to.head.profile.clone_from(&from.head.profile);
    to.head.settings.clone_from(&from.head.settings);
    to.head.malloc = from.head.malloc;
    to.head.malloc_stats.clone_from(&from.head.malloc_stats);
    to.origin.source.clone_from(&from.origin.source);
}

/// Appends an operation with what the recording has of it: the one after `index` others of a piece, as `op`.
fn push(
    builder: &mut TraceBuilder,
    op: sim_core::Op,
    stack: StackId,
    piece: &Trace,
    index: usize,
) -> Result<(), CareError> {
    push_whole(builder, op, piece.object_heap(index), stack, piece.address_of(index))
}

fn push_whole(
    builder: &mut TraceBuilder,
    op: sim_core::Op,
    heap: ObjectHeap,
    stack: StackId,
    address: Option<Addr>,
) -> Result<(), CareError> {
    let at = builder.len();
    builder.push_whole(op, heap, stack, address).map_err(|error| CareError::Operation { at, error })
}
