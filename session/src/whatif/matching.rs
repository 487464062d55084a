//! Which blocks are meant: what their births have in common.
//!
//! A block's birth is the last operation that gave the program its pointer, as in [`crate::analysis::survivors`]: a realloc is a birth,
//! and the block from before it ends there.

use std::collections::BTreeSet;

use sim_core::tape::{Action, SourceLine, StackId};
use sim_core::{Domain, Kind, Profile, Trace};
use thiserror::Error;

/// What births may have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// The innermost frame: file and line, with or without the function.
    Site,
    /// The innermost frame's function.
    Function,
    /// The innermost frame's file.
    Module,
    /// The size class of what was asked for.
    Class,
    /// The thread.
    Thread,
    /// The domain.
    Domain,
    /// malloc, calloc or realloc.
    Kind,
    /// How many operations the block lives at least.
    Age,
}

/// A key with its value: `site=app.py:12`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// What is looked at.
    pub key: Key,
    /// What it has to be.
    pub value: String,
}

/// Why blocks cannot be told so.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MatchError {
    /// Not `KEY=VALUE`, or no such key.
    #[error(
        "`{0}` names no blocks; write KEY=VALUE, where KEY is site, function, module, class, thread, domain, kind or age"
    )]
    Form(String),
    /// A value that is not of the key's kind.
    #[error("`{value}` is no value for {key}: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Frames are asked for, and there are none.
    #[error(
        "the trace has no Python stacks, so that no {0} is known; match by class, thread, domain, kind or age"
    )]
    NoStacks(&'static str),
}

/// What a block of a trace without frames for it comes from.
pub(super) const UNKNOWN: &str = "unknown";

impl Key {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Site,
        Self::Function,
        Self::Module,
        Self::Class,
        Self::Thread,
        Self::Domain,
        Self::Kind,
        Self::Age,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Function => "function",
            Self::Module => "module",
            Self::Class => "class",
            Self::Thread => "thread",
            Self::Domain => "domain",
            Self::Kind => "kind",
            Self::Age => "age",
        }
    }

    /// Whether it is read off a stack.
    fn of_frame(self) -> bool {
        matches!(self, Self::Site | Self::Function | Self::Module)
    }
}

impl Want {
    /// A site by its label.
    pub fn site(label: &str) -> Self {
        Self { key: Key::Site, value: label.to_owned() }
    }
}

impl std::str::FromStr for Want {
    type Err = MatchError;

    fn from_str(text: &str) -> Result<Self, MatchError> {
        let form = || MatchError::Form(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(form)?;
        let key = Key::ALL.into_iter().find(|known| known.name() == key).ok_or_else(form)?;
        if value.is_empty() {
            return Err(form());
        }
        Ok(Self { key, value: value.to_owned() })
    }
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.key.name(), self.value)
    }
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

/// The births of a trace, each with its stack: its own, or the one that an action named last.
#[derive(Debug)]
pub(super) struct Births<'a> {
    trace: &'a Trace,
    /// By operation, where actions name stacks.
    named: Vec<StackId>,
}

impl<'a> Births<'a> {
    pub(super) fn of(trace: &'a Trace) -> Self {
        let mut named = Vec::new();
        if trace.action_count() > 0 {
            let mut now = StackId(0);
            for index in 0..trace.len() as usize {
                let op = trace.packed(index);
                if let (Kind::Act, Some(Action::Stack(stack))) = (op.kind, trace.action(op.size)) {
                    now = stack;
                }
                named.push(now);
            }
        }
        Self { trace, named }
    }

    /// Where the operation after `index` others was called.
    pub(super) fn stack(&self, index: usize) -> StackId {
        let own = self.trace.stack_of(index);
        if own == StackId(0) { self.named.get(index).copied().unwrap_or_default() } else { own }
    }

    /// The operation after `index` others, if it may give the program a pointer.
    pub(super) fn at(&self, index: usize) -> Option<Birth> {
        let (trace, op) = (self.trace, self.trace.packed(index));
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

/// Whether a trace knows where its calls come from.
pub(super) fn has_stacks(trace: &Trace) -> bool {
    !trace.origin.stacks.is_empty()
}

/// A [`Want`] made ready for a trace and a profile.
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
    pub(super) fn new(want: &Want, trace: &Trace, profile: &Profile) -> Result<Self, MatchError> {
        let value = want.value.as_str();
        let bad = |expected| MatchError::Value { key: want.key.name(), value: value.to_owned(), expected };
        let test = match want.key {
            key if key.of_frame() => {
                if !has_stacks(trace) {
                    return Err(MatchError::NoStacks(key.name()));
                }
                let stacks = &trace.origin.stacks;
                let line = |stack| stacks.frames(stack).next().map(|frame| stacks.line(frame));
                let labels = || {
                    (0..=stacks.len())
                        .map(|stack| key == Key::Site && site_label(line(StackId(stack)).as_ref()) == value)
                };
                // A whole label means that site alone, even where its path is the end of another one.
                if labels().any(|is| is) {
                    return Ok(Self { test: Test::Stacks(labels().collect()) });
                }
                Test::Stacks(
                    (0..=stacks.len())
                        .map(|stack| is_at(key, value, line(StackId(stack)).as_ref()))
                        .collect(),
                )
            }
            Key::Class => {
                let (alignment, threshold) = (profile.alignment, profile.small_request_threshold);
                let expected =
                    "the bytes of its blocks (64), its number (#3), or large for what is over the threshold";
                let class = if value == "large" {
                    None
                } else if let Some(number) = value.strip_prefix('#') {
                    Some(number.parse().map_err(|_| bad(expected))?)
                } else {
                    let bytes: u64 = value.parse().map_err(|_| bad(expected))?;
                    if bytes == 0 || !bytes.is_multiple_of(alignment) {
                        return Err(bad(expected));
                    }
                    Some(bytes / alignment - 1)
                };
                Test::Class { class, alignment, threshold }
            }
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
            Key::Age | Key::Site | Key::Function | Key::Module => {
                Test::Age(value.parse().map_err(|_| bad("a number of operations"))?)
            }
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

/// What a site is called: `function (file:line)`, as it can be given again.
pub fn site_label(line: Option<&SourceLine>) -> String {
    match line {
        None => UNKNOWN.to_owned(),
        Some(line) if line.function.is_empty() => line.to_string(),
        Some(line) => format!("{} ({line})", line.function),
    }
}

/// Whether a frame is the one that is meant; `None` is a call without a frame.
fn is_at(key: Key, value: &str, line: Option<&SourceLine>) -> bool {
    let Some(line) = line else { return value == UNKNOWN };
    match key {
        Key::Function => line.function == value,
        Key::Module => is_file(&line.file, value),
        _ => {
            let (function, place) =
                match value.split_once(" (").and_then(|(f, rest)| Some((f, rest.strip_suffix(')')?))) {
                    Some((function, place)) => (Some(function), place),
                    None => (None, value),
                };
            let of_function = function.is_none_or(|function| line.function == function);
            of_function
                && place.rsplit_once(':').is_some_and(|(file, number)| {
                    number.parse() == Ok(line.line) && is_file(&line.file, file)
                })
        }
    }
}

/// Whether a path is the file meant: it, its last parts, or the name that Python imports it by.
fn is_file(path: &str, value: &str) -> bool {
    let ends = |with: &str| {
        path.strip_suffix(with).is_some_and(|before| before.is_empty() || before.ends_with(['/', '\\']))
    };
    if value.is_empty() {
        return path.is_empty();
    }
    let imported = value.replace('.', "/");
    ends(value) || ends(&format!("{imported}.py")) || ends(&format!("{imported}/__init__.py"))
}

/// What could have been meant: labels of the trace for a key, those most alike first.
pub(super) fn nearest(want: &Want, trace: &Trace) -> Vec<String> {
    const LISTED: usize = 3;
    let stacks = &trace.origin.stacks;
    let labels: BTreeSet<String> = match want.key {
        key if key.of_frame() => {
            let used = (0..=stacks.len()).map(StackId).filter(|stack| stacks.is_used(*stack));
            let lines = used.map(|stack| stacks.frames(stack).next().map(|frame| stacks.line(frame)));
            let label = |line: Option<SourceLine>| match key {
                Key::Function => line.map_or_else(|| UNKNOWN.to_owned(), |line| line.function),
                Key::Module => line.map_or_else(|| UNKNOWN.to_owned(), |line| line.file),
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

    fn line(text: &str, function: &str) -> SourceLine {
        SourceLine { function: function.to_owned(), ..text.parse().unwrap() }
    }

    #[test]
    fn a_site_is_named_by_its_place_with_or_without_function_and_folders() {
        let at = line("/usr/lib/python3.12/json/decoder.py:10", "decode");
        let is = |value: &str| is_at(Key::Site, value, Some(&at));
        assert!(
            is("/usr/lib/python3.12/json/decoder.py:10") && is("json/decoder.py:10") && is("decoder.py:10")
        );
        assert!(is("decode (json/decoder.py:10)") && is(&site_label(Some(&at))));
        assert!(
            !is("json/decoder.py:11")
                && !is("coder.py:10")
                && !is("scan (decoder.py:10)")
                && !is("decoder.py")
        );
        let is = |value: &str| is_at(Key::Module, value, Some(&at));
        assert!(
            is("json.decoder") && is("json/decoder.py") && is("decoder") && !is("json") && !is("son.decoder")
        );
        assert!(is_at(Key::Module, "json", Some(&line("/lib/json/__init__.py:1", ""))));
        assert!(is_at(Key::Function, "decode", Some(&at)) && !is_at(Key::Function, "dec", Some(&at)));
        assert!(is_at(Key::Site, UNKNOWN, None) && !is_at(Key::Site, UNKNOWN, Some(&at)));
    }

    #[test]
    fn the_most_alike_names_come_first() {
        let mut names = ["load (app.py:12)", "loads (json/__init__.py:3)", "render (views.py:120)"];
        names.sort_by_key(|name| unlike("app.py:21", name));
        assert_eq!(names[0], "load (app.py:12)");
        assert!(unlike("abc", "abc") == 0 && unlike("abc", "abcd") < unlike("abc", "xbc"));
    }

    #[test]
    fn misprints_say_what_there_is() {
        let error = |text: &str| text.parse::<Want>().unwrap_err().to_string();
        for text in ["site", "place=a.py:1", "site="] {
            assert!(
                error(text).contains("KEY is site, function, module, class, thread, domain, kind or age")
            );
        }
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
