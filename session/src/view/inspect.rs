//! One arena, pool or block with every field of its C structure, and what stands above all of them.

use serde::{Deserialize, Serialize};
use sim_core::arena::ArenaBackend as _;
use sim_core::mimalloc::Totals;
use sim_core::pymalloc::ArenaCounters;
use sim_core::report::PoolState;
use sim_core::{Addr, ArenaId, Machine};

use crate::analysis::owner::Owner;
use crate::diagnosis::Recorded;
use crate::facts::{self, ArenaFacts, BlockFacts, BlockState, FreeList, Heap, PoolFacts};
use crate::format;
use crate::ground::Ground;
use crate::place::Place;
use crate::run::Session;
use crate::view::process::ObjectFacts;
use crate::view::tape::{FrameFacts, thread_name};

/// `struct pool_header`. Links to `usedpools` itself, which is no pool, are `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeaderFacts {
    /// `ref.count`.
    pub ref_count: u32,
    /// `freeblock`.
    pub freeblock: Option<Addr>,
    /// `nextpool`.
    pub nextpool: Option<Addr>,
    /// `prevpool`.
    pub prevpool: Option<Addr>,
    /// `arenaindex`.
    pub arenaindex: u32,
    /// Whether the arenas array has a record of that index.
    pub arenaindex_exists: bool,
    /// `szidx`, 0xffff before the first class.
    pub szidx: u32,
    /// `nextoffset`, in bytes.
    pub nextoffset: u32,
    /// `maxnextoffset`, in bytes.
    pub maxnextoffset: u32,
    /// Whether a program overwrote headers or links of this heap: what stands here was then read from memory and may point anywhere.
    pub broken: bool,
}

impl HeaderFacts {
    pub(super) fn of(machine: &Machine, pool: &PoolFacts) -> Option<Self> {
        let heap = machine.pymalloc();
        let memory = heap.memory();
        let header = memory.header(facts::carved(heap, pool)?);
        let mut facts = Self {
            ref_count: header.ref_count,
            freeblock: header.freeblock.map(|b| memory.block_addr(b)),
            nextpool: header.nextpool.map(|p| memory.pool_addr(p)),
            prevpool: header.prevpool.map(|p| memory.pool_addr(p)),
            arenaindex: header.arenaindex,
            arenaindex_exists: (header.arenaindex as usize) < heap.arenas().len(),
            szidx: header.szidx,
            nextoffset: header.nextoffset,
            maxnextoffset: header.maxnextoffset,
            broken: false,
        };
        // The compact tables know blocks and pools alone; in a broken heap a link may be any number.
        if let Some(layers) = machine.layers().filter(|layers| layers.is_broken()) {
            let bytes = heap.profile().pointer_bytes;
            // The second word of the header.
            let word = layers.bytes().word(pool.addr.offset(u64::from(bytes)), bytes);
            facts.freeblock = word.ok().map(Addr).filter(|addr| *addr != Addr(0));
            facts.broken = true;
        }
        Some(facts)
    }
}

/// A pool with its header and its free list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolSheet {
    /// The pool.
    pub pool: PoolFacts,
    /// Its header, once it was carved.
    pub header: Option<HeaderFacts>,
    /// Its free blocks in the order in which they will be handed out.
    pub free: FreeList,
}

/// An arena with its links.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArenaSheet {
    /// The arena.
    pub arena: ArenaFacts,
    /// The pool at `pool_address`; `None` when that is the arena's end.
    pub next_to_carve: Option<Addr>,
    /// `freepools`.
    pub freepools: Option<Addr>,
    /// `nextarena`.
    pub nextarena: Option<ArenaId>,
    /// `prevarena`.
    pub prevarena: Option<ArenaId>,
    /// Arenas before it on `usable_arenas`; `None` when it is on no list.
    pub before: Option<u32>,
    /// Whether `nfp2lasta` names it.
    pub rightmost: bool,
}

/// Who holds a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Holder {
    /// It is still looked for.
    Searching,
    /// No pointer of the program is this block.
    Nobody,
    /// The process that the picture is of had it, and has it still.
    Before(Box<ObjectFacts>),
    /// The operation that gave the program this pointer.
    Operation {
        /// Operations done after it.
        step: u64,
        /// It as a C call.
        call: String,
        /// The trace's id for the block.
        id: Option<u64>,
        /// Its thread, with its name where it has one, in a trace of several.
        thread: Option<String>,
        /// The Python stack that it came from, most recent frame first; empty where the trace has none.
        stack: Vec<FrameFacts>,
    },
}

/// A block, who holds it, and what its first word says when it is free.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockSheet {
    /// The block.
    pub block: BlockFacts,
    /// The next free block, for a free one.
    pub next_free: Option<Addr>,
    /// Who holds it, for a live one.
    pub holder: Option<Holder>,
}

/// A place, and what it lies in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlaceSheet {
    /// The block.
    pub block: Option<BlockSheet>,
    /// The pool.
    pub pool: Option<PoolSheet>,
    /// The arena.
    pub arena: Option<ArenaSheet>,
}

/// A place of the recorded heap, which has no headers and no lists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedSheet {
    /// The block, and who holds it.
    pub block: Option<(BlockFacts, Option<Holder>)>,
    /// The pool.
    pub pool: Option<PoolFacts>,
    /// The arena, and whether its bounds are certain.
    pub arena: Option<(ArenaFacts, bool)>,
}

/// What the inspector shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Sheet {
    /// A place.
    Place(Box<PlaceSheet>),
    /// A place of the recorded heap.
    Recorded(Box<RecordedSheet>),
    /// What stands above all arenas.
    Pymalloc {
        /// Head of `usable_arenas`.
        usable: Option<ArenaId>,
        /// Records in the arenas array.
        maxarenas: u32,
        /// The counters.
        counters: ArenaCounters,
        /// `raw_allocated_blocks`.
        raw_allocated_blocks: i64,
    },
    /// What stands above all segments.
    Mimalloc(Totals),
}

/// The inspector's place with everything said of it, and the C library beside.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inspected {
    /// The place.
    pub place: Option<Place>,
    /// What is said of it.
    pub sheet: Sheet,
    /// Whether this step gave an arena back.
    pub released: bool,
    /// Live blocks of the C library.
    pub raw_blocks: u64,
    /// Their bytes.
    pub raw_bytes: u64,
}

impl Inspected {
    pub(super) fn of(session: &Session, recorded: Option<&Recorded>, place: Option<Place>) -> Self {
        let raw = session.machine().raw();
        let released = |e: &sim_core::Event| matches!(e, sim_core::Event::ArenaReleased { .. });
        Self {
            place,
            sheet: place
                // Sheets are pymalloc's.
                .filter(|_| session.machine().mimalloc().is_none())
                .map_or_else(
                    || above(session),
                    |place| match recorded {
                        Some(recorded) => Sheet::Recorded(Box::new(recorded_sheet(recorded, session, place))),
                        None => Sheet::Place(Box::new(sheet(session, place))),
                    },
                ),
            released: session.events().iter().any(released),
            raw_blocks: raw.live_blocks(),
            raw_bytes: raw.live_bytes(),
        }
    }
}

fn above(session: &Session) -> Sheet {
    if let Some(run) = session.machine().mimalloc() {
        return Sheet::Mimalloc(run.heap().totals());
    }
    let heap = session.heap();
    Sheet::Pymalloc {
        usable: heap.usable_arenas().next().and_then(|i| facts::arena(heap, i)).map(|a| a.id),
        maxarenas: heap.arenas().len() as u32,
        counters: heap.counters(),
        raw_allocated_blocks: heap.raw_allocated_blocks,
    }
}

fn recorded_sheet(recorded: &Recorded, session: &Session, place: Place) -> RecordedSheet {
    let ground = Ground::Recorded(recorded);
    let arena = place.resolve(ground).0.and_then(|id| ground.same_arena(id));
    let (pool, block) = match place {
        Place::Arena(_) => (None, None),
        Place::Pool(addr) => (ground.pool_at(addr), None),
        Place::Block(addr) => (ground.pool_at(addr), ground.block_at(addr)),
    };
    let holder = |block: &BlockFacts| {
        (block.state == BlockState::Live)
            .then(|| recorded.birth(block.addr).map_or(Holder::Nobody, |index| held_by(session, index)))
    };
    RecordedSheet {
        block: block.map(|block| (block, holder(&block))),
        pool,
        arena: arena.map(|arena| (arena, recorded.layout().is_certain(arena.id.index as usize))),
    }
}

fn held_by(session: &Session, index: u64) -> Holder {
    session.trace().op(index).map_or(Holder::Nobody, |op| Holder::Operation {
        step: index + 1,
        call: crate::actions::call(session.trace(), &op),
        id: format::id_after(&op),
        thread: session.trace().has_threads().then(|| thread_name(session, op.thread)),
        stack: session.stack_of(index).unwrap_or_default().iter().map(FrameFacts::of).collect(),
    })
}

fn sheet(session: &Session, place: Place) -> PlaceSheet {
    let heap = session.heap();
    match place {
        Place::Arena(id) => PlaceSheet {
            block: None,
            pool: None,
            arena: facts::same_arena(heap, id).map(|arena| arena_sheet(heap, arena)),
        },
        Place::Pool(addr) | Place::Block(addr) => {
            let pool = facts::pool_at(heap, addr);
            let block = matches!(place, Place::Block(_)).then(|| facts::block_at(heap, addr)).flatten();
            PlaceSheet {
                block: block.map(|block| block_sheet(session, block)),
                pool: pool.map(|pool| pool_sheet(session.machine(), pool)),
                arena: pool
                    .and_then(|pool| facts::same_arena(heap, pool.arena))
                    .map(|arena| arena_sheet(heap, arena)),
            }
        }
    }
}

fn block_sheet(session: &Session, block: BlockFacts) -> BlockSheet {
    let heap = session.heap();
    let next_free = match block.state {
        BlockState::Free(_) => {
            let pool = facts::pool_at(heap, block.pool);
            let list = pool.map(|pool| facts::free_list(heap, &pool)).unwrap_or_default();
            let next = list.blocks.iter().skip_while(|addr| **addr != block.addr).nth(1);
            next.copied().or(list.back_to)
        }
        BlockState::Live | BlockState::NeverCarved | BlockState::Unknown => None,
    };
    let holder = (block.state == BlockState::Live).then(|| match session.owner(block.addr) {
        Owner::Searching => Holder::Searching,
        Owner::Nobody => Holder::Nobody,
        Owner::Before(block) => session
            .trace()
            .origin
            .picture
            .as_ref()
            .map_or(Holder::Nobody, |picture| Holder::Before(Box::new(ObjectFacts::of(picture, block)))),
        Owner::Operation(index) => held_by(session, index),
    });
    BlockSheet { block, next_free, holder }
}

fn pool_sheet(machine: &Machine, mut pool: PoolFacts) -> PoolSheet {
    let heap = machine.pymalloc();
    let header = HeaderFacts::of(machine, &pool);
    // A list that begins at no block of the pool is not empty for all that.
    if header.is_some_and(|header| header.broken && header.freeblock.is_some())
        && pool.state == PoolState::Full
    {
        pool.state = PoolState::Used;
    }
    PoolSheet { pool, header, free: facts::free_list(heap, &pool) }
}

fn arena_sheet(heap: &Heap, arena: ArenaFacts) -> ArenaSheet {
    let record = &heap.arenas()[arena.id.index as usize];
    let name = |index: Option<u32>| index.map(|i| heap.arena_id(i));
    ArenaSheet {
        arena,
        next_to_carve: facts::pool_at(heap, arena.pool_address).map(|p| p.addr),
        freepools: record.freepools.map(|p| heap.memory().pool_addr(p)),
        nextarena: name(record.nextarena),
        prevarena: name(record.prevarena),
        before: heap.usable_arenas().position(|i| i == arena.id.index).map(|at| at as u32),
        rightmost: heap.nfp2lasta().get(arena.nfreepools as usize) == Some(&Some(arena.id.index)),
    }
}
