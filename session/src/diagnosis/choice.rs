//! Blocks chosen by what they have in common, as a person writes it: `site=app.py:12`, `class=512B`, `thread=2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sim_core::tape::StackId;
use sim_core::{Domain, Profile, Trace};
use thiserror::Error;

use super::births::{given, picture_block, stack_of};
use super::census::Census;
use super::holders::{Holders, Rule};
use super::key::{Key, KeyError, Label};
use super::meant::{class_meant, stacks_meant};

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
    /// No class is called so.
    #[error("`{value}` is no value for class: {expected}")]
    Class {
        /// What was written.
        value: String,
        /// What is to be written.
        expected: String,
    },
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
    /// A site by its label.
    pub fn site(label: &str) -> Self {
        Self { key: Key::Site(1), value: label.to_owned() }
    }

    /// Whether a group is meant: by its whole key, a thread by its name.
    fn means(&self, label: &Label) -> bool {
        label.key == self.value
            || match self.key {
                Key::Thread => label.beside == self.value,
                Key::Domain => label.key.eq_ignore_ascii_case(&self.value),
                _ => false,
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
            if choice.key == Key::Class && class_meant(&choice.value, profile) == Ok(None) {
                let large = |birth: &u32| {
                    let op = given(trace, *birth);
                    picture_block(*birth).is_none()
                        && op.domain != Domain::Raw
                        && !(1..=profile.small_request_threshold).contains(&op.size)
                };
                let births = census.births.iter();
                chosen.blocks.iter_mut().zip(births).for_each(|(chosen, birth)| *chosen |= large(birth));
                continue;
            }
            let holders = Holders::of(census, trace, profile, changes, choice.key, Rule::Sole);
            let mut meant: Vec<bool> =
                holders.groups.iter().map(|group| choice.means(&group.label)).collect();
            if !meant.contains(&true) {
                meant = shorter(census, trace, profile, changes, choice, &holders)?;
            }
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

/// Groups that are meant by less than their whole key, such as the end of a path.
fn shorter(
    census: &Census,
    trace: &Trace,
    profile: &Profile,
    changes: &[(u64, StackId)],
    choice: &Choice,
    holders: &Holders,
) -> Result<Vec<bool>, ChoiceError> {
    let mut meant = vec![false; holders.groups.len()];
    if choice.key.needs_stacks() {
        let stacks = stacks_meant(choice.key, &choice.value, &trace.origin.stacks);
        for (birth, group) in census.births.iter().zip(&holders.of_block) {
            let stack = stack_of(trace, changes, *birth);
            meant[*group as usize] |= stacks.get(stack.0 as usize) == Some(&true);
        }
    } else if choice.key == Key::Class {
        let class = class_meant(&choice.value, profile)
            .map_err(|expected| ChoiceError::Class { value: choice.value.clone(), expected })?;
        let Some(class) = class else { return Ok(meant) };
        let number = |label: &Label| label.key.split_once(" (").and_then(|(head, _)| head.parse().ok());
        for (meant, group) in meant.iter_mut().zip(&holders.groups) {
            *meant = number(&group.label) == Some(class);
        }
    }
    Ok(meant)
}
