//! Whether a picture of a heap can be true. What passes here can be run.

use std::fmt;

use thiserror::Error;

use super::heap::{ArenaPicture, HeapPicture, PoolPicture};
use crate::addr::{Addr, SizeClass};
use crate::profile::{Ownership, Profile};

/// Pages that arenas begin at, in bytes.
const PAGE: u64 = 4096;

/// A part of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// All of it.
    Whole,
    /// The record of an arena.
    Record(u32),
    /// A pool, by address.
    Pool(Addr),
    /// `usable_arenas`.
    Usable,
    /// `unused_arena_objects`.
    Unused,
    /// A class's list in `usedpools`.
    Used(SizeClass),
    /// What is known beside the heap.
    Inventory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the heap"),
            Self::Record(record) => write!(f, "arenas[{record}]"),
            Self::Pool(at) => write!(f, "pool {at}"),
            Self::Usable => f.write_str("usable_arenas"),
            Self::Unused => f.write_str("unused_arena_objects"),
            Self::Used(class) => write!(f, "usedpools[{class}]"),
            Self::Inventory => f.write_str("what is known of the blocks"),
        }
    }
}

/// Why a machine cannot begin with a picture.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PictureError {
    /// Mimalloc, debug hooks, other tables, or not at the beginning.
    #[error(
        "only a run on pymalloc over the bare tables can begin with the picture of a process: no PYTHONMALLOC, no scenario \
         with tables, contents or interpreters"
    )]
    NotPlain,
    /// There is no heap in it.
    #[error("the picture has no heap of pymalloc's to go on from")]
    NoHeap,
    /// Another build's.
    #[error(
        "the picture has {what} of {said} bytes, {profile} has {has}; choose the interpreter's own profile"
    )]
    Sizes {
        /// Arenas or pools.
        what: &'static str,
        /// Bytes in the picture.
        said: u64,
        /// Bytes in the profile.
        has: u64,
        /// Its name.
        profile: String,
    },
    /// More than the model has room for.
    #[error("the picture has {arenas} arenas, the model has room for {most}")]
    TooMany {
        /// Arenas in the picture.
        arenas: u64,
        /// The most that it may have.
        most: u64,
    },
    /// Something that cannot be.
    #[error("{place}: {problem}")]
    Wrong {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: &'static str,
    },
}

fn wrong<T>(place: Place, problem: &'static str) -> Result<T, PictureError> {
    Err(PictureError::Wrong { place, problem })
}

/// Which list a pool is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Nowhere,
    Free,
    Used(SizeClass),
}

impl HeapPicture {
    /// Whether all of it agrees, with itself and with the profile.
    pub fn check(&self, profile: &Profile) -> Result<(), PictureError> {
        for (what, said, has) in
            [("arenas", self.arena_bytes, profile.arena_size), ("pools", self.pool_bytes, profile.pool_size)]
        {
            if said != has {
                return Err(PictureError::Sizes { what, said, has, profile: profile.name.clone() });
            }
        }
        self.check_records()?;
        self.check_arenas(profile)?;
        let listed = self.check_lists(profile)?;
        self.check_pools(profile, &listed)
    }

    /// Each record is live, or unused once.
    fn check_records(&self) -> Result<(), PictureError> {
        let known = self.arenas.len() as u64 + self.unused.len() as u64;
        if u64::from(self.records) != known {
            return wrong(Place::Unused, "records are neither live nor unused");
        }
        let mut seen = vec![false; self.arenas.len() + self.unused.len()];
        let live = self.arenas.iter().map(|arena| (arena.record, Place::Record(arena.record)));
        for (record, place) in live.chain(self.unused.iter().map(|&record| (record, Place::Unused))) {
            match seen.get_mut(record as usize) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return wrong(place, "a record is there twice"),
                None => return wrong(place, "a record lies beyond the end of the table"),
            }
        }
        if let Some(late) = self.arenas.windows(2).find(|pair| pair[0].record >= pair[1].record) {
            return wrong(Place::Record(late[1].record), "the arenas are not in the order of their records");
        }
        Ok(())
    }

    fn check_arenas(&self, profile: &Profile) -> Result<(), PictureError> {
        // Room for the windows before and behind an arena that the radix tree covers.
        let limit = if profile.pointer_bytes == 4 { u64::from(u32::MAX) } else { 1 << 57 };
        let limit = if profile.ownership == Ownership::Radix && profile.address_bits < 57 {
            limit.min(1 << profile.address_bits)
        } else {
            limit
        };
        let most = limit - 2 * profile.arena_size;
        let fits = |base: u64| base.is_multiple_of(PAGE) && base >= profile.arena_size && base <= most;
        let mut bases = Vec::with_capacity(self.arenas.len());
        for arena in &self.arenas {
            let place = Place::Record(arena.record);
            let base = arena.base.0;
            if !fits(base) {
                return wrong(place, "no arena can begin at its address");
            }
            let first = profile.first_pool_addr(arena.base);
            let total = profile.max_pools_in_arena() - u32::from(first != arena.base);
            if arena.ntotalpools != total {
                return wrong(place, "ntotalpools does not fit its address");
            }
            let cursor = arena.pool_address;
            let carved = cursor.bytes_from(first) / profile.pool_size;
            if cursor < first || !cursor.0.is_multiple_of(profile.pool_size) || carved > u64::from(total) {
                return wrong(place, "pool_address does not point to one of its pools");
            }
            let free = u64::from(total) - carved + u64::from(arena.freepools);
            if u64::from(arena.nfreepools) != free {
                return wrong(place, "nfreepools is not the number of its free pools");
            }
            bases.push((base, arena.record));
        }
        bases.sort_unstable();
        if let Some(pair) = bases.windows(2).find(|pair| pair[1].0 - pair[0].0 < profile.arena_size) {
            return wrong(Place::Record(pair[1].1), "its arena lies over another one");
        }
        let carved: u64 = self.arenas.iter().map(|arena| carved_pools(arena, profile)).sum();
        if carved != self.pools.len() as u64 {
            return wrong(Place::Whole, "pools that were carved are missing");
        }
        if self.later_arenas.iter().any(|at| !fits(at.0)) {
            return wrong(Place::Whole, "an arena that was obtained later cannot begin at its address");
        }
        self.check_usable()
    }

    fn check_usable(&self) -> Result<(), PictureError> {
        let with_free = self.arenas.iter().filter(|arena| arena.nfreepools > 0).count();
        if with_free != self.usable.len() {
            return wrong(Place::Usable, "arenas with free pools are not on the list, or others are");
        }
        let mut seen = vec![false; self.arenas.len()];
        let mut before = 0;
        for record in &self.usable {
            let Ok(at) = self.arenas.binary_search_by_key(record, |arena| arena.record) else {
                return wrong(Place::Usable, "a record without an arena is on the list");
            };
            let nfreepools = self.arenas[at].nfreepools;
            if std::mem::replace(&mut seen[at], true) {
                return wrong(Place::Usable, "an arena is on the list twice");
            }
            if nfreepools < before || nfreepools == 0 {
                return wrong(Place::Usable, "the arenas are not in the order of their free pools");
            }
            before = nfreepools;
        }
        Ok(())
    }

    /// Of each pool, which list it is on; no pool is on two.
    fn check_lists(&self, profile: &Profile) -> Result<Vec<Listed>, PictureError> {
        let mut listed = vec![Listed::Nowhere; self.pools.len()];
        let mut freepools = self.freepools.as_slice();
        let mut first = 0;
        for arena in &self.arenas {
            let place = Place::Record(arena.record);
            let Some((mine, rest)) = freepools.split_at_checked(arena.freepools as usize) else {
                return wrong(place, "its freepools end too early");
            };
            freepools = rest;
            let carved = carved_pools(arena, profile);
            for &number in mine {
                if u64::from(number) >= carved {
                    return wrong(place, "a pool on its freepools was never carved");
                }
                let entry = &mut listed[first + number as usize];
                if std::mem::replace(entry, Listed::Free) != Listed::Nowhere {
                    return wrong(place, "a pool is on its freepools twice");
                }
            }
            first += carved as usize;
        }
        if !freepools.is_empty() {
            return wrong(Place::Whole, "free pools are left over that no arena has");
        }
        if self.used.len() != usize::from(profile.nb_small_size_classes()) {
            return wrong(Place::Whole, "usedpools has not one list for each class");
        }
        for (class, list) in (0..).map(SizeClass).zip(&self.used) {
            for &pool in list {
                let Some(entry) = listed.get_mut(pool as usize) else {
                    return wrong(Place::Used(class), "a pool on the list was never carved");
                };
                if std::mem::replace(entry, Listed::Used(class)) != Listed::Nowhere {
                    return wrong(Place::Used(class), "a pool is on this list and on another, or twice");
                }
            }
        }
        Ok(listed)
    }

    fn check_pools(&self, profile: &Profile, listed: &[Listed]) -> Result<(), PictureError> {
        let in_all: u64 = self.pools.iter().map(|pool| u64::from(pool.free)).sum();
        if in_all != self.free.len() as u64 {
            return wrong(Place::Whole, "the free lists are longer or shorter than the pools say");
        }
        let mut seen = Vec::new();
        for ((_, at, pool, free), listed) in self.pools(profile).zip(listed) {
            let place = Place::Pool(at);
            let &PoolPicture { class, in_use, carved, free: count } = pool;
            let class = SizeClass(class);
            if class.0 >= profile.nb_small_size_classes() {
                return wrong(place, "its class is none");
            }
            let most = profile.num_blocks(class);
            // A pool links two blocks as soon as a class has it.
            if carved < 2 || u64::from(carved) > most {
                return wrong(place, "nextoffset does not point to one of its blocks");
            }
            if u32::from(in_use) + u32::from(count) != u32::from(carved) {
                return wrong(place, "used and free blocks are not those that were carved");
            }
            let is_full = u64::from(in_use) == most;
            if count == 0 && !is_full {
                return wrong(place, "it has no free block and is not full");
            }
            let expected = match in_use {
                0 => Listed::Free,
                _ if is_full => Listed::Nowhere,
                _ => Listed::Used(class),
            };
            if *listed != expected {
                return wrong(place, "it is on the wrong list for its count");
            }
            seen.clear();
            seen.resize(usize::from(carved), false);
            for &number in free {
                match seen.get_mut(usize::from(number)) {
                    Some(seen) if !*seen => *seen = true,
                    Some(_) => return wrong(place, "its free list is circular"),
                    None => return wrong(place, "its free list leaves the carved blocks"),
                }
            }
        }
        Ok(())
    }
}

/// Pools carved from an arena, 0 where its cursor points elsewhere.
fn carved_pools(arena: &ArenaPicture, profile: &Profile) -> u64 {
    let first = profile.first_pool_addr(arena.base);
    arena.pool_address.0.saturating_sub(first.0) / profile.pool_size
}
