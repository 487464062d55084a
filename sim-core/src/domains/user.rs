//! Tables of a scenario's own: what a person might install with `PyMem_SetAllocator`.

use super::AllocatorTable;
use crate::addr::Addr;

/// What a user's table does. `inner` is the table it found when it was installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UserAllocator {
    /// Passes everything on and counts.
    Count,
    /// Returns NULL for each n-th malloc, calloc and realloc, and passes on the others.
    FailEvery(u64),
    /// Passes everything on and logs each call with its result.
    Log,
    /// Hands out memory of its own from `bytes` of room, one piece after the other; free does nothing.
    Bump {
        /// Bytes of room.
        bytes: u64,
    },
}

/// A user's table with what it remembers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UserState {
    /// What it does.
    pub kind: UserAllocator,
    /// The table it covers.
    pub inner: AllocatorTable,
    /// Calls of malloc, calloc, realloc and free so far.
    pub calls: [u64; 4],
    /// Bytes asked for so far.
    pub requested_bytes: u64,
    /// Bytes of its own room that are gone, for [`UserAllocator::Bump`].
    pub used_bytes: u64,
}

impl UserState {
    /// Counts a call; true when this one is to fail.
    pub fn note(&mut self, function: usize, nbytes: u64) -> bool {
        self.calls[function] += 1;
        self.requested_bytes = self.requested_bytes.saturating_add(nbytes);
        match self.kind {
            UserAllocator::FailEvery(n) => {
                n > 0 && function < 3 && (self.calls[0] + self.calls[1] + self.calls[2]).is_multiple_of(n)
            }
            UserAllocator::Count | UserAllocator::Log | UserAllocator::Bump { .. } => false,
        }
    }
}

/// A call that a logging table noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LoggedCall {
    /// Calls of this table before it.
    pub number: u64,
    /// The table, by its number among the scenario's own.
    pub table: u16,
    /// malloc, calloc, realloc and free, numbered from 0.
    pub function: u8,
    /// The pointer passed to realloc and free.
    pub ptr: Addr,
    /// Bytes asked for, 0 for free.
    pub nbytes: u64,
    /// What the table below returned; NULL for free.
    pub result: Addr,
}

impl std::fmt::Display for LoggedCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ptr, nbytes, result, .. } = self;
        let pointer = |p: Addr| if p == Addr(0) { "NULL".to_owned() } else { p.to_string() };
        match self.function {
            0 => write!(f, "malloc({nbytes}) = {}", pointer(*result)),
            1 => write!(f, "calloc(1, {nbytes}) = {}", pointer(*result)),
            2 => write!(f, "realloc({}, {nbytes}) = {}", pointer(*ptr), pointer(*result)),
            _ => write!(f, "free({})", pointer(*ptr)),
        }
    }
}
