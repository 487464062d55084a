//! The heap under Rust's collections.

#![allow(clippy::unwrap_used, reason = "tests")]

use allocator_api2::alloc::{Allocator, Layout};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use hashbrown::{DefaultHashBuilder, HashMap};
use mmap_arenas::{LocalHeap, SyncHeap};

const MANY: u64 = if cfg!(miri) { 200 } else { 100_000 };

#[test]
fn a_map_of_boxes_lives_in_arenas() {
    let heap = LocalHeap::new();
    let mut map: HashMap<u64, Box<[u64; 4], &LocalHeap>, DefaultHashBuilder, &LocalHeap> =
        HashMap::new_in(&heap);
    for n in 0..MANY {
        map.insert(n, Box::new_in([n; 4], &heap));
    }
    for n in (0..MANY).filter(|n| n % 3 != 0) {
        map.remove(&n);
    }
    assert!((0..MANY).all(|n| map.get(&n).map(|b| **b) == (n % 3 == 0).then_some([n; 4])));
    let arenas = heap.counters();
    assert!(arenas.narenas_highwater >= 1 && (cfg!(miri) || arenas.narenas_highwater >= 3));
    drop(map);
    assert_eq!(heap.counters().narenas_currently_allocated, 1, "the last arena is kept");
}

#[test]
fn a_vector_grows_from_pool_to_pool_and_out_of_them() {
    let heap = LocalHeap::new();
    let mut bytes: Vec<u8, &LocalHeap> = Vec::new_in(&heap);
    for n in 0..5_000_u32 {
        bytes.push(n as u8);
        bytes.shrink_to_fit();
    }
    bytes.truncate(100);
    bytes.shrink_to_fit();
    assert!(bytes.iter().zip(0..).all(|(&b, n)| b == n));
    assert!(heap.debugmallocstats().contains("    6    112           1               1"));
}

#[test]
fn a_collection_may_own_its_heap() {
    let mut numbers: Vec<u64, LocalHeap> = Vec::new_in(LocalHeap::new());
    numbers.extend(0..40);
    // The heap moves with its collection; the blocks stay where they are.
    let first: *const u64 = &raw const numbers[0];
    let mut moved = std::boxed::Box::new(numbers);
    assert_eq!(first, &raw const moved[0]);
    moved.extend(40..60);
    assert_eq!(moved.iter().sum::<u64>(), 1770);
}

#[test]
fn every_layout_is_served_aligned_and_separate() {
    let heap = LocalHeap::new();
    let sizes = [0, 1, 15, 16, 17, 511, 512, 513, 4096, 70_000];
    let layouts: std::vec::Vec<Layout> = sizes
        .iter()
        .flat_map(|&size| [1, 8, 16, 32, 4096].map(|align| Layout::from_size_align(size, align).unwrap()))
        .collect();
    let blocks: std::vec::Vec<_> =
        layouts.iter().map(|&layout| (heap.allocate_zeroed(layout).unwrap(), layout)).collect();
    let mut ranges = std::vec::Vec::new();
    for (block, layout) in &blocks {
        let start = block.cast::<u8>().addr().get();
        assert!(block.len() == layout.size() && start.is_multiple_of(layout.align()));
        if layout.size() > 0 {
            ranges.push((start, start + layout.size()));
        }
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "blocks overlap");
    for (block, layout) in blocks {
        // SAFETY: allocated above with this layout, freed once.
        #[expect(unsafe_code, reason = "the allocator's own interface")]
        unsafe {
            heap.deallocate(block.cast(), layout);
        }
    }
}

#[test]
fn threads_share_a_locked_heap() {
    let heap = SyncHeap::new();
    let each = if cfg!(miri) { 20 } else { 5_000_u64 };
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let heap = &heap;
            scope.spawn(move || {
                let mut boxes: Vec<Box<u64, &SyncHeap>, &SyncHeap> = Vec::new_in(heap);
                for n in 0..each {
                    boxes.push(Box::new_in(thread << 32 | n, heap));
                }
                assert!(boxes.iter().zip(0..).all(|(b, n)| **b == thread << 32 | n));
            });
        }
    });
    assert!(heap.counters().ntimes_arena_allocated >= 1);
}
