//! Where the copy comes from: processes of this system.
//!
//! [`list`] says which there are, [`maps`] reads what a process has mapped and what of it is in memory, [`hold`] keeps a process from running,
//! [`process`] copies it.

pub mod hold;
pub mod list;
pub mod maps;
pub mod process;

/// From here on nobody else can read the files that this process makes: pictures are personal data.
pub fn keep_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::S_IRWXG | nix::sys::stat::Mode::S_IRWXO);
}

pub use list::{Process, processes};
pub use process::{Copy, SourceError, copy};
