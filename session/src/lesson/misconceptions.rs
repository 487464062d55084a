//! What people believe of the allocator that is not so, by number: distractors belong to one, and it answers whoever chose them.

/// A belief, and what is true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Misconception {
    /// Its number.
    pub number: u32,
    /// What is believed.
    pub belief: &'static str,
    /// What is true.
    pub truth: &'static str,
    /// The lesson that shows it, by its id.
    pub lesson: &'static str,
}

const fn row(number: u32, lesson: &'static str, belief: &'static str, truth: &'static str) -> Misconception {
    Misconception { number, belief, truth, lesson }
}

/// The misconception with a number.
pub fn misconception(number: u32) -> Option<&'static Misconception> {
    MISCONCEPTIONS.iter().find(|row| row.number == number)
}

/// All of them.
#[rustfmt::skip]
pub const MISCONCEPTIONS: &[Misconception] = &[
    row(1, "released", "Python never gives memory back before it ends", "An arena whose pools are all free goes back to the system. Since 3.9 there is one exception: the last arena on the list stays."),
    row(2, "released", "an arena goes back exactly when all its pools are free", "Since 3.9 a wholly free arena stays if it is the last one in usable_arenas, so that a loop does not fetch and return it each turn."),
    row(3, "which-arena", "the emptiest arena, or the one at the lowest address, serves next", "The fullest arena that still has a free pool serves next: the emptier ones may become free altogether."),
    row(4, "versions", "arenas are 256 KiB", "That was so until 3.9. Since 3.10 an arena has 1 MiB on 64-bit builds."),
    row(5, "versions", "a pool is one page of 4 KiB", "That was so until 3.9. Since 3.10 a pool has 16 KiB on 64-bit builds: four pages."),
    row(6, "versions", "Python assumes a page size of 256 KiB", "A page has 4 KiB. 256 KiB was the size of an arena until 3.9."),
    row(7, "classes", "there are 64 classes, 8 bytes apart", "On 64-bit builds there are 32 classes, 16 bytes apart. Only 32-bit builds have 64 classes, 8 bytes apart."),
    row(8, "classes", "small means up to 256 bytes", "The limit is 512 bytes since 3.3."),
    row(9, "classes", "512 bytes are too large already", "The limit is inclusive: 512 bytes still come from a pool, 513 do not."),
    row(10, "big", "a request of 0 bytes takes the smallest class", "0 bytes are not small: the C library is asked for one byte. Only under debug hooks does it come from a pool, since these add bytes of their own."),
    row(11, "lifo", "each free goes to the operating system, and each request comes from there", "Both end at the pool's own free list. The system hands out whole arenas, and takes whole arenas back."),
    row(12, "lifo", "equal ids mean the same object, or equal ones", "They mean that two lifetimes do not overlap: the second object was put where the first had been."),
    row(13, "lifo", "new objects get new addresses", "A pool uses its freed places again before it carves a new one."),
    row(14, "type-lists", "an id that repeats always shows pymalloc at work", "Lists, floats and tuples come from a free list that their type keeps; pymalloc is asked only if that is empty."),
    row(15, "lifo", "the lowest free block is taken, or the one freed first", "No list is in the order of addresses. Within a pool the block freed last is taken first, and within an arena the pool emptied last."),
    row(16, "emptied", "a pool serves one size for ever, and that is what fragments the heap", "An emptied pool serves any class."),
    row(17, "classes", "a block has exactly the size asked for, and a pool holds blocks of similar sizes", "A request is rounded up to its class, and all blocks of a pool have that one size."),
    row(18, "whose", "there are always 64 pools in an arena", "An arena that does not begin at a pool border has one pool less."),
    row(19, "survivor", "freeing most of the blocks gives most of the memory back", "A single block in use keeps its whole arena."),
    row(20, "survivor", "with one survivor in 200 most arenas go back", "Survivors must be farther apart than an arena holds blocks, or each arena has one."),
    row(21, "stats", "fragmentation of Python's heap cannot be seen", "sys._debugmallocstats() prints it: unused pools and available blocks are memory that is held and not used."),
    row(22, "released", "gc.collect() gives memory back", "It frees cycles of objects. Arenas go back only if that empties them."),
    row(23, "released", "cycles without __del__ may not be collected", "They are collected."),
    row(24, "type-lists", "ints and floats keep a free list without bounds", "Floats keep 100 at most, and gc.collect() empties them."),
    row(25, "objects", "x = 100; y = 100 shows a block being used again", "Small ints are made when the interpreter starts; nothing is asked for."),
    row(26, "objects", "sys.getsizeof() is all the memory of a container", "It counts the container's own blocks, not what it refers to."),
    row(27, "objects", "sys.getsizeof() is what was allocated", "Rounding is missing, and inline values of an instance are as well."),
    row(28, "growth", "an empty dict costs 240 bytes", "It costs 64: its table is made with the first key."),
    row(29, "growth", "deleting keys shrinks a dict", "The table stays until the dict grows again or is cleared."),
    row(30, "growth", "a list doubles when it grows", "It takes about an eighth more."),
    row(31, "growth", "a list grows by an eighth and 3 or 6", "That was so until 3.8; since 3.9 the capacity is rounded to a multiple of 4."),
    row(32, "growth", "a list mostly grows in place", "Up to 64 items each step is another class, so the items move; beyond that they are the C library's."),
    row(33, "realloc", "a realloc to less stays and frees the rest", "It stays only if it still uses more than three quarters of its block; otherwise it moves to a smaller one."),
    row(34, "realloc", "a large block that shrinks comes back into a pool", "It never does: realloc leaves a block of the C library with the C library."),
    row(35, "big", "sys.getallocatedblocks() shows where objects leave the pools", "It counts what pymalloc passes on to the C library as well."),
    row(36, "big", "sys.getallocatedblocks() counts everything", "Calls to the RAW domain are not in it."),
    row(37, "big", "what is larger than 512 bytes goes to the system and comes back at once", "It goes to the C library, which has habits of its own."),
    row(38, "diagnosis", "arenas alone explain a process that does not shrink", "The C library keeps memory as well."),
    row(39, "big", "MALLOC_ARENA_MAX is about Python's arenas", "It is about glibc's arenas: the same word for another thing."),
    row(40, "first-block", "the compiler's PyArena is pymalloc's arena", "It is another structure, of Python/pyarena.c."),
    row(41, "tracemalloc", "tracemalloc shows the memory of the process", "It shows what the three domains were asked for since it began: no rounding, no arenas, and nothing that C code gets elsewhere."),
    row(42, "tracemalloc", "watching with tracemalloc costs no memory", "It keeps a trace of every live block, and its tables grow with them."),
    row(43, "hooks", "freeing a block twice is noticed", "Without debug hooks nothing checks: the block is handed out twice."),
    row(44, "hooks", "debug hooks name a double free", "They do not test for it. They find DD where the API id should be and call that a bad ID, and the report often ends in a crash before it is printed."),
    row(45, "hooks", "debug hooks add as many bytes behind the data as in front of it", "They add twice a pointer in front, for the size, the id and guards, and once a pointer behind, for guards alone: 16 and 8 bytes with 64 bits."),
    row(46, "mi-lists", "3.13 replaced pymalloc by mimalloc", "Only the free-threaded build, or PYTHONMALLOC=mimalloc, uses it."),
    row(47, "threads", "a free-threaded process has one heap, or five", "Each thread has four; from 3.15 on RAW is a fifth."),
    row(48, "lifo", "where a block goes is random", "The same operations give the same places, every time."),
];
