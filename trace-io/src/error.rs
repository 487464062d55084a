//! What can be wrong with a trace: what and where, in one line, and which way out there is.

use std::fmt;

use atrace::AtraceError;
use sim_core::{ProfileError, TapeError};
use thiserror::Error;

use crate::remedy::Remedy;

/// A line and a column of a text, both counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineColumn {
    /// The line.
    pub line: u64,
    /// The column, in bytes.
    pub column: u64,
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why bytes are no trace. The text says what is wrong and where; [`Self::remedy`] has what can be done.
#[derive(Debug, Error)]
pub enum TraceError {
    /// No bytes, or nothing but comments.
    #[error("there is no operation in it")]
    Empty,
    /// Not a format this program knows.
    #[error("byte {offset}: {what}, so this is no format of traces that is known")]
    UnknownFormat {
        /// Bytes before the one that told.
        offset: u64,
        /// What it was.
        what: String,
    },
    /// A line that is no operation.
    #[error("{at}: {problem}")]
    Syntax {
        /// Where.
        at: LineColumn,
        /// What is wrong.
        problem: String,
        /// What to write.
        remedy: String,
    },
    /// An operation that cannot stand there.
    #[error("{at}: {error}")]
    Operation {
        /// Where.
        at: LineColumn,
        /// Why not, with what to write.
        error: TapeError,
    },
    /// A profile or field that the trace asks for and that does not exist.
    #[error("{at}: {error}")]
    Profile {
        /// Where.
        at: LineColumn,
        /// What is wrong.
        error: ProfileError,
    },
    /// RON that does not parse.
    #[error("{at}: {message}")]
    Ron {
        /// Where.
        at: LineColumn,
        /// What the parser says.
        message: String,
    },
    /// A binary format that cannot be read.
    #[error("byte {offset}: {problem}")]
    Binary {
        /// Unpacked bytes before what is wrong.
        offset: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// An `.atrace` file that does not hold what it must, or is of a version to come.
    #[error("{0}")]
    Atrace(AtraceError),
    /// Damaged compression.
    #[error("byte {offset} of the compressed file: {message}")]
    Compression {
        /// Compressed bytes read so far.
        offset: u64,
        /// What the decoder says.
        message: String,
    },
    /// A file that is known and holds no trace.
    #[error("this is {what}: {reason}")]
    NoTrace {
        /// What it is.
        what: &'static str,
        /// Why it cannot be replayed.
        reason: &'static str,
        /// What to record instead.
        remedy: &'static str,
    },
    /// A recording in which nothing but blocks from before it is freed or moved.
    #[error(
        "{format}, with {skipped} frees and moves of blocks from before the recording and nothing else; what they were is not known"
    )]
    OnlyUnknown {
        /// The format.
        format: &'static str,
        /// Operations that were skipped.
        skipped: u64,
    },
    /// A picture where a trace was asked for, see [`crate::Loaded`].
    #[error("this is the text of sys._debugmallocstats(), a picture of one moment and no trace")]
    Picture,
    /// A domain given for a trace that has domains of its own.
    #[error("{format} says itself which domain each call is in")]
    HasDomains {
        /// The format.
        format: &'static str,
    },
    /// A packed source that unpacks to far more than it is, with hardly anything in it.
    #[error(
        "its first {packed} bytes unpack to {unpacked} with {operations} operations in them, so that reading on may take all time and memory"
    )]
    Swells {
        /// Packed bytes read so far.
        packed: u64,
        /// What they became.
        unpacked: u64,
        /// Operations in them.
        operations: u64,
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

impl TraceError {
    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Empty => Remedy::Do("a trace has lines such as `m o 1 48`, see docs/ptrace.md".to_owned()),
            Self::UnknownFormat { .. } => Remedy::ReadableFormat,
            Self::Syntax { remedy, .. } | Self::Binary { remedy, .. } => Remedy::Do(remedy.clone()),
            Self::Profile { error, .. } => error.into(),
            Self::Ron { .. } => Remedy::Do("docs/lessons.md shows the form of a lesson".to_owned()),
            Self::Atrace(error) => match error.remedy() {
                atrace::Remedy::NewerProgram => Remedy::NewerProgram,
                atrace::Remedy::OtherCopy => Remedy::OtherCopy,
                atrace::Remedy::None => Remedy::None,
            },
            Self::Compression { .. } => Remedy::FetchAgain,
            Self::NoTrace { remedy, .. } => Remedy::Do((*remedy).to_owned()),
            Self::OnlyUnknown { .. } => {
                Remedy::Do("begin the recording before the program asks for the blocks".to_owned())
            }
            Self::Picture => Remedy::LookAtPicture,
            Self::Swells { .. } => Remedy::ReadOn,
            Self::HasDomains { .. } => Remedy::OwnDomains,
            Self::Operation { .. } | Self::Read { .. } => Remedy::None,
        }
    }
}

impl From<AtraceError> for TraceError {
    fn from(error: AtraceError) -> Self {
        match error {
            AtraceError::Read { offset, error } => Self::Read { offset, error },
            error => Self::Atrace(error),
        }
    }
}
