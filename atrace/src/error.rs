//! What can be wrong with a file: where, and what kind of remedy there is.

use thiserror::Error;

use crate::version::{MAJOR, MINOR};

/// Why a file cannot be read, or not from some byte on. The text is one line and says what is wrong and where; what to
/// do is [`Self::remedy`], for each program to word.
#[derive(Debug, Error)]
pub enum AtraceError {
    /// The file is of a version to come.
    #[error(
        "byte 8: the file has version {major}.{minor} of .atrace, this program reads {MAJOR}.0 to {MAJOR}.{MINOR}"
    )]
    Version {
        /// Its major version.
        major: u8,
        /// Its minor version.
        minor: u8,
    },
    /// The file does not hold what it must.
    #[error("byte {offset}, operation {operation}: {problem}")]
    Damaged {
        /// Bytes before the block.
        offset: u64,
        /// The operation, counted from 1, that comes next there.
        operation: u64,
        /// What is wrong.
        problem: String,
    },
    /// The source could not be read.
    #[error("reading failed after {offset} bytes: {error}")]
    Read {
        /// Bytes before the place that was wanted.
        offset: u64,
        /// The system's reason.
        error: std::io::Error,
    },
}

/// What can be done about an [`AtraceError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Take a newer version of the program.
    NewerProgram,
    /// Take another copy of the file: this one is damaged, or was not written as `docs/atrace.md` says.
    OtherCopy,
    /// Nothing that the file's reader would know of: the system has said what is wrong.
    None,
}

impl AtraceError {
    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Version { .. } => Remedy::NewerProgram,
            Self::Damaged { .. } => Remedy::OtherCopy,
            Self::Read { .. } => Remedy::None,
        }
    }
}
