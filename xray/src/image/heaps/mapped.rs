//! Large chunks of the GNU C library, each with a mapping of its own.

use super::glibc::{BITS, HEADER, MAPPED, is_plain, runs};
use crate::image::chunks::{Chunk, State};
use crate::image::memory::{Memory, word_of};

const PAGE: u64 = 4096;
/// What is left of a chunk's last page: nothing, and since 2.43 the header of none.
const LEFT: [u64; 2] = [0, HEADER];

/// All that begin at a page and end with one in memory that is in none of `taken`, which are by address.
pub(super) fn find(memory: &Memory, taken: &[(u64, u64)]) -> Vec<Chunk> {
    let runs = runs(memory, is_plain);
    let mut found = Vec::new();
    let mut at = 0;
    for region in memory.regions() {
        at = paged(region.lo).max(at);
        while at < region.hi() {
            let before = taken.partition_point(|taken| taken.0 <= at);
            if let Some(taken) = before.checked_sub(1).map(|at| taken[at]).filter(|taken| at < taken.1) {
                at = paged(taken.1);
                continue;
            }
            let next = taken.get(before).map_or(u64::MAX, |taken| taken.0);
            let run = runs.partition_point(|run| run.0 <= at).checked_sub(1).map(|at| runs[at]);
            let Some(run) = run.filter(|run| at < run.1) else {
                // Nothing of this region lies in such memory from here on, or the next does.
                let after = runs.partition_point(|run| run.0 <= at);
                at = runs.get(after).map_or(u64::MAX, |run| run.0);
                continue;
            };
            let Some(hi) = chunk(memory, at).filter(|hi| *hi <= run.1.min(next)) else {
                at = at.saturating_add(PAGE);
                continue;
            };
            found.push(Chunk { addr: at + HEADER, bytes: hi - at - HEADER, state: State::Mapped });
            at = hi;
        }
    }
    found
}

/// The first page that begins at an address or behind it.
fn paged(addr: u64) -> u64 {
    addr.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}

/// Behind the last page of the chunk that begins at an address, if one does.
fn chunk(memory: &Memory, addr: u64) -> Option<u64> {
    let header = memory.slice(addr, HEADER)?;
    let (before, size) = (word_of(header, 0), word_of(header, 8));
    if before != 0 || size & BITS != MAPPED || size < PAGE - HEADER {
        return None;
    }
    let end = addr.checked_add(size & !BITS)?;
    let hi = end.checked_next_multiple_of(PAGE)?;
    LEFT.contains(&(hi - end)).then_some(hi)
}
