//! Two moments beside each other: of one trace, of one under two builds, or of two traces; and several traces side by side.

mod pictures;
mod tables;

use egui::{ComboBox, RichText, Role, ScrollArea, TextEdit, Ui, WidgetInfo};
use session::At;
use session::diagnosis::{Key, Placed};
use session::format::{count, grouped, parse_step, printable};
use session::order::Order;
use session::view::compare::{CompareLook, Compared, SideLook, SidePicture};
use session::view::findings::Surveying;
use session::whatif::Cell;
use sim_core::profile::PRESETS;

use super::{View, Wishes, empty, running};
use crate::command::Command;

/// Groups that are listed; a file of values has all.
const ROWS: u32 = 200;

/// What is put beside each other.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// Two moments of the open trace.
    #[default]
    Moments,
    /// It under two builds, at one step.
    Builds,
    /// It and another trace.
    Traces,
}

/// What the pane is set to.
pub(crate) struct CompareState {
    /// The trace that the rest belongs to.
    of: String,
    mode: Mode,
    /// The two steps as they are written.
    at: [String; 2],
    /// The other build.
    profile: Option<String>,
    /// Settings that stand in its place.
    cell: Cell,
    /// The other trace, by its number.
    other: u32,
    key: Option<Key>,
    /// Whether the pane was drawn in this frame, or the one before.
    drawn: bool,
}

impl Default for CompareState {
    fn default() -> Self {
        let at = ["peak".to_owned(), "end".to_owned()];
        let (of, mode) = (String::new(), Mode::default());
        Self { of, mode, at, profile: None, cell: Cell::default(), other: 1, key: None, drawn: false }
    }
}

impl CompareState {
    /// A step is to be compared, as A (0) or as B.
    pub(crate) fn mark(&mut self, side: usize, step: u64) {
        if let Some(at) = self.at.get_mut(side) {
            *at = grouped(step);
        }
        // Two builds have one step.
        if self.mode == Mode::Builds {
            self.mode = Mode::Moments;
        }
    }

    /// Settings that were tried are to stand beside the run as it is open.
    pub(crate) fn beside(&mut self, cell: Cell) {
        (self.mode, self.cell) = (Mode::Builds, cell);
    }

    /// The steps of the open trace that are compared, while the pane is in front.
    pub(crate) fn steps(&mut self, compared: &Compared) -> [Option<u64>; 2] {
        let drawn = std::mem::take(&mut self.drawn);
        let Some(picture) = compared.picture.as_ref().filter(|_| drawn) else { return [None; 2] };
        let [a, b] = &*picture.sides;
        let own = |look: &SideLook, side: &SidePicture| (look.trace == 0).then_some(side.step);
        [own(&picture.look.a, a), own(&picture.look.b, b)]
    }

    /// The side that is written, where it is a step.
    fn side(&self, which: usize, view: &View<'_>) -> Option<At> {
        let text = self.at.get(which)?;
        let step = parse_step(text, view.head.len).map(At::Step);
        step.or_else(|| text.parse().ok())
    }

    fn look(&self, view: &View<'_>) -> Option<CompareLook> {
        let side = |trace, profile, at| SideLook { trace, profile, cell: Cell::default(), at };
        let (a, b) = match self.mode {
            Mode::Moments => (side(0, None, self.side(0, view)?), side(0, None, self.side(1, view)?)),
            Mode::Builds => {
                let at = self.side(1, view)?;
                if !self.cell.settings.is_empty() {
                    let b = SideLook { cell: self.cell.clone(), ..side(0, None, at.clone()) };
                    return Some(CompareLook { a: side(0, None, at), b, key: self.key, rows: 0..ROWS });
                }
                let profile = Some(self.profile.clone().unwrap_or_else(|| other_build(view)));
                (side(0, None, at.clone()), side(0, profile, at))
            }
            Mode::Traces if view.status.beside.is_empty() => return None,
            Mode::Traces => (side(0, None, self.side(0, view)?), side(self.other, None, self.side(1, view)?)),
        };
        Some(CompareLook { a, b, key: self.key, rows: 0..ROWS })
    }
}

/// A build to begin with: the one before the one that is open.
fn other_build(view: &View<'_>) -> String {
    let now = view.head.profile.name.as_str();
    let at = PRESETS.iter().position(|(name, _)| *name == now);
    let other = at.map_or(0, |at| at.checked_sub(1).unwrap_or(at + 1));
    PRESETS.get(other).map_or(now, |(name, _)| name).to_owned()
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut CompareState, wishes: &mut Wishes) {
    state.drawn = true;
    if state.of != view.head.name {
        // What was marked in another trace is no step of this one.
        let fresh = CompareState { of: view.head.name.clone(), drawn: true, ..CompareState::default() };
        *state =
            if state.of.is_empty() { CompareState { of: fresh.of, ..std::mem::take(state) } } else { fresh };
    }
    state.other = state.other.clamp(1, view.status.beside.len().max(1) as u32);
    let commands = &mut wishes.commands;
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        choosers(ui, view, state, commands);
        running(ui, view, commands);
        if view.status.surveying == Surveying::Stopped {
            ui.horizontal_wrapped(|ui| {
                ui.label("It was stopped.");
                if ui.button("Go on").clicked() {
                    commands.push(Command::Order(Order::Judge));
                }
            });
        }
        content(ui, view, state, commands);
    });
    wishes.look.compare = state.look(view);
}

fn content(ui: &mut Ui, view: &View<'_>, state: &mut CompareState, commands: &mut Vec<Command>) {
    let compared = view.compared;
    if compared.traces.len() > 1 && !view.status.beside.is_empty() {
        tables::side_by_side(ui, &compared.traces, commands);
    }
    if state.mode == Mode::Traces && view.status.beside.is_empty() {
        empty(
            ui,
            "Open a trace to compare with; or drop one with Shift held, or several at once. Each is read beside the one that is open.",
        );
        return;
    }
    if let Some(why) = &compared.problem {
        empty(ui, &format!("It cannot be compared: {}.", printable(why).trim_end_matches('.')));
        return;
    }
    let Some(picture) = &compared.picture else {
        empty(ui, "Running to both\u{2026}");
        return;
    };
    let wanted = state.look(view).map(|look| CompareLook { rows: 0..0, ..look });
    let looks = [&picture.look.a, &picture.look.b];
    for ((name, side), look) in ["A", "B"].into_iter().zip(&*picture.sides).zip(looks) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 5.0;
            ui.label(RichText::new(name).strong());
            ui.label(said(side));
            if !look.cell.settings.is_empty() {
                ui.label(format!("under {}", printable(&look.cell.named())));
            }
        });
    }
    if wanted.is_none_or(|wanted| wanted != picture.look) {
        ui.weak("The last comparison, until the next one is there.");
    }
    pictures::curves(ui, view, picture, &compared.curves);
    pictures::maps(ui, view, picture, commands);
    tables::ui(ui, view, picture, commands);
}

/// What a side is, in a line.
fn said(side: &SidePicture) -> String {
    let heap = match side.placed {
        Placed::Model => "the model\u{2019}s heap",
        Placed::Recorded => "the heap as recorded",
    };
    format!(
        "{} after step {} of {}, {}, {heap}: {}",
        printable(&side.name),
        grouped(side.step),
        grouped(side.operations),
        side.profile,
        count(u64::from(side.arenas), "arena")
    )
}

/// What is compared with what.
fn choosers(ui: &mut Ui, view: &View<'_>, state: &mut CompareState, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        for (mode, text, what) in [
            (Mode::Moments, "Two moments", "The open trace at two steps"),
            (Mode::Builds, "Two builds", "The open trace under its build and under another one, at one step"),
            (Mode::Traces, "Two traces", "The open trace and one beside it"),
        ] {
            ui.selectable_value(&mut state.mode, mode, text).on_hover_text(what);
        }
        let open = ui.button("Open a trace to compare\u{2026}");
        if open.on_hover_text("Read a trace beside the one that is open").clicked() {
            state.mode = Mode::Traces;
            commands.push(Command::OpenBeside);
        }
    });
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        match state.mode {
            Mode::Moments => {
                step(ui, view, state, 0);
                step(ui, view, state, 1);
            }
            Mode::Builds => {
                step(ui, view, state, 1);
                build(ui, view, state);
            }
            Mode::Traces => {
                step(ui, view, state, 0);
                if view.status.beside.len() > 1 {
                    other(ui, view, state);
                }
                step(ui, view, state, 1);
            }
        }
        keys(ui, view, state);
    });
    ui.add_space(4.0);
}

/// A step to write, or to choose.
fn step(ui: &mut Ui, view: &View<'_>, state: &mut CompareState, which: usize) {
    let name = if state.mode == Mode::Builds { "At" } else { ["A", "B"][which.min(1)] };
    let wrong = state.side(which, view).is_none();
    let here = view.picture.step;
    let Some(text) = state.at.get_mut(which) else { return };
    ui.label(RichText::new(name).strong());
    let field = ui.add(TextEdit::singleline(text).desired_width(84.0));
    field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, format!("Step of {name}")));
    field.on_hover_text("A step, a share such as 50%, start, end, peak, or mark:NAME");
    ui.menu_button("\u{2026}", |ui| {
        let marks = view.head.marks.iter().map(|mark| format!("mark:{}", mark.name));
        let names = ["start", "peak", "end"].map(str::to_owned).into_iter().chain(marks.take(12));
        for name in std::iter::once(grouped(here)).chain(names) {
            if ui.button(printable(&name)).clicked() {
                *text = name;
                ui.close();
            }
        }
    })
    .response
    .on_hover_text("The step shown, the ends, the peak, and marks");
    if wrong {
        ui.label(RichText::new("no step").strong());
    }
}

fn combo(ui: &mut Ui, name: &'static str, selected: &str, content: impl FnOnce(&mut Ui)) {
    let combo = ComboBox::from_id_salt(("compare", name)).selected_text(selected).height(400.0);
    combo.show_ui(ui, content).response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, name));
}

fn build(ui: &mut Ui, view: &View<'_>, state: &mut CompareState) {
    ui.label("beside");
    if !state.cell.settings.is_empty() {
        ui.strong(printable(&state.cell.named()));
        if ui.button("Another build").on_hover_text("Choose one instead of these settings").clicked() {
            state.cell = Cell::default();
        }
        return;
    }
    let now = state.profile.clone().unwrap_or_else(|| other_build(view));
    combo(ui, "Other build", &now, |ui| {
        for (name, about) in PRESETS.iter().filter(|(name, _)| *name != view.head.profile.name) {
            if ui.selectable_label(*name == now, *name).on_hover_text(*about).clicked() {
                state.profile = Some((*name).to_owned());
            }
        }
    });
}

fn other(ui: &mut Ui, view: &View<'_>, state: &mut CompareState) {
    let names = &view.status.beside;
    let now =
        names.get(state.other as usize - 1).map_or_else(String::new, |name| printable(name).into_owned());
    combo(ui, "Other trace", &now, |ui| {
        for (number, name) in (1..).zip(names) {
            if ui.selectable_label(number == state.other, printable(name)).clicked() {
                state.other = number;
            }
        }
    });
}

fn keys(ui: &mut Ui, view: &View<'_>, state: &mut CompareState) {
    let now = view.compared.picture.as_ref().map(|picture| picture.comparison.key);
    let Some(now) = state.key.or(now) else { return };
    combo(ui, "Groups by", &format!("by {}", now.words()), |ui| {
        for key in Key::choices(view.head.known) {
            if ui.selectable_label(key == now, key.words()).clicked() {
                state.key = Some(key);
            }
        }
    });
}
