//! Texts of lessons and puzzles: sentences with terms of the glossary, and names that lead to their blocks.

use egui::{FontId, RichText, Ui};
use session::lesson::{Shown, definition};
use session::order::Order;
use trace_io::lesson::text::Piece;

use crate::command::Command;

/// A text with its links.
pub(crate) fn pieces(ui: &mut Ui, text: &[Shown], size: f32, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        for (at, shown) in text.iter().enumerate() {
            keep_together(ui, shown, text.get(at + 1), size);
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

/// Begins a new line where a word in another script fits into this one and the full stop behind it does not.
fn keep_together(ui: &mut Ui, shown: &Shown, next: Option<&Shown>, size: f32) {
    let Some(Piece::Words(after)) = next.map(|next| &next.piece) else { return };
    let stop: String = after.chars().take_while(|c| !c.is_whitespace()).collect();
    let font = match &shown.piece {
        Piece::Words(_) => return,
        Piece::Code(_) => FontId::monospace(size - 1.0),
        Piece::Term(..) => FontId::proportional(size),
    };
    let width = |text: &str, font| {
        ui.painter().layout_no_wrap(text.to_owned(), font, ui.visuals().text_color()).size().x
    };
    let (word, stop) = (width(shown.piece.text(), font), width(&stop, FontId::proportional(size)));
    let room = ui.available_size_before_wrap().x;
    if word <= room && word + stop > room {
        ui.end_row();
    }
}
