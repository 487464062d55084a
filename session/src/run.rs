//! One trace under one profile, at one position: what every pane reads.
//!
//! Long work is cut into slices by [`Session::work`]. While a seek is under way, the state is one that nobody asked
//! for: whoever shows it keeps the last complete one.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::breakpoint::Condition;
use sim_core::index::Index;
use sim_core::replay::Found;
use sim_core::report::{Occupancy, Trust, malloc_stats};
use sim_core::tape::{SourceLine, StackId};
use sim_core::{Addr, Call, Event, Kind, Machine, Note, Op, Profile, Replay, SizeClass, Slot, Trace};
use web_time::Instant;

use crate::analysis::overview::Overview;
use crate::analysis::owner::{Owner, OwnerSearch};
use crate::facts::Heap;
use crate::place::Place;
use crate::search::{Aim, Lookout, Quest};
use crate::setup::{Overrides, Setup, SetupError};

/// Saved states for going back and the index take at most this much together.
const BUDGET_BYTES: u64 = 256 << 20;
/// Operations of a seek between two looks at the clock.
const CHUNK: u64 = 20_000;
/// Operations of the first pass between two looks at the clock.
const FIRST_PASS_CHUNK: u64 = 2048;
/// What a frame gives the first pass at least, once no seek is under way.
const FIRST_PASS_SLICE: Duration = Duration::from_millis(1);
/// A trace of fewer operations opens at its start, as lessons do: it has no middle that shows more.
const SHORT_OPERATIONS: u64 = 2_000;
/// Speeds that playback offers, in operations a second.
pub const SPEEDS: &[u32] = &[1, 2, 5, 10, 25, 100, 500, 2_000, 10_000, 50_000, 250_000, 1_000_000];

/// Playing the tape by itself.
#[derive(Clone, Copy, Debug)]
pub struct Playback {
    /// Whether it runs.
    pub playing: bool,
    /// Index into [`SPEEDS`].
    pub speed: usize,
    /// Operations due, not done yet.
    due: f64,
}

impl Playback {
    /// Operations a second.
    fn per_second(&self) -> u32 {
        SPEEDS[self.speed.min(SPEEDS.len() - 1)]
    }
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

/// Counted once for each state, when a pane first asks.
#[derive(Debug, Default)]
struct Derived {
    occupancy: OnceCell<Occupancy>,
    digest: OnceCell<u64>,
}

/// One trace, replayed.
#[derive(Debug)]
pub struct Session {
    trace: Arc<Trace>,
    profile: Profile,
    replay: Replay,
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
    revision: u64,
    derived: Derived,
}

impl Session {
    /// At the start of `trace`, under what it asks for, or `overrides` instead.
    /// `revision` must be one that no session before it had, since pictures are kept by it.
    pub fn new(trace: Arc<Trace>, overrides: &Overrides, revision: u64) -> Result<Self, SetupError> {
        let setup = Setup::resolve(&trace, overrides)?;
        let replay = setup.replay(Arc::clone(&trace), BUDGET_BYTES)?;
        let profile = setup.profile;
        Ok(Self {
            overview: Overview::new(&trace, &profile),
            trust: trace.has_addresses().then(|| Trust::new(&profile)),
            stacks: crate::actions::stack_changes(&trace),
            trace,
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

    /// The trace.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
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

    /// The step after the next operation with a note.
    pub fn next_note(&self) -> Option<u64> {
        let notes = &self.trace.head.notes;
        let target = self.target();
        notes.get(notes.partition_point(|n| n.at < target)).map(|n| n.at + 1)
    }

    /// The step after the operation with a note before the one that holds here.
    pub fn previous_note(&self) -> Option<u64> {
        let notes = &self.trace.head.notes;
        let target = self.target();
        notes[..notes.partition_point(|n| n.at + 1 < target)].last().map(|n| n.at + 1)
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
        let stack = if self.trace.has_stacks() {
            self.trace.stack_of(self.step().checked_sub(1)? as usize)
        } else {
            let before = self.stacks.partition_point(|(at, _)| *at < self.step());
            self.stacks[..before].last()?.1
        };
        Some(self.trace.origin.stacks.lines(stack))
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

    /// Time passes: playback adds what is due.
    pub fn tick(&mut self, seconds: f64) {
        if !self.playback.playing {
            self.lookout = None;
            return;
        }
        if self.seek.is_some() {
            return;
        }
        if self.step() >= self.len() {
            self.playback.playing = false;
            return;
        }
        let speed = self.playback.per_second();
        // A window that slept does not owe the time it slept.
        self.playback.due += seconds.min(0.25) * f64::from(speed);
        let mut whole = self.playback.due.floor();
        if let Some(lookout) = &self.lookout {
            // What lies beyond has not been looked at for breakpoints yet, and is not owed either.
            let clear = lookout.clear_to().saturating_sub(self.step()) as f64;
            if whole > clear {
                whole = clear;
                self.playback.due = clear;
            }
        } else if !self.breakpoints.is_empty() {
            return;
        }
        self.playback.due -= whole;
        if whole >= 1.0 {
            self.travel_to(self.step() + whole as u64);
        }
    }

    /// Does pending work for about `slice`; the rest waits for the next frame.
    pub fn work(&mut self, slice: Duration) {
        let begun = Instant::now();
        let more = || begun.elapsed() < slice;
        if !self.travel(&more) {
            return;
        }
        if let Some(search) = &mut self.owner
            && search.is_current(self.revision)
        {
            while search.answer() == Owner::Searching {
                search.advance(self.replay.machine(), &self.trace);
                if !more() {
                    break;
                }
            }
        }
        let reads = self.pursue(&more);
        self.look_out(&more);
        if reads {
            let first = Instant::now();
            while !self.overview.complete() && (more() || first.elapsed() < FIRST_PASS_SLICE) {
                let Self { replay, overview, trust, .. } = self;
                replay.advance_with(FIRST_PASS_CHUNK, |moment| {
                    overview.add(moment);
                    if let Some(trust) = trust {
                        trust.after(moment.machine, moment.trace, moment.index, moment.pointer);
                    }
                });
            }
        }
    }

    /// Goes on with a seek; says whether it got there.
    fn travel(&mut self, more: &impl Fn() -> bool) -> bool {
        let Some(seek) = self.seek else { return true };
        loop {
            if self.replay.seek(seek.target, CHUNK) {
                self.seek = None;
                self.changed();
                self.halt();
                return true;
            }
            if !more() {
                return false;
            }
        }
    }

    /// Goes on with a search; says whether the first pass may go on too, whose machine it shares.
    fn pursue(&mut self, more: &impl Fn() -> bool) -> bool {
        while let Some(quest) = &mut self.quest {
            let owner = self.owner;
            let holder = |block| {
                owner.filter(|o| o.is_for(self.revision, block)).map_or(Owner::Searching, |o| o.answer())
            };
            match quest.advance(&mut self.replay, &self.overview, holder) {
                Found::At(step) => {
                    self.seek(step);
                    self.travel(more);
                }
                Found::Nowhere => {
                    self.notice = Some(quest.in_vain());
                    self.quest = None;
                }
                Found::NotRead => return true,
                Found::Looking if more() => {}
                Found::Looking => return false,
            }
        }
        true
    }

    /// Looks for breakpoints ahead of Play.
    fn look_out(&mut self, more: &impl Fn() -> bool) {
        /// Seconds of Play that are looked at ahead.
        const AHEAD: u64 = 1;
        if !self.playback.playing || self.breakpoints.is_empty() {
            return;
        }
        let step = self.step();
        let speed = self.playback.per_second();
        let breakpoints = &self.breakpoints;
        let lookout = self.lookout.get_or_insert_with(|| Lookout::new(breakpoints.clone(), step));
        lookout.advance(&mut self.replay, step + AHEAD * u64::from(speed), more);
    }

    /// Stops Play at a breakpoint.
    fn halt(&mut self) {
        let step = self.step();
        if let Some(condition) = self.lookout.as_ref().and_then(|l| l.breakpoint(step)) {
            self.notice = Some(format!("Play stopped at a breakpoint: {condition}"));
            self.playback.playing = false;
            self.lookout = None;
        }
    }

    /// Whether [`Self::work`] or [`Self::tick`] has more to do.
    pub fn busy(&self) -> bool {
        self.under_way()
            || self.playback.playing
            || !self.overview.complete()
            || self.owner.is_some_and(|s| s.is_current(self.revision) && s.answer() == Owner::Searching)
    }

    /// Whether it plays and has nothing to compute until more is due.
    pub fn rests(&self) -> bool {
        let searches =
            self.owner.is_some_and(|s| s.is_current(self.revision) && s.answer() == Owner::Searching);
        self.playback.playing && !self.under_way() && self.overview.complete() && !searches
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.notice = None;
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
        Session::new(Arc::new(tape.finish()), &Overrides::default(), 0).unwrap()
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
    fn a_long_seek_goes_in_slices() {
        let mut session = session(400_000);
        session.seek(10);
        // The first pass has hardly begun, so that the way is long.
        session.work(Duration::ZERO);
        session.seek(400_000);
        session.work(Duration::ZERO);
        assert!(session.travels() && session.step() < 400_000);
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
        let mut jump = |forward| {
            session.look_for(Aim::Arena, "an arena".to_owned(), forward);
            assert!(session.looking().is_some());
            settle(&mut session);
            assert!(session.looking().is_none());
            (session.step(), session.notice().map(str::to_owned))
        };
        assert_eq!(jump(true), (1, None));
        let (second, _) = jump(true);
        assert!(second > 1);
        assert_eq!(jump(false), (1, None));
        assert_eq!(jump(false), (1, Some("Nothing of an arena before step 1".to_owned())));
    }

    #[test]
    fn conditions_are_found_both_ways_and_searches_can_be_stopped() {
        let mut session = session(300_000);
        let mut find = |text: &str, forward| {
            let condition = Condition::parse(text).unwrap();
            session.look_for(Aim::Condition(condition), format!("`{text}`"), forward);
            let mut rounds = 0;
            while session.busy() {
                session.work(Duration::ZERO);
                rounds += 1;
            }
            (session.step(), session.notice().map(str::to_owned), rounds)
        };
        let (at, notice, rounds) = find("step == 250000", true);
        assert_eq!((at, notice), (250_000, None));
        assert!(rounds > 20, "in slices: {rounds}");
        let (at, _, _) = find("arena_obtained && arenas < 3", false);
        assert!(find("arenas > 2 && arena_obtained", true).0 > at);
        let (stays, notice, _) = find("size > 9999", true);
        assert_eq!(
            notice,
            Some(format!("Nothing of `size > 9999` after step {}", crate::format::grouped(stays)))
        );
        session.seek(300_000);
        settle(&mut session);
        let condition = Condition::parse("size > 9999").unwrap();
        session.look_for(Aim::Condition(condition), "`size > 9999`".to_owned(), false);
        session.work(Duration::ZERO);
        let (doing, share) = session.looking().unwrap();
        assert_eq!(doing, "looking back for `size > 9999`");
        assert!(share.is_some_and(|s| s < 1.0));
        session.cancel();
        assert!(!session.under_way());
        assert_eq!((session.step(), session.notice()), (300_000, Some("The search was stopped")));
    }

    #[test]
    fn play_stops_at_breakpoints_and_goes_on() {
        let mut session = session(60_000);
        let conditions = ["arena_obtained && arenas > 1", "step == 40000"];
        session.set_breakpoints(conditions.map(|text| Condition::parse(text).unwrap()).to_vec());
        let mut play = || {
            session.playback.playing = true;
            session.playback.speed = SPEEDS.len() - 1;
            for _ in 0..10_000 {
                session.tick(0.02);
                session.work(Duration::from_millis(1));
                if !session.playback.playing {
                    break;
                }
            }
            assert!(!session.playback.playing, "it plays for ever");
            (session.step(), session.notice().map(str::to_owned))
        };
        let (second_arena, notice) = play();
        assert!(second_arena > 1 && second_arena < 40_000);
        assert_eq!(notice.as_deref(), Some("Play stopped at a breakpoint: arena_obtained && arenas > 1"));
        let mut stops = vec![second_arena];
        loop {
            let (step, notice) = play();
            stops.push(step);
            if step == 60_000 {
                assert_eq!(notice, None, "the end is no breakpoint");
                break;
            }
        }
        assert!(stops.contains(&40_000) && stops.is_sorted(), "{stops:?}");
        // Another one each time an arena is obtained.
        let marks = session.overview().marks.iter().filter(|m| m.obtained).count();
        assert_eq!(stops.len(), marks - 1 + 2, "{stops:?}");
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
            tape.trace_mut().head.notes.push(Note { at, text: at.to_string() });
        }
        let mut session = Session::new(Arc::new(tape.finish()), &Overrides::default(), 0).unwrap();
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
        let trace = Arc::new(TraceBuilder::new("t").finish());
        assert!(Session::new(trace, &Overrides::preset("cpython-2.7"), 0).is_err());
    }
}
