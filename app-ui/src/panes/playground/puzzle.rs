//! The puzzle that the program is to solve: its task, its goals and how the program stands, above the editor.

use egui::{Align, Button, CollapsingHeader, Frame, Label, Layout, RichText, ScrollArea, Ui};
use session::format::grouped;
use session::puzzle::{GoalView, PuzzleView, Standing};

use super::super::View;
use super::super::text::pieces;
use crate::command::Command;
use crate::examples;
use crate::progress::Progress;

/// What is kept of the puzzle that is open.
#[derive(Default)]
pub(super) struct PuzzleState {
    of: String,
    hint: bool,
    /// Whether it was asked if the solution is to be shown.
    asks: bool,
    solution: bool,
}

/// Size of the task's text.
const TEXT: f32 = 14.5;
/// Lines of what is given that are shown without being asked for.
const LINES: usize = 4;

/// Draws it. A program to take into the editor comes back.
pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    puzzle: &PuzzleView,
    progress: &Progress,
    state: &mut PuzzleState,
    commands: &mut Vec<Command>,
) -> Option<String> {
    if state.of != puzzle.id {
        *state = PuzzleState { of: puzzle.id.clone(), ..PuzzleState::default() };
    }
    let mut taken = None;
    head(ui, puzzle, commands);
    // The editor keeps some lines, and what is said of the score stays in view.
    let most = (ui.available_height() - 250.0).max(ui.available_height() * 0.36);
    ScrollArea::vertical().id_salt(("puzzle", &puzzle.id)).max_height(most).auto_shrink([false, true]).show(
        ui,
        |ui| {
            pieces(ui, &puzzle.task, TEXT, commands);
            if let Some(why) = &puzzle.elsewhere {
                Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
                    ui.label(RichText::new(why).color(view.theme.text));
                });
                return;
            }
            if !puzzle.given.is_empty() {
                let lines = puzzle.given.lines().count();
                CollapsingHeader::new("Runs first").id_salt(&puzzle.id).default_open(lines <= LINES).show(
                    ui,
                    |ui| {
                        code(ui, &puzzle.given);
                    },
                );
            }
            ui.add_space(4.0);
            for goal in &puzzle.goals {
                goal_ui(ui, view, goal, commands);
            }
            if state.hint {
                pieces(ui, &puzzle.hint, TEXT - 1.0, commands);
            }
            if state.solution {
                code(ui, &puzzle.solution);
            }
        },
    );
    if puzzle.elsewhere.is_none() {
        score(ui, view, puzzle, progress);
        taken = buttons(ui, puzzle, progress, state, commands);
    }
    ui.separator();
    taken
}

fn head(ui: &mut Ui, puzzle: &PuzzleView, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui
                .button("All puzzles")
                .on_hover_text("Leave this puzzle; the window is laid out as before")
                .clicked()
            {
                commands.push(Command::LeavePuzzle);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(Label::new(RichText::new(&puzzle.title).heading()).truncate());
            });
        });
    });
    if let Some((index, example)) = examples::lesson(&puzzle.lesson) {
        ui.horizontal_wrapped(|ui| {
            ui.weak("A puzzle to");
            if ui.link(format!("lesson {}", example.label)).clicked() {
                commands.push(Command::Example(index));
            }
        });
    }
}

/// Whether a goal is reached stands there in words: colors say it to some alone.
fn goal_ui(ui: &mut Ui, view: &View<'_>, goal: &GoalView, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        if goal.holds {
            ui.label(RichText::new("Reached:").strong().color(view.theme.touched));
        } else {
            ui.label(RichText::new("Not yet:").strong());
        }
        pieces(ui, &goal.say, TEXT - 1.0, commands);
    });
    if !goal.holds && !goal.why.is_empty() {
        ui.indent("why", |ui| pieces(ui, &goal.why, TEXT - 2.0, commands));
    }
}

fn score(ui: &mut Ui, view: &View<'_>, puzzle: &PuzzleView, progress: &Progress) {
    let unit = &puzzle.unit;
    let order = if puzzle.more { "more is better" } else { "fewer is better" };
    let said = |score: i64| format!("{} {unit}", grouped(score.unsigned_abs()));
    let now = puzzle.score.map_or_else(|| "none yet".to_owned(), said);
    ui.label(format!("Score: {now}. Best known: {}, {order}.", said(puzzle.best)));
    let said = match puzzle.standing {
        Standing::Open => None,
        Standing::Solved => Some("Solved. The best known score is better."),
        Standing::Best => Some("Solved, with the best score that is known."),
        Standing::Better => Some("Solved, with a better score than any that was known."),
    };
    if let Some(said) = said {
        let seen = progress.revealed(&puzzle.id) && progress.best(&puzzle.id).is_none();
        let said = if seen {
            format!("{said} You looked at the solution, so it does not count.")
        } else {
            said.to_owned()
        };
        Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(6).show(ui, |ui| {
            ui.label(RichText::new(said).strong().color(view.theme.text));
        });
    }
}

fn buttons(
    ui: &mut Ui,
    puzzle: &PuzzleView,
    progress: &Progress,
    state: &mut PuzzleState,
    commands: &mut Vec<Command>,
) -> Option<String> {
    let mut taken = None;
    ui.horizontal_wrapped(|ui| {
        let hint = Button::selectable(state.hint, "Hint");
        if ui.add(hint).on_hover_text("What helps").clicked() {
            state.hint = !state.hint;
        }
        if state.solution {
            if ui.button("Put it into the editor").clicked() {
                taken = Some(puzzle.solution.clone());
            }
        } else if state.asks {
            ui.label("Then it does not count as solved by you.");
            if ui.button("Show it anyway").clicked() {
                state.asks = false;
                state.solution = true;
                commands.push(Command::ShowSolution(puzzle.id.clone()));
            }
            if ui.button("Not yet").clicked() {
                state.asks = false;
            }
        } else if ui.button("Solution").on_hover_text("A program with the best score that is known").clicked()
        {
            // Who has solved it has nothing to lose.
            let free = progress.best(&puzzle.id).is_some() || progress.revealed(&puzzle.id);
            state.solution = free;
            state.asks = !free;
            if free {
                commands.push(Command::ShowSolution(puzzle.id.clone()));
            }
        }
        if ui.button("Begin again").on_hover_text("Put back what stood here at first").clicked() {
            taken = Some(puzzle.start.clone());
        }
        let next = RichText::new("Next puzzle");
        let next = if puzzle.standing.solved() { next.strong() } else { next };
        if ui.button(next).clicked() {
            commands.push(Command::NextPuzzle);
        }
    });
    taken
}

fn code(ui: &mut Ui, text: &str) {
    Frame::new().fill(ui.visuals().extreme_bg_color).corner_radius(4).inner_margin(6).show(ui, |ui| {
        ScrollArea::horizontal().id_salt(text).auto_shrink([false, true]).show(ui, |ui| {
            ui.add(Label::new(RichText::new(text.trim_end()).monospace().size(12.0)).extend());
        });
    });
}
