//! Puzzles: what a program is to reach, held against the machine at each change.
//!
//! A puzzle is read by `trace_io::lesson`. [`check()`] runs what it gives and somebody's program after it, and says of each goal
//! whether it holds, in words why not, and how the score compares with the best that is known. Nothing here draws.

mod check;
mod sound;

pub use check::{Attempt, GoalView, PuzzleView, Standing, check};
pub use sound::faults;
