//! What can be said of a machine without changing it: `CPython`'s statistics text, where blocks landed,
//! occupancy in numbers and a digest.

mod digest;
mod mimalloc_stats;
mod placement;

pub use crate::occupancy::{ClassUse, Occupancy, PoolState, debugmallocstats, grouped};
pub use digest::{Fnv64, digest};
pub use mimalloc_stats::{malloc_stats, mimalloc_stats};
pub use placement::{Placement, PlacementWriter};
