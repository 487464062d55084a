//! pymalloc's state out of the copy, exactly: all that a machine needs to go on as the process would.
//!
//! A [`Picture`] has what lies in the blocks. What is read here beside it are the lists: which pool, arena and record comes next.

use hashbrown::HashMap;
use sim_core::picture::{ArenaPicture, HeapPicture, PictureError, PoolPicture};
use sim_core::{Addr, Profile};

use super::layout::{ARENA_OBJECT, CLASSES, Geometry};
use super::memory::{Memory, word_of};
use super::picture::Picture;
use super::pools::{Pool, header_of};
use super::tables::{ArenaObject, Table};

/// Why a heap cannot be gone on from: it was stopped in the middle of malloc or free, went on while it was copied, or was overwritten.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No such table.
    #[error("there is no table of arenas with that number")]
    NoTable,
    /// A pool that was not copied, or has no class.
    #[error("the pool at {0:#x} is no pool of a class")]
    NoPool(u64),
    /// A pool whose count and free list disagree.
    #[error("the pool at {0:#x} is in the middle of a change; look again")]
    InFlight(u64),
    /// A list that does not lead from its head to its end.
    #[error("{list} does not lead from its head to its end, at {at:#x}; look again")]
    List {
        /// As CPython calls it.
        list: &'static str,
        /// The member at which it leaves the way.
        at: u64,
    },
    /// What was read does not agree.
    #[error("{0}")]
    Picture(#[from] PictureError),
}

/// A carved pool of a table, with the links in its header.
struct Carved {
    pool: Pool,
    next: u64,
    prev: u64,
}

impl Picture {
    /// The profile that its process runs with.
    pub fn profile(&self) -> Profile {
        Profile::for_python(&format!("3.{}", self.version.minor)).profile
    }

    /// pymalloc's state of a table, by its place in [`Picture::tables`]; the main interpreter's is the first. It was checked.
    pub fn heap(&self, memory: &Memory, table: usize) -> Result<HeapPicture, StartError> {
        let table = self.tables.get(table).ok_or(StartError::NoTable)?;
        let geometry = self.geometry;
        let pools = carved(memory, geometry, table)?;
        let place: HashMap<u64, u32> = pools.iter().map(|carved| carved.pool.addr).zip(0..).collect();
        let mut heap = HeapPicture {
            arena_bytes: geometry.arena,
            pool_bytes: geometry.pool,
            records: table.records as u32,
            usable: usable(table)?,
            unused: unused(memory, table)?,
            used: used(&pools, &place)?,
            ..HeapPicture::default()
        };
        for Carved { pool, .. } in &pools {
            heap.free.extend(&pool.free);
            heap.pools.push(PoolPicture {
                class: pool.class as u16,
                in_use: u16::try_from(pool.count).map_err(|_| StartError::InFlight(pool.addr))?,
                carved: pool.carved as u16,
                free: pool.free.len() as u16,
            });
        }
        for arena in &table.arenas {
            let before = heap.freepools.len();
            freepools(arena, geometry, &pools, &place, &mut heap.freepools)?;
            heap.arenas.push(ArenaPicture {
                record: arena.index,
                base: Addr(arena.address),
                pool_address: Addr(arena.pool_address),
                nfreepools: arena.nfreepools,
                ntotalpools: arena.ntotalpools,
                freepools: (heap.freepools.len() - before) as u32,
            });
        }
        heap.check(&self.profile())?;
        Ok(heap)
    }
}

/// All pools that were carved from a table's arenas, by arena and address.
fn carved(memory: &Memory, geometry: Geometry, table: &Table) -> Result<Vec<Carved>, StartError> {
    let mut all = Vec::new();
    for arena in &table.arenas {
        let first = arena.first_pool(geometry);
        for number in 0..arena.carved(geometry) {
            let addr = first + number * geometry.pool;
            let bytes = memory.slice(addr, geometry.pool).ok_or(StartError::NoPool(addr))?;
            let pool = header_of(bytes, addr, geometry).ok_or(StartError::NoPool(addr))?;
            if pool.in_flight {
                return Err(StartError::InFlight(addr));
            }
            all.push(Carved { pool, next: word_of(bytes, 16), prev: word_of(bytes, 24) });
        }
    }
    Ok(all)
}

/// `usable_arenas`, head first: of the arenas with a free pool the one with none before it, and those it leads to.
fn usable(table: &Table) -> Result<Vec<u32>, StartError> {
    let wrong = |at: u64| StartError::List { list: "usable_arenas", at };
    let with_free: Vec<&ArenaObject> = table.arenas.iter().filter(|arena| arena.nfreepools > 0).collect();
    let mut list = Vec::new();
    let Some(mut arena) = with_free.iter().find(|arena| arena.prevarena == 0) else {
        return with_free.first().map_or(Ok(list), |arena| Err(wrong(arena.address)));
    };
    loop {
        list.push(arena.index);
        if arena.nextarena == 0 {
            break;
        }
        let next = record_at(table, arena.nextarena).filter(|_| list.len() < with_free.len());
        let place = next.and_then(|next| with_free.binary_search_by_key(&next, |arena| arena.index).ok());
        let next = &with_free[place.ok_or_else(|| wrong(arena.address))?];
        if record_at(table, next.prevarena) != Some(arena.index) {
            return Err(wrong(next.address));
        }
        arena = next;
    }
    if list.len() == with_free.len() { Ok(list) } else { Err(wrong(arena.address)) }
}

/// `unused_arena_objects`, top first: the record without an arena that no other leads to, and those it leads to.
fn unused(memory: &Memory, table: &Table) -> Result<Vec<u32>, StartError> {
    let wrong = |record: u32| {
        let at = table.addr + u64::from(record) * ARENA_OBJECT;
        StartError::List { list: "unused_arena_objects", at }
    };
    let mut live = table.arenas.iter().map(|arena| arena.index).peekable();
    // Of each record, where it leads; nothing for those with an arena.
    let mut next = Vec::new();
    for record in 0..table.records as u32 {
        if live.next_if_eq(&record).is_some() {
            next.push(None);
            continue;
        }
        let at = table.addr + u64::from(record) * ARENA_OBJECT + 32;
        next.push(Some(memory.word(at).ok_or_else(|| wrong(record))?));
    }
    let mut is_led_to = vec![false; next.len()];
    for link in next.iter().flatten() {
        if let Some(to) = record_at(table, *link).and_then(|to| is_led_to.get_mut(to as usize)) {
            *to = true;
        }
    }
    let in_all = next.iter().flatten().count();
    let top = next.iter().zip(&is_led_to).position(|(link, led)| link.is_some() && !led);
    let mut list = Vec::new();
    let mut at = top;
    while let Some(record) = at {
        let link = next.get(record).copied().flatten().filter(|_| list.len() < in_all);
        let link = link.ok_or_else(|| wrong(record as u32))?;
        list.push(record as u32);
        at = match link {
            0 => None,
            link => Some(record_at(table, link).ok_or_else(|| wrong(record as u32))? as usize),
        };
    }
    if list.len() == in_all { Ok(list) } else { Err(wrong(list.last().copied().unwrap_or(0))) }
}

/// The record that a link leads to.
fn record_at(table: &Table, link: u64) -> Option<u32> {
    let offset = link.checked_sub(table.addr)?;
    let record = offset / ARENA_OBJECT;
    (offset.is_multiple_of(ARENA_OBJECT) && record < table.records).then_some(record as u32)
}

/// The pools on an arena's `freepools`, top first, by number in the arena.
fn freepools(
    arena: &ArenaObject,
    geometry: Geometry,
    pools: &[Carved],
    place: &HashMap<u64, u32>,
    list: &mut Vec<u32>,
) -> Result<(), StartError> {
    let first = arena.first_pool(geometry);
    let mut at = arena.freepools;
    for _ in 0..=arena.carved(geometry) {
        if at == 0 {
            return Ok(());
        }
        let inside = at.wrapping_sub(first) / geometry.pool < arena.carved(geometry);
        let Some(pool) = place.get(&at).filter(|_| inside).and_then(|place| pools.get(*place as usize))
        else {
            break;
        };
        list.push(((at - first) / geometry.pool) as u32);
        at = pool.next;
    }
    Err(StartError::List { list: "freepools", at })
}

/// `usedpools` by class, front first. A class's list is a ring through the variable itself, so the front is the pool whose `prevpool`
/// is no pool.
fn used(pools: &[Carved], place: &HashMap<u64, u32>) -> Result<Vec<Vec<u32>>, StartError> {
    let mut lists = vec![Vec::new(); CLASSES as usize];
    let mut members = vec![0_usize; CLASSES as usize];
    for Carved { pool, .. } in pools {
        if let Some(count) = members.get_mut(pool.class as usize) {
            *count += usize::from(is_listed(pool));
        }
    }
    for (front, carved) in (0..).zip(pools) {
        let class = carved.pool.class as usize;
        if !is_listed(&carved.pool) || place.contains_key(&carved.prev) {
            continue;
        }
        let wrong = |at: &Carved| StartError::List { list: "usedpools", at: at.pool.addr };
        let (Some(list), Some(&most)) = (lists.get_mut(class), members.get(class)) else { continue };
        if !list.is_empty() {
            return Err(wrong(carved));
        }
        let (mut here, mut at) = (carved, front);
        list.push(front);
        while let Some(&next) = place.get(&here.next) {
            let there = pools.get(next as usize).filter(|_| list.len() < most).ok_or_else(|| wrong(here))?;
            if place.get(&there.prev) != Some(&at) || there.pool.class as usize != class {
                return Err(wrong(there));
            }
            (here, at) = (there, next);
            list.push(next);
        }
    }
    // A pool that no front leads to.
    for (list, most) in lists.iter().zip(members) {
        if list.len() != most {
            let at = list.last().and_then(|at| pools.get(*at as usize)).map_or(0, |carved| carved.pool.addr);
            return Err(StartError::List { list: "usedpools", at });
        }
    }
    Ok(lists)
}

/// Whether a pool is on its class's list: some of its blocks are in use and some are free.
fn is_listed(pool: &Pool) -> bool {
    pool.count > 0 && !pool.free.is_empty()
}
