//! Which births a choice means: what their births have in common.
//!
//! A block's birth is the last operation that gave the program its pointer, as in [`crate::analysis::survivors`]: a realloc is a birth,
//! and the block from before it ends there.

use std::collections::BTreeSet;
use std::ops::Deref;

use sim_core::tape::{SourceLine, StackId};
use sim_core::{Domain, Kind, Profile, Trace};
use thiserror::Error;

use crate::actions::{stack_at, stack_changes};
use crate::diagnosis::key::has_stacks;
use crate::diagnosis::meant::{class_meant, site_label, stacks_meant};
use crate::diagnosis::{Choice, Key};
use crate::format::parse_number;

/// Why blocks cannot be told so.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MatchError {
    /// A value that is not of the key's kind.
    #[error("`{value}` is no value for {key}: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// Frames are asked for, and there are none.
    #[error(
        "the trace has no Python stacks, so that no {0} is known; match by class, thread, domain, kind or age"
    )]
    NoStacks(&'static str),
    /// Blocks of a picture were there before all operations.
    #[error(
        "blocks have a {0} in the picture of a process, which has no operations to leave out: `arenascope forecast FILE --free {0}=…` frees them"
    )]
    OfPicture(&'static str),
}

/// What is known of a birth.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// The operation, by index.
    pub index: u64,
    /// Where it was called.
    pub stack: StackId,
    /// The thread.
    pub thread: u16,
    /// The domain.
    pub domain: Domain,
    /// Bytes asked for.
    pub size: u64,
    /// malloc, calloc or realloc.
    pub kind: Kind,
}

/// The operations of a trace that may give the program a pointer, each with its stack.
#[derive(Debug)]
pub(super) struct Calls<T> {
    trace: T,
    changes: Vec<(u64, StackId)>,
}

impl<T: Deref<Target = Trace>> Calls<T> {
    pub(super) fn of(trace: T) -> Self {
        Self { changes: stack_changes(&trace, 0), trace }
    }

    /// Where the operation after `index` others was called.
    pub(super) fn stack(&self, index: usize) -> StackId {
        stack_at(&self.trace, &self.changes, index as u64).unwrap_or_default()
    }

    /// The operation after `index` others, if it may give the program a pointer.
    pub(super) fn at(&self, index: usize) -> Option<Birth> {
        let (trace, op) = (&self.trace, self.trace.packed(index));
        // What no process has returns NULL and leaves an old block.
        let gives =
            matches!(op.kind, Kind::Malloc | Kind::Calloc | Kind::Realloc) && i64::try_from(op.size).is_ok();
        gives.then(|| Birth {
            index: index as u64,
            stack: self.stack(index),
            thread: trace.thread_of(index),
            domain: op.domain,
            size: op.size,
            kind: op.kind,
        })
    }
}

/// A [`Choice`] made ready for a trace and a profile.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// By stack.
    Stacks(Vec<bool>),
    /// A class by its number; `None` for what is over the threshold.
    Class {
        class: Option<u64>,
        alignment: u64,
        threshold: u64,
    },
    Thread(u16),
    Domain(Domain),
    Kind(Kind),
    Age(u64),
}

impl Matcher {
    pub(super) fn new(want: &Choice, trace: &Trace, profile: &Profile) -> Result<Self, MatchError> {
        let value = want.value.as_str();
        let bad = |expected: &str| MatchError::Value {
            key: want.key.name(),
            value: value.to_owned(),
            expected: expected.to_owned(),
        };
        let test = match want.key {
            Key::Site(_) | Key::Function | Key::Module => {
                if !has_stacks(trace) {
                    return Err(MatchError::NoStacks(want.key.name()));
                }
                Test::Stacks(stacks_meant(want.key, value, &trace.origin.stacks))
            }
            Key::Class => Test::Class {
                class: class_meant(value, profile).map_err(|expected| bad(&expected))?,
                alignment: profile.alignment,
                threshold: profile.small_request_threshold,
            },
            Key::Thread => {
                let names = &trace.origin.source.thread_names;
                let named = names.iter().position(|name| name == value).and_then(|at| u16::try_from(at).ok());
                let number = named.or_else(|| value.parse().ok());
                Test::Thread(number.ok_or_else(|| bad("a thread's number or name"))?)
            }
            Key::Domain => {
                let found = Domain::ALL.into_iter().find(|domain| domain.name().eq_ignore_ascii_case(value));
                Test::Domain(found.ok_or_else(|| bad("raw, mem or obj"))?)
            }
            Key::Kind => {
                let kinds = [Kind::Malloc, Kind::Calloc, Kind::Realloc];
                let found = kinds.into_iter().find(|kind| kind.name() == value);
                Test::Kind(found.ok_or_else(|| bad("malloc, calloc or realloc"))?)
            }
            Key::Type | Key::Owner | Key::Path => return Err(MatchError::OfPicture(want.key.name())),
            Key::Age => Test::Age(
                parse_number(value)
                    .ok_or_else(|| bad("a number of operations that its blocks live at least"))?,
            ),
        };
        Ok(Self { test })
    }

    /// Whether it asks how long blocks live.
    pub(super) fn asks_age(&self) -> bool {
        matches!(self.test, Test::Age(_))
    }

    /// Whether a birth is meant; `age` are the operations that its block lives.
    pub(super) fn of(&self, birth: &Birth, age: u64) -> bool {
        match &self.test {
            Test::Stacks(stacks) => stacks.get(birth.stack.0 as usize).copied().unwrap_or(false),
            Test::Class { class, alignment, threshold } => {
                let small = birth.size.wrapping_sub(1) < *threshold;
                let of = small.then(|| (birth.size.wrapping_sub(1)) / alignment);
                birth.domain != Domain::Raw && of == *class
            }
            Test::Thread(thread) => birth.thread == *thread,
            Test::Domain(domain) => birth.domain == *domain,
            Test::Kind(kind) => birth.kind == *kind,
            Test::Age(least) => age >= *least,
        }
    }
}

/// What could have been meant: labels of the trace for a key, those most alike first.
pub(super) fn nearest(want: &Choice, trace: &Trace) -> Vec<String> {
    const LISTED: usize = 3;
    let stacks = &trace.origin.stacks;
    let labels: BTreeSet<String> = match want.key {
        key if key.needs_stacks() => {
            let used = (0..=stacks.len()).map(StackId).filter(|stack| stacks.is_used(*stack));
            let lines = used.map(|stack| stacks.frames(stack).next().map(|frame| stacks.line(frame)));
            let label = |line: Option<SourceLine>| match key {
                Key::Function => line.map_or_else(|| site_label(None), |line| line.function),
                Key::Module => line.map_or_else(|| site_label(None), |line| line.file),
                _ => site_label(line.as_ref()),
            };
            lines.map(label).collect()
        }
        Key::Thread => (0..trace.thread_count()).map(|thread| thread.to_string()).collect(),
        _ => BTreeSet::new(),
    };
    let mut all: Vec<(usize, String)> = labels
        .into_iter()
        .filter(|label| !label.is_empty())
        .map(|label| (unlike(&want.value, &label), label))
        .collect();
    all.sort();
    all.into_iter().take(LISTED).map(|(_, label)| label).collect()
}

/// How unlike two names are: letters to change, those that only surround the shorter one counted less.
fn unlike(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(200).collect(), b.chars().take(200).collect());
    let mut row: Vec<usize> = (0..=b.len()).map(|at| at.min(b.len())).collect();
    for (i, of_a) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, of_b) in b.iter().enumerate() {
            let change = corner + usize::from(of_a != of_b);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    // As many letters as one is longer than the other have to come or go anyway.
    let surplus = a.len().abs_diff(b.len());
    4 * (row[b.len()] - surplus) + surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_names_come_first() {
        let mut names = ["load (app.py:12)", "loads (json/__init__.py:3)", "render (views.py:120)"];
        names.sort_by_key(|name| unlike("app.py:21", name));
        assert_eq!(names[0], "load (app.py:12)");
        assert!(unlike("abc", "abc") == 0 && unlike("abc", "abcd") < unlike("abc", "xbc"));
    }

    #[test]
    fn misprints_say_what_there_is() {
        let trace = Trace::default();
        let refused = |text: &str| {
            Matcher::new(&text.parse().unwrap(), &trace, &Profile::default()).unwrap_err().to_string()
        };
        assert!(refused("site=a.py:1").contains("the trace has no Python stacks, so that no site is known"));
        assert!(refused("class=60").contains("the bytes of its blocks (64)"));
        assert!(refused("kind=free").contains("malloc, calloc or realloc"));
        assert!(refused("domain=x").contains("raw, mem or obj") && refused("age=old").contains("operations"));
    }
}
