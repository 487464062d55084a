//! What the current operation did: the call, then one sentence for each event.

use egui::{RichText, ScrollArea, Ui};
use session::Place;
use session::actions;
use session::format::grouped;
use sim_core::Call;
use sim_core::event::narrate;

use super::View;
use crate::command::{Action, Command};

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let session = view.session;
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let Some(op) = session.last_op() else {
            ui.label("Nothing has happened yet.");
            match session.trace().op(0) {
                Some(first) => {
                    ui.horizontal_wrapped(|ui| {
                        ui.label("The first operation is");
                        ui.monospace(actions::call(session.trace(), &first));
                        ui.label("Press the right arrow key to do it.");
                    });
                }
                None => {
                    ui.label("The trace has no operation.");
                }
            }
            note(ui, view, commands);
            return;
        };
        ui.horizontal_wrapped(|ui| {
            ui.weak(format!("step {}", grouped(session.step())));
            let result = session.last_result().map_or_else(String::new, |r| format!(" -> {r}"));
            ui.label(
                RichText::new(format!("{}{result}", actions::call(session.trace(), &op)))
                    .monospace()
                    .strong()
                    .size(14.0),
            );
        });
        if let Call::Act(action) = op.call {
            ui.label(actions::explain(session.trace(), action, op.domain));
        } else if let Some(stack) = session.stack()
            && !stack.is_empty()
        {
            ui.weak(format!("called from {}", actions::stack_text(&stack)));
        }
        note(ui, view, commands);
        for (index, event) in session.events().iter().enumerate() {
            let sentence = narrate(event, session.profile());
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = 6.0;
                ui.weak(format!("{}", index + 1));
                ui.label(RichText::new(sentence.function).monospace().color(view.theme.weak));
                let text = upper_first(&sentence.text);
                if let Some(place) = Place::of_event(event) {
                    let link =
                        ui.link(text).on_hover_text("Click to inspect, double click to open it on the map");
                    if link.double_clicked() {
                        commands.push(Command::Enter(place));
                    } else if link.clicked() {
                        commands.push(Command::Pin(place));
                    }
                } else {
                    ui.label(text);
                }
            });
        }
        if let Some(fatal) = session.stopped() {
            ui.add_space(6.0);
            egui::Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
                ui.label(RichText::new("Here the process ends. It would have printed:").strong());
                ui.label(RichText::new(fatal).monospace().color(view.theme.text));
            });
        }
    });
}

/// The author's note that holds here, and the way to the others.
fn note(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let Some(note) = view.session.note() else { return };
    egui::Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
        ui.label(RichText::new(&note.text).color(view.theme.text));
        ui.horizontal(|ui| {
            let step = view.session.step();
            if step > note.at + 1 {
                ui.weak(format!("said at step {}", grouped(note.at + 1)));
            }
            for (action, there) in [
                (Action::PreviousNote, view.session.previous_note()),
                (Action::NextNote, view.session.next_note()),
            ] {
                let button = egui::Button::new(action.meta().label);
                let response = ui.add_enabled(there.is_some(), button);
                if response.on_hover_text(action.tooltip(ui.ctx())).clicked() {
                    commands.push(Command::Do(action));
                }
            }
        });
    });
}

fn upper_first(text: &str) -> String {
    // A name of CPython's keeps its spelling.
    let first_word = text.split_whitespace().next().unwrap_or("");
    if first_word.chars().any(|c| !c.is_ascii_lowercase()) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::upper_first;

    #[test]
    fn only_plain_words_are_raised() {
        assert_eq!(upper_first("block 0x1 is popped"), "Block 0x1 is popped");
        assert_eq!(upper_first("realloc(NULL, n) acts"), "realloc(NULL, n) acts");
        assert_eq!(upper_first(""), "");
    }
}
