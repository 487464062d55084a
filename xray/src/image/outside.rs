//! Memory that is in no block: what the program and its libraries keep there leads to blocks, too.

use super::edges::Edges;
use super::frames::{self, Frame};
use super::memory::{Kind, Memory, keep_apart};
use super::nodes::{Node, Nodes};
use super::parts::{Use, of_mapping};
use super::picture::Picture;

/// What a function that calls no other may use below the stack pointer, on x86-64.
const RED_ZONE: u64 = 128;

/// Where a reference from outside all blocks stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// On a stack.
    Stack,
    /// In a thread's register.
    Register,
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

/// A stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stack {
    lo: u64,
    hi: u64,
    /// From where to where no function has anything any more; empty where that is not known.
    left: (u64, u64),
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outside {
    /// What it is.
    pub places: Vec<Place>,
    /// By address.
    pub(super) pieces: Vec<Piece>,
    /// What threads have in their registers, by value.
    registers: Vec<u64>,
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
        let stacks = stacks(memory, picture);
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
                outside.add(&stacks, (at, next.0.min(end)), place);
                at = at.max(next.1);
                if next == next_arena {
                    arena += 1;
                } else {
                    chunk += 1;
                }
            }
        }
        outside.registers = memory.threads().iter().flat_map(|thread| &thread.registers).copied().collect();
        outside.registers.sort_unstable();
        outside.registers.dedup();
        if !outside.registers.is_empty() {
            outside.number(Place::Register);
        }
        outside
    }

    /// The blocks that wanted places lead to, each with its place, as often as it is led to.
    pub(super) fn follow(
        &self,
        edges: &Edges<'_>,
        is_wanted: impl Fn(u32) -> bool,
        mut each: impl FnMut(u32, Node),
    ) {
        for piece in self.pieces.iter().filter(|piece| is_wanted(piece.place)) {
            edges.within(piece.lo, piece.hi, |edge| each(piece.place, edge.to));
        }
        let place = self.places.iter().position(|place| *place == Place::Register);
        if let Some(place) = place.map(|at| at as u32).filter(|place| is_wanted(*place)) {
            let blocks = self.registers.iter().filter_map(|value| edges.to(*value));
            blocks.for_each(|node| each(place, node));
        }
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

    /// Adds a stretch without what is left over on stacks.
    fn add(&mut self, stacks: &[Stack], (mut lo, hi): (u64, u64), place: u32) {
        // Between two chunks there is only the size of the second.
        if lo >= hi || hi - lo <= 16 {
            return;
        }
        for stack in &stacks[stacks.partition_point(|stack| stack.hi <= lo)..] {
            if stack.lo >= hi {
                break;
            }
            let of_stack = self.number(Place::Stack);
            self.push(lo, stack.lo, place);
            let (from, until) = (lo.max(stack.lo), hi.min(stack.hi));
            self.push(from, until.min(stack.left.0), of_stack);
            self.push(from.max(stack.left.1), until, of_stack);
            lo = until;
        }
        self.push(lo, hi, place);
    }

    fn push(&mut self, lo: u64, hi: u64, place: u32) {
        if lo < hi {
            self.pieces.push(Piece { lo, hi, place });
        }
    }

    fn place(&mut self, memory: &Memory, addr: u64) -> u32 {
        self.number(place_of(memory, addr))
    }

    fn number(&mut self, place: Place) -> u32 {
        if let Some(at) = self.places.iter().position(|known| *known == place) {
            return at as u32;
        }
        self.places.push(place);
        self.places.len() as u32 - 1
    }
}

/// The stacks whose ends are known, by address: the first thread's, which has a mapping of its own, and those of which the C library says it.
///
/// Below a thread's stack pointer lies what is left over of functions that have returned. Where no thread's stack pointer is on a stack, that thread may be
/// on another one, such as a signal's or a coroutine's, and all of it may be in use. Stacks of which only a guard page tells are not among them: several
/// coroutines may share such a mapping.
fn stacks(memory: &Memory, picture: &Picture) -> Vec<Stack> {
    let first = memory.first_stack().map(|mapping| (mapping.lo, mapping.hi));
    let known = first.into_iter().chain(picture.heaps.stacks.iter().copied());
    let mut stacks: Vec<Stack> = known.map(|(lo, hi)| Stack { lo, hi, left: (hi, hi) }).collect();
    keep_apart(&mut stacks, |stack| (stack.lo, stack.hi));
    for pointer in memory.threads().iter().filter_map(super::memory::Thread::stack_pointer) {
        let at = stacks.partition_point(|stack| stack.hi <= pointer);
        let Some(stack) = stacks.get_mut(at).filter(|stack| stack.lo <= pointer) else { continue };
        // Another mapping below is another's memory, whatever the C library says.
        let Some(mapping) = memory.mapping_at(pointer) else { continue };
        let lo = stack.lo.max(mapping.lo);
        let until = (pointer & !7).saturating_sub(RED_ZONE).max(lo).min(stack.left.1);
        stack.left = (lo.min(until), until);
    }
    stacks
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::chunks::{Chunk, Chunks, State};
    use crate::image::heaps::{Heaps, Malloc};
    use crate::image::layout::Version;
    use crate::image::memory::{Mapping, Region, Thread};
    use crate::image::owners::{Owner, Owners};
    use crate::image::pools::Pools;
    use crate::image::reach::{OTHER, REGISTER, Reach, STACK};
    use crate::image::steps::Contents;

    const HEAP: u64 = 0x10_0000;
    const FIRST: u64 = 0x7fff_0000_0000;
    const THREADS: u64 = 0x7f00_0000_0000;
    const BYTES: u64 = 0x4000;
    /// Where a block lies that something leads to, or nothing.
    const BLOCKS: u64 = 8;

    fn block(number: u64) -> u64 {
        HEAP + 0x100 * number + 16
    }

    fn mapping(lo: u64, kind: Kind) -> Mapping {
        let hi = lo + BYTES;
        Mapping {
            lo,
            hi,
            readable: true,
            writable: true,
            executable: false,
            shared: false,
            kind,
            name: String::new(),
        }
    }

    /// Two stacks, each with words at some places; behind the second one lies other memory in the same mapping.
    fn memory(words: &[(u64, u64)], threads: Vec<Thread>) -> Memory {
        let regions = [HEAP, FIRST, THREADS].map(|lo| {
            let mut bytes = vec![0; BYTES as usize];
            for (at, word) in words.iter().filter(|(at, _)| (lo..lo + BYTES).contains(at)) {
                bytes[(at - lo) as usize..][..8].copy_from_slice(&word.to_le_bytes());
            }
            Region { lo, bytes }
        });
        let kinds = [(HEAP, Kind::Anonymous), (THREADS, Kind::Anonymous), (FIRST, Kind::Stack)];
        let mappings = kinds.map(|(lo, kind)| mapping(lo, kind)).to_vec();
        Memory::new(regions.to_vec(), mappings, None).with_threads(threads, Some(FIRST + BYTES - 8))
    }

    fn picture() -> Picture {
        let chunk = |number| Chunk { addr: block(number), bytes: 0xf0, state: State::Used };
        let version = Version { minor: 11 };
        Picture {
            version,
            geometry: version.geometry(),
            tables: Vec::new(),
            pools: Pools::default(),
            types: Vec::new(),
            objects: Vec::new(),
            chunks: Chunks { all: (0..BLOCKS).map(chunk).collect() },
            chunk_objects: vec![None; BLOCKS as usize],
            heaps: Heaps {
                malloc: Malloc::Unknown(None),
                heaps: Vec::new(),
                fordblks: 0,
                trims: Vec::new(),
                segments: Vec::new(),
                stacks: vec![(THREADS, THREADS + 0x3000)],
            },
        }
    }

    fn thread(id: i32, stack_pointer: u64, other: u64) -> Thread {
        let mut registers = vec![0; 27];
        (registers[19], registers[3]) = (stack_pointer, other);
        Thread::new(id, registers)
    }

    /// Of each block, what leads to it; none where nothing does.
    fn kept(memory: &Memory) -> Vec<Option<String>> {
        let picture = picture();
        let edges = Edges::of(memory, &picture);
        let owners = Owners::find(&edges);
        let reach = Reach::find(&edges, &owners.outside, Contents::Hidden);
        let of = |node| {
            let is_held = owners.of(&edges, node) != Owner::Nowhere;
            let name = reach.group(node).map(|group| reach.groups.name(group));
            name.filter(|_| is_held)
        };
        (0..BLOCKS as u32).map(of).collect()
    }

    #[test]
    fn below_a_stack_pointer_nothing_holds_and_registers_do() {
        let pointers = [FIRST + 0x2000, THREADS + 0x2008];
        let words = [
            // The last word below what a function may use there, and the first above.
            (pointers[0] - RED_ZONE - 8, block(0)),
            (pointers[0] - RED_ZONE, block(1)),
            (FIRST + BYTES - 8, block(2)),
            (THREADS, block(3)),
            (pointers[1] - RED_ZONE, block(4)),
            (THREADS + 0x3000, block(5)),
        ];
        let threads = || vec![thread(1, pointers[0], block(6) + 5), thread(2, pointers[1], 0)];
        let name = |name: &str| Some(name.to_owned());
        let exact = [None, name(STACK), name(STACK), None, name(STACK), name(OTHER), name(REGISTER), None];
        assert_eq!(kept(&memory(&words, threads())), exact);
        // Of a thread that is not known all of its stack counts, and of none at all as well.
        let mut one = exact.clone();
        one[3] = name(STACK);
        assert_eq!(kept(&memory(&words, threads()[..1].to_vec())), one);
        let mut none = one.clone();
        (none[0], none[6]) = (name(STACK), None);
        assert_eq!(kept(&memory(&words, Vec::new())), none);
        // One that runs on another stack says nothing of its own.
        let away = vec![thread(1, HEAP + 0x3800, 0), thread(2, FIRST + BYTES, 0)];
        assert_eq!(kept(&memory(&words, away)), none);
        // Without a word of the system's on where the first stack is, a pointer alone does not tell.
        let unknown = memory(&words, threads()).with_threads(threads(), None);
        let mut first = exact;
        first[0] = name(STACK);
        assert_eq!(kept(&unknown), first);
    }

    #[test]
    fn whatever_threads_and_stacks_say_a_picture_ends() {
        let words = [(FIRST, block(0)), (THREADS, block(1))];
        for pointer in [0, 8, 127, FIRST, FIRST + 1, THREADS + 0x2fff, u64::MAX] {
            let held = kept(&memory(&words, vec![thread(1, pointer, u64::MAX), thread(1, !pointer, 0)]));
            assert!(held[0].is_some() && held[1].is_some() || pointer == THREADS + 0x2fff, "{pointer:x}");
        }
    }
}
