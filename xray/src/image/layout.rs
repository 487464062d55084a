//! Where a version of `CPython` keeps what, in bytes. Checked against each version's own headers and processes.

/// A version of `CPython` 3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    /// The 11 of 3.11.
    pub minor: u8,
}

/// The versions whose layout is known.
pub const KNOWN: std::ops::RangeInclusive<u8> = 8..=15;

/// Bytes of an `arena_object`.
pub(super) const ARENA_OBJECT: u64 = 48;
/// Bytes of a pool's header.
pub(super) const POOL_HEADER: u64 = 48;
/// What blocks are multiples of.
pub(super) const ALIGNMENT: u64 = 16;
/// Size classes.
pub(super) const CLASSES: u32 = 32;

/// Members of a `PyTypeObject`.
pub(super) mod type_object {
    pub(crate) const NAME: u64 = 24;
    pub(crate) const BASICSIZE: u64 = 32;
    pub(crate) const ITEMSIZE: u64 = 40;
    pub(crate) const FLAGS: u64 = 168;
    pub(crate) const WEAKLISTOFFSET: u64 = 208;
    pub(crate) const MEMBERS: u64 = 240;
    pub(crate) const BASE: u64 = 256;
    pub(crate) const DICT: u64 = 264;
    pub(crate) const BASES: u64 = 336;
    pub(crate) const MRO: u64 = 344;
    pub(crate) const CACHE: u64 = 352;
    pub(crate) const SUBCLASSES: u64 = 360;
    pub(crate) const DICTOFFSET: u64 = 288;

    pub(crate) const INLINE_VALUES: u64 = 1 << 2;
    pub(crate) const MANAGED_WEAKREF: u64 = 1 << 3;
    pub(crate) const MANAGED_DICT: u64 = 1 << 4;
    pub(crate) const HEAPTYPE: u64 = 1 << 9;
    pub(crate) const READY: u64 = 1 << 12;
    pub(crate) const HAVE_GC: u64 = 1 << 14;
    pub(crate) const LONG: u64 = 1 << 24;
    pub(crate) const LIST: u64 = 1 << 25;
    pub(crate) const TUPLE: u64 = 1 << 26;
    pub(crate) const BYTES: u64 = 1 << 27;
    pub(crate) const UNICODE: u64 = 1 << 28;
    pub(crate) const DICT_SUBCLASS: u64 = 1 << 29;
    pub(crate) const TYPE_SUBCLASS: u64 = 1 << 31;
}

impl Version {
    /// Of a name such as `libpython3.11.so.1.0` or `python3.11`.
    pub fn of_file(name: &str) -> Option<Self> {
        let rest = &name[name.find("python3.")? + "python3.".len()..];
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        digits.parse().ok().map(|minor| Self { minor })
    }

    /// Of the tag that extension modules have: `_json.cpython-311-x86_64-linux-gnu.so`.
    pub fn of_extension(name: &str) -> Option<Self> {
        let rest = &name[name.find("cpython-3")? + "cpython-3".len()..];
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        digits.parse().ok().map(|minor| Self { minor })
    }

    /// Whether its layout is known.
    pub fn is_known(self) -> bool {
        KNOWN.contains(&self.minor)
    }

    /// Bytes of an arena, and of a pool.
    pub fn geometry(self) -> Geometry {
        if self.minor < 10 {
            Geometry { arena: 256 << 10, pool: 4 << 10 }
        } else {
            Geometry { arena: 1 << 20, pool: 16 << 10 }
        }
    }

    /// Words before an object in its block, in bytes, by its type's flags.
    pub(super) fn before_object(self, flags: u64) -> u64 {
        use type_object::{HAVE_GC, MANAGED_DICT, MANAGED_WEAKREF};
        let managed = match self.minor {
            ..=10 => 0,
            11 => MANAGED_DICT,
            _ => MANAGED_DICT | MANAGED_WEAKREF,
        };
        16 * u64::from(flags & HAVE_GC != 0) + 16 * u64::from(flags & managed != 0)
    }

    /// Whether objects of a type have their attributes behind them.
    pub(super) fn has_inline_values(self, flags: u64) -> bool {
        self.minor >= 13 && flags & type_object::INLINE_VALUES != 0
    }

    /// Bytes of a string's header: of ASCII text, of other text behind it.
    pub(super) fn str_headers(self) -> (u64, u64) {
        if self.minor < 12 { (48, 72) } else { (40, 56) }
    }

    /// Where a heap type keeps its `ht_qualname`.
    pub(super) fn ht_qualname(self) -> u64 {
        match self.minor {
            9 => 856,
            8 | 10 | 11 => 864,
            12..=14 => 872,
            _ => 880,
        }
    }

    /// Where a heap type keeps its `ht_cached_keys`.
    pub(super) fn ht_cached_keys(self) -> u64 {
        self.ht_qualname() + 8
    }

    /// Where a tuple's items begin.
    pub(super) fn tuple_items(self) -> u64 {
        if self.minor < 14 { 24 } else { 32 }
    }

    /// Whether a reference count that is in use says so.
    #[inline]
    pub(super) fn is_counted(self, count: u64) -> bool {
        if self.minor < 14 {
            count > 0 && count < 1 << 33
        } else {
            count as u32 > 0 && (count >> 32) as u16 == 0 && count >> 48 < 64
        }
    }
}

/// Whether a file's name is that of a build without the global lock: `python3.13t`, `_json.cpython-313t-x86_64-linux-gnu.so`.
pub(super) fn is_free_threaded(name: &str) -> bool {
    let marked = |mark: &str| {
        let rest = name.find(mark).map_or("", |at| &name[at + mark.len()..]);
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.strip_prefix('t').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    marked("python3.") || marked("cpython-3")
}

/// Sizes of arenas and pools.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of an arena.
    pub arena: u64,
    /// Bytes of a pool.
    pub pool: u64,
}

impl Geometry {
    /// Pools of an arena that begins at a pool's boundary.
    pub fn pools(self) -> u64 {
        self.arena / self.pool
    }

    /// Bytes of a block.
    pub fn block(class: u32) -> u64 {
        ALIGNMENT * (u64::from(class) + 1)
    }

    /// Blocks of a pool.
    pub fn blocks(self, class: u32) -> u64 {
        (self.pool - POOL_HEADER) / Self::block(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        let minor = |version: Option<Version>| version.map(|version| version.minor);
        assert_eq!(minor(Version::of_file("libpython3.11.so.1.0")), Some(11));
        assert_eq!(minor(Version::of_file("python3.8")), Some(8));
        assert_eq!(minor(Version::of_file("python3")), None);
        assert_eq!(minor(Version::of_file("python3.999999")), None);
        assert_eq!(minor(Version::of_extension("_json.cpython-313-x86_64-linux-gnu.so")), Some(13));
        assert_eq!(minor(Version::of_extension("_json.cpython-38-x86_64-linux-gnu.so")), Some(8));
        assert!(is_free_threaded("python3.13t") && is_free_threaded("libpython3.14t.so.1.0"));
        assert!(is_free_threaded("_json.cpython-313t-x86_64-linux-gnu.so"));
        assert!(!is_free_threaded("python3.13") && !is_free_threaded("libpython3.13.so.1.0"));
        assert!(!is_free_threaded("python3.13test") && !is_free_threaded("libc.so.6"));
    }
}
