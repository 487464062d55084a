//! Blocks chosen by what they have in common, as a person writes it: `site=app.py:12`, `class=31`, `thread=2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sim_core::tape::StackId;
use sim_core::{Profile, Trace};
use thiserror::Error;

use super::census::Census;
use super::holders::{Holders, Rule};
use super::key::{Key, KeyError, Label};

/// One key with a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// The key.
    pub key: Key,
    /// Its value, as a group's label has it or in short.
    pub value: String,
}

/// Why nothing was chosen.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ChoiceError {
    /// No `=`.
    #[error("{0:?} chooses nothing; write KEY=VALUE, such as site=app.py:12 or class=31")]
    NoValue(String),
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No live block is of it.
    #[error("no block that is live at step {step} has {choice}; the largest groups are {nearest}")]
    Nothing {
        /// What was written.
        choice: String,
        /// The step.
        step: u64,
        /// What there is instead.
        nearest: String,
    },
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key.name(), self.value)
    }
}

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        let (key, value) = text.split_once('=').ok_or_else(|| ChoiceError::NoValue(text.to_owned()))?;
        let value = value.trim();
        // A call site of several frames says so by how it is written.
        let key = match key.trim().parse()? {
            Key::Site(_) => Key::Site(value.split(" < ").count() as u32),
            key => key,
        };
        if value.is_empty() {
            return Err(ChoiceError::NoValue(text.to_owned()));
        }
        Ok(Self { key, value: value.to_owned() })
    }
}

impl Choice {
    /// Whether a group is meant: by its whole key; a place by the end of its path, a function by its name alone, a class by its
    /// number, a thread by its name.
    pub fn means(&self, label: &Label) -> bool {
        let value = self.value.as_str();
        let short = |sign: &str| label.key.split_once(sign).is_some_and(|(head, _)| head == value);
        if label.key == value {
            return true;
        }
        match self.key {
            Key::Site(_) | Key::Module => {
                label.key.strip_suffix(value).is_some_and(|head| head.ends_with(['/', '\\']))
            }
            Key::Function | Key::Class => short(" ("),
            Key::Thread => label.beside == value,
            Key::Domain => label.key.eq_ignore_ascii_case(value),
            Key::Kind | Key::Age => false,
        }
    }
}

/// Blocks of a census that somebody chose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// Whether each block of the columns is one.
    pub blocks: Vec<bool>,
    /// The same for those that no operation gave.
    pub unborn: Vec<bool>,
}

impl Chosen {
    /// Nothing.
    pub fn none(census: &Census) -> Self {
        Self { blocks: vec![false; census.len()], unborn: vec![false; census.unborn.len()] }
    }

    /// All that one of `choices` means; each must mean something.
    pub fn of(
        census: &Census,
        trace: &Trace,
        profile: &Profile,
        changes: &[(u64, StackId)],
        choices: &[Choice],
    ) -> Result<Self, ChoiceError> {
        let mut chosen = Self::none(census);
        for choice in choices {
            let holders = Holders::of(census, trace, profile, changes, choice.key, Rule::Sole);
            let meant: Vec<bool> = holders.groups.iter().map(|group| choice.means(&group.label)).collect();
            if !meant.contains(&true) {
                const NAMED: usize = 5;
                let nearest = holders.groups.iter().take(NAMED).map(|group| group.label.key.as_str());
                return Err(ChoiceError::Nothing {
                    choice: choice.to_string(),
                    step: census.step,
                    nearest: nearest.collect::<Vec<_>>().join(", "),
                });
            }
            chosen.add(&holders, &meant);
        }
        Ok(chosen)
    }

    /// Adds the blocks of groups.
    pub fn add(&mut self, holders: &Holders, meant: &[bool]) {
        let is_meant = |group: &u32| meant.get(*group as usize) == Some(&true);
        for (chosen, group) in self.blocks.iter_mut().zip(&holders.of_block) {
            *chosen |= is_meant(group);
        }
        for (chosen, group) in self.unborn.iter_mut().zip(&holders.of_unborn) {
            *chosen |= is_meant(group);
        }
    }

    /// Whether the blocks can be freed one by one: blocks that no operation gave cannot.
    pub fn have_pointers(&self) -> bool {
        !self.unborn.contains(&true)
    }
}
