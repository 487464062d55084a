//! The C library with addresses and contents, for runs whose layers look at bytes.
//!
//! Addresses are labels, as in the plain model: they rise and are never used again, so that a stale pointer
//! can be told from a live one. What glibc writes into freed memory is not modelled except that the first
//! two words are no longer the block's.

use std::collections::{BTreeMap, BTreeSet};

use crate::addr::Addr;
use crate::arena::RawId;
use crate::bytes::Bytes;
use crate::raw::RawModel;

/// Live and freed blocks by address.
#[derive(Clone, Debug)]
pub struct Libc {
    next: Addr,
    mapped_to: u64,
    live: BTreeMap<Addr, RawId>,
    freed: BTreeSet<Addr>,
}

/// What glibc ends a process with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LibcAbort {
    /// `free` of what is no block.
    FreeInvalidPointer,
    /// `free` of a freed block.
    DoubleFree,
    /// `realloc` of what is no block.
    ReallocInvalidPointer,
}

impl LibcAbort {
    /// The line on standard error.
    pub fn message(self) -> &'static str {
        match self {
            Self::FreeInvalidPointer => "free(): invalid pointer",
            Self::DoubleFree => "free(): double free detected in tcache 2",
            Self::ReallocInvalidPointer => "realloc(): invalid pointer",
        }
    }
}

/// What stands in the first two words of a freed block: the allocator's own, never the program's.
const FREED_WORD: u64 = 0x1bad_1bad_1bad_1bad;
const GROW_BYTES: u64 = 1 << 20;

impl Libc {
    pub(super) fn new(pointer_bytes: u32) -> Self {
        let base = if pointer_bytes == 4 { 0x0900_0000 } else { 0x5555_5600_0000 };
        Self { next: Addr(base), mapped_to: base, live: BTreeMap::new(), freed: BTreeSet::new() }
    }

    /// Live and freed blocks it knows.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.live.len(), self.freed.len())
    }

    /// The block at an address.
    pub fn get(&self, addr: Addr) -> Option<RawId> {
        self.live.get(&addr).copied()
    }

    /// The live block that an address lies in: a pointer behind a debug header finds its block.
    pub fn around(&self, raw: &RawModel, addr: Addr) -> Option<RawId> {
        let (&start, &id) = self.live.range(..=addr).next_back()?;
        (addr.bytes_from(start) < raw.get(id).nbytes.max(1)).then_some(id)
    }

    /// `None` when there is no memory.
    pub(super) fn malloc(
        &mut self,
        raw: &mut RawModel,
        bytes: &mut Bytes,
        nbytes: u64,
    ) -> Option<(Addr, RawId)> {
        let id = raw.malloc(nbytes)?;
        let addr = self.place(bytes, nbytes);
        self.live.insert(addr, id);
        Some((addr, id))
    }

    /// Mapped room for a block, at an address that no block had before.
    fn place(&mut self, bytes: &mut Bytes, nbytes: u64) -> Addr {
        // glibc keeps a word in front of each block and aligns blocks to 16.
        let addr = self.next.offset(16);
        self.next = Addr(addr.offset(nbytes.max(24)).0.next_multiple_of(16));
        let end = self.next.0 + 64;
        if self.mapped_to < end {
            let grow = (end - self.mapped_to).next_multiple_of(GROW_BYTES);
            bytes.map(Addr(self.mapped_to), grow);
            self.mapped_to += grow;
        }
        addr
    }

    pub(super) fn free(&mut self, bytes: &mut Bytes, addr: Addr) -> Result<RawId, LibcAbort> {
        let Some(id) = self.live.get(&addr).copied() else {
            let again = self.freed.contains(&addr);
            return Err(if again { LibcAbort::DoubleFree } else { LibcAbort::FreeInvalidPointer });
        };
        self.retire(bytes, addr);
        Ok(id)
    }

    /// Marks a place as freed; its first two words become the C library's.
    fn retire(&mut self, bytes: &mut Bytes, addr: Addr) {
        self.live.remove(&addr);
        self.freed.insert(addr);
        for at in [addr, addr.offset(8)] {
            // The block was mapped when it was given out.
            let _ = bytes.set_word(at, 8, FREED_WORD);
        }
    }

    /// Stays when the block shrinks or still fits in its 16-byte steps, else moves. NULL when there is no memory, and
    /// the block stays.
    pub(super) fn realloc(
        &mut self,
        raw: &mut RawModel,
        bytes: &mut Bytes,
        addr: Addr,
        nbytes: u64,
    ) -> Result<Addr, LibcAbort> {
        let id = self.get(addr).ok_or(LibcAbort::ReallocInvalidPointer)?;
        let Some(before) = raw.realloc(id, nbytes) else { return Ok(Addr(0)) };
        let before = before.nbytes;
        let room = before.max(24).next_multiple_of(16);
        if nbytes <= room {
            return Ok(addr);
        }
        let new = self.place(bytes, nbytes);
        // Both places are mapped, so the copy cannot fail.
        let _ = bytes.copy(addr, new, before.min(nbytes));
        self.retire(bytes, addr);
        self.live.insert(new, id);
        Ok(new)
    }
}
