//! The functions that memray records, in the numbering of formats 12 and 13.

use sim_core::Kind;

/// What a recorded function does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Gives memory.
    Birth(Kind),
    /// Takes it back.
    Death,
    /// `mmap`.
    Map,
    /// `munmap`.
    Unmap,
}

/// A recorded function, by its number in format 12.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Function(u8);

/// Numbers go from 1 to this.
pub(super) const FUNCTIONS: usize = 15;

const TABLE: [(&str, Role); FUNCTIONS] = [
    ("pymalloc_free", Role::Death),
    ("pymalloc_malloc", Role::Birth(Kind::Malloc)),
    ("pymalloc_calloc", Role::Birth(Kind::Calloc)),
    ("pymalloc_realloc", Role::Birth(Kind::Realloc)),
    ("free", Role::Death),
    ("malloc", Role::Birth(Kind::Malloc)),
    ("realloc", Role::Birth(Kind::Realloc)),
    ("calloc", Role::Birth(Kind::Calloc)),
    ("posix_memalign", Role::Birth(Kind::Malloc)),
    ("aligned_alloc", Role::Birth(Kind::Malloc)),
    ("memalign", Role::Birth(Kind::Malloc)),
    ("valloc", Role::Birth(Kind::Malloc)),
    ("pvalloc", Role::Birth(Kind::Malloc)),
    ("mmap", Role::Map),
    ("munmap", Role::Unmap),
];

/// The roles alone, close together: one is looked up for each record.
const ROLES: [Role; FUNCTIONS] = {
    let mut roles = [Role::Map; FUNCTIONS];
    let mut row = 0;
    while row < FUNCTIONS {
        roles[row] = TABLE[row].1;
        row += 1;
    }
    roles
};

/// The numbers of formats 10 and 11 in those of format 12.
const OLD_NUMBERS: [u8; FUNCTIONS] = [6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 2, 3, 4, 1];

impl Function {
    /// By its number in formats 12 and 13.
    #[inline]
    pub(super) fn new(number: u8) -> Option<Self> {
        (1..=FUNCTIONS as u8).contains(&number).then_some(Self(number))
    }

    /// By its number in formats 10 and 11.
    pub(super) fn old(number: u8) -> Option<Self> {
        let at = usize::from(number).checked_sub(1)?;
        OLD_NUMBERS.get(at).map(|&n| Self(n))
    }

    /// Its row in a table of [`FUNCTIONS`].
    #[inline]
    pub(super) fn row(self) -> usize {
        usize::from(self.0) - 1
    }

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (1..=FUNCTIONS as u8).map(Self)
    }

    pub(super) fn name(self) -> &'static str {
        TABLE[self.row()].0
    }

    #[inline]
    pub(super) fn role(self) -> Role {
        ROLES[self.row()]
    }

    /// Whether it is one of Python's domains, and not the C library's.
    #[inline]
    pub(super) fn is_python(self) -> bool {
        self.0 <= 4
    }
}
