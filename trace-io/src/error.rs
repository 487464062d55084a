//! What can be wrong with a trace: where, and what to do about it, in one line.

use std::fmt;

use atrace::{AtraceError, Remedy};
use sim_core::{ProfileError, TapeError};
use thiserror::Error;

use crate::stats_text::StatsText;

/// A place in a text, both numbers counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in bytes.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why bytes are no trace.
#[derive(Debug, Error)]
pub enum TraceError {
    /// No bytes, or nothing but comments.
    #[error("there is no operation in it; a trace has lines such as `m o 1 48`, see docs/ptrace.md")]
    Empty,
    /// Not a format this program knows.
    #[error(
        "byte {offset}: {what}, so this is no format of traces that is known; `arenascope info --help` lists the formats"
    )]
    UnknownFormat {
        /// Bytes before the one that told.
        offset: u64,
        /// What it was.
        what: String,
    },
    /// A line that is no operation.
    #[error("{place}: {problem}; {remedy}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
        /// What to write.
        remedy: String,
    },
    /// An operation that cannot stand there.
    #[error("{place}: {error}")]
    Operation {
        /// Where.
        place: Place,
        /// Why not.
        error: TapeError,
    },
    /// A profile or field that the trace asks for and that does not exist.
    #[error("{place}: {error}")]
    Profile {
        /// Where.
        place: Place,
        /// What is wrong.
        error: ProfileError,
    },
    /// RON that does not parse.
    #[error("{place}: {message}; docs/lessons.md shows the form of a lesson")]
    Ron {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// A binary format that cannot be read.
    #[error("byte {offset}: {problem}; {remedy}")]
    Binary {
        /// Unpacked bytes before what is wrong.
        offset: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// An `.atrace` file that does not hold what it must, or is of a version to come.
    #[error("{error}; {remedy}", error = .0, remedy = atrace_remedy(.0))]
    Atrace(AtraceError),
    /// Damaged compression.
    #[error(
        "byte {offset} of the compressed file: {message}; the file is damaged or cut off, fetch it again"
    )]
    Compression {
        /// Compressed bytes read so far.
        offset: u64,
        /// What the decoder says.
        message: String,
    },
    /// A file that is known and holds no trace.
    #[error("this is {what}: {reason}; {remedy}")]
    NoTrace {
        /// What it is.
        what: &'static str,
        /// Why it cannot be replayed.
        reason: &'static str,
        /// What to record instead.
        remedy: &'static str,
    },
    /// A picture of one moment, which comes with the error.
    #[error(
        "this is the text of sys._debugmallocstats(), a picture of one moment and no trace; `arenascope info FILE` prints \
         it, and `memray run --trace-python-allocators` records what can be replayed"
    )]
    Still(Box<StatsText>),
    /// A domain given for a trace that has domains of its own.
    #[error("{format} says itself which domain each call is in; leave --as away")]
    HasDomains {
        /// The format.
        format: &'static str,
    },
    /// The source could not be read.
    #[error("reading failed after {offset} bytes: {error}")]
    Read {
        /// Bytes read so far.
        offset: u64,
        /// The system's reason.
        error: std::io::Error,
    },
}

impl From<AtraceError> for TraceError {
    fn from(error: AtraceError) -> Self {
        match error {
            AtraceError::Read { offset, error } => Self::Read { offset, error },
            error => Self::Atrace(error),
        }
    }
}

fn atrace_remedy(error: &AtraceError) -> &'static str {
    match error.remedy() {
        Remedy::NewerProgram => "use a newer one",
        Remedy::OtherCopy | Remedy::None => "the file is damaged or was not written as docs/atrace.md says",
    }
}
