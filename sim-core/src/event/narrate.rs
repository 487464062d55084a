//! One plain sentence for each event.

use super::{Event, NullReason, RadixNode, Sentence};
use crate::addr::Addr;
use crate::domains::{ArenaAllocator, ArenaFunction, ForeignFree};
use crate::profile::Profile;

/// Puts one event into words. Sizes are in bytes.
pub fn narrate(event: &Event, profile: &Profile) -> Sentence {
    let say = |function: &'static str, place: Option<Addr>, text: String| Sentence { function, text, place };
    let threshold = profile.small_request_threshold;
    match *event {
        Event::NotSmall { nbytes } => say(
            "pymalloc_alloc",
            None,
            if nbytes == 0 {
                "0 bytes is not a small request (1 to the threshold), so it goes to PyMem_RawMalloc"
                    .to_owned()
            } else {
                format!(
                    "{nbytes} bytes is over SMALL_REQUEST_THRESHOLD ({threshold}), so it goes to PyMem_RawMalloc"
                )
            },
        ),
        Event::SizeClassChosen { nbytes, class } => say(
            "pymalloc_alloc",
            None,
            format!(
                "{nbytes} bytes belong to size class {class}, whose blocks have {} bytes",
                profile.block_size(class)
            ),
        ),
        Event::BlockPopped { pool, block, next, ref_count } => say(
            "pymalloc_alloc",
            Some(block),
            format!(
                "block {block} is popped from the free list of pool {pool}; {}, ref.count is {ref_count}",
                next.map_or_else(|| "the list is now empty".to_owned(), |n| format!("{n} is the new head"))
            ),
        ),
        Event::BlockCarved { block, nextoffset, .. } => say(
            "pymalloc_pool_extend",
            Some(block),
            format!(
                "block {block}, never used before, is linked ahead of need; nextoffset moves to {nextoffset}"
            ),
        ),
        Event::PoolFull { pool, class } => say(
            "pymalloc_pool_extend",
            Some(pool),
            format!("pool {pool} is full and leaves usedpools[{class}]; no list holds it now"),
        ),
        Event::PoolLinked { pool, class } => {
            say("usedpools", Some(pool), format!("pool {pool} goes to the front of usedpools[{class}]"))
        }
        Event::PoolTaken { arena, pool } => say(
            "allocate_from_new_pool",
            Some(pool),
            format!("pool {pool} is popped from freepools of {arena}: the pool emptied last is used first"),
        ),
        Event::PoolCarved { arena, pool } => say(
            "allocate_from_new_pool",
            Some(pool),
            format!("pool {pool} is carved from {arena}, which has no emptied pool to give"),
        ),
        Event::PoolReused { pool, class } => say(
            "allocate_from_new_pool",
            Some(pool),
            format!("pool {pool} had size class {class} before, so its old free list is kept"),
        ),
        Event::PoolInitialised { pool, class, was, block, second, .. } => say(
            "allocate_from_new_pool",
            Some(block),
            format!(
                "pool {pool} is set up for size class {class}{}: block {block} is handed out, {second} is linked next",
                was.map_or_else(String::new, |w| format!(" (it had class {w})"))
            ),
        ),
        Event::BlockPushed { pool, block, next, ref_count } => say(
            "pymalloc_free",
            Some(block),
            format!(
                "block {block} becomes the head of pool {pool}'s free list, {}; ref.count is {ref_count}",
                next.map_or_else(
                    || "which was empty: the pool was full".to_owned(),
                    |n| format!("before {n}")
                )
            ),
        ),
        Event::PoolEmptied { pool, class } => {
            say("pymalloc_free", Some(pool), format!("pool {pool} is empty and leaves usedpools[{class}]"))
        }
        Event::PoolFreed { arena, pool } => {
            say("insert_to_freepool", Some(pool), format!("pool {pool} goes on top of freepools of {arena}"))
        }
        Event::ArenaObjectsGrown { from, to, bytes, got } => say(
            "new_arena",
            None,
            if got {
                format!("the array of arena records grows from {from} to {to} ({bytes} bytes from RAW)")
            } else {
                format!("the array of arena records could not grow to {to}: RAW gave no {bytes} bytes")
            },
        ),
        Event::RadixNodeCreated { node, bytes, got } => {
            let name = match node {
                RadixNode::Mid => "arena_map_mid",
                RadixNode::Bot => "arena_map_bot",
            };
            say(
                "arena_map_get",
                None,
                if got {
                    format!("the radix tree gains a node {name} ({bytes} bytes from RAW)")
                } else {
                    format!("the radix tree needed a node {name}, but RAW gave no {bytes} bytes")
                },
            )
        }
        Event::ArenaRefused => say("new_arena", None, "no arena could be obtained".to_owned()),
        Event::ArenaObtained { arena, base, pools, misaligned } => say(
            "new_arena",
            Some(base),
            format!(
                "{arena} is obtained at {base} with {pools} pools{}",
                if misaligned { ", one lost because the address is not pool-aligned" } else { "" }
            ),
        ),
        Event::FreeListLost { pool, link } => say(
            "pymalloc_alloc",
            Some(pool),
            format!(
                "the link was overwritten: the free list of pool {pool} begins at {link} now, which is no block of it. \
                 The next allocation from it reads there and hands it out, or dies"
            ),
        ),
        Event::ArenaNotMarked { ordinal, base } => say(
            "new_arena",
            Some(base),
            format!(
                "arena {ordinal} came at {base}, but the radix tree cannot mark it: it goes back to the system"
            ),
        ),
        Event::ArenaLinked { arena } => {
            say("usable_arenas", None, format!("{arena} goes to the head of usable_arenas"))
        }
        Event::ArenaRelinked { arena, after } => say(
            "insert_to_freepool",
            None,
            format!("{arena} has one more free pool and slides right, to just after {after}"),
        ),
        Event::ArenaFull { arena } => say(
            "allocate_from_new_pool",
            None,
            format!("{arena} has no free pool left and leaves usable_arenas"),
        ),
        Event::Nfp2lastaSet { nfreepools, arena } => say(
            "nfp2lasta",
            None,
            arena.map_or_else(
                || format!("no usable arena has {nfreepools} free pools any more"),
                |a| format!("{a} is now the rightmost with {nfreepools} free pools"),
            ),
        ),
        Event::ArenaKept { arena } => say(
            "insert_to_freepool",
            None,
            format!("{arena} is wholly free but last in usable_arenas, so it is kept"),
        ),
        Event::ArenaReleased { arena, base } => say(
            "insert_to_freepool",
            Some(base),
            format!("{arena} at {base} is wholly free and goes back to the system"),
        ),
        Event::RawAllocated { label, nbytes, for_pymalloc } => say(
            "PyMem_RawMalloc",
            None,
            format!(
                "the C library gives block raw#{label} of {nbytes} bytes{}",
                if for_pymalloc { "; raw_allocated_blocks grows by one" } else { "" }
            ),
        ),
        Event::RawResized { label, from, nbytes } => say(
            "PyMem_RawRealloc",
            None,
            format!(
                "the C library resizes raw#{label} from {from} to {nbytes} bytes; whether it moves is not modelled"
            ),
        ),
        Event::RawFreed { label, nbytes, for_pymalloc } => say(
            "PyMem_RawFree",
            None,
            format!(
                "the C library frees raw#{label} ({nbytes} bytes){}",
                if for_pymalloc { "; raw_allocated_blocks shrinks by one" } else { "" }
            ),
        ),
        Event::AddressInRange { addr, owned } => say(
            "address_in_range",
            owned.then_some(addr),
            if owned {
                format!("{addr} lies in an arena, so the block is pymalloc's")
            } else {
                "the pointer lies in no arena of this state, so it is taken for the C library's".to_owned()
            },
        ),
        Event::ReallocInPlace { block, block_size, nbytes } => say(
            "pymalloc_realloc",
            Some(block),
            format!(
                "{nbytes} bytes fit in the block of {block_size} and use over three quarters of it: it stays"
            ),
        ),
        Event::ReallocMoves { block, block_size, nbytes, copied } => say(
            "pymalloc_realloc",
            Some(block),
            if nbytes > block_size {
                format!(
                    "{nbytes} bytes do not fit in the block of {block_size}: a new block is taken, {copied} bytes are copied, then the old one is freed"
                )
            } else {
                format!(
                    "{nbytes} bytes would leave a quarter or more of the block of {block_size} unused: a new block is taken, {copied} bytes are copied, then the old one is freed"
                )
            },
        ),
        Event::RawBlocksCounted { now } => say(
            "_PyObject_Malloc",
            None,
            format!("raw_allocated_blocks is now {now}: pymalloc counts what it passes on"),
        ),
        Event::TableCalled { domain, table, function, nbytes } => say(
            table.function_names()[function as usize],
            None,
            if function == super::Function::Free {
                format!("the table of {} is asked to free", domain.name())
            } else {
                format!("the table of {} is asked for {nbytes} bytes", domain.name())
            },
        ),
        Event::ArenaHookCalled { hook, function, ptr, size } => say(
            hook.function_names()[function as usize],
            (ptr != Addr(0)).then_some(ptr),
            match function {
                ArenaFunction::Alloc => format!("{} is asked for {size} bytes", hook_name(hook)),
                ArenaFunction::Free if ptr == Addr(0) => {
                    format!("{} is asked to free NULL", hook_name(hook))
                }
                ArenaFunction::Free => format!("{} is asked to free {size} bytes at {ptr}", hook_name(hook)),
            },
        ),
        Event::ArenaHookRefused { hook, size } => {
            say(hook.function_names()[0], None, format!("{} returns NULL for {size} bytes", hook_name(hook)))
        }
        Event::ArenaFreedByOther { base, made_by, freed_by, outcome } => say(
            freed_by.function_names()[1],
            Some(base),
            format!(
                "{base} was made by {} and is freed by {}: {}",
                hook_name(made_by),
                hook_name(freed_by),
                match outcome {
                    None => "the call reaches its maker in the end, but the counts of whoever counts are off",
                    Some(ForeignFree::Unmapped) => "munmap takes any mapping, and the maker is not told",
                    Some(ForeignFree::Refused) =>
                        "munmap refuses a pointer that no page begins at, CPython ignores that, the memory leaks",
                    Some(ForeignFree::Leaked) => "that free does nothing, the memory leaks",
                    Some(ForeignFree::Aborted) => "the C library's free does not know it and aborts",
                }
            ),
        ),
        Event::ChunkObtained { at, size } => say(
            "_PyObject_VirtualAlloc",
            (at != Addr(0)).then_some(at),
            if at == Addr(0) {
                "no chunk could be obtained".to_owned()
            } else {
                format!(
                    "{size} bytes at {at} for an interpreter's data stack: through the arena hook, but no arena"
                )
            },
        ),
        Event::MallocStatsPrinted { number } => say(
            "_PyObject_DebugMallocStats",
            None,
            format!(
                "PYTHONMALLOCSTATS is set: report {} is printed, and does not count the arena that comes now",
                number + 1
            ),
        ),
        Event::InterpreterCreated { number, own_obmalloc } => say(
            "Py_NewInterpreterFromConfig",
            None,
            if own_obmalloc {
                format!(
                    "interpreter {number} gets a pymalloc state of its own, empty: arenas, radix tree and counters"
                )
            } else {
                format!("interpreter {number} shares the main interpreter's pymalloc state")
            },
        ),
        Event::InterpreterSwitched { number, state_of } => say(
            "PyThreadState_Swap",
            None,
            format!(
                "interpreter {number} runs, with the pymalloc state of interpreter {state_of}; the tables are the process's"
            ),
        ),
        Event::InterpreterEnded { number, leaked } => say(
            "Py_EndInterpreter",
            None,
            match leaked {
                None => format!("interpreter {number} is gone; the state it shared stays"),
                Some(0) => {
                    format!("interpreter {number} is gone, and as no block is left its arenas are freed")
                }
                Some(leaked) => format!(
                    "interpreter {number} is gone and leaves {leaked} blocks, so its arenas stay for good"
                ),
            },
        ),
        Event::SnapshotTaken { traces } => say(
            "tracemalloc.take_snapshot",
            None,
            traces.map_or_else(
                || "RuntimeError: nothing is traced, so there is no snapshot".to_owned(),
                |n| format!("the snapshot has {n} traces"),
            ),
        ),
        Event::Mimalloc(event) => super::narrate_mi::narrate(event),
        Event::ReallocOfNull => say("realloc", None, "realloc(NULL, n) acts as malloc(n)".to_owned()),
        Event::FreeOfNull => say("free", None, "free(NULL) does nothing".to_owned()),
        Event::ReturnedNull { reason } => say(
            "PyMem_Malloc",
            None,
            match reason {
                NullReason::OverSsizeMax => {
                    "the request is over PY_SSIZE_T_MAX: NULL is returned and no allocator is called"
                        .to_owned()
                }
                NullReason::OutOfMemory => "NULL is returned: the allocator has no memory".to_owned(),
            },
        ),
    }
}

fn hook_name(hook: ArenaAllocator) -> String {
    match hook {
        ArenaAllocator::Default => "the default arena allocator".to_owned(),
        ArenaAllocator::User(at) => format!("arena hook {}", at + 1),
    }
}
