//! The trace under a grid of settings: what is tried, the answer, a cell beside the run as it is.

use egui::{Button, Grid, RichText, Ui};
use session::diagnosis::waterfall::Cause;
use session::format::{bytes, grouped, printable};
use session::view::whatif::{Matrix, WhatIfOrder};
use session::whatif::{Allocator, Cell};

use super::super::View;
use super::{ask, chart, combo, field, rows};
use crate::command::Command;

/// Axes, at the most.
const AXES: usize = 3;

/// Panes with so much room beside the heat map have a cell's figures there.
const DETAILS: f32 = 335.0;

/// Fields that are offered, with values to begin with.
const CHOICES: [(&str, &str); 9] = [
    (
        "profile",
        "cpython-3.8,cpython-3.9,cpython-3.10,cpython-3.11,cpython-3.12,cpython-3.13,cpython-3.14,cpython-3.15",
    ),
    ("malloc", "pymalloc,mimalloc"),
    ("arena_size", "256K,512K,1M,2M,4M"),
    ("pool_size", "4K,8K,16K,32K"),
    ("small_request_threshold", "256,384,512"),
    ("alignment", "8,16"),
    ("arena_placement", "aligned,page,mixed"),
    ("keep_last_arena", "true,false"),
    ("initial_arena_objects", "4,16,64"),
];

/// How the cells are shown.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Shape {
    #[default]
    Heat,
    Table,
    Front,
}

/// What this part is set to.
pub(super) struct MatrixState {
    axes: Vec<String>,
    shape: Shape,
    measure: rows::Measure,
    selected: Option<usize>,
}

impl Default for MatrixState {
    fn default() -> Self {
        let axes = ["arena_size", "pool_size"].map(ready).to_vec();
        Self { axes, shape: Shape::default(), measure: rows::Measure::default(), selected: None }
    }
}

/// A field with its values to begin with.
fn ready(key: &str) -> String {
    let values = CHOICES.iter().find(|of| of.0 == key).map_or("", |of| of.1);
    format!("{key}={values}")
}

pub(super) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut MatrixState, commands: &mut Vec<Command>) {
    axes(ui, state, view.tried.matrix.is_none(), commands);
    let Some(matrix) = &view.tried.matrix else {
        ui.weak("Each combination is a run of the whole trace beside the one shown. The program is taken to do the same in all of them.");
        return;
    };
    let done = matrix.rows.len();
    if done > 0 {
        let so_far = if done < matrix.cells() { "So far: " } else { "" };
        let answer = printable(&matrix.verdict.answer);
        ui.label(RichText::new(format!("{so_far}{answer}.")).strong());
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        for (shape, word) in [(Shape::Heat, "Heat map"), (Shape::Table, "Table"), (Shape::Front, "Front")] {
            ui.selectable_value(&mut state.shape, shape, word);
        }
        if state.shape == Shape::Heat {
            rows::measures(ui, &mut state.measure);
        }
    });
    state.selected = state.selected.filter(|row| *row < done);
    let beside = rows::heat_width(ui, matrix) + DETAILS;
    if state.shape == Shape::Heat && ui.available_width() > beside {
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.set_width(beside - DETAILS);
                rows::heat(ui, view, matrix, state.measure, &mut state.selected);
            });
            ui.vertical(|ui| chosen(ui, matrix, state.selected, commands));
        });
        not_compared(ui, matrix);
        return;
    }
    match state.shape {
        Shape::Heat => rows::heat(ui, view, matrix, state.measure, &mut state.selected),
        Shape::Table => rows::table(ui, view, matrix, &mut state.selected),
        Shape::Front => chart::front(ui, view, matrix, &mut state.selected),
    }
    not_compared(ui, matrix);
    chosen(ui, matrix, state.selected, commands);
}

/// Why cells have figures and no mark.
fn not_compared(ui: &mut Ui, matrix: &Matrix) {
    let Some(base) = &matrix.base else { return };
    if matrix.rows.iter().any(|row| row.beside(base).is_some()) {
        ui.weak(
            "Only cells on the same allocator, with the same asked of the C library, are compared: what that takes beside is not known.",
        );
    }
}

/// What is tried.
fn axes(ui: &mut Ui, state: &mut MatrixState, fresh: bool, commands: &mut Vec<Command>) {
    let mut run = false;
    let (mut gone, count) = (None, state.axes.len());
    for (number, text) in state.axes.iter_mut().enumerate() {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            let key = text.split('=').next().unwrap_or_default().trim().to_owned();
            combo(ui, &format!("Field {}", number + 1), &key, |ui| {
                for (name, _) in CHOICES {
                    if ui.selectable_label(name == key, name).clicked() {
                        *text = ready(name);
                    }
                }
            });
            let width = (ui.available_width() - 40.0).clamp(140.0, 420.0);
            run |= field(ui, &format!("Axis {}", number + 1), "KEY=A,B,C", width, text);
            if count > 1 && ui.small_button("\u{d7}").on_hover_text("Leave this axis out").clicked() {
                gone = Some(number);
            }
        });
    }
    if let Some(gone) = gone {
        state.axes.remove(gone);
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        run |= ui.button("Run").on_hover_text("Runs the trace once for each combination").clicked();
        if count < AXES && ui.button("Another axis").clicked() {
            let used = |key: &str| state.axes.iter().any(|text| text.split('=').next() == Some(key));
            let next = CHOICES.iter().map(|of| of.0).find(|key| !used(key));
            state.axes.extend(next.map(ready));
        }
        if fresh {
            ui.weak("Each axis is a field of a profile with its values, or profile or malloc.");
        }
    });
    if run {
        let axes = state.axes.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        commands.push(ask(WhatIfOrder::Grid(axes.collect())));
        state.selected = None;
    }
}

/// The cell that is chosen, beside the run as it is.
fn chosen(ui: &mut Ui, matrix: &Matrix, selected: Option<usize>, commands: &mut Vec<Command>) {
    let Some(base) = &matrix.base else { return };
    let row = selected.and_then(|row| matrix.rows.get(row));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        if let Some(row) = row {
            ui.strong(printable(&row.named()));
            let open = selected == matrix.current;
            let button = ui.add_enabled(row.figures().is_some() && !open, Button::new("Open"));
            let button = button
                .on_hover_text("Shows this trace in the window under these settings, at the same step")
                .on_disabled_hover_text(if open { "It is open" } else { "It cannot be run" });
            if button.clicked() {
                commands.push(ask(WhatIfOrder::Open(row.cell.clone())));
            }
            let beside = ui.add_enabled(row.figures().is_some() && !open, Button::new("Compare"));
            if beside.on_hover_text("Puts it beside the run that is shown").clicked() {
                commands.push(Command::CompareCell(row.cell.clone()));
            }
        } else {
            ui.weak("Click a cell to see its figures beside those of the run as it is.");
        }
        if !matrix.base_is_open
            && ui.button("Back to the run as it is").on_hover_text(&matrix.profile).clicked()
        {
            commands.push(ask(WhatIfOrder::Open(Cell::default())));
        }
    });
    let Some(row) = row else { return };
    let (Some(own), Some(of)) = (base.figures(), row.figures()) else {
        ui.label(printable(&row.why_not()));
        return;
    };
    if let Some(why) = row.beside(base) {
        ui.weak(printable(&why));
    }
    Grid::new("cell").num_columns(3).striped(true).spacing([12.0, 2.0]).show(ui, |ui| {
        for title in ["", "as it is", "this cell"] {
            ui.strong(title);
        }
        ui.end_row();
        let mut line = |name: &str, values: [String; 2]| {
            ui.label(name);
            for value in values {
                ui.label(RichText::new(value).monospace().size(11.5));
            }
            ui.end_row();
        };
        let what = if of.allocator == Allocator::Mimalloc { "segments" } else { "arenas" };
        line("held at the most", [own, of].map(|f| bytes(f.peak_total_bytes)));
        line("held at the end", [own, of].map(|f| bytes(f.final_total_bytes)));
        line(&format!("{what} at the most"), [own, of].map(|f| grouped(f.peak_arenas)));
        line(&format!("{what} at the end"), [own, of].map(|f| grouped(f.final_arenas)));
        line("given back", [own, of].map(|f| grouped(f.released)));
        line("RAW at the end", [own, of].map(|f| bytes(f.raw_final_bytes)));
        line(Cause::Asked.name(), [own, of].map(|f| bytes(f.final_asked_bytes)));
        let (own, of) = (own.losses, of.losses);
        for ((cause, was), (_, is)) in own.at_end.parts().into_iter().zip(of.at_end.parts()) {
            if was + is > 0 {
                line(cause.name(), [was, is].map(bytes));
            }
        }
        line("lost at the most", [own, of].map(|losses| bytes(losses.at_peak.sum())));
    });
}
