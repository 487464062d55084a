//! Where the resident memory of a process is: every byte in one part, so that they sum to what the system counts.

use super::layout::{Geometry, POOL_HEADER};
use super::memory::{Kind, Mapping, Memory};
use super::picture::Picture;

/// Guard pages before a thread's stack are no larger than this.
pub(super) const MOST_GUARD: u64 = 1 << 20;

/// What memory is used for, from what the program made to what nobody can have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Use {
    /// Objects in pymalloc's blocks.
    Objects,
    /// Blocks of objects that Python gave up and keeps for the next ones.
    FreeListed,
    /// Blocks in use that are no objects: what objects keep elsewhere, and what C code asked for.
    Buffers,
    /// Free blocks of pools with a block in use, the ends of those pools with them.
    FreeBlocks,
    /// Pools without a block in use.
    EmptyPools,
    /// Pools that were never carved.
    Uncarved,
    /// Headers of pools with a block in use.
    PoolHeaders,
    /// What an arena loses where it does not begin at a pool's boundary.
    Alignment,
    /// What the C library took with `brk`: its blocks, free ones too.
    CHeap,
    /// Anonymous memory that is none of the others: large blocks of the C library, its arenas for threads, the program's own mappings.
    Anonymous,
    /// Stacks.
    Stacks,
    /// Variables of the program and its libraries.
    Variables,
    /// Their code.
    Code,
    /// Constants, and files that are read.
    Files,
    /// Memory that is shared with others.
    Shared,
    /// The kernel's own.
    Kernel,
}

impl Use {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Objects,
        Self::FreeListed,
        Self::Buffers,
        Self::FreeBlocks,
        Self::EmptyPools,
        Self::Uncarved,
        Self::PoolHeaders,
        Self::Alignment,
        Self::CHeap,
        Self::Anonymous,
        Self::Stacks,
        Self::Variables,
        Self::Code,
        Self::Files,
        Self::Shared,
        Self::Kernel,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Objects => "objects in arenas",
            Self::FreeListed => "kept by Python's free lists",
            Self::Buffers => "buffers in arenas",
            Self::FreeBlocks => "free blocks in used pools",
            Self::EmptyPools => "empty pools in held arenas",
            Self::Uncarved => "pools never used",
            Self::PoolHeaders => "pool headers",
            Self::Alignment => "alignment of arenas",
            Self::CHeap => "C library's heap",
            Self::Anonymous => "other anonymous memory",
            Self::Stacks => "stacks",
            Self::Variables => "variables of program and libraries",
            Self::Code => "code",
            Self::Files => "constants and read files",
            Self::Shared => "shared memory",
            Self::Kernel => "the kernel's own",
        }
    }
}

/// Resident bytes of a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// What for.
    pub what: Use,
    /// How many.
    pub bytes: u64,
}

/// Runs of memory that are resident, to sum over any stretch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resident {
    /// From where, behind the last byte, and how many resident bytes lie before.
    runs: Vec<(u64, u64, u64)>,
}

impl Resident {
    /// Of runs by address.
    pub fn new(runs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sum = 0;
        let mut end = 0;
        let mut all = Vec::new();
        for (lo, hi) in runs {
            let lo = lo.max(end);
            if lo < hi {
                all.push((lo, hi, sum));
                sum += hi - lo;
                end = hi;
            }
        }
        Self { runs: all }
    }

    /// Resident bytes below an address.
    fn below(&self, addr: u64) -> u64 {
        let Some(at) = self.runs.partition_point(|run| run.0 < addr).checked_sub(1) else { return 0 };
        let (lo, hi, before) = self.runs[at];
        before + (addr.min(hi) - lo)
    }

    /// Resident bytes of a stretch.
    pub fn within(&self, lo: u64, hi: u64) -> u64 {
        self.below(hi).saturating_sub(self.below(lo))
    }

    /// All of them.
    pub fn bytes(&self) -> u64 {
        self.runs.last().map_or(0, |(lo, hi, before)| before + (hi - lo))
    }
}

/// The parts that have any byte, in their order.
pub fn parts(memory: &Memory, resident: &Resident, picture: &Picture) -> Vec<Part> {
    let mut sums = [0_u64; Use::ALL.len()];
    let mut add = |what: Use, lo: u64, hi: u64| sums[what as usize] += resident.within(lo, hi);
    let geometry = picture.geometry;
    let mut arenas: Vec<(u64, u64)> = Vec::new();
    for table in &picture.tables {
        for arena in &table.arenas {
            let (lo, hi) = (arena.address, arena.address.saturating_add(geometry.arena));
            let first = arena.first_pool(geometry);
            let last = first + u64::from(arena.ntotalpools) * geometry.pool;
            arenas.push((lo, hi));
            add(Use::Alignment, lo, first);
            add(Use::Alignment, last, hi);
            add(Use::Uncarved, arena.pool_address, last);
            for at in 0..arena.carved(geometry) {
                let addr = first + at * geometry.pool;
                if picture.pools.at(addr).is_none() {
                    add(Use::EmptyPools, addr, addr + geometry.pool);
                }
            }
        }
    }
    for pool in &picture.pools.pools {
        add(Use::PoolHeaders, pool.addr, pool.addr + POOL_HEADER);
        for block in 0..pool.carved {
            let at = (pool.first + block) as usize;
            let what = match (picture.pools.used[at], picture.objects[at]) {
                (false, _) => Use::FreeBlocks,
                (true, None) => Use::Buffers,
                (true, Some(object)) if object.dead => Use::FreeListed,
                (true, Some(_)) => Use::Objects,
            };
            add(what, pool.block(block), pool.block(block) + Geometry::block(pool.class));
        }
        add(Use::FreeBlocks, pool.block(pool.carved), pool.addr + geometry.pool);
    }
    arenas.sort_unstable();
    let in_arenas = |lo: u64, hi: u64| -> u64 {
        let from = arenas.partition_point(|arena| arena.1 <= lo);
        let there = arenas[from..].iter().take_while(|arena| arena.0 < hi);
        there.map(|arena| resident.within(arena.0.max(lo), arena.1.min(hi))).sum()
    };
    let mut before: Option<&Mapping> = None;
    for mapping in memory.mappings() {
        let what = of_mapping(mapping, before);
        let all = resident.within(mapping.lo, mapping.hi);
        sums[what as usize] += all.saturating_sub(in_arenas(mapping.lo, mapping.hi));
        before = Some(mapping);
    }
    let all = Use::ALL.into_iter().zip(sums);
    all.filter(|(_, bytes)| *bytes > 0).map(|(what, bytes)| Part { what, bytes }).collect()
}

/// What a mapping is used for, as far as its row and the one before tell.
fn of_mapping(mapping: &Mapping, before: Option<&Mapping>) -> Use {
    let next_to = before.filter(|before| before.hi == mapping.lo);
    match mapping.kind {
        Kind::Heap => Use::CHeap,
        Kind::Stack => Use::Stacks,
        Kind::Kernel => Use::Kernel,
        _ if mapping.shared && mapping.writable => Use::Shared,
        Kind::File if mapping.executable => Use::Code,
        Kind::File if mapping.private_writable() => Use::Variables,
        Kind::File => Use::Files,
        Kind::Anonymous => match next_to {
            // Variables without a value in the file.
            Some(before)
                if before.kind == Kind::File && before.private_writable() && mapping.private_writable() =>
            {
                Use::Variables
            }
            Some(before)
                if !before.readable && before.hi - before.lo <= MOST_GUARD && mapping.private_writable() =>
            {
                Use::Stacks
            }
            _ => Use::Anonymous,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_bytes_are_summed_over_any_stretch() {
        let resident = Resident::new([(0x1000, 0x3000), (0x5000, 0x6000), (0x5800, 0x7000)]);
        assert_eq!(resident.bytes(), 0x4000);
        assert_eq!(resident.within(0, u64::MAX), 0x4000);
        assert_eq!(resident.within(0x1800, 0x5800), 0x1800 + 0x800);
        assert_eq!(resident.within(0x3000, 0x5000), 0);
        assert_eq!(resident.within(0x6000, 0x6001), 1);
    }

    #[test]
    fn each_use_has_its_place() {
        for (what, place) in Use::ALL.into_iter().zip(0..) {
            assert_eq!(what as usize, place);
        }
    }
}
