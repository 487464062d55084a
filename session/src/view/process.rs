//! The process of which a trace has the picture: where it comes from, where its memory is, and what is in a block.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
pub use sim_core::picture::PictureSource;
use sim_core::picture::{BlockFlags, ChunkState, Inventory, ProcessPicture};
use sim_core::{Profile, SizeClass};

use crate::diagnosis::verdict;
use crate::run::Session;

/// Types that are told at most.
const TYPES: usize = 200;
/// Owners of chunks that are told at most.
const OWNERS: usize = 40;
/// Types of what refers to a block, and of what it refers to.
const TYPES_BESIDE: usize = 4;

/// A type with what its objects take.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TypeFacts {
    /// Module and qualified name: the process's own text.
    pub name: String,
    /// Objects in pymalloc's arenas.
    pub blocks: u64,
    /// The bytes of their blocks.
    pub block_bytes: u64,
    /// Objects in chunks of the C library.
    pub chunks: u64,
    /// Bytes of those.
    pub chunk_bytes: u64,
}

impl TypeFacts {
    /// Bytes of all its objects.
    pub fn bytes(&self) -> u64 {
        self.block_bytes.saturating_add(self.chunk_bytes)
    }
}

/// Chunks of the C library of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChunkSum {
    /// Whose they are, or what they are where nobody has them.
    pub name: String,
    /// How many.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A process, as it was when the picture was taken.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Where the picture comes from.
    pub source: PictureSource,
    /// Parts of the resident memory and their bytes, in the order they are told.
    pub parts: Vec<(String, u64)>,
    /// What there is to say of them, the weightiest first, with how many bytes it is said of.
    pub findings: Vec<(String, u64)>,
    /// Types, those with most bytes first.
    pub types: Vec<TypeFacts>,
    /// Types that have an object, in all.
    pub all_types: u64,
    /// Chunks that somebody has, by owner, those with most bytes first.
    pub owners: Vec<ChunkSum>,
    /// Owners that have a chunk, in all.
    pub all_owners: u64,
    /// Chunks by state.
    pub states: Vec<ChunkSum>,
}

impl ProcessFacts {
    /// Of the trace that is open, where it begins with a picture.
    pub(super) fn of_session(session: &Session) -> Option<Self> {
        let picture = session.trace().origin.picture.as_ref()?;
        Some(Self::of(picture, session.profile()))
    }

    /// Of a picture under the profile that its heaps are of.
    fn of(picture: &ProcessPicture, profile: &Profile) -> Self {
        let inventory = &picture.inventory;
        let (types, all_types) = types(picture, profile);
        let (owners, all_owners) = owners(inventory);
        Self {
            source: inventory.source.clone(),
            parts: inventory.parts.iter().map(|part| (part.name.clone(), part.bytes)).collect(),
            findings: inventory
                .findings
                .iter()
                .map(|found| (verdict::says(found.cause).to_owned(), found.bytes))
                .collect(),
            types,
            all_types,
            owners,
            all_owners,
            states: states(inventory),
        }
    }
}

/// Types by the bytes of their objects, and how many there are.
fn types(picture: &ProcessPicture, profile: &Profile) -> (Vec<TypeFacts>, u64) {
    let inventory = &picture.inventory;
    let mut sums = vec![[0_u64; 4]; inventory.types.len() + 1];
    let mut add = |number: u32, at: usize, bytes: u64| {
        if let Some(sum) = sums.get_mut(number as usize) {
            sum[at] += 1;
            sum[at + 1] = sum[at + 1].saturating_add(bytes);
        }
    };
    let mut column = inventory.blocks.types.iter();
    for pool in picture.heaps.iter().flat_map(|heap| &heap.pools) {
        let bytes = profile.block_size(SizeClass(pool.class));
        for number in column.by_ref().take(usize::from(pool.in_use)) {
            add(*number, 0, bytes);
        }
    }
    for chunk in inventory.chunks.iter().filter(|chunk| chunk.state.is_used()) {
        add(chunk.type_number, 2, chunk.bytes);
    }
    let rows = inventory.types.iter().zip(sums.iter().skip(1));
    let mut rows: Vec<TypeFacts> = rows
        .filter(|(_, [blocks, _, chunks, _])| blocks + chunks > 0)
        .map(|(of, &[blocks, block_bytes, chunks, chunk_bytes])| TypeFacts {
            name: of.name.clone(),
            blocks,
            block_bytes,
            chunks,
            chunk_bytes,
        })
        .collect();
    let all = rows.len() as u64;
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes()));
    rows.truncate(TYPES);
    (rows, all)
}

/// Who has chunks, and how many owners there are.
fn owners(inventory: &Inventory) -> (Vec<ChunkSum>, u64) {
    let mut sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for chunk in inventory.chunks.iter().filter(|chunk| chunk.state.is_used()) {
        let sum = sums.entry(chunk.owner).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(chunk.bytes));
    }
    let all = sums.len() as u64;
    let mut rows: Vec<ChunkSum> = sums
        .into_iter()
        .map(|(owner, (chunks, bytes))| ChunkSum {
            name: named(&inventory.owners, owner).unwrap_or_else(|| "not known".to_owned()),
            chunks,
            bytes,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    rows.truncate(OWNERS);
    (rows, all)
}

/// What chunks are used for.
fn states(inventory: &Inventory) -> Vec<ChunkSum> {
    let name = |state| match state {
        ChunkState::Used => "in use",
        ChunkState::Mapped => "in use, with a mapping of its own",
        ChunkState::Free => "free, in bins",
        ChunkState::Cached => "free, in caches of threads",
        ChunkState::Fast => "free, in fast bins",
        ChunkState::Top => "ends of heaps",
    };
    let rows = (0..=u8::MAX).map_while(ChunkState::of_code).map(|state| {
        let those = inventory.chunks.iter().filter(|chunk| chunk.state == state);
        let (chunks, bytes) =
            those.fold((0, 0_u64), |(chunks, bytes), chunk| (chunks + 1, bytes.saturating_add(chunk.bytes)));
        ChunkSum { name: name(state).to_owned(), chunks, bytes }
    });
    rows.filter(|row| row.chunks > 0).collect()
}

/// The text with a number that counts from 1.
pub(super) fn named(texts: &[String], number: u32) -> Option<String> {
    texts.get((number as usize).checked_sub(1)?).cloned()
}

/// Blocks that refer to one, or that one refers to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbours {
    /// How many blocks and chunks.
    pub blocks: u64,
    /// Their commonest types, with how many of them each has.
    pub types: Vec<(String, u64)>,
}

/// What is in a block that was there when the picture was taken. Texts are the process's own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// Its type; none where it is no object.
    pub of_type: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// By which way it is held.
    pub way: Option<String>,
    /// Python keeps it for the next object of its type.
    pub free_listed: bool,
    /// Its pool was in the middle of a change.
    pub in_flight: bool,
    /// What refers to it, where the picture has references.
    pub referrers: Option<Neighbours>,
    /// What it refers to, its own buffers with it, where the picture has references.
    pub refers_to: Option<Neighbours>,
}

impl ObjectFacts {
    /// Of the block in use with a number.
    pub(super) fn of(picture: &ProcessPicture, block: u32) -> Self {
        let inventory = &picture.inventory;
        let columns = &inventory.blocks;
        let number = |column: &[u32]| column.get(block as usize).copied().unwrap_or_default();
        let flags = columns.flags.get(block as usize).copied().unwrap_or_default();
        Self {
            of_type: type_name(inventory, number(&columns.types)),
            owner: named(&inventory.owners, number(&columns.owners)),
            way: named(&inventory.paths, number(&columns.paths)),
            free_listed: flags & BlockFlags::FREE_LISTED != 0,
            in_flight: flags & BlockFlags::IN_FLIGHT != 0,
            referrers: Neighbours::of(picture, |(from, to)| (to == block).then_some(from)),
            refers_to: Neighbours::of(picture, |(from, to)| (from == block).then_some(to)),
        }
    }
}

pub(super) fn type_name(inventory: &Inventory, number: u32) -> Option<String> {
    inventory.types.get((number as usize).checked_sub(1)?).map(|of| of.name.clone())
}

impl Neighbours {
    /// Those that `pick` finds among the references, if there are any.
    fn of(picture: &ProcessPicture, pick: impl Fn((u32, u32)) -> Option<u32>) -> Option<Self> {
        let inventory = &picture.inventory;
        if inventory.edges.is_empty() {
            return None;
        }
        let all = picture.blocks();
        let mut by_type: BTreeMap<u32, u64> = BTreeMap::new();
        let mut blocks = 0;
        for node in inventory.edges.iter().filter_map(|edge| pick(*edge)) {
            let number = match u64::from(node).checked_sub(all) {
                None => inventory.blocks.types.get(node as usize).copied(),
                Some(chunk) => inventory.chunks.get(chunk as usize).map(|chunk| chunk.type_number),
            };
            *by_type.entry(number.unwrap_or_default()).or_default() += 1;
            blocks += 1;
        }
        let mut types: Vec<(u32, u64)> = by_type.into_iter().collect();
        types.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        types.truncate(TYPES_BESIDE);
        let name = |number| type_name(inventory, number).unwrap_or_else(|| "buffer".to_owned());
        let types = types.into_iter().map(|(number, count)| (name(number), count)).collect();
        Some(Self { blocks, types })
    }
}

#[cfg(test)]
mod tests {
    use sim_core::picture::{BlockColumns, ChunkRow, HeapPicture, PoolPicture, TypeRow};

    use super::*;

    fn picture() -> ProcessPicture {
        let of = |name: &str| TypeRow { name: name.to_owned(), ..TypeRow::default() };
        let chunk = |address, bytes, type_number, owner, state| ChunkRow {
            address,
            bytes,
            type_number,
            owner,
            state,
            ..ChunkRow::default()
        };
        let pool = |class, in_use| PoolPicture { class, in_use, carved: in_use, free: 0 };
        ProcessPicture {
            heaps: vec![HeapPicture { pools: vec![pool(2, 2), pool(0, 1)], ..HeapPicture::default() }],
            inventory: Inventory {
                types: vec![of("int"), of("dict"), of("never")],
                owners: vec!["module a".to_owned()],
                paths: vec!["a.cache".to_owned()],
                blocks: BlockColumns {
                    types: vec![1, 2, 1],
                    owners: vec![1, 0, 0],
                    paths: vec![1, 0, 0],
                    flags: vec![0, BlockFlags::FREE_LISTED, 0],
                },
                edges: vec![(1, 0), (2, 0), (3, 0), (0, 1)],
                chunks: vec![
                    chunk(0x1000, 600, 2, 1, ChunkState::Used),
                    chunk(0x2000, 50, 0, 0, ChunkState::Mapped),
                    chunk(0x3000, 7000, 0, 0, ChunkState::Free),
                ],
                ..Inventory::default()
            },
        }
    }

    #[test]
    fn types_have_the_bytes_of_their_blocks_and_chunks() {
        let facts = ProcessFacts::of(&picture(), &Profile::default());
        let types: Vec<_> =
            facts.types.iter().map(|of| (of.name.as_str(), of.blocks, of.block_bytes, of.bytes())).collect();
        // Classes 2 and 0 have blocks of 48 and 16 bytes.
        assert_eq!(types, [("dict", 1, 48, 648), ("int", 2, 64, 64)]);
        assert_eq!(facts.all_types, 2);
        let sums = |rows: &[ChunkSum]| rows.iter().map(|row| (row.chunks, row.bytes)).collect::<Vec<_>>();
        assert_eq!(sums(&facts.owners), [(1, 600), (1, 50)]);
        assert_eq!(sums(&facts.states), [(1, 600), (1, 50), (1, 7000)]);
    }

    #[test]
    fn a_block_is_told_with_what_refers_to_it() {
        let facts = ObjectFacts::of(&picture(), 0);
        assert_eq!((facts.of_type.as_deref(), facts.way.as_deref()), (Some("int"), Some("a.cache")));
        let referrers = facts.referrers.unwrap();
        assert_eq!(referrers.blocks, 3);
        // The third is a chunk, by its number behind the blocks.
        assert_eq!(referrers.types, [("dict".to_owned(), 2), ("int".to_owned(), 1)]);
        let own = facts.refers_to.unwrap();
        assert_eq!((own.blocks, own.types), (1, vec![("dict".to_owned(), 1)]));
        let other = ObjectFacts::of(&picture(), 1);
        assert!(other.free_listed && other.owner.is_none());
        assert_eq!(ObjectFacts::of(&picture(), 99).of_type, None);
    }
}
