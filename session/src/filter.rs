//! Choosing operations by what they are: a few words, all of which must hold.

use std::sync::Arc;
use std::time::Duration;

use sim_core::tape::{FrameId, StackId};
use sim_core::{Call, Domain, Op, Trace};
use web_time::Instant;

use crate::actions::{stack_at, stack_changes};
use crate::format;

/// Operations between two looks at the clock.
const CHUNK: u64 = 10_000;

/// One word of a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    /// `#7`: the block's id, before or after.
    Id(u64),
    /// `48`: the size asked for.
    Size(u64),
    /// `>512`: more than this asked for.
    Over(u64),
    /// `<16`: less than this asked for.
    Under(u64),
    /// `malloc`, `calloc`, `realloc`, `free`; `action` for all that calls no allocator.
    Call(&'static str),
    /// `raw`, `mem`, `obj`.
    Domain(Domain),
    /// `t2`: on this thread.
    Thread(u16),
    /// `t:worker`: on a thread with this in its name, in small letters.
    ThreadNamed(String),
    /// `@parse`: called from a function or a place with this in its name, in small letters; of each frame of the trace whether it is one.
    Place(String, Vec<bool>),
}

/// What the words may be, for the field's tooltip and the error.
pub const WORDS: &str = "#7 (an id), 48 (a size), >512, <16, malloc, calloc, realloc, free, action, raw, mem, obj, t2 (a thread), t:worker (by name), @parse or @app.py:3 (the function or line that calls); several words must all hold";

/// A filter and what it has found so far.
#[derive(Debug, Default)]
pub struct Filter {
    text: String,
    words: Vec<Word>,
    wrong: Option<String>,
    found: Vec<u64>,
    scanned: u64,
    trace: Option<Arc<Trace>>,
    /// See [`stack_changes`].
    changes: Vec<(u64, StackId)>,
}

impl Filter {
    /// Starts over when the words or the trace are others.
    pub fn set(&mut self, text: &str, trace: &Arc<Trace>) {
        if self.text == text && self.trace.as_ref().is_some_and(|t| Arc::ptr_eq(t, trace)) {
            return;
        }
        *self = Self { text: text.to_owned(), trace: Some(Arc::clone(trace)), ..Self::default() };
        for word in text.split_whitespace() {
            match parse(word) {
                Some(word) => self.words.push(word),
                None => self.wrong = Some(word.to_owned()),
            }
        }
        if self.words.iter().any(|word| matches!(word, Word::Place(..))) {
            self.changes = stack_changes(trace, 0);
        }
    }

    /// The tape has grown: what was found stays, and it looks on.
    pub fn grow(&mut self, trace: &Arc<Trace>) {
        if let Some(before) = &self.trace {
            if self.words.iter().any(|word| matches!(word, Word::Place(..))) {
                self.changes.extend(stack_changes(trace, before.len()));
            }
            self.trace = Some(Arc::clone(trace));
        }
    }

    /// Whether it leaves anything out.
    pub fn active(&self) -> bool {
        !self.words.is_empty() && self.wrong.is_none()
    }

    /// A word that is none.
    pub fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    /// Operations that hold, by index, in order, as far as it has looked.
    pub fn found(&self) -> &[u64] {
        &self.found
    }

    /// Whether it has looked at all operations.
    pub fn complete(&self) -> bool {
        !self.active() || self.trace.as_ref().is_none_or(|t| self.scanned >= t.len())
    }

    /// Looks on for about `slice`.
    pub fn advance(&mut self, slice: Duration) {
        let Some(trace) = self.trace.clone() else { return };
        let begun = Instant::now();
        for word in &mut self.words {
            if let Word::Place(text, known) = word {
                let stacks = &trace.origin.stacks;
                for frame in known.len() as u32..stacks.frame_count() {
                    let place = format::whole_frame(&stacks.line(FrameId(frame)));
                    known.push(place.to_lowercase().contains(text.as_str()));
                }
            }
        }
        while !self.complete() {
            let until = trace.len().min(self.scanned + CHUNK);
            let (words, changes) = (&self.words, &self.changes);
            let holds = |index: &u64| {
                let caller = || {
                    let stack = stack_at(&trace, changes, *index)?;
                    trace.origin.stacks.node(stack).map(|(_, frame)| frame)
                };
                let holds = |op: &Op, word: &Word| match word {
                    Word::ThreadNamed(name) => {
                        let known = trace.origin.source.thread_names.get(usize::from(op.thread));
                        known.is_some_and(|known| known.to_lowercase().contains(name.as_str()))
                    }
                    Word::Place(_, known) => {
                        !matches!(op.call, Call::Act(_))
                            && caller().is_some_and(|frame| known.get(frame.0 as usize) == Some(&true))
                    }
                    other => other.holds(op),
                };
                trace.op(*index).is_some_and(|op| words.iter().all(|word| holds(&op, word)))
            };
            self.found.extend((self.scanned..until).filter(holds));
            self.scanned = until;
            if begun.elapsed() >= slice {
                break;
            }
        }
    }
}

fn parse(word: &str) -> Option<Word> {
    let word = word.to_lowercase();
    if let Some(id) = word.strip_prefix('#') {
        return id.parse().ok().map(Word::Id);
    }
    if let Some(size) = word.strip_prefix('>') {
        return size.parse().ok().map(Word::Over);
    }
    if let Some(size) = word.strip_prefix('<') {
        return size.parse().ok().map(Word::Under);
    }
    if let Some(name) = word.strip_prefix("t:").filter(|name| !name.is_empty()) {
        return Some(Word::ThreadNamed(name.to_owned()));
    }
    if let Some(place) = word.strip_prefix('@').filter(|place| !place.is_empty()) {
        return Some(Word::Place(place.to_owned(), Vec::new()));
    }
    if let Some(thread) = word.strip_prefix('t').and_then(|number| number.parse().ok()) {
        return Some(Word::Thread(thread));
    }
    Some(match word.as_str() {
        "malloc" => Word::Call("malloc"),
        "calloc" => Word::Call("calloc"),
        "realloc" => Word::Call("realloc"),
        "free" => Word::Call("free"),
        "action" => Word::Call("action"),
        "raw" => Word::Domain(Domain::Raw),
        "mem" => Word::Domain(Domain::Mem),
        "obj" => Word::Domain(Domain::Obj),
        size => Word::Size(size.parse().ok()?),
    })
}

impl Word {
    /// Of the operation alone, without its trace.
    fn holds(&self, op: &Op) -> bool {
        let (name, size, ids) = match op.call {
            Call::Malloc { id, size } => ("malloc", Some(size), [id, id]),
            Call::Calloc { id, nelem, elsize } => ("calloc", nelem.checked_mul(elsize), [id, id]),
            Call::Realloc { id, newid, size } => ("realloc", Some(size), [id, newid]),
            Call::Free { id } | Call::FreeKeep { id } => ("free", None, [id, id]),
            Call::Act(action) => {
                let id = action.id().unwrap_or(0);
                ("action", None, [id, id])
            }
        };
        match self {
            Self::Id(id) => ids.contains(id),
            Self::Size(bytes) => size == Some(*bytes),
            Self::Over(bytes) => size.is_some_and(|s| s > *bytes),
            Self::Under(bytes) => size.is_some_and(|s| s < *bytes),
            Self::Call(call) => name == *call,
            Self::Thread(thread) => op.thread == *thread,
            Self::Domain(domain) => op.domain == *domain && name != "action",
            Self::ThreadNamed(_) | Self::Place(..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::TraceBuilder;
    use sim_core::tape::{Action, SourceLine};

    #[test]
    fn all_words_must_hold() {
        let mut tape = TraceBuilder::new("t");
        for (domain, call) in [
            (Domain::Obj, Call::Malloc { id: 1, size: 48 }),
            (Domain::Raw, Call::Malloc { id: 2, size: 48 }),
            (Domain::Obj, Call::Realloc { id: 1, newid: 3, size: 600 }),
            (Domain::Obj, Call::Free { id: 3 }),
        ] {
            tape.push(Op { thread: 0, domain, call }).unwrap();
        }
        let trace = Arc::new(tape.finish());
        let mut filter = Filter::default();
        for (text, expected) in [
            ("48", &[0, 1][..]),
            ("48 obj", &[0]),
            ("#1", &[0, 2]),
            ("#3", &[2, 3]),
            (">512", &[2]),
            ("<512 raw", &[1]),
            ("Free", &[3]),
            ("calloc", &[]),
        ] {
            filter.set(text, &trace);
            assert!(filter.active());
            filter.advance(Duration::from_secs(1));
            assert!(filter.complete());
            assert_eq!(filter.found(), expected, "{text}");
        }
        filter.set("@", &trace);
        assert_eq!(filter.wrong(), Some("@"));
        filter.set("free lunch", &trace);
        assert_eq!((filter.wrong(), filter.active()), (Some("lunch"), false));
        filter.set("", &trace);
        assert!(!filter.active() && filter.wrong().is_none());
    }

    #[test]
    fn operations_are_found_by_who_calls_and_by_a_threads_name() {
        let line = |function: &str, line| SourceLine {
            function: function.to_owned(),
            file: "/srv/App/views.py".to_owned(),
            line,
        };
        for by_actions in [false, true] {
            let mut tape = TraceBuilder::new("t");
            tape.trace_mut().origin.source.thread_names = vec![String::new(), "Worker-1".to_owned()];
            let stacks = [tape.stack(&[line("render", 7), line("main", 1)]), tape.stack(&[line("main", 2)])];
            for (at, id) in (1..=4_u64).enumerate() {
                let (thread, stack) = (u16::from(at >= 2), stacks[at % 2]);
                let mut push = |call, stack| {
                    tape.push_recorded(Op { thread, domain: Domain::Obj, call }, stack, None).unwrap();
                };
                if by_actions {
                    push(Call::Act(Action::Stack(stack)), StackId(0));
                    push(Call::Malloc { id, size: 8 }, StackId(0));
                } else {
                    push(Call::Malloc { id, size: 8 }, stack);
                }
            }
            let trace = Arc::new(tape.finish());
            let mut filter = Filter::default();
            for (text, expected) in [
                ("@render", &[1, 3][..]),
                ("@views.py:2", &[2, 4]),
                ("@app/", &[1, 2, 3, 4]),
                ("@Main t:worker", &[4]),
                ("t:WORKER malloc", &[3, 4]),
                ("@nobody", &[]),
            ] {
                filter.set(text, &trace);
                filter.advance(Duration::from_secs(1));
                let ids: Vec<u64> =
                    filter.found().iter().filter_map(|at| format::id_after(&trace.op(*at)?)).collect();
                assert_eq!(ids, expected, "{text} {by_actions}");
            }
        }
    }
}
