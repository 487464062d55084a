//! The only place that changes what is open, where it stands and what is looked at.

use std::sync::Arc;
use std::time::Duration;

use egui::ThemePreference;
use session::Opened;
use session::facts;
use session::find::Find;
use session::format::{count, grouped};
use session::open::Still;
use session::open::{Loading, Outcome};
use session::run::{LESSON_OPERATIONS, SPEEDS, Session};
use session::search::Aim;
use session::snapshots::{Kept, Snapshots, Which};
use session::{Level, Place, Selection};
use sim_core::Trace;

use crate::command::{Action, Command};
use crate::examples::EXAMPLES;
use crate::layout::{Layout, Pane};

/// A window over the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overlay {
    /// Keys and the picture's grammar.
    Help,
    /// A step or an address to type.
    GoTo,
    /// All commands.
    Palette,
    /// A text of `sys._debugmallocstats()`.
    Still,
}

/// What the shell or the toolkit has to do, since nothing here can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Ask the user for a file.
    PickFile,
    /// Put this on the clipboard.
    Copy(String),
    /// Put the text cursor into the operations' filter.
    FocusFilter,
    /// Put the text cursor into the condition field, after writing something there if there is something.
    FocusCondition(Option<String>),
    /// Measure frames from now on.
    ResetFrameTimes,
    /// Change light and dark.
    Theme(ThemePreference),
}

/// Everything but the shell.
pub(crate) struct State {
    /// The open trace.
    pub(crate) session: Option<Session>,
    /// What is looked at.
    pub(crate) selection: Selection,
    /// What can be looked for along the tape.
    pub(crate) find: Find,
    /// The trace on its way in.
    pub(crate) loading: Option<Loading>,
    /// The most bytes a trace may take, see [`crate::Platform::trace_bytes_max`].
    pub(crate) trace_bytes_max: Option<u64>,
    /// What went wrong last, in one line.
    pub(crate) error: Option<String>,
    /// What a newcomer should do next.
    pub(crate) hint: Option<String>,
    /// What lies over the panes.
    pub(crate) overlay: Option<Overlay>,
    /// The text of statistics that was opened last.
    pub(crate) still: Option<Still>,
    /// Where the panes are.
    pub(crate) layout: Layout,
    /// Light, dark or the system's.
    pub(crate) theme: ThemePreference,
    /// No pulses.
    pub(crate) reduce_motion: bool,
    /// Whether frame times are shown.
    pub(crate) frame_times: bool,
    /// The revision that the selection has caught up with.
    seen: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            session: None,
            selection: Selection::default(),
            find: Find::default(),
            loading: None,
            trace_bytes_max: None,
            error: None,
            hint: None,
            overlay: None,
            still: None,
            layout: Layout::default(),
            theme: ThemePreference::System,
            reduce_motion: false,
            frame_times: false,
            seen: None,
        }
    }
}

impl State {
    /// Does one command. What only the shell can do comes back.
    pub(crate) fn apply(&mut self, command: Command) -> Option<Request> {
        match command {
            Command::Do(action) => return self.act(action),
            Command::Seek(step) => self.seek(|_| step),
            Command::Pin(place) => self.pin(place),
            Command::Enter(place) => self.enter(place),
            Command::Level(level) => self.selection.level = level,
            Command::Speed(index) => {
                if let Some(session) = &mut self.session {
                    session.playback.speed = index.min(SPEEDS.len() - 1);
                }
            }
            Command::Profile(name) => self.change_profile(name),
            Command::Example(index) => self.open_example(index),
            Command::Copy(text) => return Some(Request::Copy(text)),
            Command::KeepSnapshot(which) => self.keep_snapshot(which),
            Command::UseSnapshot(which, name) => self.use_snapshot(which, name),
            Command::Aspect(aspect) => self.find.aspect = aspect,
            Command::Mark(mark) => self.find.mark = mark,
            Command::Condition(condition) => self.find.condition = condition,
            Command::WriteCondition(text) => return Some(Request::FocusCondition(Some(text))),
            Command::ToggleBreakpoint(index) => self.toggle_breakpoint(index),
            Command::RemoveBreakpoint(index) => self.remove_breakpoint(index),
            Command::CloseOverlay => {
                self.overlay = None;
                self.still = None;
            }
        }
        None
    }

    fn act(&mut self, action: Action) -> Option<Request> {
        match action {
            Action::Open => return Some(Request::PickFile),
            Action::Forward => self.step(1),
            Action::Back => self.step(-1),
            Action::ForwardFar => self.step(100),
            Action::BackFar => self.step(-100),
            Action::Start => self.seek(|_| 0),
            Action::End => self.seek(Session::len),
            Action::GoTo => self.open_overlay(Overlay::GoTo),
            Action::Palette => self.open_overlay(Overlay::Palette),
            Action::Help => self.open_overlay(Overlay::Help),
            Action::Play => self.play(),
            Action::Slower => self.change_speed(-1),
            Action::Faster => self.change_speed(1),
            Action::NextArena => self.look_for(Aim::Arena, "an arena obtained or released", true),
            Action::PreviousArena => self.look_for(Aim::Arena, "an arena obtained or released", false),
            Action::NextTouch => self.touch(true),
            Action::PreviousTouch => self.touch(false),
            Action::Next(mark) => self.go_to_mark(mark, true),
            Action::Previous(mark) => self.go_to_mark(mark, false),
            Action::NextChosen => self.go_to_mark(self.find.mark, true),
            Action::PreviousChosen => self.go_to_mark(self.find.mark, false),
            Action::EditCondition => return Some(Request::FocusCondition(None)),
            Action::NextHold => return self.run_to(true),
            Action::PreviousHold => return self.run_to(false),
            Action::KeepCondition => return self.keep_condition(),
            Action::RemoveBreakpoints => self.remove_breakpoints(),
            Action::NextNote => self.seek(|s| s.next_note().unwrap_or(s.target())),
            Action::PreviousNote => self.seek(|s| s.previous_note().unwrap_or(s.target())),
            Action::Filter => {
                self.layout.show(Pane::Operations);
                return Some(Request::FocusFilter);
            }
            Action::ZoomIn => self.zoom_in(),
            Action::ZoomOut => self.zoom_out(),
            Action::Follow => {
                self.selection.follow = !self.selection.follow;
                self.seen = None;
            }
            Action::Fold => self.selection.fold = !self.selection.fold,
            Action::Verify => self.verify(),
            Action::Clear => self.clear(),
            Action::Cancel => {
                self.loading = None;
                if let Some(session) = &mut self.session {
                    session.cancel();
                }
            }
            Action::TabMap => self.layout.show(Pane::Map),
            Action::TabClasses => self.layout.show(Pane::SizeClasses),
            Action::TabArenas => self.layout.show(Pane::Arenas),
            Action::TabStats => self.layout.show(Pane::MallocStats),
            Action::TabDomains => self.layout.show(Pane::Domains),
            Action::TabDebug => self.layout.show(Pane::DebugHooks),
            Action::TabTracemalloc => self.layout.show(Pane::Tracemalloc),
            Action::TabOperations => self.layout.show(Pane::Operations),
            Action::TabInspector => self.layout.show(Pane::Inspector),
            Action::ThemeSystem => return Some(self.set_theme(ThemePreference::System)),
            Action::ThemeDark => return Some(self.set_theme(ThemePreference::Dark)),
            Action::ThemeLight => return Some(self.set_theme(ThemePreference::Light)),
            Action::ReduceMotion => self.reduce_motion = !self.reduce_motion,
            Action::ResetLayout => self.layout = Layout::default(),
            Action::CopyStats => return self.session.as_ref().map(|s| Request::Copy(s.stats().to_owned())),
            Action::FrameTimes => self.frame_times = !self.frame_times,
            Action::ResetFrameTimes => return Some(Request::ResetFrameTimes),
            Action::DismissError => self.error = None,
            Action::DismissHint => self.hint = None,
        }
        None
    }

    /// Begins to open a file; what is open stays until it is complete.
    pub(crate) fn open(&mut self, opened: Opened) {
        self.error = None;
        self.loading = Some(Loading::new(opened));
    }

    /// Begins to open a bundled trace.
    pub(crate) fn open_example(&mut self, index: usize) {
        if let Some(example) = EXAMPLES.get(index) {
            self.open(Opened::new(
                example.file.rsplit('/').next().unwrap_or_default(),
                Box::new(std::io::Cursor::new(example.bytes)),
                Some(example.bytes.len() as u64),
            ));
        }
    }

    /// What went wrong outside.
    pub(crate) fn fail(&mut self, error: String) {
        self.error = Some(error);
    }

    /// Time passes: opens, plays and seeks for about `slice`.
    pub(crate) fn work(&mut self, seconds: f64, slice: Duration) {
        if let Some(loading) = self.loading.take() {
            match loading.advance(slice, self.trace_bytes_max) {
                Outcome::Running(loading) => self.loading = Some(loading),
                Outcome::Done(trace) => self.show(Arc::new(*trace)),
                Outcome::Still(still) => {
                    self.still = Some(*still);
                    self.overlay = Some(Overlay::Still);
                }
                Outcome::Failed(error) => self.error = Some(error),
            }
        }
        if let Some(session) = &mut self.session {
            session.tick(seconds);
            session.work(slice);
        }
        self.catch_up();
    }

    /// Whether another frame is needed to go on.
    pub(crate) fn busy(&self) -> bool {
        self.loading.is_some() || self.session.as_ref().is_some_and(Session::busy)
    }

    /// What the inspector shows: what it is pinned to, else what the current step touched.
    pub(crate) fn inspected(&self) -> Option<Place> {
        self.selection.pinned.or_else(|| self.session.as_ref()?.focus())
    }

    fn show(&mut self, trace: Arc<Trace>) {
        let (len, name) = (trace.len(), trace.name.clone());
        match Session::new(trace, None, self.next_revision()) {
            Err(error) => self.error = Some(format!("{name}: {error}")),
            Ok(mut session) => {
                let lesson = len < LESSON_OPERATIONS;
                if !lesson {
                    session.seek(session.vivid_step());
                }
                if let Some(old) = &self.session {
                    session.playback.speed = old.playback.speed;
                }
                self.hint = Some(hint(&session, lesson));
                self.session = Some(session);
                self.heed_breakpoints();
                self.selection = Selection { fold: self.selection.fold, ..Selection::default() };
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
        if old.profile().name == name {
            return;
        }
        match Session::new(Arc::clone(old.trace()), Some(name), self.next_revision()) {
            Err(error) => self.error = Some(format!("{name}: {error}")),
            Ok(mut session) => {
                session.playback = old.playback;
                session.seek(old.target());
                self.session = Some(session);
                self.heed_breakpoints();
                self.selection.pinned = None;
                self.selection.snapshots = Snapshots::default();
                self.selection.arena = None;
                self.selection.pool = None;
                self.seen = None;
            }
        }
    }

    fn seek(&mut self, target: impl FnOnce(&Session) -> u64) {
        if let Some(session) = &mut self.session {
            if session.len() < LESSON_OPERATIONS {
                // It told how to take the first step.
                self.hint = None;
            }
            session.playback.playing = false;
            let target = target(session);
            session.seek(target);
        }
    }

    fn step(&mut self, by: i64) {
        self.seek(|session| session.target().saturating_add_signed(by));
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

    fn change_speed(&mut self, by: isize) {
        if let Some(session) = &mut self.session {
            let speed = session.playback.speed.saturating_add_signed(by);
            session.playback.speed = speed.min(SPEEDS.len() - 1);
        }
    }

    fn open_overlay(&mut self, overlay: Overlay) {
        self.overlay = if self.overlay == Some(overlay) { None } else { Some(overlay) };
    }

    fn clear(&mut self) {
        if self.overlay.take().is_some() {
            return;
        }
        match &mut self.session {
            Some(session) if session.under_way() => session.cancel(),
            _ => self.selection.pinned = None,
        }
    }

    /// Checks the whole heap and says so: a user need not take its soundness on trust.
    fn verify(&mut self) {
        let Some(session) = &self.session else { return };
        let step = grouped(session.step());
        match session.machine().verify() {
            Ok(()) => {
                self.hint = Some(format!(
                    "The heap after step {step} is sound: lists, counts, links, radix tree and sums all hold."
                ));
            }
            Err(violation) => self.error = Some(format!("the heap after step {step} is broken: {violation}")),
        }
    }

    fn set_theme(&mut self, theme: ThemePreference) -> Request {
        self.theme = theme;
        Request::Theme(theme)
    }

    fn keep_snapshot(&mut self, which: Which) {
        let Some(session) = &self.session else { return };
        match Kept::of(session.machine(), session.step()) {
            Ok(kept) => self.selection.snapshots.keep(which, kept),
            Err(error) => self.error = Some(error),
        }
    }

    fn use_snapshot(&mut self, which: Which, name: String) {
        let layers = self.session.as_ref().and_then(|s| s.machine().layers());
        if let Some(kept) = layers.and_then(|l| Kept::named(l, name)) {
            self.selection.snapshots.keep(which, kept);
        }
    }

    fn pin(&mut self, place: Place) {
        if let Some(place) = self.existing(place) {
            self.selection.pinned = Some(place);
            self.look(place);
        }
    }

    /// The place as it is at this step: an address inside a block means the block, one outside all
    /// blocks its pool.
    fn existing(&mut self, place: Place) -> Option<Place> {
        let session = self.session.as_ref()?;
        let heap = session.heap();
        let found = match place {
            Place::Arena(id) => facts::same_arena(heap, id).map(|a| Place::Arena(a.id)),
            Place::Pool(addr) => facts::pool_at(heap, addr).map(|p| Place::Pool(p.addr)),
            Place::Block(addr) => facts::block_at(heap, addr)
                .map(|b| Place::Block(b.addr))
                .or_else(|| facts::pool_at(heap, addr).map(|p| Place::Pool(p.addr))),
        };
        if found.is_none() {
            self.error = Some(match place {
                Place::Arena(id) => format!("{id} does not exist at this step"),
                Place::Pool(addr) | Place::Block(addr) => format!("no arena holds {addr} at this step"),
            });
        }
        found
    }

    /// Points the map somewhere; away from where the step happened it stops following.
    fn look(&mut self, place: Place) {
        let Some(session) = &self.session else { return };
        let heap = session.heap();
        let there = place.resolve(heap);
        let elsewhere =
            session.focus().map(|focus| focus.resolve(heap)).is_some_and(|here| match self.selection.level {
                Level::Heap => false,
                Level::Arena => here.0 != there.0,
                Level::Pool => there.1.is_some() && here.1 != there.1,
            });
        self.selection.follow &= !elsewhere;
        self.selection.look_at(heap, place);
    }

    fn enter(&mut self, place: Place) {
        let Some(place) = self.existing(place) else { return };
        self.selection.level = match place {
            Place::Arena(_) => Level::Arena,
            Place::Pool(_) | Place::Block(_) => Level::Pool,
        };
        if let Place::Block(_) = place {
            self.selection.pinned = Some(place);
        }
        self.look(place);
    }

    fn zoom_in(&mut self) {
        self.selection.level = match self.selection.level {
            Level::Heap => Level::Arena,
            Level::Arena | Level::Pool => Level::Pool,
        };
        // Going in, one wants to see what is being looked at.
        if let (Some(session), Some(place)) = (&self.session, self.inspected()) {
            self.selection.look_at(session.heap(), place);
        }
    }

    fn zoom_out(&mut self) {
        self.selection.level = match self.selection.level {
            Level::Heap | Level::Arena => Level::Heap,
            Level::Pool => Level::Arena,
        };
    }

    /// After the state shown has changed, the map goes where it happened and lets go of what is gone.
    fn catch_up(&mut self) {
        let Some(session) = &self.session else { return };
        if self.seen != Some(session.revision()) {
            self.seen = Some(session.revision());
            if self.selection.follow
                && let Some(place) = session.focus()
            {
                self.selection.look_at(session.heap(), place);
            }
            self.selection.repair(session.heap());
        }
        if let Some(Place::Block(block)) = self.inspected()
            && let Some(session) = &mut self.session
        {
            session.ask_owner(block);
        }
    }
}

/// What to tell whoever just opened this.
fn hint(session: &Session, lesson: bool) -> String {
    let profile = session.profile();
    let trace = session.trace();
    if trace.is_empty() {
        return format!("{} has no operation; open another trace.", trace.name);
    }
    if lesson {
        let about = if trace.description.is_empty() { "" } else { trace.description.as_str() };
        let gap = if about.is_empty() { "" } else { " " };
        return format!(
            "{about}{gap}This is before the first of {}. Press the right arrow key to step; each step says what the allocator did.",
            count(trace.len(), "operation")
        );
    }
    // A recording that has to be doubted says so before anything else is said of it.
    let doubts = trace.source.doubt.sentences();
    if !doubts.is_empty() {
        return format!("Read with a grain of salt: {}.", doubts.join("; "));
    }
    format!(
        "CPython's heap in the middle of a run of {}. Each tile is an arena of {}, each cell a pool of {}, filled as far as its blocks are in use. \
         Right arrow steps, Space plays, a double click looks inside.",
        trace.name,
        session::format::bytes(profile.arena_size),
        session::format::bytes(profile.pool_size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &'static str) -> State {
        let mut state = State::default();
        open(&mut state, text.as_bytes());
        state
    }

    fn open(state: &mut State, bytes: &'static [u8]) {
        state.open(Opened::new("t.ptrace", Box::new(std::io::Cursor::new(bytes)), None));
        settle(state);
    }

    fn settle(state: &mut State) {
        state.work(0.0, Duration::from_millis(5));
        while state.busy() {
            state.work(0.0, Duration::from_millis(5));
        }
    }

    fn act(state: &mut State, action: Action) {
        assert_eq!(state.apply(Command::Do(action)), None);
        settle(state);
    }

    fn step(state: &State) -> u64 {
        state.session.as_ref().map_or(u64::MAX, Session::step)
    }

    const THREE: &str = "m o 1 48\nm o 2 48\nf o 1\n";

    #[test]
    fn lessons_start_at_the_beginning_and_step() {
        let mut state = state(THREE);
        assert_eq!(step(&state), 0);
        act(&mut state, Action::Forward);
        assert_eq!(step(&state), 1);
        act(&mut state, Action::End);
        assert_eq!(step(&state), 3);
        act(&mut state, Action::Forward);
        assert_eq!(step(&state), 3, "nothing after the end");
        act(&mut state, Action::Back);
        assert_eq!(step(&state), 2);
        act(&mut state, Action::BackFar);
        assert_eq!(step(&state), 0);
        act(&mut state, Action::Back);
        assert_eq!(step(&state), 0);
    }

    #[test]
    fn bad_input_keeps_what_is_open() {
        let mut state = state(THREE);
        act(&mut state, Action::End);
        for bytes in [&b""[..], b"\x00\x01\x02", b"m o 1 48\nm o 1 48\n", b"(name: \"x\""] {
            open(&mut state, bytes);
            let error = state.error.clone().unwrap_or_default();
            assert!(error.starts_with("t.ptrace: ") && !error.contains('\n'), "{error}");
            assert_eq!(step(&state), 3);
        }
        open(&mut state, b"m o 1 48\n");
        assert_eq!((state.error.as_deref(), step(&state)), (None, 0));
    }

    #[test]
    fn statistics_are_shown_over_what_is_open() {
        let mut state = state(THREE);
        act(&mut state, Action::End);
        let text = state.session.as_ref().map(|s| s.stats().to_owned()).unwrap_or_default();
        open(&mut state, text.leak().as_bytes());
        let classes = state.still.as_ref().map(|still| still.stats.classes.clone()).unwrap_or_default();
        assert_eq!(classes.iter().map(|c| (c.size, c.in_use)).collect::<Vec<_>>(), [(48, 1)]);
        assert_eq!((state.overlay, step(&state)), (Some(Overlay::Still), 3));
        state.apply(Command::CloseOverlay);
        assert!(state.still.is_none() && state.overlay.is_none());
    }

    #[test]
    fn the_map_follows_until_one_looks_elsewhere() {
        let mut state = state("m o 1 48\nm o 2 16\nm o 3 48\n");
        act(&mut state, Action::Forward);
        act(&mut state, Action::ZoomIn);
        act(&mut state, Action::ZoomIn);
        assert_eq!(state.selection.level, Level::Pool);
        let first = state.selection.pool;
        act(&mut state, Action::Forward);
        assert_ne!(state.selection.pool, first, "another class, another pool");
        let second = state.selection.pool;
        let Some(pool) = first else { panic!("a pool") };
        state.apply(Command::Enter(Place::Pool(pool)));
        assert!(!state.selection.follow);
        act(&mut state, Action::Back);
        act(&mut state, Action::Forward);
        assert_eq!(state.selection.pool, first, "stays");
        act(&mut state, Action::Follow);
        assert_eq!(state.selection.pool, second, "follows again");
    }

    #[test]
    fn pins_stay_until_cleared() {
        let mut state = state(THREE);
        act(&mut state, Action::Forward);
        let Some(place) = state.inspected() else { panic!("a block") };
        state.apply(Command::Pin(place));
        act(&mut state, Action::Forward);
        assert_eq!(state.inspected(), Some(place));
        act(&mut state, Action::Clear);
        assert_ne!(state.inspected(), Some(place));
    }

    #[test]
    fn another_profile_keeps_the_step() {
        let mut state = state(THREE);
        act(&mut state, Action::End);
        state.apply(Command::Profile("cpython-3.9"));
        settle(&mut state);
        assert_eq!(step(&state), 3);
        assert_eq!(state.session.as_ref().map(|s| s.profile().arena_size), Some(256 << 10));
        state.apply(Command::Profile("none such"));
        assert!(state.error.is_some());
        assert_eq!(step(&state), 3);
    }
}
