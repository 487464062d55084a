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

const NAMES: [&str; FUNCTIONS] = [
    "pymalloc_free",
    "pymalloc_malloc",
    "pymalloc_calloc",
    "pymalloc_realloc",
    "free",
    "malloc",
    "realloc",
    "calloc",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "mmap",
    "munmap",
];

const ROLES: [Role; FUNCTIONS] = [
    Role::Death,
    Role::Birth(Kind::Malloc),
    Role::Birth(Kind::Calloc),
    Role::Birth(Kind::Realloc),
    Role::Death,
    Role::Birth(Kind::Malloc),
    Role::Birth(Kind::Realloc),
    Role::Birth(Kind::Calloc),
    Role::Birth(Kind::Malloc),
    Role::Birth(Kind::Malloc),
    Role::Birth(Kind::Malloc),
    Role::Birth(Kind::Malloc),
    Role::Birth(Kind::Malloc),
    Role::Map,
    Role::Unmap,
];

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
        NAMES[self.row()]
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
