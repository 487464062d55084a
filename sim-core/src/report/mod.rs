//! What can be said of a machine without changing it: `CPython`'s statistics text, where blocks landed,
//! occupancy in numbers and a digest.

mod debugmallocstats;
mod digest;
mod occupancy;
mod placement;

pub use debugmallocstats::{debugmallocstats, grouped};
pub use digest::{Fnv64, digest};
pub use occupancy::{ClassUse, Occupancy, PoolState};
pub use placement::{Placement, PlacementWriter};
