//! The playground: a program beside the picture, run anew with each change, for itself or to solve a puzzle.

mod completion;
mod puzzle;

use egui::{Button, Event, FontId, Id, Key, Modifiers, RichText, ScrollArea, TextEdit, Ui};
use session::At;
use session::link::{Link, What};
use session::order::Order;
use session::puzzle::PuzzleView;
use session::view::program::Played;

use super::View;
use crate::command::Command;
use crate::progress::Progress;
use completion::{Completion, Known};
use puzzle::PuzzleState;

/// What the pane keeps: the text, and what of it was run.
#[derive(Default)]
pub(crate) struct PlaygroundState {
    text: String,
    run: Option<String>,
    /// The fork that was taken over last: its number, its text, and how many programs the engine had run.
    forked: (u64, String, u64),
    completion: Completion,
    puzzle: PuzzleState,
}

/// What stands there first.
const FIRST: &str =
    "# Change anything: the picture follows.\na = malloc(48)\nb = malloc(48)\nfree(a)\nc = malloc(40)\n";

/// Pieces for who does not type: the button, and what it adds.
const PIECES: &[(&str, &str, &str)] = &[
    ("malloc", "Ask for 32 bytes", "{} = malloc(32)"),
    ("a large one", "Ask for 600 bytes, which the C library serves", "{} = malloc(600)"),
    (
        "fill a pool",
        "As many blocks as a pool of 512 bytes holds",
        "for i in range(blocks(512)): {}[i] = malloc(512)",
    ),
];

/// Draws the pane.
pub(crate) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    progress: &Progress,
    state: &mut PlaygroundState,
    commands: &mut Vec<Command>,
) {
    let played = view.status.played.as_ref();
    take_over(state, played);
    let puzzle = played.and_then(|played| played.puzzle.as_deref());
    if let Some(open) = puzzle
        && let Some(program) = puzzle::ui(ui, view, open, progress, &mut state.puzzle, commands)
    {
        state.text = program;
    }
    ui.horizontal_wrapped(|ui| tools(ui, view, puzzle, state, commands));
    if state.run.is_none() && state.text.is_empty() {
        FIRST.clone_into(&mut state.text);
    }
    let mut bottom = String::new();
    if let Some(fault) = played.and_then(|played| played.fault.as_ref()) {
        bottom = format!(
            "Line {}, column {}: {}. To mend it: {}.",
            fault.line, fault.column, fault.problem, fault.remedy
        );
    }
    egui::Panel::bottom("playground-fault").show_separator_line(false).frame(egui::Frame::new()).show(
        ui,
        |ui| {
            if !bottom.is_empty() {
                ui.label(RichText::new(bottom).color(view.theme.error));
            } else if let Some(line) = played.and_then(|played| played.line) {
                ui.weak(format!("The picture stands after line {line}."));
            }
        },
    );
    let id = Id::unique("playground-program");
    state.completion.take_keys(ui, id, &mut state.text);
    if ui.memory(|memory| memory.has_focus(id)) {
        indent(ui);
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let editor = TextEdit::multiline(&mut state.text)
            .id(id)
            .code_editor()
            .font(FontId::monospace(13.5))
            .event_filter(state.completion.keys())
            .desired_width(f32::INFINITY)
            .desired_rows(12)
            .hint_text("a = malloc(48)");
        let output = editor.show(ui);
        output
            .response
            .widget_info(|| egui::WidgetInfo::labeled(egui::Role::MultilineTextInput, true, "Program"));
        let known = Known {
            given: puzzle.map_or("", |puzzle| puzzle.given.as_str()),
            allows: puzzle.map(|puzzle| puzzle.allows.as_slice()),
        };
        state.completion.after(ui, &output, &mut state.text, &known);
    });
    if state.run.as_deref() != Some(state.text.as_str()) {
        state.run = Some(state.text.clone());
        commands.push(Command::Order(Order::Program(state.text.clone())));
    }
}

/// Tab indents by spaces, since the language takes no tabs.
fn indent(ui: &Ui) {
    ui.input_mut(|input| {
        for event in &mut input.events {
            if let Event::Key { key: Key::Tab, pressed: true, modifiers: Modifiers::NONE, .. } = event {
                *event = Event::Text("    ".to_owned());
            }
        }
    });
}

/// Takes a text over that somebody forked, or that a puzzle begins with.
fn take_over(state: &mut PlaygroundState, played: Option<&Played>) {
    let Some(played) = played else { return };
    let Some((number, text)) = &played.forked else { return };
    let (seen, taken, runs) = &state.forked;
    // A page has a new engine for each file, which counts from the beginning.
    if number != seen || text != taken || played.runs < *runs {
        state.text.clone_from(text);
        state.run = Some(text.clone());
        state.forked.1.clone_from(text);
    }
    (state.forked.0, state.forked.2) = (*number, played.runs);
}

/// What stands above the editor.
fn tools(
    ui: &mut Ui,
    view: &View<'_>,
    puzzle: Option<&PuzzleView>,
    state: &mut PlaygroundState,
    commands: &mut Vec<Command>,
) {
    if puzzle.is_none() {
        for (label, about, piece) in PIECES {
            if ui.button(*label).on_hover_text(*about).clicked() {
                let line = piece.replace("{}", &fresh_name(&state.text));
                append(&mut state.text, &line);
            }
        }
        let last = last_name(&state.text);
        let free = ui.add_enabled(last.is_some(), Button::new("free the last"));
        if let Some(name) =
            last.filter(|_| free.on_hover_text("Free the block that was asked for last").clicked())
        {
            append(&mut state.text, &format!("free({name})"));
        }
    }
    if ui.button("Clear").on_hover_text("Begin with nothing").clicked() {
        state.text.clear();
    }
    if ui.button("Copy link").on_hover_text("A link that holds this whole program").clicked() {
        let (text, step) = (state.text.clone(), view.picture.step);
        let link = match puzzle {
            Some(puzzle) => {
                let what = What::Puzzle { id: puzzle.id.clone(), program: Some(text) };
                Link { what, ..Link::default() }
            }
            None => Link { what: What::Program(text), step: Some(At::Step(step)), ..Link::default() },
        };
        commands.push(Command::Share(link));
    }
    if ui
        .button("Save as a trace")
        .on_hover_text("Save the operations as a file that can be opened here and by `arenascope replay`")
        .clicked()
    {
        commands.push(Command::Order(Order::SaveProgram));
    }
    if puzzle.is_none()
        && ui
            .button("Take what is open")
            .on_hover_text("Put the lesson's program, or the operations up to this step, into the editor")
            .clicked()
    {
        commands.push(Command::Fork);
    }
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
}

/// Names that a program gives, in order.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim())
}

/// A name that the program does not have yet.
fn fresh_name(text: &str) -> String {
    let letters = ('a'..='z').map(|letter| letter.to_string());
    let numbered = (1..).map(|number| format!("x{number}"));
    let taken = |name: &String| text.contains(&format!("{name} =")) || text.contains(&format!("{name}["));
    letters.chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// The block that was made last and is not freed in so many words.
fn last_name(text: &str) -> Option<String> {
    let made: Vec<&str> = names(text).filter(|name| !name.contains(['[', ' '])).collect();
    made.into_iter().rev().find(|name| !text.contains(&format!("free({name})"))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_choose_names_that_are_free() {
        assert_eq!(fresh_name(""), "a");
        assert_eq!(fresh_name("a = malloc(3)\nb[1] = malloc(3)\n"), "c");
        assert_eq!(last_name("a = malloc(3)\nb = malloc(3)\nfree(b)\n").as_deref(), Some("a"));
        assert_eq!(last_name("x[1] = malloc(3)\n"), None);
    }
}
