//! Operations as rows, and what the last one did, sentence by sentence.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::event::{MiEvent, Sentence, narrate_operation};
use sim_core::tape::{Action, SourceLine};
use sim_core::{Call, Event, Op};

use crate::actions;
use crate::filter::Filter;
use crate::format::{self, id_after};
use crate::lesson::later_term;
use crate::place::Place;
use crate::run::Session;

/// Which operations a front has room for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OperationsLook {
    /// Words that all must hold; see [`crate::filter::WORDS`].
    pub filter: String,
    /// Rows among those that hold.
    pub rows: Range<u64>,
}

/// An operation as a row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OperationRow {
    /// Which operation, from 0.
    pub index: u64,
    /// As the C call it stands for.
    pub call: String,
    /// The same where there is little room.
    pub short: String,
    /// The id that names its block afterwards.
    pub id: Option<u64>,
    /// Whether the author has a note on it.
    pub noted: bool,
    /// Marks at the step after it.
    pub marks: Vec<String>,
    /// Its thread, in a trace of several.
    pub thread: Option<u16>,
    /// That in words, with its name where it has one.
    pub thread_name: Option<String>,
    /// The frame that calls, where the trace has it.
    pub caller: Option<FrameFacts>,
}

/// The operations that a filter lets through, as far as they are known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operations {
    /// The words that were asked for.
    pub filter: String,
    /// Whether the filter leaves anything out.
    pub filtered: bool,
    /// A word that is none.
    pub wrong: Option<String>,
    /// Whether all operations have been looked at.
    pub complete: bool,
    /// Rows in all.
    pub total: u64,
    /// Rows up to the current step.
    pub current: u64,
    /// The first of the rows below.
    pub first: u64,
    /// As many as were asked for.
    pub rows: Vec<OperationRow>,
}

impl Operations {
    pub(super) fn of(session: &Session, filter: &Filter, look: &OperationsLook) -> Self {
        let (step, filtered) = (session.step(), filter.active());
        let (total, current) = if filtered {
            let found = filter.found();
            (found.len() as u64, found.partition_point(|index| *index < step) as u64)
        } else {
            (session.len(), step)
        };
        let (first, end) = (look.rows.start.min(total), look.rows.end.min(total));
        let rows = (first..end).filter_map(|row| {
            let index = if filtered { filter.found()[row as usize] } else { row };
            operation_row(session, index)
        });
        Self {
            filter: look.filter.clone(),
            filtered,
            wrong: filter.wrong().map(str::to_owned),
            complete: filter.complete(),
            total,
            current,
            first,
            rows: rows.collect(),
        }
    }
}

/// Names of marks at a step, no more than can be told.
fn names_at(session: &Session, step: u64) -> Vec<String> {
    const MOST: usize = 12;
    let marks = session.trace().marks_at(step);
    let mut names: Vec<String> = marks.iter().take(MOST).map(|mark| mark.name().to_owned()).collect();
    if let Some(more) = marks.len().checked_sub(MOST).filter(|&more| more > 0) {
        names.push(format!("and {more} more"));
    }
    names
}

fn operation_row(session: &Session, index: u64) -> Option<OperationRow> {
    let op = session.trace().op(index)?;
    let call = actions::call(session.trace(), &op);
    Some(OperationRow {
        index,
        short: actions::short_call(&op, &call),
        id: id_after(&op),
        noted: session.trace().note_at(index).is_some(),
        marks: names_at(session, index + 1),
        thread: session.trace().has_threads().then_some(op.thread),
        thread_name: session.trace().has_threads().then(|| thread_name(session, op.thread)),
        caller: match op.call {
            Call::Act(_) => None,
            _ => session.caller_of(index).as_ref().map(FrameFacts::of),
        },
        call,
    })
}

/// The operation that led to the state shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastCall {
    /// As a C call, stacks by their lines.
    pub call: String,
    /// As a C call.
    pub plain: String,
    /// What it returned.
    pub result: Option<String>,
    /// Its thread, with its name where it has one, in a trace of several.
    pub thread: Option<String>,
    /// Whether it freed a block of another thread's, which mimalloc keeps apart.
    pub remote_free: bool,
}

/// A thread with its name where it has one.
pub(super) fn thread_name(session: &Session, thread: u16) -> String {
    let names = &session.trace().origin.source.thread_names;
    match names.get(usize::from(thread)).filter(|name| !name.is_empty()) {
        Some(name) => format!("thread {thread}, {}", format::printable(name)),
        None => format!("thread {thread}"),
    }
}

impl LastCall {
    pub(super) fn of(session: &Session) -> Option<Self> {
        let op = session.last_op()?;
        Some(Self {
            call: actions::call(session.trace(), &op),
            plain: actions::call(session.trace(), &op),
            result: session.last_result(),
            thread: session.trace().has_threads().then(|| thread_name(session, op.thread)),
            remote_free: session.events().iter().any(|event| {
                matches!(
                    event,
                    Event::Mimalloc(MiEvent::BlockDelayed { .. } | MiEvent::BlockFreedRemotely { .. })
                )
            }),
        })
    }
}

/// An author's note that holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NoteFacts {
    /// What it says.
    pub text: String,
    /// Operations done after the one it is about.
    pub step: u64,
}

/// One event as a sentence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SentenceFacts {
    /// The function of `CPython` in which it happens.
    pub function: String,
    /// The sentence.
    pub text: String,
    /// The place it is about.
    pub place: Option<Place>,
    /// Whether it speaks of what only a lesson after the open one explains.
    pub later: bool,
}

/// A frame of a Python stack as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameFacts {
    /// The function and a short path.
    pub text: String,
    /// The same with the whole path.
    pub whole: String,
}

impl FrameFacts {
    pub(super) fn of(line: &SourceLine) -> Self {
        Self { text: format::frame(line), whole: format::whole_frame(line) }
    }
}

/// What the last operation did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Narration {
    /// What the action means, for an action.
    pub explained: Option<String>,
    /// The Python stack of a call, most recent frame first.
    pub stack: Vec<FrameFacts>,
    /// The note that holds.
    pub note: Option<NoteFacts>,
    /// Marks at this step.
    pub marks: Vec<String>,
    /// Whether there is a note or a mark before this step.
    pub previous: bool,
    /// Whether there is one after it.
    pub next: bool,
    /// What happened, in order.
    pub sentences: Vec<SentenceFacts>,
    /// What would have ended the process by now, as it would have been printed.
    pub fatal: Option<String>,
}

fn sentences(session: &Session, op: &Op, lesson: Option<&str>) -> Vec<SentenceFacts> {
    let events = session.events();
    let later = |sentence: &Sentence| {
        lesson.and_then(|lesson| later_term(sentence.function, &sentence.text, lesson)).is_some()
    };
    let facts = |(sentence, event): (Sentence, &Event)| SentenceFacts {
        later: later(&sentence),
        function: sentence.function.to_owned(),
        text: sentence.text,
        place: Place::of_event(event),
    };
    narrate_operation(op, events, session.profile()).into_iter().zip(events).map(facts).collect()
}

impl Narration {
    /// In a lesson, which is named by its id, sentences know what only later ones explain.
    pub(super) fn of(session: &Session, lesson: Option<&str>) -> Self {
        let op = session.last_op();
        let explained = op.and_then(|op| match op.call {
            Call::Act(action) => Some(actions::explain(session.trace(), action, op.domain)),
            _ => None,
        });
        let from_stack = matches!(op.map(|op| op.call), Some(Call::Act(Action::Stack(_))));
        let stack = if op.is_some() && (explained.is_none() || from_stack) { session.stack() } else { None };
        Self {
            explained,
            stack: stack.unwrap_or_default().iter().map(FrameFacts::of).collect(),
            note: session.note().map(|note| NoteFacts { text: note.text.clone(), step: note.at + 1 }),
            marks: names_at(session, session.step()),
            previous: session.previous_remark().is_some(),
            next: session.next_remark().is_some(),
            sentences: op.as_ref().map_or_else(Vec::new, |op| sentences(session, op, lesson)),
            fatal: session.stopped(),
        }
    }
}
