//! What would have been, as a front looks at it: a grid of settings, changed blocks, the fewest sites, bounds; and how far it is.

use serde::{Deserialize, Serialize};

use crate::whatif::{Cell, Chosen, Edit, Figures, Ideal, Matched, Row, Verdict};

/// Cells of a grid in a window, at the most: each is looked at there.
pub const CELLS_MAX: usize = 1_000;

/// What can be tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WhatIfOrder {
    /// The trace under every combination of these axes, each `KEY=A,B,C`.
    Grid(Vec<String>),
    /// With other blocks, under the settings that are open.
    Edit(Vec<Edit>),
    /// The fewest sites without which so many bytes less are held at the end.
    Save(u64),
    /// How few arenas the same blocks could lie in.
    Ideal,
    /// No more of what is under way.
    Stop,
    /// Open the trace under the settings of a cell, at the same step; under those of the run as it is where it has none.
    Open(Cell),
}

/// How far it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// What is done, in words.
    pub what: String,
    /// The share that is done, 0 to 1.
    pub share: f32,
}

/// A grid with what its cells came to, as far as they are done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Matrix {
    /// Its keys with their values; the last one changes first.
    pub axes: Vec<(String, Vec<String>)>,
    /// What the run as it is runs under.
    pub profile: String,
    /// The run as it is.
    pub base: Option<Row>,
    /// Cells, the first so many.
    pub rows: Vec<Row>,
    /// What they say, of those that are done.
    pub verdict: Verdict,
    /// The cell that is open in the window.
    pub current: Option<usize>,
    /// Whether the run as it is is.
    pub base_is_open: bool,
}

impl Matrix {
    /// How many cells it has once all are done.
    pub fn cells(&self) -> usize {
        self.axes.iter().map(|axis| axis.1.len()).product()
    }
}

/// Changed blocks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// What was changed, and for how many blocks each.
    pub edits: Vec<(Edit, Matched)>,
    /// In one sentence.
    pub sentence: String,
    /// The run before, with its curve,
    pub before: Box<Figures>,
    /// and after.
    pub after: Box<Figures>,
    /// Operations of the unchanged trace in a stretch of the curves.
    pub stretch: u64,
    /// What both were run under.
    pub under: String,
}

/// The fewest sites, as far as they are found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fewer {
    /// Bytes that are to be held less.
    pub wanted: u64,
    /// In one sentence, once it is done.
    pub answer: Option<String>,
    /// The sites.
    pub sites: Vec<Chosen>,
    /// Runs that were made.
    pub runs: u64,
}

/// Bounds on arenas.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bounds {
    /// The run and its bounds.
    pub ideal: Ideal,
    /// Whose doing it is.
    pub sentence: String,
    /// What it was run under.
    pub under: String,
    /// Bytes of an arena then.
    pub arena_bytes: u64,
}

/// What was tried of the trace that is open.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WhatIfPicture {
    /// What is under way.
    pub trial: Option<Trial>,
    /// Why what was asked for last cannot be.
    pub error: Option<String>,
    /// The grid.
    pub matrix: Option<Matrix>,
    /// Changed blocks.
    pub changed: Option<Changed>,
    /// The fewest sites.
    pub fewer: Option<Fewer>,
    /// The bounds.
    pub bounds: Option<Bounds>,
}
