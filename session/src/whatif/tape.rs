//! What a cell runs: a trace as it is, or an edited one, on one machine or on several beside each other.

use std::sync::Arc;

use sim_core::Trace;

/// Stretches of the unedited trace that a curve has, at the most.
pub const STRETCHES: u64 = 512;

/// Operations that follow each other on one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which lane.
    pub lane: u32,
    /// How many of its operations.
    pub operations: u64,
}

/// Operations for one machine, or for several that take turns, each with memory of its own.
#[derive(Clone, Debug)]
pub struct Tape {
    /// The operations of each machine.
    pub lanes: Vec<Arc<Trace>>,
    /// Whose turn it is, from the beginning to the end of all lanes.
    pub turns: Arc<[Turn]>,
    /// Operations of all lanes that are done at the end of each stretch of the unedited trace.
    pub marks: Arc<[u64]>,
    /// Operations of the unedited trace in a stretch.
    pub stretch: u64,
}

impl Tape {
    /// A trace as it is.
    pub fn of(trace: &Arc<Trace>) -> Self {
        let operations = trace.len();
        let stretch = Self::stretch_of(operations);
        Self {
            lanes: vec![Arc::clone(trace)],
            turns: Arc::from([Turn { lane: 0, operations }]),
            marks: (1..=operations.div_ceil(stretch)).map(|n| (n * stretch).min(operations)).collect(),
            stretch,
        }
    }

    /// How long a stretch is of a trace of so many operations.
    pub fn stretch_of(operations: u64) -> u64 {
        operations.div_ceil(STRETCHES).max(1)
    }

    /// Operations of all lanes.
    pub fn operations(&self) -> u64 {
        self.lanes.iter().map(|trace| trace.len()).sum()
    }
}
