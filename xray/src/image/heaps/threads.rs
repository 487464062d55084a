//! Stacks of threads, as the GNU C library lays them out on x86-64: at a stack's end lies the thread's `struct pthread`, which begins with its
//! own address, twice, and says where the stack begins and how large it is.
//!
//! Up to 2.42 a mapping that cannot be read lies before each stack; since 2.43 its guard pages are no mapping of their own, and nothing else
//! tells a stack from other memory.

use crate::image::memory::{Kind, Memory, word_of};

/// What a `struct pthread` is aligned to.
const ALIGNED: usize = 64;
/// Bytes of it among which it says so; versions differ in where.
const MEMBERS: u64 = 0x1000;
/// What lies behind a `struct pthread` on its stack is less than this.
const MOST_BEHIND: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// Of each thread the stack, with its guard pages, by address.
pub(super) fn stacks(memory: &Memory) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    let is_anonymous = |addr: u64| memory.mapping_at(addr).is_some_and(|row| row.kind == Kind::Anonymous);
    for region in memory.regions().iter().filter(|region| is_anonymous(region.lo)) {
        let first = region.lo.next_multiple_of(ALIGNED as u64) - region.lo;
        let rest = region.bytes.get(first as usize..).unwrap_or_default();
        for (words, addr) in rest.chunks(ALIGNED).zip((region.lo + first..).step_by(ALIGNED)) {
            if word_of(words, 0) == addr && word_of(words, 16) == addr && addr != 0 {
                found.extend(stack(memory, addr));
            }
        }
    }
    found.sort_unstable();
    let mut end = 0;
    found.retain(|(lo, hi)| {
        let apart = *lo >= end;
        end = if apart { *hi } else { end };
        apart
    });
    found
}

/// The stack of the thread whose `struct pthread` is at an address.
fn stack(memory: &Memory, addr: u64) -> Option<(u64, u64)> {
    let end = memory
        .regions()
        .get(memory.regions().partition_point(|region| region.lo <= addr).checked_sub(1)?)?
        .hi();
    let bytes = memory.slice(addr, MEMBERS.min(end - addr))?;
    (0..bytes.len()).step_by(8).find_map(|at| {
        let (lo, size, guard) = (word_of(bytes, at), word_of(bytes, at + 8), word_of(bytes, at + 16));
        let paged = lo.is_multiple_of(PAGE) && size.is_multiple_of(PAGE) && guard.is_multiple_of(PAGE);
        let hi = lo.checked_add(size)?;
        let around = lo != 0 && lo < addr && addr < hi && hi - addr < MOST_BEHIND && guard < addr - lo;
        (paged && around).then_some((lo, hi))
    })
}
