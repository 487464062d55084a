//! What formulas of a lesson may ask of the machine.

#![expect(clippy::cast_possible_wrap, reason = "addresses, sizes and counts of a heap lie far below 2^63")]

use sim_core::Addr;
use sim_core::arena::{ArenaBackend as _, PoolHeader, SimBlock, SimPool};
use sim_core::report::{Occupancy, Placement, malloc_stats};
use trace_io::lesson::text::words as words_with_numbers;
use trace_io::program::expr::{Argument, Constants, Scope};

use super::moment::{Moment, text_of};
use super::spot::Spot;
use super::{beyond, mi};
use crate::facts::{self, PoolFacts};

/// The names that only a moment knows, with what they are.
pub const STATE_NAMES: &[(&str, &str)] = &[
    ("step", "operations done"),
    ("operations", "operations done after those that a puzzle gives; in a lesson all of them"),
    ("requests", "calls of malloc, calloc and realloc among those operations"),
    ("requests.raw", "those of them in the RAW domain"),
    ("requests.largest", "bytes of the largest of those requests; 0 where there is none"),
    ("requests.smallest", "bytes of the smallest of those requests; 0 where there is none"),
    ("arenas", "arenas that exist"),
    ("arenas.obtained", "arenas obtained so far"),
    ("arenas.released", "arenas given back so far"),
    ("arenas.most", "the most arenas at once"),
    ("arenas.pinned", "arenas with a block in use"),
    ("blocks.live", "blocks in use in pools"),
    ("bytes.live", "bytes of those blocks, rounding included"),
    ("bytes.requested", "bytes that the program's live blocks were asked for with"),
    ("bytes.wasted", "bytes that live blocks in pools have beyond what was asked for"),
    ("blocks.most", "the most blocks that the program had at once"),
    ("classes.seen", "size classes that blocks so far were in"),
    ("shared.most", "the most blocks so far that began at one and the same place"),
    ("shared.sizes", "the most sizes so far of blocks that began at one and the same place"),
    ("pools.used", "pools with a block in use"),
    ("pools.full", "those of them without a free block"),
    ("pools.carved", "pools cut from arenas so far"),
    ("pools.unused", "pools without a block in use, emptied and never carved"),
    ("raw.blocks", "raw_allocated_blocks: what pymalloc passed on to the C library and is alive"),
    ("raw.live", "live blocks of the C library"),
    ("traced.current", "get_traced_memory()[0]"),
    ("traced.peak", "get_traced_memory()[1]"),
    ("traced.running", "1 while tracemalloc runs"),
    ("traced.tables", "get_tracemalloc_memory(): bytes of tracemalloc's own tables"),
    ("traces", "blocks that tracemalloc has a trace of"),
    ("stats.lines", "lines that _debugmallocstats() prints of the allocator; 0 where it prints none"),
    ("stopped", "1 once the process would have ended"),
    ("segments", "mimalloc's segments"),
    ("segments.abandoned", "those whose thread has ended"),
    ("segment.size", "bytes of a segment"),
    ("slice.size", "bytes of a slice"),
    ("pages", "mimalloc's pages in use"),
    ("pages.full", "those in the full queue"),
    ("pages.waiting", "those that are empty and wait for a quiescent state"),
    ("qsbr.write", "QSBR's write sequence"),
    ("qsbr.read", "QSBR's read sequence: all attached threads have seen it"),
    ("interpreter", "number of the interpreter that runs; 0 is the main one"),
    ("interpreter.state", "number of the interpreter whose pymalloc state it uses"),
    ("arenas.here", "arenas of that state alone"),
    ("leaked.blocks", "blocks that ended interpreters left behind"),
    ("leaked.arenas", "arenas that stay because of them"),
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
    ("born(x)", "operations done when it was made"),
    ("died(x)", "operations done when it was freed; 0 while it lives"),
    ("moves(x)", "how often realloc has moved it"),
    ("home(x)", "1 if it lies where it was first"),
    ("classes_had(x)", "size classes that it has been in"),
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
    (
        "owned(x)",
        "address_in_range: 1 if pymalloc takes its address, or the address that a formula gives, for its own",
    ),
    (
        "tail_hi(x)",
        "the radix tree's mark in the window of that address: where an arena begins; -1 at its start",
    ),
    ("tail_lo(x)", "where the arena ends that reaches into that window from below"),
    ("arena_addr(n)", "address of arena n"),
    ("class_pools(n)", "num pools of the statistics, for requests of n bytes"),
    ("class_blocks(n)", "blocks in use of the statistics, for requests of n bytes"),
    ("class_avail(n)", "avail blocks of the statistics, for requests of n bytes"),
    ("tables(d)", "tables that a call of domain raw, mem or obj can pass"),
    ("calls(k)", "calls that the program's own table k has seen, from 1"),
    ("requested(k)", "bytes that it was asked for"),
    ("traced(x)", "bytes in its trace; -1 where tracemalloc has none"),
    ("line_size(\"file.py:3\")", "bytes traced whose most recent frame is this line"),
    ("line_count(\"file.py:3\")", "blocks of them"),
    (
        "grown_size(\"a\", \"b\", \"file.py:3\")",
        "bytes that the line has more in snapshot b than in snapshot a",
    ),
    ("grown_count(\"a\", \"b\", \"file.py:3\")", "blocks of them"),
    (
        "what_if(\"setting\", value, formula)",
        "the formula's value after the same operations under another setting, or another \"profile\"",
    ),
    (
        "same_places(\"profile\")",
        "1 if the same operations put every block at the same place of the same pool on another build",
    ),
    ("page_capacity(x)", "blocks that its mimalloc page has made so far"),
    ("page_reserved(x)", "blocks that its mimalloc page can have"),
    ("page_used(x)", "blocks in use on its mimalloc page"),
    ("page_slice(x)", "first slice of its mimalloc page in the segment"),
    ("page_slices(x)", "slices of its mimalloc page"),
    ("page_block(x)", "bytes of each block of its mimalloc page"),
    ("page_heap(x)", "heap of its mimalloc page: 0 mem, 1 obj, 2 gc, 3 gc_pre"),
    ("page_owner(x)", "thread that owns its mimalloc page; -1 while it is abandoned"),
    ("page_full(x)", "1 if its mimalloc page is in the full queue"),
    ("page_waits(x)", "1 if its mimalloc page is empty and waits for a quiescent state"),
    ("on_page(x)", "1 if a mimalloc page lies around its address"),
    ("free_list(x)", "blocks on the list free of its mimalloc page"),
    ("local_free(x)", "blocks on local_free of its mimalloc page"),
    ("thread_free(x)", "blocks on thread_free of its mimalloc page"),
    ("on_free(x)", "1 if it was freed and is on free"),
    ("on_local(x)", "1 if it was freed and is on local_free"),
    ("on_thread(x)", "1 if another thread freed it and it is on its page's thread_free"),
    ("on_delayed(x)", "1 if another thread freed it and it is on its heap's thread_delayed_free"),
    ("survivors(n)", "blocks that keep arena n"),
    ("survivors_of_class(n, bytes)", "those of them in the class of requests of so many bytes"),
    ("survivors_born(n, a, b)", "those of them born after a operations and within the first b"),
    ("kept_by_class(bytes)", "arenas that nothing but blocks of this class keeps"),
    ("kept_by_born(a, b)", "arenas that nothing but blocks of those births keeps"),
];

impl Scope for Moment<'_> {
    fn name(&self, name: &str) -> Option<i64> {
        if let Some(value) = self.kept.get(name) {
            return Some(*value);
        }
        let machine = self.machine;
        let occupancy = || Occupancy::of(machine.pymalloc());
        let traced = || machine.layers().map_or((0, 0), |layers| layers.tracemalloc().get_traced_memory());
        Some(match name {
            "step" => self.step as i64,
            "operations" => self.step.saturating_sub(self.tally.given) as i64,
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
            _ => {
                return self
                    .tally
                    .name(name)
                    .or_else(|| beyond::name(self, name))
                    .or_else(|| mi::name(self, name))
                    .or_else(|| Constants(self.profile).name(name));
            }
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
            Ok(what(heap.memory().header(carved), pool))
        };
        Some(match name {
            "addr" => of_spot(&|spot| Ok(spot.addr.0 as i64)),
            "place" => of_spot(&|spot| Ok(spot.place())),
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
            "born" => of_spot(&|spot| Ok(spot.way.born as i64)),
            "died" => of_spot(&|spot| Ok(spot.way.died as i64)),
            "moves" => of_spot(&|spot| Ok(spot.way.moves as i64)),
            "home" => of_spot(&|spot| Ok(i64::from(spot.way.first == spot.place()))),
            "classes_had" => of_spot(&|spot| Ok(i64::from(spot.way.classes.count_ones()))),
            "class" => of_pool(&|pool| pool.class.map_or(-1, |class| i64::from(class.0))),
            "used" => of_pool(&|pool| i64::from(pool.used)),
            "capacity" => of_pool(&|pool| i64::from(pool.capacity)),
            "empty" => of_pool(&|pool| i64::from(pool.used == 0)),
            "full" => of_pool(&|pool| i64::from(pool.used == pool.capacity && pool.capacity > 0)),
            "linked" => of_pool(&|pool| facts::free_list(heap, &pool).blocks.len() as i64),
            "freeblock" => header(&|header, pool| {
                header
                    .freeblock
                    .map_or(0, |block| heap.memory().block_addr(block).bytes_from(pool.addr) as i64)
            }),
            "nextoffset" => header(&|header, _| i64::from(header.nextoffset)),
            "maxnextoffset" => header(&|header, _| i64::from(header.maxnextoffset)),
            "next_free" => of_spot(&|spot| {
                let pool = self.pool_of(spot)?;
                let list = facts::free_list(heap, &pool);
                let mut free = list.blocks.iter();
                free.find(|addr| **addr == spot.addr).ok_or("it is not on a free list")?;
                let next = free.next().copied().or(list.back_to);
                Ok(next.map_or(0, |next| next.bytes_from(pool.addr) as i64))
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
            "stat" => text_of(arguments).and_then(|words| {
                // Some lines begin with a number, which is a formula as well.
                let words = words_with_numbers(words, self).map_err(|fault| fault.problem)?;
                stat(&malloc_stats(self.machine), &words)
            }),
            "printed" => text_of(arguments).map(|words| {
                i64::from(self.machine.stopped().is_some_and(|fatal| fatal.to_string().contains(words)))
            }),
            _ => {
                return beyond::call(self, name, arguments)
                    .or_else(|| mi::call(self, name, arguments))
                    .or_else(|| Constants(self.profile).call_in(self, name, arguments));
            }
        })
    }
}

/// The last number of the first line that begins with `words`, which may be a row of the class table.
fn stat(text: &str, words: &str) -> Result<i64, String> {
    let line = text.lines().find(|line| line.trim_start().starts_with(words));
    let line = line.ok_or_else(|| format!("no line of the statistics begins with \"{words}\""))?;
    let number = line.split_whitespace().rev().find_map(|word| word.replace(',', "").parse().ok());
    number.ok_or_else(|| format!("the line \"{words}\" has no number"))
}
