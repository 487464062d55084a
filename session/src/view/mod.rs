//! What fronts see: plain data, to be drawn, kept, compared and sent to another thread or worker.
//!
//! A front says in a [`Look`] what is on its screen and gets a [`Picture`] of exactly that. Each picture carries the
//! step it was made of, so that all panes draw one state. What changes without a new picture stands in [`Status`], what takes longer than
//! one in [`holders::Holdings`] and [`whatif::WhatIfPicture`].

pub mod compare;
pub mod findings;
pub mod holders;
pub mod inspect;
pub mod layers;
pub mod map;
pub mod mi_page;
pub mod paint;
pub mod process;
pub mod program;
pub mod tables;
pub mod tape;
pub mod tracemalloc;
mod update;
pub mod whatif;

pub use update::{Brought, Opening, Shown, Update};

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::index::RareEvent;
use sim_core::mimalloc::Totals;
use sim_core::report::Occupancy;
use sim_core::{Addr, ArenaId, Profile, SizeClass};

use crate::analysis::overview::{ArenaMark, Bucket, Overview};
use crate::contents::Callers;
use crate::diagnosis::key::Known;
use crate::diagnosis::{Layout, NotSupposed, Placed, Recorded};
use crate::find::{Aspect, Breakpoints, Find};
use crate::ground::Ground;
use crate::lesson::LessonView;
use crate::place::Place;
use crate::quiz::QuizView;
use crate::real::Real;
use crate::run::Session;
use crate::selection::Selection;
use crate::trouble::Trouble;
use compare::CompareLook;
use findings::Surveying;
use holders::HoldersLook;
use inspect::Inspected;
use layers::{DebugHooks, Domains};
use map::{Crumbs, MapLook, MapPicture};
use mi_page::MiPage;
use paint::{MapPaint, Painting};
use program::Played;
use tables::{ArenaTable, ClassRow, SegmentTable, StatsFacts};
use tape::{LastCall, Narration, Operations, OperationsLook};
use tracemalloc::{TracemallocLook, TracemallocPicture};

/// What is on a front's screen. What it leaves out is not computed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "one for each pane without choices")]
pub struct Look {
    /// The map.
    pub map: Option<MapLook>,
    /// The size classes.
    pub classes: bool,
    /// Rows of the arenas' table.
    pub arenas: Option<Range<u32>>,
    /// Rows of mimalloc's table.
    pub segments: Option<Range<u32>>,
    /// The text of `sys._debugmallocstats()`.
    pub stats: bool,
    /// The domains' tables.
    pub domains: bool,
    /// The anatomy of a block under debug hooks.
    pub debug: bool,
    /// tracemalloc's groups.
    pub tracemalloc: Option<TracemallocLook>,
    /// Operations as rows.
    pub operations: Option<OperationsLook>,
    /// What the last operation did.
    pub narration: bool,
    /// The inspector.
    pub inspector: bool,
    /// Who allocates, over the whole trace.
    pub callers: bool,
    /// Who holds the memory.
    pub holders: Option<HoldersLook>,
    /// What the memory is used for.
    pub waterfall: bool,
    /// What would have been.
    pub whatif: bool,
    /// What became of the memory over the whole run.
    pub findings: bool,
    /// Two moments beside each other.
    pub compare: Option<CompareLook>,
    /// The digest of the state, which costs milliseconds on a large heap.
    pub digest: bool,
    /// Which heap is looked at, in all panes: the recorded one where that is asked for and is to be had.
    pub placed: Option<Placed>,
}

/// What holds for the open trace under its profile, at every step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "one for each thing that a trace may have")]
pub struct Head {
    /// The trace's name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Operations on the tape.
    pub len: u64,
    /// Fields of the profile that the trace changes, or somebody who opened it otherwise; and `malloc` where that is.
    pub settings: Vec<(String, String)>,
    /// The constants of the build.
    pub profile: Profile,
    /// Whether MEM and OBJ are mimalloc's.
    pub mimalloc: bool,
    /// Whether the run has layers: tables, debug hooks, tracemalloc.
    pub layers: bool,
    /// Whether calls have Python stacks.
    pub stacks: bool,
    /// What it knows of its blocks.
    pub known: Known,
    /// Whether it can be said what tracemalloc would say of it.
    pub supposed: Result<(), NotSupposed>,
    /// Whether it was recorded by a tool, and not written by hand or made.
    pub recording: bool,
    /// The first operation as a C call.
    pub first_call: Option<String>,
    /// Whether the author has notes on it.
    pub noted: bool,
    /// Marks: the first so many.
    pub marks: Vec<MarkFacts>,
    /// Whether it has addresses of pymalloc's, so that there is a heap as recorded.
    pub recorded: bool,
    /// The process of which it has the picture, where it has one.
    pub process: Option<process::ProcessFacts>,
}

/// A mark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MarkFacts {
    /// Where it is.
    pub step: u64,
    /// What it is called.
    pub name: String,
}

impl Head {
    /// Marks that are sent at most; more would stand in each other's place.
    const MARKS: usize = 2000;

    pub(crate) fn of(session: &Session) -> Self {
        let trace = session.trace();
        Self {
            name: trace.head.name.clone(),
            description: trace.head.description.clone(),
            len: trace.len(),
            settings: session.settings(),
            profile: session.profile().clone(),
            mimalloc: session.machine().mimalloc().is_some(),
            layers: session.machine().layers().is_some(),
            stacks: trace.has_stacks(),
            known: Known::of(trace),
            supposed: session.supposed(),
            recording: !trace.is_lesson() && !trace.origin.source.facts.is_empty(),
            first_call: trace.op(0).map(|op| crate::actions::call(trace, &op)),
            noted: !trace.head.notes.is_empty(),
            marks: (trace.head.marks.iter().take(Self::MARKS))
                .map(|mark| MarkFacts { step: mark.at, name: mark.name().to_owned() })
                .collect(),
            recorded: session.setup().is_ok_and(|setup| Layout::is_to_be_had(trace, &setup)),
            process: process::ProcessFacts::of_session(session),
        }
    }
}

/// Curves and arena marks of the tape, as far as it has been read ahead.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Curves {
    /// Operations that they cover.
    pub known: u64,
    /// Operations of one bucket.
    pub bucket_steps: u64,
    /// The most that was seen in each stretch.
    pub buckets: Vec<Bucket>,
    /// The first arenas obtained and released.
    pub marks: Vec<ArenaMark>,
}

impl Curves {
    /// Marks that are sent at most; with more the bar would be one block of lines anyway.
    const MARKS: usize = 800;

    pub(crate) fn of(overview: &Overview) -> Self {
        Self {
            known: overview.known(),
            bucket_steps: overview.bucket_steps(),
            buckets: overview.buckets.clone(),
            marks: overview.marks.iter().take(Self::MARKS).copied().collect(),
        }
    }
}

/// How far the machine agrees with the addresses of a recording, up to where the tape has been read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Agreed {
    /// Blocks that lie in a pool and have a recorded address.
    pub compared: u64,
    /// Those at the same place in their pool.
    pub same: u64,
    /// The share that places drawn by lot would have, 0 to 1.
    pub share_by_chance: Option<f64>,
    /// Operations before the first block at another place.
    pub first_divergence: Option<u64>,
    /// Whether the whole tape has been compared.
    pub complete: bool,
    /// Why they may differ, the likeliest first; empty where they do not.
    pub reasons: Vec<String>,
}

impl Agreed {
    pub(crate) fn of(session: &Session) -> Option<Self> {
        let trust = session.trust()?;
        let total = trust.total();
        Some(Self {
            compared: total.compared,
            same: total.same,
            share_by_chance: trust.share_by_chance(),
            first_divergence: trust.first_divergence().map(|d| d.step),
            complete: session.overview().complete(),
            reasons: trust.reasons(session.trace()).iter().map(ToString::to_string).collect(),
        })
    }

    /// The share at the same place, 0 to 1; `None` where nothing was compared.
    pub fn share(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.same as f64 / self.compared as f64)
    }
}

/// What goes on along the tape.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Travel {
    /// Where it is going: the step shown, or the target of a seek under way.
    pub target: u64,
    /// How far a seek under way is, 0 to 1.
    pub seeking: Option<f32>,
    /// What is being looked for, in words, and the share of the tape that has been looked at.
    pub looking: Option<(String, Option<f32>)>,
    /// How the last search ended, or why Play stopped, in a sentence.
    pub notice: Option<String>,
    /// Whether it plays by itself.
    pub playing: bool,
    /// At which of [`crate::run::SPEEDS`].
    pub speed: usize,
    /// Operations that the first pass has read.
    pub known: u64,
    /// Operations that the index covers.
    pub covered: u64,
    /// How often each of [`RareEvent::ALL`] happens in what has been read.
    pub counts: [u64; RareEvent::ALL.len()],
    /// How far recorded addresses agree, where the trace has them.
    pub trust: Option<Agreed>,
}

impl Travel {
    pub(crate) fn of(session: &Session) -> Self {
        let index = session.index();
        Self {
            target: session.target(),
            seeking: session.seeking(),
            looking: session.looking(),
            notice: session.notice().map(str::to_owned),
            playing: session.playback.playing,
            speed: session.playback.speed,
            known: index.known(),
            covered: index.covered(),
            counts: RareEvent::ALL.map(|(event, _)| index.count(event)),
            trust: Agreed::of(session),
        }
    }
}

/// What is chosen to be looked for, conditions as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// What of the selection is followed.
    pub aspect: Aspect,
    /// The rare event that is gone to.
    pub rare_event: RareEvent,
    /// Whether what is written is a condition.
    pub condition: bool,
    /// Where Play stops, and whether each is heeded.
    pub breakpoints: Breakpoints,
    /// The same of all traces that have some, by name, to be kept.
    pub kept: Vec<(String, Breakpoints)>,
}

impl Default for Finding {
    fn default() -> Self {
        Self::of(&Find::default())
    }
}

impl Finding {
    pub(crate) fn of(find: &Find) -> Self {
        Self {
            aspect: find.aspect,
            rare_event: find.rare_event,
            condition: find.condition.is_some(),
            breakpoints: find.here(),
            kept: find.save(),
        }
    }
}

/// What to tell whoever just opened a trace, or asked for its heap to be checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Hint {
    /// The trace has no operation.
    Empty,
    /// It is nothing but the picture of a process.
    Process,
    /// It stands before its first step.
    Beginning,
    /// A recording that has to be doubted, and why.
    Doubtful(Vec<String>),
    /// A recording, somewhere in its middle.
    Recording,
    /// The heap after so many operations is sound.
    Sound(u64),
}

/// What changes while a picture stays.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// A trace on its way in.
    pub opening: Option<Opening>,
    /// What goes on along the open one.
    pub travel: Option<Travel>,
    /// What is chosen to be looked for.
    pub finding: Finding,
    /// What went wrong last, in one line, until it is dismissed.
    pub error: Option<Trouble>,
    /// What a newcomer should know, until it is dismissed.
    pub hint: Option<Hint>,
    /// The run over real memory, up to some step.
    pub real: Real,
    /// The playground, once it was used.
    pub played: Option<Played>,
    /// Runs along whole tapes.
    pub surveying: Surveying,
    /// Traces beside the open one, by name.
    pub beside: Vec<String>,
    /// Whether anything goes on.
    pub busy: bool,
}

/// One state of the machine, as far as a front looks at it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Picture {
    /// Raised whenever the state shown is another one.
    pub revision: u64,
    /// Operations done.
    pub step: u64,
    /// Which heap is shown: of it are the places below, the map, the arenas' table and the inspector.
    pub placed: Placed,
    /// What is looked at.
    pub selection: Selection,
    /// What the inspector shows: what it is pinned to, else what the step touched.
    pub inspected: Option<Place>,
    /// The arena that it lies in.
    pub inspected_arena: Option<ArenaId>,
    /// The place that the last operation is about.
    pub focus: Option<Place>,
    /// Every place that it touched.
    pub touched: Vec<Place>,
    /// The size class that it worked on.
    pub touched_class: Option<SizeClass>,
    /// The last operation.
    pub last: Option<LastCall>,
    /// Arenas that exist.
    pub arenas: u64,
    /// Blocks in use in pools.
    pub blocks: u64,
    /// In a run whose MEM and OBJ are mimalloc's: what it holds instead.
    pub mimalloc: Option<Totals>,
    /// The arena and the pool that the map's levels show.
    pub crumbs: Crumbs,
    /// What the trace's author calls blocks of the pool that the map shows, and of the inspected one.
    pub names: Vec<(Addr, String)>,
    /// The lesson, where one is open.
    pub lesson: Option<LessonView>,
    /// The quiz, where somebody sits at one; the lesson is its question.
    pub quiz: Option<QuizView>,
    /// Where the look asks for it: the map,
    pub map: Option<MapPicture>,
    /// with what its colors say, where that is not the size class,
    pub paint: Option<MapPaint>,
    /// the size classes,
    pub classes: Option<Vec<ClassRow>>,
    /// the arenas' table,
    pub arena_table: Option<ArenaTable>,
    /// mimalloc's table, in a run that has one,
    pub segments: Option<SegmentTable>,
    /// The page of mimalloc's that is looked at, with its blocks.
    pub mi_page: Option<MiPage>,
    /// what `sys._debugmallocstats()` prints,
    pub stats: Option<StatsFacts>,
    /// the domains' tables,
    pub domains: Option<Domains>,
    /// a block under debug hooks, in a run with layers,
    pub debug: Option<DebugHooks>,
    /// tracemalloc's groups, in a run with layers,
    pub tracemalloc: Option<TracemallocPicture>,
    /// operations as rows,
    pub operations: Option<Operations>,
    /// what the last operation did,
    pub narration: Option<Narration>,
    /// the inspector,
    pub inspector: Option<Inspected>,
    /// who allocates, or the share of the trace that has been counted, in hundredths,
    pub callers: Option<Result<Callers, u64>>,
    /// and the digest of the state.
    pub digest: Option<u64>,
}

/// Names of the blocks of the pool or arena that is shown, and of the place that is inspected.
fn names(
    session: &Session,
    selection: &Selection,
    inspected: Option<Place>,
    mi_page: Option<&MiPage>,
) -> Vec<(Addr, String)> {
    /// So few names can be written on the pools of a whole arena.
    const FEW: usize = 64;
    let heap = session.heap();
    if session.names().len() <= FEW {
        return session.names().to_vec();
    }
    let pools = [selection.pool, inspected.and_then(|place| place.resolve(heap).1)];
    let shown = |addr: Addr| {
        let within = |pool: Addr| addr >= pool && addr.bytes_from(pool) < heap.profile().pool_size;
        pools.iter().flatten().any(|pool| within(*pool)) || mi_page.is_some_and(|page| page.holds(addr))
    };
    session.names().iter().filter(|(addr, _)| shown(*addr)).cloned().collect()
}

/// What pictures are made from, beside the session.
pub(crate) struct Sources<'a> {
    /// The recorded heap at the step, where that is shown.
    pub(crate) recorded: Option<&'a Recorded>,
    pub(crate) look: &'a Look,
    pub(crate) lesson: Option<LessonView>,
    pub(crate) quiz: Option<QuizView>,
    pub(crate) selection: &'a Selection,
    pub(crate) kept: &'a crate::snapshots::Snapshots,
    pub(crate) filter: &'a crate::filter::Filter,
    pub(crate) contents: &'a crate::contents::Contents,
    pub(crate) statistics: &'a mut tracemalloc::Statistics,
    pub(crate) painting: &'a mut Painting,
}

impl Picture {
    pub(crate) fn of(session: &Session, sources: Sources<'_>) -> Self {
        let Sources { recorded, look, lesson, quiz, selection, kept, filter, .. } = sources;
        let Sources { contents, statistics, painting, .. } = sources;
        let heap = session.heap();
        let layers = session.machine().layers().is_some();
        let ground = recorded.map_or(Ground::Model(heap), Ground::Recorded);
        let last = recorded.map(|recorded| recorded.last().map(Place::Block));
        let focus = last.unwrap_or_else(|| session.focus());
        let inspected = selection.pinned.or(focus);
        let chosen = selection.pinned.or(lesson.as_ref().and_then(|lesson| lesson.beat.select));
        let taught = lesson.as_ref().map(|lesson| &*lesson.id);
        let narration = look.narration.then(|| Narration::of(session, taught));
        let mi_page = look.segments.as_ref().and_then(|_| MiPage::of(session.machine(), chosen));
        let map = look.map.as_ref();
        let map = map.map(|look| MapPicture::of(session.machine(), ground, selection, focus, look));
        Self {
            revision: session.revision(),
            step: session.step(),
            placed: ground.placed(),
            selection: selection.clone(),
            inspected,
            inspected_arena: inspected.and_then(|place| place.resolve(ground).0),
            focus,
            touched: recorded.map_or_else(|| session.touched().collect(), |_| focus.into_iter().collect()),
            touched_class: session.touched_class(),
            last: LastCall::of(session),
            arenas: recorded.map_or_else(
                || session.machine().arena_counters().narenas_currently_allocated,
                |recorded| recorded.held().count() as u64,
            ),
            blocks: recorded.map_or_else(|| Occupancy::blocks(session.occupancy()), Recorded::blocks),
            mimalloc: session.machine().mimalloc().map(|run| run.heap().totals()),
            crumbs: Crumbs::of(ground, selection),
            // Their addresses are the model's.
            names: match ground {
                Ground::Model(_) => names(session, selection, inspected, mi_page.as_ref()),
                Ground::Recorded(_) => Vec::new(),
            },
            lesson,
            quiz,
            paint: painting.of(session, selection.paint, map.as_ref()),
            map,
            classes: look.classes.then(|| tables::classes(session)),
            arena_table: look.arenas.as_ref().map(|rows| match recorded {
                Some(recorded) => ArenaTable::of_recorded(recorded, rows),
                None => ArenaTable::of(heap, rows),
            }),
            segments: look.segments.as_ref().and_then(|rows| SegmentTable::of(session, rows)),
            mi_page,
            stats: look.stats.then(|| StatsFacts::of(session)),
            domains: look.domains.then(|| Domains::of(session)),
            debug: (look.debug && layers).then(|| DebugHooks::of(session, selection.pinned)),
            tracemalloc: look.tracemalloc.as_ref().and_then(|look| statistics.picture(session, kept, look)),
            operations: look.operations.as_ref().map(|look| Operations::of(session, filter, look)),
            narration,
            inspector: look.inspector.then(|| Inspected::of(session, recorded, inspected)),
            callers: look.callers.then(|| {
                contents.callers().map_or_else(|| Err(contents.percent()), |c| Ok(Callers::clone(c)))
            }),
            digest: look.digest.then(|| session.digest()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::setup::{Overrides, Setup};
    use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
    use sim_core::report::Trust;
    use sim_core::tape::StackId;
    use sim_core::{Addr, Call, Domain, Machine, Op, Trace, TraceBuilder};

    fn op(id: u64) -> Op {
        Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 1 + id % 600 } }
    }

    /// A tape whose addresses are the machine's own, except for each tenth block.
    fn recorded(operations: u64) -> Arc<Trace> {
        let mut plain = TraceBuilder::new("plain");
        (1..=operations).for_each(|id| plain.push(op(id)).unwrap());
        let plain = plain.finish();
        let mut machine = Machine::for_trace(&Profile::default(), &plain, None).unwrap();
        let mut tape = TraceBuilder::new("recorded");
        for id in 1..=operations {
            let pointer = machine.step(&plain, id as usize - 1, &mut ());
            let address = match SimArenas::target(pointer) {
                Target::Block(block) => {
                    let own = machine.pymalloc().memory().block_addr(block).0;
                    Some(Addr(own + if id % 10 == 0 { 16 } else { 0 }))
                }
                _ => None,
            };
            tape.push_recorded(op(id), StackId(0), address).unwrap();
        }
        Arc::new(tape.finish())
    }

    #[test]
    fn the_first_pass_says_how_far_recorded_addresses_agree() {
        let mut session = Session::new(recorded(20_000), &Overrides::default(), 0).unwrap();
        let badge = Agreed::of(&session).unwrap();
        assert_eq!((badge.compared, badge.share(), badge.complete), (0, None, false));
        while session.busy() {
            session.work(Duration::from_millis(1));
        }
        let badge = Agreed::of(&session).unwrap();
        assert!(badge.complete && badge.compared > 10_000);
        assert!((badge.share().unwrap() - 0.9).abs() < 0.01, "{badge:?}");
        assert_eq!(badge.first_divergence, Some(9));
        assert_eq!(badge.reasons, ["the profile may be another than the recorded Python's"]);
        // The same in a run of its own beside the session.
        let trace = Arc::clone(session.trace());
        let mut machine = Setup::resolve(&trace, &Overrides::default()).unwrap().machine(&trace).unwrap();
        let mut trust = Trust::new(&Profile::default());
        crate::pass::run(&mut machine, &trace, trace.len() as usize, &mut [&mut trust]);
        assert_eq!(trust.total(), session.trust().unwrap().total());

        let mut tape = TraceBuilder::new("t");
        tape.push(op(1)).unwrap();
        let plain = Session::new(Arc::new(tape.finish()), &Overrides::default(), 0).unwrap();
        assert_eq!(Agreed::of(&plain), None, "a trace without addresses");
    }
}
