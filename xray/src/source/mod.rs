//! Where the copy comes from: processes of this system, and cores.
//!
//! [`list`] says which processes there are, [`maps`] reads what one has mapped and what of it is in memory, `mapped` opens those files,
//! [`hold`] keeps it from running, [`process`] copies it, [`target`] is the one that is looked at, [`core`] reads cores. `error` says why it cannot be.

pub mod core;
mod error;
pub mod hold;
pub mod list;
mod mapped;
pub mod maps;
pub mod process;
pub mod target;

use std::fs;

pub use core::{Core, CoreError, Library, Same};
pub use error::SourceError;
pub use list::{Process, processes};
pub use process::{Copy, Progress, Watch, copy, copy_family};
pub use target::Target;

/// From here on nobody else can read the files that this process makes: pictures are personal data.
pub fn keep_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::S_IRWXG | nix::sys::stat::Mode::S_IRWXO);
}

/// So many zeros, which take no memory before they are touched; `None` where the system does not give them.
fn zeroed(len: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(len).ok()?;
    // Asked for and given back: what follows would end the program instead.
    Vec::<u8>::new().try_reserve_exact(len).ok()?;
    Some(vec![0; len])
}

/// Bytes that the system has to give.
fn free_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
