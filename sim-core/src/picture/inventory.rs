//! What is known of a process beside pymalloc's state: types, owners, ways, mappings, and where its memory is.
//!
//! Plain tables and columns. Whatever is not known is empty. Numbers of types, owners and paths count from 1; 0 is none.

use super::check::{PictureError, Place};

/// Where a picture comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PictureSource {
    /// The version of Python: `3.11`, or `3.11.7` where the patch is known.
    pub python: String,
    /// The process, 0 where it was a core file.
    pub pid: u32,
    /// The core file's name without its folders; empty where it was a process.
    pub core: String,
    /// When it was taken, in seconds since 1970; 0 where that is not known.
    pub taken_s: u64,
    /// How long the process did not run for it, in microseconds.
    pub pause_us: u64,
    /// Resident memory as the system counted it, in bytes; 0 where that is not known.
    pub resident_bytes: u64,
    /// It went on running meanwhile, so that parts of the picture may be of different moments.
    pub approximate: bool,
    /// Keys and short values were taken too, not names of types, modules and attributes alone.
    pub contents: bool,
}

/// A type.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TypeRow {
    /// Module and qualified name. It is the process's own text: hostile.
    pub name: String,
    /// Where the type object lies.
    pub address: u64,
    /// `tp_basicsize` in bytes.
    pub basicsize: u64,
    /// `tp_flags`.
    pub flags: u64,
}

/// Marks of a block or chunk, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockFlags;

impl BlockFlags {
    /// Python keeps it for the next object of its type; no program has it.
    pub const FREE_LISTED: u8 = 1;
    /// Its pool was in the middle of a change.
    pub const IN_FLIGHT: u8 = 2;
}

/// What is in each block in use, of all heaps: by heap, arena, pool and number in the pool. Each column has an entry for each
/// block, or none at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlockColumns {
    /// Its type, a number in [`Inventory::types`].
    pub types: Vec<u32>,
    /// Whose it is, a number in [`Inventory::owners`].
    pub owners: Vec<u32>,
    /// By which way it is held, a number in [`Inventory::paths`].
    pub paths: Vec<u32>,
    /// [`BlockFlags`].
    pub flags: Vec<u8>,
}

/// A mapping.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MappingRow {
    /// Its first byte.
    pub lo: u64,
    /// Behind its last.
    pub hi: u64,
    /// Bits: 1 it may be read, 2 written, 4 run, 8 it is shared.
    pub permissions: u8,
    /// The file's name without its folders, or `[heap]` and its like; empty for memory of nobody's file.
    pub name: String,
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Of these, bytes that no other process maps.
    pub private_bytes: u64,
}

/// What of a pool is in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolMemory {
    /// Bytes in memory.
    pub resident_bytes: u32,
    /// Of these, bytes that no other process maps.
    pub private_bytes: u32,
}

/// A part of the resident memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartRow {
    /// What it is.
    pub name: String,
    /// Bytes in memory.
    pub bytes: u64,
}

/// What a process's memory is for the most part, or what of it could come back. Its number stands in files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Cause {
    /// The C library has memory that was freed and would give it back if asked.
    CLibraryFree = 0,
    /// C code has lost blocks.
    LostInC = 1,
    /// Few blocks keep arenas.
    Pinned = 2,
    /// Arenas have much free memory, but none hardly anything in it.
    Spread = 3,
    /// Large objects and buffers, which lie outside the arenas.
    Buffers = 4,
    /// Native code and its memory.
    Native = 5,
    /// Objects in arenas: the program has them.
    Objects = 6,
    /// Pages of mimalloc have much free memory.
    MimallocFree = 7,
}

impl Cause {
    /// The cause with a number.
    pub fn of_code(code: u8) -> Option<Self> {
        let all = [
            Self::CLibraryFree,
            Self::LostInC,
            Self::Pinned,
            Self::Spread,
            Self::Buffers,
            Self::Native,
            Self::Objects,
            Self::MimallocFree,
        ];
        all.get(usize::from(code)).copied()
    }

    /// Its number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CLibraryFree => "c_library_free",
            Self::LostInC => "lost_in_c",
            Self::Pinned => "pinned",
            Self::Spread => "spread",
            Self::Buffers => "buffers",
            Self::Native => "native",
            Self::Objects => "objects",
            Self::MimallocFree => "mimalloc_free",
        }
    }
}

/// What was found in a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What.
    pub cause: Cause,
    /// How many bytes of it.
    pub bytes: u64,
}

/// What a chunk is used for. Its number stands in files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum ChunkState {
    /// Somebody has it.
    #[default]
    Used = 0,
    /// Somebody has it, and it has a mapping of its own.
    Mapped = 1,
    /// Free, in a bin.
    Free = 2,
    /// Free, in a thread's cache.
    Cached = 3,
    /// Free, in a fast bin.
    Fast = 4,
    /// What is left at the end of a heap.
    Top = 5,
}

impl ChunkState {
    /// The state with a number.
    pub fn of_code(code: u8) -> Option<Self> {
        let all = [Self::Used, Self::Mapped, Self::Free, Self::Cached, Self::Fast, Self::Top];
        all.get(usize::from(code)).copied()
    }

    /// Its number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether somebody has it.
    pub fn is_used(self) -> bool {
        matches!(self, Self::Used | Self::Mapped)
    }
}

/// A block outside pymalloc's arenas.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChunkRow {
    /// Where what was given out begins.
    pub address: u64,
    /// Bytes that whoever has it may use.
    pub bytes: u64,
    /// Its type, as in [`BlockColumns::types`].
    pub type_number: u32,
    /// Whose it is.
    pub owner: u32,
    /// By which way it is held.
    pub path: u32,
    /// What it is used for.
    pub state: ChunkState,
    /// [`BlockFlags`].
    pub flags: u8,
}

/// What is known beside pymalloc's state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// Where it comes from.
    pub source: PictureSource,
    /// Types.
    pub types: Vec<TypeRow>,
    /// What is in each block in use.
    pub blocks: BlockColumns,
    /// Owners, as texts: hostile, as all names are.
    pub owners: Vec<String>,
    /// Ways from roots, as texts.
    pub paths: Vec<String>,
    /// What of each carved pool of all heaps is in memory, in the order of [`super::HeapPicture::pools`]; empty where that is not known.
    pub pool_memory: Vec<PoolMemory>,
    /// What was mapped, by address.
    pub mappings: Vec<MappingRow>,
    /// The resident memory in its parts, in the order they are told.
    pub parts: Vec<PartRow>,
    /// What there is to say of all that, the weightiest first.
    pub findings: Vec<Finding>,
    /// References between blocks: from, to. Numbers below the number of blocks are blocks in use, those from there on chunks.
    pub edges: Vec<(u32, u32)>,
    /// Blocks outside the arenas, by address.
    pub chunks: Vec<ChunkRow>,
}

impl Inventory {
    /// Bytes it takes.
    pub fn state_bytes(&self) -> u64 {
        let texts =
            |texts: &[String]| texts.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
        let types: usize = self.types.iter().map(|row| row.name.len() + size_of::<TypeRow>()).sum();
        let mappings: usize = self.mappings.iter().map(|row| row.name.len() + size_of::<MappingRow>()).sum();
        let parts: usize = self.parts.iter().map(|row| row.name.len() + size_of::<PartRow>()).sum();
        let BlockColumns { types: of, owners, paths, flags } = &self.blocks;
        let columns = 4 * (of.len() + owners.len() + paths.len()) + flags.len();
        let columns = columns + size_of_val(self.pool_memory.as_slice());
        let rest = 8 * self.edges.len()
            + size_of_val(self.chunks.as_slice())
            + size_of_val(self.findings.as_slice());
        (texts(&self.owners) + texts(&self.paths) + types + mappings + parts + columns + rest) as u64
    }

    /// Whether columns have an entry for each of `blocks` blocks and numbers have something that they are of.
    pub fn check(&self, blocks: u64) -> Result<(), PictureError> {
        let wrong = |problem| Err(PictureError::Wrong { place: Place::Inventory, problem });
        let columns = &self.blocks;
        let lengths = [columns.types.len(), columns.owners.len(), columns.paths.len(), columns.flags.len()];
        if lengths.iter().any(|&length| length != 0 && length as u64 != blocks) {
            return wrong("a column has not one entry for each block in use");
        }
        let chunk = |number: fn(&ChunkRow) -> u32| self.chunks.iter().map(number);
        let over = |most: usize, mut numbers: Box<dyn Iterator<Item = u32> + '_>| {
            numbers.any(|number| number as usize > most)
        };
        if over(self.types.len(), Box::new(columns.types.iter().copied().chain(chunk(|c| c.type_number)))) {
            return wrong("a block is of a type that is not in the table");
        }
        if over(self.owners.len(), Box::new(columns.owners.iter().copied().chain(chunk(|c| c.owner)))) {
            return wrong("a block has an owner that is not in the table");
        }
        if over(self.paths.len(), Box::new(columns.paths.iter().copied().chain(chunk(|c| c.path)))) {
            return wrong("a block has a path that is not in the table");
        }
        let nodes = blocks.saturating_add(self.chunks.len() as u64);
        if self.edges.iter().any(|&(from, to)| u64::from(from.max(to)) >= nodes) {
            return wrong("an edge leads from or to a block that is not there");
        }
        let mut end = 0;
        for MappingRow { lo, hi, .. } in &self.mappings {
            if *lo < end || hi <= lo {
                return wrong("the mappings are not in order");
            }
            end = *hi;
        }
        let mut end = 0;
        for ChunkRow { address, bytes, .. } in &self.chunks {
            let Some(hi) = address.checked_add(*bytes) else { return wrong("a chunk has no end") };
            if *address < end {
                return wrong("the chunks are not in order");
            }
            end = hi;
        }
        Ok(())
    }
}
