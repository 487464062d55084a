//! What can be said of a machine without changing it: `CPython`'s statistics text, where blocks landed,
//! occupancy in numbers, a digest, and how far recorded addresses agree.

mod digest;
mod placement;
mod trust;

pub use crate::occupancy::{ClassUse, Occupancy, PoolState, debugmallocstats, grouped};
pub use digest::{Fnv64, digest};
pub use placement::{Placement, PlacementWriter};
pub use trust::{Agreement, ArenaPoint, Divergence, Trust};
