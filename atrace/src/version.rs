//! Which files are written, and which are read.

/// The major version of the files that are written here, and of all that are read.
pub const MAJOR: u8 = 1;
/// The minor version of the files that are written here and begin with the picture of a process. This one and those before it are
/// read: 1 has no pictures, 0 no tight columns either.
pub const MINOR: u8 = 2;
/// That of all other files that are written here, so that older programs go on to read them.
pub const MINOR_PLAIN: u8 = 1;
