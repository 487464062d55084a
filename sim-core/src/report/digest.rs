//! One number for a whole state, the same on every platform.

use crate::addr::SizeClass;
use crate::arena::{ArenaBackend, Target};
use crate::machine::Machine;

/// FNV-1a with 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct Fnv64(pub u64);

impl Default for Fnv64 {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv64 {
    /// Takes bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Takes a number as 8 bytes, least significant first.
    pub fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }
}

/// FNV-1a over everything that decides the machine's future: counters, arena records with their lists,
/// carved pools with their free lists, used lists, live blocks of the C library, mimalloc's state and the
/// program's pointers. Addresses and counts only, so that no internal representation shows, and addresses as the
/// simulation has them, so that real memory gives the same.
pub fn digest<A: ArenaBackend>(machine: &Machine<A>) -> u64 {
    let mut h = Fnv64::default();
    let pymalloc = machine.pymalloc();
    let memory = pymalloc.memory();
    let canonical = |addr| memory.canonical(addr).0;
    let counters = pymalloc.counters();
    h.word(counters.narenas_currently_allocated);
    h.word(counters.ntimes_arena_allocated);
    h.word(counters.narenas_highwater);
    h.word(pymalloc.raw_allocated_blocks as u64);
    for (index, arena) in pymalloc.arenas().iter().enumerate() {
        let Some(base) = arena.address else {
            h.word(0);
            continue;
        };
        // The next pool never carved may be the end of the arena, an address in no arena.
        let first = canonical(base);
        for word in [
            first,
            first + arena.pool_address.bytes_from(base),
            u64::from(arena.nfreepools),
            u64::from(arena.ntotalpools),
            arena.ordinal,
        ] {
            h.word(word);
        }
        for pool in pymalloc.carved_pools(index as u32) {
            let header = memory.header(pool);
            h.word(u64::from(header.ref_count) << 32 | u64::from(header.szidx));
            h.word(u64::from(header.nextoffset));
            for block in pymalloc.free_list(pool) {
                h.word(canonical(memory.block_addr(block)));
            }
        }
        for pool in pymalloc.freepools(index as u32) {
            h.word(canonical(memory.pool_addr(pool)));
        }
    }
    for class in 0..pymalloc.profile().nb_small_size_classes() {
        for pool in pymalloc.used_pools(SizeClass(class)) {
            h.word(canonical(memory.pool_addr(pool)));
        }
    }
    for index in pymalloc.usable_arenas().chain(pymalloc.unused_arena_objects()) {
        h.word(u64::from(index));
    }
    for last in pymalloc.nfp2lasta() {
        h.word(last.map_or(u64::MAX, u64::from));
    }
    h.word(machine.raw().live_blocks());
    h.word(machine.raw().live_bytes());
    for (slot, target) in machine.live() {
        h.word(u64::from(slot.0));
        match target {
            Target::Block(block) => h.word(canonical(memory.block_addr(block))),
            Target::Raw(id) => {
                let raw = machine.raw().get(id);
                h.word(raw.label);
                h.word(raw.nbytes);
            }
            Target::Null => {}
        }
    }
    if let Some(run) = machine.mimalloc() {
        run.heap().fingerprint(|word| h.word(word));
        for (slot, block) in machine.mimalloc_blocks() {
            h.word(u64::from(slot.0));
            h.word(run.heap().block_addr(block).0);
        }
    }
    h.0
}
