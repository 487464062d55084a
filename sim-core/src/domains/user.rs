//! Tables of a scenario's own: what a person might install with `PyMem_SetAllocator`.

use super::AllocatorTable;

/// What a user's table does. `inner` is the table it found when it was installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserAllocator {
    /// Passes everything on and counts.
    Count,
    /// Returns NULL for each n-th malloc, calloc and realloc, and passes on the others.
    FailEvery(u64),
    /// Hands out memory of its own from `bytes` of room, one piece after the other; free does nothing.
    Bump {
        /// Bytes of room.
        bytes: u64,
    },
}

/// A user's table with what it remembers.
#[derive(Clone, PartialEq, Eq, Debug)]
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
            UserAllocator::Count | UserAllocator::Bump { .. } => false,
        }
    }
}
