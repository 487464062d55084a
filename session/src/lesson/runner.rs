//! A run of a program, operation by operation, with what formulas may ask of it.

use std::collections::BTreeMap;

use sim_core::arena::{ArenaBackend as _, SimArenas, SimPtr, Target};
use sim_core::report::Placement;
use sim_core::{Addr, Call, Event, Machine, Op, Profile, Trace};
use trace_io::lesson::text;
use trace_io::program::expr::Expr;

use super::moment::Moment;
use super::script::Shown;
use super::spot::{Spot, Way};
use super::tally::{Change, Tally};
use crate::facts;
use crate::setup::Setup;

/// A machine on its way along a trace, and where the blocks of its program lie.
pub(crate) struct Runner<'a> {
    pub(super) trace: &'a Trace,
    pub(super) profile: &'a Profile,
    pub(super) names: BTreeMap<u64, String>,
    pub(super) machine: Machine,
    pub(super) step: u64,
    pub(super) spots: BTreeMap<String, Spot>,
    /// Numbers that were kept under a name.
    pub(super) kept: BTreeMap<String, i64>,
    pub(super) events: Vec<Event>,
    obtained: u64,
    released: u64,
    tally: Tally,
}

impl<'a> Runner<'a> {
    /// Before the first operation. The first `given` operations are not the learner's.
    pub(crate) fn new(
        trace: &'a Trace,
        setup: &Setup,
        profile: &'a Profile,
        given: u64,
    ) -> Result<Self, String> {
        Ok(Self {
            trace,
            profile,
            names: trace.head.names.iter().cloned().collect(),
            machine: setup.machine(trace).map_err(|error| error.to_string())?,
            step: 0,
            spots: BTreeMap::new(),
            kept: BTreeMap::new(),
            events: Vec::new(),
            obtained: 0,
            released: 0,
            tally: Tally::after(given),
        })
    }

    /// Does the next operation; nothing at the end of the trace.
    pub(crate) fn advance(&mut self) -> Option<Op> {
        let op = self.trace.op(self.step)?;
        self.events.clear();
        let pointer = self.machine.step(self.trace, self.step as usize, &mut self.events);
        self.step += 1;
        let count = |what: fn(&Event) -> bool| self.events.iter().filter(|event| what(event)).count() as u64;
        self.obtained += count(|event| matches!(event, Event::ArenaObtained { .. }));
        self.released += count(|event| matches!(event, Event::ArenaReleased { .. }));
        let change = self.note(&op.call, pointer);
        if self.machine.stopped().is_none() {
            self.tally.count(self.step, &op, &self.events, change);
        }
        Some(op)
    }

    /// Does all that is left.
    pub(crate) fn finish(&mut self) {
        while self.advance().is_some() {}
    }

    /// Keeps where a block lies, or that it went.
    fn note(&mut self, call: &Call, pointer: SimPtr) -> Change {
        let (from, id, size) = match *call {
            Call::Malloc { id, size } => (0, id, size),
            Call::Calloc { id, nelem, elsize } => (0, id, nelem.saturating_mul(elsize)),
            Call::Realloc { id, newid, size } => (id, newid, size),
            Call::Free { id } | Call::FreeKeep { id } => {
                return Change { before: self.ends(id), after: None };
            }
            Call::Act(_) => return Change::default(),
        };
        let mut spot = self.spot(pointer, size);
        let place = spot.place();
        let before = if from == 0 || from == id {
            self.names.get(&from).and_then(|name| self.spots.get(name)).copied()
        } else {
            self.ends(from)
        };
        spot.way = match before.filter(|before| before.live) {
            Some(before) => {
                Way { moves: before.way.moves + u64::from(before.place() != place), ..before.way }
            }
            None => Way { born: self.step, first: place, ..Way::default() },
        };
        spot.way.classes |= spot.class_bit();
        let after = self.names.get(&id).cloned().map(|name| {
            self.spots.insert(name, spot);
            spot
        });
        Change { before, after }
    }

    /// A block has gone; where it lay.
    fn ends(&mut self, id: u64) -> Option<Spot> {
        let spot = self.names.get(&id).and_then(|name| self.spots.get_mut(name))?;
        let before = *spot;
        spot.live = false;
        spot.way.died = self.step;
        Some(before)
    }

    fn spot(&self, pointer: SimPtr, size: u64) -> Spot {
        let machine = &self.machine;
        if let Some(run) = machine.mimalloc() {
            let addr = run.returned_addr().unwrap_or_default();
            let placement = match run.returned_place() {
                Some((ordinal, offset, _)) => Placement::Arena { ordinal: u64::from(ordinal), offset },
                None => Placement::Raw,
            };
            return Spot { placement: Some(placement), addr, size, live: true, ..Spot::default() };
        }
        let placement = Placement::of_last(machine, pointer);
        let addr = match (machine.layers(), SimArenas::target(pointer)) {
            (Some(layers), _) => layers.returned(),
            (None, Target::Block(block)) => machine.pymalloc().memory().block_addr(block),
            (None, _) => Addr(0),
        };
        let pool = facts::pool_at(machine.pymalloc(), addr);
        Spot {
            placement: Some(placement),
            addr,
            pool: pool.map(|pool| pool.index),
            class: pool.and_then(|pool| pool.class).map(|class| class.0),
            offset: pool.map_or(0, |pool| addr.bytes_from(pool.addr)),
            size,
            live: true,
            way: Way::default(),
        }
    }

    /// What can be asked now.
    pub(super) fn moment(&self) -> Moment<'_> {
        Moment {
            machine: &self.machine,
            profile: self.profile,
            trace: self.trace,
            spots: &self.spots,
            kept: &self.kept,
            tally: &self.tally,
            step: self.step,
            obtained: self.obtained,
            released: self.released,
        }
    }

    /// A formula's value now; else why it has none.
    pub(crate) fn value(&self, formula: &str) -> Result<i64, String> {
        let formula = Expr::parse(formula).map_err(|fault| format!("{}: {}", fault.at, fault.problem))?;
        formula.value(&self.moment()).map_err(|fault| fault.problem)
    }

    /// A text of a beat with the numbers of now; else why it has none.
    pub(crate) fn text(&self, written: &str) -> Result<Vec<Shown>, String> {
        let moment = self.moment();
        let pieces = text::shown(written, &moment).map_err(|fault| fault.problem)?;
        Ok(pieces.into_iter().map(|piece| Shown { place: moment.place_of_code(&piece), piece }).collect())
    }

    /// Whether the process has ended, and with which words.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.machine.stopped().map(ToString::to_string)
    }
}
