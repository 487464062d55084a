//! tracemalloc's view of the step shown: what is traced, who allocated it, and what changed between two
//! steps. Texts are those of `Lib/tracemalloc.py`.

use egui::{Button, ComboBox, Label, RichText, ScrollArea, Ui};
use session::format::count;
use session::order::Order;
use session::snapshots::Which;
use session::view::tracemalloc::{GroupLine, Groups, TracemallocLook, TracemallocPicture};
use sim_core::tracemalloc::KeyType;

use super::{View, Wishes, empty};
use crate::command::Command;

/// How groups are made.
pub(crate) struct TracemallocState {
    key: KeyType,
    cumulative: bool,
    diff: bool,
}

impl Default for TracemallocState {
    fn default() -> Self {
        Self { key: KeyType::Lineno, cumulative: false, diff: false }
    }
}

/// Groups that are asked for before it is known which are in view.
const ROWS: u32 = 64;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut TracemallocState, wishes: &mut Wishes) {
    if !view.head.layers {
        super::no_layers(
            ui,
            view,
            "tracemalloc watches a program that runs, and this trace does not say that it did",
        );
        return;
    }
    let look =
        TracemallocLook { key: state.key, cumulative: state.cumulative, diff: state.diff, rows: 0..ROWS };
    let look = wishes.look.tracemalloc.insert(look);
    let Some(picture) = &view.picture.tracemalloc else { return };
    counters(ui, view, picture);
    controls(ui, picture, state, &mut wishes.commands);
    if state.diff
        && let [Some(a), Some(b)] = &picture.kept
    {
        ui.weak(format!("B ({b}) compared to A ({a})"));
    }
    match &picture.groups {
        Groups::NothingToCompare => {
            empty(ui, "Nothing to compare: keep snapshot A at one step and B at another.");
        }
        Groups::NotTracing => empty(
            ui,
            "Nothing to show: tracemalloc is not tracing at this step; the action tracemalloc_start begins it.",
        ),
        Groups::Error(error) => {
            ui.monospace(error);
        }
        Groups::Lines { total, first, lines } => {
            look.rows = list(ui, (*total, *first), lines, picture.key, &mut wishes.commands);
        }
    }
}

fn counters(ui: &mut Ui, view: &View<'_>, picture: &TracemallocPicture) {
    let (current, peak) = picture.traced_memory;
    let fact = |ui: &mut Ui, name: &str, value: String, what: &str| {
        // One piece of text, so that a line does not end between name and value.
        let mut text = egui::text::LayoutJob::default();
        let font = egui::FontId::monospace(12.0);
        text.append(name, 0.0, egui::TextFormat::simple(font.clone(), view.theme.weak));
        text.append(&format!(" {value}"), 0.0, egui::TextFormat::simple(font, view.theme.text));
        ui.add(Label::new(text).extend()).on_hover_text(what);
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        let tracing = if picture.is_tracing { "True" } else { "False" };
        fact(ui, "is_tracing()", tracing.to_owned(), "Whether tracemalloc's hooks are in the three tables");
        fact(
            ui,
            "get_traced_memory()",
            format!("({current}, {peak})"),
            "Bytes traced now and their peak, over all of tracemalloc's domains",
        );
        fact(
            ui,
            "get_traceback_limit()",
            picture.traceback_limit.to_string(),
            "Frames kept of each stack; it stays after stop()",
        );
        fact(
            ui,
            "get_tracemalloc_memory()",
            picture.tracemalloc_memory.to_string(),
            "Bytes of tracemalloc's own tables",
        );
    });
    if let Some(stack) = &picture.stack {
        if stack.is_empty() {
            ui.weak("Calls now come from no Python code");
        } else {
            super::stack(ui, "Calls now come from", "now", stack);
        }
    }
}

fn controls(
    ui: &mut Ui,
    picture: &TracemallocPicture,
    state: &mut TracemallocState,
    commands: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        let word = |key| match key {
            KeyType::Lineno => "line",
            KeyType::Filename => "file",
            KeyType::Traceback => "traceback",
        };
        let combo = ComboBox::from_id_salt("key type")
            .selected_text(format!("by {}", word(state.key)))
            .show_ui(ui, |ui| {
                for key in [KeyType::Lineno, KeyType::Filename, KeyType::Traceback] {
                    ui.selectable_value(&mut state.key, key, word(key));
                }
            });
        combo.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Group by"));
        ui.checkbox(&mut state.cumulative, "cumulative")
            .on_hover_text("Credit every frame of a stack, not only the one that allocated");
        ui.separator();
        for which in [Which::A, Which::B] {
            let text = format!("Keep {}", which.name());
            if ui
                .add_enabled(picture.is_tracing, Button::new(text))
                .on_hover_text("take_snapshot() at this step, to compare it with the other one")
                .clicked()
            {
                commands.push(Command::Order(Order::KeepSnapshot(which)));
            }
        }
        taken(ui, picture, commands);
        ui.selectable_value(&mut state.diff, false, "this step");
        ui.selectable_value(&mut state.diff, true, "B compared to A");
        // Behind the buttons, so that none moves when its text changes.
        for (which, kept) in [Which::A, Which::B].into_iter().zip(&picture.kept) {
            if let Some(kept) = kept {
                ui.weak(format!("{}: {kept}", which.name()));
            }
        }
    });
}

/// The program's own snapshots, to be A or B.
fn taken(ui: &mut Ui, picture: &TracemallocPicture, commands: &mut Vec<Command>) {
    if picture.taken.is_empty() {
        return;
    }
    for which in [Which::A, Which::B] {
        let combo = ComboBox::from_id_salt(("program's snapshot", which.name()))
            .selected_text(format!("{} from\u{2026}", which.name()))
            .width(70.0)
            .show_ui(ui, |ui| {
                for name in &picture.taken {
                    if ui.selectable_label(false, name).clicked() {
                        commands.push(Command::Order(Order::UseSnapshot(which, name.clone())));
                    }
                }
            });
        let label = format!("Program's snapshot as {}", which.name());
        combo.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &label));
        combo.response.on_hover_text("A snapshot that the program took");
    }
}

/// The groups; says which are in view.
fn list(
    ui: &mut Ui,
    (total, first): (u32, u32),
    lines: &[GroupLine],
    key: KeyType,
    commands: &mut Vec<Command>,
) -> std::ops::Range<u32> {
    ui.horizontal(|ui| {
        if ui.button("Copy").on_hover_text("Copy these lines").clicked() {
            commands.push(Command::Order(Order::CopyGroups));
        }
        ui.weak(count(u64::from(total), "group"));
    });
    if total == 0 {
        empty(ui, "No block is traced.");
        return 0..ROWS;
    }
    let mut seen = super::Seen::default();
    let row = ui.text_style_height(&egui::TextStyle::Monospace);
    ScrollArea::both().auto_shrink(false).show_rows(ui, row, total as usize, |ui, rows| {
        for index in rows {
            seen.note(index as u32);
            let line = (index as u32).checked_sub(first).and_then(|at| lines.get(at as usize));
            let Some(line) = line else {
                // What scrolled into view is on its way.
                ui.label("");
                continue;
            };
            let text = RichText::new(&line.text).monospace().size(12.0);
            let label = ui.add(Label::new(text).wrap_mode(egui::TextWrapMode::Extend));
            if key == KeyType::Traceback {
                label.on_hover_text(format!("Most recent call first:\n{}", line.frames.join("\n")));
            }
        }
    });
    seen.range(ROWS)
}
