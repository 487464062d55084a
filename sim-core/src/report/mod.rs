//! What can be said of a machine without changing it: `CPython`'s statistics text, where blocks landed,
//! occupancy in numbers, a digest, and how far recorded addresses agree.

mod digest;
mod mimalloc_stats;
mod placement;
mod summary;
mod trust;

pub use crate::occupancy::{ClassUse, Occupancy, PoolState, debugmallocstats, grouped};
pub use digest::{Fnv64, digest};
pub use mimalloc_stats::{malloc_stats, mimalloc_stats};
pub use placement::{ArenaEvents, Placement, PlacementWriter};
pub use summary::Summary;
pub use trust::{Agreement, ArenaPoint, Divergence, Reason, Trust};
