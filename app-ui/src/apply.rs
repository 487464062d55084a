//! The only place that changes what the window itself holds; everything else is an order to the engine.

mod processes;
mod teaching;

use std::time::Duration;

use egui::ThemePreference;
use session::diagnosis::Placed;
use session::link::{Link, Part};
use session::open::Still;
use session::order::{Direction, Order};
use session::port::Port;
use session::view::Look;
use session::whatif::Cell;
use session::{Opened, Selection};
use sim_core::Profile;

use crate::command::{Action, Command, HoldersAsk};
use crate::examples::EXAMPLES;
use crate::layout::{Layout, Pane};
use crate::platform::ProcessAsk;
use crate::progress::Progress;
use crate::words;
pub(crate) use processes::{Processes, Taking};

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
    /// A file's path to type, where no dialog can be had.
    Path,
    /// Processes to choose one from.
    Processes,
}

/// How much of the window is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Extent {
    /// All of it.
    #[default]
    Whole,
    /// A lesson alone, large, for a class.
    Present,
    /// A lesson alone, in a frame of another page.
    Embed,
}

/// What the shell or the toolkit has to do, since nothing here can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Ask the user for a file.
    PickFile,
    /// The same for one to be compared with what is open.
    PickBeside,
    /// Open the file with this path.
    OpenPath(String),
    /// Say which processes there are.
    ListProcesses,
    /// Take a picture of a process.
    TakePicture(ProcessAsk),
    /// Put this on the clipboard.
    Copy(String),
    /// Put the address with this fragment on the clipboard.
    CopyLink(String),
    /// Put the text cursor into the operations' filter.
    FocusFilter,
    /// Put the text cursor into the condition field, after writing something there if there is something.
    FocusCondition(Option<String>),
    /// Measure frames from now on.
    ResetFrameTimes,
    /// What the pane of holders is to show.
    Holders(HoldersAsk),
    /// A step is to be compared: as A, or as B.
    Mark(usize, u64),
    /// Settings are to be compared with the run that is open.
    CompareCell(Cell),
    /// Change light and dark.
    Theme(ThemePreference),
}

/// Everything but the shell.
#[expect(clippy::struct_excessive_bools, reason = "switches of the user's")]
pub(crate) struct State {
    /// The way to what is open.
    pub(crate) port: Box<dyn Port>,
    /// What it said last.
    pub(crate) shown: session::view::Shown,
    /// What went wrong outside of it, in one line.
    pub(crate) error: Option<String>,
    /// What went wrong in the engine, in a window's words.
    said: Option<String>,
    /// What lies over the panes.
    pub(crate) overlay: Option<Overlay>,
    /// Why the shell has no file dialog.
    pub(crate) no_dialog: Option<String>,
    /// Processes to choose one from, where the shell has them.
    pub(crate) processes: Option<Processes>,
    /// The text of statistics that was opened last.
    pub(crate) still: Option<Box<Still>>,
    /// Where the panes are.
    pub(crate) layout: Layout,
    /// Where they were before a recording was opened in a narrow window.
    wide: Option<Layout>,
    /// Where they were before the lesson that is open.
    before_lesson: Option<Layout>,
    /// The lesson and beat whose pane was brought to the front.
    beat: Option<(String, usize)>,
    /// How much of the window is shown.
    pub(crate) extent: Extent,
    /// What a link chose of a lesson that is shown alone.
    pub(crate) parts: Vec<Part>,
    /// A text that the shell has to fetch.
    pub(crate) fetch: Option<&'static str>,
    /// A file that the shell has to save: what it is called, and its text.
    pub(crate) save: Option<(String, String)>,
    /// A link whose lesson or puzzle is being opened.
    waiting: Option<Link>,
    /// How far somebody came in lessons.
    pub(crate) progress: Progress,
    /// Whether the playground was opened for itself, and the window is laid out for it.
    playing: bool,
    /// Whether the layout is a narrow window's.
    narrow: bool,
    /// Whether it is a puzzle's.
    posed: bool,
    /// How wide the window is.
    pub(crate) width: f32,
    /// Light, dark or the system's.
    pub(crate) theme: ThemePreference,
    /// No pulses.
    pub(crate) reduce_motion: bool,
    /// Which heap is looked at.
    pub(crate) placed: Placed,
    /// Whether frame times are shown.
    pub(crate) frame_times: bool,
    /// Whether the engine waits for another frame to go on.
    pub(crate) waits: bool,
}

impl State {
    /// Nothing open.
    pub(crate) fn new(port: Box<dyn Port>) -> Self {
        Self {
            port,
            shown: session::view::Shown::default(),
            error: None,
            said: None,
            overlay: None,
            no_dialog: None,
            processes: None,
            still: None,
            layout: Layout::default(),
            wide: None,
            before_lesson: None,
            beat: None,
            extent: Extent::Whole,
            parts: Vec::new(),
            fetch: None,
            save: None,
            waiting: None,
            progress: Progress::default(),
            playing: false,
            narrow: false,
            posed: false,
            width: 1280.0,
            theme: ThemePreference::System,
            reduce_motion: false,
            placed: Placed::Model,
            frame_times: false,
            waits: false,
        }
    }

    /// What went wrong last.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref().or(self.said.as_deref())
    }

    /// Whether anything goes on.
    pub(crate) fn busy(&self) -> bool {
        self.port.owes() || self.shown.status.busy
    }

    /// Passes an order on.
    pub(crate) fn order(&mut self, order: Order) {
        self.port.order(order);
    }

    /// Says what is on the screen; whether that is another look than before.
    pub(crate) fn look(&mut self, look: Look) -> bool {
        self.port.look(look)
    }

    /// Does one command. What only the shell can do comes back.
    pub(crate) fn apply(&mut self, command: Command) -> Option<Request> {
        match command {
            Command::Do(action) => return self.act(action),
            Command::Order(order) => self.order(order),
            Command::Example(index) => self.open_example(index),
            Command::Practise(lesson, level) => {
                let seed = self.progress.next_seed();
                self.order(Order::Practise { lesson, level, seed, profile: None });
            }
            Command::Share(mut link) => {
                let head = self.shown.head.as_ref();
                link.profile = head
                    .map(|head| head.profile.name.clone())
                    .filter(|name| *name != Profile::default().name);
                match link.fragment() {
                    Ok(fragment) => return Some(Request::CopyLink(fragment)),
                    Err(why) => self.error = Some(why),
                }
            }
            Command::Fork => {
                self.order(Order::Fork);
                self.playing = true;
            }
            Command::LeaveLesson => self.order(Order::LeaveLesson),
            Command::NextLesson => self.next_lesson(),
            Command::LeavePuzzle => self.leave_puzzle(),
            Command::NextPuzzle => self.next_puzzle(),
            Command::ShowSolution(id) => self.progress.reveal(&id),
            Command::Copy(text) => return Some(Request::Copy(text)),
            Command::WriteCondition(text) => return Some(Request::FocusCondition(Some(text))),
            Command::OpenPath(path) => {
                self.error = None;
                return Some(Request::OpenPath(path));
            }
            Command::Holders(ask) => return Some(Request::Holders(ask)),
            Command::CompareCell(cell) => {
                self.layout.show(Pane::Compare);
                return Some(Request::CompareCell(cell));
            }
            Command::OpenBeside => return Some(Request::PickBeside),
            Command::ListProcesses => return self.list_processes(),
            Command::TakePicture(ask) => return self.take_picture(ask),
            Command::CloseOverlay => {
                self.overlay = None;
                self.forget_picture();
                self.still = None;
            }
        }
        None
    }

    fn act(&mut self, action: Action) -> Option<Request> {
        use Direction::{Ahead, Back};
        let in_lesson = self.shown.picture.as_ref().is_some_and(|picture| picture.lesson.is_some());
        let order = match action {
            Action::Forward | Action::NextNote if in_lesson => Order::Beat(1),
            Action::Back | Action::PreviousNote if in_lesson => Order::Beat(-1),
            Action::Start if in_lesson => Order::BeatAt(0),
            Action::End if in_lesson => Order::BeatAt(usize::MAX),
            Action::Open => return Some(Request::PickFile),
            Action::OpenProcess => return self.open_processes(),
            Action::Forward => Order::Step(1),
            Action::Back => Order::Step(-1),
            Action::ForwardFar => Order::Step(100),
            Action::BackFar => Order::Step(-100),
            Action::Start => Order::Seek(0),
            Action::End => Order::End,
            Action::Play => Order::Play,
            Action::Slower => Order::Faster(-1),
            Action::Faster => Order::Faster(1),
            Action::NextArena => Order::Arena(Ahead),
            Action::PreviousArena => Order::Arena(Back),
            Action::NextTouch => Order::Touch(Ahead),
            Action::PreviousTouch => Order::Touch(Back),
            Action::Next(event) => Order::RareEvent(event, Ahead),
            Action::Previous(event) => Order::RareEvent(event, Back),
            Action::NextChosen => Order::Chosen(Ahead),
            Action::PreviousChosen => Order::Chosen(Back),
            Action::NextHold | Action::PreviousHold | Action::KeepCondition
                if !self.shown.status.finding.condition =>
            {
                return Some(Request::FocusCondition(None));
            }
            Action::NextHold => Order::Hold(Ahead),
            Action::PreviousHold => Order::Hold(Back),
            Action::KeepCondition => Order::KeepCondition,
            Action::RemoveBreakpoints => Order::RemoveBreakpoints,
            Action::NextNote => Order::NextNote,
            Action::PreviousNote => Order::PreviousNote,
            Action::ZoomIn => Order::ZoomIn,
            Action::ZoomOut => Order::ZoomOut,
            Action::Follow => Order::Follow(!self.selection().follow),
            Action::Fold => Order::Fold(!self.selection().fold),
            Action::Placement => {
                self.change_heap();
                return None;
            }
            Action::Verify => Order::Verify,
            Action::Clear if self.extent == Extent::Present => {
                self.extent = Extent::Whole;
                return None;
            }
            Action::Present => {
                self.extent = if self.extent == Extent::Whole { Extent::Present } else { Extent::Whole };
                return None;
            }
            Action::Clear if self.overlay.take().is_some() => {
                self.forget_picture();
                return None;
            }
            Action::Clear => Order::Clear,
            Action::Cancel => Order::Cancel,
            Action::DismissError => {
                self.error = None;
                Order::DismissError
            }
            Action::DismissHint => Order::DismissHint,
            Action::EditCondition => return Some(Request::FocusCondition(None)),
            Action::CopyStats => Order::CopyStats,
            Action::ResetFrameTimes => return Some(Request::ResetFrameTimes),
            Action::Filter => {
                self.layout.show(Pane::Operations);
                return Some(Request::FocusFilter);
            }
            Action::ThemeSystem => return Some(self.set_theme(ThemePreference::System)),
            Action::ThemeDark => return Some(self.set_theme(ThemePreference::Dark)),
            Action::ThemeLight => return Some(self.set_theme(ThemePreference::Light)),
            Action::GoTo => return self.open_overlay(Overlay::GoTo),
            Action::Palette => return self.open_overlay(Overlay::Palette),
            Action::Help => return self.open_overlay(Overlay::Help),
            Action::TabMap => return self.show(Pane::Map),
            Action::TabClasses => return self.show(Pane::SizeClasses),
            Action::TabArenas => return self.show(Pane::Arenas),
            Action::TabStats => return self.show(Pane::MallocStats),
            Action::TabDomains => return self.show(Pane::Domains),
            Action::TabDebug => return self.show(Pane::DebugHooks),
            Action::TabTracemalloc => return self.show(Pane::Tracemalloc),
            Action::TabOperations => return self.show(Pane::Operations),
            Action::TabInspector => return self.show(Pane::Inspector),
            Action::TabCallers => return self.show(Pane::Callers),
            Action::TabHolders => return self.show(Pane::Holders),
            Action::TabWaterfall => return self.show(Pane::Waterfall),
            Action::TabProcess => return self.show(Pane::Process),
            Action::TabWhatIf => return self.show(Pane::WhatIf),
            Action::TabFindings => return self.show(Pane::Findings),
            Action::TabCompare => return self.show(Pane::Compare),
            Action::MarkA => return self.mark(0),
            Action::MarkB => return self.mark(1),
            Action::TabLearn => return self.show(Pane::Learn),
            Action::TabPlayground => return self.show(Pane::Playground),
            Action::ReduceMotion => {
                self.reduce_motion = !self.reduce_motion;
                return None;
            }
            Action::ResetLayout => {
                self.layout = Layout::default();
                // A phone's is laid out anew.
                self.wide = None;
                return None;
            }
            Action::FrameTimes => {
                self.frame_times = !self.frame_times;
                return None;
            }
        };
        self.order(order);
        None
    }

    /// What is looked at, as far as it is known here.
    pub(crate) fn selection(&self) -> Selection {
        self.shown.picture.as_ref().map_or_else(Selection::default, |picture| picture.selection.clone())
    }

    /// Begins to open a file; what is open stays until it is complete.
    pub(crate) fn open(&mut self, opened: Opened) {
        self.error = None;
        self.port.open(opened);
    }

    /// The shell could not ask for a file: asks for its path.
    pub(crate) fn ask_for_path(&mut self, why: String) {
        self.no_dialog = Some(why);
        self.overlay = Some(Overlay::Path);
    }

    /// Begins to open a bundled trace.
    pub(crate) fn open_example(&mut self, index: usize) {
        if let Some(example) = EXAMPLES.get(index) {
            if example.bytes.is_empty() {
                self.fetch = Some(example.file);
                return;
            }
            self.open(Opened::bytes(example.file.rsplit('/').next().unwrap_or_default(), example.bytes));
        }
    }

    /// Time passes: lets an engine in this thread work for about `slice`, and takes in what is new. A text for the
    /// clipboard comes back.
    pub(crate) fn work(&mut self, seconds: f64, slice: Duration) -> Option<String> {
        self.waits = self.port.work(seconds, slice);
        let mut copied = None;
        while let Some(update) = self.port.update() {
            let before = self.shown.head.as_ref().map(|head| (head.name.clone(), head.len));
            let anew = update.head.is_some();
            let brought = self.shown.take(update);
            self.lay_out();
            if anew {
                self.begin_with_findings(before);
            }
            self.keep_score();
            self.save = brought.saved.or(self.save.take());
            self.said = self.shown.status.error.as_ref().map(words::said);
            copied = brought.copied.or(copied);
            if let Some(still) = brought.still {
                self.still = Some(still);
                self.overlay = Some(Overlay::Still);
            }
        }
        copied
    }

    /// Looks at the other heap, where there are two.
    fn change_heap(&mut self) {
        let recorded = self.shown.head.as_ref().is_some_and(|head| head.recorded);
        self.placed = match self.placed {
            Placed::Model if recorded => Placed::Recorded,
            _ => Placed::Model,
        };
    }

    /// The step shown is to be compared.
    fn mark(&mut self, side: usize) -> Option<Request> {
        let step = self.shown.picture.as_ref()?.step;
        self.layout.show(Pane::Compare);
        Some(Request::Mark(side, step))
    }

    fn show(&mut self, pane: Pane) -> Option<Request> {
        self.layout.show(pane);
        None
    }

    fn open_overlay(&mut self, overlay: Overlay) -> Option<Request> {
        self.overlay = if self.overlay == Some(overlay) { None } else { Some(overlay) };
        None
    }

    fn set_theme(&mut self, theme: ThemePreference) -> Request {
        self.theme = theme;
        Request::Theme(theme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session::{Level, Place};

    fn state(text: &'static str) -> State {
        let mut state = State::new(Box::new(session::port::InPlace::new(None)));
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
        state.shown.picture.as_ref().map_or(u64::MAX, |picture| picture.step)
    }

    fn inspected(state: &State) -> Option<Place> {
        state.shown.picture.as_ref()?.inspected
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
            let error = state.error().map(str::to_owned).unwrap_or_default();
            assert!(error.starts_with("t.ptrace: ") && !error.contains('\n'), "{error}");
            assert_eq!(step(&state), 3);
        }
        open(&mut state, b"m o 1 48\n");
        assert_eq!((state.error(), step(&state)), (None, 0));
    }

    #[test]
    fn statistics_are_shown_over_what_is_open() {
        let mut state = state(THREE);
        act(&mut state, Action::End);
        state.look(Look { stats: true, ..Look::default() });
        settle(&mut state);
        let stats = state.shown.picture.as_ref().and_then(|picture| picture.stats.clone());
        let text = stats.map(|stats| stats.text).unwrap_or_default();
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
        assert_eq!(state.selection().level, Level::Pool);
        let first = state.selection().pool;
        act(&mut state, Action::Forward);
        assert_ne!(state.selection().pool, first, "another class, another pool");
        let second = state.selection().pool;
        let Some(pool) = first else { panic!("a pool") };
        state.apply(Command::Order(Order::Enter(Place::Pool(pool))));
        settle(&mut state);
        assert!(!state.selection().follow);
        act(&mut state, Action::Back);
        act(&mut state, Action::Forward);
        assert_eq!(state.selection().pool, first, "stays");
        act(&mut state, Action::Follow);
        assert_eq!(state.selection().pool, second, "follows again");
    }

    #[test]
    fn pins_stay_until_cleared() {
        let mut state = state(THREE);
        act(&mut state, Action::Forward);
        let Some(place) = inspected(&state) else { panic!("a block") };
        state.apply(Command::Order(Order::Pin(place)));
        settle(&mut state);
        act(&mut state, Action::Forward);
        assert_eq!(inspected(&state), Some(place));
        act(&mut state, Action::Clear);
        assert_ne!(inspected(&state), Some(place));
    }

    #[test]
    fn another_profile_keeps_the_step() {
        let mut state = state(THREE);
        act(&mut state, Action::End);
        state.apply(Command::Order(Order::Profile("cpython-3.9".to_owned())));
        settle(&mut state);
        assert_eq!(step(&state), 3);
        assert_eq!(state.shown.head.as_ref().map(|head| head.profile.arena_size), Some(256 << 10));
        state.apply(Command::Order(Order::Profile("none such".to_owned())));
        settle(&mut state);
        assert!(state.error().is_some());
        assert_eq!(step(&state), 3);
    }
}
