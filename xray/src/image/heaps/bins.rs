//! Free chunks that look as if they were in use: those of threads' caches and of fast bins. Which version of the C library it is
//! shows in how it keeps them.

use super::glibc::{HEADER, Heap, LEAST, Walked};
use crate::image::chunks::{Chunk, State};
use crate::image::memory::{Memory, word_of};

/// What a version of the GNU C library is like, by how it keeps small free chunks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Generation {
    /// Counters of a byte.
    From226,
    /// Counters of two bytes.
    From230,
    /// Links that are mixed with where they stand.
    From232,
    /// Counters of what is left, and bins for large chunks.
    From242,
}

impl Generation {
    /// The versions that it may be.
    pub fn versions(self) -> &'static str {
        match self {
            Self::From226 => "2.26 to 2.29",
            Self::From230 => "2.30 or 2.31",
            Self::From232 => "2.32 to 2.41",
            Self::From242 => "2.42 or later",
        }
    }

    const ALL: [Self; 4] = [Self::From226, Self::From230, Self::From232, Self::From242];

    fn is_mixed(self) -> bool {
        self >= Self::From232
    }

    /// Bins of a thread's cache, and bytes of a counter.
    fn cache(self) -> (u64, u64) {
        match self {
            Self::From226 => (64, 1),
            Self::From230 | Self::From232 => (64, 2),
            Self::From242 => (76, 2),
        }
    }

    /// Bytes of the chunk that such a cache lies in, without its header.
    fn cache_bytes(self) -> u64 {
        let (bins, counter) = self.cache();
        (bins * (counter + 8) + 8).next_multiple_of(HEADER) - 8
    }
}

/// Bins of a cache that have one size each.
const SMALL_BINS: u64 = 64;
/// Fast bins of an arena, which stand before its top.
const FAST_BINS: u64 = 10;
/// Where the top may stand in an arena's state.
const TOPS: std::ops::Range<u64> = 8..256;

/// Marks cached and fast chunks, and says how the C library keeps them where any is there.
pub(super) fn mark(memory: &Memory, walked: &mut Walked) -> Option<Generation> {
    let generation = caches(memory, &mut walked.chunks);
    let heads = walked.heaps.iter().filter_map(|heap| top_word(memory, heap));
    let heads: Vec<u64> = heads.filter_map(|top| top.checked_sub(8 * FAST_BINS)).collect();
    for head in heads {
        fast(memory, &mut walked.chunks, head, generation.is_none_or(Generation::is_mixed));
    }
    generation
}

/// The place of the chunk that somebody could have at an address.
fn at(chunks: &[Chunk], addr: u64) -> Option<usize> {
    let place = chunks.binary_search_by_key(&addr, |chunk| chunk.addr).ok()?;
    (chunks[place].state == State::Used).then_some(place)
}

/// The link at an address.
fn link(memory: &Memory, addr: u64, mixed: bool) -> Option<u64> {
    let word = word_of(memory.slice(addr, 8)?, 0);
    Some(if mixed { word ^ addr >> 12 } else { word })
}

/// Finds the caches as chunks whose counters and lists agree.
fn caches(memory: &Memory, chunks: &mut [Chunk]) -> Option<Generation> {
    // What is in one list is in no other, so there are no more steps than chunks; more only where the memory is not what it should be.
    let mut steps = 16 * chunks.len();
    let mut found: [Vec<usize>; Generation::ALL.len()] = Default::default();
    for place in 0..chunks.len() {
        let chunk = chunks[place];
        if chunk.state != State::Used {
            continue;
        }
        for (generation, listed) in Generation::ALL.into_iter().zip(&mut found) {
            if generation.cache_bytes() == chunk.bytes {
                listed.extend(cache(memory, chunks, chunk, generation, &mut steps).unwrap_or_default());
            }
        }
    }
    let all = Generation::ALL.into_iter().zip(found);
    let (generation, listed) = all.max_by_key(|(_, listed)| listed.len())?;
    for place in &listed {
        chunks[*place].state = State::Cached;
    }
    (!listed.is_empty()).then_some(generation)
}

/// The chunks of all lists of a cache, where it is one.
fn cache(
    memory: &Memory,
    chunks: &[Chunk],
    chunk: Chunk,
    generation: Generation,
    steps: &mut usize,
) -> Option<Vec<usize>> {
    let (bins, counter) = generation.cache();
    let bytes = memory.slice(chunk.addr, chunk.bytes)?;
    let (counters, heads) = bytes.split_at_checked((bins * counter) as usize)?;
    let mut listed = Vec::new();
    // Of those that count what is left, the lists have as much room each.
    let mut room = None;
    // A thread that was stopped in between has one list that is one longer or shorter.
    let mut torn = 0;
    for (bin, count) in counters.chunks_exact(counter as usize).enumerate() {
        let count = count.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mut length = 0;
        let mut addr = word_of(heads, 8 * bin);
        let most =
            u64::from(u16::MAX).min(if generation == Generation::From242 { u64::MAX } else { count + 1 });
        while addr != 0 && length < most {
            *steps = steps.checked_sub(1)?;
            let place = at(chunks, addr)?;
            let size = chunks[place].bytes + 8;
            let small = LEAST + HEADER * bin as u64;
            let fits =
                if (bin as u64) < SMALL_BINS { size == small } else { size > LEAST + HEADER * SMALL_BINS };
            if !fits {
                return None;
            }
            listed.push(place);
            length += 1;
            addr = link(memory, addr, generation.is_mixed())?;
        }
        // A list that does not end is none.
        if addr != 0 {
            return None;
        }
        let wanted = if generation == Generation::From242 {
            let all = count.checked_add(length)?;
            all.abs_diff(*room.get_or_insert(all))
        } else {
            count.abs_diff(length)
        };
        torn += wanted;
        if torn > 1 {
            return None;
        }
    }
    Some(listed)
}

/// The word of an arena's state that leads to its top.
fn top_word(memory: &Memory, heap: &Heap) -> Option<u64> {
    let (top, state) = (heap.top?, heap.state?);
    if heap.is_main {
        return Some(state);
    }
    let mut places = TOPS.step_by(8).filter_map(|offset| state.checked_add(offset));
    places.find(|place| memory.slice(*place, 8).is_some_and(|bytes| word_of(bytes, 0) == top))
}

/// Marks what is in fast bins whose heads begin at an address. Versions that have none have something else there, which leads to no chunk.
fn fast(memory: &Memory, chunks: &mut [Chunk], heads: u64, mixed: bool) {
    let Some(bytes) = memory.slice(heads, 8 * FAST_BINS) else { return };
    let heads: Vec<u64> = bytes.chunks_exact(8).map(|word| word_of(word, 0)).collect();
    let fits = |chunks: &[Chunk], head: u64, bin: usize| {
        let place = at(chunks, head.checked_add(HEADER)?)?;
        (chunks[place].bytes + 8 == LEAST + HEADER * bin as u64).then_some(place)
    };
    if !heads.iter().enumerate().all(|(bin, head)| *head == 0 || fits(chunks, *head, bin).is_some()) {
        return;
    }
    for (bin, head) in heads.into_iter().enumerate() {
        let mut next = head;
        // One that was marked is in use no more, so that this ends.
        while let Some(place) = fits(chunks, next, bin) {
            chunks[place].state = State::Fast;
            let Some(linked) = link(memory, chunks[place].addr, mixed) else { break };
            next = linked;
        }
    }
}
