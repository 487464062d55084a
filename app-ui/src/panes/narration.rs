//! What the current operation did: the call, then one sentence for each event.

use egui::{RichText, ScrollArea, Ui};
use session::format::{count, grouped};
use session::lesson::at_home;
use session::order::Order;
use session::view::tape::{Narration, SentenceFacts};

use super::View;
use crate::command::{Action, Command};

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let Some(narration) = &view.picture.narration else { return };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let Some(last) = &view.picture.last else {
            ui.label("Nothing has happened yet.");
            match &view.head.first_call {
                Some(first) => {
                    ui.horizontal_wrapped(|ui| {
                        ui.label("The first operation is");
                        ui.monospace(first);
                        ui.label("Press the right arrow key to do it.");
                    });
                }
                None => {
                    ui.label("The trace has no operation.");
                }
            }
            remarks(ui, view, narration, commands);
            return;
        };
        ui.horizontal_wrapped(|ui| {
            ui.weak(format!("step {}", grouped(view.picture.step)));
            let result = last.result.as_ref().map_or_else(String::new, |r| format!(" -> {r}"));
            ui.label(RichText::new(format!("{}{result}", last.call)).monospace().strong().size(14.0));
            if let Some(thread) = &last.thread {
                ui.weak(format!("on {thread}"));
            }
            if last.remote_free {
                ui.label(RichText::new("frees another thread's block").strong().color(view.theme.touched));
            }
        });
        match &narration.explained {
            Some(explained) if narration.stack.is_empty() => {
                ui.label(explained);
            }
            explained => {
                let title = explained.as_deref().unwrap_or("Called from");
                if !narration.stack.is_empty() {
                    super::stack(ui, title, "calls", &narration.stack);
                }
            }
        }
        remarks(ui, view, narration, commands);
        sentences(ui, view, narration, commands);
        if let Some(fatal) = &narration.fatal {
            ui.add_space(6.0);
            egui::Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
                ui.label(RichText::new("Here the process ends. It would have printed:").strong());
                ui.label(RichText::new(fatal).monospace().color(view.theme.text));
            });
        }
    });
}

/// What happened, a line each. In a lesson, what speaks of things that only later lessons explain waits until it is asked for.
fn sentences(ui: &mut Ui, view: &View<'_>, narration: &Narration, commands: &mut Vec<Command>) {
    let id = ui.scope_id().with("all-sentences");
    let all = ui.data(|d| d.get_temp::<bool>(id)).unwrap_or_default();
    let mut folded = 0;
    let mut number = 0;
    for sentence in &narration.sentences {
        if sentence.later {
            folded += 1;
            if !all {
                continue;
            }
        }
        number += 1;
        sentence_ui(ui, view, number, sentence, commands);
    }
    if folded > 0 {
        let text = if all {
            "Show less".to_owned()
        } else {
            format!("{} of later lessons", count(folded, "more line"))
        };
        if ui.link(text).clicked() {
            ui.data_mut(|d| d.insert_temp(id, !all));
        }
    }
}

fn sentence_ui(
    ui: &mut Ui,
    view: &View<'_>,
    number: u64,
    sentence: &SentenceFacts,
    commands: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.weak(format!("{number}"));
        let function = ui.label(RichText::new(&sentence.function).monospace().color(view.theme.weak));
        if let Some(entry) = at_home(&sentence.function) {
            function.on_hover_ui(|ui| {
                ui.label(super::explained(entry));
            });
        }
        let text = upper_first(&sentence.text);
        if let Some(place) = sentence.place {
            let link = ui.link(text).on_hover_text("Click to inspect, double click to open it on the map");
            if link.double_clicked() {
                commands.push(Command::Order(Order::Enter(place)));
            } else if link.clicked() {
                commands.push(Command::Order(Order::Pin(place)));
            }
        } else {
            ui.label(text);
        }
    });
}

/// Marks at this step, the author's note that holds here, and the way to the others.
fn remarks(ui: &mut Ui, view: &View<'_>, narration: &Narration, commands: &mut Vec<Command>) {
    for name in &narration.marks {
        ui.horizontal_wrapped(|ui| {
            ui.weak("mark:");
            ui.label(RichText::new(name).strong().color(view.theme.text));
        });
    }
    let Some(note) = &narration.note else {
        if !view.head.marks.is_empty() {
            ui.horizontal(|ui| way(ui, view, narration, commands));
        }
        return;
    };
    egui::Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
        ui.label(RichText::new(&note.text).color(view.theme.text));
        ui.horizontal(|ui| {
            if view.picture.step > note.step {
                ui.weak(format!("said at step {}", grouped(note.step)));
            }
            way(ui, view, narration, commands);
        });
    });
}

/// Buttons to the notes and marks before and after this step.
fn way(ui: &mut Ui, view: &View<'_>, narration: &Narration, commands: &mut Vec<Command>) {
    let ways = [
        (Action::PreviousNote, "Previous mark", narration.previous),
        (Action::NextNote, "Next mark", narration.next),
    ];
    for (action, to_mark, there) in ways {
        let button = egui::Button::new(if view.head.noted { action.meta().label } else { to_mark });
        let response = ui.add_enabled(there, button);
        if response.on_hover_text(action.tooltip(ui.ctx())).clicked() {
            commands.push(Command::Do(action));
        }
    }
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
