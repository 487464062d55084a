//! Replaceable tables, debug hooks and contents: what a run needs once it is not the plain stack.
//!
//! A machine without layers keeps no bytes and asks no table. With them every call goes through the
//! domain's table, each table asks the one below it, and pointers are addresses.

use super::fatal::Fatal;
use super::libc::Libc;
use std::fmt::Write as _;

use crate::addr::{Addr, Slot};
use crate::arena::ArenaBackend;
use crate::bytes::{Bytes, Unmapped};
use crate::debug_hooks::{self, DEADBYTE, ERASED_SIZE, Layout};
use crate::domains::{AllocatorTable, Allocators, Context, Domain, Functions, UserAllocator, UserState};
use crate::event::{Event, Function, NullReason, Observer};
use crate::pymalloc::{Pymalloc, Realloc};
use crate::raw::RawModel;
use crate::tape::SourceLine;
use crate::tracemalloc::{self, Frame, TracebackId, Tracemalloc};

/// Tables, contents and addresses.
#[derive(Clone, Debug)]
pub struct Layers {
    pub(super) allocators: Allocators,
    pub(super) bytes: Bytes,
    pub(super) libc: Libc,
    pub(super) user: Vec<UserState>,
    /// The program's pointers by slot.
    pub(super) pointers: Vec<Addr>,
    pub(super) layout: Layout,
    pub(super) tracemalloc: Tracemalloc,
    /// The tables that tracemalloc covers.
    saved: [AllocatorTable; 3],
    /// tracemalloc's thread-specific flag: set while one of its hooks is at work.
    reentrant: bool,
    /// The Python stack of the calls that come now, most recent frame first.
    stack: Vec<Frame>,
    /// Whether the calling thread has a thread state attached.
    pub(super) attached: bool,
    /// The pointer that the last operation with one returned, was given or wrote through.
    pub(super) touched: Addr,
    /// Free blocks whose first word a scenario overwrote with something that is no block.
    pub(super) wild: std::collections::BTreeMap<Addr, u64>,
}

impl Layers {
    pub(super) fn new(allocators: Allocators, pointer_bytes: u32, slots: usize) -> Self {
        Self {
            allocators,
            bytes: Bytes::default(),
            libc: Libc::new(pointer_bytes),
            user: Vec::new(),
            pointers: vec![Addr(0); slots],
            layout: Layout { word_bytes: pointer_bytes },
            tracemalloc: Tracemalloc::new(pointer_bytes),
            saved: [AllocatorTable::LIBC; 3],
            reentrant: false,
            stack: Vec::new(),
            attached: true,
            touched: Addr(0),
            wild: std::collections::BTreeMap::new(),
        }
    }

    /// tracemalloc's traces.
    pub fn tracemalloc(&self) -> &Tracemalloc {
        &self.tracemalloc
    }

    pub(super) fn set_stack(&mut self, lines: &[SourceLine]) {
        self.stack = lines
            .iter()
            .map(|l| Frame { filename: self.tracemalloc.file(&l.file), lineno: l.line })
            .collect();
    }

    fn traceback(&mut self) -> TracebackId {
        self.tracemalloc.traceback(&self.stack, self.stack.len())
    }

    /// `tracemalloc.start`: covers the three tables. A wrong limit is a `ValueError` and changes nothing.
    pub(super) fn start_tracemalloc(&mut self, nframe: i32) {
        let was_tracing = self.tracemalloc.is_tracing();
        if self.tracemalloc.start(nframe).is_ok() && !was_tracing {
            for domain in Domain::ALL {
                self.saved[domain as usize] = self.allocators.get(domain);
                let hook = AllocatorTable { ctx: Context::Saved(domain), functions: Functions::Tracemalloc };
                self.allocators.set(domain, hook);
            }
        }
    }

    /// `tracemalloc.stop`: the tables found at the start come back, whatever was installed since.
    pub(super) fn stop_tracemalloc(&mut self) {
        if self.tracemalloc.is_tracing() {
            self.tracemalloc.stop();
            for domain in Domain::ALL {
                self.allocators.set(domain, self.saved[domain as usize]);
            }
        }
    }

    pub(super) fn track(&mut self, domain: u32, slot: Slot, size: u64) {
        let traceback = self.traceback();
        self.touched = self.pointers[slot.0 as usize];
        self.tracemalloc.track(domain, self.pointers[slot.0 as usize], size, traceback);
    }

    pub(super) fn untrack(&mut self, domain: u32, slot: Slot) {
        self.touched = self.pointers[slot.0 as usize];
        self.tracemalloc.untrack(domain, self.pointers[slot.0 as usize]);
    }

    /// Installs a table of the scenario's own over the one in force.
    pub(super) fn install_user(&mut self, domain: Domain, kind: UserAllocator) {
        let at = self.user.len() as u16;
        let inner = self.allocators.get(domain);
        self.user.push(UserState { kind, inner, calls: [0; 4], requested_bytes: 0, used_bytes: 0 });
        self.allocators
            .set(domain, AllocatorTable { ctx: Context::User(at), functions: Functions::User(at) });
    }

    /// The tables in force.
    pub fn allocators(&self) -> &Allocators {
        &self.allocators
    }

    /// The contents of memory.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The pointer that the last operation with one returned, was given or wrote through; 0 before any.
    /// A freed block is found by it too.
    pub fn touched(&self) -> Addr {
        self.touched
    }

    /// Where debug hooks put size, id and pads.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The C library's blocks by address.
    pub fn libc(&self) -> &Libc {
        &self.libc
    }

    /// The tables of the scenario's own, in the order they were installed.
    pub fn user(&self) -> &[UserState] {
        &self.user
    }

    /// `_PyMem_DumpTraceback`: where a damaged block was allocated, if tracemalloc knows.
    fn write_traceback(&self, out: &mut String, p: Addr) {
        if !self.tracemalloc.is_tracing() {
            out.push_str("Enable tracemalloc to get the memory block allocation traceback\n\n");
            return;
        }
        let Some(id) = self.tracemalloc.get_traceback(0, p) else { return };
        let interner = self.tracemalloc.interner();
        out.push_str("Memory block allocated at (most recent call first):\n");
        for frame in interner.get(id).frames() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  File \"{}\", line {}", interner.filename(frame.filename), frame.lineno);
        }
        out.push('\n');
    }

    /// The tables that a call through a domain passes, top first.
    pub fn chain(&self, domain: Domain) -> Vec<AllocatorTable> {
        self.allocators.chain(domain, &|table| match table.ctx {
            Context::User(at) => self.user.get(usize::from(at)).map(|u| u.inner),
            Context::Saved(domain) => Some(self.saved[domain as usize]),
            _ => None,
        })
    }
}

/// How deep tables may call one another before it is taken for a circle. Real chains have five links.
const DEPTH_MAX: u32 = 64;

/// One call on its way down the tables.
pub(super) struct Stack<'a, A: ArenaBackend, O: Observer> {
    pub(super) pymalloc: &'a mut Pymalloc<A>,
    pub(super) raw: &'a mut RawModel,
    pub(super) layers: &'a mut Layers,
    pub(super) observer: &'a mut O,
    pub(super) py_ssize_t_max: u64,
    pub(super) depth: u32,
}

/// Writes into memory what pymalloc writes into blocks, and passes events on.
struct Writes<'a, O: Observer> {
    bytes: &'a mut Bytes,
    wild: &'a mut std::collections::BTreeMap<Addr, u64>,
    arena_size: u64,
    word_bytes: u32,
    met_wild: Option<(Addr, u64)>,
    observer: &'a mut O,
}

impl<O: Observer> Observer for Writes<'_, O> {
    const ENABLED: bool = true;
    fn event(&mut self, event: Event) {
        // Blocks lie in mapped arenas, so these writes cannot fail.
        let mut link = |at: Addr, to: u64| {
            let _ = self.bytes.set_word(at, self.word_bytes, to);
        };
        match event {
            Event::ArenaObtained { base, .. } => self.bytes.map(base, self.arena_size),
            Event::ArenaReleased { base, .. } => self.bytes.unmap(base),
            Event::BlockCarved { block, .. } => link(block, 0),
            Event::PoolInitialised { second, .. } => link(second, 0),
            Event::BlockPushed { block, next, .. } => {
                link(block, next.unwrap_or_default().0);
                self.wild.remove(&block);
            }
            Event::BlockPopped { block, .. } => {
                if let Some(link) = self.wild.remove(&block) {
                    self.met_wild = Some((block, link));
                }
            }
            _ => {}
        }
        // Observers that want no detail still want arenas; the others ignore all of it.
        self.observer.event(event);
    }
}

type Called<T> = Result<T, Fatal>;

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    /// `PyMem_RawMalloc`, `PyMem_Malloc`, `PyObject_Malloc`. Address 0 is NULL throughout.
    pub(super) fn malloc(&mut self, domain: Domain, nbytes: u64) -> Called<Addr> {
        if nbytes > self.py_ssize_t_max {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return Ok(Addr(0));
        }
        self.table_malloc(self.layers.allocators.get(domain), domain, nbytes)
    }

    /// `PyMem_RawCalloc`, `PyMem_Calloc`, `PyObject_Calloc`, with the product of the arguments.
    pub(super) fn calloc(&mut self, domain: Domain, nbytes: u64) -> Called<Addr> {
        if nbytes > self.py_ssize_t_max {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return Ok(Addr(0));
        }
        self.table_calloc(self.layers.allocators.get(domain), domain, nbytes)
    }

    /// `PyMem_RawRealloc`, `PyMem_Realloc`, `PyObject_Realloc`.
    pub(super) fn realloc(&mut self, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        if nbytes > self.py_ssize_t_max {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return Ok(Addr(0));
        }
        self.table_realloc(self.layers.allocators.get(domain), domain, p, nbytes)
    }

    /// `PyMem_RawFree`, `PyMem_Free`, `PyObject_Free`.
    pub(super) fn free(&mut self, domain: Domain, p: Addr) -> Called<()> {
        self.table_free(self.layers.allocators.get(domain), domain, p)
    }

    /// Reports a table being called, and refuses to follow a circle.
    fn enter(
        &mut self,
        table: AllocatorTable,
        domain: Domain,
        function: Function,
        nbytes: u64,
    ) -> Called<()> {
        self.observer.event(Event::TableCalled { domain, table, function, nbytes });
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Fatal::StackOverflow) } else { Ok(()) }
    }

    fn table_malloc(&mut self, table: AllocatorTable, domain: Domain, nbytes: u64) -> Called<Addr> {
        self.enter(table, domain, Function::Malloc, nbytes)?;
        let p = match (table.functions, table.ctx) {
            (Functions::Libc, _) => self.libc_malloc(domain, nbytes),
            (Functions::Pymalloc, _) => self.pymalloc_malloc(nbytes)?,
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_malloc(table, d, nbytes, false)?
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_alloc(d, nbytes, false)?,
            (Functions::User(at), _) => self.user_alloc(at, domain, Function::Malloc, nbytes)?,
            _ => Addr(0),
        };
        self.depth -= 1;
        Ok(p)
    }

    fn table_calloc(&mut self, table: AllocatorTable, domain: Domain, nbytes: u64) -> Called<Addr> {
        self.enter(table, domain, Function::Calloc, nbytes)?;
        let p = match (table.functions, table.ctx) {
            (Functions::Libc, _) => {
                let p = self.libc_malloc(domain, nbytes);
                self.fill(p, nbytes.max(1), 0)?;
                p
            }
            (Functions::Pymalloc, _) => {
                if let Some(p) = self.small_alloc(nbytes)? {
                    self.fill(p, nbytes, 0)?;
                    p
                } else {
                    let p = self.calloc(Domain::Raw, nbytes)?;
                    self.count_raw(p);
                    p
                }
            }
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_malloc(table, d, nbytes, true)?
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_alloc(d, nbytes, true)?,
            (Functions::User(at), _) => self.user_alloc(at, domain, Function::Calloc, nbytes)?,
            _ => Addr(0),
        };
        self.depth -= 1;
        Ok(p)
    }

    fn table_realloc(&mut self, table: AllocatorTable, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        self.enter(table, domain, Function::Realloc, nbytes)?;
        let new = match (table.functions, table.ctx) {
            (Functions::Libc, _) => self.libc_realloc(domain, p, nbytes)?,
            (Functions::Pymalloc, _) => self.pymalloc_realloc(p, nbytes)?,
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_realloc(table, d, p, nbytes)?
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_realloc(d, p, nbytes)?,
            (Functions::User(at), _) => self.user_realloc(at, domain, p, nbytes)?,
            _ => Addr(0),
        };
        self.depth -= 1;
        Ok(new)
    }

    fn table_free(&mut self, table: AllocatorTable, domain: Domain, p: Addr) -> Called<()> {
        self.enter(table, domain, Function::Free, 0)?;
        match (table.functions, table.ctx) {
            (Functions::Libc, _) => self.libc_free(domain, p)?,
            (Functions::Pymalloc, _) => self.pymalloc_free(p)?,
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_free(table, d, p)?;
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_free(d, p)?,
            (Functions::User(at), _) => {
                let user = &mut self.layers.user[usize::from(at)];
                user.note(Function::Free as usize, 0);
                let (inner, kind) = (user.inner, user.kind);
                if !matches!(kind, UserAllocator::Bump { .. }) {
                    self.table_free(inner, domain, p)?;
                }
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn fill(&mut self, at: Addr, len: u64, byte: u8) -> Called<()> {
        if at == Addr(0) {
            return Ok(());
        }
        self.layers.bytes.fill(at, len, byte).map_err(|e| segfault(e, "writing"))
    }

    // The C library.

    fn libc_malloc(&mut self, domain: Domain, nbytes: u64) -> Addr {
        let Layers { libc, bytes, .. } = self.layers;
        let (p, id) = libc.malloc(self.raw, bytes, nbytes);
        let label = self.raw.get(id).label;
        self.observer.event(Event::RawAllocated { label, nbytes, for_pymalloc: domain != Domain::Raw });
        p
    }

    fn libc_realloc(&mut self, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        if p == Addr(0) {
            return Ok(self.libc_malloc(domain, nbytes));
        }
        let Layers { libc, bytes, .. } = self.layers;
        let before = libc.get(p).map(|id| self.raw.get(id));
        let new = libc.realloc(self.raw, bytes, p, nbytes).map_err(Fatal::Libc)?;
        if let Some(before) = before {
            self.observer.event(Event::RawResized { label: before.label, from: before.nbytes, nbytes });
        }
        Ok(new)
    }

    fn libc_free(&mut self, domain: Domain, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        let Layers { libc, bytes, .. } = self.layers;
        let before = libc.get(p).map(|id| self.raw.get(id));
        let id = libc.free(bytes, p).map_err(Fatal::Libc)?;
        self.raw.free(id);
        if let Some(before) = before {
            let for_pymalloc = domain != Domain::Raw;
            self.observer.event(Event::RawFreed { label: before.label, nbytes: before.nbytes, for_pymalloc });
        }
        Ok(())
    }

    // pymalloc.

    /// Runs pymalloc with its writes going to memory.
    fn with_pymalloc<T>(&mut self, run: impl FnOnce(&mut Pymalloc<A>, &mut Writes<'_, O>) -> T) -> Called<T> {
        let Layers { bytes, wild, .. } = self.layers;
        let mut writes = Writes {
            bytes,
            wild,
            arena_size: self.pymalloc.profile().arena_size,
            word_bytes: self.pymalloc.profile().pointer_bytes,
            met_wild: None,
            observer: self.observer,
        };
        let result = run(self.pymalloc, &mut writes);
        match writes.met_wild {
            Some((block, link)) => Err(Fatal::WildFreeList { block, link }),
            None => Ok(result),
        }
    }

    fn small_alloc(&mut self, nbytes: u64) -> Called<Option<Addr>> {
        let block = self.with_pymalloc(|pymalloc, writes| pymalloc.alloc(nbytes, writes))?;
        Ok(block.map(|b| self.pymalloc.memory().block_addr(b)))
    }

    fn count_raw(&mut self, p: Addr) {
        if p != Addr(0) {
            self.pymalloc.raw_allocated_blocks += 1;
        }
    }

    fn pymalloc_malloc(&mut self, nbytes: u64) -> Called<Addr> {
        if let Some(p) = self.small_alloc(nbytes)? {
            return Ok(p);
        }
        // The public function: hooks on RAW see the fallback.
        let p = self.malloc(Domain::Raw, nbytes)?;
        self.count_raw(p);
        Ok(p)
    }

    /// The block an owned address lies in: `CPython` takes any address inside a pool for one.
    fn owned(&mut self, p: Addr) -> bool {
        let owned = self.pymalloc.address_in_range(p);
        self.observer.event(Event::AddressInRange { addr: p, owned });
        owned
    }

    fn block_at(&self, p: Addr) -> A::Block {
        let memory = self.pymalloc.memory();
        let pool_size = self.pymalloc.profile().pool_size;
        let pool = memory.pool_at(Addr(p.0 & !(pool_size - 1)));
        memory.block_in(pool, (p.0 & (pool_size - 1)) as u32)
    }

    fn pymalloc_free(&mut self, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        if !self.owned(p) {
            self.free(Domain::Raw, p)?;
            self.pymalloc.raw_allocated_blocks -= 1;
            return Ok(());
        }
        let block = self.block_at(p);
        self.with_pymalloc(|pymalloc, writes| pymalloc.free(block, writes))
    }

    fn pymalloc_realloc(&mut self, p: Addr, nbytes: u64) -> Called<Addr> {
        if p == Addr(0) {
            self.observer.event(Event::ReallocOfNull);
            return self.pymalloc_malloc(nbytes);
        }
        if !self.owned(p) {
            return self.realloc(Domain::Raw, p, nbytes);
        }
        match self.pymalloc.realloc_decision(self.block_at(p), nbytes) {
            Realloc::InPlace { block_size } => {
                self.observer.event(Event::ReallocInPlace { block: p, block_size, nbytes });
                Ok(p)
            }
            Realloc::Move { block_size, copied } => {
                self.observer.event(Event::ReallocMoves { block: p, block_size, nbytes, copied });
                let new = self.pymalloc_malloc(nbytes)?;
                if new != Addr(0) {
                    self.layers.bytes.copy(p, new, copied).map_err(|e| segfault(e, "copying"))?;
                    self.pymalloc_free(p)?;
                }
                Ok(new)
            }
        }
    }

    // Debug hooks. `domain` is the record's; the table below is what that record remembers.

    fn thread_check(&self, table: AllocatorTable, function: Function) -> Called<()> {
        if table.functions == Functions::Debug && !self.layers.attached {
            return Err(Fatal::NoThreadState { function: table.function_names()[function as usize] });
        }
        Ok(())
    }

    fn debug_malloc(
        &mut self,
        table: AllocatorTable,
        domain: Domain,
        nbytes: u64,
        zero: bool,
    ) -> Called<Addr> {
        self.thread_check(table, if zero { Function::Calloc } else { Function::Malloc })?;
        let layout = self.layers.layout;
        if nbytes > self.py_ssize_t_max - layout.extra() {
            return Ok(Addr(0));
        }
        let below = self.layers.allocators.debug[domain as usize];
        let wanted = nbytes + layout.extra();
        let q = if zero {
            self.table_calloc(below, domain, wanted)?
        } else {
            self.table_malloc(below, domain, wanted)?
        };
        if q == Addr(0) {
            return Ok(q);
        }
        let p = q.offset(layout.front());
        let bytes = &mut self.layers.bytes;
        layout
            .decorate(bytes, p, nbytes, domain)
            .and_then(|()| if zero { Ok(()) } else { layout.clean(bytes, p, nbytes) })
            .map_err(|e| segfault(e, "decorating a block"))?;
        Ok(p)
    }

    fn debug_check(&self, domain: Domain, p: Addr, function: &'static str) -> Called<()> {
        let Layers { layout, bytes, .. } = &*self.layers;
        let damage = debug_hooks::check(*layout, bytes, p, domain);
        match damage {
            Ok(None) => Ok(()),
            Err(e) => Err(segfault(e, "checking a block")),
            Ok(Some(damage)) => {
                let (mut dump, fault) = debug_hooks::dump(*layout, bytes, p);
                if let Some(e) = fault {
                    return Err(Fatal::Segfault {
                        addr: e.0,
                        doing: "reading a damaged block's tail",
                        printed: dump,
                    });
                }
                self.layers.write_traceback(&mut dump, p);
                Err(Fatal::Debug { function, damage, block: p, dump })
            }
        }
    }

    fn debug_free(&mut self, table: AllocatorTable, domain: Domain, p: Addr) -> Called<()> {
        self.thread_check(table, Function::Free)?;
        if p == Addr(0) {
            return Ok(());
        }
        self.debug_check(domain, p, "_PyMem_DebugRawFree")?;
        let layout = self.layers.layout;
        let q = layout.inner(p);
        let bytes = &mut self.layers.bytes;
        layout
            .stored_size(bytes, p)
            .and_then(|nbytes| layout.kill(bytes, q, nbytes + layout.extra()))
            .map_err(|e| segfault(e, "killing a block"))?;
        self.table_free(self.layers.allocators.debug[domain as usize], domain, q)
    }

    fn debug_realloc(&mut self, table: AllocatorTable, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        self.thread_check(table, Function::Realloc)?;
        if p == Addr(0) {
            return self.debug_malloc(table, domain, nbytes, false);
        }
        self.debug_check(domain, p, "_PyMem_DebugRawRealloc")?;
        let layout = self.layers.layout;
        if nbytes > self.py_ssize_t_max - layout.extra() {
            return Ok(Addr(0));
        }
        let fault = |e| segfault(e, "reallocating a block");
        let old = layout.stored_size(&self.layers.bytes, p).map_err(fault)?;
        let saved = self.save_and_erase(p, old).map_err(fault)?;
        let below = self.layers.allocators.debug[domain as usize];
        let r = self.table_realloc(below, domain, layout.inner(p), nbytes + layout.extra())?;
        let (data, len) = if r == Addr(0) { (p, old) } else { (r.offset(layout.front()), nbytes) };
        let bytes = &mut self.layers.bytes;
        layout
            .decorate(bytes, data, len, domain)
            .and_then(|()| saved.restore(bytes, data, len))
            .and_then(|()| {
                if r != Addr(0) && nbytes > old {
                    layout.clean(bytes, data.offset(old), nbytes - old)
                } else {
                    Ok(())
                }
            })
            .map_err(fault)?;
        Ok(if r == Addr(0) { r } else { data })
    }

    /// Keeps the edges of a block (all of a small one) and overwrites them with header and pads.
    fn save_and_erase(&mut self, p: Addr, old: u64) -> Result<Saved, Unmapped> {
        let layout = self.layers.layout;
        let bytes = &mut self.layers.bytes;
        let q = layout.inner(p);
        if old <= 2 * ERASED_SIZE {
            let first = bytes.read(p, old)?;
            bytes.fill(q, old + layout.extra(), DEADBYTE)?;
            return Ok(Saved { first, last: Vec::new(), last_at: old });
        }
        let last_at = old - ERASED_SIZE;
        let first = bytes.read(p, ERASED_SIZE)?;
        let last = bytes.read(p.offset(last_at), ERASED_SIZE)?;
        bytes.fill(q, layout.front() + ERASED_SIZE, DEADBYTE)?;
        bytes.fill(p.offset(last_at), ERASED_SIZE + u64::from(layout.word_bytes), DEADBYTE)?;
        Ok(Saved { first, last, last_at })
    }

    // tracemalloc's hooks. They record what the outermost call asked for, in tracemalloc's domain 0.

    fn traced_alloc(&mut self, domain: Domain, nbytes: u64, zero: bool) -> Called<Addr> {
        let outer = !std::mem::replace(&mut self.layers.reentrant, true);
        let below = self.layers.saved[domain as usize];
        let result = if zero {
            self.table_calloc(below, domain, nbytes)
        } else {
            self.table_malloc(below, domain, nbytes)
        };
        self.layers.reentrant = !outer;
        let p = result?;
        if outer && p != Addr(0) && self.record(p, nbytes).is_err() {
            self.table_free(below, domain, p)?;
            return Ok(Addr(0));
        }
        Ok(p)
    }

    fn record(&mut self, p: Addr, nbytes: u64) -> Result<(), tracemalloc::OutOfMemory> {
        let traceback = self.layers.traceback();
        self.layers.tracemalloc.add(0, p, nbytes, traceback)
    }

    fn traced_realloc(&mut self, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        let outer = !std::mem::replace(&mut self.layers.reentrant, true);
        let below = self.layers.saved[domain as usize];
        let result = self.table_realloc(below, domain, p, nbytes);
        self.layers.reentrant = !outer;
        let q = result?;
        // A realloc that failed keeps the old block's trace.
        if outer && q != Addr(0) {
            if p != Addr(0) && q != p {
                self.layers.tracemalloc.remove(0, p);
            }
            if self.record(q, nbytes).is_err() {
                if p != Addr(0) {
                    return Err(Fatal::TraceLost);
                }
                self.table_free(below, domain, q)?;
                return Ok(Addr(0));
            }
        }
        Ok(q)
    }

    /// First the memory, then the trace; the flag is looked at but not set.
    fn traced_free(&mut self, domain: Domain, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        self.table_free(self.layers.saved[domain as usize], domain, p)?;
        if !self.layers.reentrant {
            self.layers.tracemalloc.remove(0, p);
        }
        Ok(())
    }

    // Tables of the scenario's own.

    fn user_alloc(&mut self, at: u16, domain: Domain, function: Function, nbytes: u64) -> Called<Addr> {
        let user = &mut self.layers.user[usize::from(at)];
        if user.note(function as usize, nbytes) {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return Ok(Addr(0));
        }
        let (inner, kind) = (user.inner, user.kind);
        match kind {
            UserAllocator::Bump { bytes } => Ok(self.bump(at, bytes, nbytes)),
            _ if function == Function::Calloc => self.table_calloc(inner, domain, nbytes),
            _ => self.table_malloc(inner, domain, nbytes),
        }
    }

    fn user_realloc(&mut self, at: u16, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        let user = &mut self.layers.user[usize::from(at)];
        if user.note(Function::Realloc as usize, nbytes) {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return Ok(Addr(0));
        }
        let (inner, kind) = (user.inner, user.kind);
        let UserAllocator::Bump { bytes } = kind else {
            return self.table_realloc(inner, domain, p, nbytes);
        };
        let new = self.bump(at, bytes, nbytes);
        if p != Addr(0) && new != Addr(0) {
            // It does not know the old size; it copies what may be there, up to the new one.
            let known = new.bytes_from(p).min(nbytes);
            self.layers.bytes.copy(p, new, known).map_err(|e| segfault(e, "copying"))?;
        }
        Ok(new)
    }

    fn bump(&mut self, at: u16, room: u64, nbytes: u64) -> Addr {
        let base = Addr(0x6000_0000_0000 + (u64::from(at) << 36));
        let user = &mut self.layers.user[usize::from(at)];
        let wanted = nbytes.max(1).next_multiple_of(16);
        if room - user.used_bytes < wanted {
            return Addr(0);
        }
        if user.used_bytes == 0 {
            self.layers.bytes.map(base, room);
        }
        let p = base.offset(user.used_bytes);
        user.used_bytes += wanted;
        p
    }
}

/// The edges of a block during a realloc.
struct Saved {
    first: Vec<u8>,
    last: Vec<u8>,
    /// Where `last` begins, in bytes from the data's start.
    last_at: u64,
}

impl Saved {
    /// Writes them back, as far as they lie within `len` bytes.
    fn restore(&self, bytes: &mut Bytes, data: Addr, len: u64) -> Result<(), Unmapped> {
        let clip = |part: &[u8], at: u64| len.saturating_sub(at).min(part.len() as u64) as usize;
        bytes.write(data, &self.first[..clip(&self.first, 0)])?;
        bytes.write(data.offset(self.last_at), &self.last[..clip(&self.last, self.last_at)])
    }
}

fn segfault(fault: Unmapped, doing: &'static str) -> Fatal {
    Fatal::Segfault { addr: fault.0, doing, printed: String::new() }
}
