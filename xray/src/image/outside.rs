//! Memory that is in no block: what the program and its libraries keep there leads to blocks, too.

use super::edges::Edges;
use super::frames::{self, Frame};
use super::memory::{Kind, Memory};
use super::nodes::Nodes;
use super::parts::{Use, of_mapping};

/// Where a reference from outside all blocks stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// On a stack.
    Stack,
    /// In a variable of the program or of a library, by its file's name.
    Variables(String),
    /// In memory that is neither: frames of Python code, other allocators' blocks.
    Other,
}

/// A stretch of memory outside all blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) lo: u64,
    pub(super) hi: u64,
    /// By place in [`Outside::places`].
    pub(super) place: u32,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outside {
    /// What it is.
    pub places: Vec<Place>,
    /// By address.
    pub(super) pieces: Vec<Piece>,
    /// Functions that run. Their memory is in no piece.
    pub(super) frames: Vec<Frame>,
}

impl Outside {
    /// What was copied, without arenas and chunks.
    pub(super) fn of(memory: &Memory, nodes: &Nodes<'_>) -> Self {
        let picture = nodes.picture();
        let tables = picture.tables.iter().flat_map(|table| &table.arenas);
        let arenas =
            tables.map(|arena| (arena.address, arena.address.saturating_add(picture.geometry.arena)));
        let mut arenas: Vec<(u64, u64)> = arenas.collect();
        arenas.sort_unstable();
        let chunks = &picture.chunks.all;
        let mut outside = Self::default();
        for region in memory.regions() {
            let place = outside.place(memory, region.lo);
            let (mut at, end) = (region.lo, region.hi());
            let mut arena = arenas.partition_point(|arena| arena.1 <= at);
            let mut chunk = chunks.partition_point(|chunk| chunk.addr.saturating_add(chunk.bytes) <= at);
            while at < end {
                let next_arena = arenas.get(arena).copied().unwrap_or((u64::MAX, u64::MAX));
                let next_chunk = chunks.get(chunk).map_or((u64::MAX, u64::MAX), |chunk| {
                    (chunk.addr, chunk.addr.saturating_add(chunk.bytes))
                });
                let next = next_arena.min(next_chunk);
                outside.add(at, next.0.min(end), place);
                at = at.max(next.1);
                if next == next_arena {
                    arena += 1;
                } else {
                    chunk += 1;
                }
            }
        }
        outside
    }

    /// Looks for frames, whose memory is then no more what C code has.
    pub(super) fn find_frames(&mut self, edges: &Edges<'_>) {
        let (frames, stretches) = frames::find(edges, self.pieces.iter().map(|piece| (piece.lo, piece.hi)));
        self.frames = frames;
        let mut stretches = stretches.into_iter().peekable();
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces.drain(..) {
            let mut lo = piece.lo;
            while let Some((from, until)) = stretches.next_if(|(from, _)| *from < piece.hi) {
                pieces.push(Piece { lo, hi: from, ..piece });
                lo = until;
            }
            pieces.push(Piece { lo, ..piece });
        }
        pieces.retain(|piece| piece.lo < piece.hi);
        self.pieces = pieces;
    }

    fn add(&mut self, lo: u64, hi: u64, place: u32) {
        // Between two chunks there is only the size of the second.
        if lo < hi && hi - lo > 16 {
            self.pieces.push(Piece { lo, hi, place });
        }
    }

    fn place(&mut self, memory: &Memory, addr: u64) -> u32 {
        let place = place_of(memory, addr);
        if let Some(at) = self.places.iter().position(|known| *known == place) {
            return at as u32;
        }
        self.places.push(place);
        self.places.len() as u32 - 1
    }
}

fn place_of(memory: &Memory, addr: u64) -> Place {
    let mappings = memory.mappings();
    let after = mappings.partition_point(|mapping| mapping.lo <= addr);
    let Some(mapping) = after.checked_sub(1).map(|at| &mappings[at]) else { return Place::Other };
    let before = after.checked_sub(2).map(|at| &mappings[at]).filter(|before| before.hi == mapping.lo);
    match of_mapping(mapping, before) {
        Use::Stacks => Place::Stack,
        Use::Variables => {
            // Those without a value in the file lie right behind it.
            let file = if mapping.kind == Kind::File { Some(mapping) } else { before };
            Place::Variables(file.map_or_else(String::new, |file| file.name.clone()))
        }
        _ => Place::Other,
    }
}
