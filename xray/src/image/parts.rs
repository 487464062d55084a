//! Where the resident memory of a process is: every byte in one part, so that they sum to what the system counts.

use hashbrown::HashSet;

use super::chunks::State;
use super::layout::{Geometry, POOL_HEADER};
use super::memory::{Kind, Mapping, Memory};
use super::picture::Picture;
use super::resident::Resident;

/// Guard pages before a thread's stack are no larger than this.
const MOST_GUARD: u64 = 1 << 20;

/// Before a chunk with a mapping of its own stands its header.
const MAPPED_HEADER: u64 = 16;

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
    /// Objects in blocks of mimalloc, where `CPython` has that in the place of pymalloc.
    MimallocObjects,
    /// Its blocks in use that are no objects.
    MimallocBuffers,
    /// Its free blocks.
    MimallocFree,
    /// What it keeps of its pages, and what it has not made blocks of.
    MimallocRest,
    /// pymalloc's table of arenas.
    ArenaTable,
    /// Objects in chunks of the C library's heaps.
    ChunkObjects,
    /// Chunks in use that are no objects.
    ChunkBuffers,
    /// Objects in chunks with mappings of their own.
    MappedObjects,
    /// Such chunks that are no objects.
    MappedBuffers,
    /// Free chunks of the C library's heaps.
    ChunksFree,
    /// Free chunks that threads of the C library keep for themselves, and those in its fast bins.
    ChunksCached,
    /// What is left at the ends of its heaps.
    HeapEnds,
    /// Sizes in front of chunks, and what the C library keeps of its arenas.
    ChunkHeaders,
    /// What was taken with `brk` and is no heap that could be read.
    CHeap,
    /// Anonymous memory that is none of the others: other allocators' blocks, the program's own mappings.
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
    pub const ALL: [Self; 29] = [
        Self::Objects,
        Self::FreeListed,
        Self::Buffers,
        Self::FreeBlocks,
        Self::EmptyPools,
        Self::Uncarved,
        Self::PoolHeaders,
        Self::Alignment,
        Self::MimallocObjects,
        Self::MimallocBuffers,
        Self::MimallocFree,
        Self::MimallocRest,
        Self::ArenaTable,
        Self::ChunkObjects,
        Self::ChunkBuffers,
        Self::MappedObjects,
        Self::MappedBuffers,
        Self::ChunksFree,
        Self::ChunksCached,
        Self::HeapEnds,
        Self::ChunkHeaders,
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
            Self::MimallocObjects => "objects in mimalloc's pages",
            Self::MimallocBuffers => "buffers in mimalloc's pages",
            Self::MimallocFree => "free blocks of mimalloc",
            Self::MimallocRest => "mimalloc's own and unused",
            Self::ArenaTable => "pymalloc's table of arenas",
            Self::ChunkObjects => "objects in C library's heaps",
            Self::ChunkBuffers => "buffers in C library's heaps",
            Self::MappedObjects => "objects with mappings of their own",
            Self::MappedBuffers => "buffers with mappings of their own",
            Self::ChunksFree => "free in C library's heaps",
            Self::ChunksCached => "free, cached by C library",
            Self::HeapEnds => "ends of C library's heaps",
            Self::ChunkHeaders => "headers of C library's chunks",
            Self::CHeap => "C library's heap, not read",
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

/// Sums up what is resident.
struct Sums<'a> {
    resident: &'a Resident,
    picture: &'a Picture,
    bytes: [u64; Use::ALL.len()],
    /// What is in no part by its mapping's row.
    taken: Vec<(u64, u64)>,
}

/// The parts that have any byte, in their order.
pub fn parts(memory: &Memory, resident: &Resident, picture: &Picture) -> Vec<Part> {
    let mut sums = Sums { resident, picture, bytes: [0; Use::ALL.len()], taken: Vec::new() };
    sums.arenas();
    sums.pools();
    sums.chunks();
    sums.mappings(memory);
    let all = Use::ALL.into_iter().zip(sums.bytes);
    all.filter(|(_, bytes)| *bytes > 0).map(|(what, bytes)| Part { what, bytes }).collect()
}

impl Sums<'_> {
    fn add(&mut self, what: Use, lo: u64, hi: u64) {
        self.bytes[what as usize] += self.resident.within(lo, hi);
    }

    fn arenas(&mut self) {
        let (picture, geometry) = (self.picture, self.picture.geometry);
        for arena in picture.tables.iter().flat_map(|table| &table.arenas) {
            let (lo, hi) = (arena.address, arena.address.saturating_add(geometry.arena));
            let first = arena.first_pool(geometry);
            let last = first + u64::from(arena.ntotalpools) * geometry.pool;
            self.taken.push((lo, hi));
            self.add(Use::Alignment, lo, first);
            self.add(Use::Alignment, last, hi);
            self.add(Use::Uncarved, arena.pool_address, last);
            for at in 0..arena.carved(geometry) {
                let addr = first + at * geometry.pool;
                if picture.pools.at(addr).is_none() {
                    self.add(Use::EmptyPools, addr, addr + geometry.pool);
                }
            }
        }
    }

    fn pools(&mut self) {
        let (picture, geometry) = (self.picture, self.picture.geometry);
        for pool in &picture.pools.pools {
            self.add(Use::PoolHeaders, pool.addr, pool.addr + POOL_HEADER);
            for block in 0..pool.carved {
                let at = (pool.first + block) as usize;
                let what = match (picture.pools.used[at], picture.objects[at]) {
                    (false, _) => Use::FreeBlocks,
                    (true, None) => Use::Buffers,
                    (true, Some(object)) if object.dead => Use::FreeListed,
                    (true, Some(_)) => Use::Objects,
                };
                self.add(what, pool.block(block), pool.block(block) + Geometry::block(pool.class));
            }
            self.add(Use::FreeBlocks, pool.block(pool.carved), pool.addr + geometry.pool);
        }
    }

    fn chunks(&mut self) {
        let picture = self.picture;
        let tables = picture.tables.iter().filter_map(|table| picture.chunks.at(table.addr));
        let tables: HashSet<usize> = tables.collect();
        let mut segments = picture.heaps.segments.iter().peekable();
        let (mut in_heaps, mut in_segments) = (0, 0);
        for (at, (chunk, object)) in picture.chunks.all.iter().zip(&picture.chunk_objects).enumerate() {
            while segments.next_if(|segment| segment.1 <= chunk.addr).is_some() {}
            let mimalloc = segments.peek().is_some_and(|segment| segment.0 <= chunk.addr);
            let what = match (chunk.state, object) {
                (_, Some(object)) if object.dead => Use::FreeListed,
                (State::Free, _) if mimalloc => Use::MimallocFree,
                (_, Some(_)) if mimalloc => Use::MimallocObjects,
                (_, None) if mimalloc => Use::MimallocBuffers,
                (State::Free, _) => Use::ChunksFree,
                (State::Cached | State::Fast, _) => Use::ChunksCached,
                (State::Top, _) => Use::HeapEnds,
                (_, None) if tables.contains(&at) => Use::ArenaTable,
                (State::Used, Some(_)) => Use::ChunkObjects,
                (State::Used, None) => Use::ChunkBuffers,
                (State::Mapped, Some(_)) => Use::MappedObjects,
                (State::Mapped, None) => Use::MappedBuffers,
            };
            let hi = chunk.addr.saturating_add(chunk.bytes);
            let bytes = self.resident.within(chunk.addr, hi);
            self.bytes[what as usize] += bytes;
            if chunk.state == State::Mapped {
                let lo = chunk.addr - MAPPED_HEADER;
                self.add(Use::ChunkHeaders, lo, chunk.addr);
                self.taken.push((lo, hi));
            } else if mimalloc {
                in_segments += bytes;
            } else {
                in_heaps += bytes;
            }
        }
        let heaps = picture.heaps.heaps.iter().map(|heap| (heap.lo, heap.hi));
        self.rest(Use::ChunkHeaders, heaps, in_heaps);
        self.rest(Use::Stacks, picture.heaps.stacks.iter().copied(), 0);
        self.rest(Use::MimallocRest, picture.heaps.segments.iter().copied(), in_segments);
    }

    /// What lies in some stretches and is in no other part.
    fn rest(&mut self, what: Use, stretches: impl Iterator<Item = (u64, u64)>, known: u64) {
        let mut all = 0_u64;
        for (lo, hi) in stretches {
            all = all.saturating_add(self.resident.within(lo, hi));
            self.taken.push((lo, hi));
        }
        self.bytes[what as usize] += all.saturating_sub(known);
    }

    fn mappings(&mut self, memory: &Memory) {
        self.taken.sort_unstable();
        let mut before: Option<&Mapping> = None;
        for mapping in memory.mappings() {
            let what = of_mapping(mapping, before);
            let from = self.taken.partition_point(|taken| taken.1 <= mapping.lo);
            let there = self.taken[from..].iter().take_while(|taken| taken.0 < mapping.hi);
            let taken: u64 = there
                .map(|(lo, hi)| self.resident.within((*lo).max(mapping.lo), (*hi).min(mapping.hi)))
                .sum();
            let all = self.resident.within(mapping.lo, mapping.hi);
            self.bytes[what as usize] += all.saturating_sub(taken);
            before = Some(mapping);
        }
    }
}

/// What a mapping is used for, as far as its row and the one before tell.
pub(super) fn of_mapping(mapping: &Mapping, before: Option<&Mapping>) -> Use {
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
    fn each_use_has_its_place() {
        for (what, place) in Use::ALL.into_iter().zip(0..) {
            assert_eq!(what as usize, place);
        }
    }
}
