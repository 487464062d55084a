//! Where segments come from: arenas of 1 GiB, taken lowest block first, and the system for what is larger.

use super::sizes::{SEGMENT_BYTES, SLICE_BYTES};

/// Where the first arena lies. Real processes choose it at random; block offsets of 2.5.2 depend on it.
pub const ARENA_BASE: u64 = 1 << 41;
/// Where memory outside arenas begins.
const OS_BASE: u64 = 1 << 46;
/// Where the address space of a program ends.
const OS_END: u64 = 1 << 47;
/// Arenas that are reserved at most: a simulated machine with 1 TiB.
const ARENAS_MAX: usize = 1024;
const ARENA_BLOCKS: u32 = 32;

/// A piece of memory for a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) ordinal: u32,
    pub(super) base: u64,
    pub(super) arena_blocks: Option<u32>,
}

/// All memory that mimalloc has from the system.
#[derive(Clone, Debug)]
pub(super) struct Arenas {
    /// A bit for each block of 32 MiB in use.
    pub(super) in_use: Vec<u32>,
    /// Base and bytes of memory outside arenas, by address.
    pub(super) os: Vec<(u64, u64)>,
    os_count: u32,
}

impl Arenas {
    pub(super) fn new(count: u32) -> Self {
        Self { in_use: vec![0; count.clamp(1, ARENAS_MAX as u32) as usize], os: Vec::new(), os_count: 0 }
    }

    /// `_mi_arena_alloc`, or the system for more than an arena holds.
    pub(super) fn alloc(&mut self, slices: u64) -> Option<Piece> {
        let bytes = slices * SLICE_BYTES;
        let blocks = bytes.div_ceil(SEGMENT_BYTES);
        if blocks > u64::from(ARENA_BLOCKS) {
            return self.os_alloc(bytes);
        }
        let blocks = blocks as u32;
        let run = ((1_u64 << blocks) - 1) as u32;
        for arena in 0..ARENAS_MAX {
            if arena == self.in_use.len() {
                self.in_use.push(0);
            }
            let in_use = &mut self.in_use[arena];
            if let Some(at) = (0..=ARENA_BLOCKS - blocks).find(|at| *in_use & (run << at) == 0) {
                *in_use |= run << at;
                let ordinal = arena as u32 * ARENA_BLOCKS + at;
                let base = ARENA_BASE + u64::from(ordinal) * SEGMENT_BYTES;
                return Some(Piece { ordinal, base, arena_blocks: Some(blocks) });
            }
        }
        None
    }

    fn os_alloc(&mut self, bytes: u64) -> Option<Piece> {
        let bytes = bytes.next_multiple_of(SEGMENT_BYTES);
        let (mut base, mut at) = (OS_BASE, 0);
        for &(taken, len) in &self.os {
            if taken - base >= bytes {
                break;
            }
            base = taken + len;
            at += 1;
        }
        if bytes > OS_END - base {
            return None;
        }
        self.os.insert(at, (base, bytes));
        let ordinal = 1000 + self.os_count;
        self.os_count += 1;
        Some(Piece { ordinal, base, arena_blocks: None })
    }

    /// Gives a piece back.
    pub(super) fn free(&mut self, piece: Piece) {
        match piece.arena_blocks {
            Some(blocks) => {
                let run = ((1_u64 << blocks) - 1) as u32;
                self.in_use[(piece.ordinal / ARENA_BLOCKS) as usize] &=
                    !(run << (piece.ordinal % ARENA_BLOCKS));
            }
            None => self.os.retain(|os| os.0 != piece.base),
        }
    }

    /// Bytes reserved from the system.
    pub(super) fn reserved_bytes(&self) -> u64 {
        (self.in_use.len() as u64) * u64::from(ARENA_BLOCKS) * SEGMENT_BYTES
            + self.os.iter().map(|os| os.1).sum::<u64>()
    }
}

/// The arena block that an address lies in.
pub(super) fn arena_block_of(addr: u64) -> Option<u32> {
    let distance = addr.checked_sub(ARENA_BASE)?;
    let block = distance / SEGMENT_BYTES;
    (block < (ARENAS_MAX as u64) * u64::from(ARENA_BLOCKS)).then_some(block as u32)
}
