//! The real pymalloc in this process, to compare with and to race against.
//!
//! A libpython that is never initialised is loaded, its allocator called directly, its arenas placed
//! where the simulation places them. Not part of the product: tests and the benchmark use it.
//!
//! This crate calls C; it is the only one outside the mmap backend that may. Each `unsafe` says why it holds.

#![expect(unsafe_code, reason = "it calls the real allocator through its C interface")]

mod arenas;
mod clock;
mod hooks;
pub mod interpreters;
pub mod measure;
pub mod memray;
mod pristine;
mod python;

pub use clock::WorkClock;
pub use python::{LoadError, RealPymalloc};

/// What a comparison needs, or `None` after saying that it does not run. With `CI` set it fails instead: a
/// comparison that silently did not happen would look like one that passed.
///
/// # Panics
/// With `CI` set, when nothing was found.
#[expect(clippy::print_stderr, reason = "the test's own report")]
pub fn or_not_run<T, E: std::fmt::Display>(found: Result<T, E>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "the comparison cannot run: {error}");
            eprintln!("NOT RUN: {error}");
            None
        }
    }
}
