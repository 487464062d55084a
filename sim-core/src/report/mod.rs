//! What can be said of a machine without changing it: `CPython`'s statistics text, where blocks landed,
//! occupancy in numbers and a digest.

mod digest;
mod placement;
mod summary;

pub use crate::occupancy::{ClassUse, Occupancy, PoolState, debugmallocstats, grouped};
pub use digest::{Fnv64, digest};
pub use placement::{Placement, PlacementWriter};
pub use summary::Summary;
