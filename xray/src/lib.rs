//! The memory of a `CPython` process that was not asked: what lies in its arenas, and which objects those are.
//!
//! [`image`] makes a picture of bytes that somebody has copied; it knows no process and no file. `source` copies them from a process
//! that runs, which it holds for as long as that takes. Nothing is run in that process and nothing is written into it.

pub mod image;

#[cfg(all(feature = "source", target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub mod source;

pub use image::Picture;
