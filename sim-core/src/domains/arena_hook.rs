//! `PyObjectArenaAllocator`: where arenas come from, and what a scenario can put in its place.
//!
//! One hook stands for the whole process. Setting it copies a struct and moves nothing: an arena goes back
//! to the hook in force when it is released, which need not be the one that made it.

use std::fmt;

/// The hook in force: a context with `alloc` and `free`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ArenaAllocator {
    /// `_PyMem_ArenaAlloc` and `_PyMem_ArenaFree`: mmap and munmap. The context is NULL.
    #[default]
    Default,
    /// One of the scenario's own, with its number as context.
    User(u32),
}

impl ArenaAllocator {
    /// The names of `alloc` and `free`.
    pub fn function_names(self) -> [&'static str; 2] {
        match self {
            Self::Default => ["_PyMem_ArenaAlloc", "_PyMem_ArenaFree"],
            Self::User(_) => ["user arena alloc", "user arena free"],
        }
    }
}

/// The two functions of the hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ArenaFunction {
    /// `alloc(ctx, size)`.
    Alloc,
    /// `free(ctx, ptr, size)`.
    Free,
}

/// What a scenario can install with `PyObject_SetArenaAllocator`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ArenaChoice {
    /// What `CPython` begins with.
    Default,
    /// Counts, and passes on to the hook it found.
    Count,
    /// Returns NULL for each n-th alloc, and passes on the others.
    FailEvery(u64),
    /// Returns NULL from the n-th alloc on, and passes on those before.
    FailFrom(u64),
    /// Hands out `bytes` of its own, one piece after the other; free does nothing.
    Bump {
        /// Bytes of room.
        bytes: u64,
    },
    /// The C library's malloc and free.
    Malloc,
}

impl fmt::Display for ArenaChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Count => f.write_str("count"),
            Self::FailEvery(n) => write!(f, "fail:{n}"),
            Self::FailFrom(n) => write!(f, "fail_from:{n}"),
            Self::Bump { bytes } => write!(f, "bump:{bytes}"),
            Self::Malloc => f.write_str("malloc"),
        }
    }
}

impl std::str::FromStr for ArenaChoice {
    /// What it takes.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const TAKES: &str = "write default, malloc, count, fail:N, fail_from:N or bump:BYTES";
        let number = |n: &str| n.parse().map_err(|_| TAKES);
        Ok(match text.split_once(':') {
            None if text == "default" => Self::Default,
            None if text == "malloc" => Self::Malloc,
            None if text == "count" => Self::Count,
            Some(("fail", n)) => Self::FailEvery(number(n)?),
            Some(("fail_from", n)) => Self::FailFrom(number(n)?),
            Some(("bump", n)) => Self::Bump { bytes: number(n)? },
            _ => return Err(TAKES),
        })
    }
}

/// A hook of the scenario's own with what it remembers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ArenaHookState {
    /// What it does.
    pub kind: ArenaChoice,
    /// The hook it found when it was installed.
    pub inner: ArenaAllocator,
    /// Calls of alloc and free so far, for whatever size.
    pub calls: [u64; 2],
    /// Those among them whose size is that of an arena.
    pub arena_calls: [u64; 2],
    /// Bytes of its own room that are gone, for [`ArenaChoice::Bump`].
    pub used_bytes: u64,
}

impl ArenaHookState {
    /// A hook that has not been called.
    pub fn new(kind: ArenaChoice, inner: ArenaAllocator) -> Self {
        Self { kind, inner, calls: [0; 2], arena_calls: [0; 2], used_bytes: 0 }
    }

    /// Counts a call; true when this alloc is to fail.
    pub fn note(&mut self, function: ArenaFunction, is_arena: bool) -> bool {
        self.calls[function as usize] += 1;
        self.arena_calls[function as usize] += u64::from(is_arena);
        let allocs = self.calls[0];
        function == ArenaFunction::Alloc
            && match self.kind {
                ArenaChoice::FailEvery(n) => n > 0 && allocs.is_multiple_of(n),
                ArenaChoice::FailFrom(n) => allocs >= n,
                _ => false,
            }
    }
}

/// What became of memory that a hook was asked to free without having made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForeignFree {
    /// munmap takes any mapping: the memory is gone, and its maker is not told.
    Unmapped,
    /// munmap refused a pointer that no page begins at; `CPython` ignores that, and the memory leaks.
    Refused,
    /// The hook's free does nothing: the memory leaks.
    Leaked,
    /// The C library's free ended the process.
    Aborted,
}
