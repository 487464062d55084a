//! What `sys._debugmallocstats()` would print here, to read and to copy.

use egui::{RichText, ScrollArea, Ui};

use super::View;
use crate::command::{Action, Command};

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let copy = ui.button("Copy").on_hover_text(Action::CopyStats.meta().tip);
        if copy.clicked() {
            commands.push(Command::Do(Action::CopyStats));
        }
        ui.weak("What sys._debugmallocstats() prints at this step, byte for byte");
    });
    let Some(stats) = &view.picture.stats else { return };
    if let Some((printed, report)) = &stats.printed {
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("PYTHONMALLOCSTATS is set").strong());
            ui.label(if report.is_empty() {
                format!("{} printed so far, none by this step", session::format::count(*printed, "report"))
            } else {
                "This step printed the report that follows, before it asked for an arena".to_owned()
            });
        });
    }
    let report = stats.printed.as_ref().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        if let Some(report) = report {
            ui.add(
                egui::Label::new(RichText::new(report).monospace())
                    .selectable(true)
                    .wrap_mode(egui::TextWrapMode::Extend),
            );
            ui.separator();
            ui.label(RichText::new("And this is the state after the step:").strong());
        }
        ui.add(
            egui::Label::new(RichText::new(&stats.text).monospace())
                .selectable(true)
                .wrap_mode(egui::TextWrapMode::Extend),
        );
    });
}
