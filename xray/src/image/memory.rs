//! The copy of a process's memory, and what was mapped where.

use std::fmt;
use std::sync::Arc;

/// What stands behind a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Memory of nobody's file.
    Anonymous,
    /// `[heap]`: what the C library took with `brk`.
    Heap,
    /// The first thread's stack.
    Stack,
    /// A file.
    File,
    /// The kernel's own, `[vdso]` and its like.
    Kernel,
}

/// A row of a process's memory map.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are the four letters of a row")]
pub struct Mapping {
    /// Its first byte.
    pub lo: u64,
    /// Behind its last.
    pub hi: u64,
    /// Whether it may be read.
    pub readable: bool,
    /// Whether it may be written.
    pub writable: bool,
    /// Whether it may be run.
    pub executable: bool,
    /// Whether others that map it see what is written.
    pub shared: bool,
    /// What stands behind it.
    pub kind: Kind,
    /// The file's name without its folders; of other mappings nothing.
    pub name: String,
}

impl Mapping {
    /// Whether it may be written, and a write stays the process's own.
    pub fn private_writable(&self) -> bool {
        self.writable && !self.shared
    }
}

/// Memory that was copied, in one piece.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Where it lay.
    pub lo: u64,
    /// What lay there.
    pub bytes: Vec<u8>,
}

impl Region {
    /// Behind its last byte.
    pub fn hi(&self) -> u64 {
        self.lo + self.bytes.len() as u64
    }
}

/// A thread, at the moment of the copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thread {
    /// Its number.
    pub id: i32,
    /// Its general registers, in the order of the system's `user_regs_struct`: 27 words on x86-64, 34 on aarch64.
    pub registers: Vec<u64>,
}

impl Thread {
    /// Of its registers.
    pub fn new(id: i32, registers: Vec<u64>) -> Self {
        Self { id, registers }
    }

    /// Where its stack ends: below lies what no function uses any more but a leaf's 128 bytes on x86-64.
    pub fn stack_pointer(&self) -> Option<u64> {
        /// `rsp` of 27 registers, and `sp` of 34.
        const PLACES: [(usize, usize); 2] = [(27, 19), (34, 31)];
        let (_, place) = PLACES.into_iter().find(|(all, _)| *all == self.registers.len())?;
        self.registers.get(place).copied()
    }
}

/// Reads what is in no region, such as a library's constants: fills all of the bytes from an address on, or says that it cannot.
pub type Elsewhere = Arc<dyn Fn(u64, &mut [u8]) -> bool + Send + Sync>;

/// The copy.
#[derive(Default)]
pub struct Memory {
    regions: Vec<Region>,
    mappings: Vec<Mapping>,
    threads: Vec<Thread>,
    first_stack: Option<u64>,
    elsewhere: Option<Elsewhere>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("regions", &self.regions.len())
            .field("mappings", &self.mappings.len())
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

/// Puts stretches in order by where they begin, and drops empty ones and those that begin before the end of one that is kept.
pub(crate) fn keep_apart<T>(stretches: &mut Vec<T>, bounds: impl Fn(&T) -> (u64, u64)) {
    stretches.sort_by_key(|stretch| bounds(stretch).0);
    let mut end = 0;
    stretches.retain(|stretch| {
        let (lo, hi) = bounds(stretch);
        let apart = lo >= end && lo < hi;
        end = if apart { hi } else { end };
        apart
    });
}

impl Memory {
    /// Of regions in any order; of two that overlap the later one is dropped.
    pub fn new(mut regions: Vec<Region>, mappings: Vec<Mapping>, elsewhere: Option<Elsewhere>) -> Self {
        // One that has no end is dropped as an empty one is.
        let end = |region: &Region| region.lo.checked_add(region.bytes.len() as u64).unwrap_or(region.lo);
        keep_apart(&mut regions, |region| (region.lo, end(region)));
        Self { regions, mappings, threads: Vec::new(), first_stack: None, elsewhere }
    }

    /// The same with what is known of its threads, and an address on the first one's stack, as the system says.
    #[must_use]
    pub fn with_threads(self, threads: Vec<Thread>, first_stack: Option<u64>) -> Self {
        Self { threads, first_stack, ..self }
    }

    /// The same process with other bytes.
    #[must_use]
    pub fn with_regions(&self, regions: Vec<Region>) -> Self {
        Self::new(regions, self.mappings.clone(), self.elsewhere.clone())
            .with_threads(self.threads.clone(), self.first_stack)
    }

    /// What was copied, by address.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// What was mapped, by address.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Its threads with their registers; none where the process went on running.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// The mapping that is the first thread's stack: [`Kind::Stack`] may be others' too in a core, which has no names.
    pub fn first_stack(&self) -> Option<&Mapping> {
        self.mapping_at(self.first_stack?).filter(|mapping| mapping.kind == Kind::Stack)
    }

    /// Bytes that were copied.
    pub fn copied_bytes(&self) -> u64 {
        self.regions.iter().map(|region| region.bytes.len() as u64).sum()
    }

    /// The mapping of an address.
    pub fn mapping_at(&self, addr: u64) -> Option<&Mapping> {
        let at = self.mappings.partition_point(|mapping| mapping.lo <= addr).checked_sub(1)?;
        self.mappings.get(at).filter(|mapping| addr < mapping.hi)
    }

    /// The bytes from an address on, where all of them were copied and lie in one region.
    #[inline]
    pub fn slice(&self, addr: u64, len: u64) -> Option<&[u8]> {
        let at = self.regions.partition_point(|region| region.lo <= addr).checked_sub(1)?;
        let region = &self.regions[at];
        let from = (addr - region.lo) as usize;
        region.bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
    }

    /// The word at an address.
    #[inline]
    pub fn word(&self, addr: u64) -> Option<u64> {
        if let Some(bytes) = self.slice(addr, 8) {
            return Some(word_of(bytes, 0));
        }
        let mut bytes = [0; 8];
        self.read_elsewhere(addr, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }

    /// Half a word.
    pub fn half(&self, addr: u64) -> Option<u32> {
        if let Some(bytes) = self.slice(addr, 4) {
            return Some(half_of(bytes, 0));
        }
        let mut bytes = [0; 4];
        self.read_elsewhere(addr, &mut bytes).then(|| u32::from_le_bytes(bytes))
    }

    /// A byte.
    pub fn byte(&self, addr: u64) -> Option<u8> {
        if let Some(bytes) = self.slice(addr, 1) {
            return bytes.first().copied();
        }
        let mut bytes = [0; 1];
        self.read_elsewhere(addr, &mut bytes).then_some(bytes[0])
    }

    /// So many bytes, wherever they are; `None` for more than `most`.
    pub fn bytes(&self, addr: u64, len: u64, most: u64) -> Option<Vec<u8>> {
        if len > most {
            return None;
        }
        if let Some(bytes) = self.slice(addr, len) {
            return Some(bytes.to_vec());
        }
        let mut bytes = vec![0; len as usize];
        self.read_elsewhere(addr, &mut bytes).then_some(bytes)
    }

    /// A string that ends with a zero within `most` bytes, where it is readable text.
    pub fn text(&self, addr: u64, most: u64) -> Option<String> {
        /// Short pieces, so that a string at the end of what can be read is read.
        const PIECE: u64 = 16;
        let mut text = Vec::new();
        while (text.len() as u64) < most {
            let from = addr.checked_add(text.len() as u64)?;
            let piece = match self.slice(from, PIECE) {
                Some(piece) => piece.to_vec(),
                None => vec![self.byte(from)?],
            };
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend(&piece[..end]);
                return String::from_utf8(text).ok();
            }
            text.extend(piece);
        }
        None
    }

    fn read_elsewhere(&self, addr: u64, bytes: &mut [u8]) -> bool {
        self.elsewhere.as_ref().is_some_and(|read| read(addr, bytes))
    }
}

/// The word at a place of some bytes, 0 where there is none.
#[inline]
pub(super) fn word_of(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Half a word.
#[inline]
pub(super) fn half_of(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |half| u32::from_le_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_copied_is_read_elsewhere_or_not_at_all() {
        let region = |lo, bytes: &[u8]| Region { lo, bytes: bytes.to_vec() };
        let regions = vec![
            region(0x2000, b"0123456789abcdef"),
            region(0x1000, b"text\0more"),
            region(0x2008, b"twice"),
        ];
        let memory = Memory::new(
            regions,
            Vec::new(),
            Some(Arc::new(|addr, bytes: &mut [u8]| {
                bytes.fill(7);
                addr == 0x9000
            })),
        );
        assert_eq!(memory.regions().len(), 2);
        assert_eq!(memory.text(0x1000, 100).as_deref(), Some("text"));
        assert_eq!(memory.text(0x1005, 100), None, "no end");
        assert_eq!(memory.text(0x2000, 8), None, "too long");
        assert_eq!(memory.word(0x2008), Some(u64::from_le_bytes(*b"89abcdef")));
        assert_eq!(memory.word(0x2009), None);
        assert_eq!(memory.half(0x9000), Some(0x0707_0707));
        assert_eq!(memory.word(u64::MAX - 3), None);
        assert_eq!(memory.slice(0x2000, u64::MAX), None);
    }
}
