//! The mimalloc block of `sys._debugmallocstats()`, byte for byte.

use super::debugmallocstats;
use crate::arena::ArenaBackend;
use crate::machine::Machine;
use crate::mimalloc::{BIN_HUGE, LARGE_BYTES_MAX, Mimalloc};

/// What `_PyObject_DebugMallocStats` prints when `thread` calls it: sums over that thread's default heap.
pub fn mimalloc_stats(mimalloc: &Mimalloc, thread: u16) -> String {
    // It first takes back what other threads left in the heap's mailbox; a report must change nothing.
    let mut mimalloc = mimalloc.clone();
    mimalloc.drain_default_heap(thread);
    let sum = mimalloc.default_heap_use(thread);
    let version = mimalloc.config().version;
    format!(
        "Small block threshold = {}, in {} size classes.\n\
         Medium block threshold = {}\n\
         Large object max size = {LARGE_BYTES_MAX}\n    \
         Allocated Blocks: {}\n    \
         Allocated Bytes: {}\n    \
         Allocated Bytes w/ Overhead: {}\n    \
         Bytes Reserved: {}\n    \
         Bytes Committed: {}\n",
        version.small_block_max(),
        BIN_HUGE,
        version.medium_block_max(),
        sum.blocks,
        sum.bytes,
        sum.bytes_with_overhead,
        sum.reserved_bytes,
        sum.committed_bytes
    )
}

/// What `_PyObject_DebugMallocStats` prints in this state, called by thread 0: the block of the allocator that
/// it finds in OBJ's table, or nothing.
pub fn malloc_stats<A: ArenaBackend>(machine: &Machine<A>) -> String {
    match machine.mimalloc() {
        Some(run) if machine.allocators().mimalloc_enabled() => mimalloc_stats(run.heap(), 0),
        _ if machine.pymalloc_enabled() => debugmallocstats(machine.pymalloc()),
        _ => String::new(),
    }
}
