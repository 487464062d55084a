//! Memory below pymalloc: the C library's heaps, chunk by chunk.
//!
//! `glibc` walks the heaps, `bins` finds what is free in them and does not look so, `mapped` finds large chunks outside of them, `threads` the
//! stacks of threads between those, `trim` says what of it would go back to the system. Of other allocators only the mimalloc that `CPython`
//! brings along is read, by `mimalloc`; the others are named.

mod bins;
mod glibc;
mod mapped;
mod mimalloc;
mod threads;
mod trim;
mod words;

pub use bins::Generation;
pub use glibc::Heap;

use super::chunks::{Chunk, Chunks, State};
use super::memory::Memory;
use super::resident::Resident;

/// Which `malloc` a process has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malloc {
    /// The GNU C library's; like which of its versions, where that shows.
    Glibc(Option<Generation>),
    /// One of another name, whose blocks are not read.
    Named(&'static str),
    /// One that is not known, and the address where its heap ceased to look like the GNU C library's; none where there is no heap.
    Unknown(Option<u64>),
}

/// Allocators that a process may have instead of the GNU C library's, by how their files begin.
const NAMED: [(&str, &str); 6] = [
    ("libjemalloc", "jemalloc"),
    ("libtcmalloc", "tcmalloc"),
    ("libmimalloc", "mimalloc"),
    ("librpmalloc", "rpmalloc"),
    ("ld-musl", "musl"),
    ("libc.musl", "musl"),
];

/// The heaps below pymalloc.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heaps {
    /// Whose they are.
    pub malloc: Malloc,
    /// The C library's, by address.
    pub heaps: Vec<Heap>,
    /// What `mallinfo2` calls `fordblks`: bytes of free chunks, those at the ends of heaps with them, those in threads' caches not.
    pub fordblks: u64,
    /// Stretches whose pages `malloc_trim(0)` would give back, by address.
    pub trims: Vec<(u64, u64)>,
    /// Segments of `CPython`'s own mimalloc, by address: from where, and behind the last byte.
    pub segments: Vec<(u64, u64)>,
    /// Stacks of threads, by address, as far as they are known by what the C library keeps at their ends.
    pub stacks: Vec<(u64, u64)>,
}

impl Heaps {
    /// Those of a process, with their chunks by address. Arenas of pymalloc are none of them; where there is none, mimalloc may be in its place.
    pub(super) fn find(memory: &Memory, arenas: &[(u64, u64)]) -> (Self, Chunks) {
        let own = if arenas.is_empty() { mimalloc::find(memory) } else { mimalloc::Found::default() };
        let mut all = own.blocks;
        let mut heaps = Self {
            malloc: Malloc::Unknown(None),
            heaps: Vec::new(),
            fordblks: 0,
            trims: Vec::new(),
            segments: own.segments,
            stacks: threads::stacks(memory),
        };
        match glibc::find(memory) {
            Err(at) => heaps.malloc = named(memory).map_or(Malloc::Unknown(at), Malloc::Named),
            Ok(mut walked) => {
                heaps.malloc = Malloc::Glibc(bins::mark(memory, &mut walked));
                heaps.trims = trim::stretches(&walked.heaps, &walked.chunks);
                heaps.fordblks = walked.chunks.iter().map(|chunk| free_bytes(*chunk)).sum();
                let ends = walked.heaps.iter().map(|heap| (heap.lo, heap.hi));
                let taken = ends.chain(arenas.iter().copied()).chain(heaps.segments.iter().copied());
                let taken = taken.chain(heaps.stacks.iter().copied());
                let mut taken: Vec<(u64, u64)> = taken.collect();
                taken.sort_unstable();
                all.extend(walked.chunks);
                all.extend(mapped::find(memory, &taken));
                heaps.heaps = walked.heaps;
            }
        }
        all.sort_unstable_by_key(|chunk| chunk.addr);
        let mut end = 0;
        all.retain(|chunk| {
            let apart = chunk.addr >= end;
            end = end.max(chunk.addr.saturating_add(chunk.bytes));
            apart
        });
        (heaps, Chunks { all })
    }

    /// Bytes that `malloc_trim(0)` would give back.
    pub fn trim_bytes(&self, resident: &Resident) -> u64 {
        self.trims.iter().map(|(lo, hi)| resident.within(*lo, *hi)).sum()
    }
}

/// Bytes of a chunk with its header, where `fordblks` counts it.
fn free_bytes(chunk: Chunk) -> u64 {
    match chunk.state {
        State::Free | State::Fast => chunk.bytes + 8,
        State::Top => chunk.bytes + glibc::HEADER,
        State::Used | State::Mapped | State::Cached => 0,
    }
}

/// An allocator whose file is mapped.
fn named(memory: &Memory) -> Option<&'static str> {
    let mut names = memory.mappings().iter().map(|mapping| mapping.name.as_str());
    let known = |name: &str| NAMED.iter().find(|(file, _)| name.starts_with(file)).map(|(_, named)| *named);
    names.find_map(known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
