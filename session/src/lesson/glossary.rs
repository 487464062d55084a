//! Every term of the course: one sentence, where it lives in CPython, and which lesson shows it.

/// A term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The term, as lessons write it.
    pub term: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// Its name in CPython, or where it is found there.
    pub home: &'static str,
    /// The lesson that explains it, by its id.
    pub lesson: &'static str,
}

const fn row(term: &'static str, lesson: &'static str, meaning: &'static str, home: &'static str) -> Entry {
    Entry { term, meaning, home, lesson }
}

/// The entry of a term; its capitals do not matter.
pub fn definition(term: &str) -> Option<&'static Entry> {
    GLOSSARY.iter().find(|entry| entry.term.eq_ignore_ascii_case(term))
}

/// All terms, in the order in which the course explains them.
#[rustfmt::skip]
pub const GLOSSARY: &[Entry] = &[
    row("address", "first-block", "a number that names one byte of memory; id() shows an object's", "builtin_id"),
    row("arena", "first-block", "a piece of ARENA_SIZE bytes obtained from the system and cut into pools", "arena_object, pycore_obmalloc.h"),
    row("pool", "first-block", "POOL_SIZE bytes with a header and blocks of one class at a time", "pool_header"),
    row("block", "first-block", "the unit handed out; all of a pool are equal", "pymem_block"),
    row("request", "first-block", "one call for n bytes", "PyObject_Malloc, obmalloc.c"),
    row("size class", "classes", "index of the block size, the size over ALIGNMENT, rounded up, less 1", "size2index, INDEX2SIZE"),
    row("alignment", "classes", "all blocks begin at multiples of ALIGNMENT", "ALIGNMENT"),
    row("rounding waste", "classes", "block size less the size asked for, nobody's until the free", "no name of its own in CPython"),
    row("free list", "lifo", "free blocks linked through their own first bytes", "freeblock"),
    row("freeblock", "lifo", "header field: head of that list", "pool_header"),
    row("link", "lifo", "the address stored at the start of a free block", "*(block **)p"),
    row("LIFO", "lifo", "freed last, handed out first", "pymalloc_free"),
    row("pool header", "carving", "48 bytes in front of the first block", "POOL_OVERHEAD"),
    row("nextoffset", "carving", "where the next never-used block will be carved", "pool_header"),
    row("maxnextoffset", "carving", "the last value of it that still fits", "pool_header"),
    row("carving", "carving", "linking one more untouched block when the list runs out", "pymalloc_pool_extend"),
    row("quantization loss", "carving", "bytes at a pool's end too few for a block", "statistics line"),
    row("used pool", "filling", "some blocks out, some free; on a list", "usedpools"),
    row("full pool", "filling", "no block free; on no list", "pymalloc_pool_extend"),
    row("usedpools", "filling", "one circular list of used pools for each class", "OMState.pools"),
    row("empty pool", "emptied", "no block out; belongs to no class for now", "insert_to_freepool"),
    row("freepools", "emptied", "stack of an arena's emptied pools", "arena_object"),
    row("szidx", "emptied", "class of a pool; kept by an empty one", "pool_header"),
    row("usable_arenas", "which-arena", "arenas with a free pool, fullest first", "OMState.mgmt"),
    row("nfreepools", "which-arena", "emptied plus never carved pools of an arena", "arena_object"),
    row("search finger", "which-arena", "last arena with k free pools", "nfp2lasta"),
    row("release", "released", "giving an arena back by munmap", "_PyObject_Arena.free"),
    row("keep-last rule", "released", "a wholly free arena that is last on the list stays (3.9+)", "insert_to_freepool"),
    row("arena record", "released", "the struct that describes an arena; reused last freed first", "unused_arena_objects"),
    row("pin", "survivor", "a live block that keeps its arena", "no name of its own in CPython"),
    row("occupancy", "survivor", "used bytes of an arena or pool over its size", "no name of its own in CPython"),
    row("fragmentation", "survivor", "free memory that cannot be given back or used", "no name of its own in CPython"),
    row("C library", "big", "malloc and free of the platform", "_PyMem_RawMalloc"),
    row("threshold", "big", "512, the largest small request", "SMALL_REQUEST_THRESHOLD"),
    row("RAW fallback", "big", "pymalloc passing a request on", "_PyObject_Malloc"),
    row("raw_allocated_blocks", "big", "how many of those are alive", "OMState.mgmt"),
    row("in place", "realloc", "realloc answers with the same pointer", "pymalloc_realloc"),
    row("three-quarter rule", "realloc", "stays iff 4n > 3·block and n fits", "pymalloc_realloc"),
    row("ownership test", "whose", "is this pointer pymalloc's?", "address_in_range"),
    row("radix tree", "whose", "marks of arenas, looked up by address bits", "arena_map_get"),
    row("misaligned arena", "whose", "begins between pool borders; loses one pool", "new_arena"),
    row("domain", "domains", "RAW, MEM or OBJ: a family of four functions", "PyMemAllocatorDomain"),
    row("allocator table", "domains", "context and four functions in force for a domain", "PyMemAllocatorEx"),
    row("hook", "domains", "a table put over another", "PyMem_SetAllocator"),
    row("arena hook", "domains", "alloc and free for arenas (and 16 KiB stack chunks)", "PyObjectArenaAllocator"),
    row("debug hooks", "hooks", "tables that put guards around each block", "PyMem_SetupDebugHooks"),
    row("guard bytes", "hooks", "0xFD around the data", "PYMEM_FORBIDDENBYTE"),
    row("clean, dead bytes", "hooks", "0xCD fresh, 0xDD freed", "PYMEM_CLEANBYTE, PYMEM_DEADBYTE"),
    row("API id", "hooks", "r, m or o in the header", "debug_alloc_api_t"),
    row("trace", "tracemalloc", "size and traceback of one live block", "trace_t, tracemalloc.c"),
    row("traceback", "tracemalloc", "frames at the allocation, newest first in C", "traceback_t"),
    row("snapshot", "tracemalloc", "copy of all traces", "tracemalloc.Snapshot"),
    row("peak", "tracemalloc", "greatest traced sum since start or reset", "peak_traced_memory"),
    row("phantom leak", "tracemalloc", "growth by a trace that began late or a cache", "no name of its own in CPython"),
    row("unused pools", "stats", "statistics: emptied and never carved", "_PyObject_DebugMallocStats"),
    row("available blocks", "stats", "statistics: free ones of used pools, uncarved too", "_PyObject_DebugMallocStats"),
    row("arena map", "stats", "statistics name of the radix tree", "_PyObject_DebugMallocStats"),
    row("high-water mark", "stats", "most arenas at once", "narenas_highwater"),
    row("what-if", "what-ifs", "the same tape under another setting", "no name of its own in CPython"),
    row("GC header", "objects", "16 bytes before objects that can be in cycles", "PyGC_Head"),
    row("type free list", "objects", "dead objects a type keeps for its next ones", "_Py_freelists"),
    row("inline values", "objects", "attribute slots inside an instance", "_PyObject_InitInlineValues"),
    row("over-allocation", "growth", "room a list takes beyond its length", "list_resize"),
    row("item array", "growth", "a list's block of pointers, from MEM", "ob_item"),
    row("keys table", "growth", "a dict's index and entries", "PyDictKeysObject"),
    row("profile", "versions", "one build's sizes and rules in this tool", "no name of its own in CPython"),
    row("segment", "mi-lists", "32 MiB of mimalloc, 512 slices", "mi_segment_t"),
    row("slice", "mi-lists", "64 KiB of it; the first holds the header", "mi_slice_t"),
    row("page (mimalloc)", "mi-lists", "slices with blocks of one size", "mi_page_t"),
    row("local_free", "mi-lists", "blocks freed by the owner, not yet handed out again", "mi_page_t"),
    row("capacity, reserved", "mi-lists", "blocks made so far, blocks possible", "mi_page_t"),
    row("heap (mimalloc)", "threads", "one thread's pages of one purpose; four a thread", "_Py_mimalloc_heap_id"),
    row("mailbox", "threads", "blocks freed by other threads", "xthread_free, thread_delayed_free"),
    row("abandoned", "threads", "a segment whose thread has ended", "_mi_abandoned_*"),
    row("QSBR", "threads", "waiting until every thread has passed a safe point", "Python/qsbr.c"),
    row("quiescent state", "threads", "that safe point", "_Py_qsbr_quiescent_state"),
    row("isolated interpreter", "interpreters", "has a pymalloc state of its own (3.12+)", "use_main_obmalloc=0"),
    row("obmalloc state", "interpreters", "arenas, lists, tree, counters", "_obmalloc_state"),
];
