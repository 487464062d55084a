//! Sizes: bins of blocks, bins of spans, and how large requests are rounded.

use crate::profile::MimallocVersion;

/// `MI_SEGMENT_SLICE_SIZE` in bytes.
pub const SLICE_BYTES: u64 = 64 << 10;
/// `MI_SEGMENT_SIZE`, and the alignment of segments, in bytes.
pub const SEGMENT_BYTES: u64 = 32 << 20;
/// `MI_SLICES_PER_SEGMENT`.
pub const SLICES_PER_SEGMENT: u32 = 512;
/// `MI_LARGE_OBJ_SIZE_MAX` in bytes: a larger block has a segment of its own.
pub const LARGE_BYTES_MAX: u64 = 16 << 20;
/// `MI_BIN_HUGE`: the queue of all pages with a single block.
pub const BIN_HUGE: u8 = 73;
/// `MI_BIN_FULL`: the queue of full pages.
pub const BIN_FULL: u8 = 74;

/// `MI_SMALL_SIZE_MAX` in bytes: larger requests never take the short path.
pub(super) const SMALL_BYTES_MAX: u64 = 1024;
/// `MI_MEDIUM_PAGE_SIZE` in bytes.
pub(super) const MEDIUM_PAGE_BYTES: u64 = 512 << 10;
pub(super) const QUEUES: usize = BIN_FULL as usize + 1;
pub(super) const SPAN_BINS: usize = 36;

impl MimallocVersion {
    /// `MI_SMALL_OBJ_SIZE_MAX`: the largest block of a page of one slice, in bytes.
    pub fn small_block_max(self) -> u64 {
        match self {
            Self::V2_1_2 => 16 << 10,
            Self::V2_5_2 => 8 << 10,
        }
    }

    /// `MI_MEDIUM_OBJ_SIZE_MAX`: the largest block that shares its page, in bytes.
    pub fn medium_block_max(self) -> u64 {
        match self {
            Self::V2_1_2 => 128 << 10,
            Self::V2_5_2 => 64 << 10,
        }
    }

    /// The largest request that is tried at all, in bytes.
    pub(super) fn request_max(self) -> u64 {
        match self {
            Self::V2_1_2 => i64::MAX as u64,
            Self::V2_5_2 => (1 << 48) - 2 * SLICE_BYTES,
        }
    }

    /// `MI_RETIRE_CYCLES`: page misses that an emptied page survives when it is alone in its queue.
    pub(super) fn retire_cycles(self, block_bytes: u64) -> u8 {
        let cycles = if block_bytes <= self.small_block_max() { 16 } else { 4 };
        match self {
            Self::V2_1_2 => cycles + 1,
            Self::V2_5_2 => cycles,
        }
    }

    /// `_mi_bin`: the queue of pages for a size in bytes.
    #[inline]
    pub fn bin(self, bytes: u64) -> u8 {
        let words = bytes.div_ceil(8);
        if words <= 1 {
            1
        } else if words <= 8 {
            (words as u8 + 1) & !1
        } else if words > self.medium_block_max() / 8 {
            BIN_HUGE
        } else {
            let words = words - 1;
            let top = words.ilog2();
            ((top << 2) + ((words >> (top - 2)) as u32 & 3) - 3) as u8
        }
    }
}

/// `_mi_bin_size`: bytes of a block of this bin.
pub fn bin_block_bytes(bin: u8) -> u64 {
    if bin <= 8 {
        return 8 * u64::from(bin.max(1));
    }
    let (top, two) = (u32::from(bin + 3) / 4, u64::from(bin + 3) % 4);
    8 * ((5 + two) << (top - 2))
}

/// `mi_slice_bin`: the queue of free spans of this many slices.
pub(super) fn span_bin(slices: u32) -> usize {
    if slices <= 1 {
        return slices as usize;
    }
    let n = slices - 1;
    let top = n.ilog2();
    if top <= 2 { n as usize + 1 } else { ((top << 2 | (n >> (top - 2) & 3)) - 4) as usize }
}

/// `_mi_os_good_alloc_size`: what a large or huge request is rounded up to, in bytes.
pub(super) fn good_os_bytes(bytes: u64) -> u64 {
    let step: u64 = match bytes >> 10 {
        0..512 => 4 << 10,
        512..2048 => 64 << 10,
        2048..8192 => 256 << 10,
        8192..32768 => 1 << 20,
        _ => 4 << 20,
    };
    bytes.checked_next_multiple_of(step).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_what_belongs_to_it() {
        for version in [MimallocVersion::V2_1_2, MimallocVersion::V2_5_2] {
            let mut last = 0;
            for bytes in 0..=version.medium_block_max() {
                let bin = version.bin(bytes);
                let block = bin_block_bytes(bin);
                assert!(block >= bytes && bin >= last, "{bytes} bytes in bin {bin} of {block}");
                assert!(bytes < 8 || version.bin(block) == bin, "the block of bin {bin} has another bin");
                // About an eighth is lost at most, apart from the 8-byte steps below.
                assert!(bytes < 64 || block - bytes <= bytes / 4 + 8);
                last = bin;
            }
            assert_eq!(version.bin(version.medium_block_max() + 1), BIN_HUGE);
        }
        let blocks: Vec<u64> = [1, 2, 4, 6, 8, 9, 10, 11, 12, 13, 24, 25, 36, 48].map(bin_block_bytes).into();
        assert_eq!(blocks, [8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 1024, 1280, 8192, 65536]);
    }

    #[test]
    fn span_bins_have_the_bounds_of_mimalloc() {
        let bounds: Vec<u32> =
            (8..=31).map(|bin| (1..=512).filter(|&n| span_bin(n) == bin).max().unwrap_or(0)).collect();
        let expected = [
            10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
            448, 512,
        ];
        assert_eq!(bounds, expected);
        assert_eq!((1..=7).map(span_bin).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
        assert_eq!(span_bin(8), 8, "joined by 9 and 10");
    }
}
