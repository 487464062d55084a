//! Lessons: traces in RON, written by hand. `docs/lessons.md` shows the forms.
//!
//! The plain one is a list of operations with notes ([`parse()`], [`write()`]); scenarios are written so too. The second, [`Lesson`], is
//! what the course is made of: a program in pieces, with what is said, asked and shown in between. The third, [`Puzzle`], is a program to write,
//! with goals that the machine checks.

mod course;
mod form;
mod parse;
mod puzzle;
mod quiz;
pub mod text;
mod under;
mod write;

pub use course::{Answer, Ask, Lesson, Play, Say, Show, Source, Staged, Step, Variant};
pub use parse::parse;
pub use puzzle::{Goal, Puzzle, Score, Tried, Wrong};
pub use quiz::{Item, Quiz};
pub use under::{Holds, truth};
pub use write::write;

pub(crate) use form::{Form, form, utf8};
pub(crate) use parse::build;
pub(crate) use write::{write_footer, write_header, write_rows};
