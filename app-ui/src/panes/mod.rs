//! The panes: each draws a part of the last picture, says in the look what it has room for, and asks for what it
//! wants by pushing commands. No pane changes anything and no pane knows another.

mod arena_hook;
pub(crate) mod arenas;
mod boxes;
pub(crate) mod callers;
pub(crate) mod compare;
pub(crate) mod debug_hooks;
pub(crate) mod domains;
pub(crate) mod find_bar;
pub(crate) mod findings;
mod flags;
pub(crate) mod help;
pub(crate) mod holders;
pub(crate) mod inspector;
mod inspector_held;
mod inspector_recorded;
pub(crate) mod lesson;
pub(crate) mod malloc_stats;
pub(crate) mod map;
mod map_arrows;
mod map_held;
mod map_legend;
mod map_overlay;
mod map_scene;
pub(crate) mod mimalloc;
mod mimalloc_page;
pub(crate) mod narration;
pub(crate) mod operations;
pub(crate) mod playground;
pub(crate) mod process;
mod processes;
mod sheet;
pub(crate) mod size_classes;
pub(crate) mod still;
mod text;
pub(crate) mod timeline;
pub(crate) mod toolbar;
pub(crate) mod tracemalloc;
pub(crate) mod transport;
mod treemap;
pub(crate) mod waterfall;
pub(crate) mod whatif;

use egui::{Color32, Painter, Rect, Response, RichText, Stroke, StrokeKind, Ui};
use session::Place;
use session::diagnosis::Placed;
use session::facts::{PoolFacts, state_word};
use session::format::{count, printable};
use session::lesson::{Entry, Point};
use session::order::Order;
use session::view::compare::Compared;
use session::view::findings::{Findings, Surveying};
use session::view::holders::Holdings;
use session::view::tape::FrameFacts;
use session::view::whatif::WhatIfPicture;
use session::view::{Curves, Head, Look, Picture, Status, Travel};
use sim_core::report::PoolState;
use sim_core::{Addr, Profile};

use crate::command::{Action, Command};
use crate::examples::lesson;
use crate::icons::{Icon, icon_button};
use crate::raster::Colors;
use crate::theme::Theme;

/// What every pane may read.
pub(crate) struct View<'a> {
    /// The open trace under its profile.
    pub(crate) head: &'a Head,
    /// The state shown, as far as it was asked for.
    pub(crate) picture: &'a Picture,
    /// What goes on along the tape.
    pub(crate) travel: &'a Travel,
    /// What goes on beside it.
    pub(crate) status: &'a Status,
    /// Curves of the whole tape.
    pub(crate) curves: &'a Curves,
    /// Who holds the memory, at the step that it says.
    pub(crate) held: &'a Holdings,
    /// What was tried of the trace.
    pub(crate) tried: &'a WhatIfPicture,
    /// What became of the memory over the run, once that is known.
    pub(crate) findings: Option<&'a Findings>,
    /// What is compared.
    pub(crate) compared: &'a Compared,
    /// Steps that are compared, of the trace that is open: A and B.
    pub(crate) ab: [Option<u64>; 2],
    /// The colors.
    pub(crate) theme: &'a Theme,
    /// How much of the pulse after a step is left, 1 to 0; always 0 when motion is reduced.
    pub(crate) pulse: f32,
}

impl<'a> View<'a> {
    /// The constants of the build.
    pub(crate) fn profile(&self) -> &'a Profile {
        &self.head.profile
    }

    /// The colors of the map.
    pub(crate) fn colors(&self) -> Colors<'a> {
        Colors { theme: self.theme, paint: self.picture.paint.as_ref() }
    }

    /// Bytes from a pool's start: in decimal in a lesson, whose sentences count so.
    pub(crate) fn offset(&self, bytes: u64) -> String {
        if self.picture.lesson.is_some() { format!("+{bytes}") } else { format!("+{bytes:#x}") }
    }

    /// What the trace's author calls the block at an address.
    pub(crate) fn name_of(&self, addr: Addr) -> Option<String> {
        // After a double free, two blocks can lie at one place.
        let here = self.picture.names.iter().filter(|(at, _)| *at == addr);
        let names: Vec<&str> = here.map(|(_, name)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// What a free block was called when it was in use, in a lesson.
    pub(crate) fn former_name_of(&self, addr: Addr) -> Option<&'a str> {
        let former = &self.picture.lesson.as_ref()?.beat.former;
        former.iter().find(|(at, _)| *at == addr).map(|(_, name)| name.as_str())
    }

    /// What a block with a name is called aloud, or its place once it was freed.
    pub(crate) fn spoken_block(&self, addr: Addr) -> Option<String> {
        let block = self.name_of(addr).map(|name| format!("block {name}"));
        block.or_else(|| self.former_name_of(addr).map(|name| format!("place of {name}")))
    }

    /// Whether the lesson's beat points at a field of the inspector.
    pub(crate) fn points_at_field(&self, name: &str) -> bool {
        let points = self.picture.lesson.as_ref().map_or(&[][..], |lesson| &lesson.beat.point);
        points.iter().any(|point| matches!(point, Point::Field(field) if field == name))
    }

    /// Whether the heap as recorded is shown.
    pub(crate) fn on_recorded(&self) -> bool {
        self.picture.placed == Placed::Recorded
    }

    /// A pool's state in a word; as recorded it is not known what a pool without a block is.
    pub(crate) fn state_word(&self, pool: &PoolFacts) -> &'static str {
        match pool.state {
            PoolState::Empty | PoolState::NeverCarved if self.on_recorded() => "no live block",
            state => state_word(state),
        }
    }

    /// What the inspector is pinned to.
    pub(crate) fn pinned(&self) -> Option<Place> {
        self.picture.selection.pinned
    }
}

/// What panes hand back: what they want, and what they have room for.
#[derive(Default)]
pub(crate) struct Wishes {
    /// To be done once all is drawn.
    pub(crate) commands: Vec<Command>,
    /// What is on the screen.
    pub(crate) look: Look,
}

/// A term of the glossary, with the lesson that shows it.
pub(crate) fn explained(entry: &Entry) -> String {
    let lesson =
        lesson(entry.lesson).map_or_else(String::new, |(_, example)| format!("\nLesson {}", example.label));
    format!("{}: {}\nIn CPython: {}{lesson}", entry.term, entry.meaning, entry.home)
}

/// Two lines around a rectangle, so that it shows on any ground.
pub(crate) fn outline(painter: &Painter, rect: Rect, width: f32, color: Color32) {
    let casing = Theme::faded(Theme::casing(color), 0.55);
    painter.rect_stroke(rect, 1.0, Stroke::new(width + 2.0, casing), StrokeKind::Outside);
    painter.rect_stroke(rect, 1.0, Stroke::new(width, color), StrokeKind::Outside);
}

/// Rows of a table that were in view.
#[derive(Default)]
pub(crate) struct Seen {
    rows: Option<(u32, u32)>,
}

impl Seen {
    /// A row is in view.
    pub(crate) fn note(&mut self, row: u32) {
        let (first, last) = self.rows.unwrap_or((row, row));
        self.rows = Some((first.min(row), last.max(row)));
    }

    /// The rows in view with as many above and below, in whole pieces, so that scrolling asks seldom.
    pub(crate) fn range(&self, least: u32) -> std::ops::Range<u32> {
        let Some((first, last)) = self.rows else { return 0..least };
        let margin = least.max(last - first);
        let start = first.saturating_sub(margin) / least * least;
        start..(last + margin + 1).next_multiple_of(least)
    }
}

/// A button of one icon for an action.
pub(crate) fn action_icon(
    ui: &mut Ui,
    icon: Icon,
    action: Action,
    enabled: bool,
    commands: &mut Vec<Command>,
) {
    let response = icon_button(ui, icon, action.meta().label, enabled);
    if response.on_hover_text(action.tooltip(ui.ctx())).clicked() {
        commands.push(Command::Do(action));
    }
}

/// A place as a link: a click stays with it, a double click opens it on the map.
pub(crate) fn place_link(ui: &mut Ui, text: &str, place: Place, commands: &mut Vec<Command>) -> Response {
    let response = ui.link(RichText::new(text).monospace().size(11.5));
    if response.double_clicked() {
        commands.push(Command::Order(Order::Enter(place)));
    } else if response.clicked() {
        commands.push(Command::Order(Order::Pin(place)));
    }
    response.on_hover_text("Click to inspect, double click to open it on the map")
}

/// A sentence where a pane has nothing else to show.
pub(crate) fn empty(ui: &mut Ui, sentence: &str) {
    ui.add_space(12.0);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new(sentence).weak());
    });
}

/// How far a run along a whole tape is that nobody watches, and a way to stop it.
pub(crate) fn running(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let Surveying::Runs(name, done, all) = &view.status.surveying else { return };
    ui.horizontal_wrapped(|ui| {
        ui.label(format!("Running {} through", printable(name)));
        let share = *done as f32 / (*all).max(1) as f32;
        ui.add(egui::ProgressBar::new(share).desired_width(110.0).show_percentage());
        if ui.button("Cancel").on_hover_text("Stop; it can be gone on with").clicked() {
            commands.push(Command::Do(Action::Cancel));
        }
    });
    ui.add_space(6.0);
}

/// Frames that are shown before the others are asked for.
const FRAMES: usize = 4;

/// A Python stack, a frame a line, the one that calls first.
pub(crate) fn stack(ui: &mut Ui, title: &str, salt: &str, frames: &[FrameFacts]) {
    let frame = |ui: &mut Ui, frame: &FrameFacts| {
        let text = RichText::new(&frame.text).monospace().size(11.5);
        ui.add(egui::Label::new(text).truncate()).on_hover_text(&frame.whole);
    };
    ui.weak(title);
    ui.indent(salt, |ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        for line in frames.iter().take(FRAMES) {
            frame(ui, line);
        }
        if let Some(rest) = frames.get(FRAMES..).filter(|rest| !rest.is_empty()) {
            let title = format!("{} up to the program's start", count(rest.len() as u64, "more frame"));
            let title = RichText::new(title).size(11.5);
            egui::CollapsingHeader::new(title).id_salt(salt).show_unindented(ui, |ui| {
                for line in rest {
                    frame(ui, line);
                }
            });
        }
    });
}

/// Says why a pane about pymalloc is empty in a run whose MEM and OBJ are mimalloc's, and what holds the blocks instead.
pub(crate) fn no_pymalloc(ui: &mut Ui, view: &View<'_>, what: &str) {
    let blocks = view.picture.mimalloc.as_ref().map_or(0, |totals| totals.live_blocks);
    empty(
        ui,
        &format!(
            "MEM and OBJ are mimalloc's in this run, so pymalloc is not used and has no {what}. {} lie in mimalloc's segments and pages: Map lists those.",
            if blocks == 1 {
                "The live block".to_owned()
            } else {
                format!("The {}", count(blocks, "live block"))
            }
        ),
    );
}

/// Says why a pane about layers is empty, and how to get a run that fills it.
pub(crate) fn no_layers(ui: &mut Ui, view: &View<'_>, why: &str) {
    let plain = egui::TextStyle::Body.resolve(ui.style());
    let code = egui::FontId::monospace(12.0);
    let color = ui.visuals().text_color();
    let mut text = egui::text::LayoutJob::default();
    let mut pieces = vec![
        ("This run is plain CPython and keeps neither tables nor bytes. ", false),
        (why, false),
        (
            ". A scenario shows it at work (Scenarios, in the toolbar), and so does a trace with actions or with ",
            false,
        ),
        ("#! malloc=debug", true),
        ("; ", false),
        ("arenascope replay --malloc debug FILE", true),
        (" replays this one under debug hooks on the command line.", false),
    ];
    if view.head.stacks {
        pieces.push((
            " Who allocates what is known from the recorded stacks, though: see the pane Who allocates.",
            false,
        ));
    }
    for (piece, is_code) in pieces {
        let font = if is_code { &code } else { &plain };
        text.append(piece, 0.0, egui::TextFormat::simple(font.clone(), color));
    }
    ui.label(text);
}
