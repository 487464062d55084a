//! Where pymalloc's `arenas` are: every table of `arena_object`s that some word of the copy leads to.
//!
//! A process has one, and one more for each interpreter with a pymalloc of its own. Nothing names them in a stripped program, so they are
//! known by their shape alone: what each record says of its arena must be true of the arena's pools.

use hashbrown::{HashMap, HashSet};

use super::layout::{ARENA_OBJECT, CLASSES, Geometry};
use super::memory::{Kind, Memory, half_of, word_of};

/// Records that a table has at least.
const LEAST_RECORDS: u64 = 16;
/// Records that a table may have: arenas of 16 TiB.
const MOST_RECORDS: u64 = 1 << 24;
/// Words that lead to one address beside which its size is looked for.
const MOST_TRIES: u32 = 64;
/// Words before and behind the pointer among which `maxarenas` lies.
const NEAR_WORDS: u64 = 8;
/// Pages of the system, which arenas begin at.
const PAGE: u64 = 4096;

/// An `arena_object` whose arena is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaObject {
    /// Its place in the table.
    pub index: u32,
    /// Where its arena begins.
    pub address: u64,
    /// Where the next pool is carved.
    pub pool_address: u64,
    /// `nfreepools`.
    pub nfreepools: u32,
    /// `ntotalpools`.
    pub ntotalpools: u32,
    /// The first of its `freepools`, 0 for none.
    pub freepools: u64,
    /// The next arena of `usable_arenas`, 0 for none.
    pub nextarena: u64,
    /// The one before it, 0 for none.
    pub prevarena: u64,
}

impl ArenaObject {
    /// Where its first pool begins.
    pub fn first_pool(&self, geometry: Geometry) -> u64 {
        self.address.next_multiple_of(geometry.pool)
    }

    /// Pools carved so far.
    pub fn carved(&self, geometry: Geometry) -> u64 {
        self.pool_address.saturating_sub(self.first_pool(geometry)) / geometry.pool
    }
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Where it lies.
    pub addr: u64,
    /// The word that leads to it.
    pub pointer: u64,
    /// Records that it has room for.
    pub records: u64,
    /// Those whose arena is held.
    pub arenas: Vec<ArenaObject>,
}

/// All of them; that of the main interpreter first, whose pointer is a variable of the program.
pub(super) fn find(memory: &Memory, geometry: Geometry) -> Vec<Table> {
    let found = with(memory, geometry, Sizes::InChunks);
    // Other allocators than the GNU C library's have no size in front of what they give out.
    if found.is_empty() { with(memory, geometry, Sizes::Anywhere) } else { found }
}

/// Whether a table lies in a chunk that has its size in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sizes {
    InChunks,
    Anywhere,
}

fn with(memory: &Memory, geometry: Geometry, in_front: Sizes) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut tried: HashMap<u64, u32> = HashMap::new();
    // Other words than the variable lead there, too, and only beside that its size is found.
    let most_tries = if in_front == Sizes::InChunks { 1 } else { MOST_TRIES };
    let (Some(first), Some(last)) = (memory.regions().first(), memory.regions().last()) else {
        return tables;
    };
    let (lowest, highest) = (first.lo, last.hi());
    for region in memory.regions() {
        let words = region.bytes.chunks_exact(8).map(|word| word_of(word, 0));
        for (word, at) in words.zip((0_u64..).step_by(8)) {
            // The C library gives memory in such steps; most words end here.
            if word % 16 != 0 || word < lowest || word >= highest {
                continue;
            }
            let tries = tried.get(&word).copied().unwrap_or(0);
            if tries >= most_tries || !looks_so(memory, geometry, word) {
                continue;
            }
            tried.insert(word, tries + 1);
            let pointer = region.lo + at;
            if let Some(table) = read(memory, geometry, word, pointer, in_front) {
                tables.push(table);
                tried.insert(word, MOST_TRIES);
            }
        }
    }
    // One that was given back when a larger one was made may look as it did: what it says of arenas the larger one says too.
    let arenas = |table: &Table| table.arenas.iter().map(|arena| arena.address).collect::<HashSet<_>>();
    let all: Vec<HashSet<u64>> = tables.iter().map(arenas).collect();
    let is_left = |mine: usize| {
        let covers = |other: usize| {
            let first = other < mine || all[other].len() > all[mine].len();
            other != mine && first && all[mine].is_subset(&all[other])
        };
        !(0..all.len()).any(covers)
    };
    let mut left = (0..all.len()).map(is_left);
    tables.retain(|_| left.next() == Some(true));
    // A variable without a value in the file lies in memory of nobody's file right behind it.
    let is_variable = |table: &Table| {
        memory.mapping_at(table.pointer).is_some_and(|mapping| {
            let before = mapping.lo.checked_sub(1).and_then(|addr| memory.mapping_at(addr));
            mapping.kind == Kind::File
                || mapping.kind == Kind::Anonymous
                    && before.is_some_and(|before| before.kind == Kind::File && before.private_writable())
        })
    };
    tables.sort_by_key(|table| (!is_variable(table), table.pointer));
    tables
}

/// Whether the first records may be ones; most candidates fail at the first.
fn looks_so(memory: &Memory, geometry: Geometry, addr: u64) -> bool {
    let Some(bytes) = memory.slice(addr, LEAST_RECORDS * ARENA_OBJECT) else { return false };
    let mut held = 0;
    for index in 0..LEAST_RECORDS {
        let at = (index * ARENA_OBJECT) as usize;
        let record = record(bytes, at, index as u32);
        if record.address == 0 {
            continue;
        }
        if !is_true(memory, geometry, &record) {
            return false;
        }
        held += 1;
    }
    held > 0 || unused_links(bytes, addr)
}

/// Whether records without an arena are linked as those of a table whose first arenas were all given back.
fn unused_links(bytes: &[u8], addr: u64) -> bool {
    let linked = |index: u64| {
        let next = record(bytes, (index * ARENA_OBJECT) as usize, index as u32).nextarena;
        next != 0 && next >= addr && (next - addr).is_multiple_of(ARENA_OBJECT)
    };
    (0..LEAST_RECORDS).all(linked)
}

fn record(bytes: &[u8], at: usize, index: u32) -> ArenaObject {
    ArenaObject {
        index,
        address: word_of(bytes, at),
        pool_address: word_of(bytes, at + 8),
        nfreepools: half_of(bytes, at + 16),
        ntotalpools: half_of(bytes, at + 20),
        freepools: word_of(bytes, at + 24),
        nextarena: word_of(bytes, at + 32),
        prevarena: word_of(bytes, at + 40),
    }
}

/// Whether what a record says is true of its arena.
fn is_true(memory: &Memory, geometry: Geometry, record: &ArenaObject) -> bool {
    let ArenaObject { address, pool_address, nfreepools, ntotalpools, .. } = *record;
    let aligned = address.is_multiple_of(geometry.pool);
    let pools = geometry.pools() - u64::from(!aligned);
    if !address.is_multiple_of(PAGE) || u64::from(ntotalpools) != pools || nfreepools > ntotalpools {
        return false;
    }
    let (Some(end), first) = (address.checked_add(geometry.arena), record.first_pool(geometry)) else {
        return false;
    };
    if pool_address < first || pool_address > end || !pool_address.is_multiple_of(geometry.pool) {
        return false;
    }
    if record.carved(geometry) > pools || memory.slice(address, geometry.arena).is_none() {
        return false;
    }
    record.carved(geometry) == 0 || memory.half(first + 32) == Some(record.index)
}

/// The table at an address, where all of it is one.
fn read(memory: &Memory, geometry: Geometry, addr: u64, pointer: u64, in_front: Sizes) -> Option<Table> {
    // The size of the C library's chunk stands in front of it.
    let chunk = memory.word(addr.checked_sub(8)?)? & !7;
    let room = match in_front {
        Sizes::InChunks => chunk.saturating_sub(8) / ARENA_OBJECT,
        Sizes::Anywhere => MOST_RECORDS,
    };
    let mut sizes: Vec<u64> = near(memory, pointer).filter(|size| *size <= room).collect();
    // Beside a word that only happens to lead there stands any number: a table that fills its chunk has as many records as that has room for.
    let fills = sizes.is_empty() || room.is_power_of_two();
    if fills && in_front == Sizes::InChunks && (LEAST_RECORDS..=MOST_RECORDS).contains(&room) {
        sizes.push(room);
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes.into_iter().find_map(|records| {
        let bytes = memory.slice(addr, records * ARENA_OBJECT)?;
        let mut arenas = Vec::new();
        let mut carved = 0;
        for index in 0..records {
            let record = record(bytes, (index * ARENA_OBJECT) as usize, index as u32);
            if record.address == 0 {
                continue;
            }
            if !is_true(memory, geometry, &record) || !has_pools(memory, geometry, &record) {
                return None;
            }
            carved += record.carved(geometry);
            arenas.push(record);
        }
        // An empty table looks like anything.
        (carved > 0).then_some(Table { addr, pointer, records, arenas })
    })
}

/// Powers of two near a pointer, which may be `maxarenas`.
fn near(memory: &Memory, pointer: u64) -> impl Iterator<Item = u64> {
    let halves = 2 * NEAR_WORDS;
    (0..=2 * halves).filter_map(move |step| {
        let at = (pointer + 4 * step).checked_sub(4 * halves)?;
        let size = u64::from(half_of(memory.slice(at, 4)?, 0));
        (size.is_power_of_two() && (LEAST_RECORDS..=MOST_RECORDS).contains(&size)).then_some(size)
    })
}

/// Whether every carved pool says that it is of this arena.
fn has_pools(memory: &Memory, geometry: Geometry, record: &ArenaObject) -> bool {
    let first = record.first_pool(geometry);
    (0..record.carved(geometry)).all(|pool| {
        let Some(header) = memory.slice(first + pool * geometry.pool, 48) else { return false };
        half_of(header, 32) == record.index && half_of(header, 36) < CLASSES
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Region, Version};

    const ARENAS: u64 = 17;
    const RECORDS: u64 = 32;
    const FIRST: u64 = 16 << 20;

    /// Memory with arenas of one pool each, their table in a chunk, and a word that leads to it with a number beside it.
    fn memory(geometry: Geometry, beside: u64) -> Memory {
        let put = |bytes: &mut [u8], at: u64, word: u64| {
            bytes[at as usize..][..8].copy_from_slice(&word.to_le_bytes());
        };
        let mut regions = Vec::new();
        let mut table = vec![0; 0x1000];
        put(&mut table, 0x18, (RECORDS * ARENA_OBJECT + 16) | 1);
        for index in 0..ARENAS {
            let (lo, pools) = (FIRST + index * geometry.arena, geometry.pools());
            let mut bytes = vec![0; geometry.arena as usize];
            put(&mut bytes, 32, index);
            let record = 0x20 + index * ARENA_OBJECT;
            put(&mut table, record, lo);
            put(&mut table, record + 8, lo + geometry.pool);
            put(&mut table, record + 16, (pools << 32) | (pools - 1));
            regions.push(Region { lo, bytes });
        }
        regions.push(Region { lo: 0x20000, bytes: table });
        let mut words = vec![0; 0x1000];
        put(&mut words, 0x40, 0x20020);
        put(&mut words, 0x48, beside);
        regions.push(Region { lo: 0x10000, bytes: words });
        Memory::new(regions, Vec::new(), None)
    }

    #[test]
    fn a_number_beside_a_word_that_happens_to_lead_there_cuts_no_table() {
        let geometry = Version { minor: 9 }.geometry();
        for beside in [0, LEAST_RECORDS, RECORDS] {
            let found = find(&memory(geometry, beside), geometry);
            assert_eq!(found.len(), 1, "{beside}");
            assert_eq!((found[0].records, found[0].arenas.len() as u64), (RECORDS, ARENAS), "{beside}");
        }
    }
}
