//! Files that hold no trace and yet say something: what they say, as text and as numbers.

mod block;
mod sites;

use serde::{Deserialize, Serialize};

pub(crate) use self::block::REPLACED;
pub use self::block::{BlockMessage, Pad};
pub use self::sites::{Site, Sites};
use crate::error::TraceError;

/// What such a file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Account {
    /// Sums by place: `memray run --aggregate`.
    Sites(Sites),
    /// A damaged block: what `CPython`'s debug hooks print.
    Block(BlockMessage),
}

impl Account {
    /// What it is, in a few words.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Sites(_) => "memray's sums by place",
            Self::Block(_) => "A damaged block",
        }
    }

    /// What its format is called.
    pub fn format(&self) -> &'static str {
        match self {
            Self::Sites(_) => "memray-aggregate",
            Self::Block(_) => "debug-hooks-message",
        }
    }

    /// All that it says, in lines for an even-spaced face.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Sites(sites) => sites.lines(),
            Self::Block(block) => block.lines(),
        }
    }

    /// Why it is no trace, for who asks for one.
    pub fn refusal(&self) -> TraceError {
        match self {
            Self::Sites(_) => TraceError::NoTrace {
                what: "an aggregated capture",
                reason: "it has sums by stack and no order of calls, so there is nothing to replay",
                remedy: "record with `memray run --trace-python-allocators` and without `--aggregate`",
            },
            Self::Block(_) => TraceError::NoTrace {
                what: "what CPython's debug hooks print when they find a damaged block",
                reason: "it shows one block when the process ended",
                remedy: "record each call in order with `memray run --trace-python-allocators`",
            },
        }
    }
}
