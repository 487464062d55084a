//! The bytes of simulated memory, kept only when a layer looks at them.
//!
//! Replay without debug hooks never needs contents. With them, pads and fill bytes are checked, a scenario
//! may overwrite what it likes, and reading where nothing is mapped must end as it does in a process.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::addr::Addr;

const PAGE_BYTES: u64 = 4096;

/// An address that no mapping covers: what a process gets SIGSEGV for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unmapped(pub Addr);

/// A page, where in it a stretch begins, and its bytes.
type Stretch = (u64, usize, usize);

/// Sparse memory. Mapped bytes that were never written read as 0. Copies share pages until one of them writes.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    pages: BTreeMap<u64, Arc<[u8; PAGE_BYTES as usize]>>,
    /// Start and end of each mapping.
    mapped: BTreeMap<u64, u64>,
}

impl Bytes {
    /// Maps `len` bytes from `base` on.
    pub fn map(&mut self, base: Addr, len: u64) {
        self.mapped.insert(base.0, base.0 + len);
    }

    /// Takes a mapping away with its contents.
    pub fn unmap(&mut self, base: Addr) {
        let Some(end) = self.mapped.remove(&base.0) else { return };
        for page in base.0 / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            let (from, to) = (page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
            if from >= base.0 && to <= end {
                self.pages.remove(&page);
            }
        }
    }

    /// Whether a byte may be read and written.
    pub fn is_mapped(&self, addr: Addr) -> bool {
        self.mapped.range(..=addr.0).next_back().is_some_and(|(_, &end)| addr.0 < end)
    }

    /// One byte.
    pub fn get(&self, addr: Addr) -> Result<u8, Unmapped> {
        if !self.is_mapped(addr) {
            return Err(Unmapped(addr));
        }
        let page = self.pages.get(&(addr.0 / PAGE_BYTES));
        Ok(page.map_or(0, |p| p[(addr.0 % PAGE_BYTES) as usize]))
    }

    /// Writes one byte.
    pub fn set(&mut self, addr: Addr, byte: u8) -> Result<(), Unmapped> {
        if !self.is_mapped(addr) {
            return Err(Unmapped(addr));
        }
        let page =
            self.pages.entry(addr.0 / PAGE_BYTES).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
        Arc::make_mut(page)[(addr.0 % PAGE_BYTES) as usize] = byte;
        Ok(())
    }

    /// The stretches of `len` bytes from `addr` on that lie in one page each, up to the first unmapped byte.
    fn stretches(&self, addr: Addr, len: u64) -> (Vec<Stretch>, Result<(), Unmapped>) {
        let (mut at, end) = (addr.0, addr.0.saturating_add(len));
        let mut all = Vec::new();
        while at < end {
            let mapping = self.mapped.range(..=at).next_back().map_or(0, |m| *m.1);
            if mapping <= at {
                return (all, Err(Unmapped(Addr(at))));
            }
            let page = at / PAGE_BYTES;
            let to = end.min(mapping).min((page + 1) * PAGE_BYTES);
            all.push((page, (at % PAGE_BYTES) as usize, (to - at) as usize));
            at = to;
        }
        (all, Ok(()))
    }

    /// `len` bytes from `addr` on.
    pub fn read(&self, addr: Addr, len: u64) -> Result<Vec<u8>, Unmapped> {
        let (stretches, end) = self.stretches(addr, len);
        end?;
        let mut out = Vec::with_capacity(len as usize);
        for (page, from, len) in stretches {
            match self.pages.get(&page) {
                Some(page) => out.extend_from_slice(&page[from..from + len]),
                None => out.resize(out.len() + len, 0),
            }
        }
        Ok(out)
    }

    fn change(&mut self, addr: Addr, len: u64, mut change: impl FnMut(&mut [u8])) -> Result<(), Unmapped> {
        let (stretches, end) = self.stretches(addr, len);
        for (page, from, len) in stretches {
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
            change(&mut Arc::make_mut(page)[from..from + len]);
        }
        end
    }

    /// Writes bytes from `addr` on; those before an unmapped one are written.
    pub fn write(&mut self, addr: Addr, bytes: &[u8]) -> Result<(), Unmapped> {
        let mut rest = bytes;
        self.change(addr, bytes.len() as u64, |part| {
            let (now, later) = rest.split_at(part.len());
            part.copy_from_slice(now);
            rest = later;
        })
    }

    /// Writes one byte `len` times.
    pub fn fill(&mut self, addr: Addr, len: u64, byte: u8) -> Result<(), Unmapped> {
        self.change(addr, len, |part| part.fill(byte))
    }

    /// Copies `len` bytes between places that do not overlap.
    pub fn copy(&mut self, from: Addr, to: Addr, len: u64) -> Result<(), Unmapped> {
        let bytes = self.read(from, len)?;
        self.write(to, &bytes)
    }

    /// A word of `size` bytes, least significant first.
    pub fn word(&self, addr: Addr, size: u32) -> Result<u64, Unmapped> {
        let bytes = self.read(addr, u64::from(size))?;
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    /// Writes such a word.
    pub fn set_word(&mut self, addr: Addr, size: u32, word: u64) -> Result<(), Unmapped> {
        self.write(addr, &word.to_le_bytes()[..size as usize])
    }

    /// Bytes that the contents take.
    pub fn state_bytes(&self) -> u64 {
        self.pages.len() as u64 * (PAGE_BYTES + 16)
    }
}
