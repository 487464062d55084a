//! `CPython`'s memory allocator as a deterministic machine.
//!
//! The machine ([`machine`]) is `CPython`'s allocator stack, the tape ([`tape`]) is a trace of operations,
//! and [`replay`] is the machine at one position of the tape. What each operation did is reported as
//! typed [`event`]s; [`report`] says what can be read off a state. There are no files, clocks, threads
//! and random numbers here, and the same trace and profile give the same addresses on every platform.
//!
//! ```
//! use sim_core::{Call, Domain, Machine, Op, Profile, TraceBuilder};
//!
//! let mut tape = TraceBuilder::new("one block");
//! tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id: 1, size: 24 } })?;
//! let trace = tape.finish();
//!
//! let mut machine = Machine::simulated(&Profile::default(), trace.slot_count())?;
//! let mut events = Vec::new();
//! machine.apply(trace.packed(0), &mut events);
//! assert!(sim_core::report::debugmallocstats(machine.pymalloc()).contains("    1     32           1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod addr;
pub mod arena;
pub mod breakpoint;
pub mod bytes;
pub mod debug_hooks;
pub mod domains;
pub mod event;
pub mod index;
pub mod machine;
pub mod mimalloc;
pub mod occupancy;
mod paged;
pub mod picture;
pub mod profile;
pub mod pymalloc;
pub mod raw;
pub mod replay;
pub mod report;
pub mod tape;
pub mod tracemalloc;

pub use addr::{Addr, ArenaId, SizeClass, Slot, Step};
pub use domains::{Domain, ObjectHeap};
pub use event::{Event, Observer};
pub use machine::Machine;
pub use profile::{ArenaPlacement, Ownership, Profile, ProfileError};
pub use replay::Replay;
pub use tape::{Call, Counts, Kind, Mark, Note, Op, TapeError, Trace, TraceBuilder};
