//! A picture made of copied memory. All of that is hostile: no value in it is believed before it is checked, and every walk ends.
//!
//! [`memory`] has the copy. [`tables`] finds pymalloc's arenas in it, [`pools`] reads them, [`chunks`] has the blocks outside them,
//! [`heaps`] finds those, [`layout`] says where a version keeps what, [`types`] finds the type objects, [`objects`] reads the few contents that names need,
//! and [`picture`] puts it together.
//! [`start`] reads the lists too, so that a machine can go on from there.
//! [`parts`] says where the resident memory is, [`family`] what several processes have in common, which `kin` finds.

pub mod chunks;
pub mod edges;
pub mod family;
mod frames;
pub mod groups;
pub mod heaps;
pub mod inventory;
mod kin;
pub mod layout;
pub mod memory;
pub mod nodes;
pub mod objects;
pub mod outside;
pub mod owners;
pub mod parts;
pub mod picture;
pub mod pools;
pub mod reach;
pub mod resident;
pub mod retained;
mod shape;
pub mod start;
pub mod steps;
pub mod summary;
pub mod tables;
pub mod types;
pub mod verdict;
pub mod ways;

pub use chunks::{Chunk, Chunks};
pub use heaps::{Heaps, Malloc};
pub use layout::Version;
pub use memory::{Kind, Mapping, Memory, Region, Thread};
pub use parts::Part;
pub use picture::{Picture, PictureError};
pub use resident::Resident;
