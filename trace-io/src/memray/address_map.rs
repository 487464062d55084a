//! Which block is live at an address.
//!
//! Addresses are looked up twice for each block, so neighbours share one value of a hash table: a chunk of 64 cells
//! for the multiples of 16 that allocators give. Other addresses have a table of their own.

use std::collections::HashMap;

use foldhash::fast::RandomState;

const CELL_BITS: u32 = 4;
const CHUNK_BITS: u32 = 10;
const CELLS: usize = 1 << (CHUNK_BITS - CELL_BITS);
/// Empty chunks that are kept, since the next block often comes to the same address.
const EMPTY_FREE: usize = 1 << 10;

#[derive(Clone, Debug)]
struct Chunk {
    /// The block in each cell; 0 for none.
    blocks: [u32; CELLS],
    live: u32,
    /// What its live blocks share; 0 while it has none.
    page: u32,
}

/// Chunks found last, by the low bits of their numbers.
const RECENT: usize = 1 << 9;

/// Blocks by address. A block is a number from 1; with each chunk goes a number that its blocks share.
#[derive(Debug)]
pub(super) struct AddressMap {
    /// A chunk's number, [`NO_CHUNK`] for none, and row; row [`NO_ROW`] for a chunk that there is not.
    recent: Box<[(u64, u32); RECENT]>,
    rows: HashMap<u64, u32, RandomState>,
    chunks: Vec<Chunk>,
    free_rows: Vec<u32>,
    empty: usize,
    odd: HashMap<u64, u32, RandomState>,
}

const NO_ROW: u32 = u32::MAX;
/// No address has it: numbers are short of the bits inside a chunk.
const NO_CHUNK: u64 = u64::MAX;

impl Default for AddressMap {
    fn default() -> Self {
        Self {
            recent: Box::new([(NO_CHUNK, NO_ROW); RECENT]),
            rows: HashMap::default(),
            chunks: Vec::new(),
            free_rows: Vec::new(),
            empty: 0,
            odd: HashMap::default(),
        }
    }
}

#[inline]
fn cell(address: u64) -> usize {
    (address >> CELL_BITS) as usize % CELLS
}

#[inline]
fn is_odd(address: u64) -> bool {
    !address.is_multiple_of(1 << CELL_BITS)
}

/// What is at an address, and where a block can be put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    address: u64,
    row: u32,
    /// The block that is there; 0 for none.
    pub(super) block: u32,
    /// What the chunk's live blocks share; 0 if it has none.
    pub(super) page: u32,
}

impl AddressMap {
    /// The row of a chunk; [`NO_ROW`] for none.
    #[inline]
    fn row(&mut self, number: u64) -> u32 {
        let recent = self.recent[number as usize % RECENT];
        if recent.0 == number { recent.1 } else { self.find(number) }
    }

    #[cold]
    fn find(&mut self, number: u64) -> u32 {
        let row = self.rows.get(&number).copied().unwrap_or(NO_ROW);
        self.recent[number as usize % RECENT] = (number, row);
        row
    }

    /// The entry of an address.
    #[inline]
    pub(super) fn at(&mut self, address: u64) -> Entry {
        if is_odd(address) {
            return self.odd_at(address);
        }
        let number = address >> CHUNK_BITS;
        let row = match self.row(number) {
            NO_ROW => self.add(number),
            row => row,
        };
        let chunk = &self.chunks[row as usize];
        Entry { address, row, block: chunk.blocks[cell(address)], page: chunk.page }
    }

    /// Puts a block into an entry that has none. Nothing may have been taken or put in between.
    #[inline]
    pub(super) fn put(&mut self, at: Entry, block: u32, page: u32) {
        if is_odd(at.address) {
            return self.odd_put(at.address, block);
        }
        let chunk = &mut self.chunks[at.row as usize];
        // Blocks from before anything was known of pools keep their chunk without a page.
        if chunk.live == 0 {
            self.empty -= 1;
            chunk.page = page;
        }
        chunk.live += 1;
        chunk.blocks[cell(at.address)] = block;
    }

    /// Takes the block away that is at an address; 0 for none.
    #[inline]
    pub(super) fn take(&mut self, address: u64) -> u32 {
        if is_odd(address) {
            return self.odd_take(address);
        }
        let row = self.row(address >> CHUNK_BITS);
        let Some(chunk) = self.chunks.get_mut(row as usize) else { return 0 };
        let block = std::mem::take(&mut chunk.blocks[cell(address)]);
        if block != 0 {
            chunk.live -= 1;
            if chunk.live == 0 {
                chunk.page = 0;
                self.empty += 1;
            }
        }
        block
    }

    #[cold]
    fn odd_at(&self, address: u64) -> Entry {
        let block = self.odd.get(&address).copied().unwrap_or(0);
        Entry { address, row: 0, block, page: 0 }
    }

    #[cold]
    fn odd_put(&mut self, address: u64, block: u32) {
        self.odd.insert(address, block);
    }

    #[cold]
    fn odd_take(&mut self, address: u64) -> u32 {
        self.odd.remove(&address).unwrap_or(0)
    }

    #[cold]
    fn add(&mut self, number: u64) -> u32 {
        if self.empty > EMPTY_FREE && 2 * self.empty > self.rows.len() {
            self.sweep();
        }
        let chunk = Chunk { blocks: [0; CELLS], live: 0, page: 0 };
        let row = if let Some(row) = self.free_rows.pop() {
            self.chunks[row as usize] = chunk;
            row
        } else {
            self.chunks.push(chunk);
            self.chunks.len() as u32 - 1
        };
        self.empty += 1;
        self.rows.insert(number, row);
        self.recent[number as usize % RECENT] = (number, row);
        row
    }

    fn sweep(&mut self) {
        let (chunks, free_rows) = (&self.chunks, &mut self.free_rows);
        self.rows.retain(|_, row| {
            let keep = chunks[*row as usize].live > 0;
            if !keep {
                free_rows.push(*row);
            }
            keep
        });
        self.empty = 0;
        self.recent.fill((NO_CHUNK, NO_ROW));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_where_they_were_put() {
        let mut map = AddressMap::default();
        let mut known = std::collections::BTreeMap::new();
        let mut state = 1_u64;
        for block in 1..200_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Every address is a multiple of 8; some blocks come back to where others were.
            let address = (state >> 40) << 3;
            let entry = map.at(address);
            assert_eq!(entry.block, known.get(&address).copied().unwrap_or(0));
            if state >> 20 & 1 == 0 || entry.block != 0 {
                assert_eq!(map.take(address), known.remove(&address).unwrap_or(0));
            } else {
                map.put(entry, block, (address >> 14) as u32);
                known.insert(address, block);
                let page = map.at(address).page;
                assert!(is_odd(address) || page == (address >> 14) as u32);
            }
        }
        assert!(known.len() > 50_000);
        for (address, block) in known {
            assert_eq!(map.take(address), block);
        }
        assert_eq!(map.empty, map.rows.len());
        assert!(map.odd.is_empty());
    }

    #[test]
    fn chunks_that_are_left_cost_nothing() {
        let mut map = AddressMap::default();
        for n in 0..100_000 {
            let entry = map.at(n << 20);
            map.put(entry, 7, 0);
            assert_eq!(map.take(n << 20), 7);
        }
        assert!(map.chunks.len() <= EMPTY_FREE + 2);
    }
}
