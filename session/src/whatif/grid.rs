//! Settings that are tried: axes with their values, and every combination of them.

use serde::{Deserialize, Serialize};
use sim_core::domains::{AllocatorName, SetupError as NameError};
use sim_core::{Profile, ProfileError, Trace};
use thiserror::Error;

use crate::setup::{Overrides, Setup, SetupError};

/// Cells of a grid, at the most.
pub const CELLS_MAX: usize = 10_000;

/// What cannot be an axis.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum GridError {
    /// Not `KEY=A,B,C`.
    #[error("`{0}` is no axis; write KEY=A,B,C, for example arena_size=256K,1M")]
    Form(String),
    /// The same key or value again.
    #[error("{key} has {value} twice; give each once")]
    Twice {
        /// The key.
        key: String,
        /// The value, or what is there twice.
        value: String,
    },
    /// No such field, or no such value of it.
    #[error("{0}; an axis is also profile or malloc")]
    Key(ProfileError),
    /// A value that the field does not take.
    #[error(transparent)]
    Value(ProfileError),
    /// No such `PYTHONMALLOC`.
    #[error("malloc takes no `{value}`; it takes {known}")]
    Malloc {
        /// What was given.
        value: String,
        /// What it takes.
        known: String,
    },
    /// More than anybody reads.
    #[error("the grid has {0} cells, at most {CELLS_MAX} are run; leave values out")]
    TooMany(usize),
}

/// Keys with the values that each is to have.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Grid {
    axes: Vec<(String, Vec<String>)>,
}

/// One combination of values.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Keys with their values, in the order of the axes.
    pub settings: Vec<(String, String)>,
}

/// What a key means that is no field of a profile.
const PROFILE: &str = "profile";
const MALLOC: &str = "malloc";

impl Grid {
    /// Adds an axis: `KEY=A,B,C`.
    pub fn add(&mut self, text: &str) -> Result<(), GridError> {
        let form = || GridError::Form(text.to_owned());
        let (key, values) = text.split_once('=').ok_or_else(form)?;
        if key.is_empty() || values.split(',').any(str::is_empty) {
            return Err(form());
        }
        if self.axes.iter().any(|axis| axis.0 == key) {
            return Err(GridError::Twice { key: "the grid".to_owned(), value: key.to_owned() });
        }
        let mut axis: Vec<String> = Vec::new();
        for value in values.split(',') {
            check(key, value)?;
            if axis.iter().any(|known| known == value) {
                return Err(GridError::Twice { key: key.to_owned(), value: value.to_owned() });
            }
            axis.push(value.to_owned());
        }
        self.axes.push((key.to_owned(), axis));
        let cells = self.axes.iter().fold(1, |product: usize, axis| product.saturating_mul(axis.1.len()));
        if cells > CELLS_MAX {
            return Err(GridError::TooMany(cells));
        }
        Ok(())
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().map(|axis| axis.0.as_str())
    }

    /// Its keys with their values.
    pub fn axes(&self) -> &[(String, Vec<String>)] {
        &self.axes
    }

    /// Every combination, the last key changing first. Without an axis there is one, of nothing.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell::default()];
        for (key, values) in &self.axes {
            let with = |cell: &Cell, value: &String| {
                let mut settings = cell.settings.clone();
                settings.push((key.clone(), value.clone()));
                Cell { settings }
            };
            cells = cells.iter().flat_map(|cell| values.iter().map(move |value| with(cell, value))).collect();
        }
        cells
    }
}

/// Refuses what no profile could take for a value: a misprint, which is no cell.
fn check(key: &str, value: &str) -> Result<(), GridError> {
    match key {
        PROFILE => Profile::named(value).map(|_| ()).map_err(GridError::Value),
        MALLOC => match AllocatorName::parse(value) {
            Ok(_) => Ok(()),
            Err(NameError::Unknown(value)) => Err(GridError::Malloc {
                value,
                known: AllocatorName::ALL.map(AllocatorName::name).join(", "),
            }),
        },
        _ => Profile::default().set(key, value).map_err(|error| match error {
            ProfileError::UnknownKey { .. } => GridError::Key(error),
            other => GridError::Value(other),
        }),
    }
}

impl Cell {
    /// What the cell runs under, where all else is as `base` wants it.
    pub fn setup(&self, trace: &Trace, base: &Overrides) -> Result<Setup, SetupError> {
        Setup::resolve(trace, &self.over(base))
    }

    /// What is wanted of it, where all else is as `base` wants it.
    pub fn over(&self, base: &Overrides) -> Overrides {
        let mut overrides = base.clone();
        for (key, value) in &self.settings {
            match key.as_str() {
                PROFILE => overrides.profile = Some(value.clone()),
                MALLOC => overrides.malloc = AllocatorName::parse(value).ok(),
                _ => overrides.settings.push((key.clone(), value.clone())),
            }
        }
        overrides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(axes: &[&str]) -> Result<Grid, GridError> {
        let mut grid = Grid::default();
        axes.iter().try_for_each(|axis| grid.add(axis))?;
        Ok(grid)
    }

    #[test]
    fn every_combination_is_a_cell_and_an_empty_grid_is_one() {
        let cells = grid(&["arena_size=256K,1M", "malloc=pymalloc,mimalloc"]).unwrap().cells();
        let shown: Vec<Vec<&str>> =
            cells.iter().map(|c| c.settings.iter().map(|s| s.1.as_str()).collect()).collect();
        assert_eq!(
            shown,
            [["256K", "pymalloc"], ["256K", "mimalloc"], ["1M", "pymalloc"], ["1M", "mimalloc"]]
        );
        assert_eq!(Grid::default().cells(), [Cell::default()]);
    }

    #[test]
    fn misprints_are_refused_with_what_there_is() {
        let error = |axis| grid(&[axis]).unwrap_err().to_string();
        assert!(error("arena=1M").contains("a profile has no field `arena`; it has pointer_bytes, "));
        assert!(error("arena=1M").ends_with("; an axis is also profile or malloc"));
        assert!(error("arena_size=big").contains("`big` is no value for arena_size"));
        assert!(error("profile=3.14").contains("no profile is called `3.14`"));
        assert!(error("malloc=jemalloc").contains("malloc takes no `jemalloc`; it takes default, debug, "));
        for form in ["arena_size", "=1", "arena_size=", "arena_size=1M,,2M"] {
            assert_eq!(error(form), GridError::Form(form.to_owned()).to_string());
        }
        assert_eq!(error("pool_size=4K,4K"), "pool_size has 4K twice; give each once");
        assert_eq!(
            grid(&["pool_size=4K", "pool_size=8K"]).unwrap_err().to_string(),
            "the grid has pool_size twice; give each once"
        );
        let many: Vec<String> = (1..=101).map(|n| n.to_string()).collect();
        let many = many.join(",");
        let axes = [format!("arena_limit={many}"), format!("initial_arena_objects={many}")];
        assert_eq!(grid(&[&axes[0], &axes[1]]), Err(GridError::TooMany(10_201)));
    }
}
