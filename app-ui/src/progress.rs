//! How far somebody came in each lesson, and which puzzles are solved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far somebody came in each lesson, by its id.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    lessons: BTreeMap<String, Reached>,
    /// Questions of practice that were asked, so that none comes twice.
    #[serde(default)]
    asked: u64,
    /// Puzzles that were begun, by their ids.
    #[serde(default)]
    puzzles: BTreeMap<String, Solved>,
}

/// What became of a puzzle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Solved {
    /// The best score that somebody found without the solution.
    best: Option<i64>,
    /// Whether the solution was looked at.
    shown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Reached {
    beats: usize,
    of: usize,
}

impl Progress {
    /// A beat was shown.
    pub(crate) fn reach(&mut self, lesson: &str, beat: usize, of: usize) {
        let reached = self.lessons.entry(lesson.to_owned()).or_insert(Reached { beats: 0, of });
        *reached = Reached { beats: reached.beats.max(beat + 1), of };
    }

    /// The seed of a question that was not asked yet.
    pub(crate) fn next_seed(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// A puzzle was solved with a score. Who looked at the solution solves nothing any more.
    pub(crate) fn solve(&mut self, puzzle: &str, score: i64, more: bool) {
        let solved = self.puzzles.entry(puzzle.to_owned()).or_default();
        let better = |best: i64| if more { best.max(score) } else { best.min(score) };
        if !solved.shown {
            solved.best = Some(solved.best.map_or(score, better));
        }
    }

    /// The solution of a puzzle was looked at.
    pub(crate) fn reveal(&mut self, puzzle: &str) {
        self.puzzles.entry(puzzle.to_owned()).or_default().shown = true;
    }

    /// The best score that a puzzle was solved with; nothing where it is not solved.
    pub(crate) fn best(&self, puzzle: &str) -> Option<i64> {
        self.puzzles.get(puzzle)?.best
    }

    /// Whether the solution of a puzzle was looked at.
    pub(crate) fn revealed(&self, puzzle: &str) -> bool {
        self.puzzles.get(puzzle).is_some_and(|solved| solved.shown)
    }

    /// In hundredths; nothing where it was never begun.
    pub(crate) fn percent(&self, lesson: &str) -> Option<usize> {
        self.lessons.get(lesson).map(|reached| (reached.beats * 100 / reached.of.max(1)).min(100))
    }
}

/// A question of practice, by the id of its lesson: `practice-lifo-1-42`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Practice<'a> {
    /// The lesson that it is on.
    pub(crate) lesson: &'a str,
    /// Its level.
    pub(crate) level: u8,
}

impl<'a> Practice<'a> {
    /// What an id says, if it is a question's.
    pub(crate) fn of(id: &'a str) -> Option<Self> {
        Self::with_seed(id).map(|(practice, _)| practice)
    }

    /// The same with the seed, from which the same question is made again.
    pub(crate) fn with_seed(id: &'a str) -> Option<(Self, u64)> {
        let (rest, seed) = id.strip_prefix("practice-")?.rsplit_once('-')?;
        let (lesson, level) = rest.rsplit_once('-')?;
        Some((Self { lesson, level: level.parse().ok()? }, seed.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_did_not_look_has_solved_it() {
        let mut progress = Progress::default();
        progress.solve("full-pool", 40, false);
        progress.solve("full-pool", 31, false);
        progress.solve("full-pool", 50, false);
        progress.reveal("full-pool");
        progress.solve("full-pool", 7, false);
        assert_eq!((progress.best("full-pool"), progress.revealed("full-pool")), (Some(31), true));
        progress.reveal("one-free");
        progress.solve("one-free", 8, false);
        assert_eq!(progress.best("one-free"), None);
        progress.solve("greatest-waste", 70, true);
        progress.solve("greatest-waste", 75, true);
        assert_eq!(progress.best("greatest-waste"), Some(75));
        let kept: Progress = serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap();
        assert_eq!(kept, progress);
    }

    #[test]
    fn questions_are_known_by_their_ids() {
        let practice = Practice::of("practice-which-arena-3-17");
        assert_eq!(practice, Some(Practice { lesson: "which-arena", level: 3 }));
        assert_eq!(Practice::of("which-arena"), None);
    }
}
