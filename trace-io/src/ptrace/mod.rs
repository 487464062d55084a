//! ptrace: plain text, one operation a line. `docs/ptrace.md` is the grammar.
//!
//! Reading and writing stand apart, with the words of `#!` lines between them.

mod directives;
mod parse;
mod write;

pub use directives::DIRECTIVES;
pub use write::{losses, write, write_header, write_op};

pub(crate) use directives::{LESSON, MARK};
pub(crate) use parse::Parser;
pub(crate) use write::{write_footer, write_op_in, write_rows};
