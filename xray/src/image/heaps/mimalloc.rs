//! Blocks of the mimalloc that `CPython` 3.13 and later bring along, which `PYTHONMALLOC=mimalloc` has in the place of pymalloc.
//!
//! Its segments lie 32 MiB apart. A segment begins with a row for each of its slices of 64 KiB; some of them together are a page, which has
//! blocks of one size.

use super::words::Words;
use crate::image::chunks::{Chunk, State};
use crate::image::memory::{Memory, half_of, word_of};

/// Where segments begin.
const SEGMENT: u64 = 32 << 20;
const SLICE: u64 = 64 << 10;
/// Rows that a segment has room for; a longer one has one block only.
const ROWS: u64 = SEGMENT / SLICE;
/// Slices that a segment may have: 16 TiB.
const MOST_SLICES: u64 = 1 << 28;
/// Slices that a segment's own rows take at most.
const MOST_INFO: u64 = 16;
/// From this size on the row does not say it, and the one block has all slices.
const NOT_SAID: u64 = 2 << 30;
/// What a link of another thread's list has in its low bits is no address.
const LINK: u64 = !3;

/// Where a version keeps what, in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Of a segment: how many slices it has, how many of them its rows take, and where those begin.
    slices: u64,
    info: u64,
    rows: u64,
    /// Bytes of a row.
    row: u64,
    /// Of a row: free blocks, those freed by its thread, those freed by others.
    free: [usize; 3],
    /// Blocks in use.
    used: Used,
    /// Bytes of a block.
    block: Block,
}

#[derive(Clone, Copy, Debug)]
enum Used {
    Half(usize),
    Quarter(usize),
}

#[derive(Clone, Copy, Debug)]
enum Block {
    /// In half a word; where the first begins follows from it.
    Half(usize),
    /// In a word, and in another one where the first begins.
    Word(usize, usize),
}

/// mimalloc 2.1.2, in 3.13 and 3.14 up to 3.14.9, and 2.5.2, from 3.14.10 on.
const LAYOUTS: [Layout; 2] = [
    Layout {
        slices: 224,
        info: 232,
        rows: 264,
        row: 80,
        free: [16, 32, 40],
        used: Used::Half(24),
        block: Block::Half(28),
    },
    Layout {
        slices: 248,
        info: 256,
        rows: 288,
        row: 96,
        free: [16, 24, 56],
        used: Used::Quarter(32),
        block: Block::Word(40, 48),
    },
];
/// Where a row has how many slices it is for, and how many blocks there are.
const COUNT: usize = 0;
const CAPACITY: usize = 10;

/// Segments and their blocks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Found {
    /// From where, and behind the last byte.
    pub(super) segments: Vec<(u64, u64)>,
    /// By address, free ones too.
    pub(super) blocks: Vec<Chunk>,
    /// Pages whose counts and lists agree, and those where they do not.
    agree: usize,
    differ: usize,
}

/// What lies in segments, by the layout under which the most pages agree with themselves.
pub(super) fn find(memory: &Memory) -> Found {
    let found = LAYOUTS.map(|layout| by(memory, layout));
    let best = found.into_iter().max_by_key(|found| found.agree).unwrap_or_default();
    // Where it is something else, next to nothing agrees; a page that is being changed does not either.
    if best.agree > 4 * best.differ { best } else { Found::default() }
}

fn by(memory: &Memory, layout: Layout) -> Found {
    let mut words = Words::of(memory);
    let mut found = Found::default();
    let mut end = 0;
    for region in memory.regions() {
        let mut at = region.lo.checked_next_multiple_of(SEGMENT);
        while let Some(lo) = at.filter(|lo| *lo < region.hi()) {
            at = lo.checked_add(SEGMENT);
            if lo < end {
                continue;
            }
            if let Some(hi) = segment(memory, &mut words, layout, lo, &mut found) {
                found.segments.push((lo, hi));
                end = hi;
            }
        }
    }
    found
}

/// Behind the last byte of the segment at an address, if one is there; adds its blocks.
fn segment(
    memory: &Memory,
    words: &mut Words<'_>,
    layout: Layout,
    lo: u64,
    found: &mut Found,
) -> Option<u64> {
    let (slices, info) = (words.at(lo.checked_add(layout.slices)?)?, words.at(lo.checked_add(layout.info)?)?);
    if !(1..MOST_SLICES).contains(&slices) || !(1..MOST_INFO).contains(&info) || info >= slices {
        return None;
    }
    let hi = lo.checked_add(slices * SLICE)?;
    let rows = memory.slice(lo.checked_add(layout.rows)?, ROWS * layout.row)?;
    let (before, agreed) = (found.blocks.len(), found.agree);
    let mut at = info;
    while at < slices.min(ROWS) {
        let row = rows.get((at * layout.row) as usize..)?;
        let count = u64::from(half_of(row, COUNT));
        if count == 0 {
            at += 1;
            continue;
        }
        let (from, until) = (lo + at * SLICE, lo + (at + count) * SLICE);
        if until > hi {
            found.blocks.truncate(before);
            return None;
        }
        match page(memory, words, layout, row, (from, until), &mut found.blocks) {
            Some(true) => found.agree += 1,
            Some(false) => found.differ += 1,
            None => {}
        }
        at += count;
    }
    (found.agree > agreed).then_some(hi)
}

/// Adds the blocks of a page, if a row is one's, and says whether its count and its lists agree.
fn page(
    memory: &Memory,
    words: &mut Words<'_>,
    layout: Layout,
    row: &[u8],
    (from, until): (u64, u64),
    blocks: &mut Vec<Chunk>,
) -> Option<bool> {
    let quarter = |at: usize| row.get(at..)?.first_chunk().map(|bytes| u64::from(u16::from_le_bytes(*bytes)));
    let capacity = quarter(CAPACITY)?;
    let (bytes, first) = match layout.block {
        Block::Half(at) => {
            let bytes = u64::from(half_of(row, at));
            let bytes = if bytes >= NOT_SAID { until - from } else { bytes };
            let before = match bytes {
                ..=64 => 3 * bytes,
                65..=512 => bytes,
                _ => 0,
            };
            (bytes, from + before)
        }
        Block::Word(at, start) => (word_of(row, at), word_of(row, start)),
    };
    // A stretch of free slices has blocks of a byte, or none.
    if capacity == 0 || bytes < 8 || !bytes.is_multiple_of(8) {
        return None;
    }
    // A block was linked before it was given out, so that there are no more than words that were copied.
    if blocks.len() as u64 + capacity > memory.copied_bytes() / 8 {
        return None;
    }
    let end = capacity.checked_mul(bytes).and_then(|all| first.checked_add(all));
    if first < from || end.is_none_or(|end| end > until) || memory.slice(from, 8).is_none() {
        return Some(false);
    }
    let used = match layout.used {
        Used::Half(at) => u64::from(half_of(row, at)),
        Used::Quarter(at) => quarter(at)?,
    };
    let mut is_free = vec![false; capacity as usize];
    let mut lengths = [0; 3];
    let mut whole = true;
    for (list, length) in layout.free.into_iter().zip(&mut lengths) {
        let mut link = word_of(row, list) & LINK;
        while link != 0 {
            let offset = link.wrapping_sub(first);
            let number = (offset / bytes) as usize;
            // A list that leaves the page or comes back to itself ends here.
            let is_new = offset.is_multiple_of(bytes)
                && is_free.get_mut(number).is_some_and(|free| !std::mem::replace(free, true));
            if !is_new {
                whole = false;
                break;
            }
            *length += 1;
            link = words.at(link).unwrap_or(0);
        }
    }
    for (number, free) in is_free.into_iter().enumerate() {
        let state = if free { State::Free } else { State::Used };
        blocks.push(Chunk { addr: first + number as u64 * bytes, bytes, state });
    }
    // Those that other threads freed are in use until their own thread sees it.
    let [free, freed, by_others] = lengths;
    Some(whole && capacity.saturating_sub(free + freed).abs_diff(used) <= by_others)
}
