//! What `malloc_trim(0)` would give back: whole pages of free chunks, and of the end of the main heap.

use super::glibc::{HEADER, Heap, LEAST};
use crate::image::chunks::{Chunk, State};

const PAGE: u64 = 4096;
/// Bytes of a free chunk that stay: its header and the links of its list.
const LINKS: u64 = 48;

/// Stretches whose resident pages it would give back. Chunks of fast bins are joined with what is free beside them before.
pub(super) fn stretches(heaps: &[Heap], chunks: &[Chunk]) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let main = heaps.iter().find(|heap| heap.is_main).map(|heap| heap.hi);
    let mut run: Option<(u64, u64)> = None;
    for chunk in chunks {
        let lo = chunk.addr - HEADER;
        if chunk.state == State::Top {
            let lo = run.take_if(|run| run.1 == lo).map_or(lo, |run| run.0);
            let hi = chunk.addr.saturating_add(chunk.bytes);
            if main == Some(hi) {
                let bytes = (hi - lo).saturating_sub(LEAST + 1) / PAGE * PAGE;
                found.push((hi - bytes, hi));
            }
        }
        if !matches!(chunk.state, State::Free | State::Fast) {
            found.extend(run.take().and_then(pages));
            continue;
        }
        let hi = lo.saturating_add(chunk.bytes).saturating_add(8);
        run = match run {
            Some((from, end)) if end == lo => Some((from, hi)),
            other => {
                found.extend(other.and_then(pages));
                Some((lo, hi))
            }
        };
    }
    found.extend(run.and_then(pages));
    found.retain(|stretch| stretch.0 < stretch.1);
    found.sort_unstable();
    found
}

/// The whole pages of a free chunk behind its links.
fn pages((lo, hi): (u64, u64)) -> Option<(u64, u64)> {
    let from = lo.checked_add(LINKS)?.checked_next_multiple_of(PAGE)?;
    let until = hi / PAGE * PAGE;
    (from < until).then_some((from, until))
}
