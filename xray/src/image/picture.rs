//! What a process's arenas hold, block by block.

use super::chunks::{Chunk, Chunks};
use super::heaps::Heaps;
use super::layout::{Geometry, POOL_HEADER, Version, is_free_threaded};
use super::memory::{Memory, word_of};
use super::pools::Pools;
use super::tables::{self, Table};
use super::types::{HEAD, Object, Room, STARTS, TypeObject, Types};

/// Why there is no picture.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// No program and no library of it is a `CPython`.
    #[error(
        "nothing that is mapped is named as a CPython is (python3.X, libpython3.X.so); if one is built into the program, say its version"
    )]
    NoPython,
    /// Another version.
    #[error("this is CPython 3.{0}, whose layout is not known; 3.8 to 3.15 are")]
    UnknownVersion(u8),
    /// A build without the global lock.
    #[error(
        "this is a free-threaded build of CPython 3.{0}, whose objects and blocks lie differently; that is not read yet"
    )]
    FreeThreaded(u8),
    /// Neither arenas nor objects.
    #[error(
        "neither arenas of pymalloc nor objects in the C library's heap are there: it is not a CPython of a known layout, or its malloc is \
         one that is not known"
    )]
    NoArenas,
    /// Arenas, but no objects.
    #[error("arenas of pymalloc are there, but no type object: the layout is not that of CPython 3.{0}")]
    NoTypes(u8),
}

/// The picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Whose layout it was read by.
    pub version: Version,
    /// Sizes of arenas and pools.
    pub geometry: Geometry,
    /// Tables of arenas, that of the main interpreter first.
    pub tables: Vec<Table>,
    /// Pools.
    pub pools: Pools,
    /// Types of the objects.
    pub types: Vec<TypeObject>,
    /// What is in each block of [`Pools::used`]; nothing in a free one, and in one that is no object.
    pub objects: Vec<Option<Object>>,
    /// Blocks outside the arenas.
    pub chunks: Chunks,
    /// What is in each of them; nothing in a free one, and in one that is no object.
    pub chunk_objects: Vec<Option<Object>>,
    /// Whose the heaps outside the arenas are.
    pub heaps: Heaps,
}

/// The version of the `CPython` whose files are mapped.
pub fn version_of(memory: &Memory) -> Result<Version, PictureError> {
    let names = || memory.mappings().iter().map(|mapping| mapping.name.as_str());
    match version_of_names(names()) {
        None => Err(PictureError::NoPython),
        Some(version) if names().any(is_free_threaded) => Err(PictureError::FreeThreaded(version.minor)),
        Some(version) if !version.is_known() => Err(PictureError::UnknownVersion(version.minor)),
        Some(version) => Ok(version),
    }
}

/// The version that names of mapped files tell: of a program or library, else of an extension module.
pub fn version_of_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Version> {
    names.clone().find_map(Version::of_file).or_else(|| names.into_iter().find_map(Version::of_extension))
}

impl Picture {
    /// Of a copy of a process that runs this version.
    pub fn of(memory: &Memory, version: Version) -> Result<Self, PictureError> {
        if !version.is_known() {
            return Err(PictureError::UnknownVersion(version.minor));
        }
        let geometry = version.geometry();
        let tables = tables::find(memory, geometry);
        let pools = Pools::of(memory, geometry, &tables);
        let arenas = tables.iter().flat_map(|table| &table.arenas);
        let ends: Vec<(u64, u64)> =
            arenas.map(|arena| (arena.address, arena.address.saturating_add(geometry.arena))).collect();
        let (heaps, chunks) = Heaps::find(memory, &ends);
        let blocks = || {
            pools.in_use().filter_map(|(pool, block)| {
                Some((pool, block, memory.slice(pool.block(block), pool.block_bytes())?))
            })
        };
        let head = |chunk: &Chunk| memory.slice(chunk.addr, chunk.bytes.min(HEAD));
        let in_use = || chunks.all.iter().filter(|chunk| chunk.state.is_used());
        // Debug hooks put 16 bytes before an object, or twice as many.
        let of_block = |bytes| STARTS.into_iter().chain([48]).map(move |at| word_of(bytes, at as usize + 8));
        let of_chunk = |bytes| (0..80).step_by(16).map(move |at| word_of(bytes, at + 8));
        let words = blocks().flat_map(|(_, _, bytes)| of_block(bytes));
        let words = words.chain(in_use().filter_map(head).flat_map(of_chunk));
        let missing =
            || if tables.is_empty() { PictureError::NoArenas } else { PictureError::NoTypes(version.minor) };
        let mut types = Types::find(memory, version, words).ok_or_else(missing)?;
        let mut objects = vec![None; pools.used.len()];
        for (pool, block, bytes) in blocks() {
            let object = types.object(pool.block(block), bytes, pool.block_bytes(), Room::Rounded);
            objects[(pool.first + block) as usize] = object;
        }
        let in_chunk = |chunk: &Chunk| {
            let bytes = head(chunk).filter(|_| chunk.state.is_used())?;
            types.object(chunk.addr, bytes, chunk.bytes, Room::AtMost)
        };
        let chunk_objects = chunks.all.iter().map(in_chunk).collect();
        let types = types.into_all();
        Ok(Self { version, geometry, tables, pools, types, objects, chunks, chunk_objects, heaps })
    }

    /// Blocks in use in arenas, with what is in each.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, u64, Option<Object>)> + '_ {
        self.pools.in_use().map(|(pool, block)| {
            (pool.block(block), pool.block_bytes(), self.objects[(pool.first + block) as usize])
        })
    }

    /// Chunks in use, with what is in each.
    pub fn used_chunks(&self) -> impl Iterator<Item = (Chunk, Option<Object>)> + '_ {
        let all = self.chunks.all.iter().zip(&self.chunk_objects);
        all.filter(|(chunk, _)| chunk.state.is_used()).map(|(chunk, object)| (*chunk, *object))
    }

    /// The block in use that an address lies in, in arenas or outside of them, and what is in it.
    pub fn block_at(&self, addr: u64) -> Option<(u64, u64, Option<Object>)> {
        let pool = addr & !(self.geometry.pool - 1);
        let Some(found) = self.pools.at(pool) else {
            let at = self.chunks.at(addr)?;
            let chunk = self.chunks.all[at];
            return chunk.state.is_used().then(|| (chunk.addr, chunk.bytes, self.chunk_objects[at]));
        };
        let number = addr.checked_sub(pool + POOL_HEADER)? / found.block_bytes();
        let at = (found.first as usize).checked_add(number as usize)?;
        let in_use = number < u64::from(found.carved) && self.pools.used[at];
        in_use.then(|| (found.block(number as u32), found.block_bytes(), self.objects[at]))
    }

    /// Of each arena the bytes of its blocks in use.
    pub fn used_of_arenas(&self) -> Vec<u64> {
        let firsts = self.first_arenas();
        let mut used = vec![0; self.arenas() as usize];
        for pool in &self.pools.pools {
            used[firsts[pool.table as usize] + pool.arena as usize] +=
                u64::from(pool.count) * pool.block_bytes();
        }
        used
    }

    /// For each table, the place of its first arena in a list of all.
    pub fn first_arenas(&self) -> Vec<usize> {
        let sums = self.tables.iter().scan(0, |sum, table| {
            let first = *sum;
            *sum += table.arenas.len();
            Some(first)
        });
        sums.collect()
    }

    /// Arenas in all.
    pub fn arenas(&self) -> u64 {
        self.tables.iter().map(|table| table.arenas.len() as u64).sum()
    }
}
