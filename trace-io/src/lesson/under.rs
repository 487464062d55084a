//! What lessons and puzzles run under: a build, its settings, and whether they hold for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use sim_core::Profile;
use sim_core::domains::AllocatorName;

use crate::error::{LineColumn, TraceError};
use crate::program::expr::{Constants, Expr};

/// For which builds a lesson or a puzzle holds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// A formula over the build's constants.
    pub when: String,
    /// What to say where it does not.
    pub otherwise: String,
}

/// What a file says of it.
pub(super) struct Under<'a> {
    /// The preset that it is written for.
    pub(super) profile: Option<&'a str>,
    /// `PYTHONMALLOC`.
    pub(super) malloc: Option<&'a str>,
    /// Fields of the profile that it changes.
    pub(super) settings: &'a BTreeMap<String, String>,
    /// For which builds it holds.
    pub(super) holds: Option<&'a Holds>,
}

impl Under<'_> {
    /// The build, where `preset` is asked for or nothing is.
    pub(super) fn profile(&self, preset: Option<&str>) -> Result<Profile, TraceError> {
        let fault = |error| TraceError::Profile { at: LineColumn { line: 1, column: 1 }, error };
        let profile = Profile::chosen(preset.or(self.profile)).map_err(fault)?;
        let settings = self.settings(&profile);
        profile.changed(&settings).map_err(fault)
    }

    /// Settings with their formulas worked out over a preset.
    pub(super) fn settings(&self, preset: &Profile) -> Vec<(String, String)> {
        let constants = Constants(preset);
        let worked_out = self.settings.iter().map(|(key, value)| {
            // A word such as `page` is no formula and stays.
            let number = Expr::parse(value).ok().and_then(|formula| formula.value(&constants).ok());
            (key.clone(), number.map_or_else(|| value.clone(), |number| number.to_string()))
        });
        worked_out.collect()
    }

    /// Whether it holds under a build; else what to say.
    pub(super) fn holds(&self, profile: &Profile) -> Result<(), String> {
        let Some(holds) = self.holds else { return Ok(()) };
        match truth(&holds.when, profile) {
            Ok(true) => Ok(()),
            Ok(false) => Err(holds.otherwise.clone()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn allocator(&self) -> Result<Option<AllocatorName>, TraceError> {
        self.malloc.map(AllocatorName::parse).transpose().map_err(|error| TraceError::Syntax {
            at: LineColumn { line: 1, column: 1 },
            problem: error.to_string(),
            remedy: "name one of them".to_owned(),
        })
    }
}

/// Whether a condition over the build's constants holds.
pub fn truth(condition: &str, profile: &Profile) -> Result<bool, TraceError> {
    let formula = Expr::parse(condition)?;
    Ok(formula.value(&Constants(profile))? != 0)
}
