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

/// The entry whose home is a function or a field of CPython's.
pub fn at_home(name: &str) -> Option<&'static Entry> {
    let of = |entry: &&Entry| entry.homes().any(|home| home == name);
    definition(name).or_else(|| GLOSSARY.iter().find(of))
}

impl Entry {
    /// Its names in CPython: the first word of each part of [`Entry::home`].
    fn homes(&self) -> impl Iterator<Item = &'static str> {
        self.home.split(',').filter_map(|part| part.split_whitespace().next())
    }
}

/// The first term of a sentence, or of the function that it is about, that only a lesson after this one explains; none
/// for a lesson that explains no term, whose place among the others the glossary does not know.
pub(crate) fn later_term(function: &str, sentence: &str, lesson: &str) -> Option<&'static Entry> {
    let last = GLOSSARY.iter().rposition(|entry| entry.lesson == lesson)?;
    let (known, later) = GLOSSARY.split_at(last + 1);
    let sentence = sentence.to_lowercase();
    let lives_there = |entry: &Entry| entry.homes().any(|home| home == function);
    let function_is_known = known.iter().any(lives_there);
    later.iter().find(|entry| {
        speaks_of(&sentence, &entry.term.to_lowercase()) || (!function_is_known && lives_there(entry))
    })
}

/// Whether a word or words stand in a sentence, as they are or as more than one.
fn speaks_of(sentence: &str, words: &str) -> bool {
    let borders = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    sentence.match_indices(words).any(|(at, found)| {
        let rest = &sentence[at + found.len()..];
        borders(sentence[..at].chars().next_back())
            && borders(rest.strip_prefix('s').unwrap_or(rest).chars().next())
    })
}

/// All terms, in the order in which the course explains them.
#[rustfmt::skip]
pub const GLOSSARY: &[Entry] = &[
    row("address", "first-block", "a number that names one byte of memory; id() shows an object's", "builtin_id"),
    row("arena", "first-block", "a piece of ARENA_SIZE bytes obtained from the system and cut into pools", "arena_object, pycore_obmalloc.h"),
    row("pool", "first-block", "POOL_SIZE bytes with a header and blocks of one class at a time", "pool_header"),
    row("block", "first-block", "the unit handed out; all of a pool are equal", "pymem_block"),
    row("request", "first-block", "one call for n bytes", "PyObject_Malloc, obmalloc.c"),
    row("size class", "classes", "All requests that are rounded up to the same block size have one size class; classes are numbered from 0, by size.", "szidx of pool_header, INDEX2SIZE"),
    row("alignment", "classes", "Every block begins at an address that is a multiple of this number, so that it can hold any kind of value.", "ALIGNMENT"),
    row("rounding waste", "classes", "The bytes of a block beyond those asked for: nobody can use them until the block is freed.", "no name of its own in CPython"),
    row("free list", "lifo", "The chain of a pool's free places: its header names the first one, and each of them holds the address of the next in its own first bytes.", "freeblock of pool_header"),
    row("freeblock", "lifo", "The field of a pool's header that names the first free place, which the next request of the class gets.", "pool_header"),
    row("link", "lifo", "The address of the next free place, written into the first bytes of a free one.", "*(block **)p"),
    row("LIFO", "lifo", "Last in, first out: the place that was freed last is handed out first, as with a stack of plates.", "pymalloc_free"),
    row("pool header", "carving", "The first bytes of a pool, where pymalloc keeps all that it knows of this pool; blocks begin behind it.", "pool_header, POOL_OVERHEAD"),
    row("nextoffset", "carving", "The field of a pool's header that says where the untouched part begins, in bytes from the start of the pool.", "pool_header"),
    row("maxnextoffset", "carving", "The field of a pool's header with the largest nextoffset at which one more block still fits.", "pool_header"),
    row("carving", "carving", "Cutting one more block off the untouched part of a pool when its free list runs dry.", "pymalloc_pool_extend"),
    row("quantization loss", "carving", "The bytes at the end of a pool that are too few for one more block of its class.", "_PyObject_DebugMallocStats, a line of its text"),
    row("used pool", "filling", "A pool with blocks in use and room for more; it stands on the list of its class and serves it.", "pool_header, on usedpools"),
    row("full pool", "filling", "A pool whose blocks are all in use; it is on no list until one of them is freed.", "pymalloc_pool_extend"),
    row("usedpools", "filling", "For each class the list of its used pools; the pool in front serves the next request.", "OMState.pools"),
    row("empty pool", "emptied", "A pool in which no block is in use any more; it waits in its arena, and any class may take it.", "insert_to_freepool"),
    row("freepools", "emptied", "The stack of an arena's emptied pools; the one emptied last is taken first.", "arena_object"),
    row("szidx", "emptied", "The field of a pool's header with its class; an empty pool keeps it, which saves work if the same class takes the pool again.", "pool_header"),
    row("usable_arenas", "which-arena", "The list of all arenas that have a pool to give, the fullest first; the arena in front gives the next pool.", "OMState.mgmt"),
    row("nfreepools", "which-arena", "How many pools of an arena have no block in use, whether they were emptied or never used.", "arena_object"),
    row("search finger", "which-arena", "A note of the last arena on usable_arenas that has a certain number of free pools; with it an arena finds its new place without a walk along the list.", "nfp2lasta"),
    row("release", "released", "Giving a whole arena back to the operating system, when the last block in it is freed.", "insert_to_freepool, _PyObject_Arena.free"),
    row("keep-last rule", "released", "Since 3.9 an arena in which nothing is used is kept if it is the last one on usable_arenas.", "insert_to_freepool"),
    row("arena record", "released", "What pymalloc notes about an arena, outside of it; when the arena goes, the next new one gets the record.", "arena_object, unused_arena_objects"),
    row("pin", "survivor", "A block in use pins its arena: as long as it lives, the arena cannot go back to the system.", "no name of its own in CPython"),
    row("occupancy", "survivor", "The share of the bytes of an arena or a pool that blocks in use take.", "no name of its own in CPython"),
    row("fragmentation", "survivor", "Free memory that cannot be given back, or not be used for what is wanted, since blocks in use lie in between.", "no name of its own in CPython"),
    row("C library", "big", "The library of basic functions that all C programs on a platform share; its malloc serves what pymalloc passes on.", "malloc and free, called by _PyMem_RawMalloc and _PyMem_RawFree"),
    row("threshold", "big", "The largest request that pools serve: 512 bytes in every build.", "SMALL_REQUEST_THRESHOLD"),
    row("RAW fallback", "big", "What pymalloc does with a request that it cannot serve: it passes it on to the RAW domain, and so to the C library.", "PyMem_RawMalloc, called by _PyObject_Malloc"),
    row("raw_allocated_blocks", "big", "The number of live blocks that pymalloc passed on; calls that went to RAW by themselves are not in it.", "OMState.mgmt"),
    row("in place", "realloc", "A realloc is done in place if it answers with the same pointer, so that nothing is copied.", "pymalloc_realloc"),
    row("three-quarter rule", "realloc", "At a realloc a block of a pool stays if the new size fits into it and is more than three quarters of it; otherwise it moves.", "pymalloc_realloc"),
    row("ownership test", "whose", "The question whether an address lies in one of pymalloc's arenas, which free and realloc ask first.", "address_in_range"),
    row("radix tree", "whose", "A tree that is walked by the bits of an address and says of each part of memory whether it is an arena (3.10 and later).", "arena_map_get"),
    row("misaligned arena", "whose", "An arena that begins between two pool borders, so that one pool fewer fits into it.", "arena_object, its pool_address in new_arena"),
    row("domain", "domains", "One of the three doors to memory, RAW, MEM and OBJ, each with its own malloc, calloc, realloc and free.", "PyMemAllocatorDomain"),
    row("allocator table", "domains", "The four functions that are in force for a domain, with a pointer that each of them is given.", "PyMemAllocatorEx"),
    row("hook", "domains", "A table that does something of its own with each call and then calls the table that stood there before.", "PyMem_SetAllocator"),
    row("arena hook", "domains", "The two functions, alloc and free, from which pymalloc gets its arenas; chunks of the interpreter's data stack come from them as well.", "PyObjectArenaAllocator, PyObject_SetArenaAllocator"),
    row("debug hooks", "hooks", "Tables over all three domains that write guards around each block and check them when it comes back.", "PyMem_SetupDebugHooks"),
    row("guard bytes", "hooks", "Bytes of FD in front of the data and behind it, one of which is destroyed when somebody writes just outside the data.", "PYMEM_FORBIDDENBYTE"),
    row("clean, dead bytes", "hooks", "Debug hooks fill fresh data with CD and freed blocks with DD, so that a debugger shows which is which.", "PYMEM_CLEANBYTE, PYMEM_DEADBYTE"),
    row("API id", "hooks", "The letter r, m or o in a block's header, which says from which domain the block came.", "debug_alloc_api_t"),
    row("trace", "tracemalloc", "What tracemalloc keeps of one live block: its size as it was asked for, and its traceback.", "trace_t, tracemalloc.c"),
    row("traceback", "tracemalloc", "The lines of Python code that were at work when a block was asked for, the most recent one first in C.", "traceback_t"),
    row("snapshot", "tracemalloc", "A copy of all traces of one moment, to be compared with that of another.", "tracemalloc.Snapshot"),
    row("peak", "tracemalloc", "The most bytes that were traced at once since tracemalloc began, or since the peak was reset (3.9 and later).", "peak_traced_memory"),
    row("phantom leak", "tracemalloc", "Growth between two snapshots that is no leak, as of a block that is older than the watching, or of a cache that fills up.", "no name of its own in CPython"),
    row("unused pools", "stats", "The pools without a block in use, emptied ones and those that were never carved, as the statistics count them.", "_PyObject_DebugMallocStats"),
    row("available blocks", "stats", "The free places of pools in use, carved before or not, which only requests of the same class can have.", "_PyObject_DebugMallocStats"),
    row("arena map", "stats", "The radix tree, as the statistics call it; its memory lies outside the arenas.", "_PyObject_DebugMallocStats, arena_map_root"),
    row("high-water mark", "stats", "The largest number of arenas that existed at once.", "narenas_highwater"),
    row("what-if", "what-ifs", "The same operations in the same order, run again under another setting.", "no name of its own in CPython"),
    row("GC header", "objects", "16 bytes before objects that can be in cycles", "PyGC_Head"),
    row("type free list", "objects", "dead objects a type keeps for its next ones", "_Py_freelists"),
    row("inline values", "objects", "attribute slots inside an instance", "_PyObject_InitInlineValues"),
    row("over-allocation", "growth", "room a list takes beyond its length", "list_resize"),
    row("item array", "growth", "a list's block of pointers, from MEM", "ob_item"),
    row("keys table", "growth", "a dict's index and entries", "PyDictKeysObject"),
    row("profile", "versions", "One build of CPython with its sizes and rules, as this program knows it; the same operations can be run under each.", "no name of its own in CPython"),
    row("segment", "mi-lists", "The largest unit of mimalloc, 32 MiB that belong to one thread at a time and are cut into slices.", "mi_segment_t"),
    row("slice", "mi-lists", "A piece of 64 KiB of a segment; pages are made of one slice or of some in a row, and the first of a segment holds notes on the others.", "mi_slice_t"),
    row("page (mimalloc)", "mi-lists", "One slice or some in a row with blocks of one size; no page of the operating system.", "mi_page_t"),
    row("local_free", "mi-lists", "The list of blocks that a page's own thread has freed; they are handed out again when the list free has run dry.", "mi_page_t"),
    row("capacity, reserved", "mi-lists", "A page's capacity is how many of its blocks were made ready so far, reserved is how many can be.", "mi_page_t"),
    row("heap (mimalloc)", "threads", "One thread's pages of one purpose: for MEM, for objects, and two for what the garbage collector watches.", "_Py_mimalloc_heap_id"),
    row("mailbox", "threads", "The place for blocks that other threads free; the owner of the page takes them back when it gets round to it.", "xthread_free, thread_delayed_free"),
    row("abandoned", "threads", "A segment or page whose thread has ended while blocks in it are still in use; another thread may take it over.", "mi_abandoned_pool_t (up to 3.14.9)"),
    row("QSBR", "threads", "Quiescent-state based reclamation: what was emptied is used again only when every thread has passed a quiescent state since.", "Python/qsbr.c"),
    row("quiescent state", "threads", "A moment at which a thread reads no shared data without a lock, so that it holds no pointer to what was freed meanwhile.", "_Py_qsbr_quiescent_state"),
    row("isolated interpreter", "interpreters", "An interpreter that has an obmalloc state of its own, as is possible since 3.12.", "use_main_obmalloc=0"),
    row("obmalloc state", "interpreters", "All that pymalloc keeps for an interpreter: arenas, lists of pools, radix tree and counters.", "_obmalloc_state"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_narration_and_inspector_name_is_found() {
        for (name, term) in
            [("freeblock", "freeblock"), ("nextoffset", "nextoffset"), ("address_in_range", "ownership test")]
        {
            assert_eq!(at_home(name).map(|entry| entry.term), Some(term));
        }
        assert_eq!(at_home("no_such_function"), None);
    }

    #[test]
    fn what_a_later_lesson_explains_is_known() {
        let term =
            |function, sentence, lesson| later_term(function, sentence, lesson).map(|entry| entry.term);
        let carved =
            ("pymalloc_pool_extend", "block 0x70, never used before, is linked; nextoffset moves to 144");
        assert_eq!(term(carved.0, carved.1, "lifo"), Some("nextoffset"));
        assert_eq!(term(carved.0, carved.1, "carving"), None);
        assert_eq!(
            term("pymalloc_pool_extend", "the pool is full and leaves usedpools[15]", "carving"),
            Some("usedpools")
        );
        assert_eq!(term("arena_map_get", "The radix tree gains a node", "first-block"), Some("radix tree"));
        assert_eq!(term("new_arena", "Arena 0 is obtained with 64 pools", "first-block"), None);
        assert_eq!(term("pymalloc_alloc", "two blocks and two free lists", "classes"), Some("free list"));
        assert_eq!(term("arena_map_get", "The radix tree gains a node", "no-such-lesson"), None);
    }
}
