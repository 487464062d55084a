//! The real pymalloc in this process, to compare with and to race against.
//!
//! A libpython that is never initialised is loaded, its allocator called directly, its arenas placed
//! where the simulation places them. Not part of the product: tests and the benchmark use it.
//!
//! This crate calls C; it is the only one outside the mmap backend that may. Each `unsafe` says why it holds.

#![expect(unsafe_code, reason = "it calls the real allocator through its C interface")]

mod arenas;
pub mod interpreters;
mod pristine;
mod python;

pub use python::{LoadError, RealPymalloc};
