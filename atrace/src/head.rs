//! What the bits of a head mean, the byte that stands for each operation.

/// The bits of the kind.
pub const KIND: u8 = 7;
/// The kind `malloc`.
pub const MALLOC: u8 = 0;
/// `calloc`.
pub const CALLOC: u8 = 1;
/// `realloc`.
pub const REALLOC: u8 = 2;
/// `free`.
pub const FREE: u8 = 3;
/// `free` of a pointer that the program keeps.
pub const FREE_KEEP: u8 = 4;
/// What is no call.
pub const ACTION: u8 = 5;
/// Where the domain's two bits begin: RAW 0, MEM 1, OBJ 2, in tight columns also 3.
pub const DOMAIN_SHIFT: u8 = 3;
/// The bits of the domain.
pub const DOMAIN: u8 = 3 << DOMAIN_SHIFT;
/// The pointer passed is NULL, or the action is about no block.
pub const NULL: u8 = 1 << 5;
/// The size has more than 32 bits.
pub const WIDE: u8 = 1 << 6;
/// A realloc gives a new id.
pub const NEW_ID: u8 = 1 << 7;

/// A domain of calls, with its number in a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Domain {
    /// `PyMem_Raw*`.
    Raw = 0,
    /// `PyMem_*`.
    Mem = 1,
    /// `PyObject_*`.
    Obj = 2,
}

impl Domain {
    /// Its bits in a head.
    #[inline]
    pub fn bits(self) -> u8 {
        (self as u8) << DOMAIN_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in files for ever.
    #[test]
    fn domains_are_those_of_the_page() {
        assert_eq!([Domain::Raw, Domain::Mem, Domain::Obj].map(Domain::bits), [0, 8, 16]);
    }
}
