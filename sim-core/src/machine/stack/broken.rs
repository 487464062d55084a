//! pymalloc on a heap that the program broke: each step on the bytes themselves, as `obmalloc.c` takes it.
//!
//! As long as a program writes only into blocks that are its own, pool headers and links need not be memory. Once it
//! overwrites one, or frees a block twice, what the next calls do follows from what those bytes say, however wild. From then
//! on headers, links and `usedpools` lie in memory and decide; the compact tables are brought up to date after each call for
//! those who look. Arena records are not reached by what programs do wrong, so they stay where they are.

use super::{Called, Stack, segfault};
use crate::addr::{Addr, SizeClass};
use crate::arena::{ArenaBackend, DUMMY_SIZE_IDX, PoolHeader};
use crate::event::{Event, Observer};
use crate::machine::fatal::Fatal;
use crate::profile::Ownership;
use crate::pymalloc::ArenaObject;

/// Where the fields of a `pool_header` lie, by the size of a pointer.
#[derive(Clone, Copy)]
struct Fields {
    word: u64,
}

impl Fields {
    const REF_COUNT: u64 = 0;

    fn freeblock(self) -> u64 {
        self.word
    }
    fn nextpool(self) -> u64 {
        2 * self.word
    }
    fn prevpool(self) -> u64 {
        3 * self.word
    }
    fn arenaindex(self) -> u64 {
        4 * self.word
    }
    fn szidx(self) -> u64 {
        self.arenaindex() + 4
    }
    fn nextoffset(self) -> u64 {
        self.arenaindex() + 8
    }
    fn maxnextoffset(self) -> u64 {
        self.arenaindex() + 12
    }
}

fn some(addr: Addr) -> Option<Addr> {
    (addr != Addr(0)).then_some(addr)
}

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    fn fields(&self) -> Fields {
        Fields { word: u64::from(self.layers.layout.word_bytes) }
    }

    fn at(&self, base: Addr, offset: u64) -> Addr {
        self.layers.layout.at(base, offset)
    }

    fn word(&self, base: Addr, offset: u64) -> Called<Addr> {
        let word = self.layers.bytes.word(self.at(base, offset), self.layers.layout.word_bytes);
        word.map(Addr).map_err(|e| segfault(e, "following an overwritten pointer"))
    }

    fn set_word(&mut self, base: Addr, offset: u64, value: Addr) -> Called<()> {
        let (at, bytes) = (self.at(base, offset), self.layers.layout.word_bytes);
        self.layers
            .bytes
            .set_word(at, bytes, value.0)
            .map_err(|e| segfault(e, "writing through an overwritten pointer"))
    }

    fn int(&self, base: Addr, offset: u64) -> Called<u32> {
        let word = self.layers.bytes.word(self.at(base, offset), 4);
        word.map(|w| w as u32).map_err(|e| segfault(e, "reading a pool's header"))
    }

    fn set_int(&mut self, base: Addr, offset: u64, value: u32) -> Called<()> {
        let at = self.at(base, offset);
        self.layers
            .bytes
            .set_word(at, 4, u64::from(value))
            .map_err(|e| segfault(e, "writing a pool's header"))
    }

    fn touch(&mut self, pool: Addr) {
        if let Some(broken) = &mut self.layers.broken {
            broken.touched.insert(pool);
        }
    }

    fn pool_around(&self, p: Addr) -> Addr {
        Addr(p.0 & !(self.pymalloc.profile().pool_size - 1))
    }

    /// `usedpools`, which no trace can name: an address of its own.
    fn usedpools(&self) -> Addr {
        Addr(if self.layers.layout.word_bytes == 4 { 0x0880_0000 } else { 0x5555_5540_0000 })
    }

    /// What stands for a pool in front of a class's first: `usedpools` seen as a header, whose `nextpool` and `prevpool` are
    /// the class's two entries.
    fn head(&self, szidx: u32) -> Addr {
        let word = self.fields().word;
        self.at(self.usedpools(), (2 * u64::from(szidx) * word).wrapping_sub(2 * word))
    }

    // Going over to bytes.

    /// The program writes through a pointer, which it may have kept from a freed block.
    pub(in crate::machine) fn poke(&mut self, p: Addr, kept: bool, at: Addr, bytes: &[u8]) -> Called<()> {
        if kept && self.pymalloc.address_in_range(at) {
            self.break_heap();
        }
        self.before_write(p, at, bytes.len() as u64);
        self.wrote(at, bytes.len() as u64);
        self.layers.bytes.write(at, bytes).map_err(|e| segfault(e, "writing"))
    }

    /// Bytes were or will be written that may be a header's or a link's.
    pub(super) fn wrote(&mut self, at: Addr, len: u64) {
        if self.is_broken() && len > 0 {
            self.touch(self.pool_around(at));
            self.touch(self.pool_around(self.at(at, len - 1)));
        }
    }

    /// Whether bytes decide.
    pub(super) fn is_broken(&self) -> bool {
        self.layers.broken.is_some()
    }

    /// A write of `len` bytes at `at` is to come from the owner of the block around `p`: one that leaves the block breaks the heap.
    pub(in crate::machine) fn before_write(&mut self, p: Addr, at: Addr, len: u64) {
        if self.is_broken() || len == 0 {
            return;
        }
        let last = self.at(at, len - 1);
        let reaches = |addr| self.pymalloc.address_in_range(addr);
        if !reaches(at) && !reaches(last) {
            return;
        }
        let within = reaches(p)
            && self.pymalloc.block_around(p).is_some_and(|(start, size)| {
                at.bytes_from(start) < size && last.bytes_from(start) < size && at <= last
            });
        if !within {
            self.break_heap();
        }
    }

    /// From here on bytes decide.
    pub(in crate::machine) fn break_heap(&mut self) {
        if !self.is_broken() && self.mimalloc.is_none() {
            self.layers.broken = Some(Box::default());
            self.write_out();
        }
    }

    /// Writes all headers and lists of the state in force into memory.
    pub(in crate::machine) fn write_out(&mut self) {
        let Some(mut broken) = self.layers.broken.take() else { return };
        let fields = self.fields();
        let classes = u32::from(self.pymalloc.profile().nb_small_size_classes());
        self.layers.bytes.map(self.usedpools(), 2 * fields.word * u64::from(classes));
        for szidx in 0..classes {
            let head = self.head(szidx);
            let front = self.pymalloc.used_front(SizeClass(szidx as u16));
            let front = front.map_or(head, |pool| self.pymalloc.memory().pool_addr(pool));
            let last = self.pymalloc.used_pools(SizeClass(szidx as u16)).last();
            let last = last.map_or(head, |pool| self.pymalloc.memory().pool_addr(pool));
            // usedpools is mapped, and so are live arenas below, so these cannot fail.
            let _ = self.set_word(head, fields.nextpool(), front);
            let _ = self.set_word(head, fields.prevpool(), last);
        }
        broken.freepools.clear();
        for index in 0..self.pymalloc.arenas().len() as u32 {
            let pools: Vec<_> = self.pymalloc.carved_pools(index).collect();
            for pool in pools {
                self.write_header(pool);
            }
            let free: Vec<_> = self.pymalloc.freepools(index).collect();
            let mut next = Addr(0);
            for pool in free.into_iter().rev() {
                let pool = self.pymalloc.memory().pool_addr(pool);
                let _ = self.set_word(pool, fields.nextpool(), next);
                next = pool;
            }
            broken.freepools.push(next);
        }
        self.layers.broken = Some(broken);
    }

    /// Writes a pool's header into memory.
    fn write_header(&mut self, pool: A::Pool) {
        let fields = self.fields();
        let memory = self.pymalloc.memory();
        let addr = memory.pool_addr(pool);
        let header = *memory.header(pool);
        let freeblock = header.freeblock.map_or(Addr(0), |b| memory.block_addr(b));
        let head = if header.szidx == DUMMY_SIZE_IDX { Addr(0) } else { self.head(header.szidx) };
        let pool_or_head = |p: Option<A::Pool>| p.map_or(head, |p| memory.pool_addr(p));
        let (next, prev) = (pool_or_head(header.nextpool), pool_or_head(header.prevpool));
        // A live arena is mapped, so these cannot fail.
        for (offset, value) in
            [(fields.freeblock(), freeblock), (fields.nextpool(), next), (fields.prevpool(), prev)]
        {
            let _ = self.set_word(addr, offset, value);
        }
        for (offset, value) in [
            (Fields::REF_COUNT, header.ref_count),
            (fields.arenaindex(), header.arenaindex),
            (fields.szidx(), header.szidx),
            (fields.nextoffset(), header.nextoffset),
            (fields.maxnextoffset(), header.maxnextoffset),
        ] {
            let _ = self.set_int(addr, offset, value);
        }
    }

    /// The bytes in front of `p` are going to be read: if they lie in a pool's header, that is written out.
    pub(super) fn before_read(&mut self, p: Addr) {
        if self.is_broken() || !self.pymalloc.address_in_range(p) {
            return;
        }
        let profile = self.pymalloc.profile();
        let reach = profile.pool_overhead() + self.layers.layout.front();
        if p.0 & (profile.pool_size - 1) < reach
            && let Some(pool) = self.pymalloc.carved_pool_around(p)
        {
            self.write_header(pool);
        }
    }

    // The steps.

    /// `address_in_range`. Builds without the radix tree read the header of the pool that the pointer would lie in.
    pub(super) fn broken_owns(&self, p: Addr) -> Called<bool> {
        if self.pymalloc.profile().ownership == Ownership::Radix {
            return Ok(self.pymalloc.address_in_range(p));
        }
        let index = self.int(self.pool_around(p), self.fields().arenaindex())?;
        let arena = self.pymalloc.arenas().get(index as usize);
        Ok(arena.is_some_and(|a| a.holds(p, self.pymalloc.profile())))
    }

    /// `pymalloc_alloc`.
    pub(super) fn broken_alloc(&mut self, nbytes: u64) -> Called<Option<Addr>> {
        let Some(class) = self.pymalloc.size_class(nbytes) else {
            self.observer.event(Event::NotSmall { nbytes });
            return Ok(None);
        };
        self.observer.event(Event::SizeClassChosen { nbytes, class });
        let fields = self.fields();
        let pool = self.word(self.head(u32::from(class.0)), fields.nextpool())?;
        if pool == self.word(pool, fields.nextpool())? {
            return self.broken_new_pool(class);
        }
        let ref_count = self.int(pool, Fields::REF_COUNT)?.wrapping_add(1);
        self.set_int(pool, Fields::REF_COUNT, ref_count)?;
        self.touch(pool);
        let (block, next) = self.broken_pop(pool, ref_count)?;
        if next == Addr(0) {
            self.broken_extend(pool, class)?;
        }
        Ok(Some(block))
    }

    /// `bp = pool->freeblock; pool->freeblock = *(block **)bp`: both.
    fn broken_pop(&mut self, pool: Addr, ref_count: u32) -> Called<(Addr, Addr)> {
        let freeblock = self.fields().freeblock();
        let block = self.word(pool, freeblock)?;
        let next = self.word(block, 0)?;
        self.set_word(pool, freeblock, next)?;
        self.observer.event(Event::BlockPopped { pool, block, next: some(next), ref_count });
        if next != Addr(0) && self.pool_around(next) != pool {
            self.observer.event(Event::FreeListLost { pool, link: next });
        }
        Ok((block, next))
    }

    /// `pymalloc_pool_extend`.
    fn broken_extend(&mut self, pool: Addr, class: SizeClass) -> Called<()> {
        let fields = self.fields();
        let offset = self.int(pool, fields.nextoffset())?;
        if offset <= self.int(pool, fields.maxnextoffset())? {
            let block = self.at(pool, u64::from(offset));
            let nextoffset = offset.wrapping_add(self.pymalloc.profile().block_size(class) as u32);
            self.set_word(pool, fields.freeblock(), block)?;
            self.set_int(pool, fields.nextoffset(), nextoffset)?;
            self.set_word(block, 0, Addr(0))?;
            self.observer.event(Event::BlockCarved { pool, block, nextoffset });
            return Ok(());
        }
        self.broken_unlink(pool)?;
        self.observer.event(Event::PoolFull { pool, class });
        Ok(())
    }

    /// Takes a pool off the list that its own links tell of.
    fn broken_unlink(&mut self, pool: Addr) -> Called<()> {
        let fields = self.fields();
        let (next, prev) = (self.word(pool, fields.nextpool())?, self.word(pool, fields.prevpool())?);
        self.set_word(next, fields.prevpool(), prev)?;
        self.set_word(prev, fields.nextpool(), next)?;
        self.touch(next);
        self.touch(prev);
        Ok(())
    }

    /// Puts a pool between two of a list.
    fn broken_link(&mut self, pool: Addr, next: Addr, prev: Addr) -> Called<()> {
        let fields = self.fields();
        self.set_word(pool, fields.nextpool(), next)?;
        self.set_word(pool, fields.prevpool(), prev)?;
        self.set_word(next, fields.prevpool(), pool)?;
        self.set_word(prev, fields.nextpool(), pool)?;
        for pool in [pool, next, prev] {
            self.touch(pool);
        }
        Ok(())
    }

    /// `allocate_from_new_pool`.
    fn broken_new_pool(&mut self, class: SizeClass) -> Called<Option<Addr>> {
        let fields = self.fields();
        if self.pymalloc.usable_arenas().next().is_none() {
            if !self.new_arena()? {
                return Ok(None);
            }
            let head = self.pymalloc.usable_arenas().next();
            if let Some(index) = head {
                self.set_freepools(index, Addr(0));
            }
        }
        let Some(index) = self.with_pymalloc(|pymalloc, writes| pymalloc.count_off_pool(writes))? else {
            return Ok(None);
        };
        let arena = self.pymalloc.arena_id(index);
        let free = self.freepools(index);
        let pool = if free == Addr(0) {
            // The record may have no arena, or its arena no pool that was never carved.
            let next = self.pymalloc.arenas()[index as usize].pool_address;
            self.int(next, fields.arenaindex())?;
            let pool = self.with_pymalloc(|pymalloc, writes| pymalloc.carve_pool(index, writes))?;
            let pool = self.pymalloc.memory().pool_addr(pool);
            self.set_int(pool, fields.arenaindex(), index)?;
            self.set_int(pool, fields.szidx(), DUMMY_SIZE_IDX)?;
            pool
        } else {
            let next = self.word(free, fields.nextpool())?;
            self.set_freepools(index, next);
            self.observer.event(Event::PoolTaken { arena, pool: free });
            free
        };
        self.with_pymalloc(|pymalloc, writes| pymalloc.unlink_if_spent(index, writes))?;
        let szidx = u32::from(class.0);
        let head = self.word(self.head(szidx), fields.nextpool())?;
        self.broken_link(pool, head, head)?;
        self.observer.event(Event::PoolLinked { pool, class });
        self.set_int(pool, Fields::REF_COUNT, 1)?;
        let was = self.int(pool, fields.szidx())?;
        if was == szidx {
            self.observer.event(Event::PoolReused { pool, class });
            return Ok(Some(self.broken_pop(pool, 1)?.0));
        }
        let profile = self.pymalloc.profile();
        let (size, overhead) = (profile.block_size(class), profile.pool_overhead());
        let (nextoffset, maxnextoffset) = ((overhead + 2 * size) as u32, (profile.pool_size - size) as u32);
        let block = self.at(pool, overhead);
        let second = self.at(block, size);
        self.set_int(pool, fields.szidx(), szidx)?;
        self.set_int(pool, fields.nextoffset(), nextoffset)?;
        self.set_int(pool, fields.maxnextoffset(), maxnextoffset)?;
        self.set_word(pool, fields.freeblock(), second)?;
        self.set_word(second, 0, Addr(0))?;
        self.observer.event(Event::PoolInitialised {
            pool,
            class,
            was: (was < u32::from(self.pymalloc.profile().nb_small_size_classes()))
                .then_some(SizeClass(was as u16)),
            block,
            second,
            nextoffset,
            maxnextoffset,
        });
        Ok(Some(block))
    }

    /// `pymalloc_free` of what `address_in_range` took for its own.
    pub(super) fn broken_free(&mut self, p: Addr) -> Called<()> {
        let fields = self.fields();
        let pool = self.pool_around(p);
        let last = self.word(pool, fields.freeblock())?;
        self.set_word(p, 0, last)?;
        self.set_word(pool, fields.freeblock(), p)?;
        let ref_count = self.int(pool, Fields::REF_COUNT)?.wrapping_sub(1);
        self.set_int(pool, Fields::REF_COUNT, ref_count)?;
        self.touch(pool);
        self.observer.event(Event::BlockPushed { pool, block: p, next: some(last), ref_count });
        let szidx = self.int(pool, fields.szidx())?;
        let class = SizeClass(szidx as u16);
        if last == Addr(0) {
            let next = self.word(self.head(szidx), fields.nextpool())?;
            let prev = self.word(next, fields.prevpool())?;
            self.broken_link(pool, next, prev)?;
            self.observer.event(Event::PoolLinked { pool, class });
            return Ok(());
        }
        if ref_count != 0 {
            return Ok(());
        }
        self.broken_unlink(pool)?;
        self.observer.event(Event::PoolEmptied { pool, class });
        let index = self.int(pool, fields.arenaindex())?;
        let record = self.pymalloc.arenas().get(index as usize);
        let most = self.pymalloc.profile().max_pools_in_arena();
        // A record that never had an arena is what memory was when it came: zeros as a rule, debug hooks' fill below them.
        let filled = |a: &ArenaObject<A::Pool>| a.ntotalpools == 0 && self.layers.raw_is_filled();
        if record.is_none_or(|a| a.nfreepools >= most || filled(a)) {
            // Behind the records or behind nfp2lasta: whatever lies there is changed.
            return Err(Fatal::Segfault {
                addr: pool,
                doing: "counting a free pool for an arena that is none, by the arenaindex of the pool's header",
                printed: String::new(),
            });
        }
        let top = self.freepools(index);
        self.set_word(pool, fields.nextpool(), top)?;
        self.set_freepools(index, pool);
        let arena = self.pymalloc.arena_id(index);
        self.observer.event(Event::PoolFreed { arena, pool });
        self.with_pymalloc(|pymalloc, writes| pymalloc.arena_gained_pool(index, writes))
    }

    /// Bytes of the block that a pointer is taken for, by its pool's header.
    pub(super) fn broken_block_size(&self, p: Addr) -> Called<u64> {
        let szidx = u64::from(self.int(self.pool_around(p), self.fields().szidx())?);
        Ok((szidx + 1) * self.pymalloc.profile().alignment)
    }

    fn freepools(&self, index: u32) -> Addr {
        let broken = self.layers.broken.as_ref();
        broken.and_then(|b| b.freepools.get(index as usize)).copied().unwrap_or_default()
    }

    fn set_freepools(&mut self, index: u32, pool: Addr) {
        if let Some(broken) = &mut self.layers.broken {
            let at = index as usize;
            if broken.freepools.len() <= at {
                broken.freepools.resize(at + 1, Addr(0));
            }
            broken.freepools[at] = pool;
        }
    }

    // For those who look.

    /// Brings the compact tables up to date with what an operation wrote.
    pub(in crate::machine) fn read_back(&mut self) {
        let Some(mut broken) = self.layers.broken.take() else { return };
        for pool in std::mem::take(&mut broken.touched) {
            self.read_header(pool);
        }
        let fields = self.fields();
        for szidx in 0..self.pymalloc.profile().nb_small_size_classes() {
            let head = self.head(u32::from(szidx));
            let front = self.word(head, fields.nextpool()).unwrap_or_default();
            let front = self.pymalloc.carved_pool_at(front);
            self.pymalloc.set_used_front(SizeClass(szidx), front);
        }
        for (index, &pool) in broken.freepools.iter().enumerate() {
            let pool = self.pymalloc.carved_pool_at(pool);
            self.pymalloc.set_freepools(index as u32, pool);
        }
        self.layers.broken = Some(broken);
    }

    fn read_header(&mut self, addr: Addr) {
        let Some(pool) = self.pymalloc.carved_pool_at(addr) else { return };
        let fields = self.fields();
        let int = |offset| self.int(addr, offset).unwrap_or_default();
        let word = |offset| self.word(addr, offset).unwrap_or_default();
        let block = |at: Addr| self.pymalloc.aligned_block(pool, at);
        let header = PoolHeader {
            ref_count: int(Fields::REF_COUNT),
            freeblock: block(word(fields.freeblock())),
            nextpool: self.pymalloc.carved_pool_at(word(fields.nextpool())),
            prevpool: self.pymalloc.carved_pool_at(word(fields.prevpool())),
            arenaindex: int(fields.arenaindex()),
            szidx: int(fields.szidx()),
            nextoffset: int(fields.nextoffset()),
            maxnextoffset: int(fields.maxnextoffset()),
        };
        let mut links = Vec::new();
        let mut at = word(fields.freeblock());
        let most = self.pymalloc.profile().pool_size / self.pymalloc.profile().alignment;
        while let Some(here) = block(at).filter(|_| (links.len() as u64) < most) {
            at = self.word(at, 0).unwrap_or_default();
            links.push((here, block(at)));
        }
        let memory = self.pymalloc.memory_mut();
        *memory.header_mut(pool) = header;
        for (block, next) in links {
            memory.set_link(block, next);
        }
    }
}
