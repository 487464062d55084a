//! Every way a tape comes in or goes out.
//!
//! One door in: [`Loader`] reads a trace in any known format, plain or packed with zstd, LZ4 or gzip, a
//! slice at a time, so that a window can draw in between and a file of any size can pass through; [`open`]
//! reads it whole. One door out: [`writer`]. [`ptrace`], [`lesson`] and [`atrace`] are formats, memray's captures a
//! fourth, [`workload`] makes traces from a seed. There are
//! no files here: bytes come from a [`std::io::Read`] and go to a [`std::io::Write`].

#![forbid(unsafe_code)]

pub mod account;
pub mod atrace;
mod births;
mod block_reader;
pub mod care;
mod csv;
mod detect;
mod error;
mod format;
mod heaptrack;
mod input;
pub mod lesson;
mod lesson_reader;
mod lines;
mod loader;
mod loss;
mod memray;
mod mtrace;
mod mtrace_utils;
pub mod program;
pub mod ptrace;
mod reader;
mod refused;
mod remedy;
mod save;
mod stats_lines;
mod stats_reader;
pub mod stats_text;
mod utf16;
pub mod workload;
mod writer;

pub use crate::atrace::writer as atrace_writer;
pub use error::{LineColumn, TraceError};
pub use format::{Format, endings, readable};
pub use input::Packing;
pub use loader::{Loaded, Loader, Progress, open};
pub use loss::{Give, Loss};
pub use remedy::Remedy;
pub use save::writer;
pub use writer::Writer;
