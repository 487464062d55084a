//! Lessons: what the course says, shows and asks, held against the machine.
//!
//! A lesson is read by `trace_io::lesson`. [`compile()`] runs it once under a profile and works everything out: numbers in texts, places that are
//! pointed at, the keys of questions, and whether each claim is true ([`Script::faults`]). A [`Walk`] is a learner's way
//! through a script; the engine does what it says. Nothing here draws.

mod beyond;
mod compile;
mod glossary;
mod mi;
mod misconceptions;
mod moment;
mod outdated;
mod probe;
mod runner;
mod scope;
mod script;
mod spot;
mod tally;
mod terms;
mod walk;

pub use compile::compile;
pub(crate) use glossary::later_term;
pub use glossary::{Entry, GLOSSARY, at_home, definition};
pub use misconceptions::{MISCONCEPTIONS, Misconception, misconception};
pub(crate) use probe::Probe;
pub(crate) use runner::Runner;
pub use scope::{STATE_FUNCTIONS, STATE_NAMES};
pub use script::{Beat, Choice, Outcome, Point, Round, Script, Shown, Task, words};
pub use walk::{Answer, BeatView, Given, LessonView, TaskView, Verdict, Walk};
