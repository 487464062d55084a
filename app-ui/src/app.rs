//! The application: wiring of state, panes and shell.

use std::time::Duration;

use egui::{Align, Button, CentralPanel, Id, LayerId, Layout as UiLayout, Panel, RichText, Ui};
use egui_tiles::{SimplificationOptions, TileId, UiResponse};
use serde::{Deserialize, Serialize};
use session::Opened;
use session::format::{bytes, count, grouped};
use session::order::Order;
use session::view::{Agreed, Head, Hint, Picture, Shown};
use web_time::Instant;

use crate::apply::{Request, State};
use crate::command::{Action, Command, consume_shortcuts};
use crate::examples::{Kind, of_kind};
use crate::frame_times::{FrameSummary, FrameTimes};
use crate::icons::{Icon, icon_button};
use crate::layout::{Layout, Pane};
use crate::panes::find::FindState;
use crate::panes::help::OverlayState;
use crate::panes::map::MapState;
use crate::panes::operations::OperationsState;
use crate::panes::tracemalloc::TracemallocState;
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
/// Raised when a saved layout no longer means what it did.
const SAVED_VERSION: u32 = 1;

/// What to begin with.
#[derive(Default)]
pub struct Startup {
    /// A file to open at once.
    pub file: Option<Opened>,
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
}

/// What panes keep for themselves: scroll positions, textures, typed text.
#[derive(Default)]
struct Local {
    find: FindState,
    map: MapState,
    operations: OperationsState,
    tracemalloc: TracemallocState,
    overlay: OverlayState,
}

/// What outlives the program.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    theme: egui::ThemePreference,
    reduce_motion: bool,
    follow: bool,
    layout: Layout,
    /// Conditions where Play stops, and whether each is heeded.
    #[serde(default)]
    breakpoints: Vec<(String, bool)>,
}

impl App {
    /// A window over a shell. Without a file the first bundled trace opens.
    pub fn new(platform: Box<dyn Platform>, startup: Startup) -> Self {
        let mut app = Self::waiting(platform);
        match startup.file {
            Some(file) => app.state.open(file),
            None => app.state.open_example(0),
        }
        app
    }

    /// A window with nothing in it yet, over a shell that is already fetching a file.
    pub fn waiting(mut platform: Box<dyn Platform>) -> Self {
        let state = State::new(platform.port());
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
        }
    }

    /// Layout, colors and breakpoints as [`Self::save`] wrote them. What cannot be read is ignored.
    pub fn restore(&mut self, saved: &str) {
        let Ok(mut saved) = ron::from_str::<Saved>(saved) else { return };
        if saved.version != SAVED_VERSION {
            return;
        }
        self.state.theme = saved.theme;
        self.state.reduce_motion = saved.reduce_motion;
        self.state.order(Order::Follow(saved.follow));
        self.state.order(Order::Restore(saved.breakpoints));
        if saved.layout.sound() {
            saved.layout.tree.tiles.recompute_next_tile_id();
            self.state.layout = saved.layout;
        }
        self.styled = false;
    }

    /// Layout, colors and breakpoints as text, for the shell to keep.
    pub fn save(&mut self) -> String {
        let layout = std::mem::take(&mut self.state.layout);
        let saved = Saved {
            version: SAVED_VERSION,
            theme: self.state.theme,
            reduce_motion: self.state.reduce_motion,
            follow: self.state.selection().follow,
            layout,
            breakpoints: self.state.shown.status.finding.breakpoints.clone(),
        };
        // A tree of plain numbers and names always has a form in RON.
        let text = ron::to_string(&saved).unwrap_or_default();
        self.state.layout = saved.layout;
        text
    }

    /// Work between frames: files that arrived, replay, playback.
    pub fn logic(&mut self, ctx: &egui::Context) {
        self.frame_begun = Some(self.clock());
        match self.platform.poll_opened() {
            Some(Ok(opened)) => self.state.open(opened),
            Some(Err(error)) => self.state.error = Some(error),
            None => {}
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
        }
        let actions = consume_shortcuts(&ctx);
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
        let looks = self.state.look(look) && self.state.port.needs_frames();
        if self.state.waits || !commands.is_empty() || looks {
            ctx.request_repaint();
        }
        for command in commands {
            self.apply(&ctx, command);
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

    /// The state as one line of text, for screen readers and tests.
    pub fn status(&self) -> String {
        let (shown, status) = (&self.state.shown, &self.state.shown.status);
        let mut parts = Vec::new();
        match shown.open() {
            Some((head, picture)) => parts.push(state_line(head, picture)),
            None => parts.push("No trace is open".to_owned()),
        }
        if let Some(opening) = &status.opening {
            parts.push(format!("opening {}", opening.name));
        }
        if let Some(notice) = status.travel.as_ref().and_then(|travel| travel.notice.as_ref()) {
            parts.push(notice.clone());
        }
        if let Some(still) = &self.state.still {
            parts.push(format!("statistics of {}", still.name));
        }
        if let Some(error) = self.state.error() {
            parts.push(format!("error: {error}"));
        }
        parts.join("; ")
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
            Some(Request::FocusFilter) => self.local.operations.focus_filter(),
            Some(Request::FocusCondition(text)) => self.local.find.focus(text),
            Some(Request::ResetFrameTimes) => self.reset_frame_times(),
            Some(Request::Copy(text)) => ctx.copy_text(text),
            Some(Request::Theme(theme)) => ctx.set_theme(theme),
            None => {}
        }
    }

    fn drops(&mut self, ctx: &egui::Context) {
        let dropped = ctx.input(|i| i.raw.dropped_files.first().cloned());
        if let Some(file) = dropped {
            self.platform.take_dropped(ctx, &file);
        }
        let pasted = ctx.input(|i| {
            i.events
                .iter()
                .find_map(|e| if let egui::Event::Paste(text) = e { Some(text.clone()) } else { None })
        });
        if let Some(text) = pasted.filter(|_| !ctx.text_edit_focused()) {
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
        let bar = egui::Frame::side_top_panel(ui.style()).inner_margin(egui::Margin::symmetric(10, 6));
        Panel::top("toolbar").frame(bar).show(ui, |ui| {
            panes::toolbar::ui(ui, &self.state, &mut wishes.commands);
        });
        self.banners(ui, &mut wishes.commands);
        Panel::bottom("status").frame(bar.inner_margin(egui::Margin::symmetric(10, 3))).show(ui, |ui| {
            ui.horizontal(|ui| self.status_bar(ui));
        });
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
            theme: &self.theme,
            pulse,
        };
        let local = &mut self.local;
        let timeline = Panel::bottom("transport").frame(bar).show(ui, |ui| {
            let timeline = panes::timeline::ui(ui, &view, &mut wishes.commands);
            ui.add_space(2.0);
            panes::transport::ui(ui, &view, &mut wishes.commands);
            panes::find::ui(ui, &view, &mut local.find, &mut wishes.commands);
            timeline
        });
        self.timeline = Some(timeline.inner);
        let center = egui::Frame::new().fill(ui.visuals().panel_fill);
        CentralPanel::default().frame(center).show(ui, |ui| {
            let mut host = Host { view: &view, local: &mut self.local, wishes };
            self.state.layout.tree.ui(&mut host, ui);
        });
        drop_overlay(ui.ctx(), &self.theme);
    }

    /// The state in a line, how far the tape has been read ahead, and frame times if they are wanted.
    fn status_bar(&self, ui: &mut Ui) {
        ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
            if self.state.frame_times {
                ui.label(RichText::new(self.frame_times().to_string()).small().monospace());
            }
            if let Some(trust) = self.state.shown.status.travel.as_ref().and_then(|t| t.trust.as_ref()) {
                trust_badge(ui, trust);
            }
            if let Some(reading) = reading_line(&self.state.shown) {
                ui.label(RichText::new(reading).small()).on_hover_text(
                    "A first pass over the tape notes which operation touched what, so that searches are instant and the way back is short",
                );
            }
            ui.with_layout(UiLayout::left_to_right(Align::Center), |ui| {
                let line = self.state.shown.open();
                let line = line.map_or_else(|| self.status(), |(head, picture)| state_line(head, picture));
                ui.add(egui::Label::new(RichText::new(line).small()).truncate());
            });
        });
    }

    /// Errors, loading and hints, under the toolbar.
    fn banners(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let margin = egui::Margin::symmetric(10, 6);
        if let Some(error) = self.state.error() {
            let frame = egui::Frame::new().fill(self.theme.error).inner_margin(margin);
            Panel::top("error").frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
                        if icon_button(ui, Icon::Cross, Action::DismissError.meta().label, true)
                            .on_hover_text(Action::DismissError.meta().tip)
                            .clicked()
                        {
                            commands.push(Command::Do(Action::DismissError));
                        }
                        ui.with_layout(UiLayout::left_to_right(Align::Center), |ui| {
                            let kept = if self.state.shown.head.is_some() {
                                " What was open stays open."
                            } else {
                                ""
                            };
                            let text = RichText::new(format!("{}.{kept}", error.trim_end_matches('.')))
                                .color(self.theme.error_text);
                            ui.add(egui::Label::new(text).wrap().selectable(true));
                        });
                    });
                });
            });
        }
        let status = &self.state.shown.status;
        if let Some(opening) = &status.opening {
            let frame = egui::Frame::new().fill(self.theme.hint).inner_margin(margin);
            Panel::top("loading").frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    // A wheel that turns has the window painted all the time, which may cost the engine a core.
                    let total = opening.total_bytes.filter(|t| *t > 0);
                    if total.is_none() {
                        ui.spinner();
                    }
                    ui.label(format!("Opening {}", opening.name));
                    if let Some(total) = total {
                        let share = opening.bytes as f32 / total as f32;
                        ui.add(egui::ProgressBar::new(share).desired_width(180.0).show_percentage());
                    }
                    ui.weak(format!("{}, {}", bytes(opening.bytes), count(opening.operations, "operation")));
                    if ui.button("Cancel").on_hover_text("Stop opening; what is open stays").clicked() {
                        commands.push(Command::Do(Action::Cancel));
                    }
                });
            });
        } else if let (Some(hint), Some(head)) = (&status.hint, &self.state.shown.head) {
            let hint = hint_text(hint, head);
            let frame = egui::Frame::new().fill(self.theme.hint).inner_margin(margin);
            Panel::top("hint").frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
                        if icon_button(ui, Icon::Cross, Action::DismissHint.meta().label, true)
                            .on_hover_text(Action::DismissHint.meta().tip)
                            .clicked()
                        {
                            commands.push(Command::Do(Action::DismissHint));
                        }
                        ui.with_layout(UiLayout::left_to_right(Align::Center), |ui| {
                            ui.add(egui::Label::new(&hint).wrap());
                        });
                    });
                });
            });
        }
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

/// Trace, profile, step and heap in a line.
fn state_line(head: &Head, picture: &Picture) -> String {
    let settings: Vec<String> = head.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let with = if settings.is_empty() { String::new() } else { format!(" with {}", settings.join(", ")) };
    format!(
        "{} \u{b7} {}{with} \u{b7} step {} of {} \u{b7} {} \u{b7} {} in pools",
        head.name,
        head.profile.name,
        grouped(picture.step),
        grouped(head.len),
        count(picture.arenas, "arena"),
        count(picture.blocks, "block"),
    )
}

/// What to tell whoever just opened this.
fn hint_text(hint: &Hint, head: &Head) -> String {
    match hint {
        Hint::Empty => format!("{} has no operation; open another trace.", head.name),
        Hint::Beginning => {
            let about = head.description.as_str();
            let gap = if about.is_empty() { "" } else { " " };
            format!(
                "{about}{gap}This is before the first of {}. Press the right arrow key to step; each step says what the allocator did.",
                count(head.len, "operation")
            )
        }
        Hint::Doubtful(doubts) => format!("Read with a grain of salt: {}.", doubts.join("; ")),
        Hint::Recording => format!(
            "CPython's heap in the middle of a run of {}. Each tile is an arena of {}, each cell a pool of {}, filled as far as its blocks are in use. \
             Right arrow steps, Space plays, a double click looks inside.",
            head.name,
            bytes(head.profile.arena_size),
            bytes(head.profile.pool_size),
        ),
        Hint::Sound(step) => format!(
            "The heap after step {} is sound: lists, counts, links, radix tree and sums all hold.",
            grouped(*step)
        ),
    }
}

/// How far recorded addresses agree, always in view: a map that is not the recorded one must not look like it.
fn trust_badge(ui: &mut Ui, trust: &Agreed) {
    let Some(share) = trust.share() else { return };
    // Not rounded up: one block elsewhere is not all of them.
    let percent = (share * 1000.0).floor() / 10.0;
    let so_far = if trust.complete { "" } else { " so far" };
    let text = RichText::new(format!("{percent:.1} % as recorded{so_far}")).small().strong();
    ui.label(text).on_hover_ui(|ui| {
        ui.set_max_width(420.0);
        ui.label(trust_text(trust));
    });
}

/// The same in full.
fn trust_text(trust: &Agreed) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let by_chance = trust.share_by_chance.map_or_else(String::new, |s| format!("; by chance {}", percent(s)));
    let places = format!(
        "{} of {} blocks with a recorded address lie at the recorded place in their pool ({}{by_chance}).",
        grouped(trust.same),
        grouped(trust.compared),
        percent(trust.share().unwrap_or_default())
    );
    let first = trust
        .first_divergence
        .map(|step| format!("The first that does not is that of operation {}.", grouped(step + 1)));
    let reasons = trust.reasons.iter().map(|reason| format!("Perhaps: {reason}."));
    [places].into_iter().chain(first).chain(reasons).collect::<Vec<_>>().join("\n")
}

/// How far the first pass is, or what its index leaves out.
fn reading_line(shown: &Shown) -> Option<String> {
    let (head, travel) = (shown.head.as_ref()?, shown.status.travel.as_ref()?);
    if travel.known < head.len {
        return Some(format!("reading ahead {:.0}%", travel.known as f64 / head.len as f64 * 100.0));
    }
    (travel.covered < travel.known).then(|| format!("index up to step {}", grouped(travel.covered)))
}

/// What stands where the panes will be.
fn welcome(ui: &mut Ui, loading: bool, commands: &mut Vec<Command>) {
    ui.add_space(ui.available_height() * 0.15);
    ui.vertical_centered(|ui| {
        ui.heading("Arenascope");
        ui.label("See how CPython's memory allocator places every block, step by step, forward and back.");
        ui.add_space(12.0);
        if loading {
            return;
        }
        if ui
            .add(Button::new("Open a trace file\u{2026}"))
            .on_hover_text(Action::Open.tooltip(ui.ctx()))
            .clicked()
        {
            commands.push(Command::Do(Action::Open));
        }
        for (title, kind) in [
            ("Lessons", Kind::Lesson),
            ("Scenarios", Kind::Scenario),
            ("Traces of real programs", Kind::Recording),
        ] {
            ui.add_space(10.0);
            ui.weak(title);
            for (index, example) in of_kind(kind) {
                if ui.button(example.label).on_hover_text(example.about).clicked() {
                    commands.push(Command::Example(index));
                }
            }
        }
        ui.add_space(8.0);
        ui.weak("Or drop a file anywhere. Nothing leaves this machine.");
    });
}

/// While a file is dragged over the window.
fn drop_overlay(ctx: &egui::Context, theme: &Theme) {
    if ctx.input(|i| i.raw.hovered_files.is_empty()) {
        return;
    }
    let painter = ctx.layer_painter(LayerId::new(egui::Order::Foreground, Id::unique("drop")));
    let rect = ctx.content_rect();
    painter.rect_filled(rect, 0.0, Theme::faded(theme.ground, 0.85));
    let center = rect.center();
    let font = |size| egui::FontId::proportional(size);
    painter.text(center, egui::Align2::CENTER_BOTTOM, "Drop to open this trace", font(26.0), theme.text);
    painter.text(
        center + egui::vec2(0.0, 8.0),
        egui::Align2::CENTER_TOP,
        "Nothing leaves this machine",
        font(16.0),
        theme.weak,
    );
}

/// Gives each tile its pane.
struct Host<'a, 'v> {
    view: &'a View<'v>,
    local: &'a mut Local,
    wishes: &'a mut Wishes,
}

impl egui_tiles::Behavior<Pane> for Host<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, pane: &mut Pane) -> UiResponse {
        egui::Frame::new().inner_margin(8).show(ui, |ui| {
            let (view, wishes) = (self.view, &mut *self.wishes);
            match pane {
                Pane::Operations => panes::operations::ui(ui, view, &mut self.local.operations, wishes),
                Pane::Map if view.head.mimalloc => panes::mimalloc::ui(ui, view, wishes),
                Pane::Map => panes::map::ui(ui, view, &mut self.local.map, wishes),
                Pane::SizeClasses => panes::size_classes::ui(ui, view, wishes),
                Pane::Arenas => panes::arenas::ui(ui, view, wishes),
                Pane::MallocStats => {
                    wishes.look.stats = true;
                    panes::malloc_stats::ui(ui, view, &mut wishes.commands);
                }
                Pane::Domains => {
                    wishes.look.domains = true;
                    panes::domains::ui(ui, view);
                }
                Pane::DebugHooks => {
                    wishes.look.debug = true;
                    panes::debug_hooks::ui(ui, view, &mut wishes.commands);
                }
                Pane::Tracemalloc => {
                    panes::tracemalloc::ui(ui, view, &mut self.local.tracemalloc, wishes);
                }
                Pane::Narration => {
                    wishes.look.narration = true;
                    panes::narration::ui(ui, view, &mut wishes.commands);
                }
                Pane::Inspector => {
                    wishes.look.inspector = true;
                    panes::inspector::ui(ui, view, &mut wishes.commands);
                }
            }
            // A pane fills its tile, however little it has to say.
            ui.take_available_space();
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> egui::WidgetText {
        pane.title().into()
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        3.0
    }
}
