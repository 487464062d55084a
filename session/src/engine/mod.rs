//! The engine behind a front: what is open, where it stands, what is looked at and looked for.
//!
//! It takes [`Order`]s and works in slices; it has no thread and no clock of its own, so that it can run in a
//! frame, in a thread and in a worker alike.

mod comparing;
mod finding;
mod holding;
mod lessons;
mod places;
mod placing;
mod playing;
mod sitting;
mod supposing;
mod surveying;
mod telling;
mod trying;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use sim_core::Trace;

use crate::contents::Contents;
use crate::filter::Filter;
use crate::find::Find;
use crate::lesson::Answer;
use crate::open::{Loading, Opened, Outcome, Still};
use crate::order::Order;
use crate::place::Place;
use crate::real::{RealArenas, RealRun};
use crate::run::{SPEEDS, Session};
use crate::selection::Selection;
use crate::setup::Overrides;
use crate::snapshots::{Kept, Snapshots, Which};
use crate::trouble::Trouble;
use crate::view::paint::Painting;
use crate::view::tracemalloc::Statistics;
use crate::view::{Hint, Look};
use comparing::Comparing;
use holding::Holding;
use lessons::{Of, Taught};
use placing::Placing;
use playing::Playground;
use surveying::Surveys;
use telling::Told;
use trying::Trying;

/// Everything but the front.
#[derive(Default)]
pub struct Engine {
    session: Option<Session>,
    selection: Selection,
    kept: Snapshots,
    find: Find,
    filter: Filter,
    contents: Contents,
    statistics: Statistics,
    painting: Painting,
    holding: Holding,
    trying: Trying,
    look: Look,
    told: Told,
    /// A text for the clipboard, until a front takes it.
    copied: Option<String>,
    /// A file to be saved, until a front takes it.
    saved: Option<(String, String)>,
    loading: Option<Loading>,
    /// Whether what is open is what is being read, as far as it came.
    growing: bool,
    /// The most bytes that a trace may take.
    bytes_max: Option<u64>,
    /// Where memory for arenas comes from, in a front that has some.
    arenas: Option<Box<dyn RealArenas>>,
    /// The run over real memory of what is open, or why there is none.
    real: Option<Result<RealRun, String>>,
    error: Option<Trouble>,
    hint: Option<Hint>,
    /// The step whose heap was found sound, as long as that is the one shown.
    checked: Option<u64>,
    /// The lesson that is open, where one is.
    taught: Option<Taught>,
    /// The playground, once it was used.
    playground: Option<Playground>,
    /// Whether it was said that the open recording has to be doubted.
    doubted: bool,
    /// Whether the peak is to be gone to, once the tape has been read ahead.
    awaits_peak: bool,
    /// A text of statistics that was opened, until a front takes it.
    still: Option<Box<Still>>,
    /// The revision that the selection has caught up with.
    seen: Option<u64>,
    /// On which heap the map stands.
    placing: Placing,
    /// The arena to stay with once its step is reached, by where it begins.
    awaits_arena: Option<sim_core::Addr>,
    /// Runs along whole tapes.
    surveys: Surveys,
    /// What is beside what is open.
    comparing: Comparing,
}

impl Engine {
    /// Nothing open. A trace that takes more than `bytes_max` is refused; `None` where the system says no early
    /// enough by itself.
    pub fn new(bytes_max: Option<u64>) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// The same for a front with memory to give.
    #[must_use]
    pub fn over(mut self, arenas: Box<dyn RealArenas>) -> Self {
        self.arenas = Some(arenas);
        self
    }

    /// The open trace.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// What is on the front's screen from now on; whether that is another look than before.
    pub fn look(&mut self, look: Look) -> bool {
        let new = self.look != look;
        if new {
            let elsewhere = self.look.placed != look.placed;
            self.look = look;
            if elsewhere {
                self.catch_up();
            }
            self.told.stale = true;
            self.told.asked = true;
        }
        new
    }

    /// The next update is to be told though nothing is new.
    pub fn owe_answer(&mut self) {
        self.told.asked = true;
    }

    /// What the inspector shows: what it is pinned to, else what the current step touched.
    fn inspected(&self) -> Option<Place> {
        self.selection.pinned.or_else(|| self.placing.focus(self.session.as_ref()?))
    }

    /// Whether [`Self::work`] has more to do.
    pub fn busy(&self) -> bool {
        self.loading.is_some()
            || self.session.as_ref().is_some_and(Session::busy)
            || self.runs_over_memory()
            || self.look.operations.is_some() && !self.filter.complete()
            || self.counts()
            || self.owes_holding()
            || self.tries()
            || self.surveys()
            || self.comparing.awaits()
            || self.compares()
    }

    /// Whether it is busy only because time has to pass, as while it plays slowly or waits for a pipe.
    pub fn rests(&self) -> bool {
        self.loading.as_ref().is_none_or(Loading::grows)
            && self.filter.complete()
            && self.session.as_ref().is_none_or(Session::rests)
            && !self.runs_over_memory()
            && !self.counts()
            && !(self.owes_holding() && self.may_hold())
            && !self.tries()
            && !self.surveys()
            && !self.compares()
    }

    /// Whether what is in the trace is still being counted for who looks at it.
    fn counts(&self) -> bool {
        self.look.callers && self.session.is_some() && self.contents.callers().is_none()
    }

    fn runs_over_memory(&self) -> bool {
        matches!(&self.real, Some(Ok(run)) if !run.done())
    }

    /// Begins to open a file; what is open stays until it is complete.
    pub fn open(&mut self, opened: Opened) {
        if opened.beside && (self.session.is_some() || self.loading.is_some()) {
            return self.open_beside(opened);
        }
        match Loading::new(opened) {
            Ok(loading) => self.load(loading),
            Err(error) => {
                self.told.asked = true;
                self.error = Some(error);
            }
        }
    }

    /// The same from a reader that stays in this thread; `beside` what is open.
    pub fn read(&mut self, name: String, reader: Box<dyn Read>, total_bytes: Option<u64>, beside: bool) {
        let loading = Loading::read(name, reader, total_bytes);
        if beside { self.load_beside(loading) } else { self.load(loading) }
    }

    fn load(&mut self, loading: Loading) {
        self.error = None;
        self.told.asked = true;
        self.loading = Some(loading);
        self.growing = false;
    }

    /// Time passes: opens, plays and seeks for about `slice`. `seconds` have passed since the last call.
    pub fn work(&mut self, seconds: f64, slice: Duration) {
        if let Some(loading) = self.loading.take() {
            match loading.advance(slice, self.bytes_max) {
                Outcome::Running(loading) => self.loading = Some(loading),
                Outcome::Grown(loading, trace) => {
                    self.loading = Some(loading);
                    self.grow(Arc::new(*trace));
                }
                Outcome::Done(trace) if self.growing => {
                    self.grow(Arc::new(*trace));
                    self.growing = false;
                }
                Outcome::Done(trace) => {
                    self.taught = None;
                    self.show(Arc::new(*trace), false);
                }
                Outcome::Lesson(lesson) => self.teach(*lesson, None),
                Outcome::Puzzle(puzzle) => self.pose(*puzzle),
                Outcome::Quiz(quiz) => self.sit_down(*quiz),
                Outcome::Still(still) => self.still = Some(still),
                Outcome::Failed(error) => self.error = Some(error),
            }
        }
        if let Some(session) = &mut self.session {
            session.tick(seconds);
            session.work(slice);
            if let Some(look) = &self.look.operations {
                self.filter.set(&look.filter, session.trace());
                self.filter.advance(slice / 2);
            }
            if self.look.callers {
                self.contents.set(session.trace());
                self.contents.advance(slice / 2);
            }
            if let Some(Ok(run)) = &mut self.real
                && !session.travels()
            {
                run.advance(slice);
            }
        }
        self.go_to_awaited_peak();
        self.stay_with_awaited_arena();
        self.catch_up();
        self.hold(seconds);
        self.try_out(slice / 2);
        self.survey(slice);
        self.compare(slice);
    }

    /// Does one order.
    pub fn order(&mut self, order: Order) {
        self.told.stale = true;
        self.told.asked = true;
        let Some(order) = self.heeded(order) else { return };
        self.awaits_peak = false;
        self.awaits_arena = None;
        match order {
            Order::Quiz(order) => self.at_quiz(order),
            Order::Beat(by) => self.beat(|walk| walk.go_on(by)),
            Order::BeatAt(beat) => self.beat(|walk| walk.go_to(beat)),
            Order::Answer(answer) => self.answer(answer),
            Order::LeaveLesson => self.taught = None,
            Order::Practise { lesson, level, seed, profile } => {
                self.practise(&lesson, level, seed, profile);
            }
            Order::Program(text) => self.run_program(text, None),
            Order::Take(text) => self.take_program(text),
            Order::LeavePuzzle => self.leave_puzzle(),
            Order::SaveProgram => self.save_program(),
            Order::Fork => self.fork(),
            Order::Again => self.beat(|walk| {
                walk.again();
                true
            }),
            Order::Pin(place) if self.asks_for_a_place() => self.answer(Answer::Place(place)),
            Order::Seek(step) => self.seek(|_| step),
            Order::Step(by) => self.seek(|session| session.target().saturating_add_signed(by)),
            Order::End => self.seek(Session::len),
            Order::At(at) => self.go(&at),
            Order::NextNote => self.seek(|s| s.next_remark().unwrap_or(s.target())),
            Order::PreviousNote => self.seek(|s| s.previous_remark().unwrap_or(s.target())),
            Order::Play => self.play(),
            Order::Speed(index) => self.set_speed(|_| index),
            Order::Faster(by) => self.set_speed(|speed| speed.saturating_add_signed(by)),
            Order::Arena(direction) => self.look_for_arena(direction),
            Order::Touch(direction) => self.touch(direction),
            Order::RareEvent(event, direction) => self.go_to_rare_event(event, direction),
            Order::Chosen(direction) => self.go_to_rare_event(self.find.rare_event, direction),
            Order::Hold(direction) => self.run_to(direction),
            Order::ChooseAspect(aspect) => self.find.aspect = aspect,
            Order::ChooseRareEvent(event) => self.find.rare_event = event,
            Order::Condition(text) => self.find.write(text.as_deref()),
            Order::KeepCondition => self.keep_condition(),
            Order::ToggleBreakpoint(index) => self.toggle_breakpoint(index),
            Order::RemoveBreakpoint(index) => self.remove_breakpoint(index),
            Order::RemoveBreakpoints => self.remove_breakpoints(),
            Order::Restore(breakpoints) => {
                self.find.restore(breakpoints);
                self.heed_breakpoints();
            }
            Order::Pin(place) => self.pin(place),
            Order::Enter(place) => self.enter(place),
            Order::Level(level) => self.selection.level = level,
            Order::ZoomIn => self.zoom_in(),
            Order::ZoomOut => self.zoom_out(),
            Order::Follow(follow) => {
                self.selection.follow = follow;
                self.seen = None;
            }
            Order::Fold(fold) => self.selection.fold = fold,
            Order::Paint(paint) => self.selection.paint = paint,
            Order::Clear => self.clear(),
            Order::Cancel => {
                self.stop_trying();
                self.loading = None;
                self.growing = false;
                self.comparing.cancel();
                self.stop_surveys();
                if self.runs_over_memory() {
                    self.real = None;
                }
                if let Some(session) = &mut self.session {
                    session.cancel();
                }
            }
            Order::Profile(name) => self.change_profile(&name),
            Order::WhatIf(order) => self.try_order(order),
            Order::KeepSnapshot(which) => self.keep_snapshot(which),
            Order::UseSnapshot(which, name) => self.use_snapshot(which, name),
            Order::CopyStats => self.copied = self.session.as_ref().map(Session::stats),
            Order::CopyGroups => self.copy_groups(),
            Order::CopyHolders { as_csv } => self.copy_holders(as_csv),
            Order::CopyCompared { as_csv } => self.copy_compared(as_csv),
            Order::Judge => self.judge(),
            Order::CloseBeside(number) => self.close_beside(number),
            Order::ShowArena(step, base) => self.show_arena(step, base),
            Order::Verify => self.verify(),
            Order::RunOverMemory => self.run_over_memory(),
            Order::DismissError => self.error = None,
            // What lies on top goes first.
            Order::DismissHint => {
                if self.checked.take().is_none() {
                    self.hint = None;
                }
            }
        }
    }

    /// Goes on with what has come of the trace that is open, or opens it. Who stands at its end stays there.
    fn grow(&mut self, trace: Arc<Trace>) {
        self.placing.forget();
        let Some(session) = self.session.as_mut().filter(|_| self.growing) else {
            self.show(trace, true);
            return;
        };
        let at_end = session.target() == session.len() && !session.playback.playing;
        if let Err(error) = session.grow(Arc::clone(&trace)) {
            self.error = Some(Trouble::running(&trace.head.name, &error));
            return;
        }
        if at_end && session.looking().is_none() {
            session.seek(trace.len());
        }
        self.surveys.grow();
        self.filter.grow(&trace);
        self.holding.grow(&trace, self.placing.layout());
        // What has come may have made it another one.
        let now = hint(session, session.step() == 0);
        let doubtful = matches!(now, Hint::Doubtful(_));
        if self.hint.as_ref().is_some_and(|hint| *hint != now) || doubtful && !self.doubted {
            self.doubted = doubtful;
            self.hint = Some(now);
        }
        self.told.head = false;
        self.told.stale = true;
    }

    fn show(&mut self, trace: Arc<Trace>, grows: bool) {
        let name = trace.head.name.clone();
        match Session::begin(trace, &Overrides::default(), self.next_revision(), grows) {
            Err(error) => self.error = Some(Trouble::running(&name, &error)),
            Ok(mut session) => {
                self.growing = grows;
                self.placing.forget();
                self.real = None;
                let first = if grows { session.len() } else { session.first_step() };
                session.seek(first);
                if let Some(old) = &self.session {
                    session.playback.speed = old.playback.speed;
                }
                let hint = hint(&session, first == 0);
                self.doubted = matches!(hint, Hint::Doubtful(_));
                self.hint = Some(hint);
                self.session = Some(session);
                self.forget_beside();
                self.checked = None;
                self.find.of_trace(&name);
                self.heed_breakpoints();
                self.selection = Selection { fold: self.selection.fold, ..Selection::default() };
                self.kept = Snapshots::default();
                self.told.head = false;
                self.error = None;
                self.seen = None;
            }
        }
    }

    fn next_revision(&self) -> u64 {
        self.session.as_ref().map_or(0, |s| s.revision() + 1)
    }

    fn change_profile(&mut self, name: &str) {
        let Some(old) = &self.session else { return };
        // Settings of a cell go with the profile that somebody chooses.
        let plain = old.overrides().settings.is_empty() && old.overrides().malloc.is_none();
        if old.profile().name == name && plain {
            return;
        }
        if self.plays() {
            self.run_program_again(name);
            return;
        }
        if let Some(Taught { of: Of::Lesson(lesson), .. }) = &self.taught {
            self.teach((**lesson).clone(), Some(name));
            return;
        }
        self.change_settings(&Overrides::preset(name), name);
    }

    /// Runs what is open under something else, which is called so, at the same step.
    fn change_settings(&mut self, overrides: &Overrides, name: &str) {
        self.trying.tell_again();
        let Some(old) = &self.session else { return };
        match old.under(overrides, self.next_revision()) {
            Err(error) => self.error = Some(Trouble::running(name, &error)),
            Ok(mut session) => {
                session.playback = old.playback;
                self.placing.forget();
                self.real = None;
                session.seek(old.target());
                self.session = Some(session);
                self.surveys.forget_earlier();
                self.comparing.forget_sides();
                self.heed_breakpoints();
                self.selection.pinned = None;
                self.kept = Snapshots::default();
                self.told.head = false;
                self.selection.arena = None;
                self.selection.pool = None;
                self.seen = None;
            }
        }
    }

    fn seek(&mut self, target: impl FnOnce(&Session) -> u64) {
        if let Some(session) = &mut self.session {
            session.playback.playing = false;
            let target = target(session);
            session.seek(target);
            if let Some(taught) = &mut self.taught {
                taught.follow(target);
            }
        }
    }

    fn play(&mut self) {
        let Some(session) = &mut self.session else { return };
        if session.playback.playing {
            session.playback.playing = false;
        } else {
            if session.step() >= session.len() {
                session.seek(0);
            }
            session.playback.playing = !session.trace().is_empty();
        }
    }

    fn set_speed(&mut self, change: impl FnOnce(usize) -> usize) {
        if let Some(session) = &mut self.session {
            session.playback.speed = change(session.playback.speed).min(SPEEDS.len() - 1);
        }
    }

    fn clear(&mut self) {
        match &mut self.session {
            Some(session) if session.under_way() => session.cancel(),
            _ => self.selection.pinned = None,
        }
    }

    /// Checks the whole heap and says so: a user need not take its soundness on trust.
    fn verify(&mut self) {
        let Some(session) = &self.session else { return };
        let step = session.step();
        match session.machine().verify() {
            Ok(()) => self.checked = Some(step),
            Err(violation) => {
                let step = crate::format::grouped(step);
                self.error = Some(format!("the heap after step {step} is broken: {violation}").into());
            }
        }
    }

    /// Does the operations up to the step shown once more, over real memory.
    fn run_over_memory(&mut self) {
        let (Some(session), Some(arenas)) = (&self.session, &self.arenas) else { return };
        let setup = session.setup().map_err(|error| error.to_string());
        // What there was gives its memory back first.
        self.real = None;
        self.real = Some(
            setup.and_then(|setup| RealRun::new(arenas.as_ref(), &setup, session.trace(), session.step())),
        );
    }

    fn keep_snapshot(&mut self, which: Which) {
        let Some(session) = &self.session else { return };
        if session.supposed().is_ok() {
            self.kept.keep(which, Kept::supposed(session.step()));
            return;
        }
        match Kept::of(session.machine(), session.step()) {
            Ok(kept) => self.kept.keep(which, kept),
            Err(error) => self.error = Some(error.into()),
        }
    }

    fn use_snapshot(&mut self, which: Which, name: String) {
        let layers = self.session.as_ref().and_then(|s| s.machine().layers());
        if let Some(kept) = layers.and_then(|l| Kept::named(l, name)) {
            self.kept.keep(which, kept);
        }
    }

    /// Puts all of tracemalloc's lines on the clipboard, as they are grouped on the screen.
    fn copy_groups(&mut self) {
        if let (Some(session), Some(look)) = (&self.session, &self.look.tracemalloc) {
            self.copied = Some(match session.supposed() {
                Ok(()) => self.holding.supposing.text(),
                Err(_) => self.statistics.text(session, &self.kept, look),
            });
        }
    }
}

fn hint(session: &Session, at_start: bool) -> Hint {
    let trace = session.trace();
    if trace.is_empty() {
        return if trace.origin.picture.is_some() { Hint::Process } else { Hint::Empty };
    }
    if at_start {
        return Hint::Beginning;
    }
    // A recording that has to be doubted says so before anything else is said of it.
    let doubts = trace.origin.source.doubt.sentences();
    if doubts.is_empty() { Hint::Recording } else { Hint::Doubtful(doubts) }
}
