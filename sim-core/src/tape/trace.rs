//! The columns, and what can be asked of them.

use std::collections::BTreeMap;

use super::column::Column;
use super::heads::{DOMAIN_SHIFT, GC_PRE_BIT, HeadCounts, NEW_ID_BIT, NULL_BIT, WIDE_BIT, domain_of_code};
use super::{Action, Call, Counts, Kind, Note, Op, Packed, Source, StackId, Stacks, TimeMark};
use crate::addr::{Addr, Slot};
use crate::domains::{AllocatorName, Domain, ObjectHeap};

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
    /// `PYTHONMALLOC` of the program, if the trace says so.
    pub malloc: Option<AllocatorName>,
    /// `PYTHONMALLOCSTATS` of the program, if the trace says so: anything but the empty text turns the
    /// reports on, `0` too.
    pub malloc_stats: Option<String>,
    /// Whether it was made to be read from its beginning, step by step. Only the trace itself can say so: a short recording is none.
    pub lesson: bool,
    /// Remarks, in order of position.
    pub notes: Vec<Note>,
    /// Where it comes from, what it lacks, what may be doubted.
    pub source: Source,
    /// Python stacks, strings and frames.
    pub stacks: Stacks,
    /// The line of [`Self::needs_mimalloc`], where the format has lines.
    pub mimalloc_line: Option<u64>,
    /// Moments of the recording, in order; positions count from the first operation of the whole trace.
    pub marks: Vec<TimeMark>,
    /// Operations that were here before the first row and were forgotten.
    pub(super) first: u64,
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
    actions: Vec<Action>,
    /// Names of snapshots, once each.
    names: Vec<String>,
    /// Whether an operation is there that only a machine with tables and contents can do.
    pub(super) needs_layers: bool,
    /// The first operation that only a run with mimalloc can do, as ptrace writes it.
    pub(super) needs_mimalloc: Option<(u64, &'static str)>,
    pub(super) threads: Column<u16>,
    /// Which threads appeared, up to the highest; empty while all was on thread 0.
    pub(super) seen_threads: Vec<bool>,
    pub(super) actions_done: u64,
    /// The stack each operation comes from, where the recording has stacks.
    pub(super) op_stacks: Column<u32>,
    /// The pointer each call returned or freed in the recorded process, where the recording has it.
    pub(super) addresses: Column<u64>,
    /// The last mark that was forgotten.
    pub(super) mark_before: Option<TimeMark>,
    /// Marks were forgotten.
    pub(super) timed: bool,
    pub(super) slot_count: u32,
    pub(super) counts: Counts,
}

#[derive(Clone, Debug)]
pub(super) enum Ids {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Default for Ids {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Ids {
    #[inline]
    fn push(&mut self, id: u64) {
        match self {
            Self::Wide(all) => all.push(id),
            Self::Narrow(all) => {
                if let Ok(id) = u32::try_from(id) {
                    all.push(id);
                } else {
                    self.widen();
                    self.push(id);
                }
            }
        }
    }

    /// Makes room for ids of 64 bits.
    fn widen(&mut self) {
        if let Self::Narrow(all) = self {
            *self = Self::Wide(all.iter().map(|&i| u64::from(i)).collect());
        }
    }

    pub(super) fn resize(&mut self, rows: usize) {
        match self {
            Self::Narrow(all) => all.resize(rows, 0),
            Self::Wide(all) => all.resize(rows, 0),
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Narrow(all) => all.truncate(rows),
            Self::Wide(all) => all.truncate(rows),
        }
    }

    fn get(&self, index: usize) -> u64 {
        match self {
            Self::Narrow(all) => u64::from(all[index]),
            Self::Wide(all) => all[index],
        }
    }
}

/// The columns that a machine needs, of the same length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) heads: &'a [u8],
    pub(crate) slots: &'a [u32],
    pub(crate) sizes: &'a [u32],
}

impl Rows<'_> {
    /// Whether it is malloc or calloc through MEM or OBJ with a size that its column holds.
    #[inline]
    pub(crate) fn is_small_malloc(head: u8) -> bool {
        const DOMAIN: u8 = 3 << DOMAIN_SHIFT;
        head & (6 | WIDE_BIT) == 0 && head & DOMAIN != 0
    }

    /// Whether it is free of a pointer that is not NULL by the trace's own word and not kept.
    #[inline]
    pub(crate) fn is_free(head: u8) -> bool {
        head & (7 | NULL_BIT) == Kind::Free as u8
    }
}

impl Trace {
    /// Operations.
    pub fn len(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Operations of the whole trace that came before the first row here; 0 unless a reader hands out
    /// the trace in pieces.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Slots used: the most blocks (NULL results included) that had a name at once.
    pub fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// The action with a number.
    pub fn action(&self, number: u64) -> Option<Action> {
        self.actions.get(usize::try_from(number).ok()?).copied()
    }

    /// Different Python stacks that operations come from.
    pub fn stack_count(&self) -> u64 {
        self.stacks.used_count()
    }

    /// Whether each operation has a stack of its own.
    pub fn has_stacks(&self) -> bool {
        self.op_stacks.begun()
    }

    /// The stack that the operation after `index` others comes from; the empty one where nobody knows.
    #[inline]
    pub fn stack_of(&self, index: usize) -> StackId {
        StackId(self.op_stacks.get(index))
    }

    /// The simulated thread of the operation after `index` others.
    #[inline]
    pub fn thread_of(&self, index: usize) -> u16 {
        self.threads.get(index)
    }

    /// Whether the recording has pointers.
    pub fn has_addresses(&self) -> bool {
        self.addresses.begun()
    }

    /// The pointer that the call after `index` others returned, or for free was given, in the recorded
    /// process; `None` where the recording has none and for NULL.
    #[inline]
    pub fn address_of(&self, index: usize) -> Option<Addr> {
        Some(self.addresses.get(index)).filter(|&a| a != 0).map(Addr)
    }

    /// Whether the recording has times.
    pub fn timed(&self) -> bool {
        self.timed || !self.marks.is_empty()
    }

    /// When the operation after `index` others was done, in nanoseconds since the recording began: the
    /// last mark before it, a forgotten one too, and the first one after it, evenly between. Where that was not read yet
    /// it is the time of the one before.
    pub fn time_ns(&self, index: u64) -> Option<u64> {
        let at = self.first + index;
        let after = self.marks.partition_point(|m| m.at <= at);
        let before = after.checked_sub(1).map_or(self.mark_before.as_ref(), |last| self.marks.get(last))?;
        let Some(next) = self.marks.get(after) else { return Some(before.time_ns) };
        let (done, all) = (at - before.at, (next.at - before.at).max(1));
        let span = u128::from(next.time_ns.saturating_sub(before.time_ns));
        Some(before.time_ns + (span * u128::from(done) / u128::from(all)) as u64)
    }

    /// The name with a number.
    pub fn name_of(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// Actions, all together.
    pub fn action_count(&self) -> u64 {
        self.actions_done
    }

    /// Whether only a machine with tables and contents can run it.
    pub fn needs_layers(&self) -> bool {
        self.needs_layers
    }

    /// Whether it says of itself that it is a lesson.
    pub fn is_lesson(&self) -> bool {
        self.lesson
    }

    /// Whether `PYTHONMALLOCSTATS` turns the reports on.
    pub fn prints_malloc_stats(&self) -> bool {
        self.malloc_stats.as_ref().is_some_and(|value| !value.is_empty())
    }

    /// Whether it creates an interpreter.
    pub fn has_interpreters(&self) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::InterpreterNew { .. }))
    }

    /// The first operation that only a run with mimalloc can do: operations before it, and its name in ptrace.
    pub fn needs_mimalloc(&self) -> Option<(u64, &'static str)> {
        self.needs_mimalloc
    }

    /// The heap that objects of the operation after `index` others go to in a free-threaded build.
    #[inline]
    pub fn object_heap(&self, index: usize) -> ObjectHeap {
        match self.heads.get(index) {
            Some(head) if (head >> DOMAIN_SHIFT) & 3 == 3 => {
                if head & GC_PRE_BIT == 0 {
                    ObjectHeap::Gc
                } else {
                    ObjectHeap::GcPre
                }
            }
            _ => ObjectHeap::Object,
        }
    }

    /// The thread of the operation after `index` others.
    #[inline]
    pub fn thread(&self, index: usize) -> u16 {
        self.threads.get(index)
    }

    /// Operations by domain and kind.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Simulated threads that appear.
    pub fn thread_count(&self) -> u64 {
        if self.seen_threads.is_empty() {
            return u64::from(self.first + self.len() > 0);
        }
        self.seen_threads.iter().filter(|s| **s).count() as u64
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
            + self.newids.capacity() * 16) as u64
            + self.threads.state_bytes()
            + self.op_stacks.state_bytes()
            + self.addresses.state_bytes()
            + self.stacks.state_bytes()
    }

    /// The operation after `index` others, as the machine takes it. `index` must be below [`Self::len`].
    #[inline]
    pub fn packed(&self, index: usize) -> Packed {
        let head = self.heads[index];
        let size = if head & WIDE_BIT == 0 { u64::from(self.sizes[index]) } else { self.wide_size(index) };
        Packed {
            kind: Kind::of_code(head & 7),
            domain: domain_of_code(head >> DOMAIN_SHIFT),
            null: head & NULL_BIT != 0,
            slot: Slot(self.slots[index]),
            size,
        }
    }

    /// The columns from `from` to before `to`; they end with the tape.
    pub(crate) fn rows(&self, from: usize, to: usize) -> Rows<'_> {
        let to = to.min(self.heads.len());
        let range = from.min(to)..to;
        Rows {
            heads: &self.heads[range.clone()],
            slots: &self.slots[range.clone()],
            sizes: &self.sizes[range],
        }
    }

    /// A size that its column cannot hold.
    #[cold]
    fn wide_size(&self, index: usize) -> u64 {
        self.wide.get(&(index as u64)).copied().unwrap_or(u64::MAX)
    }

    /// The operation after `index` others as it was written, `None` past the end.
    pub fn op(&self, index: u64) -> Option<Op> {
        let i = usize::try_from(index).ok().filter(|&i| i < self.heads.len())?;
        let packed = self.packed(i);
        let id = self.ids.get(i);
        let call = match packed.kind {
            Kind::Malloc => Call::Malloc { id, size: packed.size },
            Kind::Calloc => {
                let (nelem, elsize) = self.calloc_of(i);
                Call::Calloc { id, nelem, elsize }
            }
            Kind::Realloc => {
                let newid = self.newid_of(i);
                Call::Realloc { id: if packed.null { 0 } else { id }, newid, size: packed.size }
            }
            Kind::Free => Call::Free { id },
            Kind::FreeKeep => Call::FreeKeep { id },
            Kind::Act => Call::Act(self.actions.get(packed.size as usize).copied()?),
        };
        let thread = self.thread_of(i);
        Some(Op { thread, domain: packed.domain, call })
    }

    /// The note of the operation after `index` others.
    pub fn note_at(&self, index: u64) -> Option<&Note> {
        self.notes.binary_search_by_key(&(self.first + index), |n| n.at).ok().map(|at| &self.notes[at])
    }

    /// The id that the operation after `index` others was written with: for malloc, calloc and a realloc
    /// of NULL the one it gives, else the one it names; 0 for free of NULL. `index` must be below
    /// [`Self::len`].
    #[inline]
    pub fn id_of(&self, index: usize) -> u64 {
        self.ids.get(index)
    }

    /// The id of the block once the operation after `index` others, a realloc, is done.
    #[inline]
    pub fn newid_of(&self, index: usize) -> u64 {
        let renamed = self.newids.binary_search_by_key(&(index as u64), |n| n.0);
        renamed.map_or_else(|_| self.ids.get(index), |at| self.newids[at].1)
    }

    /// Elements and bytes of one that the calloc after `index` others was called with.
    pub fn calloc_of(&self, index: usize) -> (u64, u64) {
        match self.callocs.binary_search_by_key(&(index as u64), |c| c.0) {
            Ok(at) => (self.callocs[at].1, self.callocs[at].2),
            Err(_) => (self.packed(index).size, 1),
        }
    }

    /// Lends the columns of slots, sizes and ids, the last for ids of 32 bits only where `narrow`.
    pub(super) fn take_columns(&mut self, narrow: bool) -> (Vec<u32>, Vec<u32>, Ids) {
        if !narrow {
            self.ids.widen();
        }
        (std::mem::take(&mut self.slots), std::mem::take(&mut self.sizes), std::mem::take(&mut self.ids))
    }

    pub(super) fn put_columns(&mut self, slots: Vec<u32>, sizes: Vec<u32>, ids: Ids) {
        (self.slots, self.sizes, self.ids) = (slots, sizes, ids);
    }

    /// Appends heads, which are as [`super::Columns`] has them, for rows whose other columns are there already.
    /// What else belongs to them was kept before, by index.
    pub(super) fn append_heads(&mut self, heads: &[u8], by_head: &HeadCounts) {
        let before = self.heads.len();
        for (head, count) in by_head.iter().enumerate().filter(|(_, count)| **count > 0) {
            let kind = match Kind::of_code(head as u8 & 7) {
                Kind::Act => continue,
                Kind::FreeKeep => Kind::Free,
                kind => kind,
            };
            self.counts[(head >> DOMAIN_SHIFT) & 3][kind as usize] += u64::from(*count);
        }
        self.heads.extend(heads.iter().map(|head| head & !NEW_ID_BIT));
        for &index in self.wide.range(before as u64..).map(|(index, _)| index) {
            self.heads[index as usize] |= WIDE_BIT;
        }
    }

    pub(super) fn keep_calloc_at(&mut self, index: u64, nelem: u64, elsize: u64) {
        self.callocs.push((index, nelem, elsize));
    }

    pub(super) fn keep_newid_at(&mut self, index: u64, newid: u64) {
        self.newids.push((index, newid));
    }

    /// Keeps a size that has more than 32 bits.
    #[cold]
    pub(super) fn keep_wide_at(&mut self, index: u64, size: u64) {
        if u32::try_from(size).is_err() {
            self.wide.insert(index, size);
        }
    }

    /// Appends a row. What else belongs to the operation is kept with the `keep_` functions, calloc's
    /// arguments and a new id before the row, the thread after it.
    #[inline]
    pub(super) fn append(&mut self, kind: Kind, domain: Domain, null: bool, slot: u32, size: u64, id: u64) {
        let mut head = kind as u8 | ((domain as u8) << DOMAIN_SHIFT);
        if null {
            head |= NULL_BIT;
        }
        let narrow = u32::try_from(size);
        if narrow.is_err() {
            head |= WIDE_BIT;
            self.wide.insert(self.len(), size);
        }
        match kind {
            Kind::Act => {}
            Kind::FreeKeep => self.counts[domain as usize][Kind::Free as usize] += 1,
            _ => self.counts[domain as usize][kind as usize] += 1,
        }
        let layered = match kind {
            Kind::Act => self.actions.get(size as usize).is_none_or(|a| a.of_mimalloc().is_none()),
            _ => kind == Kind::FreeKeep,
        };
        self.needs_layers |= layered;
        self.heads.push(head);
        self.slots.push(slot);
        self.sizes.push(narrow.unwrap_or(u32::MAX));
        self.ids.push(id);
    }

    /// Gives the last row's objects a heap of their own.
    pub(super) fn keep_object_heap(&mut self, heap: ObjectHeap) {
        if let Some(last) = self.heads.len().checked_sub(1) {
            self.set_object_heap(last, heap);
        }
    }

    /// Gives a row's objects a heap of their own.
    pub(super) fn set_object_heap(&mut self, row: usize, heap: ObjectHeap) {
        let name = match heap {
            ObjectHeap::Object => return,
            ObjectHeap::Gc => "g",
            ObjectHeap::GcPre => {
                self.heads[row] |= GC_PRE_BIT;
                "p"
            }
        };
        self.heads[row] |= 3 << DOMAIN_SHIFT;
        self.keep_first_of_mimalloc(self.first + row as u64, name);
    }

    pub(super) fn keep_first_of_mimalloc(&mut self, index: u64, name: &'static str) {
        if self.needs_mimalloc.is_none_or(|first| index < first.0) {
            self.needs_mimalloc = Some((index, name));
        }
    }

    /// Remembers that the last row is mimalloc's, if it is the first such.
    pub(super) fn keep_needs_mimalloc(&mut self, name: &'static str) {
        self.keep_first_of_mimalloc(self.first + self.len() - 1, name);
    }

    pub(super) fn keep_calloc(&mut self, nelem: u64, elsize: u64) {
        self.callocs.push((self.len(), nelem, elsize));
    }

    /// Names of snapshots so far: numbers below this are valid.
    pub fn name_count(&self) -> u32 {
        self.names.len() as u32
    }

    /// Keeps a name once and gives its number.
    pub(super) fn keep_name(&mut self, name: &str) -> u32 {
        let at = self.names.iter().position(|n| n == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        at as u32
    }

    /// Keeps an action and gives its number.
    pub(super) fn keep_action(&mut self, action: Action) -> u64 {
        self.actions.push(action);
        self.actions_done += 1;
        self.actions.len() as u64 - 1
    }

    pub(super) fn keep_newid(&mut self, newid: u64) {
        self.newids.push((self.len(), newid));
    }

    /// The column begins with the first operation that is not on thread 0.
    pub(super) fn keep_thread(&mut self, thread: u16) {
        if thread == 0 && self.seen_threads.is_empty() {
            return;
        }
        let before = self.heads.len() - 1;
        self.see_thread(before, thread);
        self.threads.set(before, thread);
    }

    /// Counts operations that are not kept, with the threads they were done on.
    pub(super) fn tally(&mut self, counts: &Counts, threads: &[bool]) {
        // The first thread is not noted while it is the only one.
        if !self.seen_threads.is_empty() || threads.iter().skip(1).any(|seen| *seen) {
            let first = self.seen_threads.is_empty() && self.first > 0;
            self.seen_threads.resize(self.seen_threads.len().max(threads.len()), false);
            self.seen_threads[0] |= first;
            for (seen, these) in self.seen_threads.iter_mut().zip(threads) {
                *seen |= these;
            }
        }
        for (all, these) in self.counts.iter_mut().flatten().zip(counts.iter().flatten()) {
            *all += these;
            self.first += these;
        }
    }

    /// Where an operation that is not kept came from.
    pub(super) fn tally_stack(&mut self, stack: StackId) {
        self.stacks.mark_used(stack);
        if stack.0 != 0 {
            self.op_stacks.begin();
        }
    }

    fn see_thread(&mut self, before: usize, thread: u16) {
        let at = usize::from(thread);
        if at >= self.seen_threads.len() {
            if self.seen_threads.is_empty() && self.first + before as u64 > 0 {
                self.seen_threads.push(true);
            }
            self.seen_threads.resize(at + 1, false);
        }
        self.seen_threads[at] = true;
    }

    /// The thread of the rows from `from` to before `to`, to be called in order.
    pub(super) fn set_threads(&mut self, from: usize, to: usize, thread: u16) {
        if from < to && (thread != 0 || !self.seen_threads.is_empty()) {
            self.see_thread(from, thread);
            self.threads.set_all(from, &vec![thread; to - from]);
        }
    }

    pub(super) fn set_stacks(&mut self, from: usize, stacks: &[u32]) {
        self.op_stacks.set_all(from, stacks);
        let mut last = 0;
        for &stack in stacks {
            if stack != last && stack != 0 {
                self.stacks.mark_used(StackId(stack));
                last = stack;
            }
        }
    }

    pub(super) fn set_addresses(&mut self, from: usize, addresses: &[u64]) {
        self.addresses.set_all(from, addresses);
    }

    /// Where the last operation came from and what its pointer was. Each column begins with the first
    /// operation that has something to say.
    pub(super) fn keep_origin(&mut self, stack: StackId, address: u64) {
        let before = self.heads.len() - 1;
        self.op_stacks.set(before, stack.0);
        self.addresses.set(before, address);
        if stack.0 != 0 {
            self.stacks.mark_used(stack);
        }
    }

    pub(super) fn set_slot_count(&mut self, slots: u32) {
        self.slot_count = slots;
    }

    /// Drops all rows and what hangs on them. Counts, tables, settings and notes stay.
    pub(super) fn forget(&mut self) {
        self.first += self.len();
        self.heads.clear();
        self.slots.clear();
        self.sizes.clear();
        match &mut self.ids {
            Ids::Narrow(ids) => ids.clear(),
            Ids::Wide(ids) => ids.clear(),
        }
        self.newids.clear();
        self.wide.clear();
        self.callocs.clear();
        self.actions.clear();
        self.threads.clear();
        self.op_stacks.clear();
        self.addresses.clear();
        self.timed |= !self.marks.is_empty();
        self.mark_before = self.marks.last().copied().or(self.mark_before);
        self.marks.clear();
    }

    /// Puts notes in order, several at one place as one.
    pub(super) fn complete(&mut self) {
        // Columns grow by doubling; a finished trace keeps no more than it needs.
        self.heads.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.sizes.shrink_to_fit();
        match &mut self.ids {
            Ids::Narrow(ids) => ids.shrink_to_fit(),
            Ids::Wide(ids) => ids.shrink_to_fit(),
        }
        self.notes.sort_by_key(|n| n.at);
        for note in std::mem::take(&mut self.notes) {
            match self.notes.last_mut() {
                Some(last) if last.at == note.at => {
                    last.text.push(' ');
                    last.text.push_str(&note.text);
                }
                _ => self.notes.push(note),
            }
        }
    }
}
