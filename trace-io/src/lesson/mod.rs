//! Lessons: traces in RON, written by hand. `docs/lessons.md` shows both forms.
//!
//! The plain one is a list of operations with notes ([`parse()`], [`write()`]); scenarios are written so too. The other, [`Lesson`], is
//! what the course is made of: a program in pieces, with what is said, asked and shown in between.

mod course;
mod form;
mod parse;
mod quiz;
pub mod text;
mod write;

pub use course::{Answer, Ask, Holds, Lesson, Play, Say, Show, Source, Staged, Step, Variant, truth};
pub use parse::parse;
pub use quiz::{Item, Quiz};
pub use write::write;

pub(crate) use form::{has_items, has_steps, utf8};
pub(crate) use parse::build;
pub(crate) use write::{write_footer, write_header, write_rows};
