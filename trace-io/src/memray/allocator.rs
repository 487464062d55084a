//! The functions that memray records, in the numbering of formats 12 and 13.

/// What a recorded function does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// These give memory.
    Malloc,
    Calloc,
    Realloc,
    /// Takes it back.
    Free,
    /// `mmap`.
    Map,
    /// `munmap`.
    Unmap,
}

/// A recorded function, by its number in format 12.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Function(u8);

/// Numbers go from 1 to this.
const FUNCTIONS: usize = 15;
/// They have four bits.
pub(super) const NUMBERS: usize = 1 << 4;

const TABLE: [(&str, Role); FUNCTIONS] = [
    ("pymalloc_free", Role::Free),
    ("pymalloc_malloc", Role::Malloc),
    ("pymalloc_calloc", Role::Calloc),
    ("pymalloc_realloc", Role::Realloc),
    ("free", Role::Free),
    ("malloc", Role::Malloc),
    ("realloc", Role::Realloc),
    ("calloc", Role::Calloc),
    ("posix_memalign", Role::Malloc),
    ("aligned_alloc", Role::Malloc),
    ("memalign", Role::Malloc),
    ("valloc", Role::Malloc),
    ("pvalloc", Role::Malloc),
    ("mmap", Role::Map),
    ("munmap", Role::Unmap),
];

/// The roles alone by number, close together: one is looked up for each record.
const ROLES: [Role; NUMBERS] = {
    let mut roles = [Role::Map; NUMBERS];
    let mut row = 0;
    while row < FUNCTIONS {
        roles[row + 1] = TABLE[row].1;
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

    /// By the lowest four bits.
    #[inline]
    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits as u8 & 15)
    }

    #[inline]
    pub(super) fn number(self) -> usize {
        usize::from(self.0 & 15)
    }

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (1..=FUNCTIONS as u8).map(Self)
    }

    pub(super) fn name(self) -> &'static str {
        TABLE[self.number() - 1].0
    }

    #[inline]
    pub(super) fn role(self) -> Role {
        ROLES[self.number()]
    }

    /// Whether it gives memory at a multiple of what it is asked for: `posix_memalign` to `pvalloc`.
    #[inline]
    pub(super) fn aligns(self) -> bool {
        (9..=13).contains(&self.0)
    }

    /// Whether it is one of Python's domains, and not the C library's.
    #[inline]
    pub(super) fn is_python(self) -> bool {
        self.0 <= 4
    }
}
