//! Texts of lessons and puzzles: sentences with terms of the glossary, and names that lead to their blocks.

use egui::{RichText, Ui};
use session::lesson::{Shown, definition};
use session::order::Order;
use trace_io::lesson::text::Piece;

use crate::command::Command;

/// A text with its links.
pub(crate) fn pieces(ui: &mut Ui, text: &[Shown], size: f32, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        for shown in text {
            match (&shown.piece, shown.place) {
                (Piece::Words(words), _) => {
                    ui.label(RichText::new(words).size(size));
                }
                (Piece::Code(code), Some(place)) => {
                    let link = ui.link(RichText::new(code).monospace().size(size - 1.0));
                    if link.on_hover_text("Show it on the map").clicked() {
                        commands.push(Command::Order(Order::Enter(place)));
                    }
                }
                (Piece::Code(code), None) => {
                    ui.label(RichText::new(code).monospace().size(size - 1.0));
                }
                (Piece::Term(term, words), _) => {
                    let label = ui.label(RichText::new(words).size(size).strong().underline());
                    if let Some(entry) = definition(term) {
                        label.on_hover_text(super::explained(entry));
                    }
                }
            }
        }
    });
}
