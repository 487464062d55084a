//! What records become: operations, each with its stack and recorded address.

use sim_core::tape::{CallCount, Counts, Frame, FrameId, StackId, TimeMark};
use sim_core::{Addr, Call, Domain, Kind, Op, TraceBuilder};

use super::allocator::{FUNCTIONS, Function, Role};
use super::callers::Callers;
use super::domains::{Domains, Found, NO_CLASS, stays_in_place};
use super::facts;
use super::header::{Header, PythonAllocator};
use super::maps::Maps;
use super::places::Places;
use super::primitives::{Fault, Read};

/// A live block.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    size: u64,
    found: Found,
}

/// A free that waits: the next record may show that it was one half of a realloc.
#[derive(Clone, Copy, Debug, Default)]
struct Freed {
    thread: usize,
    python: bool,
    address: u64,
    /// Its id; 0 for a block whose birth is not in the file.
    id: u32,
    block: Block,
}

/// Operations by domain and kind, and where the last one came from.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    counts: Counts,
    thread: usize,
    stack: StackId,
}

/// A trace being made of records.
#[derive(Debug)]
pub(super) struct Recording {
    builder: TraceBuilder,
    /// Operations since the trace was told, where they are only counted.
    tally: Option<Tally>,
    header: Header,
    callers: Callers,
    /// Ids of live blocks by address.
    places: Places,
    /// Blocks by id, counted from 1.
    blocks: Vec<Block>,
    /// Ids that named blocks which are gone, the latest last; ids stay as dense as live blocks.
    free_ids: Vec<u32>,
    domains: Domains,
    /// Whether a small block can be told from one of the C library.
    in_pools: bool,
    freed: Freed,
    /// Whether there is a free that waits.
    waits: bool,
    maps: Maps,
    calls: [u64; FUNCTIONS],
    objects: u64,
    failed: u64,
    live_bytes: u64,
    peak_bytes: u64,
    /// `PY_VERSION_HEX`, from the header or from the folder of the standard library.
    python_version: Option<u32>,
    /// Bytes of the file before the slice at hand.
    bytes: u64,
}

impl Recording {
    pub(super) fn new(name: &str, header: Header, counting: bool) -> Self {
        let version = header.python_version;
        let mut recording = Self {
            builder: TraceBuilder::new(name),
            tally: counting.then(Tally::default),
            callers: Callers::new(header.main_thread, header.skipped_frames, version.unwrap_or(0)),
            places: Places::default(),
            blocks: Vec::new(),
            free_ids: Vec::new(),
            domains: Domains::default(),
            in_pools: header.allocator == PythonAllocator::Pymalloc,
            freed: Freed::default(),
            waits: false,
            maps: Maps::default(),
            calls: [0; FUNCTIONS],
            objects: 0,
            failed: 0,
            live_bytes: 0,
            peak_bytes: 0,
            python_version: None,
            bytes: 0,
            header,
        };
        if recording.header.allocator == PythonAllocator::PymallocDebug {
            recording.domains.set_debug_hooks();
        }
        facts::begin(recording.builder.trace_mut(), &recording.header);
        recording.builder.trace_mut().marks.push(TimeMark { at: 0, time_ns: 0, rss_bytes: None });
        if let Some(version) = version {
            recording.set_version(version, "");
        }
        recording
    }

    fn set_version(&mut self, version: u32, how: &str) {
        self.python_version = Some(version);
        let geometry = facts::version(self.builder.trace_mut(), version, how);
        self.maps.set_arenas(geometry.arena_bytes);
        let pymalloc =
            matches!(self.header.allocator, PythonAllocator::Pymalloc | PythonAllocator::PymallocDebug);
        if pymalloc && self.header.python_allocators != Some(false) {
            self.domains.set_pools(geometry.pool_bytes);
        }
    }

    pub(super) fn builder(&self) -> &TraceBuilder {
        &self.builder
    }

    pub(super) fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.builder
    }

    /// Bytes of the file were read before what comes now.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.flush();
        self.bytes = bytes;
    }

    /// The thread that records belong to before any switch: formats 10 and 11 have such.
    pub(super) fn begin_on(&mut self, thread: u64) {
        self.callers.begin_on(thread);
    }

    pub(super) fn context_switch(&mut self, thread: u64) {
        self.callers.switch(thread);
    }

    pub(super) fn thread_name(&mut self, name: &[u8]) -> Read<()> {
        let number = usize::from(dense(self.callers.thread()?));
        let names = &mut self.builder.trace_mut().source.thread_names;
        if names.len() <= number {
            names.resize(number + 1, String::new());
        }
        names[number] = String::from_utf8_lossy(name).into_owned();
        Ok(())
    }

    pub(super) fn time(&mut self, ms: u64, rss_bytes: u64) {
        self.flush();
        let at = self.builder.len();
        let marks = &mut self.builder.trace_mut().marks;
        let before_ns = marks.last().map_or(0, |m| m.time_ns);
        let time_ns = ms.saturating_mul(1_000_000).max(before_ns);
        marks.push(TimeMark { at, time_ns, rss_bytes: Some(rss_bytes) });
    }

    pub(super) fn object(&mut self) {
        self.objects += 1;
    }

    pub(super) fn code(&mut self, id: u64, function: &[u8], file: &[u8], first_line: i32, table: &[u8]) {
        let stacks = &mut self.builder.trace_mut().stacks;
        let function = stacks.string(&String::from_utf8_lossy(function));
        let file = stacks.string(&String::from_utf8_lossy(file));
        self.callers.code(id, function, file, first_line, table);
    }

    pub(super) fn frame(&mut self, id: u64, function: &[u8], file: &[u8], line: i32) {
        let file = String::from_utf8_lossy(file);
        if self.python_version.is_none()
            && let Some(version) = facts::version_of_path(&file)
        {
            self.set_version(version, " (from the folder of the standard library)");
        }
        let stacks = &mut self.builder.trace_mut().stacks;
        let function = stacks.string(&String::from_utf8_lossy(function));
        let file = stacks.string(&file);
        let frame: FrameId = stacks.frame(Frame { function, file, line: u32::try_from(line).unwrap_or(0) });
        self.callers.frame(id, frame);
    }

    #[inline]
    pub(super) fn frame_push(&mut self, code: u64, offset: i64, entry: bool) -> Read<()> {
        self.callers.push(&mut self.builder.trace_mut().stacks, code, offset, entry, self.bytes)
    }

    #[inline]
    pub(super) fn frame_pop(&mut self, frames: usize) -> Read<()> {
        self.callers.pop(frames)
    }

    /// A call of a recorded function.
    #[inline]
    pub(super) fn allocation(&mut self, function: Function, role: Role, address: u64, size: u64) -> Read<()> {
        let thread = self.callers.thread()?;
        self.calls[function.row()] += 1;
        match role {
            Role::Birth(kind) => self.birth(thread, function, kind, address, size),
            Role::Death => self.death(thread, function, address),
            Role::Map => {
                let stack = self.callers.stack(thread);
                self.builder.trace_mut().stacks.mark_used(stack);
                self.maps.map(address, size);
                self.add_bytes(size);
                Ok(())
            }
            Role::Unmap => {
                let gone = self.maps.unmap(address, size);
                self.live_bytes = self.live_bytes.wrapping_sub(gone);
                Ok(())
            }
        }
    }

    /// memray's own count of live bytes, to the same maximum.
    #[inline]
    fn add_bytes(&mut self, size: u64) {
        self.live_bytes = self.live_bytes.wrapping_add(size);
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }

    #[inline]
    fn birth(&mut self, thread: usize, function: Function, kind: Kind, address: u64, size: u64) -> Read<()> {
        self.add_bytes(size);
        let stack = self.callers.stack(thread);
        let mut pair = None;
        if self.waits {
            self.waits = false;
            if kind == Kind::Realloc
                && is_realloc(&self.freed, self.in_pools, thread, function, address, size)
            {
                pair = Some(self.freed);
            } else {
                self.free()?;
            }
        }
        // Operations mark their stacks themselves, the empty one excepted.
        if address == 0 || stack == StackId(0) {
            self.builder.trace_mut().stacks.mark_used(stack);
        }
        if address == 0 {
            // A failed call gives no block. A realloc that fails is not recorded.
            self.failed += 1;
            return Ok(());
        }
        let mut place = self.places.at(address);
        if place.block != 0 {
            // The block before at this address died unseen. It keeps its id, so that the model keeps it, too.
            self.lose(address);
            place = self.places.at(address);
        }
        let old = pair.filter(|p| p.id != 0);
        let in_place = old.filter(|p| p.address == address && p.block.found.class != NO_CLASS);
        let mut found = if let Some(Freed { block, .. }) = in_place {
            // A block that shrinks where it is stays in a pool of its old class.
            let page = self.domains.birth_in_pool(address, block.found.class, place.page);
            Found { page, ..block.found }
        } else if function.is_python() {
            self.domains.python_birth(address, size, place.page)
        } else {
            self.domains.libc_birth(address, place.page)
        };
        let doubt = &mut self.builder.trace_mut().source.doubt;
        doubt.inferred_domains += u64::from(function.is_python());
        if let Some(pair) = pair {
            doubt.ambiguous_reallocs += u64::from(old.is_some() && pair.address != address);
            doubt.unknown_reallocs += u64::from(old.is_none());
        }
        let id = match old {
            Some(Freed { id, block, .. }) => {
                found.domain = block.found.domain;
                self.blocks[id as usize - 1] = Block { size, found };
                id
            }
            None => self.new_id(Block { size, found }),
        };
        self.places.put(place, id, found.page);
        if self.counted(thread, found.domain, kind, stack) {
            return Ok(());
        }
        let number = u64::from(id);
        let call = match kind {
            Kind::Realloc => {
                Call::Realloc { id: if old.is_some() { number } else { 0 }, newid: number, size }
            }
            Kind::Calloc => Call::Calloc { id: number, nelem: 1, elsize: size },
            _ => Call::Malloc { id: number, size },
        };
        self.push(thread, found.domain, call, stack, address)
    }

    #[inline]
    fn death(&mut self, thread: usize, function: Function, address: u64) -> Read<()> {
        if self.waits {
            self.free()?;
        }
        let id = self.places.take(address);
        self.freed = Freed { thread, python: function.is_python(), address, id, block: Block::default() };
        self.waits = true;
        if id != 0 {
            let block = self.blocks[id as usize - 1];
            self.freed.block = block;
            self.live_bytes = self.live_bytes.wrapping_sub(block.size);
            self.domains.death(block.found.page);
        }
        Ok(())
    }

    /// The free that waits was one.
    #[inline]
    fn free(&mut self) -> Read<()> {
        let Freed { thread, id, block, address, .. } = self.freed;
        if id == 0 {
            self.builder.trace_mut().source.doubt.unknown_frees += 1;
            return Ok(());
        }
        self.free_ids.push(id);
        let domain = block.found.domain;
        if self.counted(thread, domain, Kind::Free, StackId(0)) {
            return Ok(());
        }
        self.push(thread, domain, Call::Free { id: u64::from(id) }, StackId(0), address)
    }

    #[cold]
    fn lose(&mut self, address: u64) {
        let id = self.places.take(address);
        self.domains.death(self.blocks[id as usize - 1].found.page);
        self.builder.trace_mut().source.doubt.lost_frees += 1;
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

    /// Counts an operation, where that is all that is asked.
    #[inline]
    fn counted(&mut self, thread: usize, domain: Domain, kind: Kind, stack: StackId) -> bool {
        let Some(tally) = &mut self.tally else { return false };
        let same = thread == tally.thread && (stack == tally.stack || stack == StackId(0));
        if !same {
            self.tell(thread, stack);
        }
        if let Some(tally) = &mut self.tally {
            tally.counts[domain as usize][kind as usize] += 1;
        }
        true
    }

    /// Tells the trace where the next operation comes from.
    fn tell(&mut self, thread: usize, stack: StackId) {
        if self.tally.is_some_and(|t| t.thread != thread) {
            self.flush();
        }
        if let Some(tally) = &mut self.tally {
            (tally.thread, tally.stack) = (thread, stack);
            self.builder.tally_origin(dense(thread), stack);
        }
    }

    /// Tells the trace what was counted.
    fn flush(&mut self) {
        if let Some(tally) = &mut self.tally {
            self.builder.tally(&std::mem::take(&mut tally.counts), self.blocks.len() as u32);
        }
    }

    #[inline]
    fn push(&mut self, thread: usize, domain: Domain, call: Call, stack: StackId, address: u64) -> Read<()> {
        let op = Op { thread: dense(thread), domain, call };
        self.builder
            .push_recorded(op, stack, Some(Addr(address)))
            .map_err(|_| Fault::Damage("more blocks are live than a trace can hold"))
    }

    /// No record follows. `truncated` says why, where the trailer does not.
    pub(super) fn finish(&mut self, truncated: Option<String>) {
        if std::mem::take(&mut self.waits) {
            // It can fail only where its birth has failed.
            let _ = self.free();
        }
        self.flush();
        let at = self.builder.len();
        let span_ms = self.header.end_ms.saturating_sub(self.header.start_ms);
        let trace = self.builder.trace_mut();
        let time_ns = span_ms.saturating_mul(1_000_000);
        if trace.marks.last().is_some_and(|m| m.time_ns < time_ns) {
            trace.marks.push(TimeMark { at, time_ns, rss_bytes: None });
        }
        let source = &mut trace.source;
        source.records = Some(self.calls.iter().sum());
        source.peak_bytes = (!self.maps.given_up()).then_some(self.peak_bytes);
        source.calls = Function::all()
            .map(|f| CallCount { function: f.name().to_owned(), calls: self.calls[f.row()] })
            .filter(|c| c.calls > 0)
            .collect();
        source.doubt.truncated = truncated;
        let (arenas_most, arenas) = self.maps.arenas();
        facts::end(
            trace,
            &facts::Counts {
                python_calls: self.calls[..4].iter().sum(),
                stack_ids: self.callers.used(),
                objects: self.objects,
                failed: self.failed,
                arenas,
                arenas_most,
                version_known: self.python_version.is_some(),
            },
        );
    }
}

/// Whether a free and a call of `function`, a realloc, can be the two records of one `realloc`.
fn is_realloc(
    freed: &Freed,
    in_pools: bool,
    thread: usize,
    function: Function,
    address: u64,
    size: u64,
) -> bool {
    if freed.thread != thread || freed.python != function.is_python() {
        return false;
    }
    // pymalloc's rule says whether a block in a pool moves, and it moves before the old one is freed.
    let class = freed.block.found.class;
    if in_pools && class != NO_CLASS {
        stays_in_place(class, size) == (address == freed.address)
    } else {
        true
    }
}

/// Threads have 16 bits; what comes after shares the last number.
fn dense(thread: usize) -> u16 {
    u16::try_from(thread).unwrap_or(u16::MAX)
}
