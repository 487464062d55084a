//! Every way a tape comes in or goes out.
//!
//! One door in: [`Loader`] reads a trace in any known format, plain or compressed with zstd, a slice at
//! a time, so that a window can draw in between; [`open`] reads it whole. [`ptrace`] and [`lesson`] are
//! the formats, [`workload`] makes traces from a seed. There are no files here: bytes come from a
//! [`std::io::Read`] and go to a [`std::io::Write`].

#![forbid(unsafe_code)]

mod error;
pub mod lesson;
mod loader;
pub mod ptrace;
pub mod workload;

pub use error::{Place, TraceError};
pub use loader::{Format, Loader, Progress, open};
