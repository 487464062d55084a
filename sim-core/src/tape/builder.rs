//! Builds a trace operation by operation and refuses what cannot stand.

use std::collections::BTreeSet;

use thiserror::Error;

use super::names::Names;
use super::order::BirthOrder;
use super::trace::Trace;
use super::{Action, Call, Counts, Kind, MarkError, Op, SourceLine, StackId, marks};
use crate::addr::Addr;
use crate::domains::{Domain, ObjectHeap};

/// An operation that cannot stand where it stands.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TapeError {
    /// A block named 0.
    #[error("id 0 is NULL and cannot name a block; use a number from 1")]
    IdZero,
    /// An id given twice.
    #[error("id {id} already names the block of operation {born}; free it first or use another id")]
    IdInUse {
        /// The id.
        id: u64,
        /// The operation, counted from 1, that gave it.
        born: u64,
    },
    /// An id nobody gave.
    #[error("id {id} names no live block; it was never allocated or is already freed")]
    UnknownId {
        /// The id.
        id: u64,
    },
    /// A RAW block through MEM or OBJ, or the other way round.
    #[error(
        "id {id} was allocated through {from}* and cannot be passed to {to}*; use the domain it came from"
    )]
    WrongDomain {
        /// The id.
        id: u64,
        /// The prefix of the family it came from.
        from: &'static str,
        /// The prefix of the family used.
        to: &'static str,
    },
    /// A block given back as a chunk.
    #[error("id {id} is no chunk of virtual_alloc; free it through its domain")]
    NotAChunk {
        /// The id.
        id: u64,
    },
    /// An interpreter that cannot be created, switched to or ended.
    #[error("interpreter {number} {problem}")]
    Interpreter {
        /// Its number.
        number: u32,
        /// What is wrong, with the remedy.
        problem: &'static str,
    },
    /// More names of snapshots than are kept.
    #[error("more than {NAMES_MAX} snapshots have names; use a name again, which replaces what it had")]
    TooManyNames,
    /// A slot that holds no live block.
    #[error("slot {slot} holds no live block; the columns do not belong together")]
    UnknownSlot {
        /// The slot.
        slot: u32,
    },
    /// The code of a use that names no block.
    #[error("{0} names no block that is used; the columns do not belong together")]
    UnknownUse(u32),
    /// A stack that is not in the table.
    #[error("stack {0} is not in the table of stacks")]
    UnknownStack(u32),
    /// A head whose bits do not fit together.
    #[error("{0:#04x} is no operation")]
    Head(u8),
    /// Columns of different length.
    #[error("the columns do not end together: {0}")]
    Columns(&'static str),
    /// A picture after the beginning, or a second one.
    #[error("the picture of a process stands where the trace has begun already")]
    LatePicture,
    /// More live blocks than slots.
    #[error("more than {0} blocks are live at once, which is more than a trace holds; split it")]
    TooManyBlocks(u32),
}

/// A snapshot is a list of all live traces, so a trace has few.
pub const NAMES_MAX: u32 = 64;
/// An interpreter may leave arenas behind, so a trace has few.
const INTERPRETERS_MAX: u32 = 64;
/// The top bit of a pointer marks the C library's blocks, so fewer can be live at once.
pub(super) const SLOTS_MAX: u32 = (1 << 31) - 1;

/// Where a slot's block came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    /// The slot has no block.
    None,
    Raw,
    Pymalloc,
    /// The call gave NULL, which any domain may free.
    Null,
    /// A chunk of a data stack.
    Chunk,
}

/// A slot's block, or the one it had.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotBlock {
    pub(super) born: u64,
    pub(super) id: u64,
    pub(super) family: Family,
    /// Of its last malloc, calloc or realloc.
    pub(super) domain: Domain,
}

/// What `names` knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Naming {
    /// The ids of live blocks.
    #[default]
    LiveBlocks,
    /// Nothing: operations come in columns.
    BySlot,
    /// The id of each slot, of dead blocks too: operations come in columns and ids come again.
    AllSlots,
}

/// Builds a trace operation by operation and checks each against those before it.
#[derive(Debug, Default)]
pub struct TraceBuilder {
    pub(super) trace: Trace,
    pub(super) names: Names,
    pub(super) naming: Naming,
    pub(super) slots: Vec<SlotBlock>,
    pub(super) free_slots: Vec<u32>,
    /// The id given last, and the largest.
    pub(super) last_id: u64,
    pub(super) max_id: u64,
    /// Live blocks by birth, while operations come in tight columns.
    pub(super) order: Option<BirthOrder>,
    /// Slots of the births of rows that are being appended.
    pub(super) births: Vec<u32>,
    /// Room for heads.
    pub(super) heads: Vec<u8>,
    /// Numbers of the interpreters besides the main one.
    pub(super) interpreters: BTreeSet<u32>,
    pub(super) interpreters_made: u32,
}

impl TraceBuilder {
    /// An empty trace called `name`.
    pub fn new(name: &str) -> Self {
        let mut builder = Self::default();
        name.clone_into(&mut builder.trace.head.name);
        builder
    }

    /// The trace so far, to set what is not an operation.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The operations that were not forgotten, with all else.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Drops the operations so far and keeps what the next ones need: which ids are live, counts, tables.
    pub fn forget(&mut self) {
        self.trace.forget();
    }

    /// Operations so far, the forgotten ones too.
    pub fn len(&self) -> u64 {
        self.trace.first() + self.trace.len()
    }

    /// Whether there is no operation yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A Python stack, most recent frame first, for [`Action::Stack`].
    pub fn stack(&mut self, frames: &[SourceLine]) -> StackId {
        let stack = self.trace.origin.stacks.intern(frames);
        self.trace.origin.stacks.mark_used(stack);
        stack
    }

    /// Appends an operation with where it came from and the pointer it returned, or was given for free, in
    /// the recorded process.
    pub fn push_recorded(&mut self, op: Op, stack: StackId, address: Option<Addr>) -> Result<(), TapeError> {
        self.push(op)?;
        self.trace.keep_origin(stack, address.map_or(0, |a| a.0));
        Ok(())
    }

    /// Counts calls with recorded addresses as if they had been appended and forgotten: for those who ask only what a
    /// recording has in it. `threads` says of each number whether one of these calls was done there, `slots` are the most
    /// blocks live at once so far. Blocks have no names here, so nothing may be appended after it.
    pub fn tally(&mut self, counts: &Counts, threads: &[bool], slots: u32) {
        self.trace.rows.tally(counts, threads);
        self.trace.rows.end_mut().addresses.begin();
        self.trace.set_slot_count(slots);
    }

    /// Notes a stack that a call came from which [`Self::tally`] counts.
    pub fn tally_stack(&mut self, stack: StackId) {
        self.trace.tally_stack(stack);
    }

    /// Appends an operation with all that a trace has of one.
    pub fn push_whole(
        &mut self,
        op: Op,
        heap: ObjectHeap,
        stack: StackId,
        address: Option<Addr>,
    ) -> Result<(), TapeError> {
        self.push_in(op, heap)?;
        self.trace.keep_origin(stack, address.map_or(0, |a| a.0));
        Ok(())
    }

    /// Gives the step after the operations so far a name.
    pub fn mark(&mut self, name: &str) -> Result<(), MarkError> {
        self.mark_at(self.len(), name)
    }

    /// Gives a step a name, where marks come ahead of the operations. It must not come before a step that has one; a mark whose
    /// operations have not come when the trace is shared or finished is not in that.
    pub fn mark_at(&mut self, at: u64, name: &str) -> Result<(), MarkError> {
        marks::append(&mut self.trace.head.marks, at, name)
    }

    /// Drops marks of operations that have not come, where it turns out that none will.
    pub fn drop_marks_ahead(&mut self) {
        let end = self.len();
        self.trace.head.marks.retain(|mark| mark.at <= end);
    }

    /// The number of a snapshot's name, for [`Action::TracemallocSnapshot`].
    pub fn name_number(&mut self, name: &str) -> u32 {
        self.trace.rows.name(name)
    }

    /// Appends an operation.
    pub fn push(&mut self, op: Op) -> Result<(), TapeError> {
        let Op { thread, domain, call } = op;
        if self.naming != Naming::LiveBlocks {
            self.name_live_blocks();
        }
        match call {
            Call::Malloc { id, size } => {
                let slot = self.name(id, domain, size)?;
                self.trace.append(Kind::Malloc, domain, false, slot, size, id);
            }
            Call::Calloc { id, nelem, elsize } => {
                let size = nelem.saturating_mul(elsize);
                let slot = self.name(id, domain, size)?;
                self.trace.keep_calloc(nelem, elsize);
                self.trace.append(Kind::Calloc, domain, false, slot, size, id);
            }
            Call::Realloc { id: 0, newid, size } => {
                let slot = self.name(newid, domain, size)?;
                self.trace.append(Kind::Realloc, domain, true, slot, size, newid);
            }
            Call::Realloc { id, newid, size } => {
                let slot = self.find(id, domain)?;
                if newid != id {
                    self.check_new(newid)?;
                    self.names.remove(id);
                    self.keep_id(newid, slot);
                    self.trace.keep_newid(newid);
                }
                takes_family(&mut self.slots[slot as usize], domain, size);
                self.trace.append(Kind::Realloc, domain, false, slot, size, id);
            }
            Call::Free { id: 0 } => self.trace.append(Kind::Free, domain, true, 0, 0, 0),
            Call::Free { id } => {
                let slot = self.find(id, domain)?;
                self.names.remove(id);
                self.release_slot(slot);
                self.trace.append(Kind::Free, domain, false, slot, 0, id);
            }
            Call::FreeKeep { id } => {
                if id == 0 {
                    return Err(TapeError::IdZero);
                }
                let slot = self.find(id, domain)?;
                self.trace.append(Kind::FreeKeep, domain, false, slot, 0, id);
            }
            Call::Act(action) => {
                self.check_action(action)?;
                let (slot, id) = match action {
                    Action::VirtualAlloc { id, size } => (self.name(id, domain, size)?, id),
                    Action::FreeDelayed { id, .. } if id != 0 => (self.find(id, domain)?, id),
                    _ => match action.id() {
                        Some(id) => (self.names.get(id).ok_or(TapeError::UnknownId { id })?, id),
                        None => (0, 0),
                    },
                };
                match action {
                    Action::VirtualAlloc { .. } => self.slots[slot as usize].family = Family::Chunk,
                    Action::FreeDelayed { .. } if id != 0 => {
                        self.names.remove(id);
                        self.release_slot(slot);
                    }
                    Action::VirtualFree { .. } => {
                        if self.slots[slot as usize].family != Family::Chunk {
                            return Err(TapeError::NotAChunk { id });
                        }
                        self.names.remove(id);
                        self.release_slot(slot);
                    }
                    _ => {}
                }
                let number = self.trace.rows.keep_action(action);
                self.trace.append(Kind::Act, domain, id == 0, slot, number, id);
                if let Some(name) = action.of_mimalloc() {
                    self.trace.keep_needs_mimalloc(name);
                }
            }
        }
        self.trace.rows.keep_thread(thread);
        Ok(())
    }

    /// Appends an operation on an object that goes to a heap of its own in a free-threaded build.
    pub fn push_in(&mut self, op: Op, heap: ObjectHeap) -> Result<(), TapeError> {
        self.push(op)?;
        if op.domain == Domain::Obj {
            self.trace.keep_object_heap(heap);
        }
        Ok(())
    }

    /// Makes room for about `rows` more operations, once the room for an eighth more than there are is used up: who knows how
    /// many come spares the columns from being moved again and again as they grow.
    pub fn expect(&mut self, rows: u64) {
        let end = self.trace.rows.end_mut();
        let (room, rows) = (end.room(), usize::try_from(rows).unwrap_or(usize::MAX));
        if room < rows && room < end.len() / 8 {
            // More than asked for, since a guess that is short costs more than one that is long.
            end.reserve(rows.saturating_add(rows / 4).max(end.len() / 8));
        }
    }

    /// The trace so far, to be shown while it grows: a longer one shares its rows and tables, so that handing out takes
    /// no longer for a long trace than for a short one, but for notes, marks, moments and actions. What [`Self::extend_rows`] and its
    /// like append must be whole. See [`crate::Replay::grow`].
    pub fn share(&mut self) -> Trace {
        self.trace.share()
    }

    /// The finished trace. Notes are put in order; several at one place become one.
    pub fn finish(mut self) -> Trace {
        self.trace.complete();
        self.trace
    }

    pub(super) fn check_action(&mut self, action: Action) -> Result<(), TapeError> {
        let bad = |number, problem| Err(TapeError::Interpreter { number, problem });
        match action {
            Action::TracemallocSnapshot(name) if name >= NAMES_MAX => Err(TapeError::TooManyNames),
            Action::InterpreterNew { number, .. } => {
                if number == 0 || self.interpreters.contains(&number) {
                    return bad(number, "is there already; number new ones from 1 (0 is the main one)");
                }
                if self.interpreters_made == INTERPRETERS_MAX {
                    return bad(number, "is one too many; a trace creates up to 64");
                }
                self.interpreters_made += 1;
                self.interpreters.insert(number);
                Ok(())
            }
            Action::InterpreterSwitch(number) if number != 0 && !self.interpreters.contains(&number) => {
                bad(number, "is not there; create it with interpreter_new first")
            }
            Action::InterpreterEnd(number) if !self.interpreters.remove(&number) => {
                bad(number, "cannot be ended; end one that interpreter_new made, once")
            }
            _ => Ok(()),
        }
    }

    fn check_new(&self, id: u64) -> Result<(), TapeError> {
        if id == 0 {
            return Err(TapeError::IdZero);
        }
        match self.names.get(id) {
            Some(slot) => Err(TapeError::IdInUse { id, born: self.slots[slot as usize].born + 1 }),
            None => Ok(()),
        }
    }

    pub(super) fn set_name(&mut self, id: u64, slot: u32) {
        // Blocks from before the trace have the first ids.
        let dense = 4 * (self.len() + self.slots.len() as u64) + (1 << 16);
        self.names.insert(id, slot, dense);
    }

    fn keep_id(&mut self, id: u64, slot: u32) {
        self.slots[slot as usize].id = id;
        self.last_id = id;
        self.max_id = self.max_id.max(id);
        self.set_name(id, slot);
    }

    /// After operations from columns: finds out the names of live blocks again.
    #[cold]
    fn name_live_blocks(&mut self) {
        self.naming = Naming::LiveBlocks;
        self.order = None;
        self.names = Names::default();
        for slot in 0..self.slots.len() {
            let SlotBlock { id, family, .. } = self.slots[slot];
            if family != Family::None {
                self.set_name(id, slot as u32);
            }
        }
    }

    fn name(&mut self, id: u64, domain: Domain, size: u64) -> Result<u32, TapeError> {
        self.check_new(id)?;
        let family = if size > i64::MAX as u64 { Family::Null } else { family(domain) };
        let slot = self.take_slot(SlotBlock { born: self.len(), id, family, domain })?;
        self.keep_id(id, slot);
        Ok(slot)
    }

    /// A slot for a new block: the one freed last, else a fresh one. The id that a freed one had stays
    /// until [`Self::keep_id`] or its like gives another.
    #[inline]
    pub(super) fn take_slot(&mut self, block: SlotBlock) -> Result<u32, TapeError> {
        if let Some(slot) = self.free_slots.pop() {
            let id = self.slots[slot as usize].id;
            self.slots[slot as usize] = SlotBlock { id, ..block };
            return Ok(slot);
        }
        if self.slots.len() >= SLOTS_MAX as usize {
            return Err(TapeError::TooManyBlocks(SLOTS_MAX));
        }
        self.slots.push(block);
        self.trace.set_slot_count(self.slots.len() as u32);
        Ok(self.slots.len() as u32 - 1)
    }

    /// A slot whose block is gone.
    #[inline]
    pub(super) fn release_slot(&mut self, slot: u32) {
        self.slots[slot as usize].family = Family::None;
        self.free_slots.push(slot);
    }

    fn find(&self, id: u64, domain: Domain) -> Result<u32, TapeError> {
        let slot = self.names.get(id).ok_or(TapeError::UnknownId { id })?;
        self.check_family(slot, id, domain)?;
        Ok(slot)
    }

    #[inline]
    pub(super) fn check_family(&self, slot: u32, id: u64, domain: Domain) -> Result<(), TapeError> {
        let from = self.slots[slot as usize].family;
        // A scenario may do what is wrong; a recording never does, so there it is a mistake of the file.
        if from == Family::Null
            || from == family(domain)
            || self.trace.needs_layers()
            || self.trace.head.malloc.is_some()
        {
            return Ok(());
        }
        let prefix = |f: Family| match f {
            Family::Raw => "PyMem_Raw",
            Family::Chunk => "_PyObject_Virtual",
            _ => "PyMem_ and PyObject_",
        };
        Err(TapeError::WrongDomain { id, from: prefix(from), to: prefix(family(domain)) })
    }
}

pub(super) fn family(domain: Domain) -> Family {
    if domain == Domain::Raw { Family::Raw } else { Family::Pymalloc }
}

/// A realloc of NULL under a name gives the name a block.
#[inline]
pub(super) fn takes_family(block: &mut SlotBlock, domain: Domain, size: u64) {
    block.domain = domain;
    if block.family == Family::Null && i64::try_from(size).is_ok() {
        block.family = family(domain);
    }
}
