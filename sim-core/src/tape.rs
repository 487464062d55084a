//! A trace: operations in columns, with names, notes and settings.
//!
//! An operation takes 13 bytes: what it is, a dense slot that stands for the block, a size, and the id
//! the file gave the block. Slots are reused as soon as a block is gone, so that the machine's table of
//! pointers stays as small as the most blocks that were ever live at once.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::addr::Slot;

/// An allocation domain, `PyMemAllocatorDomain`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Domain {
    /// `PYMEM_DOMAIN_RAW`.
    Raw,
    /// `PYMEM_DOMAIN_MEM`.
    Mem,
    /// `PYMEM_DOMAIN_OBJ`.
    Obj,
}

impl Domain {
    /// All three, in `CPython`'s order.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Mem, Self::Obj];

    /// The prefix of the entry points of this domain.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Raw => "PyMem_Raw",
            Self::Mem => "PyMem_",
            Self::Obj => "PyObject_",
        }
    }

    /// The domain's letter in traces and under debug hooks.
    pub fn letter(self) -> char {
        match self {
            Self::Raw => 'r',
            Self::Mem => 'm',
            Self::Obj => 'o',
        }
    }
}

/// What an operation asks for. Sizes are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `malloc(size)`.
    Malloc {
        /// The id the block gets.
        id: u64,
        /// Bytes.
        size: u64,
    },
    /// `calloc(nelem, elsize)`.
    Calloc {
        /// The id the block gets.
        id: u64,
        /// Elements.
        nelem: u64,
        /// Bytes of one.
        elsize: u64,
    },
    /// `realloc(id, size)`; id 0 is NULL.
    Realloc {
        /// The block, or 0.
        id: u64,
        /// Its id from now on.
        newid: u64,
        /// Bytes.
        size: u64,
    },
    /// `free(id)`; id 0 is NULL.
    Free {
        /// The block, or 0.
        id: u64,
    },
}

/// One operation as a person would write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// The simulated thread.
    pub thread: u16,
    /// The domain whose entry point is called.
    pub domain: Domain,
    /// The call.
    pub call: Call,
}

/// The four calls, as counted and as the hot loop tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `malloc`.
    Malloc,
    /// `calloc`.
    Calloc,
    /// `realloc`.
    Realloc,
    /// `free`.
    Free,
}

impl Kind {
    /// All four, in the order of [`Counts`].
    pub const ALL: [Self; 4] = [Self::Malloc, Self::Calloc, Self::Realloc, Self::Free];

    /// The call's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malloc => "malloc",
            Self::Calloc => "calloc",
            Self::Realloc => "realloc",
            Self::Free => "free",
        }
    }
}

/// An operation as the machine takes it: no ids, one slot, one size.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    /// Which call.
    pub kind: Kind,
    /// The domain.
    pub domain: Domain,
    /// Whether the pointer passed is NULL by the trace's own word (id 0).
    pub null: bool,
    /// The block.
    pub slot: Slot,
    /// Bytes; for calloc the product, `u64::MAX` when that overflows.
    pub size: u64,
}

/// A remark of the author, shown when the operation is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Operations done before the one it belongs to.
    pub at: u64,
    /// What it says.
    pub text: String,
}

/// Operations by domain and kind.
pub type Counts = [[u64; 4]; 3];

/// A trace and all that came with it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What it is called.
    pub name: String,
    /// What it shows or where it came from.
    pub description: String,
    /// The profile it was made for, if it says so.
    pub profile: Option<String>,
    /// Profile fields that belong to the trace's meaning, in the order given.
    pub settings: Vec<(String, String)>,
    /// Remarks, in order of position.
    pub notes: Vec<Note>,
    heads: Vec<u8>,
    slots: Vec<u32>,
    sizes: Vec<u32>,
    ids: Ids,
    /// Realloc whose new id differs: operation and id.
    newids: Vec<(u64, u64)>,
    /// Sizes that do not fit in a column's 32 bits: operation and bytes.
    wide: BTreeMap<u64, u64>,
    /// Arguments of each calloc: operation, elements, bytes of one.
    callocs: Vec<(u64, u64, u64)>,
    threads: Vec<u16>,
    slot_count: u32,
    counts: Counts,
}

#[derive(Clone, Debug)]
enum Ids {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Default for Ids {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Ids {
    fn push(&mut self, id: u64) {
        match self {
            Self::Wide(all) => all.push(id),
            Self::Narrow(all) => {
                if let Ok(id) = u32::try_from(id) {
                    all.push(id);
                } else {
                    let mut wide: Vec<u64> = all.iter().map(|&i| u64::from(i)).collect();
                    wide.push(id);
                    *self = Self::Wide(wide);
                }
            }
        }
    }

    fn get(&self, index: usize) -> u64 {
        match self {
            Self::Narrow(all) => u64::from(all[index]),
            Self::Wide(all) => all[index],
        }
    }
}

const NULL_BIT: u8 = 1 << 4;
const WIDE_BIT: u8 = 1 << 5;

impl Trace {
    /// Operations.
    pub fn len(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Slots used: the most blocks (NULL results included) that had a name at once.
    pub fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// Operations by domain and kind.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Simulated threads that appear.
    pub fn thread_count(&self) -> u64 {
        if self.threads.is_empty() {
            return u64::from(!self.is_empty());
        }
        let mut seen = vec![false; 1 << 16];
        for &t in &self.threads {
            seen[usize::from(t)] = true;
        }
        seen.iter().filter(|s| **s).count() as u64
    }

    /// Bytes that the columns take.
    pub fn state_bytes(&self) -> u64 {
        let ids = match &self.ids {
            Ids::Narrow(v) => v.capacity() * 4,
            Ids::Wide(v) => v.capacity() * 8,
        };
        (self.heads.capacity()
            + self.slots.capacity() * 4
            + self.sizes.capacity() * 4
            + ids
            + self.callocs.capacity() * 24
            + self.newids.capacity() * 16
            + self.threads.capacity() * 2) as u64
    }

    /// The operation after `index` others, as the machine takes it. `index` must be below [`Self::len`].
    #[inline]
    pub fn packed(&self, index: usize) -> Packed {
        let head = self.heads[index];
        let size = if head & WIDE_BIT == 0 {
            u64::from(self.sizes[index])
        } else {
            self.wide.get(&(index as u64)).copied().unwrap_or(u64::MAX)
        };
        Packed {
            kind: Kind::ALL[usize::from(head & 3)],
            domain: Domain::ALL[usize::from((head >> 2) & 3)],
            null: head & NULL_BIT != 0,
            slot: Slot(self.slots[index]),
            size,
        }
    }

    /// The operation after `index` others as it was written, `None` past the end.
    pub fn op(&self, index: u64) -> Option<Op> {
        let i = usize::try_from(index).ok().filter(|&i| i < self.heads.len())?;
        let packed = self.packed(i);
        let id = self.ids.get(i);
        let call = match packed.kind {
            Kind::Malloc => Call::Malloc { id, size: packed.size },
            Kind::Calloc => {
                let (nelem, elsize) = self
                    .callocs
                    .binary_search_by_key(&index, |c| c.0)
                    .map_or((packed.size, 1), |at| (self.callocs[at].1, self.callocs[at].2));
                Call::Calloc { id, nelem, elsize }
            }
            Kind::Realloc => {
                let newid =
                    self.newids.binary_search_by_key(&index, |n| n.0).map_or(id, |at| self.newids[at].1);
                Call::Realloc { id: if packed.null { 0 } else { id }, newid, size: packed.size }
            }
            Kind::Free => Call::Free { id },
        };
        let thread = self.threads.get(i).copied().unwrap_or(0);
        Some(Op { thread, domain: packed.domain, call })
    }

    /// The note of the operation after `index` others.
    pub fn note_at(&self, index: u64) -> Option<&Note> {
        self.notes.binary_search_by_key(&index, |n| n.at).ok().map(|at| &self.notes[at])
    }
}

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
    /// More live blocks than slots.
    #[error("more than {0} blocks are live at once, which is more than a trace holds; split it")]
    TooManyBlocks(u32),
}

const NONE: u32 = u32::MAX;
/// The top bit of a pointer marks the C library's blocks, so fewer can be live at once.
const SLOTS_MAX: u32 = (1 << 31) - 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Raw,
    Pymalloc,
    /// The call gave NULL, which any domain may free.
    Null,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    born: u64,
    family: Family,
}

/// Builds a trace operation by operation and checks each against those before it.
#[derive(Debug, Default)]
pub struct TraceBuilder {
    trace: Trace,
    /// Slots of small ids; `NONE` where the id is not live.
    dense: Vec<u32>,
    /// Slots of all other ids.
    sparse: BTreeMap<u64, u32>,
    live: Vec<Live>,
    free_slots: Vec<u32>,
}

impl TraceBuilder {
    /// An empty trace called `name`.
    pub fn new(name: &str) -> Self {
        Self { trace: Trace { name: name.to_owned(), ..Trace::default() }, ..Self::default() }
    }

    /// The trace so far, to set what is not an operation.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// Operations so far.
    pub fn len(&self) -> u64 {
        self.trace.len()
    }

    /// Whether there is no operation yet.
    pub fn is_empty(&self) -> bool {
        self.trace.is_empty()
    }

    /// Appends an operation.
    pub fn push(&mut self, op: Op) -> Result<(), TapeError> {
        let Op { thread, domain, call } = op;
        match call {
            Call::Malloc { id, size } => {
                let slot = self.name(id, domain, size)?;
                self.record(Kind::Malloc, domain, false, slot, size, id);
            }
            Call::Calloc { id, nelem, elsize } => {
                let size = nelem.saturating_mul(elsize);
                let slot = self.name(id, domain, size)?;
                self.trace.callocs.push((self.trace.len(), nelem, elsize));
                self.record(Kind::Calloc, domain, false, slot, size, id);
            }
            Call::Realloc { id: 0, newid, size } => {
                let slot = self.name(newid, domain, size)?;
                self.record(Kind::Realloc, domain, true, slot, size, newid);
            }
            Call::Realloc { id, newid, size } => {
                let slot = self.find(id, domain)?;
                if newid != id {
                    self.check_new(newid)?;
                    self.unname(id);
                    self.set_name(newid, slot);
                    self.trace.newids.push((self.trace.len(), newid));
                }
                let live = &mut self.live[slot as usize];
                if live.family == Family::Null && i64::try_from(size).is_ok() {
                    live.family = family(domain);
                }
                self.record(Kind::Realloc, domain, false, slot, size, id);
            }
            Call::Free { id: 0 } => self.record(Kind::Free, domain, true, 0, 0, 0),
            Call::Free { id } => {
                let slot = self.find(id, domain)?;
                self.unname(id);
                self.free_slots.push(slot);
                self.record(Kind::Free, domain, false, slot, 0, id);
            }
        }
        if thread != 0 || !self.trace.threads.is_empty() {
            self.trace.threads.resize(self.trace.heads.len() - 1, 0);
            self.trace.threads.push(thread);
        }
        Ok(())
    }

    /// The finished trace. Notes are put in order; several at one place become one.
    pub fn finish(mut self) -> Trace {
        let mut notes = std::mem::take(&mut self.trace.notes);
        notes.sort_by_key(|n| n.at);
        for note in notes {
            match self.trace.notes.last_mut() {
                Some(last) if last.at == note.at => {
                    last.text.push(' ');
                    last.text.push_str(&note.text);
                }
                _ => self.trace.notes.push(note),
            }
        }
        self.trace.slot_count = self.live.len() as u32;
        self.trace
    }

    fn record(&mut self, kind: Kind, domain: Domain, null: bool, slot: u32, size: u64, id: u64) {
        let mut head = kind as u8 | ((domain as u8) << 2);
        if null {
            head |= NULL_BIT;
        }
        let narrow = u32::try_from(size);
        if narrow.is_err() {
            head |= WIDE_BIT;
            self.trace.wide.insert(self.trace.len(), size);
        }
        self.trace.counts[domain as usize][kind as usize] += 1;
        self.trace.heads.push(head);
        self.trace.slots.push(slot);
        self.trace.sizes.push(narrow.unwrap_or(u32::MAX));
        self.trace.ids.push(id);
    }

    fn lookup(&self, id: u64) -> Option<u32> {
        if let Some(&slot) = usize::try_from(id).ok().and_then(|i| self.dense.get(i))
            && slot != NONE
        {
            return Some(slot);
        }
        if self.sparse.is_empty() { None } else { self.sparse.get(&id).copied() }
    }

    fn check_new(&self, id: u64) -> Result<(), TapeError> {
        if id == 0 {
            return Err(TapeError::IdZero);
        }
        match self.lookup(id) {
            Some(slot) => Err(TapeError::IdInUse { id, born: self.live[slot as usize].born + 1 }),
            None => Ok(()),
        }
    }

    fn set_name(&mut self, id: u64, slot: u32) {
        // Ids that grow no faster than the trace index an array; wild ones go to a map.
        let reasonable = 4 * self.trace.len() + (1 << 16);
        if id < reasonable {
            let at = id as usize;
            if at >= self.dense.len() {
                self.dense.resize((at + 1).next_power_of_two(), NONE);
            }
            self.dense[at] = slot;
        } else {
            self.sparse.insert(id, slot);
        }
    }

    fn unname(&mut self, id: u64) {
        if let Some(slot) = usize::try_from(id).ok().and_then(|i| self.dense.get_mut(i))
            && *slot != NONE
        {
            *slot = NONE;
        } else {
            self.sparse.remove(&id);
        }
    }

    fn name(&mut self, id: u64, domain: Domain, size: u64) -> Result<u32, TapeError> {
        self.check_new(id)?;
        let family = if size > i64::MAX as u64 { Family::Null } else { family(domain) };
        let live = Live { born: self.trace.len(), family };
        let slot = if let Some(slot) = self.free_slots.pop() {
            self.live[slot as usize] = live;
            slot
        } else {
            if self.live.len() >= SLOTS_MAX as usize {
                return Err(TapeError::TooManyBlocks(SLOTS_MAX));
            }
            self.live.push(live);
            self.live.len() as u32 - 1
        };
        self.set_name(id, slot);
        Ok(slot)
    }

    fn find(&self, id: u64, domain: Domain) -> Result<u32, TapeError> {
        let slot = self.lookup(id).ok_or(TapeError::UnknownId { id })?;
        let from = self.live[slot as usize].family;
        if from != Family::Null && from != family(domain) {
            let prefix = |f: Family| if f == Family::Raw { "PyMem_Raw" } else { "PyMem_ and PyObject_" };
            return Err(TapeError::WrongDomain { id, from: prefix(from), to: prefix(family(domain)) });
        }
        Ok(slot)
    }
}

fn family(domain: Domain) -> Family {
    if domain == Domain::Raw { Family::Raw } else { Family::Pymalloc }
}
