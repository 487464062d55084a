//! A step as a person writes it: `12_345`, `start`, `end`, `peak`, `mark:request-end`, `mark:turn#2`.
//!
//! Commands, links and the window read it here, so that a place has one name everywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sim_core::Trace;
use sim_core::tape::Mark;
use thiserror::Error;

use crate::format::{count, parse_number};

/// What stands in front of a mark's name.
const MARK: &str = "mark:";
/// Names that an error lists.
const LISTED: usize = 8;
/// The longest text that can be a place: a mark's name, and which of that name.
const CHARS_MAX: usize = MARK.len() + sim_core::tape::MARK_CHARS_MAX + 21;

/// A step, as somebody names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum At {
    /// After so many operations.
    Step(u64),
    /// Before the first operation.
    Start,
    /// After the last one.
    End,
    /// The first step at which as many bytes that were asked for are live as ever, in all domains: see [`crate::analysis::peak`].
    Peak,
    /// A mark's: what stands after `mark:`, a name, or one with `#` and a number for the second and later ones.
    Mark(String),
}

/// Why a text names no step of a trace.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AtError {
    /// It is none of the forms.
    #[error("`{0}` is no step; write a number such as 12_345, start, end, peak, or mark:NAME")]
    Form(String),
    /// `mark:` alone.
    #[error("mark: needs a name, such as mark:request-end; `arenascope info` lists them")]
    NoName,
    /// More operations than there are.
    #[error("{step} is past the end: {name} has {}", count(*operations, "operation"))]
    PastEnd {
        /// The step.
        step: u64,
        /// What the trace is called.
        name: String,
        /// Its operations.
        operations: u64,
    },
    /// No such mark.
    #[error("mark:{wanted} is not in {name}, {}", listed(known, *more))]
    NoMark {
        /// What was asked for.
        wanted: String,
        /// What the trace is called.
        name: String,
        /// Names that there are, the nearest first.
        known: Vec<String>,
        /// How many more.
        more: usize,
    },
    /// Not so many marks of that name.
    #[error("mark:{wanted} is not in {name}, where {} of that name", stand(*there))]
    Fewer {
        /// What was asked for.
        wanted: String,
        /// What the trace is called.
        name: String,
        /// Marks of the name.
        there: usize,
    },
    /// The peak cannot be found.
    #[error("peak cannot be found: {0}")]
    Peak(String),
}

fn stand(there: usize) -> String {
    if there == 1 { "one mark stands".to_owned() } else { format!("{there} marks stand") }
}

fn listed(known: &[String], more: usize) -> String {
    if known.is_empty() {
        return "which has no marks".to_owned();
    }
    let names: Vec<String> = known.iter().map(|name| format!("{MARK}{name}")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("which has {}{more}", names.join(", "))
}

impl FromStr for At {
    type Err = AtError;

    fn from_str(text: &str) -> Result<Self, AtError> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix(MARK) {
            let name = name.trim();
            return if name.is_empty() {
                Err(AtError::NoName)
            } else if text.chars().count() > CHARS_MAX || text.chars().any(char::is_control) {
                Err(AtError::Form(short(text)))
            } else {
                Ok(Self::Mark(name.to_owned()))
            };
        }
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            "peak" => Ok(Self::Peak),
            _ => parse_number(text).map(Self::Step).ok_or_else(|| AtError::Form(short(text))),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "{step}"),
            Self::Start => f.write_str("start"),
            Self::End => f.write_str("end"),
            Self::Peak => f.write_str("peak"),
            Self::Mark(name) => write!(f, "{MARK}{name}"),
        }
    }
}

/// A text as an error shows it.
fn short(text: &str) -> String {
    let shown: String = text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(40).is_some() { format!("{shown}…") } else { shown }
}

impl At {
    /// The step, at most the trace's length. Of a trace whose operations were forgotten, or never read, it is enough that it knows how
    /// many there are, and its marks. `peak` is asked only where it is needed, since finding it is a run over the whole trace.
    pub fn resolve(&self, trace: &Trace, peak: impl FnOnce() -> Result<u64, String>) -> Result<u64, AtError> {
        let operations = trace.first() + trace.len();
        match self {
            Self::Step(step) if *step > operations => {
                Err(AtError::PastEnd { step: *step, name: trace.head.name.clone(), operations })
            }
            Self::Step(step) => Ok(*step),
            Self::Start => Ok(0),
            Self::End => Ok(operations),
            Self::Peak => peak().map_err(AtError::Peak),
            Self::Mark(wanted) => mark(trace, wanted),
        }
    }
}

/// The step of a mark. A name that is there as it is written comes before one with a number, since names may have `#` in them.
fn mark(trace: &Trace, wanted: &str) -> Result<u64, AtError> {
    let marks = &trace.head.marks;
    let nth = |name: &str, number: usize| marks.iter().filter(|m| m.name() == name).nth(number);
    if let Some(mark) = nth(wanted, 0) {
        return Ok(mark.at);
    }
    let name = trace.head.name.clone();
    let numbered = wanted.rsplit_once('#').and_then(|(of, number)| Some((of, number.parse::<usize>().ok()?)));
    if let Some((of, number)) = numbered {
        if let Some(mark) = number.checked_sub(1).and_then(|before| nth(of, before)) {
            return Ok(mark.at);
        }
        let there = marks.iter().filter(|m| m.name() == of).count();
        if there > 0 {
            return Err(AtError::Fewer { wanted: wanted.to_owned(), name, there });
        }
    }
    let (known, more) = nearest(marks, numbered.map_or(wanted, |(of, _)| of));
    Err(AtError::NoMark { wanted: wanted.to_owned(), name, known, more })
}

/// Names that there are, the nearest to `wanted` first, and how many are left out.
fn nearest(marks: &[Mark], wanted: &str) -> (Vec<String>, usize) {
    let mut names: Vec<&str> = marks.iter().map(Mark::name).collect();
    names.sort_unstable();
    names.dedup();
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    let far = |name: &str| {
        let name: Vec<char> = name.to_lowercase().chars().collect();
        let part = |a: &[char], b: &[char]| !b.is_empty() && a.windows(b.len()).any(|piece| piece == b);
        // Who writes a part of a name means it.
        if part(&name, &wanted) || part(&wanted, &name) { 0 } else { edits(&name, &wanted) }
    };
    // So many names that it would take long are in the order of the alphabet.
    if names.len() <= 10_000 {
        names.sort_by_cached_key(|name| far(name));
    }
    let more = names.len().saturating_sub(LISTED);
    (names.into_iter().take(LISTED).map(str::to_owned).collect(), more)
}

/// How many characters are to be put in, taken out or changed to make one text of another.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (done, x) in (1..).zip(a) {
        let mut diagonal = std::mem::replace(&mut row[0], done);
        for (at, y) in (1..).zip(b) {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[at];
            row[at] = changed.min(diagonal + 1).min(row[at - 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::{Call, Domain, Op, TraceBuilder};

    fn trace(operations: u64, marks: &[(u64, &str)]) -> Trace {
        let mut tape = TraceBuilder::new("t");
        for step in 0..=operations {
            marks.iter().filter(|m| m.0 == step).for_each(|m| tape.mark(m.1).unwrap());
            if step < operations {
                let call = Call::Malloc { id: step + 1, size: 8 };
                tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
            }
        }
        tape.finish()
    }

    fn at(text: &str, trace: &Trace) -> Result<u64, String> {
        let place: At = text.parse().map_err(|e: AtError| e.to_string())?;
        place.resolve(trace, || Ok(3)).map_err(|e| e.to_string())
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        let marks = [(0, "begin"), (2, "turn"), (4, "turn"), (4, "turn#2"), (5, "a b"), (9, "end")];
        let trace = trace(9, &marks);
        for (text, step) in [
            ("0", 0),
            (" 9 ", 9),
            ("0_9", 9),
            ("start", 0),
            ("end", 9),
            ("peak", 3),
            ("mark:begin", 0),
            ("mark:turn", 2),
            ("mark:turn#1", 2),
            // A name that is there as it stands comes first.
            ("mark:turn#2", 4),
            ("mark:turn#2#1", 4),
            ("mark:a b", 5),
            ("mark: a b ", 5),
            ("mark:end", 9),
        ] {
            assert_eq!(at(text, &trace), Ok(step), "{text}");
            let place: At = text.parse().unwrap();
            assert_eq!(place.to_string().parse(), Ok(place), "it is read as it is written");
        }
        assert_eq!("12,345".parse(), Ok(At::Step(12_345)));
        assert_eq!("12_345".parse(), Ok(At::Step(12_345)));
    }

    #[test]
    fn what_is_no_place_is_said_with_what_there_is() {
        let marks = [(1, "request-end"), (2, "request-begin"), (2, "after-warmup"), (3, "request-end")];
        let there = trace(9, &marks);
        for (text, expected) in [
            ("10", "10 is past the end: t has 9 operations"),
            (
                "18446744073709551616",
                "is no step; write a number such as 12_345, start, end, peak, or mark:NAME",
            ),
            ("-1", "`-1` is no step"),
            ("", "`` is no step"),
            (",", "`,` is no step"),
            ("50%", "`50%` is no step"),
            ("End", "`End` is no step"),
            ("mark:", "mark: needs a name"),
            (
                "mark:requestend",
                "mark:requestend is not in t, which has mark:request-end, mark:request-begin, mark:after-warmup",
            ),
            ("mark:warm", "which has mark:after-warmup, mark:request-"),
            ("mark:request-end#3", "mark:request-end#3 is not in t, where 2 marks stand of that name"),
            ("mark:after-warmup#0", "where one mark stands of that name"),
            ("mark:request-en#2", "which has mark:request-end"),
        ] {
            let error = at(text, &there).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(at("mark:x", &trace(1, &[])).unwrap_err(), "mark:x is not in t, which has no marks");
        let many: Vec<(u64, String)> = (0..20).map(|n| (n, format!("m{n}"))).collect();
        let many: Vec<(u64, &str)> = many.iter().map(|m| (m.0, m.1.as_str())).collect();
        let error = at("mark:m190", &trace(20, &many)).unwrap_err();
        assert!(
            error.contains("which has mark:m1, mark:m19, ") && error.ends_with(" and 12 more"),
            "{error}"
        );
        let failed = At::Peak.resolve(&there, || Err("the profile is none".to_owned())).unwrap_err();
        assert_eq!(failed.to_string(), "peak cannot be found: the profile is none");
    }

    #[test]
    fn hostile_places_are_refused_in_a_line() {
        let there = trace(3, &[(1, "x")]);
        let long = format!("mark:{}", "y".repeat(100_000));
        for text in [&long, "mark:\u{1b}[2J", "\u{1b}[2J", "a\nb", &"9".repeat(5000)] {
            let error = at(text, &there).unwrap_err();
            assert!(error.len() < 400 && !error.chars().any(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn a_trace_whose_operations_were_forgotten_still_has_its_places() {
        let mut tape = TraceBuilder::new("t");
        for id in 1..=5 {
            tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 8 } }).unwrap();
            tape.mark("turn").unwrap();
            tape.forget();
        }
        assert_eq!((at("end", tape.trace()), at("mark:turn#4", tape.trace())), (Ok(5), Ok(4)));
    }
}
