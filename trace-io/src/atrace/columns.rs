//! A block of operations: a directory of columns, then the columns, each packed on its own.

use sim_core::domains::ObjectHeap;
use sim_core::tape::{Columns, IdRule, SIZE_COLUMNS};

use super::action::{put_action, take_action};
use super::codec::{Codec, Packer, Unpacker};
use super::varint::{Numbers, distance, moved, put};

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

/// Bits of a block's rule.
const BY_SLOT: u8 = 1;
const TIGHT: u8 = 2;

/// Columns of sizes, in the order in which a tape has them.
const SIZES: [u8; SIZE_COLUMNS] = [REALLOC_SIZES, RAW_SIZES, MEM_SIZES, AFTER_FREE_SIZES, OBJ_SIZES];

/// The operations of one block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) columns: Columns,
    /// Runs of threads; empty where all is on thread 0.
    pub(crate) threads: Vec<(u32, u16)>,
    /// Runs of heaps that objects go to; empty where none has one of its own.
    pub(crate) heaps: Vec<(u32, ObjectHeap)>,
    /// By row; empty where there are none.
    pub(crate) stacks: Vec<u32>,
    /// Lengths of runs of addresses predicted right and wrong, in turns, right ones first; empty where
    /// there are no addresses.
    pub(crate) hits: Vec<u32>,
    /// Corrections of the wrong ones.
    pub(crate) misses: Vec<u64>,
}

impl Block {
    pub(crate) fn clear(&mut self) {
        self.columns.clear();
        self.threads.clear();
        self.heaps.clear();
        self.stacks.clear();
        self.hits.clear();
        self.misses.clear();
    }
}

/// Whether a head is that of a free.
fn is_free(head: u8) -> bool {
    matches!(head & 7, 3 | 4)
}

/// Packs blocks, and keeps the room for it.
pub(crate) struct BlockWriter {
    packer: Packer,
    raw: Vec<u8>,
    data: Vec<u8>,
}

impl BlockWriter {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { packer: Packer::new(codec), raw: Vec::new(), data: Vec::new() }
    }

    /// The payload of a block, its raw bytes, and the bytes that addresses take of it.
    pub(crate) fn pack(&mut self, block: &Block, out: &mut Vec<u8>) -> (u32, u64) {
        let mut directory = Vec::new();
        let (mut count, mut raw_bytes, mut of_addresses) = (0, 0, 0);
        self.data.clear();
        #[cfg(feature = "zstd")]
        self.packer.set_tight(block.columns.tight);
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
        let by_slot = if block.columns.id_rule == IdRule::Slot { BY_SLOT } else { 0 };
        out.push(by_slot | if block.columns.tight { TIGHT } else { 0 });
        put(out, count);
        out.extend_from_slice(&directory);
        out.extend_from_slice(&self.data);
        (raw_bytes as u32, of_addresses)
    }
}

fn put_column(id: u8, block: &Block, out: &mut Vec<u8>) {
    let columns = &block.columns;
    match id {
        HEADS => out.extend_from_slice(&columns.heads),
        WIDE => columns.wide.iter().for_each(|&n| put(out, n)),
        CALLOCS => columns.callocs.iter().for_each(|&(nelem, elsize)| {
            put(out, nelem);
            put(out, elsize);
        }),
        NEAR => columns.near.iter().for_each(|&n| put(out, u64::from(n))),
        FAR if !columns.tight => put_distances(out, columns.far.iter().map(|&slot| u64::from(slot))),
        CODES => out.extend_from_slice(&columns.codes),
        FAR_LOW if columns.tight => out.extend(columns.far.iter().map(|&slot| slot as u8)),
        FAR_HIGH if columns.tight => columns.far.iter().for_each(|&slot| put(out, u64::from(slot >> 8))),
        IDS => {
            let (mut row, mut id) = (0, 0);
            for &(at, given) in &columns.ids {
                put(out, u64::from(at - row));
                put(out, distance(id, given));
                (row, id) = (at, given);
            }
        }
        ACTIONS => columns.actions.iter().for_each(|&action| put_action(out, action)),
        THREADS => block.threads.iter().for_each(|&(length, thread)| {
            put(out, u64::from(length));
            put(out, u64::from(thread));
        }),
        CALL_STACKS | FREE_STACKS => {
            let of_kind = || {
                let rows = block.stacks.iter().zip(&columns.heads);
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
            put(out, heap as u64);
        }),
        _ => {
            if let Some(sizes) = SIZES.iter().position(|&s| s == id) {
                columns.sizes[sizes].iter().for_each(|&n| put(out, u64::from(n)));
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
pub(crate) struct BlockReader {
    unpacker: Unpacker,
    raw: Vec<u8>,
    numbers: Vec<u32>,
}

/// The most raw bytes that an operation takes in all columns together.
const RAW_BYTES_PER_OPERATION: u64 = 96;

impl BlockReader {
    /// Unpacks a block of `rows` operations. What is wrong, as the middle of a sentence.
    pub(crate) fn unpack(&mut self, payload: &[u8], rows: u32, block: &mut Block) -> Result<(), String> {
        block.clear();
        let mut numbers = Numbers(payload);
        let cut = || "the directory of columns ends early".to_owned();
        let rule = numbers.bytes(1).ok_or_else(cut)?[0];
        if rule > BY_SLOT | TIGHT {
            return Err(format!("rule {rule} is unknown; use a newer version"));
        }
        block.columns.id_rule = if rule & BY_SLOT == 0 { IdRule::Next } else { IdRule::Slot };
        block.columns.tight = rule & TIGHT != 0;
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
                HEADS => Some(&mut block.columns.heads),
                CODES => Some(&mut block.columns.codes),
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
        if block.columns.heads.len() != rows as usize {
            return Err(format!("{} operations stand where {rows} are announced", block.columns.heads.len()));
        }
        Ok(())
    }
}

/// Takes one column; `numbers` is room. The column of heads comes before all others.
fn take_column(id: u8, raw: &[u8], numbers: &mut Vec<u32>, block: &mut Block) -> Option<()> {
    let mut from = Numbers(raw);
    let columns = &mut block.columns;
    match id {
        HITS => take_small(raw, &mut block.hits)?,
        NEAR => take_small(raw, &mut columns.near)?,
        FAR => take_distances(raw, &mut columns.far)?,
        FAR_LOW => columns.far.extend(raw.iter().map(|&low| u32::from(low))),
        FAR_HIGH => {
            numbers.clear();
            take_small(raw, numbers)?;
            if numbers.len() != columns.far.len() {
                return None;
            }
            for (slot, &high) in columns.far.iter_mut().zip(&*numbers) {
                *slot |= high.checked_mul(1 << 8)?;
            }
        }
        WIDE => {
            while !from.done() {
                columns.wide.push(from.next()?);
            }
        }
        CALLOCS => {
            while !from.done() {
                columns.callocs.push((from.next()?, from.next()?));
            }
        }
        IDS => {
            let (mut row, mut id) = (0_u32, 0);
            while !from.done() {
                row = row.checked_add(from.small()?)?;
                id = moved(id, from.next()?);
                columns.ids.push((row, id));
            }
        }
        ACTIONS => {
            while !from.done() {
                columns.actions.push(take_action(&mut from)?);
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
            block.stacks.resize(columns.heads.len(), 0);
            let mut stacks = numbers.iter();
            for (stack, &head) in block.stacks.iter_mut().zip(&columns.heads) {
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
                block.misses.push(from.next()?);
            }
        }
        HEAPS => {
            while !from.done() {
                let length = from.small()?;
                let heap = [ObjectHeap::Object, ObjectHeap::Gc, ObjectHeap::GcPre];
                block.heaps.push((length, *heap.get(from.small()? as usize)?));
            }
        }
        _ => take_small(raw, &mut columns.sizes[SIZES.iter().position(|&s| s == id)?])?,
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
            last = moved(last, numbers.next()?);
            out.push(u32::try_from(last).ok()?);
        }
    }
    Some(())
}
