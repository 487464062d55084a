//! Which pointer comes next: pymalloc's rules on what the recording itself has shown so far.
//!
//! A whole machine would be right or wrong for ever: one block it does not know of and every later address is
//! off. This one learns: for each pool the free blocks in the order they were freed and how far it is
//! carved, for each class the pools in the order they serve. What it predicts costs nothing in a file; where it
//! is wrong the file has the address, and both sides learn from that. `docs/atrace.md` has the same rules.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::head;

const NONE: u32 = u32::MAX;
/// pymalloc's classes are the first; the others are sizes of the C library's blocks in steps of 16.
const POOL_CLASSES: u8 = 32;
const CLASSES: usize = 128;
const THRESHOLD_BYTES: u64 = 512;
/// Bytes of a pool header.
const OVERHEAD: u32 = 48;
/// Pools at most; then everything is forgotten but where the blocks are.
const POOLS_MAX: usize = 1 << 18;
/// Freed blocks of one size kept for the C library.
const BIN_MAX: usize = 64;

/// What of an operation tells where its block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// Kind, domain and whether the pointer passed is NULL, see [`head`]; its domain must not be 3.
    pub head: u8,
    /// The block's slot.
    pub slot: u32,
    /// Bytes; for calloc the product, `u64::MAX` where that overflows.
    pub size: u64,
}

impl Call {
    /// pymalloc's class, or for what it does not serve the C library's.
    #[inline]
    fn class(&self) -> u8 {
        let is_raw = self.head & head::DOMAIN == 0;
        if !is_raw && self.size.wrapping_sub(1) < THRESHOLD_BYTES {
            return ((self.size - 1) >> 4) as u8;
        }
        // A word in front of each block, in steps of 16.
        let units = self.size.saturating_add(8 + 15) >> 4;
        POOL_CLASSES + units.min(CLASSES as u64 - 1 - u64::from(POOL_CLASSES)) as u8
    }

    #[inline]
    fn is_null(&self) -> bool {
        self.head & head::NULL != 0
    }
}

/// A slot's block: where it is, and its class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlacedBlock {
    /// 0 where there is none.
    pub address: u64,
    /// Its class: pymalloc's up to 31, then the C library's in steps of 16 bytes.
    pub class: u8,
    /// Its pool, where it is still the one with the address's base: it saves looking for it.
    pool: u32,
}

impl PlacedBlock {
    /// The block of a class at an address, its pool yet to be found.
    pub fn new(address: u64, class: u8) -> Self {
        Self { address, class, pool: 0 }
    }
}

#[derive(Clone, Debug)]
struct Pool {
    base: u64,
    class: u8,
    /// In its class's list.
    listed: bool,
    /// All its blocks are known.
    whole: bool,
    /// Given back to its arena.
    empty: bool,
    live: u32,
    /// Bytes to the next block never handed out; the pool's size where it is not known.
    carve: u32,
    /// Offsets of free blocks, the last freed last.
    free: Vec<u32>,
    prev: u32,
    next: u32,
}

/// Multiplies: pool numbers are spread evenly enough by that.
#[derive(Default)]
struct PoolHasher(u64);

impl Hasher for PoolHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

/// What was learnt.
#[derive(Debug)]
pub struct Prediction {
    pool_bytes: u64,
    /// By slot.
    blocks: Vec<PlacedBlock>,
    pools: Vec<Pool>,
    by_base: HashMap<u64, u32, BuildHasherDefault<PoolHasher>>,
    heads: [u32; POOL_CLASSES as usize],
    /// The last pointer given out, by class.
    last: [u64; CLASSES],
    /// Pools that were given back, the last one last. Those in use again are skipped.
    empty: Vec<u32>,
    /// The end of the newest pool.
    next_pool: u64,
    bins: Vec<Vec<u64>>,
    /// The end of the C library's newest block.
    top: u64,
}

impl Prediction {
    /// Nothing yet; pools have 2 to the power of `pool_bits` bytes.
    pub fn new(pool_bits: u8) -> Self {
        Self {
            pool_bytes: 1 << pool_bits,
            blocks: Vec::new(),
            pools: Vec::new(),
            by_base: HashMap::default(),
            heads: [NONE; POOL_CLASSES as usize],
            last: [0; CLASSES],
            empty: Vec::new(),
            next_pool: 0,
            bins: vec![Vec::new(); CLASSES],
            top: 0,
        }
    }

    /// Forgets everything but where the blocks are.
    pub fn restart(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        *self = Self { blocks, ..Self::new(self.pool_bytes.trailing_zeros() as u8) };
    }

    /// Where the blocks are, by slot.
    pub fn blocks(&self) -> &[PlacedBlock] {
        &self.blocks
    }

    /// Forgets everything, and begins with where the blocks are.
    pub fn restart_at(&mut self, blocks: Vec<PlacedBlock>) {
        self.blocks = blocks;
        self.restart();
    }

    fn block(&self, op: &Call) -> PlacedBlock {
        self.blocks.get(op.slot as usize).copied().unwrap_or_default()
    }

    /// The pointer that an operation is expected to return, or to be given for free.
    pub fn predict(&mut self, op: &Call) -> u64 {
        match op.head & head::KIND {
            head::MALLOC | head::CALLOC => self.fresh(op.class()),
            head::REALLOC if op.is_null() => self.fresh(op.class()),
            head::REALLOC => {
                let old = self.block(op);
                if old.address != 0 && stays(old.class, op.size) {
                    old.address
                } else {
                    self.fresh(op.class())
                }
            }
            head::FREE if op.is_null() => 0,
            head::FREE | head::FREE_KEEP => self.block(op).address,
            _ => 0,
        }
    }

    /// What a wrong prediction is corrected from.
    pub fn base(&self, op: &Call, predicted: u64) -> u64 {
        if op.head & head::KIND > head::REALLOC {
            return predicted;
        }
        let last = self.last[usize::from(op.class())];
        if last == 0 { predicted } else { last }
    }

    /// Learns what the pointer was.
    pub fn learn(&mut self, op: &Call, predicted: u64, actual: u64) {
        let slot = op.slot as usize;
        let kind = op.head & head::KIND;
        if kind == head::FREE && !op.is_null() {
            // A block that was born before there were addresses is not among them.
            if let Some(block) = self.blocks.get_mut(slot) {
                let old = std::mem::take(block);
                self.release(old);
            }
            return;
        }
        if kind > head::REALLOC {
            return;
        }
        let birth = op.class();
        if slot >= self.blocks.len() {
            self.blocks.resize(slot + 1, PlacedBlock::default());
        }
        let old =
            if kind == head::REALLOC && !op.is_null() { self.blocks[slot] } else { PlacedBlock::default() };
        if old.address == actual && actual != 0 {
            return;
        }
        let pool = if actual == 0 { NONE } else { self.take(birth, predicted, actual) };
        self.blocks[slot] = PlacedBlock { address: actual, class: birth, pool };
        self.release(old);
    }

    /// The next block of a class.
    fn fresh(&mut self, class: u8) -> u64 {
        if class >= POOL_CLASSES {
            return self.bins[usize::from(class)].last().copied().unwrap_or(self.top);
        }
        let head = self.heads[usize::from(class)];
        if let Some(pool) = self.pools.get(head as usize) {
            return pool.base + u64::from(pool.free.last().copied().unwrap_or(pool.carve));
        }
        while let Some(&at) = self.empty.last() {
            let pool = &self.pools[at as usize];
            if pool.empty {
                let kept = if pool.class == class { pool.free.last() } else { None };
                return pool.base + u64::from(kept.copied().unwrap_or(OVERHEAD));
            }
            self.empty.pop();
        }
        self.next_pool.wrapping_add(u64::from(OVERHEAD))
    }

    /// A block of a class was given out, from the pool whose number this is.
    fn take(&mut self, class: u8, predicted: u64, actual: u64) -> u32 {
        self.last[usize::from(class)] = actual;
        if class >= POOL_CLASSES {
            let bin = &mut self.bins[usize::from(class)];
            if let Some(at) = bin.iter().rposition(|&a| a == actual) {
                bin.remove(at);
            } else {
                self.top = actual.wrapping_add(u64::from(class - POOL_CLASSES) << 4);
            }
            return NONE;
        }
        let base = actual & !(self.pool_bytes - 1);
        let offset = (actual - base) as u32;
        let size = (u32::from(class) + 1) << 4;
        let head = self.heads[usize::from(class)];
        let at = match self.pools.get(head as usize) {
            Some(pool) if pool.base == base => head,
            _ => self.pool_at(base, offset, class),
        };
        let pool_bytes = self.pool_bytes as u32;
        if head != at
            && predicted != actual
            && let Some(wrong) = self.pools.get_mut(head as usize)
            && wrong.free.is_empty()
        {
            // Carving on was a guess: the pool is full.
            wrong.carve = pool_bytes;
            self.unlink(head);
        }
        if self.pools[at as usize].class != class {
            self.unlink(at);
        }
        let pool = &mut self.pools[at as usize];
        if pool.empty || pool.class != class {
            // A pool that comes back with its class keeps its list.
            if pool.class != class {
                pool.free.clear();
                pool.carve = offset;
                pool.class = class;
                pool.whole = offset == OVERHEAD;
            }
            pool.empty = false;
            pool.live = 0;
        }
        if pool.free.last() == Some(&offset) {
            pool.free.pop();
        } else if offset >= pool.carve {
            pool.carve = offset.saturating_add(size).min(pool_bytes);
        } else if let Some(at) = pool.free.iter().rposition(|&o| o == offset) {
            pool.free.remove(at);
        }
        pool.live += 1;
        let full = pool.free.is_empty() && pool.carve + size > pool_bytes;
        if full {
            self.unlink(at);
        } else {
            self.link(at);
        }
        at
    }

    /// The pool at a base, a new one where it is not known.
    fn pool_at(&mut self, base: u64, offset: u32, class: u8) -> u32 {
        if let Some(&at) = self.by_base.get(&base) {
            return at;
        }
        if self.pools.len() >= POOLS_MAX {
            self.restart();
        }
        let at = self.pools.len() as u32;
        self.by_base.insert(base, at);
        let whole = offset == OVERHEAD;
        if whole {
            self.next_pool = base.wrapping_add(self.pool_bytes);
        }
        self.pools.push(Pool {
            base,
            class,
            listed: false,
            whole,
            empty: false,
            live: 0,
            carve: offset,
            free: Vec::new(),
            prev: NONE,
            next: NONE,
        });
        at
    }

    /// A block was freed.
    fn release(&mut self, old: PlacedBlock) {
        if old.address == 0 {
            return;
        }
        if old.class >= POOL_CLASSES {
            let bin = &mut self.bins[usize::from(old.class)];
            if bin.len() == BIN_MAX {
                bin.remove(0);
            }
            bin.push(old.address);
            return;
        }
        let base = old.address & !(self.pool_bytes - 1);
        let at = match self.pools.get(old.pool as usize) {
            Some(pool) if pool.base == base => old.pool,
            _ => self.pool_at(base, self.pool_bytes as u32, old.class),
        };
        let (units, offset) = (self.pool_bytes as usize >> 4, (old.address - base) as u32);
        let pool = &mut self.pools[at as usize];
        if pool.free.len() < units {
            pool.free.push(offset);
        }
        pool.live = pool.live.saturating_sub(1);
        if pool.whole && pool.live == 0 {
            pool.empty = true;
            self.unlink(at);
            self.empty.push(at);
            if self.empty.len() > 2 * POOLS_MAX {
                let pools = &self.pools;
                self.empty.retain(|&at| pools[at as usize].empty);
            }
        } else if !pool.listed && !pool.empty {
            self.link(at);
        }
    }

    /// Puts a pool at the front of its class's list.
    fn link(&mut self, at: u32) {
        let class = usize::from(self.pools[at as usize].class);
        if self.heads[class] == at {
            return;
        }
        self.unlink(at);
        let front = self.heads[class];
        if let Some(front) = self.pools.get_mut(front as usize) {
            front.prev = at;
        }
        let pool = &mut self.pools[at as usize];
        (pool.prev, pool.next, pool.listed) = (NONE, front, true);
        self.heads[class] = at;
    }

    fn unlink(&mut self, at: u32) {
        let pool = &mut self.pools[at as usize];
        if !pool.listed {
            return;
        }
        pool.listed = false;
        let (prev, next, class) = (pool.prev, pool.next, usize::from(pool.class));
        match self.pools.get_mut(prev as usize) {
            Some(prev) => prev.next = next,
            None => self.heads[class] = next,
        }
        if let Some(next) = self.pools.get_mut(next as usize) {
            next.prev = prev;
        }
    }
}

/// Whether a block is expected to stay where it is when it is resized.
fn stays(class: u8, size: u64) -> bool {
    let block = (u64::from(class) + 1) << 4;
    class >= POOL_CLASSES || (size <= block && 4 * size > 3 * block)
}
