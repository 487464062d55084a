//! tracemalloc: who allocated the blocks that are live now, and what can be read off them.
//!
//! [`Tracemalloc`] is the state behind `_tracemalloc` and `PyTraceMalloc_Track` (`Python/tracemalloc.c`):
//! interned file names and tracebacks, a table of traces per domain, counters. [`Snapshot`] and what
//! follows is the analysis of `Lib/tracemalloc.py`. It is apart from the allocators because it knows none
//! of them: the hooks that call [`Tracemalloc::add`] and [`Tracemalloc::remove`] live with the domains.
//! Modelled after 3.14; the order of `_get_traces()`, the sizes of the tables and every text are exact.

mod engine;
mod filters;
mod fnmatch;
mod format;
mod frames;
mod snapshot;
mod statistics;
mod table;

pub use engine::{DEFAULT_DOMAIN, Failure, MAX_NFRAME, OutOfMemory, StartError, Trace, Tracemalloc};
pub use filters::{BaseFilter, DomainFilter, Filter};
pub use fnmatch::Pattern;
pub use format::{format_size, format_sum};
pub use frames::{FileId, Frame, Interner, Traceback, TracebackId};
pub use snapshot::{
    NamedFrame, NamedTraceback, Snapshot, SnapshotBuilder, SnapshotTrace, TakeSnapshotError, take_snapshot,
};
pub use statistics::{GroupByError, KeyType, Statistic, StatisticDiff, UnknownKeyType};
pub use table::{HashFunc, HashTable, Load};
