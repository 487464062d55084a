//! A quiz as it is written: which questions, from which seed, under which build. `docs/lessons.md` shows the form.

use serde::Deserialize;

use crate::error::TraceError;

/// A quiz. Its questions are made by `session::quiz`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Quiz")]
pub struct Quiz {
    /// Its title.
    pub name: String,
    /// The preset that it is about; the default one where none is named.
    #[serde(default)]
    pub profile: Option<String>,
    /// The same seed makes the same questions.
    pub seed: u64,
    /// Whether each student has questions of their own, made from the seed and the name.
    #[serde(default)]
    pub by_student: bool,
    /// How often a student may sit down to it, each time with other questions. A graded quiz has one.
    #[serde(default = "once")]
    pub tries: u8,
    /// What is asked, in this order.
    pub items: Vec<Item>,
}

/// Some questions on a lesson.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The lesson's id.
    pub lesson: String,
    /// From 1 to 3.
    pub level: u8,
    /// How many questions.
    #[serde(default = "once")]
    pub count: u8,
}

fn once() -> u8 {
    1
}

impl Quiz {
    /// Reads a quiz.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let text = super::form::without_mark(text);
        super::form::from_ron(text, ron::extensions::Extensions::empty())
    }
}
