//! A trace, and what can be asked of it.

use std::sync::Arc;

use super::heads::{DOMAIN_SHIFT, HeadCounts};
use super::rows::Rows;
use super::segment::RowsRef;
use super::{Action, Call, Counts, Kind, Mark, Note, Op, Packed, Source, StackId, Stacks, TimeMark};
use crate::addr::Addr;
use crate::domains::{AllocatorName, Domain, ObjectHeap};
use crate::picture::ProcessPicture;

/// A trace and all that came with it: what it says of itself, its operations, and where they come from.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What it says of itself, and of how it wants to be run.
    pub head: Head,
    /// Where its operations come from.
    pub origin: Origin,
    pub(super) rows: Rows,
}

/// What a trace says of itself, and of how it wants to be run.
#[derive(Clone, Debug, Default)]
pub struct Head {
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
    /// Names at steps, in order of position.
    pub marks: Vec<Mark>,
    /// What its author calls blocks, by id, in order of ids; others are called by their ids.
    pub names: Vec<(u64, String)>,
}

/// Where a trace's operations come from: the recording, the places in the program, the moments.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Program and recorder, what the recording lacks, what may be doubted.
    pub source: Source,
    /// Python stacks, strings and frames.
    pub stacks: Stacks,
    /// Moments of the recording, in order; positions count from the first operation of the whole trace.
    pub moments: Vec<TimeMark>,
    /// The process as it was before the first operation, where the trace begins in mid-life and somebody has looked. Its blocks
    /// have the first slots; see [`ProcessPicture`].
    pub picture: Option<Arc<ProcessPicture>>,
    /// The line of [`Trace::needs_mimalloc`], where the format has lines.
    pub mimalloc_line: Option<u64>,
    /// The last moment that was forgotten.
    moment_before: Option<TimeMark>,
    /// Moments were forgotten.
    pub(super) timed: bool,
}

impl Trace {
    /// Operations.
    pub fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Operations of the whole trace that came before the first row here; 0 unless a reader hands out
    /// the trace in pieces.
    pub fn first(&self) -> u64 {
        self.rows.tally.first
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots used: the most blocks (NULL results included) that had a name at once.
    pub fn slot_count(&self) -> u32 {
        self.rows.tally.slot_count
    }

    /// The action with a number.
    pub fn action(&self, number: u64) -> Option<Action> {
        self.rows.actions.get(usize::try_from(number).ok()?).copied()
    }

    /// Different Python stacks that operations come from.
    pub fn stack_count(&self) -> u64 {
        self.origin.stacks.used_count()
    }

    /// Whether each operation has a stack of its own.
    pub fn has_stacks(&self) -> bool {
        self.rows.end().stacks.begun()
    }

    /// The stack that the operation after `index` others comes from; the empty one where nobody knows.
    #[inline]
    pub fn stack_of(&self, index: usize) -> StackId {
        let (segment, row) = self.rows.at(index);
        StackId(segment.stacks.get(row))
    }

    /// The simulated thread of the operation after `index` others.
    #[inline]
    pub fn thread_of(&self, index: usize) -> u16 {
        let (segment, row) = self.rows.at(index);
        segment.threads.get(row)
    }

    /// Whether operations are on more than one thread.
    pub fn has_threads(&self) -> bool {
        self.rows.end().threads.begun()
    }

    /// Whether the recording has pointers.
    pub fn has_addresses(&self) -> bool {
        self.rows.end().addresses.begun()
    }

    /// The pointer that the call after `index` others returned, or for free was given, in the recorded
    /// process; `None` where the recording has none and for NULL.
    #[inline]
    pub fn address_of(&self, index: usize) -> Option<Addr> {
        let (segment, row) = self.rows.at(index);
        Some(segment.addresses.get(row)).filter(|&a| a != 0).map(Addr)
    }

    /// Whether the recording has times.
    pub fn timed(&self) -> bool {
        self.origin.timed || !self.origin.moments.is_empty()
    }

    /// When the operation after `index` others was done, in nanoseconds since the recording began: the
    /// last moment before it, a forgotten one too, and the first one after it, evenly between. Where that was not read yet
    /// it is the time of the one before.
    pub fn time_ns(&self, index: u64) -> Option<u64> {
        let Origin { moments, moment_before, .. } = &self.origin;
        let at = self.first() + index;
        let after = moments.partition_point(|m| m.at <= at);
        let before = after.checked_sub(1).map_or(moment_before.as_ref(), |last| moments.get(last))?;
        let Some(next) = moments.get(after) else { return Some(before.time_ns) };
        let (done, all) = (at - before.at, (next.at - before.at).max(1));
        let span = u128::from(next.time_ns.saturating_sub(before.time_ns));
        Some(before.time_ns + (span * u128::from(done) / u128::from(all)) as u64)
    }

    /// The name with a number.
    pub fn name_of(&self, number: u32) -> &str {
        self.rows.names.get(number as usize).map_or("", String::as_str)
    }

    /// Names of snapshots so far: numbers below this are valid.
    pub fn name_count(&self) -> u32 {
        self.rows.names.len() as u32
    }

    /// Actions, all together.
    pub fn action_count(&self) -> u64 {
        self.rows.tally.actions_done
    }

    /// Whether only a machine with tables and contents can run it.
    pub fn needs_layers(&self) -> bool {
        self.rows.tally.needs_layers
    }

    /// Whether it says of itself that it is a lesson.
    pub fn is_lesson(&self) -> bool {
        self.head.lesson
    }

    /// Whether `PYTHONMALLOCSTATS` turns the reports on.
    pub fn prints_malloc_stats(&self) -> bool {
        self.head.malloc_stats.as_ref().is_some_and(|value| !value.is_empty())
    }

    /// Whether it creates an interpreter.
    pub fn has_interpreters(&self) -> bool {
        self.rows.actions.iter().any(|a| matches!(a, Action::InterpreterNew { .. }))
    }

    /// The first operation that only a run with mimalloc can do: operations before it, and its name in ptrace.
    pub fn needs_mimalloc(&self) -> Option<(u64, &'static str)> {
        self.rows.tally.needs_mimalloc
    }

    /// The heap that objects of the operation after `index` others go to in a free-threaded build.
    #[inline]
    pub fn object_heap(&self, index: usize) -> ObjectHeap {
        let (segment, row) = self.rows.at(index);
        segment.object_heap(row)
    }

    /// The thread of the operation after `index` others.
    #[inline]
    pub fn thread(&self, index: usize) -> u16 {
        self.thread_of(index)
    }

    /// Operations by domain and kind.
    pub fn counts(&self) -> Counts {
        self.rows.tally.counts
    }

    /// Simulated threads that appear.
    pub fn thread_count(&self) -> u64 {
        let seen = &self.rows.tally.seen_threads;
        if seen.is_empty() {
            return u64::from(self.first() + self.len() > 0);
        }
        seen.iter().filter(|s| **s).count() as u64
    }

    /// Bytes that the columns take.
    pub fn state_bytes(&self) -> u64 {
        self.rows.state_bytes() + self.origin.stacks.state_bytes()
    }

    /// The operation after `index` others, as the machine takes it. `index` must be below [`Self::len`].
    #[inline]
    pub fn packed(&self, index: usize) -> Packed {
        self.rows.packed(index)
    }

    /// The columns from `from` on, to before `to` at most: they may end before.
    #[inline]
    pub(crate) fn range(&self, from: usize, to: usize) -> RowsRef<'_> {
        self.rows.range(from, to)
    }

    /// The operation after `index` others as it was written, `None` past the end.
    pub fn op(&self, index: u64) -> Option<Op> {
        let i = usize::try_from(index).ok().filter(|&i| i < self.rows.len())?;
        let packed = self.packed(i);
        let id = self.id_of(i);
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
            Kind::Act => Call::Act(self.action(packed.size)?),
        };
        let thread = self.thread_of(i);
        Some(Op { thread, domain: packed.domain, call })
    }

    /// The note of the operation after `index` others.
    pub fn note_at(&self, index: u64) -> Option<&Note> {
        let notes = &self.head.notes;
        notes.binary_search_by_key(&(self.first() + index), |n| n.at).ok().map(|at| &notes[at])
    }

    /// Marks at a step, which is counted from the first operation of the whole trace.
    pub fn marks_at(&self, step: u64) -> &[Mark] {
        let marks = &self.head.marks;
        let first = marks.partition_point(|m| m.at < step);
        let count = marks[first..].partition_point(|m| m.at == step);
        &marks[first..first + count]
    }

    /// The id that the operation after `index` others was written with: for malloc, calloc and a realloc
    /// of NULL the one it gives, else the one it names; 0 for free of NULL. `index` must be below
    /// [`Self::len`].
    #[inline]
    pub fn id_of(&self, index: usize) -> u64 {
        let (segment, row) = self.rows.at(index);
        segment.ids.get(row)
    }

    /// The id of the block once the operation after `index` others, a realloc, is done.
    #[inline]
    pub fn newid_of(&self, index: usize) -> u64 {
        let (segment, row) = self.rows.at(index);
        segment.newid(row)
    }

    /// Elements and bytes of one that the calloc after `index` others was called with.
    pub fn calloc_of(&self, index: usize) -> (u64, u64) {
        let (segment, row) = self.rows.at(index);
        segment.calloc(row).unwrap_or_else(|| (self.packed(index).size, 1))
    }

    /// Appends heads, which are as [`super::Columns`] has them, for rows whose other columns are there already.
    /// What else belongs to them was kept before, by row.
    pub(super) fn append_heads(&mut self, heads: &[u8], by_head: &HeadCounts) {
        for (head, count) in by_head.iter().enumerate().filter(|(_, count)| **count > 0) {
            let kind = match Kind::of_code(head as u8 & 7) {
                Kind::Act => continue,
                Kind::FreeKeep => Kind::Free,
                kind => kind,
            };
            self.rows.tally.counts[(head >> DOMAIN_SHIFT) & 3][kind as usize] += u64::from(*count);
        }
        self.rows.end_mut().append_heads(heads);
    }

    /// Appends a row. What else belongs to the operation is kept with the `keep_` functions, calloc's
    /// arguments and a new id before the row, the thread after it.
    #[inline]
    pub(super) fn append(&mut self, kind: Kind, domain: Domain, null: bool, slot: u32, size: u64, id: u64) {
        let counts = &mut self.rows.tally.counts[domain as usize];
        match kind {
            Kind::Act => {}
            Kind::FreeKeep => counts[Kind::Free as usize] += 1,
            _ => counts[kind as usize] += 1,
        }
        let layered = match kind {
            Kind::Act => self.action(size).is_none_or(|a| a.of_mimalloc().is_none()),
            _ => kind == Kind::FreeKeep,
        };
        self.rows.tally.needs_layers |= layered;
        self.rows.end_mut().append(kind, domain, null, slot, size, id);
    }

    /// Gives the last row's objects a heap of their own.
    pub(super) fn keep_object_heap(&mut self, heap: ObjectHeap) {
        if let Some(last) = self.rows.end().len().checked_sub(1) {
            self.set_object_heap(last, heap);
        }
    }

    /// Gives the objects of a row of the tail a heap of their own.
    pub(super) fn set_object_heap(&mut self, row: usize, heap: ObjectHeap) {
        let name = match heap {
            ObjectHeap::Object => return,
            ObjectHeap::Gc => "g",
            ObjectHeap::GcPre => "p",
        };
        self.rows.end_mut().set_object_heap(row, heap == ObjectHeap::GcPre);
        self.rows.keep_first_of_mimalloc(self.rows.before(row), name);
    }

    /// Remembers that the last row is mimalloc's, if it is the first such.
    pub(super) fn keep_needs_mimalloc(&mut self, name: &'static str) {
        self.rows.keep_first_of_mimalloc(self.first() + self.len() - 1, name);
    }

    /// Arguments of the calloc that is about to be appended.
    pub(super) fn keep_calloc(&mut self, nelem: u64, elsize: u64) {
        let row = self.rows.end().len() as u64;
        self.rows.end_mut().keep_calloc(row, nelem, elsize);
    }

    /// The new id of the realloc that is about to be appended.
    pub(super) fn keep_newid(&mut self, newid: u64) {
        let row = self.rows.end().len() as u64;
        self.rows.end_mut().keep_newid(row, newid);
    }

    /// Where an operation that is not kept came from.
    pub(super) fn tally_stack(&mut self, stack: StackId) {
        self.origin.stacks.mark_used(stack);
        if stack.0 != 0 {
            self.rows.end_mut().stacks.begin();
        }
    }

    /// Where the last operation came from and what its pointer was. Each column begins with the first
    /// operation that has something to say.
    pub(super) fn keep_origin(&mut self, stack: StackId, address: u64) {
        let before = self.rows.end().len() - 1;
        self.rows.end_mut().stacks.set(before, stack.0);
        self.rows.end_mut().addresses.set(before, address);
        if stack.0 != 0 {
            self.origin.stacks.mark_used(stack);
        }
    }

    pub(super) fn set_slot_count(&mut self, slots: u32) {
        self.rows.tally.slot_count = slots;
    }

    /// Drops all rows and what hangs on them. Counts, tables, settings, notes and marks stay.
    pub(super) fn forget(&mut self) {
        self.rows.forget();
        let origin = &mut self.origin;
        origin.timed |= !origin.moments.is_empty();
        origin.moment_before = origin.moments.last().copied().or(origin.moment_before);
        origin.moments.clear();
    }

    /// The trace so far, while it grows: rows and tables are shared with it and with those handed out before.
    pub(super) fn share(&mut self) -> Self {
        self.rows.seal();
        let Origin { source, stacks, moments, picture, mimalloc_line, moment_before, timed } = &self.origin;
        let origin = Origin {
            source: source.clone(),
            stacks: stacks.shared(),
            moments: moments.clone(),
            picture: picture.clone(),
            mimalloc_line: *mimalloc_line,
            moment_before: *moment_before,
            timed: *timed,
        };
        let mut shared = Self { head: self.head.clone(), origin, rows: self.rows.clone() };
        shared.order_remarks();
        shared
    }

    /// Keeps no more than what is needed of a trace that is finished.
    pub(super) fn complete(&mut self) {
        self.rows.end_mut().shrink();
        self.order_remarks();
    }

    /// Puts notes in order, several at one place as one, and leaves out marks of operations that have not come: they may be
    /// known before these, and in a file that is cut they never come.
    fn order_remarks(&mut self) {
        let end = self.first() + self.len();
        let marks = &mut self.head.marks;
        marks.sort_by_key(|m| m.at);
        marks.truncate(marks.partition_point(|m| m.at <= end));
        let notes = &mut self.head.notes;
        notes.sort_by_key(|n| n.at);
        for note in std::mem::take(notes) {
            match notes.last_mut() {
                Some(last) if last.at == note.at => {
                    last.text.push(' ');
                    last.text.push_str(&note.text);
                }
                _ => notes.push(note),
            }
        }
    }
}
