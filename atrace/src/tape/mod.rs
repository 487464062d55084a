//! Traces of `sim-core` in and out: what is theirs becomes rows, tables and facts of the file, and the other way.
//!
//! It is a floor of its own because a recorder, which has no trace but calls as they happen, does without it.

mod action;
mod columns;
mod decode;
mod facts;
mod file;
mod picture;
mod reader;
mod slots;
mod writer;

pub use file::AtraceFile;
pub use reader::AtraceReader;
pub use writer::{AtraceWriter, BLOCK_OPERATIONS, TIGHT};
