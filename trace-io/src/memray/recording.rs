//! What records become: operations, each with its stack and recorded address.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sim_core::tape::{CallCount, Frame, FrameId, StackId, TimeMark};
use sim_core::{Addr, Call, Domain, Kind, Op, TraceBuilder};

use super::allocator::{FUNCTIONS, Function, Role};
use super::callers::Callers;
use super::domains::{Domains, NO_CLASS, stays_in_place};
use super::facts;
use super::header::{Header, PythonAllocator};
use super::maps::Maps;
use super::primitives::{Fault, Read};

/// A live block.
#[derive(Clone, Copy, Debug)]
struct Block {
    size: u64,
    id: u32,
    /// Its class where it lies in a pool.
    class: u16,
    domain: Domain,
}

/// A free that waits: the next record may show that it was one half of a realloc.
#[derive(Clone, Copy, Debug)]
struct Freed {
    thread: usize,
    python: bool,
    address: u64,
    /// `None` for a block whose birth is not in the file.
    block: Option<Block>,
}

/// A trace being made of records.
#[derive(Debug)]
pub(super) struct Recording {
    builder: TraceBuilder,
    header: Header,
    callers: Callers,
    blocks: HashMap<u64, Block, RandomState>,
    /// Ids that named blocks which are gone, the latest last; ids stay as dense as live blocks.
    free_ids: Vec<u32>,
    ids: u32,
    domains: Domains,
    /// Whether a small block can be told from one of the C library.
    in_pools: bool,
    freed: Option<Freed>,
    maps: Maps,
    records: u64,
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
    pub(super) fn new(name: &str, header: Header) -> Self {
        let version = header.python_version;
        let mut recording = Self {
            builder: TraceBuilder::new(name),
            callers: Callers::new(header.main_thread, header.skipped_frames, version.unwrap_or(0)),
            blocks: HashMap::default(),
            free_ids: Vec::new(),
            ids: 0,
            domains: Domains::default(),
            in_pools: header.allocator == PythonAllocator::Pymalloc,
            freed: None,
            maps: Maps::default(),
            records: 0,
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
    pub(super) fn allocation(&mut self, function: Function, address: u64, size: u64) -> Read<()> {
        let thread = self.callers.thread()?;
        self.records += 1;
        self.calls[function.row()] += 1;
        match function.role() {
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
        let pair =
            self.freed.take_if(|freed| is_realloc(freed, self.in_pools, thread, function, address, size));
        if let Some(freed) = self.freed.take() {
            self.free(&freed)?;
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
        // The block before at this address died unseen. It keeps its id, so that the model keeps it, too.
        if self.blocks.contains_key(&address) {
            self.lose(address);
        }
        let old = pair.and_then(|p| p.block);
        let in_place = pair.filter(|p| p.address == address).and(old).filter(|b| b.class != NO_CLASS);
        let (domain, class) = if let Some(block) = in_place {
            // A block that shrinks where it is stays in a pool of its old class.
            self.domains.birth_in_pool(address, block.class);
            (block.domain, block.class)
        } else if function.is_python() {
            self.domains.python_birth(address, size)
        } else {
            self.domains.libc_birth(address);
            (Domain::Raw, NO_CLASS)
        };
        let doubt = &mut self.builder.trace_mut().source.doubt;
        doubt.inferred_domains += u64::from(function.is_python());
        doubt.ambiguous_reallocs += u64::from(old.is_some() && pair.is_some_and(|p| p.address != address));
        doubt.unknown_reallocs += u64::from(old.is_none() && pair.is_some());
        let (domain, id) = match old {
            Some(block) => (block.domain, block.id),
            None => (domain, self.new_id()),
        };
        let number = u64::from(id);
        let call = match kind {
            Kind::Realloc => {
                Call::Realloc { id: if old.is_some() { number } else { 0 }, newid: number, size }
            }
            Kind::Calloc => Call::Calloc { id: number, nelem: 1, elsize: size },
            _ => Call::Malloc { id: number, size },
        };
        self.blocks.insert(address, Block { size, id, class, domain });
        self.push(thread, domain, call, stack, address)
    }

    #[inline]
    fn death(&mut self, thread: usize, function: Function, address: u64) -> Read<()> {
        if let Some(freed) = self.freed.take() {
            self.free(&freed)?;
        }
        let block = self.blocks.remove(&address);
        if let Some(block) = block {
            self.live_bytes = self.live_bytes.wrapping_sub(block.size);
            self.domains.death(address);
        }
        self.freed = Some(Freed { thread, python: function.is_python(), address, block });
        Ok(())
    }

    /// A free that was one.
    #[inline]
    fn free(&mut self, freed: &Freed) -> Read<()> {
        let Some(block) = freed.block else {
            self.builder.trace_mut().source.doubt.unknown_frees += 1;
            return Ok(());
        };
        self.free_ids.push(block.id);
        let call = Call::Free { id: u64::from(block.id) };
        self.push(freed.thread, block.domain, call, StackId(0), freed.address)
    }

    #[cold]
    fn lose(&mut self, address: u64) {
        self.blocks.remove(&address);
        self.domains.death(address);
        self.builder.trace_mut().source.doubt.lost_frees += 1;
    }

    #[inline]
    fn new_id(&mut self) -> u32 {
        self.free_ids.pop().unwrap_or_else(|| {
            self.ids = self.ids.saturating_add(1);
            self.ids
        })
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
        if let Some(freed) = self.freed.take() {
            // It can fail only where its birth has failed.
            let _ = self.free(&freed);
        }
        let at = self.builder.len();
        let span_ms = self.header.end_ms.saturating_sub(self.header.start_ms);
        let trace = self.builder.trace_mut();
        let time_ns = span_ms.saturating_mul(1_000_000);
        if trace.marks.last().is_some_and(|m| m.time_ns < time_ns) {
            trace.marks.push(TimeMark { at, time_ns, rss_bytes: None });
        }
        let source = &mut trace.source;
        source.records = Some(self.records);
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

/// Whether a free and a call of `function` can be the two records of one `realloc`.
fn is_realloc(
    freed: &Freed,
    in_pools: bool,
    thread: usize,
    function: Function,
    address: u64,
    size: u64,
) -> bool {
    if function.role() != Role::Birth(Kind::Realloc)
        || freed.thread != thread
        || freed.python != function.is_python()
    {
        return false;
    }
    match freed.block {
        // pymalloc's rule says whether a block in a pool moves, and it moves before the old one is freed.
        Some(block) if in_pools && block.class != NO_CLASS => {
            stays_in_place(block.class, size) == (address == freed.address)
        }
        _ => true,
    }
}

/// Threads have 16 bits; what comes after shares the last number.
fn dense(thread: usize) -> u16 {
    u16::try_from(thread).unwrap_or(u16::MAX)
}
