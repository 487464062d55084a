//! The application: wiring of state, panes and shell.

mod banners;
mod input;
mod opening;
mod presenting;
mod saved;
mod status;
mod tiles;
mod welcome;

use std::time::Duration;

use egui::{CentralPanel, Panel, Ui};
use input::Held;
use session::Opened;
use session::diagnosis::Placed;
use session::order::Order;
use tiles::Host;
use web_time::Instant;
use welcome::{drop_overlay, welcome};

use crate::apply::{Extent, Processes, Request, State};
use crate::command::{Command, consume_shortcuts};
use crate::examples::OPENING;
use crate::frame_times::{FrameSummary, FrameTimes};
use crate::layout::{Layout, Pane};
use crate::panes::callers::CallersState;
use crate::panes::compare::CompareState;
use crate::panes::find_bar::FindBarState;
use crate::panes::help::OverlayState;
use crate::panes::holders::HoldersState;
use crate::panes::lesson::LessonState;
use crate::panes::map::MapState;
use crate::panes::operations::OperationsState;
use crate::panes::playground::PlaygroundState;
use crate::panes::tracemalloc::TracemallocState;
use crate::panes::whatif::WhatIfState;
use crate::panes::{self, View, Wishes};
use crate::platform::Platform;
use crate::theme::{self, Theme};

/// Work done in one frame; the rest of a 60th of a second is for drawing.
const SLICE: Duration = Duration::from_millis(6);
/// The same while the first trace is on its way.
const OPENING_SLICE: Duration = Duration::from_millis(25);
/// Length of the pulse around what a step touched, in seconds.
const PULSE_SECONDS: f64 = 0.3;
/// Frames longer than this show no pulse.
const PULSE_FRAME_SECONDS: f64 = 0.05;

/// What to begin with.
#[derive(Default)]
pub struct Startup {
    /// A file to open at once.
    pub file: Option<Opened>,
    /// A link to follow, as its fragment.
    pub link: Option<String>,
}

/// The whole window.
pub struct App {
    platform: Box<dyn Platform>,
    state: State,
    local: Local,
    theme: Theme,
    /// Whether egui has this program's colors yet.
    styled: bool,
    published: String,
    title: String,
    /// The revision drawn last, and when it was drawn first.
    pulse: (u64, f64),
    frames: FrameTimes,
    /// When the frame under way began.
    frame_begun: Option<f64>,
    /// When the program began, for a shell that does not tell its own time.
    begun: Instant,
    /// Where the bar of the whole tape was drawn.
    timeline: Option<egui::Rect>,
    /// Whether somebody asks for digests.
    digests: bool,
    /// Events that wait for their frame.
    held: Held,
    /// Whether egui knows that nothing is to move.
    still: bool,
    /// Whether the scene of the beginning moves.
    opening: opening::Opening,
    /// How much of the window was shown last.
    extent: Extent,
}

/// What panes keep for themselves: scroll positions, textures, typed text.
#[derive(Default)]
struct Local {
    find_bar: FindBarState,
    map: MapState,
    operations: OperationsState,
    tracemalloc: TracemallocState,
    callers: CallersState,
    holders: HoldersState,
    whatif: WhatIfState,
    compare: CompareState,
    overlay: OverlayState,
    lesson: LessonState,
    playground: PlaygroundState,
}

impl App {
    /// A window over a shell. Without a file it begins with a scene.
    pub fn new(platform: Box<dyn Platform>, startup: Startup) -> Self {
        let mut app = Self::waiting(platform);
        match (startup.file, startup.link) {
            (Some(file), _) => app.state.open(file),
            (None, Some(link)) => {
                app.state.open_link(&link);
                // A link that cannot be followed says why over what would have been there.
                if app.state.error().is_some() {
                    let why = app.state.error.take();
                    app.open_scene();
                    app.state.error = why;
                }
            }
            (None, None) => app.open_scene(),
        }
        app
    }

    /// Opens a file; what is open stays until it is complete, or for good where the file is to stand beside it.
    pub fn open(&mut self, opened: Opened) {
        self.state.open(opened);
    }

    /// Follows a link, as its fragment.
    pub fn open_link(&mut self, fragment: &str) {
        self.state.open_link(fragment);
    }

    /// A window with nothing in it yet, over a shell that is already fetching a file.
    pub fn waiting(mut platform: Box<dyn Platform>) -> Self {
        let mut state = State::new(platform.port());
        state.processes = platform.has_processes().then(Processes::default);
        state.reduce_motion = platform.reduces_motion();
        Self {
            platform,
            state,
            local: Local::default(),
            theme: Theme::new(true, 32),
            styled: false,
            published: String::new(),
            title: String::new(),
            pulse: (u64::MAX, f64::NEG_INFINITY),
            frames: FrameTimes::default(),
            frame_begun: None,
            begun: Instant::now(),
            timeline: None,
            digests: false,
            held: Held::default(),
            still: false,
            opening: opening::Opening::default(),
            extent: Extent::Whole,
        }
    }

    /// What a shell passes each frame's input through before egui sees it.
    pub fn take_input(&mut self, ctx: &egui::Context, input: &mut egui::RawInput) {
        if self.held.pace(input) {
            ctx.request_repaint();
        }
    }

    /// Work between frames: files that arrived, replay, playback.
    pub fn logic(&mut self, ctx: &egui::Context) {
        self.frame_begun = Some(self.clock());
        match self.platform.poll_opened() {
            Some(Ok(opened)) => self.state.open(opened),
            Some(Err(error)) => self.state.error = Some(error),
            None => {}
        }
        while let Some(news) = self.platform.poll_processes() {
            self.state.hear_of_processes(news);
        }
        if let Some(file) = self.state.fetch.take() {
            self.platform.fetch(ctx, file);
        }
        if let Some((name, text)) = self.state.save.take() {
            self.platform.save(ctx, &name, text);
        }
        if let Some(why) = self.platform.poll_refused() {
            self.state.ask_for_path(why);
        }
        let seconds = ctx.input(|i| f64::from(i.stable_dt));
        // Before there is anything to look at, opening may take most of the time; and where frames are slow anyway
        // a part of theirs.
        let shown = &self.state.shown;
        let slice = match (&shown.status.opening, &shown.picture) {
            (Some(_), None) => OPENING_SLICE,
            (Some(_), Some(_)) => Duration::from_secs_f64(seconds / 3.0).clamp(SLICE, OPENING_SLICE),
            (None, _) => SLICE,
        };
        self.work(ctx, seconds, slice);
        if self.state.waits {
            ctx.request_repaint();
        }
    }

    /// Takes in what is new, after work if the engine shares this thread.
    fn work(&mut self, ctx: &egui::Context, seconds: f64, slice: Duration) {
        if let Some(text) = self.state.work(seconds, slice) {
            ctx.copy_text(text);
        }
    }

    /// Draws one frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        if !self.styled {
            self.styled = true;
            theme::install(&ctx);
            ctx.set_theme(self.state.theme);
            self.still = false;
        }
        if self.still != self.state.reduce_motion {
            self.still = self.state.reduce_motion;
            let seconds = if self.still { 0.0 } else { egui::Style::default().animation_time };
            ctx.all_styles_mut(|style| style.animation_time = seconds);
        }
        self.play_scene(&ctx);
        let actions = consume_shortcuts(&ctx);
        self.state.width = ctx.content_rect().width();
        self.state.lay_out();
        let hurried = !actions.is_empty();
        for action in actions {
            self.apply(&ctx, Command::Do(action));
        }
        if hurried {
            // A step is done before the frame is drawn, so that a key shows its effect at once.
            self.work(&ctx, 0.0, SLICE);
        }
        self.drops(&ctx);
        self.pick_theme(&ctx);

        let mut wishes = Wishes::default();
        self.panels(ui, &mut wishes);
        let Wishes { mut commands, mut look } = wishes;
        if panes::help::ui(&ctx, &self.state, &mut self.local.overlay, &self.theme, &mut commands) {
            commands.insert(0, Command::CloseOverlay);
        }
        look.digest = self.digests;
        look.placed = (self.state.placed != Placed::default()).then_some(self.state.placed);
        let looks = self.state.look(look) && self.state.port.needs_frames();
        if self.state.waits || !commands.is_empty() || looks {
            ctx.request_repaint();
        }
        for command in commands {
            self.apply(&ctx, command);
        }
        if self.state.fetch.is_some() || self.state.save.is_some() {
            ctx.request_repaint();
        }
        self.publish(&ctx);
        if let Some(begun) = self.frame_begun.take() {
            self.frames.add(self.clock() - begun);
        }
    }

    /// Seconds from some moment on by which frames are measured.
    fn clock(&self) -> f64 {
        self.platform.cpu_seconds().unwrap_or_else(|| self.begun.elapsed().as_secs_f64())
    }

    /// How long frames took, by the shell's clock, from [`Self::logic`] to the end of [`Self::ui`].
    pub fn frame_times(&self) -> FrameSummary {
        self.frames.summary()
    }

    /// Measures frames from now on.
    pub fn reset_frame_times(&mut self) {
        self.frames = FrameTimes::default();
    }

    /// Where the bar of the whole tape was drawn last, for a shell that drags along it.
    pub fn timeline(&self) -> Option<egui::Rect> {
        self.timeline
    }

    /// From the next picture on each has a digest, which costs milliseconds on a large heap. Says whether that is new:
    /// then it takes a frame to ask for it.
    pub fn keep_digests(&mut self) -> bool {
        !std::mem::replace(&mut self.digests, true)
    }

    /// The digest of the machine at the current step, once [`Self::keep_digests`] asked for it.
    pub fn state_digest(&self) -> Option<u64> {
        self.state.shown.picture.as_ref()?.digest
    }

    /// The current step and the number of operations.
    pub fn step(&self) -> Option<(u64, u64)> {
        self.state.shown.open().map(|(head, picture)| (picture.step, head.len))
    }

    /// What the open trace is called.
    pub fn trace_name(&self) -> Option<&str> {
        self.state.shown.open().map(|(head, _)| head.name.as_str())
    }

    /// What went wrong last, while it is shown.
    pub fn error(&self) -> Option<&str> {
        self.state.error()
    }

    /// Whether opening, seeking, playing or counting goes on.
    pub fn busy(&self) -> bool {
        self.state.busy()
    }

    /// Sets out for a step; the following frames get there.
    pub fn seek(&mut self, step: u64) {
        let _ = self.state.apply(Command::Order(Order::Seek(step)));
    }

    fn apply(&mut self, ctx: &egui::Context, command: Command) {
        match self.state.apply(command) {
            Some(Request::PickFile) => self.platform.pick_file(ctx),
            Some(Request::OpenPath(path)) => self.platform.open_path(ctx, &path),
            Some(Request::ListProcesses) => self.platform.list_processes(ctx),
            Some(Request::TakePicture(ask)) => self.platform.take_picture(ctx, ask),
            Some(Request::FocusFilter) => self.local.operations.focus_filter(),
            Some(Request::FocusCondition(text)) => self.local.find_bar.focus(text),
            Some(Request::Holders(ask)) => self.local.holders.ask(ask),
            Some(Request::PickBeside) => self.platform.pick_beside(ctx),
            Some(Request::Mark(side, step)) => self.local.compare.mark(side, step),
            Some(Request::CompareCell(cell)) => self.local.compare.beside(cell),
            Some(Request::ResetFrameTimes) => self.reset_frame_times(),
            Some(Request::Copy(text)) => ctx.copy_text(text),
            Some(Request::CopyLink(fragment)) => {
                ctx.copy_text(format!("{}{fragment}", self.platform.address()));
            }
            Some(Request::Theme(theme)) => ctx.set_theme(theme),
            None => {}
        }
    }

    fn drops(&mut self, ctx: &egui::Context) {
        let (dropped, shift) = ctx.input(|i| (i.raw.dropped_files.clone(), i.modifiers.shift));
        // The first is opened, unless it is to stand beside what is open; the others stand beside it.
        for (at, file) in dropped.iter().enumerate() {
            if at == 0 && !shift {
                self.platform.take_dropped(ctx, file);
            } else {
                self.platform.take_dropped_beside(ctx, file);
            }
            if at > 0 || shift {
                self.state.layout.show(Pane::Compare);
            }
        }
        let pasted = ctx.input(|i| {
            i.events
                .iter()
                .find_map(|e| if let egui::Event::Paste(text) = e { Some(text.clone()) } else { None })
        });
        let pasted = pasted.filter(|_| !ctx.text_edit_focused());
        if let Some((_, fragment)) = pasted.as_deref().and_then(|text| text.trim().split_once("#v=")) {
            self.state.open_link(&format!("#v={fragment}"));
        } else if let Some(text) = pasted {
            self.state.open(Opened::bytes("pasted text", text.into_bytes()));
        }
    }

    fn pick_theme(&mut self, ctx: &egui::Context) {
        let dark = ctx.theme() == egui::Theme::Dark;
        let classes = self.state.shown.head.as_ref().map_or(32, |head| head.profile.nb_small_size_classes());
        if self.theme.dark != dark || self.theme.classes() != usize::from(classes) {
            self.theme = Theme::new(dark, classes);
        }
    }

    /// How much of the pulse is left.
    fn pulse(&mut self, ctx: &egui::Context) -> f32 {
        let shown = &self.state.shown;
        let Some(picture) = &shown.picture else { return 0.0 };
        let now = ctx.input(|i| i.time);
        if self.pulse.0 != picture.revision {
            self.pulse = (picture.revision, now);
        }
        if self.state.reduce_motion || shown.status.travel.as_ref().is_some_and(|travel| travel.playing) {
            return 0.0;
        }
        let left = (1.0 - (now - self.pulse.1) / PULSE_SECONDS).clamp(0.0, 1.0);
        // Where frames are slow it would flicker, and take time from what they wait for.
        let smooth = ctx.input(|i| f64::from(i.stable_dt)) < PULSE_FRAME_SECONDS;
        if left <= 0.0 || !smooth {
            return 0.0;
        }
        ctx.request_repaint();
        left as f32
    }

    fn panels(&mut self, ui: &mut Ui, wishes: &mut Wishes) {
        let pulse = self.pulse(ui.ctx());
        let alone = self.state.extent != Extent::Whole
            && self.state.shown.picture.as_ref().is_some_and(|picture| picture.lesson.is_some());
        let extent = if alone { self.state.extent } else { Extent::Whole };
        presenting::zoom(ui.ctx(), std::mem::replace(&mut self.extent, extent), extent);
        let bar = egui::Frame::side_top_panel(ui.style()).inner_margin(egui::Margin::symmetric(10, 6));
        if !alone {
            Panel::top("toolbar").frame(bar).show(ui, |ui| {
                panes::toolbar::ui(ui, &self.state, &mut wishes.commands);
            });
        }
        self.banners(ui, &mut wishes.commands);
        if !alone {
            Panel::bottom("status").frame(bar.inner_margin(egui::Margin::symmetric(10, 3))).show(ui, |ui| {
                ui.horizontal(|ui| self.status_bar(ui, &mut wishes.commands));
            });
        }
        let shown = &self.state.shown;
        let (Some((head, picture)), Some(travel)) = (shown.open(), &shown.status.travel) else {
            let waits = self.state.busy();
            CentralPanel::default().show(ui, |ui| welcome(ui, waits, &mut wishes.commands));
            drop_overlay(ui.ctx(), &self.theme);
            return;
        };
        let view = View {
            head,
            picture,
            travel,
            status: &shown.status,
            curves: &shown.curves,
            held: &shown.held,
            tried: &shown.tried,
            findings: shown.findings.as_deref(),
            compared: &shown.compared,
            ab: self.local.compare.steps(&shown.compared),
            theme: &self.theme,
            pulse,
        };
        let local = &mut self.local;
        self.timeline = None;
        if let Some(lesson) = picture.lesson.as_ref().filter(|lesson| lesson.id == OPENING) {
            opening::ui(ui, &view, lesson, &mut local.map, wishes);
            drop_overlay(ui.ctx(), &self.theme);
            return;
        }
        let narrow = Layout::is_narrow(self.state.width);
        if let Some(lesson) = picture.lesson.as_ref().filter(|_| alone) {
            let progress = &self.state.progress;
            let mut host = Host { view: &view, local: &mut self.local, progress, wishes, narrow };
            presenting::ui(ui, lesson, &self.state.parts, &mut host);
            return;
        }
        // A lesson has its own way along the tape, and needs the room.
        if view.picture.lesson.is_none() {
            let timeline = Panel::bottom("transport").frame(bar).show(ui, |ui| {
                let timeline = panes::timeline::ui(ui, &view, &mut wishes.commands);
                ui.add_space(2.0);
                panes::transport::ui(ui, &view, &mut wishes.commands);
                // Who writes a program looks for little in it, and needs the room.
                if !self.state.posed() {
                    panes::find_bar::ui(ui, &view, &mut local.find_bar, &mut wishes.commands);
                }
                timeline
            });
            self.timeline = Some(timeline.inner);
        }
        let center = egui::Frame::new().fill(ui.visuals().panel_fill);
        CentralPanel::default().frame(center).show(ui, |ui| {
            let progress = &self.state.progress;
            let mut host = Host { view: &view, local: &mut self.local, progress, wishes, narrow };
            self.state.layout.tree.ui(&mut host, ui);
        });
        // What is marked on the map stays marked while the pane of holders is behind another one.
        if wishes.look.holders.is_none() && wishes.look.map.is_some() {
            wishes.look.holders = self.local.holders.look_for_marks();
        }
        drop_overlay(ui.ctx(), &self.theme);
    }

    fn publish(&mut self, ctx: &egui::Context) {
        let status = self.status();
        if status != self.published {
            self.platform.publish_status(&status);
            self.published = status;
        }
        let title = self
            .trace_name()
            .map_or_else(|| "Arenascope".to_owned(), |name| format!("{name} \u{2013} Arenascope"));
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }
}
