//! How far somebody came in each lesson.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far somebody came in each lesson, by its id.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress(BTreeMap<String, Reached>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Reached {
    beats: usize,
    of: usize,
}

impl Progress {
    /// A beat was shown.
    pub(crate) fn reach(&mut self, lesson: &str, beat: usize, of: usize) {
        let reached = self.0.entry(lesson.to_owned()).or_insert(Reached { beats: 0, of });
        *reached = Reached { beats: reached.beats.max(beat + 1), of };
    }

    /// In hundredths; nothing where it was never begun.
    pub(crate) fn percent(&self, lesson: &str) -> Option<usize> {
        self.0.get(lesson).map(|reached| (reached.beats * 100 / reached.of.max(1)).min(100))
    }
}
