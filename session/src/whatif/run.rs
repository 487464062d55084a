//! One cell: a tape under one set-up, at full speed, with the most that was held and where it went.

use std::iter::Peekable;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sim_core::domains::AllocatorName;
use sim_core::event::{MiEvent, Observer};
use sim_core::mimalloc::SLICE_BYTES;
use sim_core::{Event, Machine, Trace};
use thiserror::Error;

use super::asked::Asked;
use super::ledger::{Ledger, Losses};
use super::tape::Tape;
use crate::setup::{Setup, SetupError};

/// Operations between two words on how far it is.
const CHUNK: u64 = 1 << 18;
/// Slots and pools that may be looked at for a state that turns out not to be the peak, for each operation and at all.
const LOOKS: (u64, u64) = (4, 1 << 16);

/// Why a cell has no figures.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CellError {
    /// It cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Simulated arenas do not reach that far.
    #[error("the trace holds more memory at once than the address space for arenas has")]
    OutOfSpace,
    /// Nobody wants it any more.
    #[error("it was stopped")]
    Stopped,
}

/// What one cell came to. Arenas are those of pymalloc; on mimalloc its segments stand for them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// The most at once.
    pub peak_arenas: u64,
    /// Those that are left at the end.
    pub final_arenas: u64,
    /// How many were given back.
    pub released: u64,
    /// Bytes of arenas, at the most.
    pub peak_bytes: u64,
    /// Bytes of arenas that are left at the end.
    pub final_bytes: u64,
    /// Bytes asked for of the C library, at the most. What it takes beside them is not modelled.
    pub raw_peak_bytes: u64,
    /// The same at the end.
    pub raw_final_bytes: u64,
    /// Arenas and what was asked for of the C library, at the most at one time.
    pub peak_total_bytes: u64,
    /// The same at the end.
    pub final_total_bytes: u64,
    /// Operations that were done when arenas were first at their most.
    pub peak_step: u64,
    /// Bytes of arenas that were asked for then.
    pub peak_asked_bytes: u64,
    /// Bytes of arenas that are asked for at the end.
    pub final_asked_bytes: u64,
    /// What is in arenas beside them.
    pub losses: AtBoth,
    /// Whose blocks MEM and OBJ are.
    pub allocator: Allocator,
    /// What would have ended the process; the figures are those up to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Bytes of arenas, at the most in each stretch of the unedited trace.
    #[serde(skip)]
    pub curve: Vec<u64>,
    /// Bytes of an arena, of pymalloc's.
    #[serde(skip)]
    pub arena_size: u64,
}

/// Who serves MEM and OBJ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allocator {
    /// pymalloc, with the C library for what is not small.
    Pymalloc,
    /// mimalloc, whose segments of 32 MiB stand for arenas.
    Mimalloc,
    /// The C library, of which only what it was asked for is known.
    Malloc,
}

/// Losses at two moments.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct AtBoth {
    /// When arenas were first at their most.
    pub at_peak: Losses,
    /// After the last operation.
    pub at_end: Losses,
}

impl Allocator {
    /// What a set-up runs on.
    pub fn of(setup: &Setup) -> Self {
        match setup.malloc {
            AllocatorName::Malloc | AllocatorName::MallocDebug => Self::Malloc,
            name if name.is_mimalloc((&setup.profile).into()) => Self::Mimalloc,
            _ => Self::Pymalloc,
        }
    }
}

impl Figures {
    /// What is held at the end, and at the most: arenas and RAW.
    pub fn held(&self) -> (u64, u64) {
        (self.final_total_bytes, self.peak_total_bytes)
    }

    /// Whether less of it is less: the run went to its end, on the same allocator as `base`, and the C library was asked for the same.
    /// What that takes beside is not known, nor how much of a segment is ever touched.
    pub fn compares(&self, base: &Self) -> bool {
        let raw = |of: &Self| (of.raw_peak_bytes, of.raw_final_bytes);
        self.stopped.is_none()
            && base.stopped.is_none()
            && self.allocator == base.allocator
            && raw(self) == raw(base)
    }
}

/// What mimalloc holds, from its events.
#[derive(Default)]
struct Segments {
    /// Bytes by ordinal, 0 where none is.
    bytes_of: Vec<(u32, u64)>,
    now: u64,
    bytes: u64,
    most: u64,
    most_bytes: u64,
    freed: u64,
}

impl Observer for Segments {
    // What costs to make is not read.
    const ENABLED: bool = false;
    #[inline]
    fn event(&mut self, event: Event) {
        let Event::Mimalloc(event) = event else { return };
        match event {
            MiEvent::SegmentObtained { ordinal, slices, .. } => {
                let bytes = u64::from(slices) * SLICE_BYTES;
                self.bytes_of.push((ordinal, bytes));
                self.now += 1;
                self.bytes += bytes;
                self.most = self.most.max(self.now);
                self.most_bytes = self.most_bytes.max(self.bytes);
            }
            MiEvent::SegmentFreed { ordinal, .. } => {
                if let Some(at) = self.bytes_of.iter().position(|of| of.0 == ordinal) {
                    self.bytes -= self.bytes_of.swap_remove(at).1;
                    self.now -= 1;
                    self.freed += 1;
                }
            }
            _ => {}
        }
    }
}

/// What one machine holds, and held at the most since it was looked at last.
#[derive(Clone, Copy, Default)]
struct Held {
    arenas: u64,
    bytes: u64,
    raw: u64,
}

/// A machine on its way.
struct Lane<'a> {
    trace: &'a Trace,
    machine: Machine,
    done: usize,
    segments: Segments,
    highwater: u64,
    arena_size: u64,
    asked: Asked,
    debug: u64,
}

impl<'a> Lane<'a> {
    fn new(trace: &'a Trace, setup: &Setup) -> Result<Self, SetupError> {
        let machine = setup.machine(trace)?;
        let profile = &setup.profile;
        let most =
            if machine.mimalloc().is_some() { i64::MAX as u64 } else { profile.small_request_threshold };
        let debug = if setup.malloc.is_debug() { 3 * u64::from(profile.pointer_bytes) } else { 0 };
        Ok(Self {
            trace,
            machine,
            done: 0,
            segments: Segments::default(),
            highwater: 0,
            arena_size: profile.arena_size,
            asked: Asked::new(trace, most),
            debug,
        })
    }

    fn ledger(&mut self) -> Ledger {
        self.asked.advance(self.trace, self.done);
        Ledger::of(&self.machine, &self.asked, self.debug)
    }

    /// Slots and pools that [`Self::ledger`] looks at.
    fn looks(&self) -> u64 {
        let pools = self.machine.pymalloc().profile().max_pools_in_arena();
        u64::from(self.trace.slot_count()) + self.highwater * u64::from(pools) + self.segments.now * 512
    }

    fn released(&self) -> u64 {
        let counters = self.machine.arena_counters();
        counters.ntimes_arena_allocated - counters.narenas_currently_allocated + self.segments.freed
    }
}

/// What a machine holds after an operation. What came and went inside it counts as held.
#[inline]
fn look(machine: &Machine, segments: &mut Segments, highwater: &mut u64, arena_size: u64) -> Held {
    let counters = machine.arena_counters();
    let arenas = if counters.narenas_highwater > *highwater {
        *highwater = counters.narenas_highwater;
        *highwater
    } else {
        counters.narenas_currently_allocated
    };
    let held = Held {
        arenas: arenas + segments.most,
        bytes: arenas * arena_size + segments.most_bytes,
        raw: machine.raw().live_bytes(),
    };
    (segments.most, segments.most_bytes) = (segments.now, segments.bytes);
    held
}

/// The most of everything, over all lanes.
#[derive(Default)]
struct Peak {
    arenas: u64,
    bytes: u64,
    raw: u64,
    total: u64,
    /// The most bytes in the stretch that is being run.
    stretch: u64,
    step: u64,
    /// Operations of each lane that were done then.
    done: Vec<usize>,
    /// Where the bytes went then, where it was looked at.
    ledger: Option<Ledger>,
}

/// Runs a tape to its end. `on` hears how many operations are done, and may stop it.
pub fn run(
    tape: &Tape,
    setup: &Setup,
    on: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Figures, CellError> {
    run_looking(tape, setup, LOOKS, on)
}

fn run_looking(
    tape: &Tape,
    setup: &Setup,
    looks: (u64, u64),
    on: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Figures, CellError> {
    let lanes: Result<Vec<Lane<'_>>, _> = tape.lanes.iter().map(|trace| Lane::new(trace, setup)).collect();
    let mut lanes = lanes?;
    let mut held = vec![Held::default(); lanes.len()];
    let (mut peak, mut curve) = (Peak::default(), Vec::with_capacity(tape.marks.len()));
    let (mut done, mut looked) = (0, 0);
    let mut marks = tape.marks.iter().copied().peekable();
    let mut stopped = None;
    pass(&mut marks, done, &mut curve, &mut peak.stretch, &held);
    'tape: for turn in &tape.turns {
        let at = turn.lane as usize;
        let mut left = turn.operations;
        while left > 0 {
            let others = held.iter().enumerate().filter(|(lane, _)| *lane != at).fold(
                Held::default(),
                |sum, (_, of)| Held {
                    arenas: sum.arenas + of.arenas,
                    bytes: sum.bytes + of.bytes,
                    raw: sum.raw + of.raw,
                },
            );
            let mark = marks.peek().copied().unwrap_or(u64::MAX);
            let chunk = left.min(CHUNK).min(mark.saturating_sub(done).max(1));
            let lane = &mut lanes[at];
            let (from, to) = (lane.done, lane.done + chunk as usize);
            let (own, highwater, arena_size) = (&mut held[at], &mut lane.highwater, lane.arena_size);
            let mut higher = false;
            lane.done =
                lane.machine.run_seen(lane.trace, from, to, &mut lane.segments, |machine, segments| {
                    let most = look(machine, segments, highwater, arena_size);
                    let bytes = others.bytes + most.bytes;
                    let raw = others.raw + most.raw;
                    peak.arenas = peak.arenas.max(others.arenas + most.arenas);
                    peak.raw = peak.raw.max(raw);
                    peak.total = peak.total.max(bytes + raw);
                    peak.stretch = peak.stretch.max(bytes);
                    let arenas = machine.arena_counters().narenas_currently_allocated;
                    *own = Held {
                        arenas: arenas + segments.now,
                        bytes: arenas * arena_size + segments.bytes,
                        raw: most.raw,
                    };
                    higher = bytes > peak.bytes;
                    peak.bytes = peak.bytes.max(bytes);
                    if higher { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
            let ran = (lane.done - from) as u64;
            (left, done) = (left - ran, done + ran);
            if higher {
                let cost: u64 = lanes.iter().map(Lane::looks).sum();
                peak.step = done;
                peak.done = lanes.iter().map(|lane| lane.done).collect();
                peak.ledger = (looked + cost <= done * looks.0 + looks.1).then(|| {
                    looked += cost;
                    sum(&mut lanes)
                });
            }
            pass(&mut marks, done, &mut curve, &mut peak.stretch, &held);
            if on(done).is_break() {
                return Err(CellError::Stopped);
            }
            stopped = lanes[at].machine.stopped().map(ToString::to_string);
            if stopped.is_some() {
                break 'tape;
            }
        }
    }
    if lanes.iter().any(|lane| lane.machine.pymalloc().memory().out_of_space()) {
        return Err(CellError::OutOfSpace);
    }
    let at_peak = match peak.ledger {
        Some(ledger) => ledger,
        None => again(tape, setup, &peak.done, on)?,
    };
    let at_end = sum(&mut lanes);
    let last = |of: fn(&Held) -> u64| held.iter().map(of).sum::<u64>();
    Ok(Figures {
        peak_arenas: peak.arenas,
        final_arenas: last(|h| h.arenas),
        released: lanes.iter().map(Lane::released).sum(),
        peak_bytes: peak.bytes,
        final_bytes: last(|h| h.bytes),
        raw_peak_bytes: peak.raw,
        raw_final_bytes: last(|h| h.raw),
        peak_total_bytes: peak.total,
        final_total_bytes: last(|h| h.bytes + h.raw),
        peak_step: peak.step,
        peak_asked_bytes: at_peak.asked,
        final_asked_bytes: at_end.asked,
        losses: AtBoth { at_peak: at_peak.losses, at_end: at_end.losses },
        allocator: Allocator::of(setup),
        stopped,
        curve,
        arena_size: setup.profile.arena_size,
    })
}

/// Ends the stretches that are over after so many operations, of which the last one may have none.
fn pass(
    marks: &mut Peekable<impl Iterator<Item = u64>>,
    done: u64,
    curve: &mut Vec<u64>,
    stretch: &mut u64,
    held: &[Held],
) {
    while marks.next_if(|mark| *mark <= done).is_some() {
        curve.push(*stretch);
        *stretch = held.iter().map(|of| of.bytes).sum();
    }
}

/// Where the bytes of all lanes went.
fn sum(lanes: &mut [Lane<'_>]) -> Ledger {
    lanes.iter_mut().fold(Ledger::default(), |mut sum, lane| {
        sum += lane.ledger();
        sum
    })
}

/// The same for a state that was passed: the way to it once more.
fn again(
    tape: &Tape,
    setup: &Setup,
    done: &[usize],
    on: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Ledger, CellError> {
    let mut ledger = Ledger::default();
    // Nothing was ever held.
    for (trace, &to) in tape.lanes.iter().zip(done) {
        let mut lane = Lane::new(trace, setup)?;
        while lane.done < to {
            let next = to.min(lane.done + CHUNK as usize);
            lane.machine.run(trace, lane.done, next);
            lane.done = next;
            if on(tape.operations()).is_break() {
                return Err(CellError::Stopped);
            }
        }
        ledger += lane.ledger();
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sim_core::{Call, Domain, Op, TraceBuilder};

    use super::*;
    use crate::setup::Overrides;

    /// A state that was passed is looked at again, and is the one that was looked at at once.
    #[test]
    fn looking_later_shows_what_looking_at_once_shows() {
        let mut tape = TraceBuilder::new("t");
        for id in 1..=9000 {
            tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 30 + id % 480 } })
                .unwrap();
            if id % 3 == 0 {
                tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: id - 1 } }).unwrap();
            }
        }
        let tape = Tape::of(&Arc::new(tape.finish()));
        for preset in ["cpython-3.14", "cpython-3.9", "cpython-3.14t"] {
            let setup = Setup::resolve(&tape.lanes[0], &Overrides::preset(preset)).unwrap();
            let go_on = &mut |_| ControlFlow::Continue(());
            let at_once = run_looking(&tape, &setup, (u64::MAX >> 20, 0), go_on).unwrap();
            let later = run_looking(&tape, &setup, (0, 0), go_on).unwrap();
            assert!(at_once.peak_step > 0 && at_once.losses.at_peak.sum() > 0);
            assert_eq!(at_once, later, "{preset}");
        }
    }
}
