//! The playground as a front shows it.

use serde::{Deserialize, Serialize};
use trace_io::program::Fault;

use crate::puzzle::PuzzleView;

/// What the playground's trace is called.
pub const PLAYGROUND: &str = "Playground";

/// The playground as a front shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Played {
    /// A text that the editor takes over, for who forked something; its number tells whether it did already.
    pub forked: Option<(u64, String)>,
    /// Programs that were run so far: fewer than before means that another engine began anew.
    pub runs: u64,
    /// What is wrong with the program that was written last.
    pub fault: Option<ProgramFault>,
    /// The line of the operation that led to the step shown.
    pub line: Option<u32>,
    /// The puzzle that the program is to solve, where one is open.
    pub puzzle: Option<Box<PuzzleView>>,
}

impl Played {
    /// Whether a trace with this name is what was written: the playground's, or the puzzle's.
    pub fn is(&self, trace: &str) -> bool {
        trace == self.puzzle.as_ref().map_or(PLAYGROUND, |puzzle| puzzle.trace.as_str())
    }
}

/// What is wrong with a program, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProgramFault {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub problem: String,
    /// What to write.
    pub remedy: String,
}

impl From<Fault> for ProgramFault {
    fn from(fault: Fault) -> Self {
        let Fault { at, problem, remedy } = fault;
        Self { line: at.line, column: at.column, problem, remedy }
    }
}
