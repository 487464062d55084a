//! Replaceable tables, debug hooks and contents: what a run needs once it is not the plain stack.
//!
//! A machine without layers keeps no bytes and asks no table. With them every call goes through the
//! domain's table, each table asks the one below it, and pointers are addresses.

use super::broken::Broken;
use super::libc::Libc;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::addr::{Addr, Slot};
use crate::bytes::Bytes;
use crate::debug_hooks::Layout;
use crate::domains::{
    AllocatorTable, Allocators, Context, Domain, Functions, LoggedCall, UserAllocator, UserState,
};
use crate::tape::{StackId, Stacks};
use crate::tracemalloc::{FileId, Frame, Snapshot, TracebackId, Tracemalloc, take_snapshot};

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
    pub(super) saved: [AllocatorTable; 3],
    /// tracemalloc's thread-specific flag: set while one of its hooks is at work.
    pub(super) reentrant: bool,
    /// The Python stack of the calls that come now, most recent frame first.
    stack: Vec<Frame>,
    /// The recorded stack that it is, while tracemalloc is tracing.
    own_stack: Option<StackId>,
    /// The thread of the operation that comes now.
    pub(super) thread: u16,
    /// Threads that gave up their thread state.
    detached: BTreeSet<u16>,
    /// The pointer that the last operation with one returned, was given or wrote through.
    pub(super) touched: Addr,
    /// Slots whose block was freed and whose pointer the program kept.
    pub(super) kept: BTreeSet<Slot>,
    /// What the last call returned.
    pub(super) returned: Addr,
    /// pymalloc's heap on bytes, once the program broke it.
    pub(super) broken: Option<Box<Broken>>,
    /// Free blocks of mimalloc's whose first word a scenario overwrote with something that is no block.
    pub(super) wild: BTreeMap<Addr, u64>,
    /// What `PYTHONMALLOCSTATS` printed, where it is set.
    pub(super) malloc_stats: Option<MallocStats>,
    /// tracemalloc's records, where RAW's table, from which they come, would do something with them.
    pub(super) records: Option<TraceRecords>,
    snapshots: BTreeMap<String, Arc<Snapshot>>,
    log: VecDeque<LoggedCall>,
}

/// Blocks that tracemalloc took from RAW's table.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceRecords {
    /// `trace_t` by tracemalloc's domain and block.
    pub(super) traces: BTreeMap<(u32, Addr), Addr>,
    /// Interned tracebacks, in the order they came.
    pub(super) tracebacks: Vec<Addr>,
}

/// The reports of `PYTHONMALLOCSTATS`. Only the last operation's are kept.
#[derive(Clone, Debug, Default)]
pub struct MallocStats {
    /// Reports printed so far.
    pub printed: u64,
    /// Those that the last operation printed, one after the other.
    pub text: String,
}

/// Calls that logging tables remember, all together.
const LOGGED_MAX: usize = 1000;

impl Layers {
    /// A function as fatal errors name it, in versions that do.
    pub(super) fn fatal_function(&self, function: &'static str) -> Option<&'static str> {
        (!self.allocators.build.fatal_without_function).then_some(function)
    }

    pub(super) fn new(allocators: Allocators, pointer_bytes: u32, slots: usize) -> Self {
        let tracemalloc = allocators.build.tracemalloc;
        Self {
            allocators,
            bytes: Bytes::default(),
            libc: Libc::new(pointer_bytes),
            user: Vec::new(),
            pointers: vec![Addr(0); slots],
            layout: Layout { word_bytes: pointer_bytes },
            tracemalloc: Tracemalloc::new(pointer_bytes, tracemalloc),
            saved: [AllocatorTable::LIBC; 3],
            reentrant: false,
            stack: Vec::new(),
            own_stack: None,
            thread: 0,
            detached: BTreeSet::new(),
            touched: Addr(0),
            kept: BTreeSet::new(),
            returned: Addr(0),
            broken: None,
            wild: BTreeMap::new(),
            malloc_stats: None,
            records: None,
            snapshots: BTreeMap::new(),
            log: VecDeque::new(),
        }
    }

    /// About how many bytes these tables and contents take.
    pub fn state_bytes(&self) -> u64 {
        let (live, freed) = self.libc.counts();
        // B-trees are about two thirds full; a trace and its traceback are counted as in CPython.
        self.bytes.state_bytes()
            + (self.pointers.len() * 8 + live * 20 + freed * 12 + self.wild.len() * 24) as u64
            + self.tracemalloc.get_tracemalloc_memory()
    }

    /// tracemalloc's traces.
    pub fn tracemalloc(&self) -> &Tracemalloc {
        &self.tracemalloc
    }

    /// What `PYTHONMALLOCSTATS` printed; `None` where it is not set.
    pub fn malloc_stats(&self) -> Option<&MallocStats> {
        self.malloc_stats.as_ref()
    }

    /// Snapshots that the program took, by name.
    pub fn snapshots(&self) -> &BTreeMap<String, Arc<Snapshot>> {
        &self.snapshots
    }

    /// The last 1000 calls of logging tables, oldest first.
    pub fn log(&self) -> &VecDeque<LoggedCall> {
        &self.log
    }

    /// The calling thread attaches or detaches its thread state.
    pub(super) fn set_attached(&mut self, attached: bool) {
        if attached {
            self.detached.remove(&self.thread);
        } else {
            self.detached.insert(self.thread);
        }
    }

    /// Whether the calling thread has its thread state attached: `PyGILState_Check` compares its own.
    pub(super) fn is_attached(&self) -> bool {
        !self.detached.contains(&self.thread)
    }

    pub(super) fn begin_step(&mut self) {
        if let Some(stats) = &mut self.malloc_stats {
            stats.text.clear();
        }
    }

    pub(super) fn note_logged(&mut self, call: LoggedCall) {
        if self.log.len() == LOGGED_MAX {
            self.log.pop_front();
        }
        self.log.push_back(call);
    }

    /// `take_snapshot()` under a name; how many traces it has, `None` for the `RuntimeError`.
    pub(super) fn keep_snapshot(&mut self, name: &str) -> Option<u64> {
        let snapshot = take_snapshot(&self.tracemalloc).ok()?;
        let traces = snapshot.traces().len() as u64;
        self.snapshots.insert(name.to_owned(), Arc::new(snapshot));
        Some(traces)
    }

    pub(super) fn set_stack(&mut self, stacks: &Stacks, stack: StackId) {
        self.own_stack = None;
        self.stack = stacks
            .frames(stack)
            .filter_map(|frame| stacks.frame_at(frame))
            .map(|f| {
                let name = stacks.text(f.file);
                let filename = if name.is_empty() { FileId::UNKNOWN } else { self.tracemalloc.file(name) };
                Frame { filename, lineno: f.line }
            })
            .collect();
    }

    /// The operation that comes now has a stack of its own, as in a recording.
    pub(super) fn note_stack(&mut self, stacks: &Stacks, stack: StackId) {
        if self.tracemalloc.is_tracing() && self.own_stack != Some(stack) {
            self.set_stack(stacks, stack);
            self.own_stack = Some(stack);
        }
    }

    pub(super) fn traceback(&mut self) -> TracebackId {
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
            let watched = is_watched(&self.chain_from(self.saved[Domain::Raw as usize]));
            self.records = watched.then(TraceRecords::default);
        }
    }

    /// Whether what is asked of RAW is seen by a table that would do something with it: one of the scenario's own, or
    /// pymalloc's.
    pub(super) fn raw_is_watched(&self) -> bool {
        is_watched(&self.chain(Domain::Raw))
    }

    /// Whether debug hooks fill what RAW gives.
    pub(super) fn raw_is_filled(&self) -> bool {
        self.chain(Domain::Raw).iter().any(|table| table.functions == Functions::DebugRaw)
    }

    /// The table that RAW's calls passed before the scenario installed tables of its own.
    pub(super) fn raw_before_users(&self) -> AllocatorTable {
        let chain = self.chain(Domain::Raw);
        let user =
            |table: &AllocatorTable| matches!(table.functions, Functions::User(_) | Functions::Pymalloc);
        let last = chain.iter().rposition(user);
        last.and_then(|at| chain.get(at + 1)).copied().unwrap_or(AllocatorTable::LIBC)
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

    /// What the last call returned; 0 for NULL and after what returns nothing.
    pub fn returned(&self) -> Addr {
        self.returned
    }

    /// Whether the program overwrote pymalloc's headers or links, or used a pointer after it freed its block.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
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
    pub(super) fn write_traceback(&self, out: &mut String, p: Addr) {
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
        self.chain_from(self.allocators.get(domain))
    }

    fn chain_from(&self, table: AllocatorTable) -> Vec<AllocatorTable> {
        self.allocators.chain(table, &|table| match table.ctx {
            Context::User(at) => self.user.get(usize::from(at)).map(|u| u.inner),
            Context::Saved(domain) => Some(self.saved[domain as usize]),
            _ => None,
        })
    }
}

/// Whether a table of these does something with a call but check it, count it as tracemalloc does, and ask the C library.
fn is_watched(chain: &[AllocatorTable]) -> bool {
    let user = chain.iter().any(|table| matches!(table.functions, Functions::User(_)));
    user || chain.last().is_some_and(|table| table.functions != Functions::Libc)
}
