//! The heaps of the GNU C library: its first, which it takes with `brk`, and those of its other arenas, 64 MiB apart.
//!
//! A chunk has its size in front of it, so that one leads to the next; whether it is in use, the one behind it says.

use super::words::Words;
use crate::image::chunks::{Chunk, State};
use crate::image::memory::{Kind, Mapping, Memory};

/// Where heaps of other arenas may begin.
const HEAP: u64 = 64 << 20;
/// Before what is given out stand the size of the chunk before and its own.
pub(super) const HEADER: u64 = 16;
/// The smallest chunk.
pub(super) const LEAST: u64 = 32;
/// What a size's low bits say: whether the chunk before is in use, and whether it has a mapping of its own.
const BEFORE_IN_USE: u64 = 1;
pub(super) const MAPPED: u64 = 2;
/// All of them.
pub(super) const BITS: u64 = 7;
const PAGE: u64 = 4096;
/// Where the state of an arena may end, from its heap's beginning: by version there is more or less in it.
const STATES: std::ops::RangeInclusive<u64> = 0x800..=0x940;
/// Where it ends in the versions that are known, 2.36, 2.31 and 2.43.
const KNOWN_STATES: [u64; 3] = [0x8d0, 0x8c0, 0x870];
/// Bytes of a `heap_info`: up to 2.31, and since.
const INFOS: [u64; 2] = [0x20, 0x30];

/// Chunks that a mapping has at least which is taken for a heap though it is not named so: a size of its own stands in others, too.
const LEAST_CHUNKS: usize = 16;

/// A heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heap {
    /// Where it begins.
    pub lo: u64,
    /// Behind its last byte.
    pub hi: u64,
    /// The chunk at its end, by where its header begins; none in one that its arena has filled.
    pub top: Option<u64>,
    /// Whether it is the one that the C library takes with `brk`.
    pub is_main: bool,
    /// Where its arena's state lies, where that is known.
    pub(super) state: Option<u64>,
}

/// Heaps and what is in them.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// By address.
    pub(super) heaps: Vec<Heap>,
    /// By address.
    pub(super) chunks: Vec<Chunk>,
}

/// What a heap ends with.
enum End {
    /// Free memory, which begins at this address.
    Top(u64),
    /// An empty chunk, behind which there is no heap any more.
    Fence,
}

/// Goes from chunk to chunk; where one cannot be one, its address, and nothing is added.
fn walk(words: &mut Words<'_>, first: u64, end: u64, chunks: &mut Vec<Chunk>) -> Result<End, u64> {
    let before = chunks.len();
    let found = steps(words, first, end, chunks);
    if found.is_err() {
        chunks.truncate(before);
    }
    found
}

fn steps(words: &mut Words<'_>, first: u64, end: u64, chunks: &mut Vec<Chunk>) -> Result<End, u64> {
    let mut at = first;
    let mut last: Option<(u64, u64)> = None;
    loop {
        let head = at.checked_add(8).and_then(|size| words.at(size)).ok_or(at)?;
        // Before the first one there is none that could be free.
        if at == first && head & BEFORE_IN_USE == 0 {
            return Err(at);
        }
        let size = head & !BITS;
        if let Some((addr, bytes)) = last.take() {
            let state = if head & BEFORE_IN_USE == 0 { State::Free } else { State::Used };
            chunks.push(Chunk { addr: addr + HEADER, bytes: bytes - 8, state });
        }
        if head & MAPPED != 0 || !size.is_multiple_of(HEADER) {
            return Err(at);
        }
        if size == 0 && at + HEADER == end {
            return Ok(End::Fence);
        }
        // A chunk of 16 bytes is a fence, too: it only says of the one before that it is in use.
        if size < LEAST && size != HEADER {
            return Err(at);
        }
        let next = at.checked_add(size).filter(|next| *next <= end).ok_or(at)?;
        if next == end {
            if size < LEAST {
                return Ok(End::Fence);
            }
            chunks.push(Chunk { addr: at + HEADER, bytes: size - HEADER, state: State::Top });
            return Ok(End::Top(at));
        }
        if size >= LEAST {
            last = Some((at, size));
        }
        at = next;
    }
}

/// All heaps; or the address where the first one ceases to be one, if there is one at all.
pub(super) fn find(memory: &Memory) -> Result<Walked, Option<u64>> {
    let mut words = Words::of(memory);
    let mut found = Walked::default();
    main(memory, &mut words, &mut found)?;
    for region in memory.regions() {
        let mut at = region.lo.checked_next_multiple_of(HEAP);
        while let Some(lo) = at.filter(|lo| *lo < region.hi()) {
            found.heaps.extend(other(&mut words, lo, &mut found.chunks));
            at = lo.checked_add(HEAP);
        }
    }
    found.heaps.sort_by_key(|heap| heap.lo);
    found.chunks.sort_unstable_by_key(|chunk| chunk.addr);
    Ok(found)
}

/// The heap that was taken with `brk`. Where no mapping is named so, one that is a heap from its first byte to its last.
fn main(memory: &Memory, words: &mut Words<'_>, found: &mut Walked) -> Result<(), Option<u64>> {
    let mut add = |lo: u64, hi: u64, least: usize| {
        let before = found.chunks.len();
        let end = walk(words, lo, hi, &mut found.chunks)?;
        if found.chunks.len() - before < least {
            found.chunks.truncate(before);
            return Err(lo);
        }
        let top = if let End::Top(top) = end { Some(top) } else { None };
        let state = top.and_then(|top| state_of_main(memory, top));
        found.heaps.push(Heap { lo, hi, top, is_main: true, state });
        Ok(())
    };
    let mut failed = None;
    let named = runs(memory, |mapping| mapping.kind == Kind::Heap);
    let is_named = !named.is_empty();
    for (lo, hi) in named {
        match add(lo, hi, 1) {
            Ok(()) => return Ok(()),
            Err(at) => failed = failed.or(Some(at)),
        }
    }
    if !is_named {
        let anonymous = memory.mappings().iter().filter(|mapping| is_plain(mapping));
        let ranges: Vec<(u64, u64)> = anonymous.map(|mapping| (mapping.lo, mapping.hi)).collect();
        for (lo, hi) in ranges {
            if add(lo, hi, LEAST_CHUNKS).is_ok() {
                return Ok(());
            }
        }
    }
    Err(failed)
}

/// Whether a mapping is memory of nobody's file that only this process has.
pub(super) fn is_plain(mapping: &Mapping) -> bool {
    mapping.kind == Kind::Anonymous && mapping.private_writable()
}

/// Mappings of a kind, those that lie one at the other as one: the kernel cuts them where a part was advised on.
pub(super) fn runs(memory: &Memory, is_one: impl Fn(&Mapping) -> bool) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for mapping in memory.mappings().iter().filter(|mapping| is_one(mapping)) {
        match runs.last_mut() {
            Some(run) if run.1 == mapping.lo => run.1 = mapping.hi,
            _ => runs.push((mapping.lo, mapping.hi)),
        }
    }
    runs
}

/// The heap of another arena at an address, if one is there.
fn other(words: &mut Words<'_>, lo: u64, chunks: &mut Vec<Chunk>) -> Option<Heap> {
    let mut word = |offset: u64| words.at(lo.checked_add(offset)?);
    let (arena, before, size, writable) = (word(0)?, word(8)?, word(16)?, word(24)?);
    let pages = size.is_multiple_of(PAGE) && writable.is_multiple_of(PAGE);
    if !pages || size < PAGE || size > writable || writable > HEAP || !before.is_multiple_of(HEAP) {
        return None;
    }
    let first_heap = arena & !(HEAP - 1);
    let info = arena - first_heap;
    if !INFOS.contains(&info) || (before == 0) != (first_heap == lo) || words.at(first_heap)? != arena {
        return None;
    }
    let hi = lo.checked_add(size)?;
    let mut from = |first: u64, chunks: &mut Vec<Chunk>| walk(words, lo + first, hi, chunks).ok();
    let end = if before == 0 {
        let any = STATES.step_by(HEADER as usize);
        KNOWN_STATES.into_iter().chain(any).find_map(|first| from(first, chunks))?
    } else {
        from(info, chunks)?
    };
    let top = if let End::Top(top) = end { Some(top) } else { None };
    Some(Heap { lo, hi, top, is_main: false, state: Some(arena) })
}

/// Lists of free chunks that an arena has, for what is larger than a fast bin's.
const BINS: u64 = 127;

/// Where the first arena's state keeps its top, which is a variable of the C library: behind it stand its bins.
fn state_of_main(memory: &Memory, top: u64) -> Option<u64> {
    let is_variable = |mapping: &&Mapping| mapping.private_writable() && mapping.kind == Kind::File;
    let wanted = top.to_le_bytes();
    for mapping in memory.mappings().iter().filter(is_variable) {
        let after = memory.regions().partition_point(|region| region.hi() <= mapping.lo);
        let regions = memory.regions()[after..].iter().take_while(|region| region.lo < mapping.hi);
        for region in regions {
            let words = region.bytes.chunks_exact(8).zip((region.lo..).step_by(8));
            let mut found = words.filter(|(word, _)| **word == wanted).map(|(_, at)| at);
            if let Some(at) = found.find(|at| has_bins(memory, *at)) {
                return Some(at);
            }
        }
    }
    None
}

/// Whether bins stand behind an arena's top at this address: each is empty, and then leads to itself, or leads elsewhere both ways.
fn has_bins(memory: &Memory, top: u64) -> bool {
    let Some(bytes) = memory.slice(top, 16 + 16 * BINS) else { return false };
    let pairs = bytes.chunks_exact(16).skip(1);
    let mut empty = 0;
    for (pair, bin) in pairs.zip((top..).step_by(16)) {
        let (next, before) = pair.split_at(8);
        if next == bin.to_le_bytes() && before == bin.to_le_bytes() {
            empty += 1;
        } else if next == bin.to_le_bytes() || before == bin.to_le_bytes() || next == [0; 8] {
            return false;
        }
    }
    empty > 0
}
