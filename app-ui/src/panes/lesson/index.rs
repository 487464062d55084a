//! The index of the course: lessons in building order, puzzles, the glossary, the pitfalls.

use egui::{RichText, ScrollArea, TextEdit, Ui};
use session::lesson::GLOSSARY;
use session::practice::LESSONS;

use crate::command::Command;
use crate::examples::{self, Example, Kind, of_kind};
use crate::progress::Progress;

/// What is typed to search for.
#[derive(Default)]
pub(super) struct LearnState {
    wanted: String,
}

/// Draws the index.
pub(super) fn ui(ui: &mut Ui, state: &mut LearnState, progress: &Progress, commands: &mut Vec<Command>) {
    ui.label(RichText::new("Learn").heading());
    ui.label("Each lesson moves the picture, asks before it shows, and lets you play the allocator.");
    ui.add_space(4.0);
    let field = TextEdit::singleline(&mut state.wanted)
        .desired_width(f32::INFINITY)
        .hint_text("Search lessons and terms");
    let response = ui.add(field);
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Search lessons and terms"));
    ui.add_space(4.0);
    let wanted = state.wanted.trim().to_lowercase();
    let meets =
        |texts: &[&str]| wanted.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&wanted));
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let mut found = false;
        for (index, example) in of_kind(Kind::Lesson).filter(|(_, e)| meets(&[e.label, e.about])) {
            found = true;
            lesson(ui, index, example, progress, commands);
        }
        let puzzles: Vec<_> =
            of_kind(Kind::Puzzle).filter(|(_, e)| meets(&[e.label, e.about, "puzzles"])).collect();
        if !puzzles.is_empty() {
            found = true;
            let solved = |e: &Example| e.puzzle_id().is_some_and(|id| progress.best(id).is_some());
            let done = puzzles.iter().filter(|(_, e)| solved(e)).count();
            egui::CollapsingHeader::new(format!("Puzzles ({done} of {} solved)", puzzles.len()))
                .id_salt("puzzles")
                .open((!wanted.is_empty()).then_some(true))
                .show(ui, |ui| {
                    ui.weak("A program to write for each lesson. The machine checks its goals as you type.");
                    for (index, example) in puzzles {
                        puzzle(ui, index, example, progress, commands);
                    }
                });
        }
        let terms: Vec<_> = GLOSSARY.iter().filter(|e| meets(&[e.term, e.meaning, e.home])).collect();
        if !terms.is_empty() {
            found = true;
            egui::CollapsingHeader::new(format!("Glossary ({})", terms.len()))
                .open((!wanted.is_empty()).then_some(true))
                .show(ui, |ui| {
                    for entry in terms {
                        ui.horizontal_wrapped(|ui| {
                            ui.label(RichText::new(entry.term).strong());
                            ui.label(entry.meaning);
                        });
                        ui.horizontal_wrapped(|ui| {
                            ui.weak("In CPython:");
                            ui.label(RichText::new(entry.home).monospace().size(11.5));
                            if let Some((index, example)) = examples::lesson(entry.lesson)
                                && ui.link(format!("Lesson {}", example.label)).clicked()
                            {
                                commands.push(Command::Example(index));
                            }
                        });
                        ui.add_space(4.0);
                    }
                });
        }
        for (kind, title, about) in [
            (
                Kind::Python,
                "From Python to the tape",
                "A few lines each, with the requests that a real interpreter made for them.",
            ),
            (Kind::Pitfall, "Pitfalls", "Things about the allocator that are easily got wrong."),
        ] {
            let chapter: Vec<_> = of_kind(kind).filter(|(_, e)| meets(&[e.label, e.about])).collect();
            if chapter.is_empty() {
                continue;
            }
            found = true;
            egui::CollapsingHeader::new(format!("{title} ({})", chapter.len()))
                .open((!wanted.is_empty()).then_some(true))
                .show(ui, |ui| {
                    ui.weak(about);
                    for (index, example) in chapter {
                        if ui.link(example.label).on_hover_text(example.about).clicked() {
                            commands.push(Command::Example(index));
                        }
                    }
                });
        }
        if !found {
            ui.weak(format!("No lesson, term or pitfall has \u{201c}{}\u{201d} in it.", state.wanted.trim()));
        }
    });
}

fn lesson(ui: &mut Ui, index: usize, example: &Example, progress: &Progress, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        if ui.link(RichText::new(example.label).size(14.5)).clicked() {
            commands.push(Command::Example(index));
        }
        let minutes = example.minutes.map_or_else(String::new, |minutes| format!("{minutes} min"));
        let done = example.lesson_id().and_then(|id| progress.percent(id));
        ui.weak(match done {
            Some(100) => format!("{minutes} \u{b7} done"),
            Some(percent) => format!("{minutes} \u{b7} {percent}%"),
            None => minutes,
        });
        if !example.needs.is_empty() {
            let after: Vec<String> = example.needs.iter().map(u32::to_string).collect();
            ui.weak(format!("\u{b7} after {}", after.join(", ")))
                .on_hover_text("The lessons that it builds on");
        }
    });
    if let Some(id) = example.lesson_id().filter(|id| LESSONS.contains(id)) {
        ui.horizontal(|ui| ui.push_id(id, |ui| super::levels(ui, id, None, commands)));
    }
    ui.label(RichText::new(example.about).color(ui.visuals().weak_text_color()));
    ui.add_space(5.0);
}

fn puzzle(ui: &mut Ui, index: usize, example: &Example, progress: &Progress, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        if ui.link(example.label).on_hover_text(example.about).clicked() {
            commands.push(Command::Example(index));
        }
        let Some(id) = example.puzzle_id() else { return };
        match progress.best(id) {
            Some(best) => ui.weak(format!("solved, best score {best}")),
            None if progress.revealed(id) => ui.weak("solution seen"),
            None => return,
        };
    });
}
