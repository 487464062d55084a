//! Runs whose MEM and OBJ are mimalloc's, without layers: blocks by slot instead of addresses.

use super::{Fatal, Machine};
use crate::addr::{Addr, Slot};
use crate::arena::{ArenaBackend, Target};
use crate::domains::{AllocatorName, Allocators, Domain, ObjectHeap};
use crate::event::{Event, MiEvent, NullReason, Observer};
use crate::mimalloc::{BadFree, BlockId, Config, Mimalloc, ReallocDecision};
use crate::profile::{Profile, ProfileError};
use crate::pymalloc::Violation;
use crate::tape::{Action, Kind, Packed, Trace};

/// mimalloc with the program's blocks.
#[derive(Clone, Debug)]
pub struct MiRun {
    pub(super) heap: Mimalloc,
    /// The tables in force where there are no layers.
    pub(super) allocators: Allocators,
    /// Blocks by slot, where there are no layers.
    blocks: Vec<BlockId>,
    /// Who calls.
    pub(super) thread: u16,
    /// What kind of object is asked for.
    pub(super) object_heap: ObjectHeap,
    /// What the last operation returned: a block of mimalloc, or with layers any pointer.
    pub(super) returned: BlockId,
    pub(super) returned_addr: Addr,
}

impl MiRun {
    pub(super) fn new(profile: &Profile, allocators: Allocators, slots: usize) -> Option<Self> {
        let heap = Mimalloc::new(Config { version: profile.mimalloc_version()?, build: profile.mimalloc });
        Some(Self {
            heap,
            allocators,
            blocks: vec![BlockId::NULL; slots],
            thread: 0,
            object_heap: ObjectHeap::Object,
            returned: BlockId::NULL,
            returned_addr: Addr(0),
        })
    }

    /// Bytes that it takes.
    pub(super) fn state_bytes(&self) -> u64 {
        self.heap.state_bytes() + (self.blocks.len() * size_of::<BlockId>()) as u64
    }

    /// Makes room for more slots.
    pub(super) fn grow(&mut self, slots: usize) {
        self.blocks.resize(slots, BlockId::NULL);
    }

    /// The heap that a call through a domain takes from.
    #[inline]
    pub(super) fn heap_for<O: Observer>(&mut self, domain: Domain, observer: &mut O) -> u32 {
        match domain {
            Domain::Raw => self.heap.default_heap(self.thread, observer),
            Domain::Mem => self.heap.heap(self.thread, 0, observer),
            Domain::Obj => self.heap.heap(self.thread, self.object_heap.tag(), observer),
        }
    }

    /// Where the last operation's pointer lies: segment ordinal and offset, with its page where it is a block.
    pub fn returned_place(&self) -> Option<(u32, u64, u32)> {
        let addr = self.returned_addr()?;
        let page = if self.returned.is_null() { self.heap.page_around(addr)? } else { self.returned.page };
        let (ordinal, offset) = self.heap.place_of(addr)?;
        Some((ordinal, offset, page))
    }

    /// What the last operation returned, where that was an address; NULL has none, nor has a block of the C
    /// library in a run without layers.
    pub fn returned_addr(&self) -> Option<Addr> {
        if self.returned.is_null() {
            Some(self.returned_addr).filter(|&addr| addr != Addr(0))
        } else {
            Some(self.heap.block_addr(self.returned))
        }
    }

    /// All of mimalloc's state.
    pub fn heap(&self) -> &Mimalloc {
        &self.heap
    }
}

impl<A: ArenaBackend> Machine<A> {
    /// mimalloc, where this run uses it.
    pub fn mimalloc(&self) -> Option<&MiRun> {
        self.mimalloc.as_deref()
    }

    /// The tables in force.
    pub fn allocators(&self) -> Allocators {
        match (&self.layers, &self.mimalloc) {
            (Some(layers), _) => layers.allocators().clone(),
            (None, Some(run)) => run.allocators.clone(),
            (None, None) => Allocators::default(),
        }
    }

    /// Whether a build takes a `PYTHONMALLOC`, and a run with it the trace's operations.
    pub(super) fn check(profile: &Profile, trace: &Trace, name: AllocatorName) -> Result<(), ProfileError> {
        if !name.known_to(profile) {
            let known = AllocatorName::ALL.into_iter().filter(|n| n.known_to(profile));
            return Err(ProfileError::UnknownAllocator {
                name: name.name(),
                profile: profile.name.clone(),
                known: known.map(AllocatorName::name).collect::<Vec<_>>().join(", "),
            });
        }
        if let Some((index, operation)) = trace.needs_mimalloc()
            && !name.is_mimalloc(profile.into())
        {
            let place = trace
                .origin
                .mimalloc_line
                .map_or_else(|| format!("operation {}", index + 1), |line| format!("line {line}"));
            return Err(ProfileError::NeedsMimalloc {
                place,
                operation,
                profile: profile.name.clone(),
                malloc: name.name(),
            });
        }
        Ok(())
    }

    /// Whether this run can do a later piece of its trace.
    pub fn check_piece(&self, trace: &Trace) -> Result<(), ProfileError> {
        if self.mimalloc.is_some() || trace.needs_mimalloc().is_none() {
            return Ok(());
        }
        Self::check(self.pymalloc.profile(), trace, AllocatorName::Default)
    }

    /// What of an operation only layers and mimalloc ask for.
    #[inline]
    pub(super) fn note_caller(&mut self, trace: &Trace, index: usize) {
        if let Some(run) = self.mimalloc.as_deref_mut() {
            run.thread = trace.thread(index);
            run.object_heap = trace.object_heap(index);
            (run.returned, run.returned_addr) = (BlockId::NULL, Addr(0));
        }
        if let Some(layers) = self.layers.as_deref_mut() {
            layers.thread = trace.thread(index);
            if trace.has_stacks() {
                layers.note_stack(&trace.origin.stacks, trace.stack_of(index));
            }
        }
    }

    /// An action of mimalloc's.
    pub(super) fn act_on_mimalloc<O: Observer>(&mut self, op: Packed, action: Action, observer: &mut O) {
        if self.stopped.is_some() {
            return;
        }
        if let Some(layers) = self.layers.as_deref_mut() {
            layers.begin_step();
        }
        let Some(run) = self.mimalloc.as_deref_mut() else { return };
        let thread = run.thread;
        match action {
            Action::HeapCollect { force } => run.heap.collect(thread, force, observer),
            Action::ThreadExit => run.heap.thread_exit(thread, observer),
            Action::HeapWalk { mask } => run.heap.walk(thread, mask, observer),
            Action::Quiescent => run.heap.quiescent(thread, observer),
            Action::ProcessDelayed => run.heap.process_delayed(thread, observer),
            Action::FreeDelayed { size, .. } => {
                if op.null {
                    observer.event(Event::FreeOfNull);
                } else {
                    self.free_delayed(op.slot, size, observer);
                }
            }
            _ => {}
        }
    }

    fn free_delayed<O: Observer>(&mut self, slot: Slot, size: u64, observer: &mut O) {
        let at = slot.0 as usize;
        let Some(run) = self.mimalloc.as_deref_mut() else { return };
        let block = match self.layers.as_deref_mut() {
            None => Ok(std::mem::replace(&mut run.blocks[at], BlockId::NULL)),
            Some(layers) => {
                let p = std::mem::take(&mut layers.pointers[at]);
                layers.touched = p;
                // The free that comes later passes the debug hooks; what waits is the block below them.
                if p == Addr(0) { Ok(BlockId::NULL) } else { run.heap.block_around(p).map(|b| b.0).ok_or(p) }
            }
        };
        match block {
            Ok(block) if block.is_null() => {
                if matches!(A::target(self.pointers.get(at)), Target::Null) {
                    observer.event(Event::FreeOfNull);
                } else {
                    self.bad_pointer(Addr(0), BadFree::NoBlock);
                }
            }
            Ok(block) => {
                let addr = run.heap.block_addr(block);
                if let Err(why) = run.heap.free_delayed(run.thread, block, size, observer) {
                    self.bad_pointer(addr, why);
                }
            }
            Err(addr) => self.bad_pointer(addr, BadFree::NoBlock),
        }
    }

    fn bad_pointer(&mut self, addr: Addr, why: BadFree) {
        self.stopped = Some(Box::new(Fatal::Mimalloc { addr, why }));
    }

    /// Does one operation on mimalloc, without layers.
    pub(super) fn apply_mimalloc<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        let Some(run) = self.mimalloc.as_deref_mut() else { return A::Ptr::default() };
        if self.stopped.is_some() {
            return A::Ptr::default();
        }
        let at = op.slot.0 as usize;
        run.returned = BlockId::NULL;
        let libc = op.domain == Domain::Raw && !run.allocators.build.mimalloc_raw;
        match op.kind {
            Kind::Malloc | Kind::Calloc => {
                run.blocks[at] = BlockId::NULL;
                self.pointers.replace(at, A::Ptr::default());
                if op.size > self.py_ssize_t_max {
                    observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
                    return A::Ptr::default();
                }
                self.mi_alloc(op, libc, observer)
            }
            Kind::Realloc => self.mi_realloc(op, libc, observer),
            Kind::Free | Kind::FreeKeep => {
                if op.null {
                    observer.event(Event::FreeOfNull);
                    return A::Ptr::default();
                }
                let block = std::mem::replace(&mut run.blocks[at], BlockId::NULL);
                if block.is_null() {
                    match A::target(self.pointers.replace(at, A::Ptr::default())) {
                        Target::Raw(id) if libc => self.raw_free(Domain::Raw, id, observer),
                        Target::Null => observer.event(Event::FreeOfNull),
                        _ => self.bad_pointer(Addr(0), BadFree::NoBlock),
                    }
                } else if libc {
                    self.stopped = Some(Box::new(Fatal::Libc(super::LibcAbort::FreeInvalidPointer)));
                } else if let Err(why) = run.heap.free(run.thread, block, observer) {
                    let addr = run.heap.block_addr(block);
                    self.bad_pointer(addr, why);
                }
                A::Ptr::default()
            }
            Kind::Act => A::Ptr::default(),
        }
    }

    /// Takes a new block, into the slot when there is one.
    fn mi_alloc<O: Observer>(&mut self, op: Packed, libc: bool, observer: &mut O) -> A::Ptr {
        let at = op.slot.0 as usize;
        if libc {
            let ptr = self.raw_malloc(op.size, false, observer);
            self.pointers.replace(at, ptr);
            return ptr;
        }
        let Some(run) = self.mimalloc.as_deref_mut() else { return A::Ptr::default() };
        let heap = run.heap_for(op.domain, observer);
        match run.heap.malloc(heap, op.size, observer) {
            Some(block) => {
                run.blocks[at] = block;
                run.returned = block;
            }
            None => observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory }),
        }
        A::Ptr::default()
    }

    fn mi_realloc<O: Observer>(&mut self, op: Packed, libc: bool, observer: &mut O) -> A::Ptr {
        let at = op.slot.0 as usize;
        if op.size > self.py_ssize_t_max {
            observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return A::Ptr::default();
        }
        let Some(run) = self.mimalloc.as_deref_mut() else { return A::Ptr::default() };
        let old = run.blocks[at];
        if old.is_null() {
            return match A::target(self.pointers.get(at)) {
                Target::Raw(id) if libc => {
                    let stays = self.raw_realloc(id, op.size, observer);
                    stays.map_or_else(A::Ptr::default, |()| self.pointers.get(at))
                }
                Target::Null => {
                    observer.event(Event::ReallocOfNull);
                    self.mi_alloc(op, libc, observer)
                }
                _ => {
                    self.bad_pointer(Addr(0), BadFree::NoBlock);
                    A::Ptr::default()
                }
            };
        }
        if libc {
            self.stopped = Some(Box::new(Fatal::Libc(super::LibcAbort::ReallocInvalidPointer)));
            return A::Ptr::default();
        }
        let block = run.heap.block_addr(old);
        match run.heap.realloc_decision(old, op.size) {
            ReallocDecision::InPlace { block_bytes } => {
                let event = MiEvent::ReallocInPlace { block, block_bytes, nbytes: op.size };
                observer.event(Event::Mimalloc(event));
                run.returned = old;
            }
            ReallocDecision::Move { block_bytes, copied } => {
                let event = MiEvent::ReallocMoves { block, block_bytes, nbytes: op.size, copied };
                observer.event(Event::Mimalloc(event));
                self.mi_alloc(op, false, observer);
                let Some(run) = self.mimalloc.as_deref_mut() else { return A::Ptr::default() };
                // A realloc that gave NULL leaves the program with its old block.
                if !run.returned.is_null()
                    && let Err(why) = run.heap.free(run.thread, old, observer)
                {
                    self.bad_pointer(block, why);
                }
            }
        }
        A::Ptr::default()
    }

    /// If `at` lies in the first word of a free block, the next block that its list gives is another.
    pub(super) fn mimalloc_link_was_written(&mut self, at: Addr) {
        let (Some(run), Some(layers)) = (self.mimalloc.as_deref(), self.layers.as_deref_mut()) else {
            return;
        };
        let Some((block, offset)) = run.heap.block_around(at) else { return };
        let start = run.heap.block_addr(block);
        if offset >= 8 || run.heap.is_live(block) {
            return;
        }
        let Ok(link) = layers.bytes.word(start, 8) else { return };
        let next = run.heap.next_free(block).unwrap_or_default();
        if link == next.0 {
            layers.wild.remove(&start);
        } else {
            layers.wild.insert(start, link);
        }
    }

    /// Where the block in a slot begins, if it is mimalloc's and the run has no layers.
    pub(super) fn mimalloc_address(&self, slot: Slot) -> Option<Addr> {
        let run = self.mimalloc.as_deref()?;
        let block = run.blocks.get(slot.0 as usize).copied().filter(|b| !b.is_null())?;
        Some(run.heap.block_addr(block))
    }

    /// All slots that hold a block of mimalloc's, where the run has no layers.
    pub fn mimalloc_blocks(&self) -> impl Iterator<Item = (Slot, BlockId)> + '_ {
        let blocks = self.mimalloc.as_deref().map_or(&[][..], |run| &run.blocks);
        (0..).map(Slot).zip(blocks.iter().copied()).filter(|(_, b)| !b.is_null())
    }

    /// Checks mimalloc and, without layers, that the program's blocks are the live ones.
    pub(super) fn verify_mimalloc(&self) -> Result<(), Violation> {
        let Some(run) = self.mimalloc.as_deref() else { return Ok(()) };
        run.heap.verify()?;
        if self.layers.is_some() || self.stopped.is_some() {
            return Ok(());
        }
        let bad = |detail: String| Err(Violation { rule: "pointers", detail });
        let mut seen = std::collections::BTreeSet::new();
        for (slot, block) in self.mimalloc_blocks() {
            if !run.heap.is_live(block) || !seen.insert(block) {
                return bad(format!(
                    "{slot:?} holds {}, which is free or another's",
                    run.heap.block_addr(block)
                ));
            }
        }
        let (deferred, chunks) = run.heap.deferred();
        let (live, held) = (run.heap.totals().live_blocks, seen.len() as u64 + deferred + chunks);
        if live != held {
            return bad(format!("{live} blocks are live, {held} are held"));
        }
        let raw = self.live().filter(|(_, t)| matches!(t, Target::Raw(_))).count() as u64;
        if raw != self.raw.live_blocks() {
            return bad(format!("{raw} pointers to {} blocks of the C library", self.raw.live_blocks()));
        }
        Ok(())
    }
}
