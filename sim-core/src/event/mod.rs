//! What happened inside one operation, in `CPython`'s terms.
//!
//! Each branch of the allocator that changes state reports one event. Narration, breakpoints, flashes
//! on screen and tests read nothing else, so a picture and a sentence can never disagree.

mod mi;
mod narrate;
mod narrate_mi;
mod sentence;

pub use mi::{MiEvent, Verdict};
pub use narrate::{narrate, narrate_operation};
pub use sentence::Sentence;

use crate::addr::{Addr, ArenaId, SizeClass};
use crate::domains::{AllocatorTable, ArenaAllocator, ArenaFunction, Domain, ForeignFree};

/// Receives events. Replay at full speed uses `()`, which compiles to nothing.
pub trait Observer {
    /// False when every event is thrown away, so that costly ones need not be made.
    const ENABLED: bool;
    /// Takes one event, in the order in which things happened.
    fn event(&mut self, event: Event);
}

impl Observer for () {
    const ENABLED: bool = false;
    #[inline]
    fn event(&mut self, _event: Event) {}
}

impl Observer for Vec<Event> {
    const ENABLED: bool = true;
    fn event(&mut self, event: Event) {
        self.push(event);
    }
}

/// The four functions of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Function {
    /// malloc.
    Malloc,
    /// calloc.
    Calloc,
    /// realloc.
    Realloc,
    /// free.
    Free,
}

/// A node of the radix tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RadixNode {
    /// `arena_map_mid`.
    Mid,
    /// `arena_map_bot`.
    Bot,
}

/// Why an entry point gave NULL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NullReason {
    /// The request was over `PY_SSIZE_T_MAX`, the table was not called.
    OverSsizeMax,
    /// The layer below returned NULL.
    OutOfMemory,
}

/// One change of state, or one decision that led to it. Addresses are those the program would see;
/// sizes and offsets are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// `pymalloc_alloc`: the request is 0 or over `SMALL_REQUEST_THRESHOLD`.
    NotSmall {
        /// What was asked for.
        nbytes: u64,
    },
    /// `pymalloc_alloc`: the request has a size class.
    SizeClassChosen {
        /// What was asked for.
        nbytes: u64,
        /// Its class.
        class: SizeClass,
    },
    /// `pymalloc_alloc`: the head of the pool's free list was handed out.
    BlockPopped {
        /// Its pool.
        pool: Addr,
        /// The block.
        block: Addr,
        /// The new head of the free list.
        next: Option<Addr>,
        /// `ref.count` afterwards.
        ref_count: u32,
    },
    /// `pymalloc_pool_extend`: one block never handed out became the whole free list.
    BlockCarved {
        /// Its pool.
        pool: Addr,
        /// The block.
        block: Addr,
        /// `nextoffset` afterwards.
        nextoffset: u32,
    },
    /// `pymalloc_pool_extend`: the last block was taken, the pool left its used list.
    PoolFull {
        /// The pool.
        pool: Addr,
        /// Its class.
        class: SizeClass,
    },
    /// A pool went to the front of a used list.
    PoolLinked {
        /// The pool.
        pool: Addr,
        /// The class of the list.
        class: SizeClass,
    },
    /// `allocate_from_new_pool`: the last emptied pool was taken from the arena's `freepools`.
    PoolTaken {
        /// Its arena.
        arena: ArenaId,
        /// The pool.
        pool: Addr,
    },
    /// `allocate_from_new_pool`: a pool was cut from the arena's untouched end.
    PoolCarved {
        /// Its arena.
        arena: ArenaId,
        /// The pool.
        pool: Addr,
    },
    /// `allocate_from_new_pool`: the pool had this class before, so its free list stays.
    PoolReused {
        /// The pool.
        pool: Addr,
        /// Its class.
        class: SizeClass,
    },
    /// `allocate_from_new_pool`: the pool's header was written for a class, the first block handed
    /// out and the second linked.
    PoolInitialised {
        /// The pool.
        pool: Addr,
        /// Its class.
        class: SizeClass,
        /// The class it had before, if any.
        was: Option<SizeClass>,
        /// The block handed out.
        block: Addr,
        /// The block on the free list.
        second: Addr,
        /// `nextoffset` afterwards.
        nextoffset: u32,
        /// `maxnextoffset` afterwards.
        maxnextoffset: u32,
    },
    /// `pymalloc_free`: the block became the head of its pool's free list.
    BlockPushed {
        /// Its pool.
        pool: Addr,
        /// The block.
        block: Addr,
        /// The head before.
        next: Option<Addr>,
        /// `ref.count` afterwards.
        ref_count: u32,
    },
    /// `pymalloc_free`: the last used block came back, the pool left its used list.
    PoolEmptied {
        /// The pool.
        pool: Addr,
        /// Its class.
        class: SizeClass,
    },
    /// `insert_to_freepool`: the pool went on top of its arena's `freepools`.
    PoolFreed {
        /// Its arena.
        arena: ArenaId,
        /// The pool.
        pool: Addr,
    },
    /// `new_arena`: the array of arena records was to grow.
    ArenaObjectsGrown {
        /// Records before.
        from: u32,
        /// Records afterwards.
        to: u32,
        /// Bytes asked of RAW.
        bytes: u64,
        /// Whether RAW gave them.
        got: bool,
    },
    /// `arena_map_get`: a node of the radix tree was to be created.
    RadixNodeCreated {
        /// Which level.
        node: RadixNode,
        /// Bytes asked of RAW.
        bytes: u64,
        /// Whether RAW gave them.
        got: bool,
    },
    /// `new_arena`: the arena allocator returned NULL.
    ArenaRefused,
    /// `new_arena`: an arena came from the arena allocator.
    ArenaObtained {
        /// The arena.
        arena: ArenaId,
        /// What the arena allocator returned.
        base: Addr,
        /// `ntotalpools`.
        pools: u32,
        /// Whether it lost a pool to alignment.
        misaligned: bool,
    },
    /// A free list was overwritten: what follows its head now is no block of the pool.
    FreeListLost {
        /// The pool.
        pool: Addr,
        /// What the next allocation would hand out.
        link: Addr,
    },
    /// `new_arena`: the arena that came from the arena allocator could not be marked in the radix tree, and goes back.
    ArenaNotMarked {
        /// Arenas that the arena allocator gave before it.
        ordinal: u64,
        /// What the arena allocator returned.
        base: Addr,
    },
    /// An arena went to the head of `usable_arenas`.
    ArenaLinked {
        /// The arena.
        arena: ArenaId,
    },
    /// `insert_to_freepool`: an arena moved right in `usable_arenas`, to just after another.
    ArenaRelinked {
        /// The arena.
        arena: ArenaId,
        /// Its new left neighbour.
        after: ArenaId,
    },
    /// `allocate_from_new_pool`: the arena's last free pool was taken, it left `usable_arenas`.
    ArenaFull {
        /// The arena.
        arena: ArenaId,
    },
    /// An entry of `nfp2lasta` changed.
    Nfp2lastaSet {
        /// The number of free pools.
        nfreepools: u32,
        /// The rightmost arena with that many.
        arena: Option<ArenaId>,
    },
    /// `insert_to_freepool`: the arena is wholly free but last in `usable_arenas`, so it stays.
    ArenaKept {
        /// The arena.
        arena: ArenaId,
    },
    /// `insert_to_freepool`: a wholly free arena went back to the arena allocator.
    ArenaReleased {
        /// The arena.
        arena: ArenaId,
        /// Where it was.
        base: Addr,
    },
    /// The C library allocated a block. Its address is a label, not a prediction.
    RawAllocated {
        /// The label.
        label: u64,
        /// Bytes asked for.
        nbytes: u64,
        /// Whether pymalloc asked for it and counts it in `raw_allocated_blocks`.
        for_pymalloc: bool,
    },
    /// `raw_allocated_blocks` changed: pymalloc passed a call on to RAW.
    RawBlocksCounted {
        /// The count now.
        now: i64,
    },
    /// The C library resized a block, in place or not.
    RawResized {
        /// The label.
        label: u64,
        /// Bytes before.
        from: u64,
        /// Bytes asked for.
        nbytes: u64,
    },
    /// The C library freed a block.
    RawFreed {
        /// The label.
        label: u64,
        /// Bytes it was asked for with.
        nbytes: u64,
        /// Whether pymalloc passed it on and counted it off.
        for_pymalloc: bool,
    },
    /// `address_in_range` answered.
    AddressInRange {
        /// The pointer.
        addr: Addr,
        /// Whether it is pymalloc's.
        owned: bool,
    },
    /// `pymalloc_realloc`: the block stays.
    ReallocInPlace {
        /// The block.
        block: Addr,
        /// Bytes of its block.
        block_size: u64,
        /// Bytes asked for.
        nbytes: u64,
    },
    /// `pymalloc_realloc`: a new block is needed; it is allocated before the old one is freed.
    ReallocMoves {
        /// The old block.
        block: Addr,
        /// Bytes of its block.
        block_size: u64,
        /// Bytes asked for.
        nbytes: u64,
        /// Bytes to copy.
        copied: u64,
    },
    /// A function of a table was called: one link of the chain from the entry point down.
    TableCalled {
        /// The domain whose entry point or record led here.
        domain: Domain,
        /// The table.
        table: AllocatorTable,
        /// Which of its functions.
        function: Function,
        /// Bytes asked for, 0 for free.
        nbytes: u64,
    },
    /// A function of the arena allocator's hook was called: one link of the chain of hooks.
    ArenaHookCalled {
        /// The hook.
        hook: ArenaAllocator,
        /// Which of its functions.
        function: ArenaFunction,
        /// What free is given; NULL for alloc.
        ptr: Addr,
        /// Bytes: an arena's for an arena, 16 KiB as a rule for a chunk of a data stack.
        size: u64,
    },
    /// A hook returned NULL.
    ArenaHookRefused {
        /// The hook.
        hook: ArenaAllocator,
        /// Bytes asked for.
        size: u64,
    },
    /// Memory was freed through another hook than the one that made it.
    ArenaFreedByOther {
        /// The arena or chunk.
        base: Addr,
        /// The hook that was in force when it was made.
        made_by: ArenaAllocator,
        /// The hook in force now.
        freed_by: ArenaAllocator,
        /// What became of it; `None` when the call was passed on to its maker.
        outcome: Option<ForeignFree>,
    },
    /// `_PyObject_VirtualAlloc` returned.
    ChunkObtained {
        /// What it returned, NULL where the hook did.
        at: Addr,
        /// Bytes.
        size: u64,
    },
    /// `new_arena`: `PYTHONMALLOCSTATS` is set, so the statistics are printed before the arena is asked for.
    MallocStatsPrinted {
        /// Reports before this one.
        number: u64,
    },
    /// An interpreter was created.
    InterpreterCreated {
        /// Its number.
        number: u32,
        /// Whether it has a pymalloc state of its own.
        own_obmalloc: bool,
    },
    /// Another interpreter runs now.
    InterpreterSwitched {
        /// Its number.
        number: u32,
        /// The interpreter whose pymalloc state it uses.
        state_of: u32,
    },
    /// An interpreter was ended.
    InterpreterEnded {
        /// Its number.
        number: u32,
        /// Blocks left in its own pymalloc state; `None` for one without.
        leaked: Option<i64>,
    },
    /// `tracemalloc.take_snapshot()`.
    SnapshotTaken {
        /// Traces in it; `None` for the `RuntimeError` while nothing is traced.
        traces: Option<u64>,
    },
    /// mimalloc did something.
    Mimalloc(MiEvent),
    /// `realloc(NULL, n)` acts as `malloc(n)`.
    ReallocOfNull,
    /// `free(NULL)` does nothing.
    FreeOfNull,
    /// The entry point returned NULL.
    ReturnedNull {
        /// Why.
        reason: NullReason,
    },
}
