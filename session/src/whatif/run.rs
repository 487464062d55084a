//! One cell: a tape under one set-up, at full speed, with the most that was held and where it went.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::domains::AllocatorName;
use sim_core::event::{MiEvent, Observer};
use sim_core::mimalloc::SLICE_BYTES;
use sim_core::{Event, Machine, Trace};
use thiserror::Error;

use super::asked::Asked;
use super::ledger::{Ledger, Losses};
use super::tape::Tape;
use crate::diagnosis::waterfall::hook_bytes;
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
    pub stopped: Option<String>,
    /// Bytes of arenas, at the most in each stretch of the unedited trace.
    pub curve: Vec<u64>,
    /// Bytes of an arena, of pymalloc's.
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

    /// How many arenas or segments so many bytes of them are.
    pub fn arenas_of(&self, bytes: u64) -> u64 {
        match self.allocator {
            Allocator::Mimalloc => bytes.div_ceil(32 << 20),
            _ => bytes / self.arena_size,
        }
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
struct Lane {
    trace: Arc<Trace>,
    machine: Machine,
    done: usize,
    segments: Segments,
    highwater: u64,
    arena_size: u64,
    asked: Asked,
    debug: u64,
}

impl Lane {
    fn new(trace: &Arc<Trace>, setup: &Setup) -> Result<Self, SetupError> {
        let machine = setup.machine(trace)?;
        let profile = &setup.profile;
        let most =
            if machine.mimalloc().is_some() { i64::MAX as u64 } else { profile.small_request_threshold };
        let debug = hook_bytes(setup);
        Ok(Self {
            trace: Arc::clone(trace),
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
        self.asked.advance(&self.trace, self.done);
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
    let mut running = Running::new(tape, setup)?;
    running.looks = looks;
    loop {
        // Whoever listens hears of each peak.
        let some = if running.again.is_some() { running.advance(CHUNK) } else { running.turn(CHUNK) };
        if let Some(figures) = some {
            return figures;
        }
        if on(running.done()).is_break() {
            return Err(CellError::Stopped);
        }
    }
}

/// A run on its way, a piece at a time.
pub struct Running {
    tape: Tape,
    setup: Setup,
    looks: (u64, u64),
    lanes: Vec<Lane>,
    held: Vec<Held>,
    peak: Peak,
    curve: Vec<u64>,
    /// Stretches that are over.
    marks: usize,
    done: u64,
    looked: u64,
    /// Whose turn it is, and operations of it that are left.
    turn: usize,
    left: u64,
    stopped: Option<String>,
    /// The way to the peak once more, lane by lane, and what those had that got there.
    again: Option<(Vec<Lane>, Ledger)>,
}

impl Running {
    /// With nothing done.
    pub fn new(tape: &Tape, setup: &Setup) -> Result<Self, CellError> {
        let lanes: Result<Vec<Lane>, _> = tape.lanes.iter().map(|trace| Lane::new(trace, setup)).collect();
        let lanes = lanes?;
        let mut running = Self {
            looks: LOOKS,
            held: vec![Held::default(); lanes.len()],
            lanes,
            peak: Peak::default(),
            curve: Vec::with_capacity(tape.marks.len()),
            marks: 0,
            done: 0,
            looked: 0,
            turn: 0,
            left: tape.turns.first().map_or(0, |turn| turn.operations),
            stopped: None,
            again: None,
            tape: tape.clone(),
            setup: setup.clone(),
        };
        running.pass();
        Ok(running)
    }

    /// Operations that are done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Does up to so many operations; the figures are there once all are done.
    pub fn advance(&mut self, most: u64) -> Option<Result<Figures, CellError>> {
        if let Some((lanes, ledger)) = &mut self.again {
            let to = self.peak.done.get(lanes.len() - 1).copied().unwrap_or(0);
            let lane = lanes.last_mut()?;
            let next = to.min(lane.done + most as usize);
            lane.machine.run(&lane.trace, lane.done, next);
            lane.done = next;
            if next < to {
                return None;
            }
            *ledger += lane.ledger();
            lanes.pop();
            let ledger = *ledger;
            return lanes.is_empty().then(|| Ok(self.figures(ledger)));
        }
        let end = self.done.saturating_add(most);
        while self.done < end {
            if let Some(figures) = self.turn(end - self.done) {
                return Some(figures);
            }
            if self.again.is_some() {
                break;
            }
        }
        None
    }

    /// One chunk of the way there, of at most so many operations.
    fn turn(&mut self, most: u64) -> Option<Result<Figures, CellError>> {
        while self.left == 0 {
            self.turn += 1;
            let Some(turn) = self.tape.turns.get(self.turn) else { return self.end() };
            self.left = turn.operations;
        }
        self.chunk(most);
        if self.stopped.is_some() { self.end() } else { None }
    }

    /// Does operations of one lane up to the end of a stretch, or until more is held than before.
    fn chunk(&mut self, most: u64) {
        let at = self.tape.turns.get(self.turn).map_or(0, |turn| turn.lane as usize);
        let others = self.held.iter().enumerate().filter(|(lane, _)| *lane != at).fold(
            Held::default(),
            |sum, (_, of)| Held {
                arenas: sum.arenas + of.arenas,
                bytes: sum.bytes + of.bytes,
                raw: sum.raw + of.raw,
            },
        );
        let mark = self.tape.marks.get(self.marks).copied().unwrap_or(u64::MAX);
        let chunk = self.left.min(most).min(mark.saturating_sub(self.done).max(1));
        let (lane, peak) = (&mut self.lanes[at], &mut self.peak);
        let (from, to) = (lane.done, lane.done + chunk as usize);
        let (own, highwater, arena_size) = (&mut self.held[at], &mut lane.highwater, lane.arena_size);
        let mut higher = false;
        lane.done = lane.machine.run_seen(&lane.trace, from, to, &mut lane.segments, |machine, segments| {
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
        (self.left, self.done) = (self.left - ran, self.done + ran);
        if higher {
            let cost: u64 = self.lanes.iter().map(Lane::looks).sum();
            self.peak.step = self.done;
            self.peak.done = self.lanes.iter().map(|lane| lane.done).collect();
            self.peak.ledger = (self.looked + cost <= self.done * self.looks.0 + self.looks.1).then(|| {
                self.looked += cost;
                sum(&mut self.lanes)
            });
        }
        self.pass();
        self.stopped = self.lanes[at].machine.stopped().map(ToString::to_string);
    }

    /// Ends the stretches that are over, of which the last one may have no operation.
    fn pass(&mut self) {
        while self.tape.marks.get(self.marks).is_some_and(|mark| *mark <= self.done) {
            self.marks += 1;
            self.curve.push(self.peak.stretch);
            self.peak.stretch = self.held.iter().map(|of| of.bytes).sum();
        }
    }

    /// All is done; where the bytes went at the peak may have to be looked at once more.
    fn end(&mut self) -> Option<Result<Figures, CellError>> {
        if self.lanes.iter().any(|lane| lane.machine.pymalloc().memory().out_of_space()) {
            return Some(Err(CellError::OutOfSpace));
        }
        if let Some(ledger) = self.peak.ledger {
            return Some(Ok(self.figures(ledger)));
        }
        // Without a peak nothing was ever held.
        let lanes = &self.tape.lanes[..self.peak.done.len()];
        let lanes: Result<Vec<Lane>, _> = lanes.iter().map(|trace| Lane::new(trace, &self.setup)).collect();
        match lanes {
            Err(error) => Some(Err(error.into())),
            Ok(lanes) if lanes.is_empty() => Some(Ok(self.figures(Ledger::default()))),
            Ok(lanes) => {
                self.again = Some((lanes, Ledger::default()));
                None
            }
        }
    }

    fn figures(&mut self, at_peak: Ledger) -> Figures {
        let at_end = sum(&mut self.lanes);
        let last = |of: fn(&Held) -> u64| self.held.iter().map(of).sum::<u64>();
        Figures {
            peak_arenas: self.peak.arenas,
            final_arenas: last(|h| h.arenas),
            released: self.lanes.iter().map(Lane::released).sum(),
            peak_bytes: self.peak.bytes,
            final_bytes: last(|h| h.bytes),
            raw_peak_bytes: self.peak.raw,
            raw_final_bytes: last(|h| h.raw),
            peak_total_bytes: self.peak.total,
            final_total_bytes: last(|h| h.bytes + h.raw),
            peak_step: self.peak.step,
            peak_asked_bytes: at_peak.asked,
            final_asked_bytes: at_end.asked,
            losses: AtBoth { at_peak: at_peak.losses, at_end: at_end.losses },
            allocator: Allocator::of(&self.setup),
            stopped: self.stopped.take(),
            curve: std::mem::take(&mut self.curve),
            arena_size: self.setup.profile.arena_size,
        }
    }
}

/// Where the bytes of all lanes went.
fn sum(lanes: &mut [Lane]) -> Ledger {
    lanes.iter_mut().fold(Ledger::default(), |mut sum, lane| {
        sum += lane.ledger();
        sum
    })
}

#[cfg(test)]
mod tests {
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
