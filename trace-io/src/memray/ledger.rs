//! Which blocks are live, and what the calls that were recorded become: operations on them.

use std::convert::Infallible;

use sim_core::tape::{Counts, Doubt, StackId};
use sim_core::{Addr, Call, Domain, Kind, Op, TraceBuilder};

use super::address_map::{AddressMap, Entry};
use super::allocator::{Function, Role};
use super::domains::{Domains, Found, NO_CLASS, stays_in_place};
use super::facts::Geometry;
use super::header::PythonAllocator;
use super::maps::Maps;
use super::primitives::{Fault, Read};
use super::probe::{Probe, Verdict};

/// A call of a recorded function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) address: u64,
    /// Bytes; 0 where the function takes memory back.
    pub(super) size: u64,
    pub(super) thread: u32,
    pub(super) function: Function,
}

/// Where an operation comes from, and its pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    thread: u32,
    stack: StackId,
    address: u64,
}

/// What takes operations.
pub(super) trait Target {
    /// Why it takes no more.
    type Full;

    fn operation(&mut self, from: Origin, domain: Domain, kind: Kind, call: Call) -> Result<(), Self::Full>;
}

impl Target for TraceBuilder {
    type Full = Fault;

    #[inline]
    fn operation(&mut self, from: Origin, domain: Domain, _: Kind, call: Call) -> Read<()> {
        let op = Op { thread: dense(from.thread), domain, call };
        self.push_recorded(op, from.stack, Some(Addr(from.address)))
            .map_err(|_| Fault::Damage(&"more blocks are live than a trace can hold"))
    }
}

/// Operations by domain and kind, and the threads they were done on.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) threads: Vec<bool>,
    /// The thread of the last operation.
    last: u32,
}

const NO_THREAD: u32 = u32::MAX;

impl Tally {
    pub(super) fn new() -> Self {
        Self { counts: Counts::default(), threads: Vec::new(), last: NO_THREAD }
    }

    #[cold]
    fn see(&mut self, thread: u32) {
        self.last = thread;
        let thread = usize::from(dense(thread));
        if self.threads.len() <= thread {
            self.threads.resize(thread + 1, false);
        }
        self.threads[thread] = true;
    }
}

impl Target for Tally {
    type Full = Infallible;

    #[inline]
    fn operation(&mut self, from: Origin, domain: Domain, kind: Kind, _: Call) -> Result<(), Infallible> {
        if self.last != from.thread {
            self.see(from.thread);
        }
        self.counts[domain as usize][kind as usize] += 1;
        Ok(())
    }
}

/// A live block.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    size: u64,
    found: Found,
}

/// A free that waits: the next record may show that it was one half of a realloc.
#[derive(Clone, Copy, Debug, Default)]
struct Freed {
    thread: u32,
    python: bool,
    address: u64,
    /// Its id; 0 for a block whose birth is not in the file.
    id: u32,
    block: Block,
}

/// Blocks, and what is counted of them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Ids of live blocks by address.
    by_address: AddressMap,
    /// Blocks by id, counted from 1.
    blocks: Vec<Block>,
    /// Ids that named blocks which are gone, the latest last; ids stay as dense as live blocks.
    free_ids: Vec<u32>,
    domains: Domains,
    /// Whether a small block can be told from one of the C library.
    in_pools: bool,
    /// While it is not known what gives small blocks.
    probe: Option<Box<Probe>>,
    /// What came of it: the verdict, of how many blocks, and how many of them lie in pools.
    pub(super) probed: Option<(Verdict, u64, u64)>,
    freed: Freed,
    /// Whether there is a free that waits.
    waits: bool,
    pub(super) maps: Maps,
    pub(super) doubt: Doubt,
    /// Calls that gave no block.
    pub(super) failed: u64,
    live_bytes: u64,
    /// The most bytes live at once.
    pub(super) peak_bytes: u64,
}

impl Ledger {
    pub(super) fn new(allocator: PythonAllocator) -> Self {
        let mut ledger = Self::default();
        match allocator {
            PythonAllocator::Pymalloc => ledger.in_pools = true,
            PythonAllocator::PymallocDebug => ledger.domains.set_debug_hooks(),
            PythonAllocator::Other => ledger.probe = Some(Box::default()),
            PythonAllocator::Malloc | PythonAllocator::Mimalloc | PythonAllocator::MimallocDebug => {}
        }
        ledger
    }

    pub(super) fn set_geometry(&mut self, geometry: Geometry) {
        self.maps.set_arenas(geometry.arena_bytes);
        if let Some(probe) = &mut self.probe {
            probe.set_pools(geometry.pool_bytes);
        } else if let Some(pool_bytes) = geometry.pool_bytes {
            self.domains.set_pools(pool_bytes);
        }
    }

    /// Decides what gives small blocks.
    #[cold]
    fn decide(&mut self) {
        let Some(probe) = self.probe.take() else { return };
        let verdict = probe.verdict();
        let in_pools = match verdict {
            Verdict::Pymalloc => {
                self.in_pools = true;
                probe.plain
            }
            Verdict::PymallocDebug => {
                self.domains.set_debug_hooks();
                probe.hooked
            }
            Verdict::NoPools | Verdict::Unknown => probe.plain,
        };
        if let Some(pool_bytes) = probe.pool_bytes()
            && matches!(verdict, Verdict::Pymalloc | Verdict::PymallocDebug)
        {
            self.domains.set_pools(pool_bytes);
        }
        self.probed = Some((verdict, probe.seen, in_pools));
    }

    /// Whether addresses tell RAW's small blocks from pymalloc's.
    pub(super) fn knows_pools(&self) -> bool {
        self.domains.knows_pools()
    }

    /// Small blocks of which only what lies around them says whether they are pymalloc's.
    pub(super) fn guesses(&self) -> u64 {
        self.domains.guesses
    }

    /// The most blocks that had an id at once.
    pub(super) fn ids(&self) -> u32 {
        self.blocks.len() as u32
    }

    /// A call from a stack, which `to` takes as an operation.
    #[inline]
    pub(super) fn enter<T: Target>(
        &mut self,
        record: Record,
        stack: StackId,
        to: &mut T,
    ) -> Result<(), T::Full> {
        let kind = match record.function.role() {
            Role::Malloc => Kind::Malloc,
            Role::Calloc => Kind::Calloc,
            Role::Realloc => Kind::Realloc,
            Role::Free => return self.death(record, to),
            Role::Map => {
                self.map(record);
                return Ok(());
            }
            Role::Unmap => {
                self.unmap(record);
                return Ok(());
            }
        };
        self.birth(record, kind, stack, to)
    }

    #[cold]
    fn map(&mut self, record: Record) {
        self.maps.map(record.address, record.size);
        self.add_bytes(record.size);
    }

    #[cold]
    fn unmap(&mut self, record: Record) {
        let gone = self.maps.unmap(record.address, record.size);
        self.live_bytes = self.live_bytes.wrapping_sub(gone);
    }

    /// No record follows.
    pub(super) fn close<T: Target>(&mut self, to: &mut T) -> Result<(), T::Full> {
        self.decide();
        if std::mem::take(&mut self.waits) { self.free(to) } else { Ok(()) }
    }

    /// memray's own count of live bytes, to the same maximum.
    #[inline]
    fn add_bytes(&mut self, size: u64) {
        self.live_bytes = self.live_bytes.wrapping_add(size);
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }

    #[inline]
    fn birth<T: Target>(
        &mut self,
        record: Record,
        kind: Kind,
        stack: StackId,
        to: &mut T,
    ) -> Result<(), T::Full> {
        let Record { address, size, thread, function } = record;
        self.add_bytes(size);
        if self.waits {
            self.waits = false;
            if kind == Kind::Realloc && self.is_realloc(record) {
                return self.rebirth(record, stack, to);
            }
            self.free(to)?;
        }
        if address == 0 {
            // A failed call gives no block. A realloc that fails is not recorded.
            self.failed += 1;
            return Ok(());
        }
        let entry = self.entry(address);
        let found = self.find(function, address, size, entry.page);
        let id = self.new_id(Block { size, found });
        self.by_address.put(entry, id, found.page);
        let id = u64::from(id);
        let call = match kind {
            Kind::Realloc => Call::Realloc { id: 0, newid: id, size },
            Kind::Calloc => Call::Calloc { id, nelem: 1, elsize: size },
            _ => Call::Malloc { id, size },
        };
        to.operation(Origin { thread, stack, address }, found.domain, kind, call)
    }

    /// The free that waits and this call are the two records of one `realloc`.
    fn rebirth<T: Target>(&mut self, record: Record, stack: StackId, to: &mut T) -> Result<(), T::Full> {
        let Record { address, size, thread, function } = record;
        if address == 0 {
            self.failed += 1;
            return Ok(());
        }
        let Freed { address: before, id: old, block, .. } = self.freed;
        let entry = self.entry(address);
        let mut found = if old != 0 && before == address && block.found.class != NO_CLASS {
            // A block that shrinks where it is stays in a pool of its old class.
            self.doubt.inferred_domains += u64::from(function.is_python());
            let page = self.domains.birth_in_pool(address, block.found.class, entry.page);
            Found { page, ..block.found }
        } else {
            self.find(function, address, size, entry.page)
        };
        let id = if old == 0 {
            self.doubt.unknown_reallocs += 1;
            self.new_id(Block { size, found })
        } else {
            self.doubt.ambiguous_reallocs += u64::from(before != address);
            found.domain = block.found.domain;
            self.blocks[old as usize - 1] = Block { size, found };
            old
        };
        self.by_address.put(entry, id, found.page);
        let call = Call::Realloc { id: u64::from(old), newid: u64::from(id), size };
        to.operation(Origin { thread, stack, address }, found.domain, Kind::Realloc, call)
    }

    /// The entry for a block that is born.
    #[inline]
    fn entry(&mut self, address: u64) -> Entry {
        let entry = self.by_address.at(address);
        if entry.block == 0 { entry } else { self.lose(address) }
    }

    /// The block before at this address died unseen. It keeps its id, so that the model keeps it, too.
    #[cold]
    fn lose(&mut self, address: u64) -> Entry {
        let id = self.by_address.take(address);
        self.domains.death(self.blocks[id as usize - 1].found.page);
        self.doubt.lost_frees += 1;
        self.by_address.at(address)
    }

    /// Where a block is put that a function gave.
    #[inline]
    fn find(&mut self, function: Function, address: u64, size: u64, page: u32) -> Found {
        if function.is_python() {
            self.doubt.inferred_domains += 1;
            if let Some(probe) = &mut self.probe
                && probe.birth(address, size)
            {
                self.decide();
            }
            self.domains.python_birth(address, size, page)
        } else {
            self.domains.libc_birth(function, address, size, page)
        }
    }

    #[inline]
    fn death<T: Target>(&mut self, record: Record, to: &mut T) -> Result<(), T::Full> {
        if self.waits {
            self.free(to)?;
        }
        let Record { address, thread, function, .. } = record;
        let id = self.by_address.take(address);
        let mut block = Block::default();
        if id != 0 {
            block = self.blocks[id as usize - 1];
            self.live_bytes = self.live_bytes.wrapping_sub(block.size);
            self.domains.death(block.found.page);
        }
        self.freed = Freed { thread, python: function.is_python(), address, id, block };
        self.waits = true;
        Ok(())
    }

    /// The free that waits was one.
    #[inline]
    fn free<T: Target>(&mut self, to: &mut T) -> Result<(), T::Full> {
        let Freed { thread, id, block, address, .. } = self.freed;
        if id == 0 {
            self.doubt.unknown_frees += 1;
            return Ok(());
        }
        self.free_ids.push(id);
        let from = Origin { thread, stack: StackId(0), address };
        to.operation(from, block.found.domain, Kind::Free, Call::Free { id: u64::from(id) })
    }

    #[inline]
    fn new_id(&mut self, block: Block) -> u32 {
        if let Some(id) = self.free_ids.pop() {
            self.blocks[id as usize - 1] = block;
            return id;
        }
        self.blocks.push(block);
        self.blocks.len() as u32
    }

    /// Whether the free that waits and this call, a realloc, can be the two records of one `realloc`.
    fn is_realloc(&self, record: Record) -> bool {
        let freed = &self.freed;
        if freed.thread != record.thread || freed.python != record.function.is_python() {
            return false;
        }
        // pymalloc's rule says whether a block in a pool moves, and it moves before the old one is freed.
        let class = freed.block.found.class;
        if self.in_pools && class != NO_CLASS {
            stays_in_place(class, record.size) == (record.address == freed.address)
        } else {
            true
        }
    }
}

/// Threads have 16 bits; what comes after shares the last number.
pub(super) fn dense(thread: u32) -> u16 {
    u16::try_from(thread).unwrap_or(u16::MAX)
}
