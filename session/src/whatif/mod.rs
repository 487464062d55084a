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
pub mod words;

pub use edit::{Deed, Edit, EditError, Edited, Editor, Matched, edit};
pub use fewest::{Chosen, Fewest, FewestError, leaving_out, without};
pub use grid::{CELLS_MAX, Cell, Grid, GridError};
pub use ideal::{Arenas, Blame, Ideal, IdealError, Packer, ideal};
pub use ledger::{Ledger, Losses};
pub use matching::{Birth, MatchError};
pub use pareto::{Front, Gain};
pub use run::{Allocator, AtBoth, CellError, Figures, Running, run};
pub use tape::{STRETCHES, Tape, Turn};
pub use words::{Row, Verdict};
