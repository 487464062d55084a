//! What stands in memory, byte for byte, where `CPython` has it.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(unsafe_code, reason = "it reads headers")]

use mmap_arenas::PymallocHeap;

/// A word of a pool's header.
///
/// # Safety
/// `block` must lie in a live pool.
unsafe fn word<T: Copy>(block: *mut u8, offset: usize) -> T {
    // SAFETY: the pool begins at a multiple of 16 KiB with 48 bytes of header.
    unsafe { block.map_addr(|a| a & !0x3fff).add(offset).cast::<T>().read() }
}

#[test]
fn header_and_links_are_where_cpython_has_them() {
    let mut heap = PymallocHeap::new();
    let blocks = [(); 3].map(|()| heap.malloc(32));
    let pool = blocks[0].addr() & !0x3fff;
    assert_eq!(blocks.map(|b| b.addr() - pool), [48, 80, 112]);
    // SAFETY: three live blocks of one pool; after the frees only the first word of free blocks is read.
    unsafe {
        assert_eq!(word::<u32>(blocks[0], 0), 3, "ref.count");
        assert_eq!(word::<usize>(blocks[0], 8), pool + 144, "freeblock");
        assert_eq!(word::<usize>(blocks[0], 16), 0, "nextpool");
        assert_eq!(word::<usize>(blocks[0], 24), 0, "prevpool");
        assert_eq!(word::<u32>(blocks[0], 32), 0, "arenaindex");
        assert_eq!(word::<u32>(blocks[0], 36), 1, "szidx");
        assert_eq!(word::<u32>(blocks[0], 40), 176, "nextoffset");
        assert_eq!(word::<u32>(blocks[0], 44), 16384 - 32, "maxnextoffset");
        heap.free(blocks[1]);
        assert_eq!(word::<usize>(blocks[0], 8), blocks[1].addr());
        assert_eq!(word::<usize>(blocks[0], blocks[1].addr() - pool), pool + 144, "link");
        // A second pool of the class goes behind the first one, which was full.
        let more: Vec<_> = (0..510).map(|_| heap.malloc(32)).collect();
        let second = more[509];
        assert_ne!(second.addr() & !0x3fff, pool);
        heap.free(more[0]);
        assert_eq!(word::<usize>(blocks[0], 16), second.addr() & !0x3fff, "nextpool");
        assert_eq!(word::<usize>(second, 24), pool, "prevpool");
    }
    heap.verify().unwrap();
}
