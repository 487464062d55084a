//! Who allocates, over the whole trace: threads, and the places in the source that allocate most, as `arenascope stats`
//! counts them.

use egui::{Grid, RichText, ScrollArea, Ui};
use egui_extras::{Column, TableBuilder};
use session::contents::{Caller, Callers};
use session::format::{bytes, count, grouped};

use super::View;

/// By what places are sorted.
#[derive(Default)]
pub(crate) struct CallersState {
    by_count: bool,
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut CallersState) {
    match &view.picture.callers {
        None => {}
        Some(Err(percent)) => super::empty(ui, &format!("Counting the whole trace\u{2026} {percent} %")),
        Some(Ok(callers)) => {
            ui.weak(format!(
                "Of the whole trace of {}, whatever the step. Sizes are those asked for.",
                count(view.head.len, "operation")
            ));
            threads(ui, callers);
            ui.add_space(6.0);
            places(ui, view, callers, state);
        }
    }
}

fn mono(text: String) -> RichText {
    RichText::new(text).monospace().size(11.5)
}

fn threads(ui: &mut Ui, callers: &Callers) {
    ui.strong(count(callers.threads.len() as u64, "thread"));
    ScrollArea::vertical().id_salt("threads").max_height(140.0).show(ui, |ui| {
        Grid::new("threads").num_columns(4).striped(true).spacing([18.0, 3.0]).show(ui, |ui| {
            for title in ["thread", "operations", "blocks born", "bytes asked for"] {
                ui.label(RichText::new(title).strong().size(12.0));
            }
            ui.end_row();
            for thread in &callers.threads {
                ui.label(mono(thread.name.clone())).on_hover_text(format!(
                    "Filter the operations with t{} to see this thread's alone",
                    thread.name.split(' ').next().unwrap_or_default()
                ));
                ui.label(mono(grouped(thread.operations)));
                ui.label(mono(grouped(thread.births)));
                ui.label(mono(bytes(thread.bytes)));
                ui.end_row();
            }
        });
    });
}

fn places(ui: &mut Ui, view: &View<'_>, callers: &Callers, state: &mut CallersState) {
    if callers.by_bytes.is_empty() {
        ui.label(if view.head.recording {
            "This recording has no Python stacks, so functions are not known: `memray run --trace-python-allocators` records them."
        } else {
            "This trace has no Python stacks, so functions are not known: a capture of memray has them."
        });
        return;
    }
    let rows = if state.by_count { &callers.by_count } else { &callers.by_bytes };
    ui.horizontal_wrapped(|ui| {
        let full = rows.len() as u64 >= u64::from(callers.listed);
        ui.strong(format!("{}{}", if full { "The first " } else { "" }, count(rows.len() as u64, "place")));
        ui.label("that allocate, by");
        ui.selectable_value(&mut state.by_count, false, "bytes");
        ui.selectable_value(&mut state.by_count, true, "blocks");
        ui.weak("A place is the innermost frame of a call's stack.");
    });
    TableBuilder::new(ui)
        .striped(true)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .column(Column::exact(96.0))
        .column(Column::exact(86.0))
        .column(Column::remainder().at_least(160.0).clip(true))
        .header(20.0, |mut header| {
            for title in ["bytes asked for", "blocks born", "place"] {
                header.col(|ui| {
                    ui.label(RichText::new(title).strong().size(12.0));
                });
            }
        })
        .body(|body| {
            body.rows(19.0, rows.len(), |mut line| {
                let place: &Caller = &rows[line.index()];
                for text in [bytes(place.bytes), grouped(place.births)] {
                    line.col(|ui| {
                        ui.label(mono(text));
                    });
                }
                line.col(|ui| {
                    ui.label(mono(place.name.clone())).on_hover_text(&place.whole);
                });
            });
        });
}
