//! `.atrace`: operations in columns, block by block, small and seekable. `docs/atrace.md` has every byte.
//!
//! A file is written in one pass and read in one pass or, with [`AtraceFile`], from the middle. Blocks carry checksums;
//! a file cut anywhere is good up to its last whole block.

mod action;
mod codec;
mod columns;
mod container;
mod decode;
mod file;
mod index;
mod meta;
mod prediction;
mod reader;
mod state;
mod tables;
mod varint;
mod writer;

pub use container::{BlockKind, FileProfile};
pub use file::AtraceFile;
pub use index::Entry;

pub(crate) use container::MAGIC;
pub(crate) use reader::AtraceReader;
pub(crate) use writer::{AtraceWriter, BLOCK_OPERATIONS, TIGHT};

/// A writer whose blocks have this many operations. Shorter ones are larger in all; a program that is
/// killed loses less. An archive's columns are tight where they take between so many bytes an operation.
pub fn writer_in_blocks<'a>(
    out: impl std::io::Write + 'a,
    profile: FileProfile,
    operations: usize,
    tight: std::ops::Range<f64>,
) -> Box<dyn crate::Writer + 'a> {
    Box::new(AtraceWriter::new(out, profile, operations, tight))
}
