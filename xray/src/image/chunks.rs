//! Blocks outside pymalloc's arenas: chunks of the C library's heaps, large ones with mappings of their own, and blocks of mimalloc.

/// What a chunk is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Somebody has it.
    Used,
    /// Somebody has it, and it has a mapping of its own.
    Mapped,
    /// Free, in a bin.
    Free,
    /// Free, in a thread's cache.
    Cached,
    /// Free, in a fast bin.
    Fast,
    /// What is left at the end of a heap.
    Top,
}

impl State {
    /// Whether somebody has it.
    pub fn is_used(self) -> bool {
        matches!(self, Self::Used | Self::Mapped)
    }
}

/// A chunk, without the words that its allocator keeps before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Where what was given out begins.
    pub addr: u64,
    /// Bytes that whoever has it may use.
    pub bytes: u64,
    /// What it is used for.
    pub state: State,
}

/// All of them, free ones too.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chunks {
    /// By address; none overlaps another.
    pub all: Vec<Chunk>,
}

impl Chunks {
    /// The place of the chunk that an address lies in.
    #[inline]
    pub fn at(&self, addr: u64) -> Option<usize> {
        let at = self.all.partition_point(|chunk| chunk.addr <= addr).checked_sub(1)?;
        let chunk = self.all[at];
        (addr - chunk.addr < chunk.bytes).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_in_one_chunk_or_in_none() {
        let chunk = |addr, bytes| Chunk { addr, bytes, state: State::Used };
        let chunks = Chunks { all: vec![chunk(0x1010, 24), chunk(0x1030, 40)] };
        let at = |addr| chunks.at(addr);
        assert_eq!([at(0), at(0x1010), at(0x1027), at(0x1028)], [None, Some(0), Some(0), None]);
        assert_eq!([at(0x1030), at(0x1057), at(0x1058), at(u64::MAX)], [Some(1), Some(1), None, None]);
    }
}
