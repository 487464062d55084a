//! tracemalloc's view of the step shown: what is traced, who allocated it, and what changed between two
//! steps; what it would say, where it did not run and stacks are known. Texts are those of `Lib/tracemalloc.py`.

use egui::{Button, ComboBox, DragValue, Label, RichText, ScrollArea, Ui};
use session::diagnosis::NotSupposed;
use session::format::{count, grouped};
use session::order::Order;
use session::snapshots::Which;
use session::view::tape::FrameFacts;
use session::view::tracemalloc::{GroupLine, Groups, SupposedPicture, TracemallocLook, TracemallocPicture};
use sim_core::tracemalloc::KeyType;

use super::{View, Wishes, empty};
use crate::command::Command;

/// How groups are made.
pub(crate) struct TracemallocState {
    key: KeyType,
    cumulative: bool,
    diff: bool,
    /// Frames kept of each stack, where tracemalloc is only supposed to have run.
    limit: u16,
    /// The group whose stack is listed.
    chosen: Option<GroupLine>,
}

impl Default for TracemallocState {
    fn default() -> Self {
        Self { key: KeyType::Lineno, cumulative: false, diff: false, limit: 1, chosen: None }
    }
}

impl TracemallocState {
    fn look(&self) -> TracemallocLook {
        let Self { key, cumulative, diff, limit, .. } = *self;
        TracemallocLook { key, cumulative, diff, rows: 0..ROWS, limit }
    }
}

/// Groups that are asked for before it is known which are in view.
const ROWS: u32 = 64;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut TracemallocState, wishes: &mut Wishes) {
    if view.head.supposed.is_ok() {
        supposed(ui, view, state, wishes);
        return;
    }
    if !view.head.layers {
        super::no_layers(
            ui,
            view,
            match view.head.supposed {
                Err(NotSupposed::StacksOfC) => {
                    "tracemalloc watches a program that runs, and the stacks of this recording are those of C code, by which it cannot be said what tracemalloc would say"
                }
                _ => {
                    "tracemalloc watches a program that runs, and this trace does not say that it did, nor has it Python stacks by which it could be said what tracemalloc would say"
                }
            },
        );
        return;
    }
    let look = wishes.look.tracemalloc.insert(state.look());
    let Some(picture) = &view.picture.tracemalloc else { return };
    counters(ui, view, picture);
    controls(ui, Controls::of(picture), state, &mut wishes.commands);
    look.rows = groups(ui, &picture.groups, (picture.key, &picture.kept), state, &mut wishes.commands);
}

/// What tracemalloc would say of a trace in which it did not run.
fn supposed(ui: &mut Ui, view: &View<'_>, state: &mut TracemallocState, wishes: &mut Wishes) {
    let held = view.held;
    let Some(picture) = &held.supposed else {
        wishes.look.tracemalloc = Some(state.look());
        empty(ui, "Looking up where the live blocks were allocated\u{2026}");
        return;
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        if held.step != view.picture.step {
            let old = format!("As of step {}:", grouped(held.step));
            ui.label(RichText::new(old).strong()).on_hover_text("It is looked up anew once the position rests");
        }
        ui.label(
            "tracemalloc did not run here. This is what it would say, had it been started before the first operation.",
        );
        if !picture.caveats.is_empty() {
            ui.weak(format!("But {}.", picture.caveats.join("; ")));
        }
    });
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        let (current, peak) = picture.traced_memory;
        fact(
            ui,
            view,
            "get_traced_memory()",
            &format!("({current}, {peak})"),
            "Bytes that would be traced now, and their peak since the first operation",
        );
    });
    // Another trace may have less deep stacks.
    state.limit = state.limit.clamp(1, picture.deepest.max(1));
    controls(ui, Controls::supposed(picture), state, &mut wishes.commands);
    let mut look = state.look();
    look.rows = groups(ui, &picture.groups, (picture.key, &picture.kept), state, &mut wishes.commands);
    wishes.look.tracemalloc = Some(look);
}

/// The groups, or why there are none; says which are in view.
fn groups(
    ui: &mut Ui,
    groups: &Groups,
    (key, kept): (KeyType, &[Option<String>; 2]),
    state: &mut TracemallocState,
    commands: &mut Vec<Command>,
) -> std::ops::Range<u32> {
    if state.diff
        && let [Some(a), Some(b)] = kept
    {
        ui.weak(format!("B ({b}) compared to A ({a})"));
    }
    match groups {
        Groups::NothingToCompare => {
            empty(ui, "Nothing to compare: keep snapshot A at one step and B at another.");
        }
        Groups::NotTracing => empty(
            ui,
            "Nothing to show: tracemalloc is not tracing at this step; the action tracemalloc_start begins it.",
        ),
        Groups::Error(error) => {
            ui.monospace(error);
        }
        Groups::Lines { total, first, lines } => {
            return list(ui, (*total, *first), lines, key, state, commands);
        }
    }
    0..ROWS
}

/// A name with its value: one piece of text, so that a line does not end between them.
fn fact(ui: &mut Ui, view: &View<'_>, name: &str, value: &str, what: &str) {
    let mut text = egui::text::LayoutJob::default();
    let font = egui::FontId::monospace(12.0);
    text.append(name, 0.0, egui::TextFormat::simple(font.clone(), view.theme.weak));
    text.append(&format!(" {value}"), 0.0, egui::TextFormat::simple(font, view.theme.text));
    ui.add(Label::new(text).extend()).on_hover_text(what);
}

fn counters(ui: &mut Ui, view: &View<'_>, picture: &TracemallocPicture) {
    let (current, peak) = picture.traced_memory;
    let fact = |ui: &mut Ui, name: &str, value: String, what: &str| fact(ui, view, name, &value, what);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        let tracing = if picture.is_tracing { "True" } else { "False" };
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
            picture.traceback_limit.to_string(),
            "Frames kept of each stack; it stays after stop()",
        );
        fact(
            ui,
            "get_tracemalloc_memory()",
            picture.tracemalloc_memory.to_string(),
            "Bytes of tracemalloc's own tables",
        );
    });
    if let Some(stack) = &picture.stack {
        if stack.is_empty() {
            ui.weak("Calls now come from no Python code");
        } else {
            super::stack(ui, "Calls now come from", "now", stack);
        }
    }
}

/// What can be chosen.
#[derive(Clone, Copy)]
struct Controls<'a> {
    /// Whether there is a snapshot to keep.
    keeps: bool,
    kept: &'a [Option<String>; 2],
    taken: &'a [String],
    /// Frames of the deepest stack, where it can be chosen how many are kept.
    deepest: Option<u16>,
}

impl<'a> Controls<'a> {
    fn of(picture: &'a TracemallocPicture) -> Self {
        Self { keeps: picture.is_tracing, kept: &picture.kept, taken: &picture.taken, deepest: None }
    }

    fn supposed(picture: &'a SupposedPicture) -> Self {
        Self { keeps: true, kept: &picture.kept, taken: &[], deepest: Some(picture.deepest) }
    }
}

fn controls(ui: &mut Ui, controls: Controls<'_>, state: &mut TracemallocState, commands: &mut Vec<Command>) {
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
            .on_hover_text("Credit every frame of a stack that is kept, not only the one that allocated");
        if let Some(deepest) = controls.deepest.filter(|deepest| *deepest > 1) {
            frames_kept(ui, state, deepest);
        }
        ui.separator();
        for which in [Which::A, Which::B] {
            let text = format!("Keep {}", which.name());
            if ui
                .add_enabled(controls.keeps, Button::new(text))
                .on_hover_text("take_snapshot() at this step, to compare it with the other one")
                .clicked()
            {
                commands.push(Command::Order(Order::KeepSnapshot(which)));
            }
        }
        taken(ui, controls.taken, commands);
        ui.selectable_value(&mut state.diff, false, "this step");
        ui.selectable_value(&mut state.diff, true, "B compared to A");
        // Behind the buttons, so that none moves when its text changes.
        for (which, kept) in [Which::A, Which::B].into_iter().zip(controls.kept) {
            if let Some(kept) = kept {
                ui.weak(format!("{}: {kept}", which.name()));
            }
        }
    });
}

/// How many frames of each stack are kept, as `tracemalloc.start(nframe)` has it.
fn frames_kept(ui: &mut Ui, state: &mut TracemallocState, deepest: u16) {
    let what = format!(
        "start({}): frames kept of each stack, the most recent ones; the deepest stack here has {}",
        state.limit,
        grouped(u64::from(deepest))
    );
    let drag = DragValue::new(&mut state.limit).range(1..=deepest).prefix("frames: ");
    let response = ui.add(drag);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::SpinButton, true, "Frames kept"));
    response.on_hover_text(what);
    if ui.add_enabled(state.limit < deepest, Button::new("all")).on_hover_text("Keep all frames").clicked() {
        state.limit = deepest;
    }
}

/// The program's own snapshots, to be A or B.
fn taken(ui: &mut Ui, taken: &[String], commands: &mut Vec<Command>) {
    if taken.is_empty() {
        return;
    }
    for which in [Which::A, Which::B] {
        let combo = ComboBox::from_id_salt(("program's snapshot", which.name()))
            .selected_text(format!("{} from\u{2026}", which.name()))
            .width(70.0)
            .show_ui(ui, |ui| {
                for name in taken {
                    if ui.selectable_label(false, name).clicked() {
                        commands.push(Command::Order(Order::UseSnapshot(which, name.clone())));
                    }
                }
            });
        let label = format!("Program's snapshot as {}", which.name());
        combo.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &label));
        combo.response.on_hover_text("A snapshot that the program took");
    }
}

/// The groups as lines; says which are in view.
fn list(
    ui: &mut Ui,
    (total, first): (u32, u32),
    lines: &[GroupLine],
    key: KeyType,
    state: &mut TracemallocState,
    commands: &mut Vec<Command>,
) -> std::ops::Range<u32> {
    ui.horizontal(|ui| {
        if ui.button("Copy").on_hover_text("Copy these lines").clicked() {
            commands.push(Command::Order(Order::CopyGroups));
        }
        ui.weak(count(u64::from(total), "group"));
        if key == KeyType::Traceback && total > 0 {
            ui.weak("A line begins with the oldest frame; a click lists them all.");
        }
    });
    if total == 0 {
        empty(ui, "No block is traced.");
        return 0..ROWS;
    }
    if key != KeyType::Traceback {
        state.chosen = None;
    }
    if let Some(chosen) = &state.chosen {
        let frame =
            |text: &String| FrameFacts { text: text.trim().to_owned(), whole: text.trim().to_owned() };
        let frames: Vec<FrameFacts> = chosen.frames.iter().map(frame).collect();
        super::stack(ui, &chosen.text, "group", &frames);
    }
    let mut seen = super::Seen::default();
    let row = ui.text_style_height(&egui::TextStyle::Monospace);
    ScrollArea::both().auto_shrink(false).show_rows(ui, row, total as usize, |ui, rows| {
        for index in rows {
            seen.note(index as u32);
            let line = (index as u32).checked_sub(first).and_then(|at| lines.get(at as usize));
            let Some(line) = line else {
                // What scrolled into view is on its way.
                ui.label("");
                continue;
            };
            let text = RichText::new(&line.text).monospace().size(12.0);
            let label = Label::new(text).wrap_mode(egui::TextWrapMode::Extend);
            if key != KeyType::Traceback {
                ui.add(label);
                continue;
            }
            let label = ui.add(label.sense(egui::Sense::click()));
            if label.clicked() {
                state.chosen = (state.chosen.as_ref() != Some(line)).then(|| line.clone());
            }
            label.on_hover_text(format!("Most recent call first:\n{}", line.frames.join("\n")));
        }
    });
    seen.range(ROWS)
}
