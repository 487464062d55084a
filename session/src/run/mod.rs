//! One trace under one profile, at one position: what every pane reads.
//!
//! Long work is cut into slices by [`Session::work`]. While a seek is under way, the state is one that nobody asked
//! for: whoever shows it keeps the last complete one.

mod playback;
#[cfg(test)]
mod tests;
mod work;

use std::cell::OnceCell;
use std::sync::Arc;

use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::breakpoint::Condition;
use sim_core::index::Index;
use sim_core::report::{Occupancy, Trust, malloc_stats};
use sim_core::tape::{SourceLine, StackId};
use sim_core::{Addr, Call, Event, Kind, Machine, Note, Op, Profile, Replay, SizeClass, Slot, Trace};

use crate::analysis::overview::Overview;
use crate::analysis::owner::{Owner, OwnerSearch};
use crate::diagnosis::traced::{NotSupposed, supposed};
use crate::facts::Heap;
use crate::names::Names;
use crate::place::Place;
use crate::search::{Aim, Lookout, Quest};
use crate::setup::{Overrides, Setup, SetupError};
pub use playback::{Playback, SPEEDS};

/// Saved states for going back and the index take at most this much together.
const BUDGET_BYTES: u64 = 256 << 20;
/// A trace of fewer operations opens at its start, as lessons do: it has no middle that shows more.
const SHORT_OPERATIONS: u64 = 2_000;

/// A seek that takes more than a frame.
#[derive(Clone, Copy, Debug)]
struct Seek {
    target: u64,
    /// Operations it cost when it began.
    cost: u64,
}

/// Counted once for each state, when a pane first asks.
#[derive(Debug, Default)]
struct Derived {
    occupancy: OnceCell<Occupancy>,
    digest: OnceCell<u64>,
    names: OnceCell<Vec<(Addr, String)>>,
}

/// One trace, replayed.
#[derive(Debug)]
pub struct Session {
    trace: Arc<Trace>,
    overrides: Overrides,
    profile: Profile,
    replay: Replay,
    /// Whether the tape may go on.
    grows: bool,
    /// Whether a way to anywhere is short, see [`Replay::dash`].
    dashed: bool,
    seek: Option<Seek>,
    quest: Option<Quest>,
    /// How the last search ended, or why Play stopped, in a sentence.
    notice: Option<String>,
    /// Where Play stops, and the search for the next such place while it runs.
    breakpoints: Vec<Condition>,
    lookout: Option<Lookout>,
    /// Play, speed and what is due.
    pub playback: Playback,
    overview: Overview,
    /// Where the trace has recorded addresses.
    trust: Option<Trust>,
    owner: Option<OwnerSearch>,
    /// See [`crate::actions::stack_changes`].
    stacks: Vec<(u64, StackId)>,
    supposed: Result<(), NotSupposed>,
    names: Names,
    revision: u64,
    derived: Derived,
}

impl Session {
    /// At the start of `trace`, under what it asks for, or `overrides` instead.
    /// `revision` must be one that no session before it had, since pictures are kept by it.
    pub fn new(trace: Arc<Trace>, overrides: &Overrides, revision: u64) -> Result<Self, SetupError> {
        Self::begin(trace, overrides, revision, false)
    }

    /// The same tape under something else, at its start.
    pub fn under(&self, overrides: &Overrides, revision: u64) -> Result<Self, SetupError> {
        Self::begin(Arc::clone(&self.trace), overrides, revision, self.grows)
    }

    /// Fields of the profile that the trace changes, with what is wanted otherwise; and `malloc` where another one is.
    pub fn settings(&self) -> Vec<(String, String)> {
        let malloc = self.overrides.malloc.map(|malloc| ("malloc".to_owned(), malloc.name().to_owned()));
        let mut settings = self.trace.head.settings.clone();
        for (key, value) in self.overrides.settings.iter().cloned().chain(malloc) {
            settings.retain(|known| known.0 != key);
            settings.push((key, value));
        }
        settings
    }

    /// What is wanted otherwise than the trace says.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// The same; whether the tape may go on, see [`Self::grow`], is said.
    pub(crate) fn begin(
        trace: Arc<Trace>,
        overrides: &Overrides,
        revision: u64,
        grows: bool,
    ) -> Result<Self, SetupError> {
        let setup = Setup::resolve(&trace, overrides)?;
        let replay = setup.replay(Arc::clone(&trace), BUDGET_BYTES)?.read_ahead();
        let profile = setup.profile;
        Ok(Self {
            overview: if grows {
                Overview::growing(&trace, &profile)
            } else {
                Overview::new(&trace, &profile)
            },
            trust: trace.has_addresses().then(|| Trust::new(&profile)),
            stacks: crate::actions::stack_changes(&trace, 0),
            supposed: supposed(&trace),
            names: Names::of(&trace),
            trace,
            overrides: overrides.clone(),
            grows,
            dashed: false,
            profile,
            replay,
            seek: None,
            quest: None,
            notice: None,
            breakpoints: Vec::new(),
            lookout: None,
            playback: Playback::default(),
            owner: None,
            revision,
            derived: Derived::default(),
        })
    }

    /// Goes on with a longer tape: what is known stays, and so does the position. Where what has come needs another
    /// machine, the run begins anew and goes to the same step.
    pub fn grow(&mut self, trace: Arc<Trace>) -> Result<(), SetupError> {
        let known = self.len();
        let compared = self.trust.is_some() == trace.has_addresses();
        if compared && self.replay.grow(Arc::clone(&trace)).is_ok() {
            self.overview.grow(&trace);
            self.stacks.extend(crate::actions::stack_changes(&trace, known));
            self.supposed = supposed(&trace);
            self.trace = trace;
            return Ok(());
        }
        let mut anew = Self::begin(trace, &self.overrides, self.revision + 1, self.grows)?;
        anew.playback = self.playback;
        anew.set_breakpoints(std::mem::take(&mut self.breakpoints));
        anew.seek(self.target());
        *self = anew;
        Ok(())
    }

    /// Where to open it: a lesson, and what is short, at the start; else at a step near the middle whose operation is
    /// served by a pool, which is something to look at.
    pub fn first_step(&self) -> u64 {
        if self.trace.is_lesson() || self.len() < SHORT_OPERATIONS { 0 } else { self.vivid_step() }
    }

    fn vivid_step(&self) -> u64 {
        /// How far to look.
        const NEAR: u64 = 5_000;
        let middle = self.len() / 2;
        let threshold = self.profile.small_request_threshold;
        let near = middle..self.len().min(middle + NEAR);
        let small = near.into_iter().find(|&index| {
            let op = self.trace.packed(index as usize);
            op.kind == sim_core::Kind::Malloc
                && op.domain != sim_core::Domain::Raw
                && (1..=threshold).contains(&op.size)
        });
        small.map_or(middle, |index| index + 1)
    }

    /// The frame that called the operation after `index` others, where the trace has it.
    pub fn caller_of(&self, index: u64) -> Option<SourceLine> {
        let stack = crate::actions::stack_at(&self.trace, &self.stacks, index)?;
        let (_, frame) = self.trace.origin.stacks.node(stack)?;
        Some(self.trace.origin.stacks.line(frame))
    }

    /// Whether it can be said what tracemalloc would say of the trace.
    pub fn supposed(&self) -> Result<(), NotSupposed> {
        self.supposed
    }

    /// The trace.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// What it runs under.
    pub fn setup(&self) -> Result<Setup, SetupError> {
        Setup::resolve(&self.trace, &self.overrides)
    }

    /// The constants of the build.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Operations on the tape.
    pub fn len(&self) -> u64 {
        self.trace.len()
    }

    /// Whether the tape has no operation.
    pub fn is_empty(&self) -> bool {
        self.trace.is_empty()
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        self.replay.machine()
    }

    /// The allocator.
    pub fn heap(&self) -> &Heap {
        self.machine().pymalloc()
    }

    /// Operations done in the state shown.
    pub fn step(&self) -> u64 {
        self.replay.step().0
    }

    /// Where it is going: the step shown, or the target of a seek under way.
    pub fn target(&self) -> u64 {
        self.seek.map_or_else(|| self.step(), |s| s.target)
    }

    /// What the last operation did.
    pub fn events(&self) -> &[Event] {
        self.replay.events()
    }

    /// The author's note that holds here: that of the last operation, else the last one before it; before
    /// the first operation that of the first.
    pub fn note(&self) -> Option<&Note> {
        let notes = &self.trace.head.notes;
        let step = self.step().max(1);
        notes[..notes.partition_point(|n| n.at < step)].last()
    }

    /// The step after the next operation with a note, or the next mark if that comes before.
    pub fn next_remark(&self) -> Option<u64> {
        let notes = &self.trace.head.notes;
        let target = self.target();
        let note = notes.get(notes.partition_point(|n| n.at < target)).map(|n| n.at + 1);
        let marks = &self.trace.head.marks;
        let mark = marks.get(marks.partition_point(|m| m.at <= target)).map(|m| m.at);
        note.into_iter().chain(mark).min()
    }

    /// The step after the operation with a note before the one that holds here, or the mark before here if that comes after.
    pub fn previous_remark(&self) -> Option<u64> {
        let notes = &self.trace.head.notes;
        let target = self.target();
        let note = notes[..notes.partition_point(|n| n.at + 1 < target)].last().map(|n| n.at + 1);
        let marks = &self.trace.head.marks;
        let mark = marks[..marks.partition_point(|m| m.at < target)].last().map(|m| m.at);
        note.max(mark)
    }

    /// The operation that led to the state shown.
    pub fn last_op(&self) -> Option<Op> {
        self.trace.op(self.step().checked_sub(1)?)
    }

    /// The call that led to the state shown, by index, and the slot of its block; none for an action and for
    /// `free(NULL)`.
    pub fn last_call(&self) -> Option<(u64, Slot)> {
        let index = self.step().checked_sub(1)?;
        let op = self.trace.packed(index as usize);
        let is_call = op.kind != Kind::Act && !(op.kind == Kind::Free && op.null);
        is_call.then_some((index, op.slot))
    }

    /// The Python stack that calls come from now, most recent frame first; `None` where the trace says
    /// nothing.
    pub fn stack(&self) -> Option<Vec<SourceLine>> {
        self.stack_of(self.step().checked_sub(1)?)
    }

    /// The same of an operation, by index.
    pub fn stack_of(&self, index: u64) -> Option<Vec<SourceLine>> {
        let stack = crate::actions::stack_at(&self.trace, &self.stacks, index)?;
        Some(self.trace.origin.stacks.lines(stack))
    }

    /// What the trace's author calls blocks, by where they lie now.
    pub fn names(&self) -> &[(Addr, String)] {
        self.derived.names.get_or_init(|| self.names.at(self.machine(), self.step()))
    }

    /// What would have ended the process by now, as it would have been printed.
    pub fn stopped(&self) -> Option<String> {
        self.machine().stopped().map(ToString::to_string)
    }

    /// What the last operation returned, as text; `None` for free, for actions and at the start.
    pub fn last_result(&self) -> Option<String> {
        if matches!(self.last_op()?.call, Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_)) {
            return None;
        }
        let pointer = self.replay.last_pointer()?;
        let machine = self.machine();
        if let Some(addr) = machine.mimalloc().and_then(sim_core::machine::MiRun::returned_addr) {
            return Some(addr.to_string());
        }
        Some(match SimArenas::target(pointer) {
            Target::Null => "NULL".to_owned(),
            Target::Raw(id) => format!("raw#{}", machine.raw().get(id).label),
            Target::Block(block) => machine.pymalloc().memory().block_addr(block).to_string(),
        })
    }

    /// The block that the last operation returned.
    fn last_block(&self) -> Option<Addr> {
        let pointer = self.replay.last_pointer()?;
        match SimArenas::target(pointer) {
            Target::Block(block) => {
                let addr = self.heap().memory().block_addr(block);
                // Under debug hooks the program's pointer lies inside the block.
                Some(crate::facts::block_at(self.heap(), addr).map_or(addr, |b| b.addr))
            }
            Target::Raw(_) | Target::Null => None,
        }
    }

    /// The place the last operation is about: the block it returned, else the one it freed, else the
    /// last thing it touched. None when that went back to the system with its arena.
    pub fn focus(&self) -> Option<Place> {
        let place = self.last_block().map(Place::Block).or_else(|| {
            let pushed = self.events().iter().find(|e| matches!(e, Event::BlockPushed { .. }));
            pushed.or_else(|| self.events().last()).and_then(Place::of_event)
        });
        place.filter(|p| p.resolve(self.heap()).0.is_some())
    }

    /// Every place the last operation touched.
    pub fn touched(&self) -> impl Iterator<Item = Place> + '_ {
        self.events().iter().filter_map(Place::of_event)
    }

    /// The size class the last operation worked on.
    pub fn touched_class(&self) -> Option<SizeClass> {
        let chosen = self.events().iter().find_map(|e| match e {
            Event::SizeClassChosen { class, .. } => Some(*class),
            _ => None,
        });
        chosen.or_else(|| match self.focus()? {
            Place::Block(addr) | Place::Pool(addr) => crate::facts::pool_at(self.heap(), addr)?.class,
            Place::Arena(_) => None,
        })
    }

    /// Changes whenever the state shown does.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Who uses how much of the heap.
    pub fn occupancy(&self) -> &Occupancy {
        self.derived.occupancy.get_or_init(|| Occupancy::of(self.heap()))
    }

    /// The text of `sys._debugmallocstats()`.
    pub fn stats(&self) -> String {
        malloc_stats(self.machine())
    }

    /// The digest of the state shown.
    pub fn digest(&self) -> u64 {
        *self.derived.digest.get_or_init(|| sim_core::report::digest(self.machine()))
    }

    /// Curves and arena marks of the whole tape.
    pub fn overview(&self) -> &Overview {
        &self.overview
    }

    /// How far the machine agrees with recorded addresses, up to where the tape has been read; `None` where the trace
    /// has none.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// How far a seek under way is, 0 to 1.
    pub fn seeking(&self) -> Option<f32> {
        let seek = self.seek?;
        let left = self.replay.seek_cost(seek.target);
        Some(1.0 - (left as f32 / seek.cost.max(1) as f32).min(1.0))
    }

    /// What is being looked for, in words, and the share of the tape that has been looked at.
    pub fn looking(&self) -> Option<(String, Option<f32>)> {
        let quest = self.quest.as_ref()?;
        Some((quest.doing(), quest.share(self.len())))
    }

    /// How the last search ended, or why Play stopped.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Says something about a search until the next one.
    pub fn set_notice(&mut self, notice: String) {
        self.notice = Some(notice);
    }

    /// What is known of the tape so far.
    pub fn index(&self) -> &Index {
        self.replay.index()
    }

    /// Who holds a block.
    pub fn owner(&self, block: Addr) -> Owner {
        self.owner
            .filter(|search| search.is_for(self.revision, block))
            .map_or(Owner::Searching, |search| search.answer())
    }

    /// Makes [`Self::owner`] answer for this block.
    pub fn ask_owner(&mut self, block: Addr) {
        if !self.owner.is_some_and(|search| search.is_for(self.revision, block)) {
            let (step, revision) = (self.step(), self.revision);
            self.owner = Some(if self.last_block() == Some(block) {
                OwnerSearch::known(&self.trace, step, revision, block)
            } else {
                OwnerSearch::new(self.machine(), step, revision, block, self.owner)
            });
        }
    }

    /// Sets out for a step; [`Self::work`] gets there.
    pub fn seek(&mut self, step: u64) {
        let target = step.min(self.len());
        self.quest = None;
        self.notice = None;
        self.travel_to(target);
    }

    fn travel_to(&mut self, target: u64) {
        if self.seek.is_none() && target == self.step() {
            return;
        }
        let cost = self.replay.seek_cost(target);
        self.seek = Some(Seek { target, cost });
    }

    /// Sets out for the next or previous operation of some kind; `what` is for sentences.
    pub fn look_for(&mut self, aim: Aim, what: String, forward: bool) {
        self.notice = None;
        if let Aim::HeldAt(block) | Aim::SiteOf(block) = aim {
            self.ask_owner(block);
        }
        self.quest = Some(Quest::new(aim, what, self.target(), forward));
    }

    /// From now on Play stops where one of these holds.
    pub fn set_breakpoints(&mut self, conditions: Vec<Condition>) {
        self.breakpoints = conditions;
        self.lookout = None;
    }

    /// Whether a seek is under way; the state is then none to be shown.
    pub fn travels(&self) -> bool {
        self.seek.is_some()
    }

    /// Whether a seek or a search can be stopped.
    pub fn under_way(&self) -> bool {
        self.seek.is_some() || self.quest.is_some()
    }

    /// Stops a seek or a search where it is.
    pub fn cancel(&mut self) {
        self.playback.playing = false;
        let searched = self.quest.take().is_some();
        if self.seek.take().is_some() {
            self.changed();
        }
        if searched {
            self.notice = Some("The search was stopped".to_owned());
        }
    }

    /// Whether [`Self::work`] or [`Self::tick`] has more to do.
    pub fn busy(&self) -> bool {
        self.under_way()
            || self.playback.playing
            || !self.overview.complete()
            || self.owner.is_some_and(|s| s.is_current(self.revision) && s.answer() == Owner::Searching)
    }

    /// Whether it has nothing to compute, until something is asked or, while it plays, more is due.
    pub fn rests(&self) -> bool {
        let searches =
            self.owner.is_some_and(|s| s.is_current(self.revision) && s.answer() == Owner::Searching);
        !self.under_way() && self.overview.complete() && !searches
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.notice = None;
        self.derived = Derived::default();
    }
}
