//! The three domains themselves.

/// An allocation domain, `PyMemAllocatorDomain`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Domain {
    /// `PYMEM_DOMAIN_RAW`.
    Raw,
    /// `PYMEM_DOMAIN_MEM`.
    Mem,
    /// `PYMEM_DOMAIN_OBJ`.
    Obj,
}

impl Domain {
    /// All three, in `CPython`'s order.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Mem, Self::Obj];

    /// `RAW`, `MEM` or `OBJ`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Mem => "MEM",
            Self::Obj => "OBJ",
        }
    }

    /// The prefix of the entry points of this domain.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Raw => "PyMem_Raw",
            Self::Mem => "PyMem_",
            Self::Obj => "PyObject_",
        }
    }

    /// The domain's letter in traces and under debug hooks.
    pub fn letter(self) -> char {
        match self {
            Self::Raw => 'r',
            Self::Mem => 'm',
            Self::Obj => 'o',
        }
    }
}
