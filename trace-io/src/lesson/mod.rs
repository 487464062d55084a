//! Lessons: traces in RON, written by hand, with notes. `docs/lessons.md` shows the form.

mod parse;
mod write;

pub use parse::parse;
pub use write::write;

pub(crate) use parse::Parser;
pub(crate) use write::{write_footer, write_header, write_rows};
