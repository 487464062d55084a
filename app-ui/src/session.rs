//! One trace under one profile, at one position: what every pane reads.
//!
//! Long work is cut into slices by [`Session::work`]. While a seek is under way the panes see the last
//! complete state, so that a picture and its step always belong together.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use sim_core::arena::{ArenaBackend as _, SimArenas, SimPtr, Target};
use sim_core::report::{Occupancy, malloc_stats};
use sim_core::tape::{SourceLine, StackId};
use sim_core::{Addr, Call, Event, Machine, Note, Op, Profile, ProfileError, Replay, SizeClass, Trace};
use web_time::Instant;

use crate::facts::Heap;
use crate::overview::Overview;
use crate::owner::{Owner, OwnerSearch};
use crate::selection::Place;

/// Checkpoints for going back take at most this much.
const CHECKPOINT_BYTES: u64 = 256 << 20;
/// Operations between two looks at the clock.
const CHUNK: u64 = 20_000;
/// A seek that costs more than this keeps a copy of what was on screen.
const HOLD_OPERATIONS: u64 = 50_000;
/// A machine larger than this is not copied for that; the panes then watch it run.
const HOLD_BYTES: u64 = 48 << 20;
/// Traces below this are lessons and start at their beginning.
pub(crate) const LESSON_OPERATIONS: u64 = 2_000;
/// Pools of one class listed by name; the rest is counted.
const LISTED_POOLS: usize = 64;

/// Speeds that playback offers, in operations a second.
pub(crate) const SPEEDS: &[u32] = &[1, 2, 5, 10, 25, 100, 500, 2_000, 10_000, 50_000, 250_000, 1_000_000];

/// Playing the tape by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Playback {
    /// Whether it runs.
    pub(crate) playing: bool,
    /// Index into [`SPEEDS`].
    pub(crate) speed: usize,
    /// Operations due, not done yet.
    due: f64,
}

impl Default for Playback {
    fn default() -> Self {
        Self { playing: false, speed: 3, due: 0.0 }
    }
}

/// A seek that takes more than a frame.
#[derive(Clone, Copy, Debug)]
struct Seek {
    target: u64,
    /// Operations it cost when it began.
    cost: u64,
}

/// What was on screen when a long seek began.
#[derive(Debug)]
struct Held {
    machine: Machine,
    step: u64,
    events: Vec<Event>,
    last: Option<SimPtr>,
}

/// Looking for the next or previous arena mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ArenaJump {
    /// Back.
    Previous,
    /// On.
    Next,
}

/// One class's `usedpools` list.
#[derive(Clone, Debug)]
pub(crate) struct ClassList {
    /// The first pools, front first.
    pub(crate) front: Vec<Addr>,
    /// Pools on the list.
    pub(crate) len: u64,
}

/// Counted once for each state, when a pane first asks.
#[derive(Debug, Default)]
struct Derived {
    occupancy: OnceCell<Occupancy>,
    lists: OnceCell<Vec<ClassList>>,
    stats: OnceCell<String>,
    digest: OnceCell<u64>,
}

/// One trace, replayed.
#[derive(Debug)]
pub(crate) struct Session {
    trace: Arc<Trace>,
    profile: Profile,
    replay: Replay,
    held: Option<Held>,
    seek: Option<Seek>,
    jump: Option<ArenaJump>,
    /// Play, speed and what is due.
    pub(crate) playback: Playback,
    overview: Overview,
    owner: Option<OwnerSearch>,
    /// See [`crate::actions::stack_changes`].
    stacks: Vec<(u64, StackId)>,
    revision: u64,
    derived: Derived,
}

impl Session {
    /// At the start of `trace`, under the profile it asks for or `preset`.
    /// `revision` must be one that no session before it had, since pictures are kept by it.
    pub(crate) fn new(trace: Arc<Trace>, preset: Option<&str>, revision: u64) -> Result<Self, ProfileError> {
        let default = sim_core::profile::PRESETS[0].0;
        let name = preset.or(trace.profile.as_deref()).unwrap_or(default);
        let mut profile = Profile::named(name)?;
        for (key, value) in &trace.settings {
            profile.set(key, value)?;
        }
        let replay = Replay::new(Arc::clone(&trace), &profile, CHECKPOINT_BYTES)?;
        Ok(Self {
            overview: Overview::new(&trace, &profile),
            stacks: crate::actions::stack_changes(&trace),
            trace,
            profile,
            replay,
            held: None,
            seek: None,
            jump: None,
            playback: Playback::default(),
            owner: None,
            revision,
            derived: Derived::default(),
        })
    }

    /// A step near the middle whose operation is served by a pool: something to look at.
    pub(crate) fn vivid_step(&self) -> u64 {
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

    /// The trace.
    pub(crate) fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// The constants of the build.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Operations on the tape.
    pub(crate) fn len(&self) -> u64 {
        self.trace.len()
    }

    /// The machine that the panes show.
    pub(crate) fn machine(&self) -> &Machine {
        self.held.as_ref().map_or_else(|| self.replay.machine(), |h| &h.machine)
    }

    /// The allocator that the panes show.
    pub(crate) fn heap(&self) -> &Heap {
        self.machine().pymalloc()
    }

    /// Operations done in the state shown.
    pub(crate) fn step(&self) -> u64 {
        self.held.as_ref().map_or(self.replay.step().0, |h| h.step)
    }

    /// Where it is going: the step shown, or the target of a seek under way.
    pub(crate) fn target(&self) -> u64 {
        self.seek.map_or_else(|| self.step(), |s| s.target)
    }

    /// What the last operation did.
    pub(crate) fn events(&self) -> &[Event] {
        self.held.as_ref().map_or_else(|| self.replay.events(), |h| &h.events)
    }

    /// The author's note that holds here: that of the last operation, else the last one before it; before
    /// the first operation that of the first.
    pub(crate) fn note(&self) -> Option<&Note> {
        let notes = &self.trace.notes;
        let step = self.step().max(1);
        notes[..notes.partition_point(|n| n.at < step)].last()
    }

    /// The step after the next operation with a note.
    pub(crate) fn next_note(&self) -> Option<u64> {
        let notes = &self.trace.notes;
        let target = self.target();
        notes.get(notes.partition_point(|n| n.at < target)).map(|n| n.at + 1)
    }

    /// The step after the operation with a note before the one that holds here.
    pub(crate) fn previous_note(&self) -> Option<u64> {
        let notes = &self.trace.notes;
        let target = self.target();
        notes[..notes.partition_point(|n| n.at + 1 < target)].last().map(|n| n.at + 1)
    }

    /// The operation that led to the state shown.
    pub(crate) fn last_op(&self) -> Option<Op> {
        self.trace.op(self.step().checked_sub(1)?)
    }

    /// The Python stack that calls come from now, most recent frame first; `None` where the trace says
    /// nothing.
    pub(crate) fn stack(&self) -> Option<Vec<SourceLine>> {
        let stack = if self.trace.has_stacks() {
            self.trace.stack_of(self.step().checked_sub(1)? as usize)
        } else {
            let before = self.stacks.partition_point(|(at, _)| *at < self.step());
            self.stacks[..before].last()?.1
        };
        Some(self.trace.stacks.lines(stack))
    }

    /// What would have ended the process by now, as it would have been printed.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.machine().stopped().map(ToString::to_string)
    }

    /// What the last operation returned, as text; `None` for free, for actions and at the start.
    pub(crate) fn last_result(&self) -> Option<String> {
        if matches!(self.last_op()?.call, Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_)) {
            return None;
        }
        let pointer = match &self.held {
            Some(held) => held.last,
            None => self.replay.last_pointer(),
        }?;
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
        let pointer = match &self.held {
            Some(held) => held.last,
            None => self.replay.last_pointer(),
        }?;
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
    pub(crate) fn focus(&self) -> Option<Place> {
        let place = self.last_block().map(Place::Block).or_else(|| {
            let pushed = self.events().iter().find(|e| matches!(e, Event::BlockPushed { .. }));
            pushed.or_else(|| self.events().last()).and_then(Place::of_event)
        });
        place.filter(|p| p.resolve(self.heap()).0.is_some())
    }

    /// Every place the last operation touched.
    pub(crate) fn touched(&self) -> impl Iterator<Item = Place> + '_ {
        self.events().iter().filter_map(Place::of_event)
    }

    /// The size class the last operation worked on.
    pub(crate) fn touched_class(&self) -> Option<SizeClass> {
        let chosen = self.events().iter().find_map(|e| match e {
            Event::SizeClassChosen { class, .. } => Some(*class),
            _ => None,
        });
        chosen.or_else(|| match self.focus()? {
            Place::Block(addr) | Place::Pool(addr) => crate::facts::pool_at(self.heap(), addr)?.class(),
            Place::Arena(_) => None,
        })
    }

    /// Changes whenever the state shown does.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Who uses how much of the heap.
    pub(crate) fn occupancy(&self) -> &Occupancy {
        self.derived.occupancy.get_or_init(|| Occupancy::of(self.heap()))
    }

    /// The `usedpools` list of each class.
    pub(crate) fn class_lists(&self) -> &[ClassList] {
        self.derived.lists.get_or_init(|| {
            let heap = self.heap();
            (0..self.profile.nb_small_size_classes())
                .map(|class| {
                    let mut list = ClassList { front: Vec::new(), len: 0 };
                    for pool in heap.used_pools(SizeClass(class)) {
                        if list.front.len() < LISTED_POOLS {
                            list.front.push(heap.memory().pool_addr(pool));
                        }
                        list.len += 1;
                    }
                    list
                })
                .collect()
        })
    }

    /// The text of `sys._debugmallocstats()`.
    pub(crate) fn stats(&self) -> &str {
        self.derived.stats.get_or_init(|| malloc_stats(self.machine()))
    }

    /// The digest of the state shown.
    pub(crate) fn digest(&self) -> u64 {
        *self.derived.digest.get_or_init(|| sim_core::report::digest(self.machine()))
    }

    /// Curves and arena marks of the whole tape.
    pub(crate) fn overview(&self) -> &Overview {
        &self.overview
    }

    /// How far a seek under way is, 0 to 1.
    pub(crate) fn seeking(&self) -> Option<f32> {
        let seek = self.seek?;
        let left = self.replay.seek_cost(seek.target);
        Some(1.0 - (left as f32 / seek.cost.max(1) as f32).min(1.0))
    }

    /// Whether an arena mark is being looked for.
    pub(crate) fn jumping(&self) -> Option<ArenaJump> {
        self.jump
    }

    /// Who holds a block.
    pub(crate) fn owner(&self, block: Addr) -> Owner {
        self.owner
            .filter(|search| search.is_for(self.revision, block))
            .map_or(Owner::Searching, |search| search.answer())
    }

    /// Makes [`Self::owner`] answer for this block.
    pub(crate) fn ask_owner(&mut self, block: Addr) {
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
    pub(crate) fn seek(&mut self, step: u64) {
        let target = step.min(self.len());
        self.jump = None;
        if self.seek.is_none() && target == self.step() {
            return;
        }
        let cost = self.replay.seek_cost(target);
        if self.held.is_none() && cost > HOLD_OPERATIONS && self.replay.machine().state_bytes() <= HOLD_BYTES
        {
            self.held = Some(Held {
                machine: self.replay.machine().clone(),
                step: self.replay.step().0,
                events: self.replay.events().to_vec(),
                last: self.replay.last_pointer(),
            });
        }
        self.seek = Some(Seek { target, cost });
    }

    /// Sets out for the next or previous arena obtained or released.
    pub(crate) fn jump(&mut self, jump: ArenaJump) {
        self.jump = Some(jump);
        self.try_jump();
    }

    /// Stops a seek where it is.
    pub(crate) fn cancel(&mut self) {
        self.playback.playing = false;
        self.jump = None;
        if self.seek.take().is_some() {
            self.held = None;
            self.changed();
        }
    }

    /// Time passes: playback adds what is due.
    pub(crate) fn tick(&mut self, seconds: f64) {
        if !self.playback.playing || self.seek.is_some() {
            return;
        }
        if self.step() >= self.len() {
            self.playback.playing = false;
            return;
        }
        let speed = SPEEDS[self.playback.speed.min(SPEEDS.len() - 1)];
        // A window that slept does not owe the time it slept.
        self.playback.due += seconds.min(0.25) * f64::from(speed);
        let whole = self.playback.due.floor();
        self.playback.due -= whole;
        if whole >= 1.0 {
            self.seek(self.step() + whole as u64);
        }
    }

    /// Does pending work for about `slice`; the rest waits for the next frame.
    pub(crate) fn work(&mut self, slice: Duration) {
        let begun = Instant::now();
        if let Some(seek) = self.seek {
            loop {
                if self.replay.seek(seek.target, CHUNK) {
                    self.seek = None;
                    self.held = None;
                    self.changed();
                    break;
                }
                if begun.elapsed() >= slice {
                    if self.held.is_none() {
                        self.changed();
                    }
                    return;
                }
            }
        }
        if let Some(search) = &mut self.owner
            && search.is_current(self.revision)
        {
            while search.answer() == Owner::Searching {
                search.advance(self.replay.machine(), &self.trace);
                if begun.elapsed() >= slice {
                    break;
                }
            }
        }
        self.overview.advance(slice.saturating_sub(begun.elapsed()).max(Duration::from_millis(1)));
        self.try_jump();
    }

    /// Whether [`Self::work`] or [`Self::tick`] has more to do.
    pub(crate) fn busy(&self) -> bool {
        self.seek.is_some()
            || self.playback.playing
            || !self.overview.complete()
            || self.owner.is_some_and(|s| s.is_current(self.revision) && s.answer() == Owner::Searching)
    }

    fn try_jump(&mut self) {
        let Some(jump) = self.jump else { return };
        let step = self.step();
        let mark = match jump {
            ArenaJump::Next => self.overview.next_mark(step),
            ArenaJump::Previous if self.overview.known() < step => None,
            ArenaJump::Previous => self.overview.previous_mark(step),
        };
        if let Some(mark) = mark {
            self.seek(mark.step);
        } else if self.overview.complete() {
            self.jump = None;
        }
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.derived = Derived::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::{Call, Domain, TraceBuilder};

    fn session(operations: u64) -> Session {
        let mut tape = TraceBuilder::new("t");
        for id in 1..=operations {
            let call = Call::Malloc { id, size: 1 + id % 600 };
            tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        }
        Session::new(Arc::new(tape.finish()), None, 0).unwrap()
    }

    fn settle(session: &mut Session) {
        while session.busy() && !session.playback.playing {
            session.work(Duration::from_millis(1));
        }
    }

    #[test]
    fn going_there_and_back_gives_the_same_state() {
        let mut session = session(300);
        session.seek(100);
        settle(&mut session);
        let (digest, revision) = (session.digest(), session.revision());
        session.seek(101);
        settle(&mut session);
        assert_ne!(session.digest(), digest);
        assert!(session.revision() > revision);
        session.seek(100);
        settle(&mut session);
        assert_eq!((session.step(), session.digest()), (100, digest));
        assert!(!session.events().is_empty());
    }

    #[test]
    fn a_long_seek_keeps_the_picture() {
        let mut session = session(400_000);
        session.seek(10);
        settle(&mut session);
        session.seek(400_000);
        session.work(Duration::ZERO);
        assert_eq!(session.step(), 10, "the old state stays on screen");
        assert_eq!(session.target(), 400_000);
        assert!(session.seeking().is_some_and(|share| share < 1.0));
        settle(&mut session);
        assert_eq!(session.step(), 400_000);
    }

    #[test]
    fn a_seek_can_be_cancelled_and_turned_round() {
        let mut session = session(400_000);
        session.seek(400_000);
        session.work(Duration::ZERO);
        session.seek(0);
        settle(&mut session);
        assert_eq!(session.step(), 0);
        session.seek(400_000);
        session.work(Duration::ZERO);
        session.cancel();
        assert!(session.seeking().is_none());
        settle(&mut session);
    }

    #[test]
    fn playback_keeps_time_and_stops_at_the_end() {
        let mut session = session(30);
        session.playback = Playback { playing: true, speed: 3, due: 0.0 };
        session.tick(0.15);
        session.work(Duration::from_millis(5));
        assert_eq!(session.step(), 1, "ten a second");
        for _ in 0..100 {
            session.tick(0.2);
            session.work(Duration::from_millis(5));
        }
        assert_eq!(session.step(), 30);
        assert!(!session.playback.playing);
    }

    #[test]
    fn arena_jumps_find_both_ways() {
        let mut session = session(9_000);
        session.jump(ArenaJump::Next);
        settle(&mut session);
        assert_eq!(session.step(), 1);
        session.jump(ArenaJump::Next);
        settle(&mut session);
        let second = session.step();
        assert!(second > 1);
        session.jump(ArenaJump::Previous);
        settle(&mut session);
        assert_eq!(session.step(), 1);
        assert!(session.jumping().is_none());
    }

    #[test]
    fn owners_are_found() {
        let mut session = session(300);
        session.seek(20);
        settle(&mut session);
        let Some(Place::Block(block)) = session.focus() else { panic!("a block") };
        session.ask_owner(block);
        assert_eq!(session.owner(block), Owner::Operation(19), "the operation itself");
        for step in [40, 300, 25, 20, 150] {
            session.seek(step);
            settle(&mut session);
            session.ask_owner(block);
            settle(&mut session);
            assert_eq!(session.owner(block), Owner::Operation(19), "at {step}");
        }
        session.seek(19);
        settle(&mut session);
        session.ask_owner(block);
        settle(&mut session);
        assert_eq!(session.owner(block), Owner::Nobody);
        session.seek(200);
        settle(&mut session);
        session.ask_owner(block);
        settle(&mut session);
        assert_eq!(session.owner(block), Owner::Operation(19), "found from nothing");
    }

    #[test]
    fn notes_hold_until_the_next_one() {
        let mut tape = TraceBuilder::new("t");
        for id in 1..=6 {
            tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 8 } }).unwrap();
        }
        for at in [0, 3] {
            tape.trace_mut().notes.push(Note { at, text: at.to_string() });
        }
        let mut session = Session::new(Arc::new(tape.finish()), None, 0).unwrap();
        let text = |s: &Session| s.note().map(|n| n.text.clone());
        assert_eq!(text(&session).as_deref(), Some("0"), "what comes first");
        assert_eq!((session.previous_note(), session.next_note()), (None, Some(1)));
        for (step, note, previous, next) in [
            (1, "0", None, Some(4)),
            (3, "0", Some(1), Some(4)),
            (4, "3", Some(1), None),
            (6, "3", Some(4), None),
        ] {
            session.seek(step);
            settle(&mut session);
            assert_eq!(text(&session).as_deref(), Some(note), "{step}");
            assert_eq!((session.previous_note(), session.next_note()), (previous, next), "{step}");
        }
    }

    #[test]
    fn unknown_profiles_are_refused() {
        assert!(Session::new(Arc::new(TraceBuilder::new("t").finish()), Some("cpython-2.7"), 0).is_err());
    }
}
