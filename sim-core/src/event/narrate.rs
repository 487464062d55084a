//! One plain sentence for each event.

use super::sentence::{are_copied, bytes, many, verb};
use super::{Event, Function, NullReason, RadixNode, Sentence};
use crate::addr::Addr;
use crate::domains::{
    AllocatorTable, ArenaAllocator, ArenaFunction, Context, Domain, ForeignFree, Functions,
};
use crate::profile::Profile;
use crate::tape::{Call, Op};

/// Puts all events of one operation into words. What an event alone does not tell is known from those before it: which
/// function returned NULL, and that a table is called once more.
pub fn narrate_operation(op: &Op, events: &[Event], profile: &Profile) -> Vec<Sentence> {
    let asked = function(op);
    let entry = asked.map(|function| entry_point(op.domain, function));
    let mut called: Vec<(AllocatorTable, Function, u64)> = Vec::new();
    let mut sentences = Vec::with_capacity(events.len());
    for event in events {
        let mut sentence = narrate(event, profile);
        match *event {
            Event::TableCalled { table, function, nbytes, .. } => {
                if called.contains(&(table, function, nbytes)) {
                    sentence.text.push_str(", once more: the tables call one another in a circle");
                }
                called.push((table, function, nbytes));
            }
            // The check comes before any table is called.
            Event::ReturnedNull { reason: NullReason::OverSsizeMax } => {
                sentence.function = entry.unwrap_or(sentence.function);
            }
            Event::ReturnedNull { reason: NullReason::OutOfMemory } => {
                let last =
                    called.last().map(|(table, function, _)| table.function_names()[*function as usize]);
                sentence.function = last.or(entry).unwrap_or(sentence.function);
            }
            // calloc goes on to calloc, in pymalloc too.
            Event::NotSmall { .. } | Event::RawAllocated { .. } => {
                let function = called.last().map_or(asked, |(_, function, _)| Some(*function));
                if function == Some(Function::Calloc) {
                    sentence.text = sentence.text.replace("PyMem_RawMalloc", "PyMem_RawCalloc");
                    if sentence.function == "PyMem_RawMalloc" {
                        sentence.function = "PyMem_RawCalloc";
                    }
                }
            }
            _ => {}
        }
        sentences.push(sentence);
    }
    sentences
}

/// Which of the four functions an operation calls, if any.
fn function(op: &Op) -> Option<Function> {
    Some(match op.call {
        Call::Malloc { .. } => Function::Malloc,
        Call::Calloc { .. } => Function::Calloc,
        Call::Realloc { .. } => Function::Realloc,
        Call::Free { .. } | Call::FreeKeep { .. } => Function::Free,
        Call::Act(_) => return None,
    })
}

/// Its name in `CPython`.
fn entry_point(domain: Domain, function: Function) -> &'static str {
    let names = match domain {
        Domain::Raw => ["PyMem_RawMalloc", "PyMem_RawCalloc", "PyMem_RawRealloc", "PyMem_RawFree"],
        Domain::Mem => ["PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc", "PyMem_Free"],
        Domain::Obj => ["PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "PyObject_Free"],
    };
    names[function as usize]
}

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
                    "a request of {} is over SMALL_REQUEST_THRESHOLD ({threshold}), so it goes to PyMem_RawMalloc",
                    bytes(nbytes)
                )
            },
        ),
        Event::SizeClassChosen { nbytes, class } => say(
            "pymalloc_alloc",
            None,
            format!(
                "{} {} to size class {class}, whose blocks have {}",
                bytes(nbytes),
                verb(nbytes, "belong"),
                bytes(profile.block_size(class))
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
        Event::ArenaObjectsGrown { from, to, bytes: asked, got } => say(
            "new_arena",
            None,
            if got {
                format!("the array of arena records grows from {from} to {to} ({} from RAW)", bytes(asked))
            } else {
                format!("the array of arena records could not grow to {to}: RAW gave no {}", bytes(asked))
            },
        ),
        Event::RadixNodeCreated { node, bytes: asked, got } => {
            let name = match node {
                RadixNode::Mid => "arena_map_mid",
                RadixNode::Bot => "arena_map_bot",
            };
            say(
                "arena_map_get",
                None,
                if got {
                    format!("the radix tree gains a node {name} ({} from RAW)", bytes(asked))
                } else {
                    format!("the radix tree needed a node {name}, but RAW gave no {}", bytes(asked))
                },
            )
        }
        Event::ArenaRefused => say("new_arena", None, "no arena could be obtained".to_owned()),
        Event::ArenaObtained { arena, base, pools, misaligned } => say(
            "new_arena",
            Some(base),
            format!(
                "{arena} is obtained at {base} with {}{}",
                many(pools, "pool"),
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
                || format!("no usable arena has {} any more", many(nfreepools, "free pool")),
                |a| format!("{a} is now the rightmost with {}", many(nfreepools, "free pool")),
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
                "the C library gives block raw#{label} of {}{}",
                bytes(nbytes),
                if for_pymalloc { "; raw_allocated_blocks grows by one" } else { "" }
            ),
        ),
        Event::RawResized { label, from, nbytes } => say(
            "PyMem_RawRealloc",
            None,
            format!(
                "the C library resizes raw#{label} from {from} to {}; whether it moves is not modelled",
                bytes(nbytes)
            ),
        ),
        Event::RawFreed { label, nbytes, for_pymalloc } => say(
            "PyMem_RawFree",
            None,
            format!(
                "the C library frees raw#{label} ({}){}",
                bytes(nbytes),
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
                "{} {} in the block of {block_size} and {} over three quarters of it: it stays",
                bytes(nbytes),
                verb(nbytes, "fit"),
                verb(nbytes, "use")
            ),
        ),
        Event::ReallocMoves { block, block_size, nbytes, copied } => say(
            "pymalloc_realloc",
            Some(block),
            if nbytes > block_size {
                format!(
                    "{} do not fit in the block of {block_size}: a new block is taken, {}, then the old one is freed",
                    bytes(nbytes),
                    are_copied(copied)
                )
            } else {
                format!(
                    "{} would leave a quarter or more of the block of {block_size} unused: a new block is taken, {}, then the old one is freed",
                    bytes(nbytes),
                    are_copied(copied)
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
            if function == Function::Free {
                format!("{} is asked to free", table_name(table, domain))
            } else {
                format!("{} is asked for {}", table_name(table, domain), bytes(nbytes))
            },
        ),
        Event::ArenaHookCalled { hook, function, ptr, size } => say(
            hook.function_names()[function as usize],
            (ptr != Addr(0)).then_some(ptr),
            match function {
                ArenaFunction::Alloc => format!("{} is asked for {}", hook_name(hook), bytes(size)),
                ArenaFunction::Free if ptr == Addr(0) => {
                    format!("{} is asked to free NULL", hook_name(hook))
                }
                ArenaFunction::Free => {
                    format!("{} is asked to free {} at {ptr}", hook_name(hook), bytes(size))
                }
            },
        ),
        Event::ArenaHookRefused { hook, size } => say(
            hook.function_names()[0],
            None,
            format!("{} returns NULL for {}", hook_name(hook), bytes(size)),
        ),
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
                    "{} at {at} for an interpreter's data stack: through the arena hook, but no arena",
                    bytes(size)
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
                    "interpreter {number} is gone and leaves {}, so its arenas stay for good",
                    many(leaked.unsigned_abs(), "block")
                ),
            },
        ),
        Event::SnapshotTaken { traces } => say(
            "tracemalloc.take_snapshot",
            None,
            traces.map_or_else(
                || "RuntimeError: nothing is traced, so there is no snapshot".to_owned(),
                |n| format!("the snapshot has {}", many(n, "trace")),
            ),
        ),
        Event::Mimalloc(event) => super::narrate_mi::narrate(event),
        Event::ReallocOfNull => say("realloc", None, "realloc(NULL, n) acts as malloc(n)".to_owned()),
        Event::FreeOfNull => say("free", None, "free(NULL) does nothing".to_owned()),
        // Which of the entry points only the operation knows.
        Event::ReturnedNull { reason } => say(
            "the allocator",
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

/// What a table of a domain is, so that tables on top of one another are told apart.
fn table_name(table: AllocatorTable, domain: Domain) -> String {
    let name = domain.name();
    match (table.functions, table.ctx) {
        (Functions::Libc, _) => format!("the C library, in {name}'s table,"),
        (Functions::Pymalloc, _) => format!("pymalloc, in {name}'s table,"),
        (Functions::MimallocRaw | Functions::MimallocMem | Functions::MimallocObj, _) => {
            format!("mimalloc, in {name}'s table,")
        }
        (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(record)) if record != domain => {
            format!("{}'s debug hook, in {name}'s table,", record.name())
        }
        (Functions::Debug | Functions::DebugRaw, _) => format!("{name}'s debug hook"),
        (Functions::Tracemalloc, _) => format!("tracemalloc's hook over {name}"),
        (Functions::User(at), _) => format!("the program's own table {}, in {name}'s chain,", at + 1),
    }
}

fn hook_name(hook: ArenaAllocator) -> String {
    match hook {
        ArenaAllocator::Default => "the default arena allocator".to_owned(),
        ArenaAllocator::User(at) => format!("arena hook {}", at + 1),
    }
}
