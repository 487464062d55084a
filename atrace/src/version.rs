//! Which files are written, and which are read.

/// The major version of the files that are written here, and of all that are read.
pub const MAJOR: u8 = 1;
/// The minor version of the files that are written here. This one and those before it are read: 0 has no tight columns.
pub const MINOR: u8 = 1;
