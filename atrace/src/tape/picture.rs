//! The picture of a process in PICTURE blocks: columns, each in as many blocks as it takes.
//!
//! A block has one column's number and entries of it. What is taken may be damaged or made up: memory stays within a small multiple of what
//! the blocks unpack to, and the picture is checked as a whole before anybody gets it.

use std::io::{self, Write};

use sim_core::Addr;
use sim_core::picture::{
    ArenaPicture, Cause, ChunkRow, ChunkState, Finding, HeapPicture, Inventory, MappingRow, PartRow,
    PictureSource, PoolMemory, PoolPicture, ProcessPicture, TypeRow,
};

use crate::container::{BLOCK_BYTES_MAX, BlockKind, Header};
use crate::stream::Stream;
use crate::varint::{Numbers, distance, moved, put, put_text};

/// Entries of a block at most.
const PIECE: usize = 1 << 18;
/// Raw bytes after which a block is closed.
const PIECE_BYTES: usize = 1 << 20;
/// Heaps that a picture may have: more interpreters than a process has room for.
const HEAPS_MAX: usize = 1 << 12;

/// The columns. Their numbers stand in files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Column {
    Facts = 0,
    Heaps = 1,
    Arenas = 2,
    Usable = 3,
    Unused = 4,
    Pools = 5,
    Free = 6,
    Freepools = 7,
    UsedLengths = 8,
    Used = 9,
    Later = 10,
    BlockTypes = 11,
    BlockOwners = 12,
    BlockPaths = 13,
    BlockFlags = 14,
    Types = 15,
    Owners = 16,
    Paths = 17,
    Mappings = 18,
    Parts = 19,
    Edges = 20,
    Chunks = 21,
    Findings = 22,
    PoolMemory = 23,
    End = 255,
}

impl Column {
    const ALL: [Self; 25] = [
        Self::Facts,
        Self::Heaps,
        Self::Arenas,
        Self::Usable,
        Self::Unused,
        Self::Pools,
        Self::Free,
        Self::Freepools,
        Self::UsedLengths,
        Self::Used,
        Self::Later,
        Self::BlockTypes,
        Self::BlockOwners,
        Self::BlockPaths,
        Self::BlockFlags,
        Self::Types,
        Self::Owners,
        Self::Paths,
        Self::Mappings,
        Self::Parts,
        Self::Edges,
        Self::Chunks,
        Self::Findings,
        Self::PoolMemory,
        Self::End,
    ];

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|column| *column as u8 == code)
    }
}

/// Entries on their way into a block.
struct Out {
    raw: Vec<u8>,
    last: [u64; 2],
}

impl Out {
    fn number(&mut self, number: impl Into<u64>) {
        put(&mut self.raw, number.into());
    }

    fn text(&mut self, text: &str) {
        put_text(&mut self.raw, text);
    }

    /// As the distance from the one before in this block.
    fn near(&mut self, which: usize, number: impl Into<u64>) {
        let number = number.into();
        put(&mut self.raw, distance(self.last[which], number));
        self.last[which] = number;
    }
}

/// Writes all blocks of a picture.
pub(super) fn write_picture<W: Write>(stream: &mut Stream<W>, picture: &ProcessPicture) -> io::Result<()> {
    let heaps = picture.heaps.as_slice();
    let ProcessPicture { inventory, .. } = picture;
    let blocks = picture.blocks();
    inventory.check(blocks).map_err(io::Error::other)?;
    let mut facts = vec![Column::Facts as u8];
    put_facts(&inventory.source, &mut facts);
    stream.write(BlockKind::Picture, 1, 0, &facts)?;
    column(stream, Column::Heaps, heaps, |heap, out| {
        for number in lengths(heap) {
            out.number(number);
        }
    })?;
    let arenas: Vec<ArenaPicture> = heaps.iter().flat_map(|heap| heap.arenas.iter().copied()).collect();
    column(stream, Column::Arenas, &arenas, |arena, out| {
        out.near(0, arena.record);
        out.near(1, arena.base.0);
        out.number(arena.pool_address.bytes_from(arena.base));
        for count in [arena.nfreepools, arena.ntotalpools, arena.freepools] {
            out.number(count);
        }
    })?;
    let near = |number: &u32, out: &mut Out| out.near(0, *number);
    let number = |number: &u32, out: &mut Out| out.number(*number);
    column(stream, Column::Usable, &joined(heaps, |heap| &heap.usable), near)?;
    column(stream, Column::Unused, &joined(heaps, |heap| &heap.unused), near)?;
    column(stream, Column::Pools, &joined(heaps, |heap| &heap.pools), |pool: &PoolPicture, out| {
        out.near(0, pool.class);
        for count in [pool.in_use, pool.carved, pool.free] {
            out.number(count);
        }
    })?;
    column(stream, Column::Free, &joined(heaps, |heap| &heap.free), |free: &u16, out| out.near(0, *free))?;
    column(stream, Column::Freepools, &joined(heaps, |heap| &heap.freepools), near)?;
    let used = || heaps.iter().flat_map(|heap| &heap.used);
    let used_lengths: Vec<u32> = used().map(|list| list.len() as u32).collect();
    column(stream, Column::UsedLengths, &used_lengths, number)?;
    column(stream, Column::Used, &used().flatten().copied().collect::<Vec<_>>(), near)?;
    let later = joined(heaps, |heap| &heap.later_arenas);
    column(stream, Column::Later, &later, |base: &Addr, out| out.near(0, base.0))?;
    column(stream, Column::BlockTypes, &inventory.blocks.types, number)?;
    column(stream, Column::BlockOwners, &inventory.blocks.owners, number)?;
    column(stream, Column::BlockPaths, &inventory.blocks.paths, number)?;
    let plain;
    let flags = if inventory.blocks.flags.is_empty() {
        plain = vec![0; blocks as usize];
        &plain
    } else {
        &inventory.blocks.flags
    };
    column(stream, Column::BlockFlags, flags, |flags: &u8, out| out.raw.push(*flags))?;
    write_tables(stream, inventory)?;
    stream.write(BlockKind::Picture, 0, 0, &[Column::End as u8])
}

fn write_tables<W: Write>(stream: &mut Stream<W>, inventory: &Inventory) -> io::Result<()> {
    column(stream, Column::Types, &inventory.types, |row: &TypeRow, out| {
        out.text(&row.name);
        out.near(0, row.address);
        out.number(row.basicsize);
        out.number(row.flags);
    })?;
    let text = |text: &String, out: &mut Out| out.text(text);
    column(stream, Column::Owners, &inventory.owners, text)?;
    column(stream, Column::Paths, &inventory.paths, text)?;
    column(stream, Column::Mappings, &inventory.mappings, |row: &MappingRow, out| {
        out.near(0, row.lo);
        out.near(0, row.hi);
        out.number(row.permissions);
        out.text(&row.name);
        out.number(row.resident_bytes);
        out.number(row.private_bytes);
    })?;
    column(stream, Column::Parts, &inventory.parts, |row: &PartRow, out| {
        out.text(&row.name);
        out.number(row.bytes);
    })?;
    column(stream, Column::Edges, &inventory.edges, |&(from, to), out| {
        out.near(0, from);
        out.number(distance(u64::from(from), u64::from(to)));
    })?;
    column(stream, Column::Chunks, &inventory.chunks, |row: &ChunkRow, out| {
        out.near(0, row.address);
        out.number(row.bytes);
        out.number(row.state.code());
        for number in [row.type_number, row.owner, row.path] {
            out.number(number);
        }
        out.number(row.flags);
    })?;
    column(stream, Column::Findings, &inventory.findings, |row: &Finding, out| {
        out.number(row.cause.code());
        out.number(row.bytes);
    })?;
    column(stream, Column::PoolMemory, &inventory.pool_memory, |row: &PoolMemory, out| {
        out.number(row.resident_bytes);
        out.number(row.private_bytes);
    })
}

/// The entries of all heaps, heap by heap.
fn joined<T: Copy>(heaps: &[HeapPicture], of: impl Fn(&HeapPicture) -> &Vec<T>) -> Vec<T> {
    heaps.iter().flat_map(|heap| of(heap).iter().copied()).collect()
}

fn column<W: Write, T>(
    stream: &mut Stream<W>,
    column: Column,
    entries: &[T],
    put: impl Fn(&T, &mut Out),
) -> io::Result<()> {
    let mut first = 0;
    while first < entries.len() {
        let mut out = Out { raw: vec![column as u8], last: [0; 2] };
        let mut count = 0;
        for entry in entries.iter().skip(first).take(PIECE) {
            put(entry, &mut out);
            count += 1;
            if out.raw.len() >= PIECE_BYTES {
                break;
            }
        }
        if out.raw.len() > BLOCK_BYTES_MAX as usize {
            return Err(io::Error::other("a text of the picture is longer than a block can be"));
        }
        stream.write(BlockKind::Picture, count, first as u64, &out.raw)?;
        first += count as usize;
    }
    Ok(())
}

/// What stands in a row of the heaps: constants, and how many of each following column are its own.
fn lengths(heap: &HeapPicture) -> [u64; 13] {
    [
        heap.arena_bytes,
        heap.pool_bytes,
        u64::from(heap.records),
        heap.arenas_allocated,
        heap.arenas_highwater,
        heap.arenas.len() as u64,
        heap.usable.len() as u64,
        heap.unused.len() as u64,
        heap.pools.len() as u64,
        heap.free.len() as u64,
        heap.freepools.len() as u64,
        heap.used.len() as u64,
        heap.later_arenas.len() as u64,
    ]
}

fn put_facts(source: &PictureSource, out: &mut Vec<u8>) {
    let mut field = |tag: u64, content: &[u8]| {
        if !content.is_empty() {
            put(out, tag);
            put(out, content.len() as u64);
            out.extend_from_slice(content);
        }
    };
    field(1, source.python.as_bytes());
    field(3, source.core.as_bytes());
    let flags = u64::from(source.approximate) | u64::from(source.contents) << 1;
    let numbers = [
        (2, u64::from(source.pid)),
        (4, source.taken_s),
        (5, source.pause_us),
        (6, source.resident_bytes),
        (7, flags),
    ];
    for (tag, number) in numbers {
        let mut content = Vec::new();
        if number != 0 {
            put(&mut content, number);
        }
        field(tag, &content);
    }
}

fn take_facts(raw: &[u8]) -> Option<PictureSource> {
    let mut source = PictureSource::default();
    let mut fields = Numbers(raw);
    while !fields.done() {
        let tag = fields.number()?;
        let length = usize::try_from(fields.number()?).ok()?;
        let content = fields.bytes(length)?;
        let text = || std::str::from_utf8(content).ok().map(str::to_owned);
        let number = || Numbers(content).number();
        match tag {
            1 => source.python = text()?,
            2 => source.pid = u32::try_from(number()?).ok()?,
            3 => source.core = text()?,
            4 => source.taken_s = number()?,
            5 => source.pause_us = number()?,
            6 => source.resident_bytes = number()?,
            7 => {
                let flags = number()?;
                (source.approximate, source.contents) = (flags & 1 != 0, flags & 2 != 0);
            }
            _ => {}
        }
    }
    Some(source)
}

/// Entries on their way out of a block.
struct In<'a> {
    numbers: Numbers<'a>,
    last: [u64; 2],
}

impl In<'_> {
    fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.numbers.number()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        self.numbers.text().map(str::to_owned)
    }

    fn near<T: TryFrom<u64>>(&mut self, which: usize) -> Option<T> {
        let number = moved(self.last[which], self.numbers.number()?);
        self.last[which] = number;
        T::try_from(number).ok()
    }
}

/// A picture whose blocks come one after the other.
#[derive(Default)]
pub(super) struct PictureReader {
    heaps: Vec<[u64; 13]>,
    arenas: Vec<ArenaPicture>,
    usable: Vec<u32>,
    unused: Vec<u32>,
    pools: Vec<PoolPicture>,
    free: Vec<u16>,
    freepools: Vec<u32>,
    used_lengths: Vec<u32>,
    used: Vec<u32>,
    later: Vec<Addr>,
    facts: u64,
    inventory: Inventory,
}

/// Takes `count` entries to the end of a list; `None` where they are others.
fn fill<'a, T>(
    list: &mut Vec<T>,
    header: &Header,
    raw: &'a [u8],
    take: impl Fn(&mut In<'a>) -> Option<T>,
) -> Option<()> {
    if header.first != list.len() as u64 || header.count as usize > raw.len() {
        return None;
    }
    let mut entries = In { numbers: Numbers(raw), last: [0; 2] };
    for _ in 0..header.count {
        list.push(take(&mut entries)?);
    }
    entries.numbers.done().then_some(())
}

impl PictureReader {
    /// Takes a block; the whole picture after the last one. What is wrong, as the middle of a sentence.
    pub(super) fn take(&mut self, header: &Header, raw: &[u8]) -> Result<Option<ProcessPicture>, String> {
        let (&code, entries) = raw.split_first().ok_or("a block of the picture is empty")?;
        // Columns of later versions are passed over.
        let Some(column) = Column::of_code(code) else { return Ok(None) };
        if column == Column::End {
            return std::mem::take(self).whole().map(Some);
        }
        let taken = self.column(column, header, entries);
        taken.ok_or_else(|| format!("column {code} of the picture does not hold what it must"))?;
        Ok(None)
    }

    fn column(&mut self, column: Column, header: &Header, raw: &[u8]) -> Option<()> {
        let blocks = &mut self.inventory.blocks;
        match column {
            Column::Facts => {
                if std::mem::replace(&mut self.facts, 1) != 0 {
                    return None;
                }
                self.inventory.source = take_facts(raw)?;
                Some(())
            }
            Column::Heaps => {
                let row = |entries: &mut In<'_>| {
                    let mut row = [0; 13];
                    for number in &mut row {
                        *number = entries.number()?;
                    }
                    Some(row)
                };
                fill(&mut self.heaps, header, raw, row)?;
                (self.heaps.len() <= HEAPS_MAX).then_some(())
            }
            Column::Arenas => fill(&mut self.arenas, header, raw, |entries| {
                let (record, base) = (entries.near(0)?, Addr(entries.near(1)?));
                Some(ArenaPicture {
                    record,
                    base,
                    pool_address: base.offset(entries.number()?),
                    nfreepools: entries.number()?,
                    ntotalpools: entries.number()?,
                    freepools: entries.number()?,
                })
            }),
            Column::Pools => fill(&mut self.pools, header, raw, |entries| {
                let class = entries.near(0)?;
                let (in_use, carved, free) = (entries.number()?, entries.number()?, entries.number()?);
                Some(PoolPicture { class, in_use, carved, free })
            }),
            Column::Usable => fill(&mut self.usable, header, raw, |entries| entries.near(0)),
            Column::Unused => fill(&mut self.unused, header, raw, |entries| entries.near(0)),
            Column::Free => fill(&mut self.free, header, raw, |entries| entries.near(0)),
            Column::Freepools => fill(&mut self.freepools, header, raw, |entries| entries.near(0)),
            Column::UsedLengths => fill(&mut self.used_lengths, header, raw, In::number),
            Column::Used => fill(&mut self.used, header, raw, |entries| entries.near(0)),
            Column::Later => fill(&mut self.later, header, raw, |entries| entries.near(0).map(Addr)),
            Column::BlockTypes => fill(&mut blocks.types, header, raw, In::number),
            Column::BlockOwners => fill(&mut blocks.owners, header, raw, In::number),
            Column::BlockPaths => fill(&mut blocks.paths, header, raw, In::number),
            Column::BlockFlags => {
                let fits = header.first == blocks.flags.len() as u64 && header.count as usize == raw.len();
                blocks.flags.extend_from_slice(raw);
                fits.then_some(())
            }
            _ => self.table(column, header, raw),
        }
    }

    fn table(&mut self, column: Column, header: &Header, raw: &[u8]) -> Option<()> {
        let inventory = &mut self.inventory;
        match column {
            Column::Types => fill(&mut inventory.types, header, raw, |entries| {
                Some(TypeRow {
                    name: entries.text()?,
                    address: entries.near(0)?,
                    basicsize: entries.number()?,
                    flags: entries.number()?,
                })
            }),
            Column::Owners => fill(&mut inventory.owners, header, raw, In::text),
            Column::Paths => fill(&mut inventory.paths, header, raw, In::text),
            Column::Mappings => fill(&mut inventory.mappings, header, raw, |entries| {
                Some(MappingRow {
                    lo: entries.near(0)?,
                    hi: entries.near(0)?,
                    permissions: entries.number()?,
                    name: entries.text()?,
                    resident_bytes: entries.number()?,
                    private_bytes: entries.number()?,
                })
            }),
            Column::Parts => fill(&mut inventory.parts, header, raw, |entries| {
                Some(PartRow { name: entries.text()?, bytes: entries.number()? })
            }),
            Column::Edges => fill(&mut inventory.edges, header, raw, |entries| {
                let from: u32 = entries.near(0)?;
                let to = moved(u64::from(from), entries.number()?);
                Some((from, u32::try_from(to).ok()?))
            }),
            Column::Chunks => fill(&mut inventory.chunks, header, raw, |entries| {
                Some(ChunkRow {
                    address: entries.near(0)?,
                    bytes: entries.number()?,
                    state: ChunkState::of_code(entries.number()?)?,
                    type_number: entries.number()?,
                    owner: entries.number()?,
                    path: entries.number()?,
                    flags: entries.number()?,
                })
            }),
            Column::PoolMemory => fill(&mut inventory.pool_memory, header, raw, |entries| {
                Some(PoolMemory { resident_bytes: entries.number()?, private_bytes: entries.number()? })
            }),
            Column::Findings => fill(&mut inventory.findings, header, raw, |entries| {
                Some(Finding { cause: Cause::of_code(entries.number()?)?, bytes: entries.number()? })
            }),
            _ => None,
        }
    }

    /// Gives each heap what is its own.
    fn whole(self) -> Result<ProcessPicture, String> {
        let wrong = || "the columns of the picture are longer or shorter than its heaps say".to_owned();
        let mut arenas = Parts(self.arenas.into_iter());
        let mut usable = Parts(self.usable.into_iter());
        let mut unused = Parts(self.unused.into_iter());
        let mut pools = Parts(self.pools.into_iter());
        let mut free = Parts(self.free.into_iter());
        let mut freepools = Parts(self.freepools.into_iter());
        let mut used_lengths = Parts(self.used_lengths.into_iter());
        let mut used = Parts(self.used.into_iter());
        let mut later = Parts(self.later.into_iter());
        let mut heaps = Vec::new();
        for [arena_bytes, pool_bytes, records, arenas_allocated, arenas_highwater, counts @ ..] in self.heaps
        {
            let mut heap = || {
                let lists = used_lengths.take(counts[6])?;
                Some(HeapPicture {
                    arena_bytes,
                    pool_bytes,
                    records: u32::try_from(records).ok()?,
                    arenas_allocated,
                    arenas_highwater,
                    arenas: arenas.take(counts[0])?,
                    usable: usable.take(counts[1])?,
                    unused: unused.take(counts[2])?,
                    pools: pools.take(counts[3])?,
                    free: free.take(counts[4])?,
                    freepools: freepools.take(counts[5])?,
                    used: lists
                        .into_iter()
                        .map(|length| used.take(u64::from(length)))
                        .collect::<Option<_>>()?,
                    later_arenas: later.take(counts[7])?,
                })
            };
            heaps.push(heap().ok_or_else(wrong)?);
        }
        let left = [arenas.left(), usable.left(), unused.left(), pools.left(), free.left(), freepools.left()];
        if left.into_iter().chain([used_lengths.left(), used.left(), later.left()]).any(|left| left > 0) {
            return Err(wrong());
        }
        let picture = ProcessPicture { heaps, inventory: self.inventory };
        // A byte in the file for each block: whoever makes room for them has no more to make than the file is long.
        if picture.blocks() != picture.inventory.blocks.flags.len() as u64 {
            return Err("the picture has other blocks than its pools say".to_owned());
        }
        picture.inventory.check(picture.blocks()).map_err(|error| error.to_string())?;
        Ok(picture)
    }
}

/// A column that is handed out part by part.
struct Parts<T>(std::vec::IntoIter<T>);

impl<T> Parts<T> {
    fn take(&mut self, count: u64) -> Option<Vec<T>> {
        let count = usize::try_from(count).ok().filter(|&count| count <= self.0.len())?;
        Some(self.0.by_ref().take(count).collect())
    }

    fn left(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in files for ever.
    #[test]
    fn numbers_stay() {
        let numbers = Column::ALL.map(|column| column as u8);
        assert!(numbers[..24].iter().copied().eq(0..24) && numbers[24] == 255);
        let states = (0..7).map(ChunkState::of_code).collect::<Vec<_>>();
        assert!(states[..6].iter().zip(0..).all(|(state, code)| state.map(ChunkState::code) == Some(code)));
        assert_eq!(states[6], None);
        let causes = (0..9).map(Cause::of_code).collect::<Vec<_>>();
        assert!(causes[..8].iter().zip(0..).all(|(cause, code)| cause.map(Cause::code) == Some(code)));
        assert_eq!((causes[4], causes[8]), (Some(Cause::Buffers), None));
    }
}
