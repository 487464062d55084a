//! The small language in which lessons, puzzles and the playground say what a program does: a few words of Python.
//!
//! `a = malloc(48)`, `free(a)`, `for i in range(100): x[i] = malloc(32)`. [`Program::parse`] reads it once;
//! [`Program::expand`] makes the operations of it under a profile, since counts may be formulas over the build's
//! constants ([`expr`]). `docs/program.md` has the grammar.

mod expand;
pub mod expr;
mod parse;
mod token;
pub mod words;

pub use expand::{Bounds, Expanded, Expander};
pub use parse::Program;

use crate::error::{LineColumn, TraceError};

/// What is wrong with a program, where, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub at: LineColumn,
    /// What is wrong.
    pub problem: String,
    /// What to write.
    pub remedy: String,
}

impl Fault {
    pub(crate) fn new(at: LineColumn, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { at, problem: problem.into(), remedy: remedy.into() }
    }
}

impl From<Fault> for TraceError {
    fn from(fault: Fault) -> Self {
        Self::Syntax { at: fault.at, problem: fault.problem, remedy: fault.remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Program};
    use sim_core::tape::Action;
    use sim_core::{Call, Profile};

    #[test]
    fn bytes_of_a_poke_may_stand_apart() {
        let poked = |text: &str| {
            let program = Program::parse(&format!("a = malloc(8)\npoke(a, 0, \"{text}\")")).unwrap();
            let expanded = program.expand("t", &Profile::default(), Bounds::default());
            expanded.map(|expanded| match expanded.trace.op(1).unwrap().call {
                Call::Act(Action::Poke { bytes, .. }) => bytes.as_slice().to_vec(),
                other => unreachable!("{other:?}"),
            })
        };
        assert_eq!(poked("41 42").unwrap(), [0x41, 0x42]);
        assert_eq!(poked("4142").unwrap(), [0x41, 0x42]);
        assert!(poked("41 4").unwrap_err().problem.contains("no bytes"));
        assert!(poked("").is_err());
    }
}
