//! What a process's memory is for the most part, and what of it could come back.

pub use sim_core::picture::{Cause, Finding};

use super::parts::{Part, Use};
use super::picture::Picture;
use super::resident::Resident;
use super::summary::Summary;

/// Hundredths of the resident memory from which on what could come back is worth a word.
const MUCH_PERCENT: u64 = 20;
/// The same of memory that nothing refers to, which is a fault from less on.
const LOST_PERCENT: u64 = 5;
/// Less than this is lost in healthy processes too.
const LEAST_LOST: u64 = 1 << 20;
/// Hundredths from which on one use is what the process is.
const MOST_PERCENT: u64 = 50;

/// Sums that are judged, in bytes that are resident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// All that the process has in memory.
    pub resident: u64,
    /// Objects and buffers in arenas, or in the pages of mimalloc that a process has in their place.
    pub in_arenas: u64,
    /// Free in arenas.
    pub free_in_arenas: u64,
    /// Of that, in arenas that hold little.
    pub free_in_little_used: u64,
    /// Free blocks in pages of mimalloc.
    pub free_in_mimalloc: u64,
    /// Objects and their buffers outside arenas.
    pub buffers: u64,
    /// What `malloc_trim` would give back.
    pub trim: u64,
    /// Blocks of the C library that nothing refers to.
    pub lost: u64,
    /// Code, constants and variables of program and libraries, and memory that only C code knows.
    pub native: u64,
}

impl Evidence {
    /// Of a picture of a process with so many resident bytes.
    pub fn of(
        resident_bytes: u64,
        resident: &Resident,
        picture: &Picture,
        parts: &[Part],
        summary: &Summary,
    ) -> Self {
        let part = |what| parts.iter().find(|part| part.what == what).map_or(0, |part| part.bytes);
        let sum = |all: &[Use]| all.iter().map(|what| part(*what)).sum::<u64>();
        let free_in_arenas = sum(&[Use::FreeBlocks, Use::EmptyPools, Use::Uncarved]);
        let chunks = sum(&[Use::ChunkObjects, Use::ChunkBuffers, Use::MappedObjects, Use::MappedBuffers]);
        let native = sum(&[Use::Variables, Use::Code, Use::Files, Use::Anonymous]);
        Self {
            resident: resident_bytes,
            in_arenas: sum(&[
                Use::Objects,
                Use::Buffers,
                Use::FreeListed,
                Use::MimallocObjects,
                Use::MimallocBuffers,
            ]),
            free_in_arenas,
            free_in_little_used: free_in_arenas.min(summary.little_used * picture.geometry.arena),
            free_in_mimalloc: part(Use::MimallocFree),
            // Chunks are counted as they are, resident or not.
            buffers: summary.outside.min(chunks.saturating_sub(summary.outside_of_c + summary.lost)),
            trim: picture.heaps.trim_bytes(resident),
            lost: summary.lost,
            native: summary.outside_of_c + native,
        }
    }
}

/// What there is to say, the weightiest first; never nothing.
pub fn findings(evidence: &Evidence) -> Vec<Finding> {
    let of = |percent: u64| evidence.resident / 100 * percent;
    let finding = |cause, bytes| Finding { cause, bytes };
    let mut faults = Vec::new();
    if evidence.trim >= of(MUCH_PERCENT).max(1) {
        faults.push(finding(Cause::CLibraryFree, evidence.trim));
    }
    if evidence.lost >= of(LOST_PERCENT).max(LEAST_LOST) {
        faults.push(finding(Cause::LostInC, evidence.lost));
    }
    if evidence.free_in_arenas >= of(MUCH_PERCENT).max(1) {
        let pinned = evidence.free_in_little_used >= evidence.free_in_arenas / 2;
        let cause = if pinned { Cause::Pinned } else { Cause::Spread };
        faults.push(finding(cause, evidence.free_in_arenas));
    }
    if evidence.free_in_mimalloc >= of(MUCH_PERCENT).max(1) {
        faults.push(finding(Cause::MimallocFree, evidence.free_in_mimalloc));
    }
    faults.sort_by_key(|found| std::cmp::Reverse(found.bytes));
    let uses = [
        finding(Cause::Buffers, evidence.buffers),
        finding(Cause::Native, evidence.native),
        finding(Cause::Objects, evidence.in_arenas),
    ];
    let most =
        uses.into_iter().filter(|found| found.bytes >= of(MOST_PERCENT)).max_by_key(|found| found.bytes);
    match most {
        Some(found) => faults.push(found),
        None if faults.is_empty() => {
            faults.extend(uses.into_iter().max_by_key(|found| found.bytes));
        }
        None => {}
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn first(evidence: Evidence) -> Cause {
        findings(&Evidence { resident: 100 * MB, ..evidence })[0].cause
    }

    #[test]
    fn the_weightiest_fault_comes_first_and_a_use_where_there_is_none() {
        let none = Evidence::default();
        assert_eq!(first(Evidence { trim: 30 * MB, in_arenas: 60 * MB, ..none }), Cause::CLibraryFree);
        assert_eq!(first(Evidence { trim: 19 * MB, in_arenas: 60 * MB, ..none }), Cause::Objects);
        assert_eq!(first(Evidence { lost: 6 * MB, in_arenas: 60 * MB, ..none }), Cause::LostInC);
        let free = Evidence { free_in_arenas: 40 * MB, ..none };
        assert_eq!(first(Evidence { free_in_little_used: 30 * MB, ..free }), Cause::Pinned);
        assert_eq!(first(Evidence { free_in_little_used: 10 * MB, ..free }), Cause::Spread);
        assert_eq!(
            first(Evidence { free_in_mimalloc: 40 * MB, in_arenas: 50 * MB, ..none }),
            Cause::MimallocFree
        );
        assert_eq!(first(Evidence { free_in_mimalloc: 10 * MB, in_arenas: 50 * MB, ..none }), Cause::Objects);
        assert_eq!(first(Evidence { free_in_arenas: 40 * MB, lost: 50 * MB, ..none }), Cause::LostInC);
        assert_eq!(
            first(Evidence { buffers: 40 * MB, native: 30 * MB, in_arenas: 30 * MB, ..none }),
            Cause::Buffers
        );
        assert_eq!(findings(&none).len(), 1);
    }

    #[test]
    fn a_little_that_is_lost_is_no_fault() {
        let small = Evidence { resident: 8 * MB, lost: MB / 2, native: 7 * MB, ..Evidence::default() };
        assert_eq!(findings(&small)[0].cause, Cause::Native);
    }
}
