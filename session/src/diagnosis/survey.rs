//! A run along a whole tape that notes how much was live and held, in stretches, and who held it half-way and at the end.

use std::sync::Arc;

use sim_core::report::{Occupancy, Trust};
use sim_core::tape::Missing;
use sim_core::{Addr, Kind, Machine, Trace};

use super::census::Census;
use super::holders::{Holders, Rule};
use super::inquiry::Inquiry;
use super::key::Key;
use super::layout::{Placed, SharedLayout};
use super::process::Process;
use super::recorded::Recorded;
use crate::setup::{Setup, SetupError};

/// Moments that are noted.
const POINTS: u64 = 480;

/// How much there was at a moment, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Point {
    /// Operations done.
    pub step: u64,
    /// Arenas, or segments of mimalloc.
    pub arenas: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// Blocks in use in them.
    pub block_bytes: u64,
    /// Blocks of the C library.
    pub raw_bytes: u64,
}

impl Point {
    /// All that is live.
    pub fn live_bytes(&self) -> u64 {
        self.block_bytes + self.raw_bytes
    }

    fn of(machine: &Machine, step: u64, arena_size: u64, recorded: Option<&Recorded>) -> Self {
        let raw_bytes = machine.raw().live_bytes();
        if let Some(heap) = recorded {
            let (arenas, block_bytes) = (heap.arenas(), heap.block_bytes());
            return Self { step, arenas, held_bytes: arenas * arena_size, block_bytes, raw_bytes };
        }
        if let Some(run) = machine.mimalloc() {
            let totals = run.heap().totals();
            let (held_bytes, block_bytes) = (totals.segment_bytes, totals.live_bytes);
            return Self { step, arenas: totals.segments, held_bytes, block_bytes, raw_bytes };
        }
        let arenas = machine.arena_counters().narenas_currently_allocated;
        let block_bytes = Occupancy::of(machine.pymalloc()).allocated_bytes;
        Self { step, arenas, held_bytes: arenas * arena_size, block_bytes, raw_bytes }
    }
}

/// A group half-way and at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grown {
    /// Its label.
    pub label: super::key::Label,
    /// Bytes asked for half-way.
    pub before: u64,
    /// Bytes asked for at the end.
    pub after: u64,
}

/// What a run along a tape found.
#[derive(Clone, PartialEq, Debug)]
pub struct Survey {
    /// On which heap.
    pub placed: Placed,
    /// Moments in order, the start and the end with them.
    pub points: Vec<Point>,
    /// The most arenas at once.
    pub arenas_highwater: u64,
    /// Arenas obtained.
    pub arenas_obtained: u64,
    /// Bytes asked for over the whole tape.
    pub asked_bytes: u64,
    /// Half-way: where `grown` begins.
    pub half: u64,
    /// What groups are made by.
    pub key: Key,
    /// The groups that grew most from half-way to the end, the most first.
    pub grown: Vec<Grown>,
    /// The groups at the end, the most pinned first.
    pub at_end: Vec<super::holders::Group>,
    /// For each of them where the first arena begins that it holds alone.
    pub alone: Vec<Option<Addr>>,
    /// Blocks of the C library and of arenas at the end, by region counted: arenas with room among those that are held.
    pub part_used: u64,
    /// Bytes of one arena.
    pub arena_bytes: u64,
    /// What the picture says of its process, where the trace is nothing but one.
    pub process: Option<Process>,
}

/// How far a trace can be believed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Doubts {
    /// The share of blocks that the model puts where they were recorded, where that is known.
    pub trust: Option<f64>,
    /// Arenas at the end as recorded addresses imply them.
    pub recorded_arenas: Option<u64>,
    /// The recording begins in mid-life.
    pub mid_life: bool,
    /// The file ends early.
    pub truncated: bool,
    /// Resident bytes at the recording's first and last moment.
    pub resident: Option<(u64, u64)>,
}

/// What a run along a tape came to, with the machine at the end and what else can be asked there.
pub struct Found {
    /// The run.
    pub survey: Survey,
    /// How far to believe it.
    pub doubts: Doubts,
    /// Questions about the trace.
    pub inquiry: Inquiry,
    /// The machine at the end.
    pub machine: Machine,
}

/// Makes a survey, a slice at a time.
pub struct Surveyor {
    inquiry: Inquiry,
    machine: Machine,
    step: u64,
    points: Vec<Point>,
    asked_bytes: u64,
    half: Option<(u64, Holders)>,
    key: Key,
    /// Where the trace has addresses, and nobody has compared them before.
    trust: Option<Trust>,
    /// The share of blocks that lie where they were recorded, where that is known already.
    known: Option<f64>,
    /// The heap as recorded, where that is asked about.
    recorded: Option<Box<Recorded>>,
    /// Of that the most arenas at once, and all that came.
    seen: (u64, u64),
}

impl Surveyor {
    /// Of a trace under `setup`.
    pub fn new(trace: Arc<Trace>, setup: Setup) -> Result<Self, SetupError> {
        Self::on(trace, setup, Placed::Model, SharedLayout::default())
    }

    /// The same on one of its heaps: the recorded one where that is asked for and is to be had. `layout` is that of trace and set-up.
    pub fn on(
        trace: Arc<Trace>,
        setup: Setup,
        placed: Placed,
        layout: SharedLayout,
    ) -> Result<Self, SetupError> {
        let machine = setup.machine(&trace)?;
        let key = Key::usual(&trace);
        let arenas = if placed == Placed::Recorded { layout.of(&trace, &setup) } else { None };
        let recorded = arenas.map(|arenas| Box::new(Recorded::new(Arc::clone(arenas), Arc::clone(&trace))));
        let first = Point::of(&machine, 0, setup.profile.arena_size, recorded.as_deref());
        let trust = trace.has_addresses().then(|| Trust::new(&setup.profile));
        Ok(Self {
            inquiry: Inquiry::sharing(trace, setup, layout),
            machine,
            step: 0,
            points: vec![first],
            asked_bytes: 0,
            half: None,
            key,
            trust,
            known: None,
            recorded,
            seen: (0, 0),
        })
    }

    /// What share of the blocks lies where they were recorded is known from another run, and need not be counted once more.
    #[must_use]
    pub fn knowing(mut self, share: Option<f64>) -> Self {
        (self.trust, self.known) = (None, share);
        self
    }

    /// On which heap it is made.
    pub fn placed(&self) -> Placed {
        if self.recorded.is_some() { Placed::Recorded } else { Placed::Model }
    }

    /// Operations done, and all of them.
    pub fn progress(&self) -> (u64, u64) {
        (self.step, self.inquiry.trace().len())
    }

    /// Runs to the next moment that is noted; true once the end is reached.
    pub fn advance(&mut self) -> bool {
        let trace = Arc::clone(self.inquiry.trace());
        let all = trace.len();
        let until = all.min(self.step + (all / POINTS).max(1));
        for index in self.step..until {
            let op = trace.packed(index as usize);
            if matches!(op.kind, Kind::Malloc | Kind::Calloc | Kind::Realloc) {
                self.asked_bytes = self.asked_bytes.saturating_add(op.size);
            }
        }
        let part = self.step as usize..until as usize;
        if let Some(trust) = &mut self.trust {
            for index in part {
                let pointer = self.machine.step(&trace, index, &mut ());
                trust.after(&self.machine, &trace, index, pointer);
            }
        } else {
            self.machine.run(&trace, part.start, part.end);
        }
        if let Some(recorded) = &mut self.recorded {
            for step in self.step + 1..=until {
                let before = recorded.arenas();
                recorded.go_to(step);
                let (most, all) = self.seen;
                self.seen = (most.max(recorded.arenas()), all + recorded.arenas().saturating_sub(before));
            }
        }
        let placed = self.placed();
        if self.step < all / 2 && until >= all / 2 {
            let census = self.inquiry.census(&self.machine, until, placed);
            self.half = Some((until, self.inquiry.holders(&census, self.key, Rule::Sole)));
        }
        if until > self.step {
            let arena_size = self.inquiry.setup().profile.arena_size;
            let recorded = self.recorded.as_deref();
            self.points.push(Point::of(&self.machine, until, arena_size, recorded));
        }
        self.step = until;
        self.step == all
    }

    /// What was found, once the end is reached.
    pub fn finish(mut self) -> Found {
        let placed = self.placed();
        let census = self.inquiry.census(&self.machine, self.step, placed);
        let holders = self.inquiry.holders(&census, self.key, Rule::Sole);
        let (arenas_highwater, arenas_obtained) = match placed {
            Placed::Model => highwater(&self.machine, &self.points),
            Placed::Recorded => self.seen,
        };
        let survey = Survey {
            placed,
            alone: alone(&census, &holders),
            half: self.half.as_ref().map_or(0, |(step, _)| *step),
            grown: grown(self.half.as_ref().map(|(_, holders)| holders), &holders),
            points: self.points,
            arenas_highwater,
            arenas_obtained,
            asked_bytes: self.asked_bytes,
            key: self.key,
            at_end: holders.groups,
            part_used: census.part_used(),
            arena_bytes: arena_bytes(&census, self.inquiry.setup()),
            process: Process::of(self.inquiry.trace()),
        };
        let recorded = self.inquiry.layout().is_some().then_some(Placed::Recorded);
        let recorded = recorded.map(|placed| self.inquiry.census(&self.machine, self.step, placed));
        let origin = &self.inquiry.trace().origin;
        let mut resident = origin.moments.iter().filter_map(|mark| mark.rss_bytes);
        let first = resident.next();
        let doubts = Doubts {
            trust: self.trust.as_ref().map_or(self.known, |trust| trust.total().share()),
            recorded_arenas: recorded.map(|census| census.regions.len() as u64),
            mid_life: origin.source.missing.iter().any(|missing| missing.what == Missing::PROCESS_BIRTH),
            truncated: origin.source.doubt.truncated.is_some(),
            resident: first.map(|first| (first, resident.next_back().unwrap_or(first))),
        };
        Found { survey, doubts, inquiry: self.inquiry, machine: self.machine }
    }
}

/// For each group where the first arena begins that it holds alone.
fn alone(census: &Census, holders: &Holders) -> Vec<Option<Addr>> {
    let mut alone = vec![None; holders.groups.len()];
    for (at, region) in census.regions.iter().enumerate() {
        if let [only] = holders.shares_of(at)
            && let Some(first) = alone.get_mut(only.group as usize)
        {
            first.get_or_insert(region.base);
        }
    }
    alone
}

fn arena_bytes(census: &Census, setup: &Setup) -> u64 {
    census.regions.first().map_or(setup.profile.arena_size, |region| region.bytes)
}

/// The most arenas, and all that were obtained; of segments the most that a moment saw.
fn highwater(machine: &Machine, points: &[Point]) -> (u64, u64) {
    if machine.mimalloc().is_some() {
        let most = points.iter().map(|point| point.arenas).max().unwrap_or(0);
        return (most, most);
    }
    let counters = machine.arena_counters();
    (counters.narenas_highwater, counters.ntimes_arena_allocated)
}

/// Which groups take more than they did, the most first.
fn grown(half: Option<&Holders>, end: &Holders) -> Vec<Grown> {
    const NAMED: usize = 10;
    let before: std::collections::BTreeMap<_, _> =
        half.iter().flat_map(|half| &half.groups).map(|group| (&group.label.key, group.bytes)).collect();
    let mut grown: Vec<Grown> = end
        .groups
        .iter()
        .map(|group| Grown {
            label: group.label.clone(),
            before: before.get(&group.label.key).copied().unwrap_or(0),
            after: group.bytes,
        })
        .filter(|grown| grown.after > grown.before)
        .collect();
    grown.sort_by(|a, b| (b.after - b.before).cmp(&(a.after - a.before)).then_with(|| a.label.cmp(&b.label)));
    grown.truncate(NAMED);
    grown
}
