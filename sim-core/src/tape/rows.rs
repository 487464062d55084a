//! All operations of a trace that are here, and what is counted of all that ever were.

use super::segment::Segment;
use super::{Action, Counts, StackId, Stacks};

/// Operations, the actions among them, and their sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) tail: Segment,
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
    pub(super) fn len(&self) -> u64 {
        self.tail.len() as u64
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

    fn see_thread(&mut self, before: usize, thread: u16) {
        let at = usize::from(thread);
        let seen = &mut self.tally.seen_threads;
        if at >= seen.len() {
            if seen.is_empty() && self.tally.first + before as u64 > 0 {
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
        let before = self.tail.len() - 1;
        self.see_thread(before, thread);
        self.tail.threads.set(before, thread);
    }

    /// The thread of the rows from `from` to before `to`, to be called in order.
    pub(super) fn set_threads(&mut self, from: usize, to: usize, thread: u16) {
        if from < to && (thread != 0 || !self.tally.seen_threads.is_empty()) {
            self.see_thread(from, thread);
            self.tail.threads.set_all(from, &vec![thread; to - from]);
        }
    }

    /// The stacks of the rows from `from` on.
    pub(super) fn set_stacks(&mut self, from: usize, stacks: &[u32], table: &mut Stacks) {
        self.tail.stacks.set_all(from, stacks);
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
