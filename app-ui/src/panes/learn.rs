//! The index of the course.

use egui::{RichText, ScrollArea, Ui};

use super::View;
use crate::command::Command;
use crate::examples::{Kind, of_kind};

/// Draws the index.
pub(super) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.label(RichText::new("Learn").heading());
        ui.label("Each lesson moves the picture, asks before it shows, and lets you play the allocator.");
        ui.add_space(6.0);
        for (index, example) in of_kind(Kind::Lesson) {
            let response = ui.link(RichText::new(example.label).size(14.5));
            if response.clicked() {
                commands.push(Command::Example(index));
            }
            ui.label(RichText::new(example.about).weak());
            ui.add_space(4.0);
        }
        ui.add_space(8.0);
        egui::CollapsingHeader::new("The 30 pitfalls").show(ui, |ui| {
            for (index, example) in of_kind(Kind::Pitfall) {
                if ui.link(example.label).on_hover_text(example.about).clicked() {
                    commands.push(Command::Example(index));
                }
            }
        });
        let _ = view;
    });
}
