//! A trace with some of its blocks left out, freed sooner, born before others, or put elsewhere.
//!
//! The rest of the program is taken to do the same. A block that is not there any more has no free, and a realloc of it is a malloc;
//! a realloc whose new block is left out frees the old one.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::tape::Action;
use sim_core::{Call, Domain, Kind, ObjectHeap, Op, Profile, TapeError, Trace, TraceBuilder};
use thiserror::Error;

use super::matching::{Birth, Calls, MatchError, Matcher, nearest};
use super::tape::{Tape, Turn};
use crate::diagnosis::Choice;

/// What is done to blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Deed {
    /// They are never allocated.
    Without,
    /// Those that live after so many operations are freed there.
    FreeAt(u64),
    /// Those born after so many operations are born there, in their order.
    Before(u64),
    /// They are the C library's.
    Raw,
    /// They lie in arenas of their own.
    Apart,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Edit {
    /// What is done.
    pub deed: Deed,
    /// To which blocks. A block for which several changes are is subject to the first of them.
    pub want: Choice,
}

/// Blocks that a change was for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Matched {
    /// How many.
    pub blocks: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
}

/// An edited trace.
#[derive(Debug)]
pub struct Edited {
    /// What there is to run.
    pub tape: Tape,
    /// For each change the blocks that it was for.
    pub matched: Vec<Matched>,
}

/// Why a trace cannot be edited so.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EditError {
    /// Blocks are named in no way that the trace knows.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// A scenario's operations hang together in more ways than by blocks.
    #[error(
        "it has actions or kept frees, whose meaning hangs on all that came before; blocks are taken out of recordings alone"
    )]
    Scenario,
    /// No birth is meant.
    #[error("no block matches {want}{}", alike(nearest))]
    Nothing {
        /// What was asked for.
        want: Choice,
        /// What is there.
        nearest: Vec<String>,
    },
    /// Calls are meant, but none where it would count.
    #[error("blocks match {want}, but none {when} step {step}")]
    NoneThen {
        /// What was asked for.
        want: Choice,
        /// `lives at` or `is born after`.
        when: &'static str,
        /// The step.
        step: u64,
    },
    /// A step that the trace does not have.
    #[error("step {step} is past the end: the trace has {operations} operations")]
    PastEnd {
        /// What was asked for.
        step: u64,
        /// What there is.
        operations: u64,
    },
    /// The result cannot stand.
    #[error("operation {at} of the result: {error}")]
    Tape {
        /// Operations before it.
        at: u64,
        /// Why not.
        error: TapeError,
    },
}

fn alike(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; most alike: {}", nearest.join(", ")) }
}

/// A block that the edited program has.
#[derive(Clone, Copy)]
struct Live {
    id: u64,
    lane: u32,
    raw: bool,
    birth: Birth,
}

/// An edit on its way, a piece at a time, over a trace that is lent or shared.
pub struct Editor<T> {
    trace: T,
    calls: Calls<T>,
    wanted: Vec<Edit>,
    profile: Profile,
    edits: Vec<(Deed, Matcher)>,
    matched: Vec<Matched>,
    /// For each operation how many others its block lives, where an edit asks that.
    ages: Vec<u32>,
    /// The block in each slot.
    live: Vec<Option<Live>>,
    /// Blocks that were born before their time, by edit, in the order in which the program asks for them.
    early: Vec<VecDeque<Live>>,
    lanes: Vec<TraceBuilder>,
    turns: Vec<Turn>,
    pushed: u64,
    /// The step that is to be arrived at.
    step: u64,
    marks: Vec<u64>,
}

/// Edits a trace. Classes are those of `profile`.
pub fn edit(trace: &Trace, edits: &[Edit], profile: &Profile) -> Result<Edited, EditError> {
    let mut editor = Editor::new(trace, edits, profile)?;
    while !editor.advance(u64::MAX)? {}
    editor.finish()
}

/// Whether an operation has effects beyond its block. An action that only says where calls come from has none.
fn is_scenario(trace: &Trace, index: usize) -> bool {
    let op = trace.packed(index);
    match op.kind {
        Kind::Act => !matches!(trace.action(op.size), Some(Action::Stack(_))),
        kind => kind == Kind::FreeKeep,
    }
}

/// Why an edit found nothing to do.
fn nothing(trace: &Trace, deed: Deed, want: &Choice, profile: &Profile) -> EditError {
    let calls = Calls::of(trace);
    let matcher = Matcher::new(want, trace, profile);
    let is = |matcher: &Matcher, index| calls.at(index).is_some_and(|birth| matcher.of(&birth, u64::MAX));
    let some = matcher.is_ok_and(|matcher| (0..trace.len() as usize).any(|index| is(&matcher, index)));
    let want = want.clone();
    match deed {
        Deed::FreeAt(step) if some => EditError::NoneThen { want, when: "lives at", step },
        Deed::Before(step) if some => EditError::NoneThen { want, when: "is born after", step },
        _ => EditError::Nothing { nearest: nearest(&want, trace), want },
    }
}

/// How many operations the block of each birth lives.
fn ages<T: Deref<Target = Trace>>(calls: &Calls<T>, trace: &Trace) -> Vec<u32> {
    let len = trace.len() as usize;
    let mut ages = vec![0_u32; len];
    let mut born: Vec<Option<usize>> = vec![None; trace.slot_count() as usize];
    let age = |from: usize, to: usize| u32::try_from(to - from).unwrap_or(u32::MAX);
    for index in 0..len {
        let op = trace.packed(index);
        let birth = calls.at(index).map(|_| index);
        let ends = birth.is_some() || matches!(op.kind, Kind::Free) && !op.null;
        let Some(slot) = born.get_mut(op.slot.0 as usize).filter(|_| ends) else { continue };
        if let Some(from) = std::mem::replace(slot, birth) {
            ages[from] = age(from, index);
        }
    }
    for from in born.into_iter().flatten() {
        ages[from] = age(from, len);
    }
    ages
}

impl<T: Deref<Target = Trace> + Clone> Editor<T> {
    /// With nothing done. Classes are those of `profile`.
    pub fn new(trace: T, wanted: &[Edit], profile: &Profile) -> Result<Self, EditError> {
        let scenario = (trace.needs_layers() || trace.action_count() > 0)
            && (0..trace.len() as usize).any(|index| is_scenario(&trace, index));
        if scenario {
            return Err(EditError::Scenario);
        }
        let operations = trace.len();
        let mut edits = Vec::new();
        for Edit { deed, want } in wanted {
            if let Deed::FreeAt(step) | Deed::Before(step) = *deed
                && step > operations
            {
                return Err(EditError::PastEnd { step, operations });
            }
            edits.push((*deed, Matcher::new(want, &trace, profile)?));
        }
        let lane_count = if edits.iter().any(|edit| edit.0 == Deed::Apart) { 2 } else { 1 };
        let lane = || {
            let mut lane = TraceBuilder::new(&trace.head.name);
            let to = lane.trace_mut();
            to.head.profile.clone_from(&trace.head.profile);
            to.head.settings.clone_from(&trace.head.settings);
            to.head.malloc = trace.head.malloc;
            to.origin.stacks = trace.origin.stacks.clone();
            lane
        };
        let calls = Calls::of(trace.clone());
        let asks_age = edits.iter().any(|(_, matcher)| matcher.asks_age());
        Ok(Self {
            matched: vec![Matched::default(); edits.len()],
            ages: if asks_age { ages(&calls, &trace) } else { Vec::new() },
            calls,
            wanted: wanted.to_vec(),
            profile: profile.clone(),
            live: vec![None; trace.slot_count() as usize],
            early: vec![VecDeque::new(); edits.len()],
            lanes: (0..lane_count).map(|_| lane()).collect(),
            turns: Vec::new(),
            pushed: 0,
            step: 0,
            marks: Vec::new(),
            edits,
            trace,
        })
    }

    /// Operations of the trace that are done.
    pub fn done(&self) -> u64 {
        self.step
    }

    /// Does so many operations more; whether all are done.
    pub fn advance(&mut self, most: u64) -> Result<bool, EditError> {
        let operations = self.trace.len();
        let stretch = Tape::stretch_of(operations);
        let end = self.step.saturating_add(most);
        while self.step <= operations && self.step < end {
            let step = self.step;
            self.arrive(step)?;
            if step > 0 && (step.is_multiple_of(stretch) || step == operations) {
                self.marks.push(self.pushed);
            }
            if step < operations {
                self.operation(step as usize)?;
            }
            self.step += 1;
        }
        Ok(self.step > operations)
    }

    /// What came of it, once all operations are done.
    pub fn finish(self) -> Result<Edited, EditError> {
        for (Edit { deed, want }, matched) in self.wanted.iter().zip(&self.matched) {
            if matched.blocks == 0 {
                return Err(nothing(&self.trace, *deed, want, &self.profile));
            }
        }
        let stretch = Tape::stretch_of(self.trace.len());
        let lanes = self.lanes.into_iter().map(|lane| Arc::new(lane.finish())).collect();
        let (turns, marks) = (self.turns.into(), self.marks.into());
        Ok(Edited { tape: Tape { lanes, turns, marks, stretch }, matched: self.matched })
    }

    /// The first change that is for a birth, but for those that wait for a step.
    fn fate(&self, birth: &Birth) -> Option<usize> {
        let age = self.ages.get(birth.index as usize).copied().map_or(0, u64::from);
        self.edits.iter().position(|(deed, matcher)| match deed {
            Deed::FreeAt(_) => false,
            Deed::Before(step) => birth.index >= *step && matcher.of(birth, age),
            _ => matcher.of(birth, age),
        })
    }

    fn count(&mut self, edit: usize, birth: &Birth) {
        self.matched[edit].blocks += 1;
        self.matched[edit].bytes += birth.size;
    }

    /// Does what waits for a step.
    fn arrive(&mut self, step: u64) -> Result<(), EditError> {
        for edit in 0..self.edits.len() {
            match self.edits[edit].0 {
                Deed::FreeAt(at) if at == step => self.free_here(edit, step)?,
                Deed::Before(at) if at == step => {
                    for index in step as usize..self.trace.len() as usize {
                        let Some(birth) = self.calls.at(index) else { continue };
                        if self.fate(&birth) == Some(edit) {
                            self.count(edit, &birth);
                            let live = self.born(birth, 0, birth.domain == Domain::Raw)?;
                            self.early[edit].push_back(live);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn free_here(&mut self, edit: usize, step: u64) -> Result<(), EditError> {
        let mut freed: Vec<(u64, usize)> = Vec::new();
        for (slot, live) in self.live.iter().enumerate() {
            if let Some(Live { birth, .. }) = live
                && self.edits[edit].1.of(birth, step - birth.index)
            {
                freed.push((birth.index, slot));
            }
        }
        freed.sort_unstable();
        for (_, slot) in freed {
            if let Some(live) = self.live[slot].take() {
                self.count(edit, &live.birth);
                self.free(live, live.birth.thread, live.birth.domain, live.birth.index as usize)?;
            }
        }
        Ok(())
    }

    /// Appends an operation that comes from where the one of the trace after `index` others does.
    fn push(&mut self, lane: u32, op: Op, index: usize) -> Result<(), EditError> {
        let heap = if op.domain == Domain::Obj { self.trace.object_heap(index) } else { ObjectHeap::Object };
        let stack = self.calls.stack(index);
        let to = &mut self.lanes[lane as usize];
        to.push_whole(op, heap, stack, None).map_err(|error| EditError::Tape { at: self.pushed, error })?;
        self.pushed += 1;
        match self.turns.last_mut() {
            Some(turn) if turn.lane == lane => turn.operations += 1,
            _ => self.turns.push(Turn { lane, operations: 1 }),
        }
        Ok(())
    }

    fn free(&mut self, live: Live, thread: u16, domain: Domain, index: usize) -> Result<(), EditError> {
        let domain = if live.raw { Domain::Raw } else { domain };
        self.push(live.lane, Op { thread, domain, call: Call::Free { id: live.id } }, index)
    }

    /// Allocates the block of a birth anew.
    fn born(&mut self, birth: Birth, lane: u32, raw: bool) -> Result<Live, EditError> {
        let index = birth.index as usize;
        // Ids of the trace come again, and here other blocks live at the same time.
        let id = self.pushed + 1;
        let call = if birth.kind == Kind::Calloc {
            let (nelem, elsize) = self.trace.calloc_of(index);
            Call::Calloc { id, nelem, elsize }
        } else if birth.kind == Kind::Realloc && self.trace.packed(index).null {
            Call::Realloc { id: 0, newid: id, size: birth.size }
        } else {
            Call::Malloc { id, size: birth.size }
        };
        let domain = if raw { Domain::Raw } else { birth.domain };
        self.push(lane, Op { thread: birth.thread, domain, call }, index)?;
        Ok(Live { id, lane, raw, birth })
    }

    /// What becomes of the operation after `index` others.
    fn operation(&mut self, index: usize) -> Result<(), EditError> {
        let op = self.trace.packed(index);
        if op.kind == Kind::Act {
            return Ok(());
        }
        let (slot, thread) = (op.slot.0 as usize, self.trace.thread_of(index));
        if matches!(op.kind, Kind::Free) && op.null {
            return self.push(0, Op { thread, domain: op.domain, call: Call::Free { id: 0 } }, index);
        }
        let old = if op.kind == Kind::Realloc && !op.null || op.kind == Kind::Free {
            self.live[slot].take()
        } else {
            None
        };
        let Some(birth) = self.calls.at(index) else {
            return match (op.kind, old) {
                (Kind::Free, Some(old)) => self.free(old, thread, op.domain, index),
                // A request that no process has, which leaves the old block.
                (Kind::Realloc, Some(old)) => {
                    self.live[slot] = Some(old);
                    let call = Call::Realloc { id: old.id, newid: old.id, size: op.size };
                    let domain = if old.raw { Domain::Raw } else { op.domain };
                    self.push(old.lane, Op { thread, domain, call }, index)
                }
                _ => Ok(()),
            };
        };
        let fate = self.fate(&birth);
        let deed = fate.map(|edit| self.edits[edit].0);
        if let Some(edit) = fate.filter(|_| !matches!(deed, Some(Deed::Before(_)))) {
            self.count(edit, &birth);
        }
        let lane = u32::from(deed == Some(Deed::Apart));
        let raw = deed == Some(Deed::Raw) || birth.domain == Domain::Raw;
        let new = match (deed, fate, old) {
            (Some(Deed::Without), ..) => None,
            (Some(Deed::Before(_)), Some(edit), _) => self.early[edit].pop_front(),
            (_, _, Some(old)) if old.lane == lane && old.raw == raw => {
                let domain = if raw { Domain::Raw } else { op.domain };
                let call = Call::Realloc { id: old.id, newid: old.id, size: birth.size };
                self.push(lane, Op { thread, domain, call }, index)?;
                self.live[slot] = Some(Live { birth, ..old });
                return Ok(());
            }
            _ => Some(self.born(birth, lane, raw)?),
        };
        // As a realloc that moves: the new block before the old one goes.
        if let Some(old) = old {
            self.free(old, thread, op.domain, index)?;
        }
        self.live[slot] = new;
        Ok(())
    }
}
