//! All operations of a trace that are here, and what is counted of all that ever were.
//!
//! A tape that is shown while it grows consists of full segments, which the tapes shown before and after share, and a tail.
//! A tape that was read as a whole is one segment.

use std::sync::Arc;

use super::segment::{RowsRef, Segment};
use super::{Action, Counts, Packed, StackId, Stacks};

/// log2 of the rows of a full segment.
const SEGMENT_BITS: u32 = 16;
const SEGMENT: usize = 1 << SEGMENT_BITS;

/// Operations, the actions among them, and their sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// The first rows: all of them, unless [`Self::seal`] closed it.
    first: Segment,
    /// Full segments after a first one that is full and closed.
    sealed: Vec<Arc<Segment>>,
    /// The last rows, where the first segment is closed.
    tail: Option<Box<Segment>>,
    pub(super) actions: Vec<Action>,
    /// Names of snapshots, once each.
    pub(super) names: Vec<String>,
    pub(super) tally: Tally,
}

/// What is counted of operations, those that were here and were forgotten too.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Operations that were here before the first row and were forgotten.
    pub(super) first: u64,
    pub(super) counts: Counts,
    pub(super) actions_done: u64,
    pub(super) slot_count: u32,
    /// Which threads appeared, up to the highest; empty while all was on thread 0.
    pub(super) seen_threads: Vec<bool>,
    /// Whether an operation is there that only a machine with tables and contents can do.
    pub(super) needs_layers: bool,
    /// The first operation that only a run with mimalloc can do, as ptrace writes it.
    pub(super) needs_mimalloc: Option<(u64, &'static str)>,
}

impl Rows {
    /// Rows that are here.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.closed() + self.end().len()
    }

    /// Rows in segments that nothing is appended to.
    #[inline]
    fn closed(&self) -> usize {
        if self.tail.is_none() { 0 } else { (1 + self.sealed.len()) << SEGMENT_BITS }
    }

    /// The segment of the last rows.
    #[inline]
    pub(super) fn end(&self) -> &Segment {
        self.tail.as_deref().unwrap_or(&self.first)
    }

    /// The segment to which rows are appended.
    #[inline]
    pub(super) fn end_mut(&mut self) -> &mut Segment {
        self.tail.as_deref_mut().unwrap_or(&mut self.first)
    }

    /// The segment of the row after `index` others, and the row in it; past the end there is no such row.
    #[inline]
    pub(super) fn at(&self, index: usize) -> (&Segment, usize) {
        if index < self.first.len() { (&self.first, index) } else { self.later(index) }
    }

    // Apart, so that a tape of one segment, as most are, is read as fast as if there were nothing else.
    #[inline(never)]
    fn later(&self, index: usize) -> (&Segment, usize) {
        match (index >> SEGMENT_BITS).checked_sub(1).and_then(|at| self.sealed.get(at)) {
            Some(segment) if self.tail.is_some() => (segment, index & (SEGMENT - 1)),
            _ => (self.end(), index - self.closed()),
        }
    }

    /// The operation after `index` others, as the machine takes it. There must be one.
    #[inline]
    pub(super) fn packed(&self, index: usize) -> Packed {
        if index < self.first.len() { self.first.packed(index) } else { self.later_packed(index) }
    }

    #[cold]
    #[inline(never)]
    fn later_packed(&self, index: usize) -> Packed {
        let (segment, row) = self.later(index);
        segment.packed(row)
    }

    /// The columns from `from` on, to before `to` at most: they end with the segment.
    pub(super) fn range(&self, from: usize, to: usize) -> RowsRef<'_> {
        let (segment, row) = self.at(from);
        segment.range(row, row.saturating_add(to.saturating_sub(from)))
    }

    /// Closes the segments that are full, for others to share.
    pub(super) fn seal(&mut self) {
        let end = self.end();
        let full = end.len() >> SEGMENT_BITS;
        if full == 0 {
            return;
        }
        let tail = Box::new(end.part(full << SEGMENT_BITS, end.len()));
        let mut parts =
            (0..full).map(|at| end.part(at << SEGMENT_BITS, (at + 1) << SEGMENT_BITS)).collect::<Vec<_>>();
        if self.tail.is_none() {
            self.first = parts.remove(0);
        }
        self.sealed.extend(parts.into_iter().map(Arc::new));
        self.tail = Some(tail);
    }

    /// Drops all rows.
    pub(super) fn forget(&mut self) {
        self.tally.first += self.len() as u64;
        // What columns know of rows that are gone stands in the last segment.
        if let Some(tail) = self.tail.take() {
            self.first = *tail;
        }
        self.first.clear();
        self.sealed.clear();
        self.actions.clear();
    }

    /// Bytes that the rows take.
    pub(super) fn state_bytes(&self) -> u64 {
        let sealed = self.sealed.iter().map(|segment| segment.state_bytes()).sum::<u64>();
        self.first.state_bytes() + sealed + self.tail.as_ref().map_or(0, |tail| tail.state_bytes())
    }

    /// Operations of the whole trace before a row of the last segment.
    pub(super) fn before(&self, row: usize) -> u64 {
        self.tally.first + (self.closed() + row) as u64
    }

    /// The number of a snapshot's name, which is kept once.
    pub(super) fn name(&mut self, name: &str) -> u32 {
        let at = self.names.iter().position(|n| n == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        at as u32
    }

    /// Keeps an action and gives its number.
    pub(super) fn keep_action(&mut self, action: Action) -> u64 {
        self.actions.push(action);
        self.tally.actions_done += 1;
        self.actions.len() as u64 - 1
    }

    /// Notes that the operation after `index` others of the whole trace is mimalloc's, if it is the first such.
    pub(super) fn keep_first_of_mimalloc(&mut self, index: u64, name: &'static str) {
        if self.tally.needs_mimalloc.is_none_or(|first| index < first.0) {
            self.tally.needs_mimalloc = Some((index, name));
        }
    }

    /// Notes a thread of a row of the last segment.
    fn see_thread(&mut self, row: usize, thread: u16) {
        let at = usize::from(thread);
        let before = self.before(row);
        let seen = &mut self.tally.seen_threads;
        if at >= seen.len() {
            if seen.is_empty() && before > 0 {
                seen.push(true);
            }
            seen.resize(at + 1, false);
        }
        seen[at] = true;
    }

    /// The thread of the last row. The column begins with the first operation that is not on thread 0.
    pub(super) fn keep_thread(&mut self, thread: u16) {
        if thread == 0 && self.tally.seen_threads.is_empty() {
            return;
        }
        let before = self.end().len() - 1;
        self.see_thread(before, thread);
        self.end_mut().threads.set(before, thread);
    }

    /// The thread of the last segment's rows from `from` to before `to`, to be called in order.
    pub(super) fn set_threads(&mut self, from: usize, to: usize, thread: u16) {
        if from < to && (thread != 0 || !self.tally.seen_threads.is_empty()) {
            self.see_thread(from, thread);
            self.end_mut().threads.set_all(from, &vec![thread; to - from]);
        }
    }

    /// The stacks of the last segment's rows from `from` on.
    pub(super) fn set_stacks(&mut self, from: usize, stacks: &[u32], table: &mut Stacks) {
        self.end_mut().stacks.set_all(from, stacks);
        let mut last = 0;
        for &stack in stacks {
            if stack != last && stack != 0 {
                table.mark_used(StackId(stack));
                last = stack;
            }
        }
    }

    /// Counts operations that are not kept, with the threads they were done on.
    pub(super) fn tally(&mut self, counts: &Counts, threads: &[bool]) {
        let tally = &mut self.tally;
        // The first thread is not noted while it is the only one.
        if !tally.seen_threads.is_empty() || threads.iter().skip(1).any(|seen| *seen) {
            let first = tally.seen_threads.is_empty() && tally.first > 0;
            tally.seen_threads.resize(tally.seen_threads.len().max(threads.len()), false);
            tally.seen_threads[0] |= first;
            for (seen, these) in tally.seen_threads.iter_mut().zip(threads) {
                *seen |= these;
            }
        }
        for (all, these) in tally.counts.iter_mut().flatten().zip(counts.iter().flatten()) {
            *all += these;
            tally.first += these;
        }
    }
}
