//! The panes: each reads the session and the selection, draws itself, and asks for what it wants by
//! pushing commands. No pane changes anything and no pane knows another.

mod arena_hook;
pub(crate) mod arenas;
mod boxes;
pub(crate) mod debug_hooks;
pub(crate) mod domains;
pub(crate) mod find;
pub(crate) mod help;
pub(crate) mod inspector;
pub(crate) mod malloc_stats;
pub(crate) mod map;
mod map_overlay;
mod map_scene;
pub(crate) mod mimalloc;
pub(crate) mod narration;
pub(crate) mod operations;
pub(crate) mod size_classes;
pub(crate) mod still;
pub(crate) mod timeline;
pub(crate) mod toolbar;
pub(crate) mod tracemalloc;
pub(crate) mod transport;

use egui::{Response, RichText, Ui};
use session::Session;
use session::find::Find;
use session::{Place, Selection};

use crate::command::{Action, Command};
use crate::icons::{Icon, icon_button};
use crate::theme::Theme;

/// What every pane may read.
pub(crate) struct View<'a> {
    /// The open trace.
    pub(crate) session: &'a Session,
    /// What is looked at.
    pub(crate) selection: &'a Selection,
    /// What is looked for along the tape.
    pub(crate) find: &'a Find,
    /// What the inspector shows.
    pub(crate) inspected: Option<Place>,
    /// The colors.
    pub(crate) theme: &'a Theme,
    /// How much of the pulse after a step is left, 1 to 0; always 0 when motion is reduced.
    pub(crate) pulse: f32,
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
        commands.push(Command::Enter(place));
    } else if response.clicked() {
        commands.push(Command::Pin(place));
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

/// Says why a pane about pymalloc is empty in a run whose MEM and OBJ are mimalloc's.
pub(crate) fn no_pymalloc(ui: &mut Ui) {
    empty(
        ui,
        "MEM and OBJ are mimalloc's in this run, so pymalloc holds nothing; Map lists segments and pages.",
    );
}

/// Says why a pane about layers is empty, and how to get a run that fills it.
pub(crate) fn no_layers(ui: &mut Ui) {
    let plain = egui::TextStyle::Body.resolve(ui.style());
    let code = egui::FontId::monospace(12.0);
    let color = ui.visuals().text_color();
    let mut text = egui::text::LayoutJob::default();
    for (piece, is_code) in [
        (
            "This run is plain CPython and keeps neither tables nor bytes: open a scenario or a trace with actions or with ",
            false,
        ),
        ("#! malloc=debug", true),
        (", or run ", false),
        ("arenascope replay --malloc debug FILE", true),
    ] {
        let font = if is_code { &code } else { &plain };
        text.append(piece, 0.0, egui::TextFormat::simple(font.clone(), color));
    }
    ui.label(text);
}
