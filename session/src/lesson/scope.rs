//! What formulas of a lesson may ask of the machine.

use std::collections::BTreeMap;

use sim_core::arena::{ArenaBackend as _, PoolHeader, SimBlock, SimPool};
use sim_core::report::{Occupancy, Placement, malloc_stats};
use sim_core::{Addr, Machine, Profile};
use trace_io::lesson::text::Piece;
use trace_io::program::expr::{Argument, Constants, Expr, Scope, constant_call};

use crate::facts::{self, PoolFacts};
use crate::place::Place;

/// Where a block of a lesson lies, or lay when it was freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Spot {
    /// What the call returned, as the machine says it.
    pub(super) placement: Option<Placement>,
    /// Its address; 0 where the run gives it none.
    pub(super) addr: Addr,
    /// Index of its pool among those of its arena that hold blocks.
    pub(super) pool: Option<u32>,
    /// Bytes from its pool.
    pub(super) offset: u64,
    /// Bytes that were asked for.
    pub(super) size: u64,
    /// Whether the program still has it.
    pub(super) live: bool,
}

/// What is known at one moment of a lesson.
pub(super) struct Moment<'a> {
    pub(super) machine: &'a Machine,
    pub(super) profile: &'a Profile,
    /// By the names of the program.
    pub(super) spots: &'a BTreeMap<String, Spot>,
    /// Numbers that were kept.
    pub(super) kept: &'a BTreeMap<String, i64>,
    /// Operations done.
    pub(super) step: u64,
    /// Calls that reached the arena allocator for an arena, and arenas given back.
    pub(super) obtained: u64,
    pub(super) released: u64,
}

/// The names that only a moment knows, with what they are.
pub const STATE_NAMES: &[(&str, &str)] = &[
    ("step", "operations done"),
    ("arenas", "arenas that exist"),
    ("arenas.obtained", "arenas obtained so far"),
    ("arenas.released", "arenas given back so far"),
    ("arenas.most", "the most arenas at once"),
    ("blocks.live", "blocks in use in pools"),
    ("bytes.live", "bytes of those blocks, rounding included"),
    ("pools.unused", "pools without a block in use, emptied and never carved"),
    ("raw.blocks", "raw_allocated_blocks: what pymalloc passed on to the C library and is alive"),
    ("raw.live", "live blocks of the C library"),
    ("traced.current", "get_traced_memory()[0]"),
    ("traced.peak", "get_traced_memory()[1]"),
    ("stopped", "1 once the process would have ended"),
    ("segments", "mimalloc's segments"),
    ("segments.abandoned", "those whose thread has ended"),
    ("pages", "mimalloc's pages in use"),
    ("pages.waiting", "those that are empty and wait for a quiescent state"),
];

/// The functions that only a moment knows, with what they are. `x` is a block by its name.
pub const STATE_FUNCTIONS: &[(&str, &str)] = &[
    ("addr(x)", "its address, or where it was when it was freed"),
    ("place(x)", "a number that two blocks share that lie, or lay, at the same place"),
    ("offset(x)", "bytes from the start of its pool"),
    ("pool(x)", "index of its pool in the arena, from 0"),
    (
        "arena(x)",
        "number of its arena, in the order in which they were obtained, from 0; its segment with mimalloc",
    ),
    ("size(x)", "bytes that were asked for"),
    ("live(x)", "1 as long as the program has it"),
    ("pooled(x)", "1 if it lies in a pool"),
    ("raw(x)", "1 if it is the C library's"),
    ("null(x)", "1 if the call returned NULL"),
    ("class(x)", "size class of its pool"),
    ("used(x)", "ref.count of its pool"),
    ("capacity(x)", "blocks that its pool holds"),
    ("linked(x)", "blocks on the free list of its pool"),
    ("freeblock(x)", "head of that list as an offset in the pool; 0 for NULL"),
    ("next_free(x)", "what a free block links to, as an offset in the pool; 0 for NULL"),
    ("nextoffset(x)", "nextoffset of its pool's header"),
    ("maxnextoffset(x)", "maxnextoffset of its pool's header"),
    ("listed(x)", "place of its pool on the list of its class, from 0; -1 if it is on none"),
    ("empty(x)", "1 if its pool has no block in use"),
    ("full(x)", "1 if its pool has no free block"),
    ("arena_exists(n)", "1 if arena n is there"),
    ("arena_free(n)", "nfreepools of arena n"),
    ("arena_place(n)", "place of arena n in usable_arenas, from 0; -1 if it is not there"),
    ("arena_blocks(n)", "blocks in use in arena n"),
    ("arena_record(n)", "index of arena n's record in the arenas array"),
    ("nfp2lasta(k)", "number of the arena that nfp2lasta[k] names; -1 for NULL"),
    ("byte(x, k)", "the byte k behind its pointer, as it lies in memory"),
    ("stat(\"words\")", "the last number of the line of _debugmallocstats() that begins so"),
    ("printed(\"words\")", "1 if what ends the process was printed with these words"),
    ("page_capacity(x)", "blocks that its mimalloc page has made so far"),
    ("page_reserved(x)", "blocks that its mimalloc page can have"),
    ("page_used(x)", "blocks in use on its mimalloc page"),
    ("page_slice(x)", "first slice of its mimalloc page in the segment"),
];

impl Moment<'_> {
    /// The full name of a block that an argument gives.
    fn block_name(&self, expr: &Expr) -> Result<String, String> {
        use std::fmt::Write as _;
        match expr {
            Expr::Name(name, _) => Ok(name.clone()),
            Expr::Element(name, indices, _) => {
                let mut full = name.clone();
                for index in indices {
                    let index = index.value(self).map_err(|fault| fault.problem)?;
                    let _ = write!(full, "[{index}]");
                }
                Ok(full)
            }
            _ => Err("a block is needed here, by its name".to_owned()),
        }
    }

    fn spot(&self, arguments: &[Argument]) -> Result<Spot, String> {
        let argument = arguments.first().ok_or("a block is needed here, by its name")?;
        let name = self.block_name(&argument.value)?;
        self.spots.get(&name).copied().ok_or_else(|| format!("no block is called `{name}` yet"))
    }

    fn pool_of(&self, spot: Spot) -> Result<PoolFacts, String> {
        facts::pool_at(self.machine.pymalloc(), spot.addr).ok_or_else(|| "it lies in no pool".to_owned())
    }

    fn number(&self, arguments: &[Argument], index: usize) -> Result<i64, String> {
        let argument = arguments.get(index).ok_or("a number is missing")?;
        argument.value.value(self).map_err(|fault| fault.problem)
    }

    fn arena(&self, arguments: &[Argument]) -> Result<u32, String> {
        let wanted = self.number(arguments, 0)?;
        let heap = self.machine.pymalloc();
        let found = heap.live_arenas().find(|&index| heap.arenas()[index as usize].ordinal as i64 == wanted);
        found.ok_or_else(|| format!("there is no arena {wanted}"))
    }

    /// The place that an expression names: a block, `pool(block)`, `arena(block)` or `arena(number)`.
    pub(super) fn place(&self, text: &str) -> Result<Place, String> {
        let expr = Expr::parse(text).map_err(|fault| fault.problem)?;
        let heap = self.machine.pymalloc();
        if let Expr::Call(name, arguments, _) = &expr
            && matches!(name.as_str(), "pool" | "arena")
        {
            let by_block = arguments
                .first()
                .is_some_and(|a| self.block_name(&a.value).is_ok_and(|n| self.spots.contains_key(&n)));
            if name == "arena" && !by_block {
                let index = self.arena(arguments)?;
                return Ok(Place::Arena(heap.arena_id(index)));
            }
            let spot = self.spot(arguments)?;
            return if name == "pool" {
                self.pool_of(spot).map(|pool| Place::Pool(pool.addr))
            } else {
                heap.arena_of(spot.addr).map(Place::Arena).ok_or_else(|| "its arena is gone".to_owned())
            };
        }
        let name = self.block_name(&expr)?;
        let spot = self.spots.get(&name).ok_or_else(|| format!("no block is called `{name}` yet"))?;
        facts::block_at(heap, spot.addr)
            .map(|block| Place::Block(block.addr))
            .ok_or_else(|| format!("`{name}` lies in no pool"))
    }

    /// The block that a piece of code names.
    pub(super) fn place_of_code(&self, piece: &Piece) -> Option<Place> {
        match piece {
            Piece::Code(text) => self.place(text).ok(),
            Piece::Words(_) | Piece::Term(..) => None,
        }
    }
}

impl Scope for Moment<'_> {
    fn name(&self, name: &str) -> Option<i64> {
        if let Some(value) = self.kept.get(name) {
            return Some(*value);
        }
        let machine = self.machine;
        let occupancy = || Occupancy::of(machine.pymalloc());
        let traced = || machine.layers().map_or((0, 0), |layers| layers.tracemalloc().get_traced_memory());
        let totals = || machine.mimalloc().map(|run| run.heap().totals());
        Some(match name {
            "step" => self.step as i64,
            "arenas" => machine.arena_counters().narenas_currently_allocated as i64,
            "arenas.obtained" => self.obtained as i64,
            "arenas.released" => self.released as i64,
            "arenas.most" => machine.arena_counters().narenas_highwater as i64,
            "blocks.live" => Occupancy::blocks(&occupancy()) as i64,
            "bytes.live" => occupancy().allocated_bytes as i64,
            "pools.unused" => occupancy().unused_pools as i64,
            "raw.blocks" => machine.pymalloc().raw_allocated_blocks,
            "raw.live" => machine.raw().live_blocks() as i64,
            "traced.current" => traced().0 as i64,
            "traced.peak" => traced().1 as i64,
            "stopped" => i64::from(machine.stopped().is_some()),
            "segments" => totals()?.segments as i64,
            "segments.abandoned" => totals()?.abandoned_segments as i64,
            "pages" => totals()?.pages as i64,
            "pages.waiting" => totals()?.deferred_pages as i64,
            _ => return Constants(self.profile).name(name),
        })
    }

    fn call(&self, name: &str, arguments: &[Argument]) -> Option<Result<i64, String>> {
        let heap = self.machine.pymalloc();
        let of_spot = |what: &dyn Fn(Spot) -> Result<i64, String>| self.spot(arguments).and_then(what);
        let of_pool = |what: &dyn Fn(PoolFacts) -> i64| {
            self.spot(arguments).and_then(|spot| self.pool_of(spot)).map(what)
        };
        let header = |what: &dyn Fn(&PoolHeader<SimPool, SimBlock>, PoolFacts) -> i64| {
            let pool = self.spot(arguments).and_then(|spot| self.pool_of(spot))?;
            let carved = facts::carved(heap, &pool).ok_or("its pool was never carved")?;
            Ok(what(&heap.memory().header(carved), pool))
        };
        let of_page = |what: &dyn Fn(sim_core::mimalloc::PageView) -> i64| -> Result<i64, String> {
            let run = self.machine.mimalloc().ok_or("this run has no mimalloc")?;
            let spot = self.spot(arguments)?;
            let page = run.heap().page_around(spot.addr).ok_or("it lies on no page")?;
            Ok(what(run.heap().page(page)))
        };
        Some(match name {
            "addr" => of_spot(&|spot| Ok(spot.addr.0 as i64)),
            "place" => of_spot(&|spot| {
                Ok(match spot.placement {
                    Some(Placement::Arena { ordinal, offset }) => {
                        ((ordinal as i64 + 1) << 40) + offset as i64
                    }
                    _ if spot.addr.0 != 0 => spot.addr.0 as i64,
                    _ => 0,
                })
            }),
            "offset" => of_spot(&|spot| Ok(spot.offset as i64)),
            "pool" => {
                of_spot(&|spot| spot.pool.map(i64::from).ok_or_else(|| "it lies in no pool".to_owned()))
            }
            "arena" => of_spot(&|spot| match spot.placement {
                Some(Placement::Arena { ordinal, .. }) => Ok(ordinal as i64),
                _ => Err("it lies in no arena".to_owned()),
            }),
            "size" => of_spot(&|spot| Ok(spot.size as i64)),
            "live" => of_spot(&|spot| Ok(i64::from(spot.live))),
            "pooled" => of_spot(&|spot| Ok(i64::from(spot.pool.is_some()))),
            "raw" => of_spot(&|spot| Ok(i64::from(matches!(spot.placement, Some(Placement::Raw))))),
            "null" => of_spot(&|spot| Ok(i64::from(matches!(spot.placement, Some(Placement::Null))))),
            "class" => of_pool(&|pool| pool.class.map_or(-1, |class| i64::from(class.0))),
            "used" => of_pool(&|pool| i64::from(pool.used)),
            "capacity" => of_pool(&|pool| i64::from(pool.capacity)),
            "empty" => of_pool(&|pool| i64::from(pool.used == 0)),
            "full" => of_pool(&|pool| i64::from(pool.used == pool.capacity && pool.capacity > 0)),
            "linked" => of_pool(&|pool| {
                facts::carved(heap, &pool).map_or(0, |carved| heap.free_list(carved).count() as i64)
            }),
            "freeblock" => header(&|header, pool| {
                header
                    .freeblock
                    .map_or(0, |block| heap.memory().block_addr(block).bytes_from(pool.addr) as i64)
            }),
            "nextoffset" => header(&|header, _| i64::from(header.nextoffset)),
            "maxnextoffset" => header(&|header, _| i64::from(header.maxnextoffset)),
            "next_free" => of_spot(&|spot| {
                let pool = self.pool_of(spot)?;
                let carved = facts::carved(heap, &pool).ok_or("its pool was never carved")?;
                let mut free = heap.free_list(carved).map(|block| heap.memory().block_addr(block));
                free.find(|&addr| addr == spot.addr).ok_or("it is not on a free list")?;
                Ok(free.next().map_or(0, |next| next.bytes_from(pool.addr) as i64))
            }),
            "listed" => of_pool(&|pool| {
                let (Some(class), Some(carved)) = (pool.class, facts::carved(heap, &pool)) else { return -1 };
                heap.used_pools(class).position(|p| p == carved).map_or(-1, |at| at as i64)
            }),
            "arena_exists" => self.number(arguments, 0).map(|_| i64::from(self.arena(arguments).is_ok())),
            "arena_free" => {
                self.arena(arguments).map(|index| i64::from(heap.arenas()[index as usize].nfreepools))
            }
            "arena_place" => self
                .arena(arguments)
                .map(|index| heap.usable_arenas().position(|i| i == index).map_or(-1, |at| at as i64)),
            "arena_blocks" => self.arena(arguments).map(|index| {
                heap.carved_pools(index).map(|pool| i64::from(heap.memory().header(pool).ref_count)).sum()
            }),
            "arena_record" => self.arena(arguments).map(i64::from),
            "nfp2lasta" => self.number(arguments, 0).and_then(|free| {
                let fingers = heap.nfp2lasta();
                let finger = usize::try_from(free).ok().and_then(|free| fingers.get(free));
                let finger = finger.ok_or_else(|| format!("no arena has {free} free pools"))?;
                Ok(finger.map_or(-1, |index| heap.arenas()[index as usize].ordinal.cast_signed()))
            }),
            "byte" => self.spot(arguments).and_then(|spot| {
                let at = self.number(arguments, 1)?;
                let layers = self.machine.layers().ok_or("this run keeps no bytes")?;
                let addr = Addr(spot.addr.0.wrapping_add_signed(at));
                layers.bytes().get(addr).map(i64::from).map_err(|_| "no memory is there".to_owned())
            }),
            "stat" => text_of(arguments).and_then(|words| stat(&malloc_stats(self.machine), words)),
            "printed" => text_of(arguments).map(|words| {
                i64::from(self.machine.stopped().is_some_and(|fatal| fatal.to_string().contains(words)))
            }),
            "page_capacity" => of_page(&|page| i64::from(page.capacity)),
            "page_reserved" => of_page(&|page| i64::from(page.reserved)),
            "page_used" => of_page(&|page| i64::from(page.used)),
            "page_slice" => of_page(&|page| i64::from(page.slice)),
            _ => {
                let number = |index: usize| self.number(arguments, index);
                return constant_call(&Constants(self.profile), name, &number);
            }
        })
    }
}

fn text_of(arguments: &[Argument]) -> Result<&str, String> {
    match arguments.first().map(|a| &a.value) {
        Some(Expr::Text(text)) => Ok(text),
        _ => Err("words are needed here".to_owned()),
    }
}

/// The last number of the first line that begins with `words`, which may be a row of the class table.
fn stat(text: &str, words: &str) -> Result<i64, String> {
    let line = text.lines().find(|line| line.trim_start().starts_with(words));
    let line = line.ok_or_else(|| format!("no line of the statistics begins with \"{words}\""))?;
    let number = line.split_whitespace().rev().find_map(|word| word.replace(',', "").parse().ok());
    number.ok_or_else(|| format!("the line \"{words}\" has no number"))
}
