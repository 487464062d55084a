//! The whole tape at a glance: how much was held and live, and when arenas (mimalloc's segments) came and went.
//!
//! It watches the first pass over the tape, gives the bar at the bottom its curves and tells the arena jumps
//! where to land.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::arena::Target;
use sim_core::event::MiEvent;
use sim_core::mimalloc::SLICE_BYTES;
use sim_core::replay::Moment;
use sim_core::tape::Action;
use sim_core::{Addr, Event, Kind, Machine, Profile, Trace};

use super::peak::{High, Peaks};

/// Columns of the curves, the most of them for a tape that grows.
const BUCKETS: u64 = 1024;

/// An arena, or a segment of mimalloc, obtained or released.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArenaMark {
    /// Operations done when it was.
    pub step: u64,
    /// Obtained, or released.
    pub obtained: bool,
    /// Which arena, in order of creation.
    pub ordinal: u64,
}

/// The most that was seen in one stretch of the tape: a peak is never averaged away.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Bytes of all arenas or segments.
    pub held_bytes: u64,
    /// Bytes asked for in live blocks of pools, or of mimalloc's.
    pub live_bytes: u64,
}

/// Curves and marks of a tape, complete up to [`Self::known`].
#[derive(Debug)]
pub struct Overview {
    /// One for each stretch of [`Self::bucket_steps`] operations.
    pub buckets: Vec<Bucket>,
    /// Arenas obtained and released, in order.
    pub marks: Vec<ArenaMark>,
    total: u64,
    known: u64,
    bucket_steps: u64,
    /// Whether the tape may go on.
    grows: bool,
    /// Bytes asked for of the block in each slot, 0 for the C library's.
    asked: Vec<u64>,
    live_bytes: u64,
    peaks: Peaks,
    arena_size: u64,
    threshold: u64,
    /// Bytes of mimalloc's segments, by ordinal.
    segments: BTreeMap<u32, u64>,
}

impl Overview {
    /// Nothing known yet.
    pub fn new(trace: &Trace, profile: &Profile) -> Self {
        Self {
            buckets: Vec::new(),
            marks: Vec::new(),
            total: trace.len(),
            known: 0,
            bucket_steps: trace.len().div_ceil(BUCKETS).max(1),
            grows: false,
            asked: vec![0; trace.slot_count() as usize],
            live_bytes: 0,
            peaks: Peaks::default(),
            arena_size: profile.arena_size,
            threshold: profile.small_request_threshold,
            segments: BTreeMap::new(),
        }
    }

    /// The same for a tape that goes on, see [`Self::grow`].
    pub fn growing(trace: &Trace, profile: &Profile) -> Self {
        let bucket_steps = growing_steps(trace.len());
        Self { bucket_steps, grows: true, ..Self::new(trace, profile) }
    }

    /// Operations that curves and marks cover.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// Whether the whole tape is covered.
    pub fn complete(&self) -> bool {
        self.known == self.total
    }

    /// Operations of one bucket.
    pub fn bucket_steps(&self) -> u64 {
        self.bucket_steps
    }

    /// The tape of one that was made for it has grown, see [`sim_core::Replay::grow`]. Buckets have a power of two of operations, so that
    /// the curves come out as if the whole had been there from the start.
    pub fn grow(&mut self, trace: &Trace) {
        self.total = trace.len();
        self.asked.resize(trace.slot_count() as usize, 0);
        let wanted = growing_steps(self.total);
        while self.bucket_steps < wanted {
            self.bucket_steps *= 2;
            let pairs = self.buckets.chunks(2).map(|pair| {
                let most = |of: fn(&Bucket) -> u64| pair.iter().map(of).max().unwrap_or(0);
                Bucket { held_bytes: most(|b| b.held_bytes), live_bytes: most(|b| b.live_bytes) }
            });
            self.buckets = pairs.collect();
        }
    }

    /// The trace's peak, once it is known: see [`super::peak`].
    pub fn peak(&self) -> Option<High> {
        self.complete().then(|| self.peaks.asked())
    }

    /// The first arena mark after `step`; `None` also while it is not known yet.
    pub fn next_mark(&self, step: u64) -> Option<ArenaMark> {
        self.marks.get(self.marks.partition_point(|m| m.step <= step)).copied()
    }

    /// The last arena mark before `step`.
    pub fn previous_mark(&self, step: u64) -> Option<ArenaMark> {
        self.marks[..self.marks.partition_point(|m| m.step < step)].last().copied()
    }

    /// Bytes asked for in the slot of an operation now.
    fn asked_for(&self, trace: &Trace, index: usize, machine: &Machine) -> Option<(usize, u64)> {
        let op = trace.packed(index);
        let deferred = op.kind == Kind::Act
            && matches!(trace.action(op.size), Some(Action::FreeDelayed { id, .. }) if id != 0);
        if (op.null && op.kind == Kind::Free) || (op.kind == Kind::Act && !deferred) {
            return None;
        }
        let slot = op.slot.0 as usize;
        let asked = self.asked[slot];
        let now = match (machine.mimalloc(), machine.target(op.slot)) {
            (_, Target::Raw(_)) | (None, Target::Null) => 0,
            (Some(mimalloc), _) => match (op.kind, machine.address(op.slot)) {
                (_, None | Some(Addr(0))) | (Kind::Free | Kind::FreeKeep | Kind::Act, _) => 0,
                // A request that failed leaves the old block.
                (Kind::Realloc, _) if mimalloc.returned_addr().is_none() => asked,
                _ => op.size,
            },
            // As above; and no pool block is over the threshold.
            (None, Target::Block(_)) if op.size <= self.threshold => op.size,
            (None, Target::Block(_)) => asked,
        };
        Some((slot, now))
    }
}

impl Overview {
    /// Notes an arena's or a segment's coming and going.
    fn note(&mut self, event: &Event) {
        let (obtained, ordinal) = match *event {
            Event::ArenaObtained { arena, .. } => (true, arena.ordinal),
            Event::ArenaReleased { arena, .. } => (false, arena.ordinal),
            Event::Mimalloc(MiEvent::SegmentObtained { ordinal, slices, .. }) => {
                self.segments.insert(ordinal, u64::from(slices) * SLICE_BYTES);
                (true, u64::from(ordinal))
            }
            Event::Mimalloc(MiEvent::SegmentFreed { ordinal, .. }) => {
                self.segments.remove(&ordinal);
                (false, u64::from(ordinal))
            }
            _ => return,
        };
        self.marks.push(ArenaMark { step: self.known + 1, obtained, ordinal });
    }
}

impl Overview {
    /// Takes in the next operation.
    pub fn add(&mut self, moment: &Moment<'_>) {
        let Moment { trace, index, events, machine, pointer } = *moment;
        for event in events {
            self.note(event);
        }
        if let Some((slot, now)) = self.asked_for(trace, index, machine) {
            self.live_bytes = self.live_bytes + now - self.asked[slot];
            self.asked[slot] = now;
        }
        if machine.stopped().is_none() {
            self.peaks.after(machine, trace, index, pointer);
        }
        let arenas = machine.arena_counters().narenas_currently_allocated * self.arena_size;
        let held_bytes = arenas + self.segments.values().sum::<u64>();
        if self.known.is_multiple_of(self.bucket_steps()) {
            self.buckets.push(Bucket::default());
        }
        if let Some(peak) = self.buckets.last_mut() {
            peak.held_bytes = peak.held_bytes.max(held_bytes);
            peak.live_bytes = peak.live_bytes.max(self.live_bytes);
        }
        self.known += 1;
        if self.complete() && !self.grows {
            self.asked = Vec::new();
            self.peaks.rest();
        }
    }
}

/// Operations of one bucket on a tape that has grown to so many.
fn growing_steps(operations: u64) -> u64 {
    operations.div_ceil(BUCKETS).max(1).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use sim_core::{Call, Domain, Op, Replay, TraceBuilder};

    #[test]
    fn curves_of_a_growing_tape_come_out_as_those_of_the_whole() {
        let mut tape = TraceBuilder::new("t");
        let mut parts = Vec::new();
        for id in 1..=150_000_u64 {
            // A heap that swells and shrinks by turns.
            let call = match id / 3000 % 3 {
                0 | 1 => Call::Malloc { id, size: 1 + id % 600 },
                _ => Call::Free { id: id - 3000 },
            };
            tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
            if [1, 900, 1025, 5000, 65_536, 70_001, 149_999].contains(&id) {
                parts.push(Arc::new(tape.share()));
            }
        }
        let whole = Arc::new(tape.finish());
        let profile = Profile::default();
        let mut straight = Overview::growing(&whole, &profile);
        Replay::new(Arc::clone(&whole), &profile, 0)
            .unwrap()
            .advance_with(u64::MAX, |moment| straight.add(moment));
        let mut parts = parts.into_iter().chain([Arc::clone(&whole)]);
        let first = parts.next().unwrap();
        let mut overview = Overview::growing(&first, &profile);
        let mut replay = Replay::new(first, &profile, 0).unwrap();
        for (at, part) in parts.enumerate() {
            // To the end, or not so far.
            let complete =
                replay.advance_with(if at % 2 == 0 { u64::MAX } else { 500 }, |moment| overview.add(moment));
            assert_eq!(complete, overview.complete());
            overview.grow(&part);
            replay.grow(part).unwrap();
        }
        assert!(!overview.complete() && replay.advance_with(u64::MAX, |moment| overview.add(moment)));
        assert!(overview.complete());
        assert_eq!((overview.bucket_steps(), overview.known()), (256, 150_000));
        assert_eq!(overview.bucket_steps(), straight.bucket_steps());
        assert_eq!(overview.buckets, straight.buckets);
        assert_eq!(overview.marks, straight.marks);
        assert_eq!(overview.peak(), straight.peak());
    }

    #[test]
    fn finds_arenas_and_peaks() {
        let mut tape = TraceBuilder::new("t");
        for id in 1..=4000 {
            let call = Call::Malloc { id, size: 512 };
            tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        }
        for id in (1..=4000).rev() {
            tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Free { id } }).unwrap();
        }
        let trace = Arc::new(tape.finish());
        let profile = Profile::default();
        let mut overview = Overview::new(&trace, &profile);
        Replay::new(trace, &profile, 0).unwrap().advance_with(u64::MAX, |moment| overview.add(moment));
        assert!(overview.complete());
        assert_eq!(overview.known(), 8000);
        // 1984 blocks of 512 bytes fill an arena.
        assert_eq!(overview.marks[0], ArenaMark { step: 1, obtained: true, ordinal: 0 });
        assert_eq!(overview.next_mark(1).map(|m| m.step), Some(1985));
        assert_eq!(overview.previous_mark(1985).map(|m| m.step), Some(1));
        let peak = overview.buckets.iter().map(|b| b.live_bytes).max();
        assert_eq!(peak, Some(4000 * 512));
        assert_eq!(overview.peak(), Some(High { bytes: 4000 * 512, step: 4000 }));
        assert_eq!(overview.buckets.iter().map(|b| b.held_bytes).max(), Some(3 << 20));
        assert!(overview.marks.iter().any(|m| !m.obtained));
    }
}
