//! `tracemalloc.Snapshot` and what it consists of: the live blocks of one moment, with names in place
//! of ids, so that snapshots can be kept, filtered and compared.
//!
//! Source: `Lib/tracemalloc.py`, the same text from 3.9 to 3.13.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use thiserror::Error;

use super::engine::Tracemalloc;
use super::frames::TracebackId;

/// `tracemalloc.Frame`. Ordered as the tuple it is: file names by code point, then lines.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NamedFrame {
    /// The file.
    pub filename: Arc<str>,
    /// The line, counted from 1; 0 when unknown or when a whole file is meant.
    pub lineno: u32,
}

impl NamedFrame {
    /// The one frame of an allocation outside any Python frame.
    #[must_use]
    pub fn unknown() -> Self {
        Self { filename: Arc::from("<unknown>"), lineno: 0 }
    }
}

/// `tracemalloc.Traceback`: frames **oldest first**, the other way round than the C side has them.
/// Equality, order and hash see the frames only.
#[derive(Clone, Debug)]
pub struct NamedTraceback {
    frames: Arc<[NamedFrame]>,
    total_nframe: Option<u16>,
}

impl NamedTraceback {
    /// From frames most recent first, as C has them. Without frames it is the empty traceback, line 0 of
    /// `<unknown>`, so there is always a first and a last frame.
    #[must_use]
    pub fn new(most_recent_first: impl IntoIterator<Item = NamedFrame>, total_nframe: Option<u16>) -> Self {
        let mut frames: Vec<NamedFrame> = most_recent_first.into_iter().collect();
        frames.reverse();
        if frames.is_empty() {
            frames.push(NamedFrame::unknown());
        }
        Self { frames: frames.into(), total_nframe }
    }

    /// The frames, oldest first; at least one.
    pub fn frames(&self) -> &[NamedFrame] {
        &self.frames
    }

    /// The frame that allocated.
    pub fn most_recent(&self) -> &NamedFrame {
        &self.frames[self.frames.len() - 1]
    }

    /// `total_nframe`: how deep the stack was, at most 65535; `None` for the key of a statistic.
    pub fn total_nframe(&self) -> Option<u16> {
        self.total_nframe
    }

    /// The same frames as the key of a statistic.
    pub(super) fn without_total(&self) -> Self {
        Self { frames: Arc::clone(&self.frames), total_nframe: None }
    }
}

impl PartialEq for NamedTraceback {
    fn eq(&self, other: &Self) -> bool {
        self.frames == other.frames
    }
}

impl Eq for NamedTraceback {}

impl PartialOrd for NamedTraceback {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NamedTraceback {
    fn cmp(&self, other: &Self) -> Ordering {
        self.frames.cmp(&other.frames)
    }
}

impl Hash for NamedTraceback {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.frames.hash(state);
    }
}

/// `tracemalloc.Trace`: one block of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotTrace<'a> {
    /// Its tracemalloc domain.
    pub domain: u32,
    /// Bytes asked for.
    pub size: u64,
    /// Where.
    pub traceback: &'a NamedTraceback,
}

/// A block; its traceback is an index, since many blocks share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Row {
    domain: u32,
    size: u64,
    traceback: u32,
}

/// `RuntimeError` of `tracemalloc.take_snapshot()`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TakeSnapshotError {
    /// Tracing is off.
    #[error("the tracemalloc module must be tracing memory allocations to take a snapshot")]
    NotTracing,
}

/// The frames of some tracebacks, each once and in order, and every traceback as their numbers: comparing numbers then is comparing
/// frames, however many blocks are grouped.
#[derive(Clone, Debug)]
pub(super) struct Numbered {
    frames: Vec<NamedFrame>,
    /// Those of the first traceback, of the second, …, each oldest first.
    numbers: Vec<u32>,
    /// Where each traceback ends.
    ends: Vec<usize>,
}

impl Numbered {
    /// From frames in any order, some perhaps there more than once, and the numbers of each traceback.
    fn sorted(frames: &[NamedFrame], mut numbers: Vec<u32>, ends: Vec<usize>) -> Self {
        let mut order: Vec<usize> = (0..frames.len()).collect();
        order.sort_by(|a, b| frames[*a].cmp(&frames[*b]));
        let mut sorted: Vec<NamedFrame> = Vec::with_capacity(frames.len());
        let mut places = vec![0_u32; frames.len()];
        for at in order {
            if sorted.last() != Some(&frames[at]) {
                sorted.push(frames[at].clone());
            }
            places[at] = sorted.len() as u32 - 1;
        }
        for number in &mut numbers {
            *number = places[*number as usize];
        }
        Self { frames: sorted, numbers, ends }
    }

    fn of(tracebacks: &[NamedTraceback]) -> Self {
        let mut known: BTreeMap<&NamedFrame, u32> = BTreeMap::new();
        let (mut frames, mut numbers, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for traceback in tracebacks {
            for frame in traceback.frames() {
                numbers.push(*known.entry(frame).or_insert_with(|| {
                    frames.push(frame.clone());
                    frames.len() as u32 - 1
                }));
            }
            ends.push(numbers.len());
        }
        Self::sorted(&frames, numbers, ends)
    }

    /// All frames, in order.
    pub(super) fn frames(&self) -> &[NamedFrame] {
        &self.frames
    }

    /// A traceback, oldest frame first.
    pub(super) fn traceback(&self, index: usize) -> &[u32] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        &self.numbers[start..end]
    }
}

/// `tracemalloc.Snapshot`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tracebacks: Arc<[NamedTraceback]>,
    numbered: Arc<Numbered>,
    rows: Vec<Row>,
    traceback_limit: u16,
}

/// Blocks with their tracebacks by number, where a caller has many of them: the way to a [`Snapshot`] that names nothing twice.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    frames: Vec<NamedFrame>,
    numbers: Vec<u32>,
    ends: Vec<usize>,
    totals: Vec<u16>,
    rows: Vec<Row>,
}

impl SnapshotBuilder {
    /// Gives a frame a number.
    pub fn frame(&mut self, frame: NamedFrame) -> u32 {
        self.frames.push(frame);
        self.frames.len() as u32 - 1
    }

    /// Gives a traceback a number: the numbers of its frames, most recent first, as C has them, and how deep the stack was. Without
    /// frames it is the empty traceback.
    pub fn traceback(&mut self, most_recent_first: impl IntoIterator<Item = u32>, total_nframe: u16) -> u32 {
        let begin = self.numbers.len();
        self.numbers.extend(most_recent_first);
        let empty = self.numbers.len() == begin;
        if empty {
            let unknown = self.frame(NamedFrame::unknown());
            self.numbers.push(unknown);
        }
        self.numbers[begin..].reverse();
        self.ends.push(self.numbers.len());
        self.totals.push(if empty { 1 } else { total_nframe });
        self.ends.len() as u32 - 1
    }

    /// Frames of all tracebacks so far.
    pub fn frame_count(&self) -> usize {
        self.numbers.len()
    }

    /// Adds a block.
    pub fn block(&mut self, domain: u32, size: u64, traceback: u32) {
        self.rows.push(Row { domain, size, traceback });
    }

    /// All blocks.
    #[must_use]
    pub fn finish(self, traceback_limit: u16) -> Snapshot {
        let numbered = Numbered::sorted(&self.frames, self.numbers, self.ends);
        let tracebacks = self.totals.iter().enumerate().map(|(index, total)| {
            let frames = numbered.traceback(index).iter();
            let frames = frames.map(|number| numbered.frames[*number as usize].clone()).collect();
            NamedTraceback { frames, total_nframe: Some(*total) }
        });
        Snapshot {
            tracebacks: tracebacks.collect(),
            numbered: Arc::new(numbered),
            rows: self.rows,
            traceback_limit,
        }
    }
}

impl Snapshot {
    /// From `(domain, size in bytes, traceback)` of each block.
    #[must_use]
    pub fn new(traces: impl IntoIterator<Item = (u32, u64, NamedTraceback)>, traceback_limit: u16) -> Self {
        let mut tracebacks = Vec::new();
        let mut indices: BTreeMap<(NamedTraceback, Option<u16>), u32> = BTreeMap::new();
        let rows = traces
            .into_iter()
            .map(|(domain, size, traceback)| {
                let total_nframe = traceback.total_nframe;
                let index = *indices.entry((traceback.clone(), total_nframe)).or_insert_with(|| {
                    tracebacks.push(traceback);
                    tracebacks.len() as u32 - 1
                });
                Row { domain, size, traceback: index }
            })
            .collect();
        Self::of(tracebacks, rows, traceback_limit)
    }

    fn of(tracebacks: Vec<NamedTraceback>, rows: Vec<Row>, traceback_limit: u16) -> Self {
        let numbered = Arc::new(Numbered::of(&tracebacks));
        Self { tracebacks: tracebacks.into(), numbered, rows, traceback_limit }
    }

    /// `traces`: the blocks, in the order of `_get_traces()`.
    pub fn traces(&self) -> impl ExactSizeIterator<Item = SnapshotTrace<'_>> {
        self.rows.iter().map(|row| SnapshotTrace {
            domain: row.domain,
            size: row.size,
            traceback: &self.tracebacks[row.traceback as usize],
        })
    }

    /// `traceback_limit`: `get_traceback_limit()` when it was taken.
    pub fn traceback_limit(&self) -> u16 {
        self.traceback_limit
    }

    /// Every traceback that blocks refer to, each once. After filtering some may have no block.
    pub(super) fn tracebacks(&self) -> &[NamedTraceback] {
        &self.tracebacks
    }

    /// The same as numbers of frames.
    pub(super) fn numbered(&self) -> &Numbered {
        &self.numbered
    }

    /// Size in bytes and index of the traceback of each block.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (u64, usize)> {
        self.rows.iter().map(|row| (row.size, row.traceback as usize))
    }

    /// Those blocks for which `keep(domain, index of the traceback)` holds.
    pub(super) fn retain(&self, mut keep: impl FnMut(u32, usize) -> bool) -> Self {
        Self {
            tracebacks: Arc::clone(&self.tracebacks),
            numbered: Arc::clone(&self.numbered),
            rows: self.rows.iter().copied().filter(|row| keep(row.domain, row.traceback as usize)).collect(),
            traceback_limit: self.traceback_limit,
        }
    }
}

/// `tracemalloc.take_snapshot()`.
pub fn take_snapshot(tracemalloc: &Tracemalloc) -> Result<Snapshot, TakeSnapshotError> {
    if !tracemalloc.is_tracing() {
        return Err(TakeSnapshotError::NotTracing);
    }
    let interner = tracemalloc.interner();
    let mut tracebacks = Vec::new();
    let mut indices: BTreeMap<TracebackId, u32> = BTreeMap::new();
    let rows = tracemalloc
        .get_traces()
        .into_iter()
        .map(|trace| {
            let index = *indices.entry(trace.traceback).or_insert_with(|| {
                let traceback = interner.get(trace.traceback);
                let frames = traceback.frames().iter().map(|frame| NamedFrame {
                    filename: Arc::clone(interner.filename(frame.filename)),
                    lineno: frame.lineno,
                });
                tracebacks.push(NamedTraceback::new(frames, Some(traceback.total_nframe())));
                tracebacks.len() as u32 - 1
            });
            Row { domain: trace.domain, size: trace.size, traceback: index }
        })
        .collect();
    Ok(Snapshot::of(tracebacks, rows, tracemalloc.get_traceback_limit()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::profile::TracemallocVersion;
    use crate::tracemalloc::Frame;

    #[test]
    fn a_snapshot_needs_tracing() {
        let error = take_snapshot(&Tracemalloc::new(8, TracemallocVersion::V3_14)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tracemalloc module must be tracing memory allocations to take a snapshot"
        );
    }

    #[test]
    fn a_snapshot_has_frames_oldest_first() {
        let mut tracemalloc = Tracemalloc::new(8, TracemallocVersion::V3_14);
        tracemalloc.start(2).unwrap();
        let file = tracemalloc.file("a.py");
        let stack = [9, 5, 1].map(|lineno| Frame { filename: file, lineno });
        let traceback = tracemalloc.traceback(&stack, 3);
        tracemalloc.add(0, Addr(0x1000), 10, traceback).unwrap();
        tracemalloc.add(7, Addr(0x1000), 20, TracebackId::EMPTY).unwrap();
        let snapshot = take_snapshot(&tracemalloc).unwrap();
        let texts: Vec<String> = snapshot.traces().map(|trace| trace.to_string()).collect();
        assert_eq!(texts, ["a.py:5: 10 B", "<unknown>:0: 20 B"]);
        assert_eq!(snapshot.traceback_limit(), 2);
        let first = snapshot.traces().next().unwrap();
        assert_eq!(first.traceback.most_recent().lineno, 9);
        assert_eq!(first.traceback.total_nframe(), Some(3));
    }

    #[test]
    fn a_built_snapshot_is_the_one_of_its_blocks() {
        let mut builder = SnapshotBuilder::default();
        let frame = |name: &str, lineno| NamedFrame { filename: Arc::from(name), lineno };
        let [b, a, again] =
            [("b", 2), ("a", 1), ("b", 2)].map(|(name, line)| builder.frame(frame(name, line)));
        let both = builder.traceback([b, a], 2);
        let same = builder.traceback([again, a], 7);
        let none = builder.traceback([], 9);
        assert_eq!(builder.frame_count(), 5);
        for (domain, size, traceback) in [(0, 10, both), (0, 20, same), (3, 5, none), (0, 1, both)] {
            builder.block(domain, size, traceback);
        }
        let built = builder.finish(4);
        let traceback = |total| NamedTraceback::new([frame("b", 2), frame("a", 1)], Some(total));
        let plain = Snapshot::new(
            [
                (0, 10, traceback(2)),
                (0, 20, traceback(7)),
                (3, 5, NamedTraceback::new([], Some(1))),
                (0, 1, traceback(2)),
            ],
            4,
        );
        assert_eq!(built.traceback_limit(), 4);
        let rows = |snapshot: &Snapshot| -> Vec<_> {
            let traces = snapshot.traces();
            traces.map(|t| (t.domain, t.size, t.traceback.clone(), t.traceback.total_nframe())).collect()
        };
        assert_eq!(rows(&built), rows(&plain));
        for key in super::super::KeyType::ALL {
            assert_eq!(built.statistics(key, false), plain.statistics(key, false));
            assert_eq!(built.compare_to(&plain, key, false), plain.compare_to(&built, key, false));
        }
    }

    #[test]
    fn tracebacks_compare_by_frames_alone_and_file_names_by_code_point() {
        let traceback = |name: &str, total| {
            NamedTraceback::new([NamedFrame { filename: Arc::from(name), lineno: 1 }], total)
        };
        assert_eq!(traceback("a", Some(1)), traceback("a", None));
        assert!(traceback("\u{ffff}", None) < traceback("\u{10000}", None));
        assert!(traceback("Z", None) < traceback("a", None));
    }
}
