//! How far somebody came in each lesson.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far somebody came in each lesson, by its id.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    lessons: BTreeMap<String, Reached>,
    /// Questions of practice that were asked, so that none comes twice.
    #[serde(default)]
    asked: u64,
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
    fn questions_are_known_by_their_ids() {
        let practice = Practice::of("practice-which-arena-3-17");
        assert_eq!(practice, Some(Practice { lesson: "which-arena", level: 3 }));
        assert_eq!(Practice::of("which-arena"), None);
    }
}
