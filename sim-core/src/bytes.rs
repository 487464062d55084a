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
///
/// Whole pages that were filled are kept as a range and its byte: a block of a terabyte is cleared at once.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    pages: BTreeMap<u64, Arc<[u8; PAGE_BYTES as usize]>>,
    /// First page, the one after the last, and the byte that those of them have which are not in `pages`.
    filled: BTreeMap<u64, (u64, u8)>,
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
        self.fill_pages(base.0.div_ceil(PAGE_BYTES), end / PAGE_BYTES, 0);
    }

    /// Gives the pages from `first` to before `end` one byte throughout.
    fn fill_pages(&mut self, first: u64, end: u64, byte: u8) {
        if first >= end {
            return;
        }
        while let Some((&page, _)) = self.pages.range(first..end).next() {
            self.pages.remove(&page);
        }
        while let Some((&from, &(to, old))) = self.filled.range(..end).next_back().filter(|f| f.1.0 > first) {
            self.filled.remove(&from);
            if to > end {
                self.filled.insert(end, (to, old));
            }
            if from < first {
                self.filled.insert(from, (first, old));
            }
        }
        if byte != 0 {
            self.filled.insert(first, (end, byte));
        }
    }

    /// The byte that a page which is not in `pages` has throughout, and the page up to which that holds.
    fn filling(&self, page: u64) -> (u8, u64) {
        match self.filled.range(..=page).next_back() {
            Some((_, &(end, byte))) if page < end => (byte, end),
            _ => (0, self.filled.range(page..).next().map_or(u64::MAX, |f| *f.0)),
        }
    }

    fn page_mut(&mut self, page: u64) -> &mut [u8; PAGE_BYTES as usize] {
        let (byte, _) = self.filling(page);
        Arc::make_mut(self.pages.entry(page).or_insert_with(|| Arc::new([byte; PAGE_BYTES as usize])))
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
        let page = addr.0 / PAGE_BYTES;
        Ok(match self.pages.get(&page) {
            Some(bytes) => bytes[(addr.0 % PAGE_BYTES) as usize],
            None => self.filling(page).0,
        })
    }

    /// Writes one byte.
    pub fn set(&mut self, addr: Addr, byte: u8) -> Result<(), Unmapped> {
        if !self.is_mapped(addr) {
            return Err(Unmapped(addr));
        }
        self.page_mut(addr.0 / PAGE_BYTES)[(addr.0 % PAGE_BYTES) as usize] = byte;
        Ok(())
    }

    /// Where the first byte from `addr` on lies that is not mapped, `end` at most.
    fn mapped_until(&self, addr: Addr, end: u64) -> u64 {
        let mut at = addr.0;
        while at < end {
            match self.mapped.range(..=at).next_back() {
                Some((_, &mapping)) if mapping > at => at = mapping,
                _ => return at,
            }
        }
        end
    }

    /// The stretches from `from` to before `end` that lie in one page each.
    fn stretches(from: u64, end: u64) -> impl Iterator<Item = Stretch> {
        let mut at = from;
        std::iter::from_fn(move || {
            let to = end.min((at / PAGE_BYTES + 1).saturating_mul(PAGE_BYTES));
            let stretch = (at / PAGE_BYTES, (at % PAGE_BYTES) as usize, to.checked_sub(at)? as usize);
            at = to;
            (stretch.2 > 0).then_some(stretch)
        })
    }

    /// `len` bytes from `addr` on.
    pub fn read(&self, addr: Addr, len: u64) -> Result<Vec<u8>, Unmapped> {
        let end = self.readable(addr, len)?;
        let mut out = Vec::with_capacity(len as usize);
        for (page, from, len) in Self::stretches(addr.0, end) {
            match self.pages.get(&page) {
                Some(page) => out.extend_from_slice(&page[from..from + len]),
                None => out.resize(out.len() + len, self.filling(page).0),
            }
        }
        Ok(out)
    }

    /// The end of `len` bytes from `addr` on, if all are mapped.
    fn readable(&self, addr: Addr, len: u64) -> Result<u64, Unmapped> {
        let end = addr.0.saturating_add(len);
        let mapped = self.mapped_until(addr, end);
        if mapped < end { Err(Unmapped(Addr(mapped))) } else { Ok(end) }
    }

    /// Writes bytes from `addr` on; those before an unmapped one are written.
    pub fn write(&mut self, addr: Addr, bytes: &[u8]) -> Result<(), Unmapped> {
        let end = addr.0.saturating_add(bytes.len() as u64);
        let mapped = self.mapped_until(addr, end);
        let mut rest = bytes;
        for (page, from, len) in Self::stretches(addr.0, mapped) {
            let (now, later) = rest.split_at(len);
            self.page_mut(page)[from..from + len].copy_from_slice(now);
            rest = later;
        }
        if mapped < end { Err(Unmapped(Addr(mapped))) } else { Ok(()) }
    }

    /// Writes one byte `len` times; what lies before an unmapped one is written.
    pub fn fill(&mut self, addr: Addr, len: u64, byte: u8) -> Result<(), Unmapped> {
        let end = addr.0.saturating_add(len);
        let mapped = self.mapped_until(addr, end);
        let (first, last) = (addr.0.div_ceil(PAGE_BYTES), mapped / PAGE_BYTES);
        let whole = first < last;
        let (before, after) = if whole { (first * PAGE_BYTES, last * PAGE_BYTES) } else { (mapped, mapped) };
        for (page, from, len) in Self::stretches(addr.0, before).chain(Self::stretches(after, mapped)) {
            self.page_mut(page)[from..from + len].fill(byte);
        }
        self.fill_pages(first, last, byte);
        if mapped < end { Err(Unmapped(Addr(mapped))) } else { Ok(()) }
    }

    /// Copies `len` bytes between places that do not overlap.
    pub fn copy(&mut self, from: Addr, to: Addr, len: u64) -> Result<(), Unmapped> {
        let end = self.readable(from, len)?;
        let mut at = from.0;
        while at < end {
            let (page, target) = (at / PAGE_BYTES, to.offset(at - from.0));
            if let Some(bytes) = self.pages.get(&page) {
                let bytes = Arc::clone(bytes);
                let next = end.min((page + 1) * PAGE_BYTES);
                let within = (at % PAGE_BYTES) as usize;
                self.write(target, &bytes[within..within + (next - at) as usize])?;
                at = next;
            } else {
                let (byte, until) = self.filling(page);
                let until = self.pages.range(page..until).next().map_or(until, |p| *p.0);
                let next = end.min(until.saturating_mul(PAGE_BYTES));
                self.fill(target, next - at, byte)?;
                at = next;
            }
        }
        Ok(())
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
        self.pages.len() as u64 * (PAGE_BYTES + 16) + self.filled.len() as u64 * 24
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failure here")]

    use super::*;

    #[test]
    fn it_is_what_an_array_would_be() {
        // The same writes on memory of a few pages with a hole, and on an array.
        const END: u64 = 40 * PAGE_BYTES;
        let hole = 20 * PAGE_BYTES + 100..21 * PAGE_BYTES + 7;
        let mut bytes = Bytes::default();
        bytes.map(Addr(PAGE_BYTES), hole.start - PAGE_BYTES);
        bytes.map(Addr(hole.end), END - hole.end);
        let is_mapped = |at: u64| (PAGE_BYTES..END).contains(&at) && !hole.contains(&at);
        let mut array = vec![0_u8; END as usize];
        let mut random = 3_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for round in 0..20_000 {
            let most = 1 << draw(17);
            let (at, len, byte) = (draw(END), draw(most), draw(4) as u8);
            let from = draw(END - len);
            let fault = (at..at + len).find(|&a| !is_mapped(a));
            let until = fault.unwrap_or(at + len);
            let expected = fault.map_or(Ok(()), |a| Err(Unmapped(Addr(a))));
            match round % 3 {
                0 => {
                    assert_eq!(bytes.fill(Addr(at), len, byte), expected);
                    array[at as usize..until as usize].fill(byte);
                }
                1 => {
                    let data: Vec<u8> = (0..len.min(300)).map(|_| draw(256) as u8).collect();
                    let until = until.min(at + data.len() as u64);
                    let done = bytes.write(Addr(at), &data);
                    assert_eq!(done.is_ok(), until == at + data.len() as u64);
                    array[at as usize..until as usize].copy_from_slice(&data[..(until - at) as usize]);
                }
                _ if from + len <= at || at + len <= from => {
                    let unread = (from..from + len).find(|&a| !is_mapped(a));
                    let expected = unread.map_or(expected, |a| Err(Unmapped(Addr(a))));
                    assert_eq!(bytes.copy(Addr(from), Addr(at), len), expected);
                    if unread.is_none() {
                        array.copy_within(from as usize..(from + until - at) as usize, at as usize);
                    }
                }
                _ => {}
            }
            let at = draw(END);
            assert_eq!(bytes.get(Addr(at)).ok(), is_mapped(at).then(|| array[at as usize]));
            if round % 200 == 0 {
                for (from, to) in [(PAGE_BYTES, hole.start), (hole.end, END)] {
                    assert!(bytes.read(Addr(from), to - from).unwrap() == array[from as usize..to as usize]);
                }
            }
        }
    }

    #[test]
    fn a_terabyte_is_filled_copied_and_taken_away_at_once() {
        let mut bytes = Bytes::default();
        let (a, b, len) = (Addr(100), Addr(1 << 50), 1 << 40);
        bytes.map(a, len);
        bytes.map(b, len);
        bytes.fill(a, len, 0xdd).unwrap();
        bytes.set(Addr(1 << 30), 7).unwrap();
        bytes.copy(a, b, len).unwrap();
        assert_eq!(bytes.get(b.offset((1 << 30) - 100)), Ok(7));
        assert_eq!(bytes.get(b.offset(len - 1)), Ok(0xdd));
        assert!(bytes.state_bytes() < 1 << 16, "{}", bytes.state_bytes());
        bytes.unmap(b);
        assert_eq!(bytes.get(b), Err(Unmapped(b)));
        bytes.map(b, len);
        assert_eq!(bytes.get(b.offset(1 << 31)), Ok(0));
    }
}
