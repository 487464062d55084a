//! What went wrong, for each front to word: the reason as a sentence, the way out as a kind.

use serde::{Deserialize, Serialize};
use trace_io::{Remedy, TraceError};

use crate::setup::SetupError;

/// Something that went wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// What and where, in one line.
    pub text: String,
    /// What can be done about it.
    pub remedy: Remedy,
}

impl Trouble {
    /// Why a file of this name could not be read.
    pub fn reading(name: &str, error: &TraceError) -> Self {
        Self { text: format!("{name}: {error}"), remedy: error.remedy() }
    }

    /// Why a trace or profile of this name cannot run.
    pub fn running(name: &str, error: &SetupError) -> Self {
        Self { text: format!("{name}: {error}"), remedy: error.remedy() }
    }
}

impl From<String> for Trouble {
    /// A reason that says all.
    fn from(text: String) -> Self {
        Self { text, remedy: Remedy::None }
    }
}
