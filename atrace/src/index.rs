//! Where the blocks are, what occurs in them, and what is known of the whole without its operations.

use crate::container::BlockKind;
use crate::varint::{Numbers, put};

/// A block as the index knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it holds.
    pub kind: BlockKind,
    /// Where its header begins, in bytes from the start of the file.
    pub offset: u64,
    /// Operations, or entries of a table.
    pub count: u32,
    /// Operations before it; for a table the number of its first entry.
    pub first: u64,
    /// The last moment before it, in nanoseconds.
    pub time_ns: u64,
    /// Which threads occur in a block of operations: bit `n` stands for those that are `n` modulo 64.
    pub threads: u64,
    /// Which sizes occur in it: bits 0 to 31 for 1 to 512 bytes in steps of 16, bits 32 to 62 for those up to each
    /// power of two from 1024 on, bit 63 for 0.
    pub sizes: u64,
}

/// What an index says of the whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts that have nothing to do with each other")]
pub struct Totals {
    /// Operations.
    pub operations: u64,
    /// By domain (RAW, MEM, OBJ) and function (malloc, calloc, realloc, free).
    pub counts: [[u64; 4]; 3],
    /// Operations that are no call.
    pub actions: u64,
    /// Slots.
    pub slots: u32,
    /// Which threads occur, up to the highest; empty while all is on thread 0.
    pub threads: Vec<bool>,
    /// Different stacks that operations come from.
    pub stacks: u64,
    /// Notes.
    pub notes: u64,
    /// Whether each operation has a stack.
    pub has_stacks: bool,
    /// Whether there are recorded addresses.
    pub has_addresses: bool,
    /// Whether there are moments.
    pub timed: bool,
    /// Whether an operation needs tables and contents.
    pub needs_layers: bool,
    /// The first operation that only a run with mimalloc can do: operations before it, and which of ptrace's letters
    /// `g p x v q d P` it is, from 0.
    pub of_mimalloc: Option<(u64, u8)>,
}

/// Letters of operations of mimalloc.
const LETTERS: u32 = 7;

/// The bit of [`Entry::sizes`] for a size.
pub(crate) fn size_bit(size: u64) -> u64 {
    match size {
        0 => 1 << 63,
        1..=512 => 1 << ((size - 1) >> 4),
        // ilog2 of 513 - 1 is 9: the first power of two is 1024.
        _ => 1 << (32 + u64::from((size - 1).ilog2() - 9)).min(62),
    }
}

impl Totals {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.operations);
        self.counts.iter().flatten().for_each(|&n| put(out, n));
        put(out, self.actions);
        put(out, u64::from(self.slots));
        put(out, self.stacks);
        put(out, self.notes);
        let flags = [self.has_stacks, self.has_addresses, self.timed, self.needs_layers];
        out.push(flags.iter().rev().fold(0, |all, &flag| all << 1 | u8::from(flag)));
        match self.of_mimalloc {
            None => put(out, 0),
            Some((first, letter)) => {
                put(out, 1 + u64::from(letter));
                put(out, first);
            }
        }
        put(out, self.threads.len() as u64);
        self.threads.chunks(8).for_each(|eight| {
            out.push(eight.iter().rev().fold(0, |all, &seen| all << 1 | u8::from(seen)));
        });
    }

    fn take(numbers: &mut Numbers<'_>) -> Option<Self> {
        let mut totals = Self { operations: numbers.number()?, ..Self::default() };
        for count in totals.counts.iter_mut().flatten() {
            *count = numbers.number()?;
        }
        totals.actions = numbers.number()?;
        totals.slots = numbers.small()?;
        totals.stacks = numbers.number()?;
        totals.notes = numbers.number()?;
        let flags = numbers.bytes(1)?[0];
        totals.has_stacks = flags & 1 != 0;
        totals.has_addresses = flags & 2 != 0;
        totals.timed = flags & 4 != 0;
        totals.needs_layers = flags & 8 != 0;
        totals.of_mimalloc = match numbers.small()? {
            0 => None,
            letter @ 1..=LETTERS => Some((numbers.number()?, letter as u8 - 1)),
            _ => return None,
        };
        let threads = numbers.small().filter(|&n| n <= 1 << 16)? as usize;
        let bits = numbers.bytes(threads.div_ceil(8))?;
        totals.threads = (0..threads).map(|at| bits[at / 8] >> (at % 8) & 1 != 0).collect();
        Some(totals)
    }
}

/// The payload of an INDEX block.
pub(crate) fn put_index(entries: &[Entry], totals: &Totals, out: &mut Vec<u8>) {
    totals.put(out);
    put(out, entries.len() as u64);
    let (mut offset, mut time_ns) = (0, 0);
    for entry in entries {
        out.push(entry.kind.code());
        put(out, entry.offset - offset);
        put(out, u64::from(entry.count));
        put(out, entry.first);
        put(out, entry.time_ns.wrapping_sub(time_ns));
        if entry.kind == BlockKind::Operations {
            put(out, entry.threads);
            put(out, entry.sizes);
        }
        (offset, time_ns) = (entry.offset, entry.time_ns);
    }
}

/// What an INDEX block says: the blocks of known kinds and the totals. What a later version says after them is passed over.
pub(crate) fn take_index(raw: &[u8]) -> Option<(Vec<Entry>, Totals)> {
    let mut numbers = Numbers(raw);
    let totals = Totals::take(&mut numbers)?;
    let count = numbers.number()?;
    let (mut offset, mut time_ns) = (0_u64, 0_u64);
    let mut entries = Vec::new();
    for _ in 0..count {
        let kind = BlockKind::of_code(numbers.bytes(1)?[0]);
        offset = offset.checked_add(numbers.number()?)?;
        let (count, first) = (numbers.small()?, numbers.number()?);
        time_ns = time_ns.wrapping_add(numbers.number()?);
        let operations = kind == Some(BlockKind::Operations);
        let (threads, sizes) = if operations { (numbers.number()?, numbers.number()?) } else { (0, 0) };
        entries.extend(kind.map(|kind| Entry { kind, offset, count, first, time_ns, threads, sizes }));
    }
    Some((entries, totals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_back_without_what_a_later_version_adds() {
        let entry = |kind, offset, threads, sizes| Entry {
            kind,
            offset,
            count: 3,
            first: 0,
            time_ns: 9,
            threads,
            sizes,
        };
        let entries = [entry(BlockKind::Meta, 16, 0, 0), entry(BlockKind::Operations, 90, 5, 1 << 63)];
        let totals = Totals {
            operations: 3,
            counts: [[1; 4], [2; 4], [u64::MAX; 4]],
            slots: 7,
            threads: vec![true, false, true],
            notes: 4,
            timed: true,
            of_mimalloc: Some((2, 6)),
            ..Totals::default()
        };
        let mut raw = Vec::new();
        put_index(&entries, &totals, &mut raw);
        assert_eq!(take_index(&raw), Some((entries.to_vec(), totals.clone())));
        assert!((0..raw.len()).all(|end| take_index(&raw[..end]).is_none()), "a cut one is refused");
        // Another kind of block, and bytes after the entries. The first entry takes five bytes, the second as many and 1 + 10 for
        // its masks.
        let first = raw.len() - 16 - 5;
        let mut later = raw;
        assert_eq!(later[first], BlockKind::Meta.code());
        later[first] = 200;
        later.extend([1, 2, 3]);
        assert_eq!(take_index(&later), Some((entries[1..].to_vec(), totals)));
    }
}
