//! The dialog in which a process is chosen of which a picture is to be taken.

use egui::{Button, Grid, Key, RichText, ScrollArea, TextEdit, Ui};
use session::format::{bytes, grouped, printable};

use crate::apply::{State, Taking};
use crate::command::Command;
use crate::platform::{ProcessAsk, ProcessRow};

/// How wide what is said of a process's permission may be.
const WHY_WIDTH: f32 = 300.0;

/// What is chosen.
#[derive(Default)]
pub(super) struct Chosen {
    pid: Option<i32>,
    runs_on: bool,
    contents: bool,
}

/// Draws the dialog. Says whether it is to be closed.
pub(super) fn ui(
    ui: &mut Ui,
    state: &State,
    (filter, chosen): (&mut String, &mut Chosen),
    fresh: bool,
    commands: &mut Vec<Command>,
) -> bool {
    let Some(processes) = &state.processes else { return true };
    let room = ui.ctx().content_rect();
    ui.set_width(720.0_f32.min(room.width() - 60.0));
    ui.heading("Open process");
    ui.label(
        "Shows what a Python process that runs has in its memory. It is held for as long as its memory is copied; nothing is run in it \
         and nothing is written into it.",
    );
    if let Some(taking) = processes.taking {
        return progress(ui, taking);
    }
    let label = ui.label("A part of its name, its number or its version");
    let mut reload = false;
    let entered = ui
        .horizontal(|ui| {
            reload = ui.button("Reload").on_hover_text("Look again which processes there are").clicked();
            let field = ui
                .add(TextEdit::singleline(filter).desired_width(f32::INFINITY).hint_text("python"))
                .labelled_by(label.id);
            if fresh {
                field.request_focus();
            }
            field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
        })
        .inner;
    if reload {
        commands.push(Command::ListProcesses);
    }
    ui.add_space(4.0);
    let mut take = None;
    match &processes.rows {
        None => {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label("Looking which processes there are\u{2026}");
            });
        }
        Some(rows) => {
            let found: Vec<&ProcessRow> = rows.iter().filter(|row| matches(row, filter)).collect();
            // What was found last of all is meant by Enter.
            if let [row] = found.as_slice() {
                chosen.pid = Some(row.pid);
            }
            if found.is_empty() {
                let why = if rows.is_empty() {
                    "No process runs a CPython that can be seen from here."
                } else {
                    "No process has that in its name, number or version."
                };
                ui.label(why);
            } else {
                let height = (room.height() - 330.0).clamp(120.0, 420.0);
                ScrollArea::vertical()
                    .max_height(height)
                    .auto_shrink([false, true])
                    .show(ui, |ui| take = table(ui, &found, chosen));
            }
            let readable = |pid: i32| found.iter().any(|row| row.pid == pid && row.refused.is_none());
            chosen.pid = chosen.pid.filter(|pid| readable(*pid));
        }
    }
    ui.add_space(6.0);
    ui.checkbox(&mut chosen.runs_on, "Let it run meanwhile").on_hover_text(
        "It is not stopped, so that parts of the picture may be of different moments: the picture is approximate",
    );
    ui.checkbox(&mut chosen.contents, "Show keys of dicts").on_hover_text(
        "Else only their types and lengths are shown. Names of modules, types and attributes always are",
    );
    let mut close = false;
    ui.horizontal(|ui| {
        let open = ui.add_enabled(chosen.pid.is_some(), Button::new("Open"));
        if open.clicked() || entered {
            take = take.or(chosen.pid);
        }
        close = ui.button("Cancel").clicked();
    });
    if let Some(pid) = take {
        let Chosen { runs_on, contents, .. } = *chosen;
        commands.push(Command::TakePicture(ProcessAsk { pid, runs_on, contents }));
    }
    close
}

/// How far the picture is.
fn progress(ui: &mut Ui, Taking { pid, pause_us }: Taking) -> bool {
    ui.add_space(10.0);
    ui.horizontal_wrapped(|ui| {
        ui.spinner();
        match pause_us {
            None => ui.label(format!("Copying the memory of process {pid}\u{2026}")),
            Some(0) => ui.label("It ran on. Working out what is in the copy\u{2026}"),
            Some(pause_us) => {
                let pause = grouped(pause_us.div_ceil(1000));
                ui.label(format!(
                    "It was held for {pause} ms and runs again. Working out what is in the copy\u{2026}"
                ))
            }
        };
    });
    ui.add_space(10.0);
    ui.button("Cancel").on_hover_text("Do without the picture").clicked()
}

/// Whether a process has each word that is typed.
fn matches(row: &ProcessRow, typed: &str) -> bool {
    let python = row.python.as_deref().unwrap_or_default();
    let all = format!("{} {} python {python}", row.name, row.pid).to_lowercase();
    typed.to_lowercase().split_whitespace().all(|word| all.contains(word))
}

/// The processes. The one that was clicked twice is given back.
fn table(ui: &mut Ui, rows: &[&ProcessRow], chosen: &mut Chosen) -> Option<i32> {
    let mut take = None;
    Grid::new("processes").num_columns(5).striped(true).spacing([16.0, 4.0]).show(ui, |ui| {
        for title in ["name", "number", "in memory", "Python", "may be read"] {
            ui.label(RichText::new(title).strong().size(12.0));
        }
        ui.end_row();
        for row in rows {
            let readable = row.refused.is_none();
            let name = Button::selectable(chosen.pid == Some(row.pid), printable(&row.name).into_owned());
            let name = ui.add_enabled(readable, name);
            if name.clicked() {
                chosen.pid = Some(row.pid);
            }
            if name.double_clicked() {
                take = Some(row.pid);
            }
            ui.monospace(row.pid.to_string());
            ui.monospace(bytes(row.resident_bytes));
            ui.monospace(row.python.as_deref().unwrap_or("?"));
            ui.scope(|ui| {
                ui.set_max_width(WHY_WIDTH);
                match &row.refused {
                    None => ui.label("yes"),
                    Some(why) => {
                        ui.add(egui::Label::new(RichText::new(printable(why)).weak().size(11.5)).wrap())
                    }
                }
            });
            ui.end_row();
        }
    });
    take
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_to_be_there() {
        let row = ProcessRow {
            pid: 4711,
            name: "Worker".to_owned(),
            resident_bytes: 1 << 20,
            python: Some("3.11".to_owned()),
            refused: None,
        };
        for typed in ["", "work", "471 3.11", "PYTHON"] {
            assert!(matches(&row, typed), "{typed}");
        }
        for typed in ["4712", "work 3.12"] {
            assert!(!matches(&row, typed), "{typed}");
        }
    }
}
