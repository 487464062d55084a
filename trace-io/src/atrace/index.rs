//! Where the blocks are, and what occurs in them.

use sim_core::tape::Totals;

use super::container::BlockKind;
use super::meta::{put_totals, take_totals};
use super::varint::{Numbers, put};

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

/// The bit of [`Entry::sizes`] for a size.
pub(crate) fn size_bit(size: u64) -> u64 {
    match size {
        0 => 1 << 63,
        1..=512 => 1 << ((size - 1) >> 4),
        // ilog2 of 513 - 1 is 9: the first power of two is 1024.
        _ => 1 << (32 + u64::from((size - 1).ilog2() - 9)).min(62),
    }
}

/// The payload of an INDEX block.
pub(crate) fn put_index(entries: &[Entry], totals: &Totals, notes: u64, out: &mut Vec<u8>) {
    put_totals(totals, notes, out);
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

/// What an INDEX block says: the blocks, the totals and the number of notes.
pub(crate) fn take_index(raw: &[u8]) -> Option<(Vec<Entry>, Totals, u64)> {
    let mut numbers = Numbers(raw);
    let (totals, notes) = take_totals(&mut numbers)?;
    let count = numbers.next()?;
    let (mut offset, mut time_ns) = (0_u64, 0_u64);
    let mut entries = Vec::new();
    for _ in 0..count {
        let kind = BlockKind::of_code(numbers.bytes(1)?[0])?;
        offset = offset.checked_add(numbers.next()?)?;
        let (count, first) = (numbers.small()?, numbers.next()?);
        time_ns = time_ns.wrapping_add(numbers.next()?);
        let operations = kind == BlockKind::Operations;
        let (threads, sizes) = if operations { (numbers.next()?, numbers.next()?) } else { (0, 0) };
        entries.push(Entry { kind, offset, count, first, time_ns, threads, sizes });
    }
    numbers.done().then_some((entries, totals, notes))
}
