//! What tracemalloc would say of a trace with stacks, had it been started before the first operation.
//!
//! tracemalloc keeps the size that the outermost call asked for, whichever of RAW, MEM and OBJ it was, under the stack of the call that gave
//! the pointer last. That is what [`Births`] know, so that no machine has to run with tracemalloc's hooks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::Trace;
use sim_core::tape::{Action, FrameId, Missing, StackId};
use sim_core::tracemalloc::{DEFAULT_DOMAIN, MAX_NFRAME, NamedFrame, Snapshot, SnapshotBuilder};
use thiserror::Error;

use super::births::{BEFORE, Births};
use super::key::has_stacks;
use crate::actions::stack_at;
use crate::format::grouped;

/// Why there is nothing to suppose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
pub enum NotSupposed {
    /// tracemalloc runs in the trace, and what it says there is what it says.
    #[error("its program runs tracemalloc itself")]
    RunsItself,
    /// Nobody knows where calls come from.
    #[error("it has no Python stacks")]
    NoStacks,
    /// The recorder kept other stacks.
    #[error("its stacks are those of C code, which tracemalloc does not see")]
    StacksOfC,
    /// Tables that are replaced take tracemalloc's hooks with them.
    #[error("its program replaces the tables that tracemalloc would cover")]
    ReplacesTables,
}

/// Whether it can be said what tracemalloc would say of a trace.
pub fn supposed(trace: &Trace) -> Result<(), NotSupposed> {
    let mut tables = false;
    for action in (0..).map_while(|number| trace.action(number)) {
        match action {
            Action::TracemallocStart(_) => return Err(NotSupposed::RunsItself),
            Action::SetAllocator(_) => tables = true,
            _ => {}
        }
    }
    if !has_stacks(trace) {
        return Err(NotSupposed::NoStacks);
    }
    if lacks(trace, Missing::PYTHON_STACKS) {
        return Err(NotSupposed::StacksOfC);
    }
    if tables { Err(NotSupposed::ReplacesTables) } else { Ok(()) }
}

fn lacks(trace: &Trace, what: &str) -> bool {
    trace.origin.source.missing.iter().any(|missing| missing.what == what)
}

/// In what the trace differs from what tracemalloc would have met, a sentence each.
pub fn caveats(trace: &Trace) -> Vec<&'static str> {
    // Its recorder takes the place of the C library's functions as well.
    let all_of_c = trace.origin.source.get("recorder").is_some_and(|name| name.starts_with("memray"));
    let known = [
        (lacks(trace, Missing::PROCESS_BIRTH), "blocks from before the recording are not in it"),
        (all_of_c, "calls of malloc by C code are in it too, which tracemalloc would not see"),
        (lacks(trace, Missing::SMALL_BLOCKS), "small blocks are not in the recording"),
    ];
    known.into_iter().filter(|(holds, _)| *holds).map(|(_, caveat)| caveat).collect()
}

/// Frames of the deepest stack, as far as tracemalloc counts.
pub fn deepest(trace: &Trace) -> u16 {
    depths(trace).into_iter().max().unwrap_or(0)
}

/// Frames of each stack. A caller comes before what it calls.
fn depths(trace: &Trace) -> Vec<u16> {
    let stacks = &trace.origin.stacks;
    let mut depths = vec![0_u16];
    for number in 1..=stacks.len() {
        let caller = stacks.node(StackId(number)).map_or(0, |(caller, _)| caller.0);
        let above = depths.get(caller as usize).copied().unwrap_or(0);
        depths.push(above.saturating_add(1));
    }
    depths
}

/// The stacks of live blocks have more frames than can be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "with {} frames kept of each, the stacks of live blocks have more than {} together; keep fewer",
    grouped(u64::from(*.limit)),
    grouped(FRAMES_MAX as u64)
)]
pub struct TooManyFrames {
    /// Frames that were to be kept of each.
    pub limit: u16,
}

/// Frames of all stacks of a snapshot together: some hundreds of megabytes.
const FRAMES_MAX: usize = 8_000_000;

const UNSEEN: u32 = u32::MAX;

/// Numbers of frames and stacks as a snapshot has them, by their numbers in the trace.
struct Numbers<'a> {
    trace: &'a Trace,
    builder: SnapshotBuilder,
    limit: u16,
    depths: Vec<u16>,
    names: Vec<Option<Arc<str>>>,
    frames: Vec<u32>,
    stacks: Vec<u32>,
}

impl Numbers<'_> {
    fn frame(&mut self, frame: FrameId) -> u32 {
        let table = &self.trace.origin.stacks;
        match self.frames.get(frame.0 as usize) {
            Some(known) if *known != UNSEEN => return *known,
            _ => {}
        }
        let place = table.frame_at(frame).unwrap_or_default();
        let named = match self.names.get_mut(place.file.0 as usize) {
            // A frame without a file's name.
            _ if table.text(place.file).is_empty() => NamedFrame::unknown().filename,
            Some(name) => Arc::clone(name.get_or_insert_with(|| Arc::from(table.text(place.file)))),
            None => Arc::from(table.text(place.file)),
        };
        let number = self.builder.frame(NamedFrame { filename: named, lineno: place.line });
        if let Some(known) = self.frames.get_mut(frame.0 as usize) {
            *known = number;
        }
        number
    }

    fn stack(&mut self, stack: StackId) -> Result<u32, TooManyFrames> {
        match self.stacks.get(stack.0 as usize) {
            Some(known) if *known != UNSEEN => return Ok(*known),
            _ => {}
        }
        let trace = self.trace;
        let kept = trace.origin.stacks.frames(stack).take(usize::from(self.limit));
        let frames: Vec<u32> = kept.map(|frame| self.frame(frame)).collect();
        let total = self.depths.get(stack.0 as usize).copied().unwrap_or(0);
        let number = self.builder.traceback(frames, total);
        if self.builder.frame_count() > FRAMES_MAX {
            return Err(TooManyFrames { limit: self.limit });
        }
        if let Some(known) = self.stacks.get_mut(stack.0 as usize) {
            *known = number;
        }
        Ok(number)
    }
}

/// `take_snapshot()` at the step of `births`, had `start(limit)` been called before the first operation. `changes` as
/// [`crate::actions::stack_changes`] gives them.
pub fn snapshot(
    trace: &Trace,
    births: &Births,
    changes: &[(u64, StackId)],
    limit: u16,
) -> Result<Snapshot, TooManyFrames> {
    let table = &trace.origin.stacks;
    let mut numbers = Numbers {
        trace,
        builder: SnapshotBuilder::default(),
        limit: limit.clamp(1, MAX_NFRAME),
        depths: depths(trace),
        names: vec![None; table.string_count() as usize],
        frames: vec![UNSEEN; table.frame_count() as usize],
        stacks: vec![UNSEEN; table.len() as usize + 1],
    };
    for birth in births.by_slot().iter().filter(|birth| **birth < BEFORE) {
        let stack = stack_at(trace, changes, u64::from(*birth)).unwrap_or_default();
        let traceback = numbers.stack(stack)?;
        numbers.builder.block(DEFAULT_DOMAIN, trace.packed(*birth as usize).size, traceback);
    }
    Ok(numbers.builder.finish(numbers.limit))
}
