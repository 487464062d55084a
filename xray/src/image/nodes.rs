//! All blocks by number, and which of them an address lies in.

use hashbrown::{HashMap, HashSet};

use super::layout::POOL_HEADER;
use super::picture::Picture;
use super::types::Object;

/// The number of a block: those of pymalloc first, in the order of [`super::pools::Pools::used`], then those outside its arenas.
pub type Node = u32;

/// No block.
pub(super) const NONE: Node = Node::MAX;

/// Blocks to a row of the table that finds a block's pool.
const ROW_BITS: u32 = 5;
/// Bytes of a row of the table that finds a chunk.
const PAGE_BITS: u32 = 12;
/// Chunks that reach into a page: one of 8 bytes at each place, as mimalloc has them, and one from before it.
const MOST_IN_PAGE: usize = (1 << PAGE_BITS) / 8 + 1;
/// Chunks from this size on are looked up in a list of their own, so that the table has a row for each page that has small ones.
const LARGE: u64 = 1 << 16;

/// A pool, as much of it as is needed to find a block.
#[derive(Clone, Copy, Debug)]
struct Row {
    addr: u64,
    first: u32,
    carved: u32,
    block: u32,
}

/// Finds blocks.
#[derive(Debug)]
pub struct Nodes<'a> {
    picture: &'a Picture,
    pool_bits: u32,
    rows: Vec<Row>,
    /// The place of each pool by its address in pools.
    by_pool: HashMap<u64, u32>,
    /// Of every so many blocks the place of the first one's pool.
    by_block: Vec<u32>,
    chunks: Node,
    /// Of each page with small chunks the first that reaches into it.
    by_page: HashMap<u64, u32>,
    large: Vec<u32>,
    lowest: u64,
    highest: u64,
    /// Blocks that look like an object that was given up, but are another's table: what they look like is left over.
    tables: HashSet<Node>,
}

impl<'a> Nodes<'a> {
    /// Of a picture.
    pub fn of(picture: &'a Picture) -> Self {
        let pool_bits = picture.geometry.pool.trailing_zeros();
        let pools = &picture.pools.pools;
        let rows: Vec<Row> = pools
            .iter()
            .map(|pool| Row {
                addr: pool.addr,
                first: pool.first,
                carved: pool.carved,
                block: pool.block_bytes() as u32,
            })
            .collect();
        let by_pool = rows.iter().zip(0..).map(|(row, at)| (row.addr >> pool_bits, at)).collect();
        let carved = picture.pools.used.len() as u32;
        let mut by_block = Vec::with_capacity((carved >> ROW_BITS) as usize + 1);
        let mut at = 0;
        for block in (0..carved).step_by(1 << ROW_BITS) {
            while rows.get(at + 1).is_some_and(|next| next.first <= block) {
                at += 1;
            }
            by_block.push(at as u32);
        }
        let (mut by_page, mut large) = (HashMap::new(), Vec::new());
        for (chunk, at) in picture.chunks.all.iter().zip(0..) {
            if chunk.bytes >= LARGE {
                large.push(at);
                continue;
            }
            let last = chunk.addr.saturating_add(chunk.bytes.max(1) - 1);
            for page in chunk.addr >> PAGE_BITS..=last >> PAGE_BITS {
                by_page.entry(page).or_insert(at);
            }
        }
        let ends = |lo: u64, hi: u64| (lo, hi);
        let pool_ends = rows.iter().map(|row| ends(row.addr, row.addr + picture.geometry.pool));
        let chunk_ends = picture.chunks.all.iter().map(|c| ends(c.addr, c.addr.saturating_add(c.bytes)));
        let (lowest, highest) = pool_ends
            .chain(chunk_ends)
            .fold((u64::MAX, 0), |(lowest, highest), (lo, hi)| (lo.min(lowest), hi.max(highest)));
        let (chunks, tables) = (carved, HashSet::new());
        Self { picture, pool_bits, rows, by_pool, by_block, chunks, by_page, large, lowest, highest, tables }
    }

    /// Says that a block is an object's table, whatever it looks like.
    pub(super) fn is_table(&mut self, node: Node) {
        self.tables.insert(node);
    }

    /// What they are blocks of.
    pub fn picture(&self) -> &'a Picture {
        self.picture
    }

    /// Blocks in all, free ones too.
    pub fn count(&self) -> u32 {
        self.chunks + self.picture.chunks.all.len() as u32
    }

    /// The first that is outside pymalloc's arenas.
    pub fn first_chunk(&self) -> Node {
        self.chunks
    }

    /// The block in use that an address lies in.
    #[inline]
    pub fn at(&self, addr: u64) -> Option<Node> {
        if addr < self.lowest || addr >= self.highest {
            return None;
        }
        if let Some(row) = self.by_pool.get(&(addr >> self.pool_bits)) {
            let row = self.rows[*row as usize];
            let number = (addr - row.addr).checked_sub(POOL_HEADER)? as u32 / row.block;
            let node = row.first + number;
            return (number < row.carved && self.picture.pools.used[node as usize]).then_some(node);
        }
        let all = &self.picture.chunks.all;
        let small = self.by_page.get(&(addr >> PAGE_BITS)).and_then(|first| {
            let from = *first as usize;
            let near = &all[from..all.len().min(from + MOST_IN_PAGE)];
            let at = from + near.partition_point(|chunk| chunk.addr <= addr).checked_sub(1)?;
            (addr - all[at].addr < all[at].bytes).then_some(at)
        });
        let at = small.or_else(|| {
            let after = self.large.partition_point(|at| all[*at as usize].addr <= addr);
            let at = *self.large.get(after.checked_sub(1)?)? as usize;
            (addr - all[at].addr < all[at].bytes).then_some(at)
        })?;
        all[at].state.is_used().then(|| self.chunks + at as u32)
    }

    /// Where a block begins, and its bytes.
    #[inline]
    pub fn place(&self, node: Node) -> (u64, u64) {
        if let Some(at) = node.checked_sub(self.chunks) {
            let chunk = self.picture.chunks.all[at as usize];
            return (chunk.addr, chunk.bytes);
        }
        let row = self.rows[self.row_of(node)];
        let bytes = u64::from(row.block);
        (row.addr + POOL_HEADER + u64::from(node - row.first) * bytes, bytes)
    }

    #[inline]
    fn row_of(&self, node: Node) -> usize {
        let mut at = self.by_block[(node >> ROW_BITS) as usize] as usize;
        while self.rows.get(at + 1).is_some_and(|next| next.first <= node) {
            at += 1;
        }
        at
    }

    /// What is in a block.
    #[inline]
    pub fn object(&self, node: Node) -> Option<Object> {
        let object = match node.checked_sub(self.chunks) {
            Some(at) => self.picture.chunk_objects.get(at as usize).copied().flatten(),
            None => self.picture.objects[node as usize],
        };
        object.filter(|object| !object.dead || !self.tables.contains(&node))
    }

    /// The object in a block that somebody has, and not one that is kept for the next of its type.
    #[inline]
    pub fn live_object(&self, node: Node) -> Option<Object> {
        self.object(node).filter(|object| !object.dead)
    }

    /// Whether a block is in use.
    #[inline]
    pub fn is_used(&self, node: Node) -> bool {
        match node.checked_sub(self.chunks) {
            Some(at) => self.picture.chunks.all[at as usize].state.is_used(),
            None => self.picture.pools.used[node as usize],
        }
    }

    /// Blocks in use.
    pub fn used(&self) -> impl Iterator<Item = Node> + '_ {
        (0..self.count()).filter(|node| self.is_used(*node))
    }
}
