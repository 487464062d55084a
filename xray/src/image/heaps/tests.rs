//! Heaps that are laid out by hand, as each generation of the C library does it.

use super::{Generation, Heaps, Malloc, State};
use crate::image::memory::{Kind, Mapping, Memory, Region};

/// Where the heap begins; its bits tell whether links are mixed with it.
const HEAP: u64 = 0x5555_0000_0000;
const BYTES: u64 = 0x4_0000;

/// Words by place in the heap, and chunks that are laid one behind the other.
struct Layout {
    bytes: Vec<u8>,
    at: u64,
    before_in_use: bool,
}

impl Layout {
    fn new() -> Self {
        Self { bytes: vec![0; BYTES as usize], at: 0, before_in_use: true }
    }

    fn put(&mut self, addr: u64, word: u64) {
        let at = (addr - HEAP) as usize;
        self.bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// A chunk of that size; where what it gives out begins.
    fn chunk(&mut self, size: u64, used: bool) -> u64 {
        let addr = HEAP + self.at;
        self.put(addr + 8, size | u64::from(self.before_in_use));
        self.at += size;
        self.before_in_use = used;
        addr + 16
    }

    /// A cache in that form, and what it keeps of the chunks, by bin.
    fn cache(&mut self, generation: Generation, bins: u64, counter: u64, lists: &[(u64, &[u64])]) {
        let table = self.chunk((bins * (counter + 8) + 8).next_multiple_of(16), true);
        for bin in 0..bins {
            let listed = lists.iter().find(|list| list.0 == bin).map_or(&[][..], |list| list.1);
            let count = listed.len() as u64;
            let count = if generation == Generation::From242 { 16 - count } else { count };
            for byte in 0..counter {
                self.bytes[(table + bin * counter + byte - HEAP) as usize] = (count >> (8 * byte)) as u8;
            }
            self.put(table + bins * counter + 8 * bin, listed.first().copied().unwrap_or(0));
            for (at, addr) in listed.iter().enumerate() {
                let next = listed.get(at + 1).copied().unwrap_or(0);
                let mixed = generation >= Generation::From232;
                self.put(*addr, if mixed { next ^ addr >> 12 } else { next });
            }
        }
    }

    fn memory(mut self) -> Memory {
        let top = BYTES - self.at;
        self.chunk(top, true);
        let mapping = Mapping {
            lo: HEAP,
            hi: HEAP + BYTES,
            readable: true,
            writable: true,
            executable: false,
            shared: false,
            kind: Kind::Heap,
            name: String::new(),
        };
        Memory::new(vec![Region { lo: HEAP, bytes: self.bytes }], vec![mapping], None)
    }
}

#[test]
fn caches_of_each_generation_are_known_by_their_form() {
    let forms = [
        (Generation::From226, 64, 1),
        (Generation::From230, 64, 2),
        (Generation::From232, 64, 2),
        (Generation::From242, 76, 2),
    ];
    for (generation, bins, counter) in forms {
        let mut heap = Layout::new();
        let small: Vec<u64> = (0..4).map(|_| heap.chunk(48, true)).collect();
        let kept = heap.chunk(48, true);
        let free = heap.chunk(0x2000, false);
        let other = heap.chunk(64, true);
        heap.cache(generation, bins, counter, &[(1, &small), (2, &[other])]);
        let (heaps, chunks) = Heaps::find(&heap.memory(), &[]);
        assert_eq!(heaps.malloc, Malloc::Glibc(Some(generation)));
        let state = |addr: u64| chunks.all[chunks.at(addr).unwrap()].state;
        assert!(small.iter().chain([&other]).all(|addr| state(*addr) == State::Cached), "{generation:?}");
        assert_eq!((state(kept), state(free)), (State::Used, State::Free));
        let top = chunks.all.last().unwrap();
        assert_eq!((top.state, top.addr + top.bytes), (State::Top, HEAP + BYTES));
        assert_eq!(heaps.fordblks, 0x2000 + top.bytes + 16);
    }
}

#[test]
fn what_a_trim_gives_back_are_whole_pages_behind_the_links_and_of_the_end() {
    let mut heap = Layout::new();
    heap.chunk(0x100, true);
    heap.chunk(0x3000, false);
    heap.chunk(0x100, true);
    heap.chunk(0x1000, false);
    heap.chunk(0x100, true);
    let (heaps, _) = Heaps::find(&heap.memory(), &[]);
    assert_eq!(heaps.malloc, Malloc::Glibc(None), "nothing is cached");
    let end = HEAP + BYTES;
    // The second one has no whole page behind its links; of the end 33 bytes stay, and what is before it.
    assert_eq!(heaps.trims, [(HEAP + 0x1000, HEAP + 0x3000), (HEAP + 0x5000, end)]);
}

#[test]
fn a_heap_that_is_none_is_told_by_where_it_ceases_to_be_one() {
    let mut heap = Layout::new();
    heap.chunk(0x100, true);
    let torn = heap.chunk(0x200, true) - 16;
    let mut memory = heap;
    memory.put(torn + 8, 7);
    let (heaps, chunks) = Heaps::find(&memory.memory(), &[]);
    assert_eq!((heaps.malloc, chunks.all.len()), (Malloc::Unknown(Some(torn)), 0));
    let (heaps, _) = Heaps::find(&Memory::new(Vec::new(), Vec::new(), None), &[]);
    assert_eq!(heaps.malloc, Malloc::Unknown(None));
}

#[test]
fn a_list_that_comes_back_to_itself_is_no_caches() {
    let mut heap = Layout::new();
    let one = heap.chunk(48, true);
    heap.cache(Generation::From230, 64, 2, &[(1, &[one, one])]);
    let mut memory = heap;
    memory.put(one, one);
    let (heaps, _) = Heaps::find(&memory.memory(), &[]);
    assert_eq!(heaps.malloc, Malloc::Glibc(None));
}
