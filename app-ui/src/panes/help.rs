//! What lies over the panes: help, the go-to field and the command palette.

use egui::{Grid, Id, Key, Modal, RichText, ScrollArea, TextEdit, Ui};
use session::format::{grouped, parse_address, parse_step};
use session::order::Order;
use session::view::MarkFacts;
use session::{At, Place};

use crate::apply::{Overlay, State};
use crate::command::{ACTIONS, Action, Command, key_text};
use crate::theme::Theme;

use super::processes::{self, Chosen};
use super::still;

/// What is being typed.
#[derive(Default)]
pub(crate) struct OverlayState {
    text: String,
    chosen: usize,
    process: Chosen,
    open: Option<Overlay>,
}

/// Draws whatever is open. Says whether it is to be closed.
pub(crate) fn ui(
    ctx: &egui::Context,
    state: &State,
    local: &mut OverlayState,
    theme: &Theme,
    commands: &mut Vec<Command>,
) -> bool {
    let Some(overlay) = state.overlay else {
        local.open = None;
        return false;
    };
    let fresh = local.open != Some(overlay);
    if fresh {
        *local = OverlayState { open: Some(overlay), ..OverlayState::default() };
    }
    let mut close = false;
    let still = state.still.as_deref();
    let modal = Modal::new(Id::unique("overlay").with(overlay as u8)).show(ctx, |ui| match overlay {
        Overlay::Help => close |= help(ui),
        Overlay::GoTo => close |= go_to(ui, state, local, fresh, commands),
        Overlay::Palette => close |= palette(ui, state, local, fresh, commands),
        Overlay::Path => close |= path(ui, state, local, fresh, commands),
        Overlay::Processes => {
            close |= processes::ui(ui, state, (&mut local.text, &mut local.process), fresh, commands);
        }
        Overlay::Still => close |= still.is_none_or(|still| still::ui(ui, still, theme)),
    });
    close || modal.should_close()
}

fn help(ui: &mut Ui) -> bool {
    let room = ui.ctx().content_rect();
    ui.set_width(700.0_f32.min(room.width() - 60.0));
    ui.heading("Help");
    ui.label(
        "The map shows the memory of CPython's small-block allocator, pymalloc, after some number of operations of a trace. \
         It asks the system for arenas, cuts them into pools, and gives each pool to one size class, whose blocks it hands out.",
    );
    ui.label(
        "A step does the next operation of the trace; What happened says what the allocator did, function by function. \
         Going back replays to the step before: every picture is exact.",
    );
    ui.add_space(6.0);
    ScrollArea::vertical().max_height(room.height() - 230.0).show(ui, |ui| {
        for group in ["Time", "Find", "Map", "Window"] {
            ui.label(RichText::new(group).strong());
            Grid::new(("help", group)).num_columns(3).striped(true).spacing([16.0, 3.0]).show(ui, |ui| {
                for meta in ACTIONS.iter().filter(|m| m.group == group && !m.keys.is_empty()) {
                    let keys: Vec<String> = meta.keys.iter().map(|k| key_text(ui.ctx(), *k)).collect();
                    ui.monospace(keys.join("  "));
                    ui.label(meta.label);
                    ui.label(RichText::new(meta.tip).weak());
                    ui.end_row();
                }
            });
            ui.add_space(4.0);
        }
        ui.label(RichText::new("Mouse").strong());
        ui.label("Click pins a place in the inspector, a double click opens it. The wheel goes a level in or out; where there is something to scroll, Ctrl and the wheel do.");
        ui.label("Drop a file anywhere to open it, or paste the text of sys._debugmallocstats() or of a trace. Nothing leaves this machine.");
        ui.add_space(4.0);
        ui.label(RichText::new("What can be opened").strong());
        Grid::new("formats").num_columns(2).striped(true).spacing([16.0, 3.0]).show(ui, |ui| {
            for format in trace_io::Format::ALL {
                ui.monospace(format.name());
                ui.label(format.about());
                ui.end_row();
            }
        });
        ui.label("Each plain or packed with zstd, LZ4 or gzip, and told by its first bytes, whatever its name.");
    });
    ui.add_space(4.0);
    ui.button("Close").clicked()
}

fn go_to(
    ui: &mut Ui,
    state: &State,
    local: &mut OverlayState,
    fresh: bool,
    commands: &mut Vec<Command>,
) -> bool {
    ui.set_width(380.0);
    ui.heading("Go to");
    let (total, marks) = state.shown.open().map_or((0, &[][..]), |(head, _)| (head.len, &head.marks[..]));
    let label = ui.label(format!(
        "A step from 0 to {}, a share such as 50%, start, end, peak, a mark such as mark:NAME, or an address such as 0x7e0000004030",
        grouped(total)
    ));
    let field =
        ui.add(TextEdit::singleline(&mut local.text).desired_width(f32::INFINITY)).labelled_by(label.id);
    if fresh {
        field.request_focus();
    }
    let target = target(&local.text, total);
    if target.is_none() && !local.text.trim().is_empty() {
        ui.label("That is no step, share, mark or address.");
    }
    let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    let mut close = false;
    for mark in matching(marks, &local.text) {
        let text = format!("{}, step {}", mark.name, grouped(mark.step));
        if ui.link(text).clicked() {
            commands.push(Command::Order(Order::Seek(mark.step)));
            close = true;
        }
    }
    ui.horizontal(|ui| {
        let go = ui.add_enabled(target.is_some(), egui::Button::new("Go"));
        if (go.clicked() || entered)
            && let Some(target) = target
        {
            commands.push(target);
            close = true;
        }
        close |= ui.button("Cancel").clicked();
    });
    if entered && !close {
        field.request_focus();
    }
    close
}

/// A file's path, where there is no dialog to choose it in.
fn path(
    ui: &mut Ui,
    state: &State,
    local: &mut OverlayState,
    fresh: bool,
    commands: &mut Vec<Command>,
) -> bool {
    ui.set_width(520.0_f32.min(ui.ctx().content_rect().width() - 60.0));
    ui.heading("Open a file by its path");
    if let Some(why) = &state.no_dialog {
        ui.label(format!("{why}. Type or paste the file's path here, or drop the file on the window."));
    }
    let label = ui.label("Path of the file");
    let hint =
        TextEdit::singleline(&mut local.text).desired_width(f32::INFINITY).hint_text("/tmp/capture.bin");
    let field = ui.add(hint).labelled_by(label.id);
    if fresh {
        field.request_focus();
    }
    let written = local.text.trim();
    let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    let mut close = false;
    ui.horizontal(|ui| {
        let open = ui.add_enabled(!written.is_empty(), egui::Button::new("Open"));
        if (open.clicked() || entered) && !written.is_empty() {
            commands.push(Command::OpenPath(written.to_owned()));
            close = true;
        }
        close |= ui.button("Cancel").clicked();
    });
    if entered && !close {
        field.request_focus();
    }
    close
}

fn target(text: &str, total: u64) -> Option<Command> {
    if let Some(addr) = parse_address(text) {
        return Some(Command::Order(Order::Enter(Place::Block(addr))));
    }
    if let Some(step) = parse_step(text, total) {
        return Some(Command::Order(Order::Seek(step.min(total))));
    }
    text.parse().ok().map(|at: At| Command::Order(Order::At(at)))
}

/// The first marks whose name has what is typed in it.
fn matching<'a>(marks: &'a [MarkFacts], typed: &str) -> impl Iterator<Item = &'a MarkFacts> {
    const MOST: usize = 8;
    let typed = typed.trim().to_lowercase();
    let wanted = typed.strip_prefix("mark:").unwrap_or(&typed).trim().to_owned();
    marks.iter().filter(move |mark| mark.name.to_lowercase().contains(&wanted)).take(MOST)
}

fn palette(
    ui: &mut Ui,
    state: &State,
    local: &mut OverlayState,
    fresh: bool,
    commands: &mut Vec<Command>,
) -> bool {
    ui.set_width(440.0);
    let label = ui.label("Type a part of a command's name");
    // Up and down choose, so they must not move the text cursor or the focus.
    let (up, down) = ui.input_mut(|i| {
        let mut count = |key| i.count_and_consume_key(egui::Modifiers::NONE, key);
        (count(Key::ArrowUp), count(Key::ArrowDown))
    });
    let field =
        ui.add(TextEdit::singleline(&mut local.text).desired_width(f32::INFINITY)).labelled_by(label.id);
    if fresh {
        field.request_focus();
    }
    if field.changed() {
        local.chosen = 0;
    }
    let wanted = local.text.to_lowercase();
    let mut hits: Vec<_> = ACTIONS
        .iter()
        .filter(|m| m.action != Action::OpenProcess || state.processes.is_some())
        .filter(|m| {
            m.action != Action::Palette && !matches!(m.action, Action::DismissError | Action::DismissHint)
        })
        .filter(|m| {
            wanted
                .split_whitespace()
                .all(|w| m.label.to_lowercase().contains(w) || m.tip.to_lowercase().contains(w))
        })
        .collect();
    // A word of the name counts for more than one of the sentence.
    hits.sort_by_key(|m| !wanted.split_whitespace().all(|w| m.label.to_lowercase().contains(w)));
    local.chosen = (local.chosen + down).saturating_sub(up).min(hits.len().saturating_sub(1));
    let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    let mut done = None;
    ScrollArea::vertical().max_height(340.0).min_scrolled_height(340.0).auto_shrink(false).show(ui, |ui| {
        for (index, meta) in hits.iter().enumerate() {
            let mut button = egui::Button::selectable(index == local.chosen, meta.label)
                .min_size(egui::vec2(ui.available_width(), 0.0));
            if let Some(key) = meta.keys.first() {
                button = button.shortcut_text(key_text(ui.ctx(), *key));
            }
            let response = ui.add(button).on_hover_text(meta.tip);
            if up + down > 0 && index == local.chosen {
                response.scroll_to_me(None);
            }
            if response.clicked() {
                done = Some(meta.action);
            }
        }
        if hits.is_empty() {
            ui.weak("No command has that in its name");
        }
    });
    if entered {
        done = done.or_else(|| hits.get(local.chosen).map(|m| m.action));
    }
    if let Some(action) = done {
        commands.push(Command::Do(action));
    }
    done.is_some()
}
