//! Builds by name.

use super::{MimallocBuild, Ownership, Profile, ProfileError, TracemallocVersion};

/// The preset that runs where nothing else is asked for.
pub const DEFAULT_PRESET: &str = "cpython-3.14";

/// Names of all presets with a sentence on each: versions in their order, then other builds.
pub const PRESETS: &[(&str, &str)] = &[
    ("cpython-3.8", "64-bit 3.8: as 3.9, but every wholly free arena is released at once"),
    ("cpython-3.9", "64-bit 3.9: 256 KiB arenas, 4 KiB pools, no radix tree"),
    ("cpython-3.10", "64-bit 3.10: as 3.11 with a radix tree over 48 address bits"),
    ("cpython-3.11", "64-bit 3.11: 1 MiB arenas, 16 KiB pools, radix tree"),
    ("cpython-3.12", "64-bit 3.12: as 3.11; interpreters can have a pymalloc state of their own"),
    ("cpython-3.13", "64-bit 3.13: as 3.12, with mimalloc 2.1.2"),
    ("cpython-3.13t", "free-threaded 3.13: MEM and OBJ are mimalloc 2.1.2"),
    ("cpython-3.14", "64-bit 3.14: as 3.12, with mimalloc 2.5.2"),
    (
        "cpython-3.14.4t",
        "free-threaded 3.14.4 to 3.14.9: MEM and OBJ are mimalloc 2.1.2, thread 0 is not the main thread",
    ),
    ("cpython-3.14t", "free-threaded 3.14.10 and later: MEM and OBJ are mimalloc 2.5.2"),
    ("cpython-3.15", "64-bit 3.15: as 3.14; PYTHONMALLOC=mimalloc takes RAW too"),
    ("cpython-3.15t", "free-threaded 3.15: all three domains are mimalloc 2.5.2"),
    ("cpython-3.15-hugepages", "3.15 built --with-pymalloc-hugepages: 2 MiB arenas"),
    (
        "cpython-32bit",
        "32-bit: 8-byte alignment, 64 classes, 256 KiB arenas, 4 KiB pools, one-level radix tree",
    ),
    (
        "cpython-noradix",
        "64-bit 3.10 and later built with WITH_PYMALLOC_RADIX_TREE=0: 1 MiB arenas, 4 KiB pools",
    ),
];

impl Profile {
    /// The preset called `name`.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        let base = Self { name: name.to_owned(), ..Self::default() };
        let small = Self {
            arena_size: 256 << 10,
            pool_size: 4 << 10,
            ownership: Ownership::ArenaIndex,
            mimalloc: MimallocBuild::none(),
            ..base.clone()
        };
        let raw = MimallocBuild { raw: true, ..MimallocBuild::default() };
        let with_mimalloc = |mimalloc| Self { mimalloc, ..base.clone() };
        let v3_13 = |mimalloc| Self { tracemalloc: TracemallocVersion::V3_9, ..with_mimalloc(mimalloc) };
        let v3_12 = Self { debug_flag: false, ..v3_13(MimallocBuild::none()) };
        let v3_11 = Self { interpreter_states: false, ..v3_12.clone() };
        let v3_9 = Self {
            interpreter_states: false,
            debug_flag: false,
            tracemalloc: TracemallocVersion::V3_9,
            ..small.clone()
        };
        Ok(match name {
            "cpython-3.8" => Self {
                keep_last_arena: false,
                fatal_functions: false,
                tracemalloc: TracemallocVersion::V3_8,
                ..v3_9
            },
            "cpython-3.9" => v3_9,
            "cpython-3.10" => Self { address_bits: 48, ..v3_11 },
            "cpython-3.11" => v3_11,
            "cpython-3.12" => v3_12,
            "cpython-3.13" => v3_13(MimallocBuild::old()),
            "cpython-3.13t" => {
                v3_13(MimallocBuild { unfull_deferred: false, ..MimallocBuild::old().free_threaded() })
            }
            "cpython-3.14" => base,
            "cpython-3.14.4t" => {
                with_mimalloc(MimallocBuild { main_thread: false, ..MimallocBuild::old().free_threaded() })
            }
            "cpython-3.14t" => with_mimalloc(MimallocBuild::default().free_threaded()),
            "cpython-3.15" => with_mimalloc(raw),
            "cpython-3.15t" => with_mimalloc(raw.free_threaded()),
            "cpython-3.15-hugepages" => Self { arena_size: 2 << 20, ..with_mimalloc(raw) },
            "cpython-32bit" => Self {
                pointer_bytes: 4,
                alignment: 8,
                address_bits: 32,
                ownership: Ownership::Radix,
                ..small
            },
            "cpython-noradix" => Self { arena_size: 1 << 20, ..small },
            _ => {
                return Err(ProfileError::UnknownProfile {
                    name: name.to_owned(),
                    known: PRESETS.iter().map(|p| p.0).collect::<Vec<_>>().join(", "),
                });
            }
        })
    }
}
