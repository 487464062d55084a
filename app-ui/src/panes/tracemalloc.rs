//! tracemalloc's view of the step shown: what is traced, who allocated it, and what changed between two
//! steps. Texts are those of `Lib/tracemalloc.py`.

use std::sync::Arc;

use egui::{Button, ComboBox, Label, RichText, ScrollArea, Ui};
use session::actions::stack_text;
use session::format::count;
use session::snapshots::{Kept, Which};
use sim_core::tracemalloc::{KeyType, NamedTraceback, Snapshot, Tracemalloc};

use super::{View, empty};
use crate::command::Command;

/// How groups are made, and what was made last.
pub(crate) struct TracemallocState {
    key: KeyType,
    cumulative: bool,
    diff: bool,
    now: Option<(u64, Arc<Snapshot>)>,
    lines: Option<(Question, Lines)>,
}

impl Default for TracemallocState {
    fn default() -> Self {
        Self { key: KeyType::Lineno, cumulative: false, diff: false, now: None, lines: None }
    }
}

/// What the lines answer: the snapshots (by address), and how they are grouped.
struct Question {
    old: Option<Arc<Snapshot>>,
    new: Arc<Snapshot>,
    key: KeyType,
    cumulative: bool,
}

impl Question {
    fn same(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<Snapshot>>, b: &Option<Arc<Snapshot>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same(&self.old, &other.old)
            && Arc::ptr_eq(&self.new, &other.new)
            && (self.key, self.cumulative) == (other.key, other.cumulative)
    }

    fn answer(&self) -> Lines {
        let line = |text: String, traceback: &NamedTraceback| Line {
            text,
            frames: traceback.format(None, true, |_, _| None),
        };
        let lines = match &self.old {
            Some(old) => self
                .new
                .compare_to(old, self.key, self.cumulative)
                .map(|all| all.iter().map(|d| line(d.to_string(), &d.traceback)).collect()),
            None => self
                .new
                .statistics(self.key, self.cumulative)
                .map(|all| all.iter().map(|s| line(s.to_string(), &s.traceback)).collect()),
        };
        lines.map_err(|e| format!("ValueError: {e}"))
    }
}

struct Line {
    text: String,
    frames: Vec<String>,
}

type Lines = Result<Vec<Line>, String>;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut TracemallocState, commands: &mut Vec<Command>) {
    let session = view.session;
    let Some(layers) = session.machine().layers() else {
        super::no_layers(ui);
        return;
    };
    let engine = layers.tracemalloc();
    counters(ui, view, engine);
    if engine.is_tracing() {
        if state.now.as_ref().is_none_or(|(revision, _)| *revision != session.revision()) {
            state.now = Kept::of(session.machine(), session.step())
                .ok()
                .map(|kept| (session.revision(), kept.snapshot));
        }
    } else {
        state.now = None;
    }
    controls(ui, view, state, engine.is_tracing(), commands);
    let kept = |which| view.selection.snapshots.get(which);
    let question = if state.diff {
        let (Some(a), Some(b)) = (kept(Which::A), kept(Which::B)) else {
            empty(ui, "Nothing to compare: keep snapshot A at one step and B at another.");
            return;
        };
        ui.weak(format!("B ({}) compared to A ({})", b.title(), a.title()));
        Question {
            old: Some(Arc::clone(&a.snapshot)),
            new: Arc::clone(&b.snapshot),
            key: state.key,
            cumulative: state.cumulative,
        }
    } else {
        let Some((_, now)) = &state.now else {
            empty(
                ui,
                "Nothing to show: tracemalloc is not tracing at this step; the action tracemalloc_start begins it.",
            );
            return;
        };
        Question { old: None, new: Arc::clone(now), key: state.key, cumulative: state.cumulative }
    };
    if !state.lines.as_ref().is_some_and(|(q, _)| q.same(&question)) {
        let lines = question.answer();
        state.lines = Some((question, lines));
    }
    if let Some((question, lines)) = &state.lines {
        match lines {
            Err(error) => {
                ui.monospace(error);
            }
            Ok(lines) => list(ui, lines, question.key, commands),
        }
    }
}

fn counters(ui: &mut Ui, view: &View<'_>, engine: &Tracemalloc) {
    let (current, peak) = engine.get_traced_memory();
    let fact = |ui: &mut Ui, name: &str, value: String, what: &str| {
        // One piece of text, so that a line does not end between name and value.
        let mut text = egui::text::LayoutJob::default();
        let font = egui::FontId::monospace(12.0);
        text.append(name, 0.0, egui::TextFormat::simple(font.clone(), view.theme.weak));
        text.append(&format!(" {value}"), 0.0, egui::TextFormat::simple(font, view.theme.text));
        ui.add(Label::new(text).extend()).on_hover_text(what);
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        let tracing = if engine.is_tracing() { "True" } else { "False" };
        fact(ui, "is_tracing()", tracing.to_owned(), "Whether tracemalloc's hooks are in the three tables");
        fact(
            ui,
            "get_traced_memory()",
            format!("({current}, {peak})"),
            "Bytes traced now and their peak, over all of tracemalloc's domains",
        );
        fact(
            ui,
            "get_traceback_limit()",
            engine.get_traceback_limit().to_string(),
            "Frames kept of each stack; it stays after stop()",
        );
        fact(
            ui,
            "get_tracemalloc_memory()",
            engine.get_tracemalloc_memory().to_string(),
            "Bytes of tracemalloc's own tables",
        );
    });
    if let Some(stack) = view.session.stack() {
        let text = if stack.is_empty() { "no Python code".to_owned() } else { stack_text(&stack) };
        ui.add(
            Label::new(RichText::new(format!("Calls now come from {text}")).color(view.theme.weak))
                .truncate(),
        );
    }
}

fn controls(
    ui: &mut Ui,
    view: &View<'_>,
    state: &mut TracemallocState,
    tracing: bool,
    commands: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        let word = |key| match key {
            KeyType::Lineno => "line",
            KeyType::Filename => "file",
            KeyType::Traceback => "traceback",
        };
        let combo = ComboBox::from_id_salt("key type")
            .selected_text(format!("by {}", word(state.key)))
            .show_ui(ui, |ui| {
                for key in [KeyType::Lineno, KeyType::Filename, KeyType::Traceback] {
                    ui.selectable_value(&mut state.key, key, word(key));
                }
            });
        combo.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Group by"));
        ui.checkbox(&mut state.cumulative, "cumulative")
            .on_hover_text("Credit every frame of a stack, not only the one that allocated");
        ui.separator();
        for which in [Which::A, Which::B] {
            let text = format!("Keep {}", which.name());
            if ui
                .add_enabled(tracing, Button::new(text))
                .on_hover_text("take_snapshot() at this step, to compare it with the other one")
                .clicked()
            {
                commands.push(Command::KeepSnapshot(which));
            }
        }
        taken(ui, view, commands);
        ui.selectable_value(&mut state.diff, false, "this step");
        ui.selectable_value(&mut state.diff, true, "B compared to A");
        // Behind the buttons, so that none moves when its text changes.
        for which in [Which::A, Which::B] {
            if let Some(kept) = view.selection.snapshots.get(which) {
                ui.weak(format!("{}: {}", which.name(), kept.title()));
            }
        }
    });
}

/// The program's own snapshots, to be A or B.
fn taken(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let Some(layers) = view.session.machine().layers().filter(|l| !l.snapshots().is_empty()) else { return };
    for which in [Which::A, Which::B] {
        let combo = ComboBox::from_id_salt(("program's snapshot", which.name()))
            .selected_text(format!("{} from\u{2026}", which.name()))
            .width(70.0)
            .show_ui(ui, |ui| {
                for name in layers.snapshots().keys() {
                    if ui.selectable_label(false, name).clicked() {
                        commands.push(Command::UseSnapshot(which, name.clone()));
                    }
                }
            });
        let label = format!("Program's snapshot as {}", which.name());
        combo.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &label));
        combo.response.on_hover_text("A snapshot that the program took");
    }
}

fn list(ui: &mut Ui, lines: &[Line], key: KeyType, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        if ui.button("Copy").on_hover_text("Copy these lines").clicked() {
            let all: Vec<String> = lines
                .iter()
                .map(|line| match key {
                    KeyType::Traceback => format!("{}\n{}", line.text, line.frames.join("\n")),
                    _ => line.text.clone(),
                })
                .collect();
            commands.push(Command::Copy(all.join("\n")));
        }
        ui.weak(count(lines.len() as u64, "group"));
    });
    if lines.is_empty() {
        empty(ui, "No block is traced.");
        return;
    }
    let row = ui.text_style_height(&egui::TextStyle::Monospace);
    ScrollArea::both().auto_shrink(false).show_rows(ui, row, lines.len(), |ui, rows| {
        for line in &lines[rows] {
            let text = RichText::new(&line.text).monospace().size(12.0);
            let label = ui.add(Label::new(text).wrap_mode(egui::TextWrapMode::Extend));
            if key == KeyType::Traceback {
                label.on_hover_text(format!("Most recent call first:\n{}", line.frames.join("\n")));
            }
        }
    });
}
