//! Where the copy comes from: processes of this system.
//!
//! [`list`] says which there are, [`maps`] reads what a process has mapped and what of it is in memory, [`hold`] keeps a process from running,
//! [`process`] copies it.

pub mod hold;
pub mod list;
pub mod maps;
pub mod process;

pub use list::{Process, processes};
pub use process::{Copy, SourceError, copy};
