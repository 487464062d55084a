//! Marks: names at steps, given by the program or by a person.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest name of a mark, in characters.
pub const MARK_CHARS_MAX: usize = 200;
/// The most marks of a trace. They stay in memory when operations are forgotten, so a trace has not as many as operations.
pub const MARKS_MAX: usize = 1 << 20;

/// A name at a step. Several may stand at one step, and a name may come again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Operations before it, of the whole trace.
    pub at: u64,
    name: MarkName,
}

/// The name of a mark: one line that can be seen. Marks of one name may share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MarkName(Arc<str>);

/// Why a mark cannot stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MarkError {
    /// A name without a character.
    #[error("the mark has no name; give it one, such as request-end")]
    Empty,
    /// A name that is too long.
    #[error("the mark's name has {0} characters; use at most {MARK_CHARS_MAX}")]
    TooLong(usize),
    /// A name that a line of text cannot carry.
    #[error("the mark's name has the character {0:?}, which cannot be seen; leave it out")]
    Unseen(char),
    /// A name whose ends would be lost.
    #[error("the mark's name begins or ends with white space; leave that out")]
    WhiteSpace,
    /// A mark before the one that came before it.
    #[error("a mark after {at} operations follows one after {last}; put marks in the order of their steps")]
    Order {
        /// Operations before it.
        at: u64,
        /// Operations before the last one.
        last: u64,
    },
    /// More marks than are kept.
    #[error("there are more than {MARKS_MAX} marks, which is more than a trace holds; mark less often")]
    TooMany,
}

/// Whether a character stands for nothing that can be seen, or turns the order of those around it.
fn unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl MarkName {
    /// A name as somebody gave it.
    pub fn new(name: &str) -> Result<Self, MarkError> {
        if name.is_empty() {
            return Err(MarkError::Empty);
        }
        let chars = name.chars().count();
        if chars > MARK_CHARS_MAX {
            return Err(MarkError::TooLong(chars));
        }
        if let Some(c) = name.chars().find(|&c| unseen(c)) {
            return Err(MarkError::Unseen(c));
        }
        if name.trim() != name {
            return Err(MarkError::WhiteSpace);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MarkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Mark {
    /// A mark after so many operations.
    pub fn new(at: u64, name: MarkName) -> Self {
        Self { at, name }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

/// Appends a mark, which must not come before the last one.
pub(super) fn append(marks: &mut Vec<Mark>, at: u64, name: &str) -> Result<(), MarkError> {
    let last = marks.last();
    if let Some(last) = last.filter(|last| at < last.at) {
        return Err(MarkError::Order { at, last: last.at });
    }
    if marks.len() >= MARKS_MAX {
        return Err(MarkError::TooMany);
    }
    // A name that comes again and again is kept once.
    let known = marks.iter().rev().take(8).find(|mark| mark.name() == name);
    let name = known.map_or_else(|| MarkName::new(name), |mark| Ok(mark.name.clone()))?;
    marks.push(Mark { at, name });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_that_can_be_seen() {
        for name in ["request-end", "a", "GC pause, 2nd", "größer", "a#2", "mark:x", &"ü".repeat(200)] {
            assert_eq!(MarkName::new(name).map(|n| n.to_string()), Ok(name.to_owned()));
        }
        for (name, error) in [
            ("", MarkError::Empty),
            ("a\nb", MarkError::Unseen('\n')),
            ("a\0", MarkError::Unseen('\0')),
            ("\u{1b}[31mred", MarkError::Unseen('\u{1b}')),
            ("a\u{9b}", MarkError::Unseen('\u{9b}')),
            ("evil\u{202e}gnp", MarkError::Unseen('\u{202e}')),
            ("two\u{2028}lines", MarkError::Unseen('\u{2028}')),
            (" a", MarkError::WhiteSpace),
            ("a ", MarkError::WhiteSpace),
            (" ", MarkError::WhiteSpace),
            (&"ü".repeat(201), MarkError::TooLong(201)),
        ] {
            assert_eq!(MarkName::new(name), Err(error), "{name:?}");
            // None of them puts a control character on the terminal of who reads the error.
            assert!(!error.to_string().chars().any(unseen), "{error}");
        }
    }

    #[test]
    fn marks_stand_in_order_and_share_names() {
        let mut marks = Vec::new();
        for (at, name) in [(0, "a"), (0, "b"), (0, "a"), (7, "a")] {
            append(&mut marks, at, name).unwrap();
        }
        assert!(marks.iter().map(|m| (m.at, m.name())).eq([(0, "a"), (0, "b"), (0, "a"), (7, "a")]));
        assert!(Arc::ptr_eq(&marks[0].name.0, &marks[3].name.0));
        assert_eq!(append(&mut marks, 6, "c"), Err(MarkError::Order { at: 6, last: 7 }));
        assert_eq!(append(&mut marks, 9, "\t"), Err(MarkError::Unseen('\t')));
        assert_eq!(marks.len(), 4);
    }

    #[test]
    fn a_trace_has_so_many_marks_and_no_more() {
        let mut marks = Vec::new();
        (0..MARKS_MAX as u64).for_each(|at| append(&mut marks, at, "turn").unwrap());
        assert_eq!(append(&mut marks, u64::MAX, "turn"), Err(MarkError::TooMany));
    }
}
