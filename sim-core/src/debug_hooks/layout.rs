//! Where everything lies in a block under debug hooks.

use super::{CLEANBYTE, DEADBYTE, FORBIDDENBYTE};
use crate::addr::Addr;
use crate::bytes::{Bytes, Unmapped};
use crate::domains::Domain;

/// The layout for one pointer size. All functions take the user's pointer `p`; the layer below knows the
/// block as `p - front()`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// `SST`: `sizeof(size_t)`.
    pub word_bytes: u32,
}

/// The pads of a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PadState {
    /// The bytes between the id and the data.
    pub leading: Vec<u8>,
    /// The bytes behind the data.
    pub trailing: Vec<u8>,
}

impl Layout {
    fn word(self) -> u64 {
        u64::from(self.word_bytes)
    }

    /// `p + bytes`, which wraps around where pointers have 32 bits.
    pub fn at(self, p: Addr, bytes: u64) -> Addr {
        let at = p.offset(bytes);
        if self.word_bytes == 4 { Addr(at.0 & u64::from(u32::MAX)) } else { at }
    }

    /// Bytes in front of the data.
    pub fn front(self) -> u64 {
        2 * self.word()
    }

    /// `PYMEM_DEBUG_EXTRA_BYTES`: what a block grows by.
    pub fn extra(self) -> u64 {
        3 * self.word()
    }

    /// The layer below's pointer of a user's pointer.
    pub fn inner(self, p: Addr) -> Addr {
        self.at(p, self.front().wrapping_neg())
    }

    /// Writes size, id and pads around a block of `nbytes`.
    pub fn decorate(self, bytes: &mut Bytes, p: Addr, nbytes: u64, domain: Domain) -> Result<(), Unmapped> {
        let q = self.inner(p);
        let size = nbytes.to_be_bytes();
        bytes.write(q, &size[8 - self.word_bytes as usize..])?;
        bytes.set(q.offset(self.word()), domain.letter() as u8)?;
        bytes.fill(q.offset(self.word() + 1), self.word() - 1, FORBIDDENBYTE)?;
        bytes.fill(self.at(p, nbytes), self.word(), FORBIDDENBYTE)
    }

    /// Fills fresh data.
    pub fn clean(self, bytes: &mut Bytes, at: Addr, len: u64) -> Result<(), Unmapped> {
        bytes.fill(at, len, CLEANBYTE)
    }

    /// Overwrites freed memory.
    pub fn kill(self, bytes: &mut Bytes, at: Addr, len: u64) -> Result<(), Unmapped> {
        bytes.fill(at, len, DEADBYTE)
    }

    /// The size that stands in front of the data.
    pub fn stored_size(self, bytes: &Bytes, p: Addr) -> Result<u64, Unmapped> {
        let raw = bytes.read(self.inner(p), self.word())?;
        Ok(raw.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    /// The API id that stands in front of the data.
    pub fn stored_id(self, bytes: &Bytes, p: Addr) -> Result<u8, Unmapped> {
        bytes.get(self.at(p, self.word().wrapping_neg()))
    }

    /// Both pads, the trailing one where the stored size puts it.
    pub fn pads(self, bytes: &Bytes, p: Addr) -> Result<PadState, Unmapped> {
        let size = self.stored_size(bytes, p)?;
        Ok(PadState {
            leading: bytes.read(self.at(p, (self.word() - 1).wrapping_neg()), self.word() - 1)?,
            trailing: bytes.read(self.at(p, size), self.word())?,
        })
    }
}
