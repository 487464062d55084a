//! The debug hooks of `PYTHONMALLOC=debug`: pads, fill bytes and their checks.
//!
//! A request for N bytes becomes one for N + 3 words below: size (big-endian), API id and pad in front, pad
//! behind. This module knows the layout, checks blocks and writes `CPython`'s report of a damaged one; calling
//! the layer below is the machine's work.

mod check;
mod layout;

pub use check::{Damage, check, dump};
pub use layout::{Layout, PadState};

/// `PYMEM_CLEANBYTE`: fresh memory.
pub const CLEANBYTE: u8 = 0xCD;
/// `PYMEM_DEADBYTE`: freed memory.
pub const DEADBYTE: u8 = 0xDD;
/// `PYMEM_FORBIDDENBYTE`: pads.
pub const FORBIDDENBYTE: u8 = 0xFD;
/// `ERASED_SIZE`: realloc erases this many bytes at each end of a block before it asks the layer below.
pub const ERASED_SIZE: u64 = 64;
