//! `CPython`'s pymalloc over real arenas from the operating system.
//!
//! The algorithm is sim-core's, written once; here its pool headers and free-list links lie inside the
//! memory itself, at `CPython`'s offsets. Three ways to use it:
//!
//! - [`PymallocHeap`] owns its arenas and gives out pointers, as `PyObject_Malloc` does;
//! - [`LocalHeap`] and [`SyncHeap`] are allocators for Rust's collections ([`allocator_api2`]);
//! - [`MmapMachine`] replays a trace, to be compared with the simulation.
//!
//! ```
//! use allocator_api2::{boxed::Box, vec::Vec};
//! use mmap_arenas::LocalHeap;
//!
//! let heap = LocalHeap::new();
//! let mut squares: Vec<u64, &LocalHeap> = Vec::new_in(&heap);
//! squares.extend((0..10).map(|n| n * n));
//! let boxed = Box::new_in("in an arena", &heap);
//! assert_eq!((squares[9], *boxed), (81, "in an arena"));
//! assert_eq!(heap.counters().narenas_currently_allocated, 1);
//! ```
//!
//! All `unsafe` of the workspace that is not a call of the real `CPython` is in this crate.

#![expect(unsafe_code, reason = "headers and links lie in memory that the program's blocks lie in too")]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

mod allocator;
mod arenas;
mod coverage;
mod heap;
mod machine;
mod pointer;
mod source;

pub use allocator::{LocalHeap, SyncHeap};
pub use arenas::MmapArenas;
pub use heap::PymallocHeap;
pub use machine::{MmapMachine, Unsupported};
pub use pointer::{Header, MmapBlock, MmapPool, MmapPtr};
pub use source::ReserveError;
