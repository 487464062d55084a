//! What became of the memory over the whole run, as a front sees it: the verdict of one heap, and how far the run for it is.

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Placed, Verdict};

/// The verdict, and of what it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// On which heap.
    pub placed: Placed,
    /// Operations that it knows of: a trace that goes on has more.
    pub operations: u64,
    /// The verdict.
    pub verdict: Verdict,
}

/// What a front is told of it: the verdict, or that there is none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict, where it is known.
    pub findings: Option<Box<Findings>>,
}

/// How far a run over a whole tape is that nobody watches.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub enum Surveying {
    /// Nothing is to be found out.
    #[default]
    Nothing,
    /// It begins once the tape has been read ahead.
    Waits,
    /// It runs: which trace it is, operations done, and all of them.
    Runs(String, u64, u64),
    /// Somebody stopped it.
    Stopped,
    /// It is about a trace that goes on, and begins when somebody asks.
    OnDemand,
    /// It cannot run, and why.
    Failed(String),
}
