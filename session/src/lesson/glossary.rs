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
    row("threshold", "big", "The largest request that pools serve: 512 bytes in every build.", "SMALL_REQUEST_THRESHOLD"),
    row("C library", "big", "The library of basic functions that all C programs on a platform share; its malloc serves what pymalloc passes on.", "malloc and free, called by _PyMem_RawMalloc and _PyMem_RawFree"),
    row("RAW fallback", "big", "What pymalloc does with a request that it cannot serve: it passes it on to the RAW domain, and so to the C library.", "PyMem_RawMalloc, called by _PyObject_Malloc"),
    row("raw_allocated_blocks", "big", "The number of live blocks that pymalloc passed on; calls that went to RAW by themselves are not in it.", "OMState.mgmt"),
    row("in place", "realloc", "A realloc is done in place if it answers with the same pointer, so that nothing is copied.", "pymalloc_realloc"),
    row("three-quarter rule", "realloc", "At a realloc a block of a pool stays if the new size fits into it and is more than three quarters of it; otherwise it moves.", "pymalloc_realloc"),
    row("misaligned arena", "whose", "An arena that begins between two pool borders, so that one pool fewer fits into it.", "new_arena"),
    row("ownership test", "whose", "The question whether an address lies in one of pymalloc's arenas, which free and realloc ask first.", "address_in_range"),
    row("radix tree", "whose", "A tree that is walked by the bits of an address and says of each part of memory whether it is an arena (3.10 and later).", "arena_map_get"),
    row("domain", "domains", "One of the three doors to memory, RAW, MEM and OBJ, each with its own malloc, calloc, realloc and free.", "PyMemAllocatorDomain"),
    row("allocator table", "domains", "The four functions that are in force for a domain, with a pointer that each of them is given.", "PyMemAllocatorEx"),
    row("hook", "domains", "A table that does something of its own with each call and then calls the table that stood there before.", "PyMem_SetAllocator"),
    row("arena hook", "domains", "The two functions, alloc and free, from which pymalloc gets its arenas; chunks of the interpreter's data stack come from them as well.", "PyObjectArenaAllocator, PyObject_SetArenaAllocator"),
    row("debug hooks", "hooks", "Tables over all three domains that write guards around each block and check them when it comes back.", "PyMem_SetupDebugHooks"),
    row("API id", "hooks", "The letter r, m or o in a block's header, which says from which domain the block came.", "debug_alloc_api_t"),
    row("guard bytes", "hooks", "Bytes of FD in front of the data and behind it, one of which is destroyed when somebody writes just outside the data.", "PYMEM_FORBIDDENBYTE"),
    row("clean, dead bytes", "hooks", "Debug hooks fill fresh data with CD and freed blocks with DD, so that a debugger shows which is which.", "PYMEM_CLEANBYTE, PYMEM_DEADBYTE"),
    row("trace", "tracemalloc", "What tracemalloc keeps of one live block: its size as it was asked for, and its traceback.", "trace_t, tracemalloc.c"),
    row("traceback", "tracemalloc", "The lines of Python code that were at work when a block was asked for, the most recent one first in C.", "traceback_t"),
    row("snapshot", "tracemalloc", "A copy of all traces of one moment, to be compared with that of another.", "tracemalloc.Snapshot"),
    row("phantom leak", "tracemalloc", "Growth between two snapshots that is no leak, as of a block that is older than the watching, or of a cache that fills up.", "no name of its own in CPython"),
    row("peak", "tracemalloc", "The most bytes that were traced at once since tracemalloc began, or since the peak was reset (3.9 and later).", "peak_traced_memory"),
    row("available blocks", "stats", "The free places of pools in use, carved before or not, which only requests of the same class can have.", "_PyObject_DebugMallocStats"),
    row("unused pools", "stats", "The pools without a block in use, emptied ones and those that were never carved, as the statistics count them.", "_PyObject_DebugMallocStats"),
    row("high-water mark", "stats", "The largest number of arenas that existed at once.", "narenas_highwater"),
    row("arena map", "stats", "The radix tree, as the statistics call it; its memory lies outside the arenas.", "_PyObject_DebugMallocStats, arena_map_root"),
    row("what-if", "what-ifs", "The same operations in the same order, run again under another setting.", "no name of its own in CPython"),
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
