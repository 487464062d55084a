//! Every way a tape comes in or goes out.
//!
//! One door in: [`Loader`] reads a trace in any known format, plain or packed with zstd, LZ4 or gzip, a
//! slice at a time, so that a window can draw in between and a file of any size can pass through; [`open`]
//! reads it whole. One door out: [`writer`]. [`ptrace`], [`lesson`] and [`atrace`] are formats, memray's captures a
//! fourth, [`workload`] makes traces from a seed. There are
//! no files here: bytes come from a [`std::io::Read`] and go to a [`std::io::Write`].

#![forbid(unsafe_code)]

pub mod atrace;
mod births;
pub mod care;
mod csv;
mod detect;
mod error;
mod heaptrack;
mod input;
pub mod lesson;
mod lines;
mod loader;
mod memray;
mod mtrace;
mod mtrace_utils;
pub mod ptrace;
mod reader;
mod refused;
pub mod stats_text;
pub mod workload;
mod writer;

pub use error::{Place, TraceError};
pub use input::Packing;
pub use loader::{Format, Loader, Progress, open};
pub use writer::{Writer, atrace_writer, writer};
