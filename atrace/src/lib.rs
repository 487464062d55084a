//! `.atrace`: operations in columns, block by block, small and seekable. `docs/atrace.md` has every byte.
//!
//! A file is written in one pass and read in one pass or from the middle. Blocks carry checksums; a file cut anywhere
//! is good up to its last whole block.
//!
//! The crate has two floors. The lower one knows bytes alone and nothing of ours: [`Stream`] writes the file around
//! [`Block`]s of operations, tables and facts, [`BlockFile`] finds them again; [`CallWriter`] makes blocks of calls as they happen, which is
//! what a recorder takes into a process it watches. The upper one, the feature `tape`, reads and writes the traces of `sim-core`: [`AtraceWriter`],
//! [`AtraceReader`] for bytes as they come, [`AtraceFile`] for a file that is read from the middle.

#![forbid(unsafe_code)]

mod calls;
mod codec;
mod columns;
mod container;
mod error;
mod file;
pub mod head;
mod index;
mod meta;
mod prediction;
mod state;
mod stream;
pub mod tables;
#[cfg(feature = "tape")]
mod tape;
pub mod varint;
mod version;

pub use calls::{CallWriter, Caller};
pub use codec::Codec;
pub use columns::{Block, BlockReader, BlockWriter, IdRule, SIZE_COLUMNS};
pub use container::{
    BLOCK_BYTES_MAX, BlockKind, COUNT_MAX, FILE_HEADER_BYTES, FileHeader, FileProfile, HEADER_BYTES, Header,
    MAGIC, SYNC,
};
pub use error::{AtraceError, Remedy};
pub use file::BlockFile;
pub use index::{Entry, Totals};
pub use meta::Meta;
pub use prediction::{Call, PlacedBlock, Prediction};
pub use state::{Owner, Slot, State};
pub use stream::Stream;
#[cfg(feature = "tape")]
pub use tape::{AtraceFile, AtraceReader, AtraceWriter, BLOCK_OPERATIONS, TIGHT};
pub use version::{MAJOR, MINOR, MINOR_PLAIN};
