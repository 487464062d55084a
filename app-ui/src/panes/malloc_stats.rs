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
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        ui.add(
            egui::Label::new(RichText::new(view.session.stats()).monospace())
                .selectable(true)
                .wrap_mode(egui::TextWrapMode::Extend),
        );
    });
}
