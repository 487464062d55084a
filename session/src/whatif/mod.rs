//! What would have been: the same operations under other settings, or without some of them, and what no layout could go below.
//!
//! A [`Grid`] has cells, each of which is a [`run`] of one [`Tape`] by itself, so that a front can do them at the same time; a
//! [`Tape`] is a trace as it is or an edited one. All of it takes the program to do the same whatever its allocator does.

mod asked;
mod edit;
mod fewest;
mod grid;
mod ideal;
mod ledger;
mod matching;
mod pareto;
mod run;
mod tape;

pub use edit::{Deed, Edit, EditError, Edited, Matched, edit};
pub use fewest::{Chosen, Fewest, FewestError, without};
pub use grid::{CELLS_MAX, Cell, Grid, GridError};
pub use ideal::{Arenas, Blame, Ideal, IdealError, ideal};
pub use ledger::{Ledger, Losses};
pub use matching::{Birth, Key, MatchError, Want, site_label};
pub use pareto::{Front, Gain};
pub use run::{Allocator, AtBoth, CellError, Figures, run};
pub use tape::{STRETCHES, Tape, Turn};
