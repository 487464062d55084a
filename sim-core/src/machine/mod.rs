//! The whole stack assembled: entry points, pymalloc and the C library, applied one operation at a time.
//!
//! The plain stack is what `CPython` runs by default, without contents and without tables to ask; it is
//! what replay at full speed needs. With [`Layers`] every call goes through replaceable tables, debug hooks
//! write and check bytes, and what would end a process stops the machine as a [`Fatal`].

mod begin;
mod broken;
mod fatal;
mod interpreters;
mod layered;
mod layers;
mod libc;
mod mimalloc;
mod plain;
mod quick;
mod saved;
mod stack;
mod start;
mod undo;

pub use fatal::Fatal;
pub use interpreters::Interpreters;
pub use layers::{Layers, MallocStats};
pub use libc::{Libc, LibcAbort};
pub use mimalloc::MiRun;
pub(crate) use saved::SavedMachine;
pub use start::{StartClass, StartError, StartPicture};
pub(crate) use undo::UndoLog;

use crate::addr::{Addr, Slot};
use crate::arena::{ArenaBackend, SimArenas, Target};
use crate::domains::{AllocatorName, AllocatorTable, Allocators, Domain};
use crate::event::{Event, Observer};
use crate::paged::Paged;
use crate::picture::PictureError;
use crate::profile::{Profile, ProfileError};
use crate::pymalloc::{Pymalloc, Violation};
use crate::raw::RawModel;
use crate::tape::{Action, Kind, Packed, TableChoice, Trace};

/// `CPython`'s allocator stack with a program's pointers.
#[derive(Clone, Debug)]
pub struct Machine<A: ArenaBackend = SimArenas> {
    pymalloc: Pymalloc<A>,
    raw: RawModel,
    pointers: Paged<A::Ptr>,
    py_ssize_t_max: u64,
    layers: Option<Box<Layers>>,
    interpreters: Option<Box<Interpreters<A::Pool>>>,
    mimalloc: Option<Box<MiRun>>,
    /// Whether there is neither of the two: what replay at full speed asks.
    plain: bool,
    stopped: Option<Box<Fatal>>,
    /// Blocks from before the trace, which no pointer names.
    start_blocks: u64,
}

impl Machine<SimArenas> {
    /// A pristine stack over simulated arenas, for a trace that uses `slots` slots.
    pub fn simulated(profile: &Profile, slots: u32) -> Result<Self, ProfileError> {
        profile.validate()?;
        Ok(Self::new(profile, SimArenas::new(profile), slots))
    }

    /// A stack as a trace wants it: with its `PYTHONMALLOC` unless another is given, and with layers where its operations need
    /// them; pristine, unless the trace begins with the picture of a process.
    pub fn for_trace(
        profile: &Profile,
        trace: &Trace,
        malloc: Option<AllocatorName>,
    ) -> Result<Self, ProfileError> {
        if trace.has_interpreters() {
            profile.check_interpreters()?;
        }
        let mut machine = Self::simulated(profile, trace.slot_count())?;
        let name = malloc.or(trace.head.malloc).unwrap_or(AllocatorName::Default);
        Self::check(profile, trace, name)?;
        if trace.needs_layers() || trace.prints_malloc_stats() {
            machine.setup_layers(name);
        } else {
            machine.setup(name);
        }
        if let Some(layers) = machine.layers.as_deref_mut().filter(|_| trace.prints_malloc_stats()) {
            layers.malloc_stats = Some(MallocStats::default());
        }
        if let Some(picture) = &trace.origin.picture {
            let begun = picture.main().ok_or(PictureError::NoHeap).and_then(|heap| machine.begin_with(heap));
            begun.map_err(|error| ProfileError::Picture { problem: error.to_string() })?;
        }
        Ok(machine)
    }

    /// Whether it is the plain stack, which replays at full speed.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Bytes that the simulated state takes: memory, tables, the C library's blocks and the pointers.
    pub fn state_bytes(&self) -> u64 {
        self.pymalloc.memory().state_bytes()
            + self.pymalloc.table_bytes()
            + self.raw.state_bytes()
            + self.pointers.state_bytes()
            + self.layers.as_ref().map_or(0, |l| l.state_bytes())
            + self.interpreters.as_ref().map_or(0, |i| i.state_bytes())
            + self.mimalloc.as_ref().map_or(0, |m| m.state_bytes())
    }
}

impl<A: ArenaBackend> Machine<A> {
    /// A pristine stack over `memory`. The profile must have passed [`Profile::validate`].
    pub fn new(profile: &Profile, memory: A, slots: u32) -> Self {
        Self {
            pymalloc: Pymalloc::new(profile, memory),
            raw: RawModel::new(profile.pointer_bytes),
            pointers: Paged::new(A::Ptr::default(), slots as usize),
            py_ssize_t_max: profile.py_ssize_t_max(),
            layers: None,
            interpreters: None,
            mimalloc: None,
            plain: true,
            stopped: None,
            start_blocks: 0,
        }
    }

    /// Makes room for a trace that turned out to use more slots.
    pub fn grow(&mut self, slots: u32) {
        let slots = slots as usize;
        if slots > self.pointers.len() {
            self.pointers.grow(slots, A::Ptr::default());
            if let Some(layers) = &mut self.layers {
                layers.pointers.resize(slots, Addr(0));
            }
            if let Some(run) = &mut self.mimalloc {
                run.grow(slots);
            }
        }
    }

    /// Runs as with `PYTHONMALLOC=name`, which the build must know. To be called before the first operation.
    /// The default stack and plain mimalloc need no layers and get none.
    pub fn setup(&mut self, name: AllocatorName) {
        let layered = matches!(name, AllocatorName::Malloc) || name.is_debug();
        self.setup_tables(name, layered);
    }

    fn setup_layers(&mut self, name: AllocatorName) {
        self.setup_tables(name, true);
    }

    fn setup_tables(&mut self, name: AllocatorName, layered: bool) {
        let profile = self.pymalloc.profile();
        let mut allocators = Allocators { build: profile.into(), ..Allocators::default() };
        allocators.setup(name);
        let slots = self.pointers.len();
        self.mimalloc = if name.is_mimalloc(allocators.build) {
            MiRun::new(profile, allocators.clone(), slots).map(Box::new)
        } else {
            None
        };
        self.layers = layered.then(|| Box::new(Layers::new(allocators, profile.pointer_bytes, slots)));
        self.plain = self.layers.is_none() && self.mimalloc.is_none();
    }

    /// Tables and contents, where this run has them.
    pub fn layers(&self) -> Option<&Layers> {
        self.layers.as_deref()
    }

    /// What would have ended the process; from then on operations do nothing.
    pub fn stopped(&self) -> Option<&Fatal> {
        self.stopped.as_deref()
    }

    /// Whether `_PyObject_DebugMallocStats` would print pymalloc's block.
    pub fn pymalloc_enabled(&self) -> bool {
        self.plain || self.allocators().pymalloc_enabled()
    }

    /// The small-block allocator.
    pub fn pymalloc(&self) -> &Pymalloc<A> {
        &self.pymalloc
    }

    /// The C library.
    pub fn raw(&self) -> &RawModel {
        &self.raw
    }

    /// What a slot's pointer is.
    pub fn target(&self, slot: Slot) -> Target<A::Block> {
        A::target(self.pointers.get(slot.0 as usize))
    }

    /// All slots whose pointer is not NULL.
    pub fn live(&self) -> impl Iterator<Item = (Slot, Target<A::Block>)> + '_ {
        (0..)
            .map(Slot)
            .zip(self.pointers.as_slice().iter().map(|&p| A::target(p)))
            .filter(|(_, t)| !matches!(t, Target::Null))
    }

    /// Does the operation of a trace after `index` others, an action too.
    #[inline]
    pub fn step<O: Observer>(&mut self, trace: &Trace, index: usize, observer: &mut O) -> A::Ptr {
        let op = trace.packed(index);
        // A plain run has nothing that an action could change.
        if self.plain { self.apply_plain(op, observer) } else { self.step_other(trace, index, op, observer) }
    }

    #[inline(never)]
    fn step_other<O: Observer>(
        &mut self,
        trace: &Trace,
        index: usize,
        op: Packed,
        observer: &mut O,
    ) -> A::Ptr {
        self.note_caller(trace, index);
        if op.kind != Kind::Act {
            return self.apply_other(op, observer);
        }
        match trace.action(op.size) {
            Some(action) if action.of_mimalloc().is_some() => self.act_on_mimalloc(op, action, observer),
            Some(action) => self.act(trace, op.domain, op.slot, action, observer),
            None => {}
        }
        A::Ptr::default()
    }

    /// Does an action. Without layers there is nothing that one could change.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is not general enough over lifetimes"
    )]
    fn act<O: Observer>(
        &mut self,
        trace: &Trace,
        domain: Domain,
        slot: Slot,
        action: Action,
        observer: &mut O,
    ) {
        let Some(layers) = self.layers.as_deref_mut() else { return };
        if self.stopped.is_some() {
            return;
        }
        layers.begin_step();
        match action {
            Action::SetupDebugHooks => layers.allocators.setup_debug_hooks(),
            Action::ThreadState { attached } => {
                layers.set_attached(attached);
                if let Some(run) = self.mimalloc.as_deref_mut() {
                    run.heap.set_attached(run.thread, attached, observer);
                }
            }
            Action::SetAllocator(choice) => match choice {
                TableChoice::Libc => layers.allocators.set(domain, AllocatorTable::LIBC),
                TableChoice::Pymalloc => layers.allocators.set(domain, AllocatorTable::PYMALLOC),
                TableChoice::User(kind) => layers.install_user(domain, kind),
            },
            Action::Stack(stack) => layers.set_stack(&trace.origin.stacks, stack),
            Action::TracemallocStart(nframe) => layers.start_tracemalloc(nframe),
            Action::TracemallocStop => self.with_stack(observer, |stack| stack.stop_tracemalloc()),
            Action::TracemallocClear => self.with_stack(observer, |stack| stack.clear_traces()),
            Action::TracemallocResetPeak => layers.tracemalloc.reset_peak(),
            Action::Track { domain, size, .. } => {
                self.with_stack(observer, |stack| stack.track(domain, slot, size));
            }
            Action::Untrack { domain, .. } => self.with_stack(observer, |stack| stack.untrack(domain, slot)),
            Action::TracemallocSnapshot(name) => {
                let traces = layers.keep_snapshot(trace.name_of(name));
                observer.event(Event::SnapshotTaken { traces });
            }
            Action::SetArenaAllocator(choice) => self.set_arena_allocator(choice),
            Action::VirtualAlloc { size, .. } => self.virtual_alloc(slot, size, observer),
            Action::VirtualFree { .. } => self.virtual_free(slot, observer),
            Action::InterpreterNew { number, own_obmalloc } => {
                self.interpreter_new(number, own_obmalloc, observer);
            }
            Action::InterpreterSwitch(number) => self.interpreter_switch(number, observer),
            Action::InterpreterEnd(number) => self.interpreter_end(number, observer),
            Action::Poke { offset, bytes, .. } => self.poke(slot, offset, bytes.as_slice()),
            Action::HeapCollect { .. }
            | Action::ThreadExit
            | Action::HeapWalk { .. }
            | Action::Quiescent
            | Action::FreeDelayed { .. }
            | Action::ProcessDelayed => {}
        }
    }

    /// Does one operation and returns the pointer that the call returned (NULL for free).
    #[inline]
    pub fn apply<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        if self.plain { self.apply_plain(op, observer) } else { self.apply_other(op, observer) }
    }

    #[inline(never)]
    fn apply_other<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        if self.layers.is_some() {
            self.apply_layered(op, observer)
        } else {
            self.apply_mimalloc(op, observer)
        }
    }

    /// Checks the whole heap and that the program's pointers and the heap agree.
    pub fn verify(&self) -> Result<(), Violation> {
        self.pymalloc.verify()?;
        self.verify_mimalloc()?;
        if !self.plain {
            // Under debug hooks pointers lie inside blocks, and a scenario may have broken what it likes.
            return Ok(());
        }
        let bad = |detail: String| Err(Violation { rule: "pointers", detail });
        let memory = self.pymalloc.memory();
        let (mut blocks, mut raw) = (0_u64, 0_u64);
        let mut seen = std::collections::BTreeSet::new();
        for (slot, target) in self.live() {
            match target {
                Target::Block(block) => {
                    blocks += 1;
                    let addr = memory.block_addr(block);
                    if !self.pymalloc.address_in_range(addr) || !seen.insert(addr) {
                        return bad(format!("{slot:?} holds {addr}, which is free or another's"));
                    }
                }
                Target::Raw(_) => raw += 1,
                Target::Null => {}
            }
        }
        let used: u64 = self
            .pymalloc
            .live_arenas()
            .flat_map(|i| self.pymalloc.carved_pools(i))
            .map(|p| u64::from(memory.header(p).ref_count))
            .sum();
        if used != blocks + self.start_blocks || raw != self.raw.live_blocks() {
            return bad(format!(
                "{used} blocks used for {blocks} pointers and {} from before the trace, {} raw for {raw}",
                self.start_blocks,
                self.raw.live_blocks()
            ));
        }
        for arena in self.pymalloc.live_arenas() {
            for pool in self.pymalloc.carved_pools(arena) {
                if let Some(block) =
                    self.pymalloc.free_list(pool).find(|&b| seen.contains(&memory.block_addr(b)))
                {
                    return bad(format!("{} is live and on a free list", memory.block_addr(block)));
                }
            }
        }
        Ok(())
    }

    /// The address in a slot, where this run has one: with layers always, without them for mimalloc's blocks.
    pub fn address(&self, slot: Slot) -> Option<Addr> {
        match &self.layers {
            Some(layers) => Some(layers.pointers[slot.0 as usize]),
            None => self.mimalloc_address(slot),
        }
    }
}
