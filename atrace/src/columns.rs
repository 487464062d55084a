//! A block of operations: a directory of columns, then the columns, each packed on its own.

use crate::codec::{Codec, Packer, Unpacker};
use crate::head;
use crate::index::size_bit;
use crate::prediction::{Call, Prediction};
use crate::varint::{Numbers, distance, moved, put};

const HEADS: u8 = 1;
const OBJ_SIZES: u8 = 2;
const WIDE: u8 = 3;
const CALLOCS: u8 = 4;
const NEAR: u8 = 5;
const FAR: u8 = 6;
const IDS: u8 = 7;
const ACTIONS: u8 = 8;
const THREADS: u8 = 9;
const CALL_STACKS: u8 = 10;
const FREE_STACKS: u8 = 11;
const HITS: u8 = 12;
const MISSES: u8 = 13;
const HEAPS: u8 = 14;
const CODES: u8 = 15;
const FAR_LOW: u8 = 16;
const FAR_HIGH: u8 = 17;
const REALLOC_SIZES: u8 = 18;
const RAW_SIZES: u8 = 19;
const MEM_SIZES: u8 = 20;
const AFTER_FREE_SIZES: u8 = 21;
const COLUMNS: usize = 22;

/// Heaps that objects go to.
const HEAPS_KNOWN: u32 = 3;

/// Bits of a block's rule.
const BY_SLOT: u8 = IdRule::Slot as u8;
const TIGHT: u8 = 2;

/// Columns of sizes.
pub const SIZE_COLUMNS: usize = 5;
/// Their ids, in the order of [`Block::sizes`].
const SIZES: [u8; SIZE_COLUMNS] = [REALLOC_SIZES, RAW_SIZES, MEM_SIZES, AFTER_FREE_SIZES, OBJ_SIZES];

/// How an id is told that is not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum IdRule {
    /// One more than the id given last.
    #[default]
    Next = 0,
    /// The id that the slot's block before had; in a fresh slot, and for the new id of a realloc, one more than the largest so
    /// far.
    Slot = 1,
}

/// The operations of one block, in columns. `docs/atrace.md` says what stands in each.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// A byte for each operation, see [`head`].
    pub heads: Vec<u8>,
    /// Whether the columns are tight.
    pub tight: bool,
    /// How ids are told that do not stand in `ids`.
    pub rule: IdRule,
    /// Bytes of each malloc and realloc that is not wide. Tight: reallocs of a block, RAW, MEM, OBJ where the operation before is a
    /// free, the rest of OBJ. Else all are in the last one.
    pub sizes: [Vec<u32>; SIZE_COLUMNS],
    /// Bytes of those that are.
    pub wide: Vec<u64>,
    /// Elements of each calloc and bytes of one.
    pub callocs: Vec<(u64, u64)>,
    /// Not tight: for each use births back to the block's own in this block of operations, or 0.
    pub near: Vec<u32>,
    /// Tight: for each use its code, or 0.
    pub codes: Vec<u8>,
    /// Slots of the uses that are 0.
    pub far: Vec<u32>,
    /// Ids that the rule does not tell: row and id.
    pub ids: Vec<(u32, u64)>,
    /// Actions as they stand in the file, one after the other.
    pub actions: Vec<u8>,
    /// Runs of operations and their thread; what is left is on thread 0.
    pub threads: Vec<(u32, u16)>,
    /// Runs of operations and the heap that their objects go to: 0 object, 1 gc, 2 `gc_pre`; what is left goes to 0.
    pub heaps: Vec<(u32, u8)>,
    /// By row; empty where there are none.
    pub stacks: Vec<u32>,
    /// Lengths of runs of addresses predicted right and wrong, in turns, right ones first; empty where
    /// there are no addresses.
    pub hits: Vec<u32>,
    /// Corrections of the wrong ones.
    pub misses: Vec<u64>,
}

impl Block {
    /// Takes all operations away, and keeps the room for others.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.sizes.iter_mut().for_each(Vec::clear);
        self.wide.clear();
        self.callocs.clear();
        self.near.clear();
        self.codes.clear();
        self.far.clear();
        self.ids.clear();
        self.actions.clear();
        self.threads.clear();
        self.heaps.clear();
        self.stacks.clear();
        self.hits.clear();
        self.misses.clear();
    }

    /// The thread of the next row.
    #[inline]
    pub fn push_thread(&mut self, thread: u16) {
        match self.threads.last_mut() {
            Some(run) if run.1 == thread => run.0 += 1,
            _ => self.threads.push((1, thread)),
        }
    }

    /// The heap of the next row.
    #[inline]
    pub fn push_heap(&mut self, heap: u8) {
        match self.heaps.last_mut() {
            Some(run) if run.1 == heap => run.0 += 1,
            _ => self.heaps.push((1, heap)),
        }
    }

    /// The address of the next row, by what was predicted: nothing where that is right, else the correction.
    #[inline]
    pub fn push_address(&mut self, call: &Call, actual: u64, prediction: &mut Prediction) {
        let predicted = prediction.predict(call);
        let hit = actual == predicted;
        // Runs of right and wrong ones take turns, a right one first.
        if (self.hits.len() % 2 == 1) == hit
            && let Some(run) = self.hits.last_mut()
        {
            *run += 1;
        } else {
            if self.hits.is_empty() && !hit {
                self.hits.push(0);
            }
            self.hits.push(1);
        }
        if !hit {
            let base = prediction.base(call, predicted);
            self.misses.push(distance(base.rotate_right(4), actual.rotate_right(4)));
        }
        prediction.learn(call, predicted, actual);
    }

    /// Leaves runs away that say nothing: all on thread 0, all objects to the same heap.
    pub fn drop_plain_runs(&mut self) {
        if self.threads.iter().all(|run| run.1 == 0) {
            self.threads.clear();
        }
        if self.heaps.iter().all(|run| run.1 == 0) {
            self.heaps.clear();
        }
    }

    /// A bit for each thread that occurs, see [`crate::Entry::threads`].
    pub fn thread_bits(&self) -> u64 {
        let told: u64 = self.threads.iter().map(|run| u64::from(run.0)).sum();
        let rest = u64::from(told < self.heads.len() as u64);
        self.threads.iter().filter(|run| run.0 > 0).fold(rest, |bits, run| bits | 1 << (run.1 % 64))
    }

    /// A bit for each size that occurs, see [`crate::Entry::sizes`].
    pub fn size_bits(&self) -> u64 {
        let narrow = self.sizes.iter().flatten().map(|&size| u64::from(size));
        let products = self.callocs.iter().map(|&(count, bytes)| count.saturating_mul(bytes));
        narrow.chain(self.wide.iter().copied()).chain(products).fold(0, |bits, size| bits | size_bit(size))
    }
}

/// Whether a head is that of a free.
fn is_free(head: u8) -> bool {
    matches!(head & head::KIND, head::FREE | head::FREE_KEEP)
}

/// Packs blocks, and keeps the room for it.
pub struct BlockWriter {
    packer: Packer,
    raw: Vec<u8>,
    data: Vec<u8>,
}

impl BlockWriter {
    /// For a codec; zstd falls back to LZ4 where this build cannot write it.
    pub fn new(codec: Codec) -> Self {
        Self { packer: Packer::new(codec), raw: Vec::new(), data: Vec::new() }
    }

    /// The payload of a block, its raw bytes, and the bytes that addresses take of it.
    pub fn pack(&mut self, block: &Block, out: &mut Vec<u8>) -> (u32, u64) {
        let mut directory = Vec::new();
        let (mut count, mut raw_bytes, mut of_addresses) = (0, 0, 0);
        self.data.clear();
        #[cfg(feature = "zstd")]
        self.packer.set_tight(block.tight);
        for id in HEADS..COLUMNS as u8 {
            self.raw.clear();
            put_column(id, block, &mut self.raw);
            if self.raw.is_empty() {
                continue;
            }
            let (codec, stored) = self.packer.pack(&self.raw);
            directory.extend([id, codec as u8]);
            put(&mut directory, self.raw.len() as u64);
            put(&mut directory, stored.len() as u64);
            self.data.extend_from_slice(stored);
            count += 1;
            raw_bytes += self.raw.len();
            if matches!(id, HITS | MISSES) {
                of_addresses += stored.len() as u64;
            }
        }
        out.push(block.rule as u8 | if block.tight { TIGHT } else { 0 });
        put(out, count);
        out.extend_from_slice(&directory);
        out.extend_from_slice(&self.data);
        (raw_bytes as u32, of_addresses)
    }
}

fn put_column(id: u8, block: &Block, out: &mut Vec<u8>) {
    match id {
        HEADS => out.extend_from_slice(&block.heads),
        WIDE => block.wide.iter().for_each(|&n| put(out, n)),
        CALLOCS => block.callocs.iter().for_each(|&(nelem, elsize)| {
            put(out, nelem);
            put(out, elsize);
        }),
        NEAR => block.near.iter().for_each(|&n| put(out, u64::from(n))),
        FAR if !block.tight => put_distances(out, block.far.iter().map(|&slot| u64::from(slot))),
        CODES => out.extend_from_slice(&block.codes),
        FAR_LOW if block.tight => out.extend(block.far.iter().map(|&slot| slot as u8)),
        FAR_HIGH if block.tight => block.far.iter().for_each(|&slot| put(out, u64::from(slot >> 8))),
        IDS => {
            let (mut row, mut id) = (0, 0);
            for &(at, given) in &block.ids {
                put(out, u64::from(at - row));
                put(out, distance(id, given));
                (row, id) = (at, given);
            }
        }
        ACTIONS => out.extend_from_slice(&block.actions),
        THREADS => block.threads.iter().for_each(|&(length, thread)| {
            put(out, u64::from(length));
            put(out, u64::from(thread));
        }),
        CALL_STACKS | FREE_STACKS => {
            let of_kind = || {
                let rows = block.stacks.iter().zip(&block.heads);
                rows.filter(|&(_, &head)| is_free(head) == (id == FREE_STACKS)).map(|(&s, _)| u64::from(s))
            };
            if of_kind().any(|stack| stack != 0) {
                put_distances(out, of_kind());
            }
        }
        HITS => block.hits.iter().for_each(|&n| put(out, u64::from(n))),
        MISSES => block.misses.iter().for_each(|&n| put(out, n)),
        HEAPS => block.heaps.iter().for_each(|&(length, heap)| {
            put(out, u64::from(length));
            put(out, u64::from(heap));
        }),
        _ => {
            if let Some(sizes) = SIZES.iter().position(|&s| s == id) {
                block.sizes[sizes].iter().for_each(|&n| put(out, u64::from(n)));
            }
        }
    }
}

/// Each number as its distance from the one before.
fn put_distances(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut last = 0;
    for number in numbers {
        put(out, distance(last, number));
        last = number;
    }
}

/// Unpacks blocks, and keeps the room for it.
#[derive(Default)]
pub struct BlockReader {
    unpacker: Unpacker,
    raw: Vec<u8>,
    numbers: Vec<u32>,
}

/// The most raw bytes that an operation takes in all columns together.
const RAW_BYTES_PER_OPERATION: u64 = 96;

impl BlockReader {
    /// Unpacks a block of `rows` operations. What is wrong, as the middle of a sentence.
    pub fn unpack(&mut self, payload: &[u8], rows: u32, block: &mut Block) -> Result<(), String> {
        block.clear();
        let mut numbers = Numbers(payload);
        let cut = || "the directory of columns ends early".to_owned();
        let rule = numbers.bytes(1).ok_or_else(cut)?[0];
        if rule > BY_SLOT | TIGHT {
            return Err(format!("rule {rule} is unknown; use a newer version"));
        }
        block.rule = if rule & BY_SLOT == 0 { IdRule::Next } else { IdRule::Slot };
        block.tight = rule & TIGHT != 0;
        let count = numbers.small().filter(|&n| n <= 255).ok_or_else(cut)?;
        let mut directory = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let &[id, codec] = numbers.bytes(2).ok_or_else(cut)? else { return Err(cut()) };
            let raw = numbers.small().ok_or_else(cut)?;
            let stored = numbers.small().ok_or_else(cut)?;
            directory.push((id, codec, raw, stored));
        }
        let limit = (u64::from(rows) + 64) * RAW_BYTES_PER_OPERATION;
        let mut seen = [false; COLUMNS];
        for (id, codec, raw, stored) in directory {
            let stored = numbers.bytes(stored as usize).ok_or("the columns end early")?;
            // A column of a later version changes nothing of what the others say.
            let Some(seen) = seen.get_mut(usize::from(id)).filter(|_| id != 0) else { continue };
            if std::mem::replace(seen, true) {
                return Err(format!("column {id} is there twice"));
            }
            let codec = Codec::of_code(codec)
                .ok_or_else(|| format!("codec {codec} is unknown; use a newer version"))?;
            if u64::from(raw) > limit {
                return Err(format!("column {id} is too long for {rows} operations"));
            }
            let damaged = || format!("column {id} cannot be unpacked");
            let bytes = match id {
                HEADS => Some(&mut block.heads),
                CODES => Some(&mut block.codes),
                ACTIONS => Some(&mut block.actions),
                _ => None,
            };
            if let Some(bytes) = bytes {
                self.unpacker.unpack(codec, stored, raw as usize, bytes).ok_or_else(damaged)?;
                continue;
            }
            self.raw.clear();
            self.unpacker.unpack(codec, stored, raw as usize, &mut self.raw).ok_or_else(damaged)?;
            take_column(id, &self.raw, &mut self.numbers, block)
                .ok_or_else(|| format!("column {id} does not hold what it must"))?;
        }
        if seen[usize::from(FAR_LOW)] != seen[usize::from(FAR_HIGH)] {
            return Err("half of the slots is missing".to_owned());
        }
        if block.heads.len() != rows as usize {
            return Err(format!("{} operations stand where {rows} are announced", block.heads.len()));
        }
        Ok(())
    }
}

/// Takes one column; `numbers` is room. The column of heads comes before all others.
fn take_column(id: u8, raw: &[u8], numbers: &mut Vec<u32>, block: &mut Block) -> Option<()> {
    let mut from = Numbers(raw);
    match id {
        HITS => take_small(raw, &mut block.hits)?,
        NEAR => take_small(raw, &mut block.near)?,
        FAR => take_distances(raw, &mut block.far)?,
        FAR_LOW => block.far.extend(raw.iter().map(|&low| u32::from(low))),
        FAR_HIGH => {
            numbers.clear();
            take_small(raw, numbers)?;
            if numbers.len() != block.far.len() {
                return None;
            }
            for (slot, &high) in block.far.iter_mut().zip(&*numbers) {
                *slot |= high.checked_mul(1 << 8)?;
            }
        }
        WIDE => {
            while !from.done() {
                block.wide.push(from.number()?);
            }
        }
        CALLOCS => {
            while !from.done() {
                block.callocs.push((from.number()?, from.number()?));
            }
        }
        IDS => {
            let (mut row, mut id) = (0_u32, 0);
            while !from.done() {
                row = row.checked_add(from.small()?)?;
                id = moved(id, from.number()?);
                block.ids.push((row, id));
            }
        }
        THREADS => {
            while !from.done() {
                block.threads.push((from.small()?, from.small()?.try_into().ok()?));
            }
        }
        CALL_STACKS | FREE_STACKS => {
            numbers.clear();
            take_distances(raw, numbers)?;
            block.stacks.resize(block.heads.len(), 0);
            let mut stacks = numbers.iter();
            for (stack, &head) in block.stacks.iter_mut().zip(&block.heads) {
                if is_free(head) == (id == FREE_STACKS) {
                    *stack = *stacks.next()?;
                }
            }
            if stacks.len() > 0 {
                return None;
            }
        }
        MISSES => {
            while !from.done() {
                block.misses.push(from.number()?);
            }
        }
        HEAPS => {
            while !from.done() {
                let length = from.small()?;
                let heap = from.small().filter(|&heap| heap < HEAPS_KNOWN)?;
                block.heaps.push((length, heap as u8));
            }
        }
        _ => take_small(raw, &mut block.sizes[SIZES.iter().position(|&s| s == id)?])?,
    }
    Some(())
}

fn take_small(raw: &[u8], out: &mut Vec<u32>) -> Option<()> {
    out.reserve(raw.len());
    let mut numbers = Numbers(raw);
    while !numbers.done() {
        if let Some(eight) = numbers.eight() {
            out.extend(eight.map(u32::from));
        } else {
            out.push(numbers.small()?);
        }
    }
    Some(())
}

fn take_distances(raw: &[u8], out: &mut Vec<u32>) -> Option<()> {
    out.reserve(raw.len());
    let (mut numbers, mut last) = (Numbers(raw), 0);
    while !numbers.done() {
        if let Some(eight) = numbers.eight() {
            let mut wide = 0;
            out.extend(eight.map(|distance| {
                last = moved(last, u64::from(distance));
                wide |= last;
                last as u32
            }));
            u32::try_from(wide).ok()?;
        } else {
            last = moved(last, numbers.number()?);
            out.push(u32::try_from(last).ok()?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in files for ever: ids of columns, bits of heads and of the rule.
    #[test]
    fn numbers_are_those_of_the_page() {
        let columns = [
            HEADS,
            OBJ_SIZES,
            WIDE,
            CALLOCS,
            NEAR,
            FAR,
            IDS,
            ACTIONS,
            THREADS,
            CALL_STACKS,
            FREE_STACKS,
            HITS,
            MISSES,
            HEAPS,
            CODES,
            FAR_LOW,
            FAR_HIGH,
            REALLOC_SIZES,
            RAW_SIZES,
            MEM_SIZES,
            AFTER_FREE_SIZES,
        ];
        assert!(columns.into_iter().eq(1..COLUMNS as u8));
        assert_eq!((IdRule::Next as u8, IdRule::Slot as u8, TIGHT), (0, 1, 2));
        let kinds = [head::MALLOC, head::CALLOC, head::REALLOC, head::FREE, head::FREE_KEEP, head::ACTION];
        assert!(kinds.into_iter().eq(0..6));
        assert_eq!((head::NULL, head::WIDE, head::NEW_ID), (32, 64, 128));
        assert_eq!(Codec::ALL.map(Codec::code), [0, 1, 2]);
    }

    #[test]
    fn a_block_comes_back_and_says_what_occurs_in_it() {
        let block = Block {
            heads: vec![head::MALLOC | 2 << head::DOMAIN_SHIFT, head::CALLOC, head::FREE],
            sizes: [vec![], vec![], vec![], vec![], vec![24]],
            callocs: vec![(u64::MAX, 2)],
            near: vec![2],
            threads: vec![(2, 65)],
            stacks: vec![1, 0, 2],
            hits: vec![1, 2],
            misses: vec![7, 9],
            ..Block::default()
        };
        assert_eq!((block.thread_bits(), block.size_bits()), (0b11, 1 << 1 | 1 << 62));
        let mut payload = Vec::new();
        let (raw, of_addresses) = BlockWriter::new(Codec::Lz4).pack(&block, &mut payload);
        assert!(raw > 0 && of_addresses == 4, "{raw} {of_addresses}");
        let mut back = Block::default();
        BlockReader::default().unpack(&payload, 3, &mut back).unwrap();
        assert_eq!(format!("{back:?}"), format!("{block:?}"));
        assert!(BlockReader::default().unpack(&payload, 4, &mut back).is_err());
    }
}
