//! Build profiles: every constant of pymalloc, by `CPython` version or changed at run time.
//!
//! Source: `Include/internal/pycore_obmalloc.h`. In `CPython` these are compile-time macros; here any
//! of them can be changed, and what `CPython` could not be built with is refused with the reason.

mod mimalloc;
mod presets;
mod python;

pub use mimalloc::{MimallocBuild, MimallocVersion};
pub use presets::{DEFAULT_PRESET, PRESETS};
pub use python::{ForPython, VersionDoubt};

use std::fmt;

use thiserror::Error;

/// Where the simulated arena allocator places arenas; the variants of the golden files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ArenaPlacement {
    /// Bases are multiples of the arena size, so no pool is lost.
    #[default]
    Aligned,
    /// Bases are 4096 modulo 16384 and arenas adjacent, as plain `mmap` gives three times in four.
    Page,
    /// The base of arena `n` is `4096 * (n mod 4)` modulo 16384.
    Mixed,
}

impl fmt::Display for ArenaPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aligned => "aligned",
            Self::Page => "page",
            Self::Mixed => "mixed",
        })
    }
}

/// How `address_in_range` decides that a pointer lies in an arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ownership {
    /// The radix tree over addresses (3.10 and later, `WITH_PYMALLOC_RADIX_TREE`).
    Radix,
    /// `arenaindex` read from the pool header the pointer would belong to (before 3.10).
    ArenaIndex,
}

/// What tracemalloc keeps its traces in; by the first version that did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TracemallocVersion {
    /// In the entries of its hash tables.
    V3_8,
    /// In a record for each, which comes from RAW's table.
    V3_9,
    /// The same, and `get_tracemalloc_memory()` is 0 while it does not trace: before, the empty tables count.
    #[default]
    V3_14,
}

impl TracemallocVersion {
    const ALL: [Self; 3] = [Self::V3_8, Self::V3_9, Self::V3_14];
}

impl fmt::Display for TracemallocVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_8 => "3.8",
            Self::V3_9 => "3.9",
            Self::V3_14 => "3.14",
        })
    }
}

/// All constants of one build of pymalloc, with the simulated arena allocator's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of a build, and none follows from another")]
pub struct Profile {
    /// The preset this profile came from.
    pub name: String,
    /// `SIZEOF_VOID_P`: 8 or 4.
    pub pointer_bytes: u32,
    /// `ALIGNMENT`: the step between size classes, in bytes.
    pub alignment: u64,
    /// `SMALL_REQUEST_THRESHOLD`: the largest request served from a pool, in bytes, inclusive.
    pub small_request_threshold: u64,
    /// `ARENA_SIZE` in bytes.
    pub arena_size: u64,
    /// `POOL_SIZE` in bytes.
    pub pool_size: u64,
    /// Significant bits of an address in the radix tree: 64, or 48 in 3.10 (`IGNORE_BITS` 16).
    pub address_bits: u32,
    /// Radix tree or pool header.
    pub ownership: Ownership,
    /// Since 3.9 a wholly free arena that is last in `usable_arenas` is kept.
    pub keep_last_arena: bool,
    /// `INITIAL_ARENA_OBJECTS`: arena records in the first array.
    pub initial_arena_objects: u32,
    /// Placement of simulated arenas.
    pub arena_placement: ArenaPlacement,
    /// The arena allocator returns NULL while this many arenas are live.
    pub arena_limit: Option<u64>,
    /// Requests to the arena allocator that return NULL, counted from 1.
    pub arena_fail_at: Vec<u64>,
    /// Requests for bookkeeping memory (arena records, radix nodes) that return NULL, counted from 1.
    pub bookkeeping_fail_at: Vec<u64>,
    /// Whether interpreters can have a pymalloc state of their own (3.12 and later).
    pub interpreter_states: bool,
    /// Whether a flag says that debug hooks are on (3.13 and later); before, OBJ's malloc has to be the debug hook itself, so
    /// that any table above it hides pymalloc from the statistics.
    pub debug_flag: bool,
    /// Whether fatal errors begin with the function that found them (3.9 and later).
    pub fatal_functions: bool,
    /// Where tracemalloc keeps what it knows.
    pub tracemalloc: TracemallocVersion,
    /// The mimalloc that the build bundles.
    pub mimalloc: MimallocBuild,
}

/// What can be done about a [`ProfileError`] that each program words in its own way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProfileRemedy<'a> {
    /// Take one of these profiles, whose names are separated by commas.
    OneOf(&'a str),
    /// Run on mimalloc, or take a build that has nothing else.
    Mimalloc,
}

/// A field or a combination of fields that no `CPython` could be built with.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProfileError {
    /// No preset of that name.
    #[error("no profile is called `{name}`")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// No field of that name.
    #[error("a profile has no field `{key}`; it has {known}")]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// All fields.
        known: String,
    },
    /// A value that is not of the field's kind.
    #[error("`{value}` is no value for {key}: {expected}")]
    BadValue {
        /// The field.
        key: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// `PYTHONMALLOC` of another build. `CPython` ends with this at start-up.
    #[error(
        "Fatal Python error: preconfig_init_allocator: PYTHONMALLOC: unknown allocator (`{name}`; {profile} knows {known})"
    )]
    UnknownAllocator {
        /// What was asked for.
        name: &'static str,
        /// The profile.
        profile: String,
        /// What it takes.
        known: String,
    },
    /// A trace with operations of mimalloc, and a run without.
    #[error(
        "{place}: `{operation}` is an operation of mimalloc, which this run ({profile}, PYTHONMALLOC={malloc}) does not use"
    )]
    NeedsMimalloc {
        /// The first of them: its line or its number.
        place: String,
        /// As ptrace writes it.
        operation: &'static str,
        /// The profile.
        profile: String,
        /// `PYTHONMALLOC` of the run.
        malloc: &'static str,
    },
    /// A trace that begins with the picture of a process, and a run that cannot.
    #[error("the trace begins with the picture of a process: {problem}")]
    Picture {
        /// Why not.
        problem: String,
    },
    /// The fields do not fit together.
    #[error("{what}: {why}")]
    Impossible {
        /// The field with its value.
        what: String,
        /// Why no build has it.
        why: String,
    },
}

impl ProfileError {
    /// What can be done about it, where the text does not say that already.
    pub fn remedy(&self) -> Option<ProfileRemedy<'_>> {
        match self {
            Self::UnknownProfile { known, .. } => Some(ProfileRemedy::OneOf(known)),
            Self::NeedsMimalloc { .. } => Some(ProfileRemedy::Mimalloc),
            _ => None,
        }
    }
}

/// The fields that can be changed by name, with what each takes.
pub const KEYS: &[(&str, &str)] = &ALL_KEYS;

const ALL_KEYS: [(&str, &str); PYMALLOC_KEYS.len() + mimalloc::KEYS.len()] = {
    let mut all = [("", ""); PYMALLOC_KEYS.len() + mimalloc::KEYS.len()];
    let mut at = 0;
    while at < all.len() {
        let own = PYMALLOC_KEYS.len();
        all[at] = if at < own { PYMALLOC_KEYS[at] } else { mimalloc::KEYS[at - own] };
        at += 1;
    }
    all
};

const PYMALLOC_KEYS: [(&str, &str); 17] = [
    ("pointer_bytes", "8 or 4"),
    ("alignment", "a power of two, in bytes"),
    ("small_request_threshold", "bytes, a multiple of alignment"),
    ("arena_size", "a power of two, in bytes (K, M, G suffixes)"),
    ("pool_size", "a power of two, in bytes (K, M, G suffixes)"),
    ("address_bits", "64 or 48; 32 with pointer_bytes=4"),
    ("ownership", "radix or arenaindex"),
    ("keep_last_arena", "true or false"),
    ("initial_arena_objects", "a number from 1"),
    ("arena_placement", "aligned, page or mixed"),
    ("arena_limit", "a number of arenas, or none"),
    ("arena_fail_at", "request numbers from 1, separated by commas, or none"),
    ("bookkeeping_fail_at", "request numbers from 1, separated by commas, or none"),
    ("interpreter_states", "true or false: whether interpreters can have a pymalloc state of their own"),
    ("debug_flag", "true or false: whether a flag tells that debug hooks are on, as since 3.13"),
    ("fatal_functions", "true or false: whether fatal errors name their function, as since 3.9"),
    ("tracemalloc", "3.8, 3.9 or 3.14: the first version whose tracemalloc the build has"),
];

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: DEFAULT_PRESET.to_owned(),
            pointer_bytes: 8,
            alignment: 16,
            small_request_threshold: 512,
            arena_size: 1 << 20,
            pool_size: 1 << 14,
            address_bits: 64,
            ownership: Ownership::Radix,
            keep_last_arena: true,
            initial_arena_objects: 16,
            arena_placement: ArenaPlacement::Aligned,
            arena_limit: None,
            arena_fail_at: Vec::new(),
            bookkeeping_fail_at: Vec::new(),
            interpreter_states: true,
            debug_flag: true,
            fatal_functions: true,
            tracemalloc: TracemallocVersion::V3_14,
            mimalloc: MimallocBuild::default(),
        }
    }
}

impl Profile {
    /// The preset that is named, or the default.
    pub fn chosen(name: Option<&str>) -> Result<Self, ProfileError> {
        name.map_or_else(|| Ok(Self::default()), Self::named)
    }

    /// The same with fields changed, one after the other; validated.
    pub fn changed<'a>(
        mut self,
        settings: impl IntoIterator<Item = &'a (String, String)>,
    ) -> Result<Self, ProfileError> {
        for (key, value) in settings {
            self.set(key, value)?;
        }
        self.validate()?;
        Ok(self)
    }

    /// Changes one field by name. Check the result with [`Self::validate`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ProfileError> {
        let expected = KEYS.iter().find(|k| k.0 == key).ok_or_else(|| ProfileError::UnknownKey {
            key: key.to_owned(),
            known: KEYS.iter().map(|k| k.0).collect::<Vec<_>>().join(", "),
        })?;
        let bad = || ProfileError::BadValue {
            key: key.to_owned(),
            value: value.to_owned(),
            expected: expected.1.to_owned(),
        };
        let bytes = || parse_bytes(value).ok_or_else(bad);
        let small = || bytes().and_then(|n| u32::try_from(n).map_err(|_| bad()));
        match key {
            "pointer_bytes" => self.pointer_bytes = small()?,
            "alignment" => self.alignment = bytes()?,
            "small_request_threshold" => self.small_request_threshold = bytes()?,
            "arena_size" => self.arena_size = bytes()?,
            "pool_size" => self.pool_size = bytes()?,
            "address_bits" => self.address_bits = small()?,
            "initial_arena_objects" => self.initial_arena_objects = small()?,
            "ownership" => {
                self.ownership = match value {
                    "radix" => Ownership::Radix,
                    "arenaindex" => Ownership::ArenaIndex,
                    _ => return Err(bad()),
                };
            }
            "interpreter_states" => self.interpreter_states = value.parse().map_err(|_| bad())?,
            "debug_flag" => self.debug_flag = value.parse().map_err(|_| bad())?,
            "fatal_functions" => self.fatal_functions = value.parse().map_err(|_| bad())?,
            "tracemalloc" => {
                let of = |v: &TracemallocVersion| v.to_string() == value;
                self.tracemalloc = TracemallocVersion::ALL.into_iter().find(of).ok_or_else(bad)?;
            }
            "keep_last_arena" => self.keep_last_arena = value.parse().map_err(|_| bad())?,
            "arena_placement" => {
                self.arena_placement = match value {
                    "aligned" => ArenaPlacement::Aligned,
                    "page" => ArenaPlacement::Page,
                    "mixed" => ArenaPlacement::Mixed,
                    _ => return Err(bad()),
                };
            }
            "arena_limit" => {
                self.arena_limit = if value == "none" { None } else { Some(bytes()?) };
            }
            "arena_fail_at" => self.arena_fail_at = parse_list(value).ok_or_else(bad)?,
            "bookkeeping_fail_at" => self.bookkeeping_fail_at = parse_list(value).ok_or_else(bad)?,
            _ => self.mimalloc.set(key, value).ok_or_else(bad)?,
        }
        Ok(())
    }

    /// The value of one field, as [`Self::set`] would take it.
    pub fn get(&self, key: &str) -> Option<String> {
        let list = |l: &[u64]| {
            if l.is_empty() {
                "none".to_owned()
            } else {
                l.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
            }
        };
        Some(match key {
            "pointer_bytes" => self.pointer_bytes.to_string(),
            "alignment" => self.alignment.to_string(),
            "small_request_threshold" => self.small_request_threshold.to_string(),
            "arena_size" => self.arena_size.to_string(),
            "pool_size" => self.pool_size.to_string(),
            "address_bits" => self.address_bits.to_string(),
            "ownership" => match self.ownership {
                Ownership::Radix => "radix".to_owned(),
                Ownership::ArenaIndex => "arenaindex".to_owned(),
            },
            "interpreter_states" => self.interpreter_states.to_string(),
            "debug_flag" => self.debug_flag.to_string(),
            "fatal_functions" => self.fatal_functions.to_string(),
            "tracemalloc" => self.tracemalloc.to_string(),
            "keep_last_arena" => self.keep_last_arena.to_string(),
            "initial_arena_objects" => self.initial_arena_objects.to_string(),
            "arena_placement" => self.arena_placement.to_string(),
            "arena_limit" => self.arena_limit.map_or_else(|| "none".to_owned(), |n| n.to_string()),
            "arena_fail_at" => list(&self.arena_fail_at),
            "bookkeeping_fail_at" => list(&self.bookkeeping_fail_at),
            _ => return self.mimalloc.get(key),
        })
    }

    /// Refuses what no `CPython` could be built with.
    pub fn validate(&self) -> Result<(), ProfileError> {
        let no = |what: String, why: &str| Err(ProfileError::Impossible { what, why: why.to_owned() });
        if self.pointer_bytes != 8 && self.pointer_bytes != 4 {
            return no(format!("pointer_bytes={}", self.pointer_bytes), "pointers have 8 or 4 bytes");
        }
        for (key, value) in
            [("alignment", self.alignment), ("arena_size", self.arena_size), ("pool_size", self.pool_size)]
        {
            if !value.is_power_of_two() {
                return no(
                    format!("{key}={value}"),
                    "it must be a power of two, CPython defines it as 1 << bits and masks addresses with it",
                );
            }
        }
        if self.alignment < u64::from(self.pointer_bytes) {
            return no(
                format!("alignment={}", self.alignment),
                "a free block must hold the pointer to the next one",
            );
        }
        if self.small_request_threshold == 0 || !self.small_request_threshold.is_multiple_of(self.alignment) {
            return no(
                format!("small_request_threshold={}", self.small_request_threshold),
                "it must be a positive multiple of alignment, the last size class ends there",
            );
        }
        if self.pool_size > 1 << 24 || self.arena_size > 1 << 30 {
            return no(
                format!("pool_size={} arena_size={}", self.pool_size, self.arena_size),
                "pools go up to 16 MiB and arenas up to 1 GiB, offsets inside them are 32-bit in CPython",
            );
        }
        if self.pool_size / self.alignment > 1 << 16 {
            return no(
                format!("pool_size={}", self.pool_size),
                "a pool holds at most 65536 alignment units here; raise alignment or lower pool_size",
            );
        }
        if self.pool_size < self.pool_overhead() + 2 * self.small_request_threshold {
            return no(
                format!("pool_size={}", self.pool_size),
                "every pool must hold its header and at least two blocks of the largest class, \
                 a pool is never full and empty at once",
            );
        }
        if self.arena_size < 4 * self.pool_size {
            return no(
                format!("arena_size={}", self.arena_size),
                "an arena must hold at least four pools, it loses one when it is misaligned",
            );
        }
        if self.small_request_threshold / self.alignment > 0xFFFE {
            return no(
                format!("small_request_threshold={}", self.small_request_threshold),
                "szidx 0xFFFF means a pool without a class",
            );
        }
        let address_bits_fit = match self.pointer_bytes {
            4 => self.address_bits == 32,
            _ => self.address_bits == 64 || self.address_bits == 48,
        };
        if !address_bits_fit {
            return no(
                format!("address_bits={}", self.address_bits),
                "64-bit builds use 64 or 48 bits of an address, 32-bit builds 32",
            );
        }
        if self.ownership == Ownership::ArenaIndex && self.pool_size != 4096 {
            return no(
                format!("pool_size={} ownership=arenaindex", self.pool_size),
                "without the radix tree pools must be one system page of 4096 bytes, \
                 address_in_range reads the header of whatever page a pointer lies in",
            );
        }
        if self.initial_arena_objects == 0 || self.initial_arena_objects > 1 << 20 {
            return no(
                format!("initial_arena_objects={}", self.initial_arena_objects),
                "the first array has from 1 to 1048576 records",
            );
        }
        if self.mimalloc.free_threaded && self.mimalloc_version().is_none() {
            return no(
                format!("free_threaded=true pointer_bytes={}", self.pointer_bytes),
                "a free-threaded build needs mimalloc, which is modelled with 64 bits only",
            );
        }
        if self.pointer_bytes == 4 && self.arena_size > 1 << 24 {
            return no(
                format!("arena_size={}", self.arena_size),
                "a 32-bit address space holds too few arenas of over 16 MiB",
            );
        }
        Ok(())
    }

    /// Refuses builds in which interpreters cannot have a pymalloc state of their own.
    pub fn check_interpreters(&self) -> Result<(), ProfileError> {
        if !self.interpreter_states {
            return Err(ProfileError::Impossible {
                what: "interpreter_new".to_owned(),
                why: format!(
                    "interpreters have pymalloc states since 3.12, and this is {}; take {DEFAULT_PRESET}",
                    self.name
                ),
            });
        }
        Ok(())
    }

    /// The first pool-aligned address of an arena.
    pub fn first_pool_addr(&self, base: crate::Addr) -> crate::Addr {
        crate::Addr(base.0.next_multiple_of(self.pool_size))
    }

    /// The mimalloc that can run in this build. It is modelled with 64 bits only.
    pub fn mimalloc_version(&self) -> Option<MimallocVersion> {
        self.mimalloc.version.filter(|_| self.pointer_bytes == 8)
    }

    /// `PY_SSIZE_T_MAX`: the entry points return NULL for anything larger.
    pub fn py_ssize_t_max(&self) -> u64 {
        if self.pointer_bytes == 8 { i64::MAX as u64 } else { i32::MAX as u64 }
    }

    /// `POOL_OVERHEAD`: `sizeof(struct pool_header)` rounded up to the alignment, in bytes.
    pub fn pool_overhead(&self) -> u64 {
        let header = if self.pointer_bytes == 8 { 48_u64 } else { 32 };
        header.next_multiple_of(self.alignment)
    }

    /// `sizeof(struct arena_object)` in bytes.
    pub fn arena_object_bytes(&self) -> u64 {
        if self.pointer_bytes == 8 { 48 } else { 28 }
    }

    /// `NB_SMALL_SIZE_CLASSES`.
    pub fn nb_small_size_classes(&self) -> u16 {
        (self.small_request_threshold / self.alignment) as u16
    }

    /// `INDEX2SIZE`: bytes of a block of this class.
    pub fn block_size(&self, class: crate::SizeClass) -> u64 {
        (u64::from(class.0) + 1) * self.alignment
    }

    /// `NUMBLOCKS`: blocks that a pool of this class holds.
    pub fn num_blocks(&self, class: crate::SizeClass) -> u64 {
        (self.pool_size - self.pool_overhead()) / self.block_size(class)
    }

    /// Bytes at the end of a pool of this class that no block covers.
    pub fn quantization_bytes(&self, class: crate::SizeClass) -> u64 {
        (self.pool_size - self.pool_overhead()) % self.block_size(class)
    }

    /// `MAX_POOLS_IN_ARENA`.
    pub fn max_pools_in_arena(&self) -> u32 {
        (self.arena_size / self.pool_size) as u32
    }

    /// Radix tree bits `(top, mid, bottom)`; 32-bit builds have the bottom level alone.
    pub fn radix_bits(&self) -> (u32, u32, u32) {
        let arena_bits = self.arena_size.trailing_zeros();
        let bits = self.address_bits - arena_bits;
        if self.pointer_bytes == 4 {
            (0, 0, bits)
        } else {
            let interior = bits.div_ceil(3);
            (interior, interior, bits - 2 * interior)
        }
    }
}

/// Bytes that a person typed: `1048576`, `64K`, `500M`, `50 MiB`, `2G`, `1.5 GiB`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let number =
        text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | '_')).unwrap_or(text.len());
    let (number, unit) = text.split_at(number);
    let number = number.replace([',', '_'], "");
    let unit = unit.trim().to_ascii_lowercase();
    let power = ["", "k", "m", "g", "t"].iter().position(|letter| {
        let rest = unit.strip_prefix(letter);
        let words: &[&str] =
            if letter.is_empty() { &["", "b", "byte", "bytes"] } else { &["", "b", "i", "ib"] };
        rest.is_some_and(|rest| words.contains(&rest))
    })?;
    let factor = 1_u64 << (10 * power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let part = number.parse::<f64>().ok().filter(|part| part.is_finite() && *part >= 0.0 && power > 0)?;
    let bytes = part * factor as f64;
    (bytes < 9.0e18).then_some(bytes as u64)
}

fn parse_list(text: &str) -> Option<Vec<u64>> {
    if text == "none" {
        return Some(Vec::new());
    }
    let mut list: Vec<u64> = text.split(',').map(|n| n.trim().parse().ok()).collect::<Option<_>>()?;
    list.sort_unstable();
    list.dedup();
    (list.first() != Some(&0)).then_some(list)
}
