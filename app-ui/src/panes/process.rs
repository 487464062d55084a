//! The process of which the trace has the picture: where it comes from, where its memory is, and the types that have most of it.

use std::fmt::Write as _;

use egui::{Align2, FontId, Grid, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};
use session::diagnosis::{Key, Rule};
use session::format::{bytes, count, grouped, instant, printable};
use session::view::process::{ChunkSum, PictureSource, ProcessFacts, TypeFacts};

use super::treemap::places;
use super::{View, Wishes, outline};
use crate::command::{Action, Command, HoldersAsk};
use crate::theme::Theme;

/// Panes narrower than this have the table below its picture.
const NARROW: f32 = 640.0;
/// The picture's height.
const HEIGHT: f32 = 210.0;
/// Rows of the table of types.
const TYPES: usize = 50;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, wishes: &mut Wishes) {
    let Some(process) = &view.head.process else {
        nothing(ui);
        return;
    };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.label(source(&process.source));
        if view.picture.step > 0 {
            ui.weak("This is the moment at which the trace begins, whatever the step.");
        }
        ui.add_space(6.0);
        findings(ui, process, &mut wishes.commands);
        memory(ui, view, process);
        ui.add_space(8.0);
        types(ui, view, process, &mut wishes.commands);
        ui.add_space(8.0);
        chunks(ui, process);
    });
}

fn nothing(ui: &mut Ui) {
    super::empty(
        ui,
        "This trace has no picture of a process. On Linux, Open process\u{2026} takes one of a Python process that runs; so does",
    );
    ui.vertical_centered(|ui| ui.monospace("arenascope xray PID -o picture.atrace"));
}

/// Where the picture comes from, in sentences.
fn source(of: &PictureSource) -> String {
    let mut text = match (of.pid, of.core.is_empty()) {
        (_, false) => format!("The core {} of Python {}", printable(&of.core), printable(&of.python)),
        (pid, true) => format!("Process {pid}, Python {}", printable(&of.python)),
    };
    if of.resident_bytes > 0 {
        let _ = write!(text, ", with {} in memory", bytes(of.resident_bytes));
    }
    if of.taken_s > 0 {
        let _ = write!(text, ", on {}", instant(of.taken_s));
    }
    if of.core.is_empty() {
        let _ = match of.pause_us {
            0 => write!(text, ". It ran on meanwhile"),
            pause => write!(text, ". It was held for {} ms", grouped(pause.div_ceil(1000))),
        };
    }
    text += if of.approximate {
        "; the picture is approximate: parts of it may be of different moments. "
    } else {
        "; the picture is exact. "
    };
    text += if of.contents {
        "It has keys of dicts."
    } else {
        "It has names of modules, types and attributes, and no contents."
    };
    text
}

/// What the memory comes to.
fn findings(ui: &mut Ui, of: &ProcessFacts, commands: &mut Vec<Command>) {
    if of.findings.is_empty() {
        return;
    }
    let resident = of.parts.iter().map(|part| part.1).sum();
    for (says, amount) in &of.findings {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.strong(format!("{} ({}):", bytes(*amount), share(*amount, resident)));
            ui.label(says);
        });
    }
    if ui.link("What speaks for it, and what to try next").clicked() {
        commands.push(Command::Do(Action::TabFindings));
    }
    ui.add_space(8.0);
}

/// The resident memory in its parts: a picture and a table.
fn memory(ui: &mut Ui, view: &View<'_>, of: &ProcessFacts) {
    let mut parts: Vec<(&str, u64)> =
        of.parts.iter().map(|(name, bytes)| (name.as_str(), *bytes)).filter(|part| part.1 > 0).collect();
    if parts.is_empty() {
        ui.weak("It is not known where its memory is.");
        return;
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.1));
    let total: u64 = parts.iter().map(|part| part.1).sum();
    ui.strong("Resident memory");
    let room = ui.available_width();
    if room < NARROW {
        picture(ui, view, &parts, total, room);
        ui.add_space(4.0);
        table(ui, view, &parts, total);
        return;
    }
    ui.horizontal_top(|ui| {
        picture(ui, view, &parts, total, room * 0.5);
        ui.vertical(|ui| table(ui, view, &parts, total));
    });
}

fn share(part: u64, total: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / total.max(1) as f64)
}

/// The color of a part, by its place among them.
fn color(view: &View<'_>, at: usize, parts: usize) -> egui::Color32 {
    view.theme.ramp(at as f32 / parts.saturating_sub(1).max(1) as f32)
}

fn picture(ui: &mut Ui, view: &View<'_>, parts: &[(&str, u64)], total: u64, width: f32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::new(width, HEIGHT), Sense::hover());
    let amounts: Vec<u64> = parts.iter().map(|part| part.1).collect();
    for (at, (place, (name, amount))) in places(&amounts, rect).into_iter().zip(parts).enumerate() {
        let words = format!("{}: {}, {}", printable(name), bytes(*amount), share(*amount, total));
        let response = ui.interact(place, ui.scope_id().with(("part", at)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        let fill = color(view, at, parts.len());
        ui.painter().rect_filled(place.shrink(0.5), 1.0, fill);
        written(ui, place, &[&printable(name), &bytes(*amount), &share(*amount, total)], fill);
        if response.hovered() {
            outline(ui.painter(), place.shrink(1.0), 1.0, view.theme.pinned);
        }
        response.on_hover_ui(|ui| {
            ui.set_max_width(380.0);
            ui.strong(words);
            if let Some(meaning) = meaning(name) {
                ui.label(meaning);
            }
        });
    }
}

/// Writes the lines that fit.
fn written(ui: &Ui, place: Rect, lines: &[&str], fill: egui::Color32) {
    const LINE: f32 = 14.0;
    let inner = place.shrink2(Vec2::new(4.0, 3.0));
    if inner.width() < 34.0 {
        return;
    }
    let painter = ui.painter().with_clip_rect(inner.intersect(ui.clip_rect()));
    for (at, line) in lines.iter().enumerate() {
        let top = inner.top() + at as f32 * LINE;
        if top + LINE <= inner.bottom() + 2.0 {
            let at = egui::pos2(inner.left(), top);
            painter.text(at, Align2::LEFT_TOP, line, FontId::proportional(11.5), Theme::on(fill));
        }
    }
}

fn table(ui: &mut Ui, view: &View<'_>, parts: &[(&str, u64)], total: u64) {
    Grid::new("parts").num_columns(4).min_col_width(0.0).striped(true).spacing([8.0, 2.0]).show(ui, |ui| {
        for (at, (name, amount)) in parts.iter().enumerate() {
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(11.0), Sense::hover());
            ui.painter().rect_filled(rect, 1.0, color(view, at, parts.len()));
            let label = ui.label(RichText::new(printable(name)).size(12.0));
            if let Some(meaning) = meaning(name) {
                label.on_hover_text(meaning);
            }
            ui.label(RichText::new(bytes(*amount)).monospace().size(11.5));
            ui.label(RichText::new(share(*amount, total)).monospace().size(11.5));
            ui.end_row();
        }
    });
}

/// What a part is, by the name that `xray` gives it.
fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "objects in arenas" => "Blocks of pymalloc that have an object in them.",
        "kept by Python's free lists" => "Objects that Python gave up and keeps for the next of their type.",
        "buffers in arenas" => {
            "Blocks in use that are no objects: what objects keep elsewhere, and what C code asked for."
        }
        "free blocks in used pools" => {
            "Free blocks between used ones. New objects of their size class go there first."
        }
        "empty pools in held arenas" => "Pools without a block, in arenas that other pools hold.",
        "pools never used" => "Ends of arenas that were touched and never cut into pools.",
        "objects in C library's heaps" => "Objects larger than 512 bytes, which pymalloc leaves to malloc.",
        "buffers in C library's heaps" => {
            "Chunks of malloc that are no objects: tables of dicts, lists, text of strings, and what C code keeps."
        }
        "objects with mappings of their own" | "buffers with mappings of their own" => {
            "Chunks so large that malloc took a mapping for each; freed, they go back to the system at once."
        }
        "free in C library's heaps" => {
            "Freed, but kept by malloc: malloc_trim(0) gives whole pages of it back."
        }
        "free, cached by C library" => "Freed, and kept by malloc for the next request of the same size.",
        "ends of C library's heaps" => "What malloc has in reserve behind its last chunk.",
        "other anonymous memory" => "Memory of other allocators, and mappings of the program's own.",
        "variables of program and libraries" => "Written data of the program and of its libraries.",
        "code" => "Instructions of the program and its libraries; others that run them share it.",
        "constants and read files" => "Data of files that are mapped and not written to.",
        "shared memory" => "Memory that other processes can have mapped too.",
        _ => return None,
    })
}

/// The types with most bytes.
fn types(ui: &mut Ui, view: &View<'_>, of: &ProcessFacts, commands: &mut Vec<Command>) {
    ui.strong(format!("Types with most bytes, of {}", grouped(of.all_types)));
    ui.weak("A click shows who holds a type, and marks its blocks on the map.");
    Grid::new("types").num_columns(5).striped(true).spacing([14.0, 2.0]).show(ui, |ui| {
        head(ui, &["type", "bytes", "objects", "in arenas", "in chunks"]);
        for row in of.types.iter().take(TYPES) {
            type_row(ui, view, row, commands);
        }
    });
    if of.all_types as usize > TYPES {
        ui.weak("Holders, by type, has all of them.");
    }
}

fn type_row(ui: &mut Ui, view: &View<'_>, row: &TypeFacts, commands: &mut Vec<Command>) {
    let name = printable(&row.name);
    let text = RichText::new(shortened(&name)).monospace().size(11.5);
    // Chunks are no blocks of the map.
    if row.blocks > 0 {
        if ui.link(text).on_hover_text(name).clicked() {
            commands.push(Command::Holders(HoldersAsk::Row {
                key: Some(Key::Type),
                rule: Rule::Sole,
                name: Some(row.name.clone()),
                at: Some(view.picture.step),
            }));
            commands.push(Command::Do(Action::TabHolders));
        }
    } else {
        ui.label(text).on_hover_text(name);
    }
    cells(
        ui,
        &[bytes(row.bytes()), grouped(row.blocks + row.chunks), grouped(row.blocks), grouped(row.chunks)],
    );
    ui.end_row();
}

/// What the C library gave out, and what it keeps.
fn chunks(ui: &mut Ui, of: &ProcessFacts) {
    if of.states.is_empty() {
        return;
    }
    ui.strong("Outside the arenas: chunks of the C library");
    sums(ui, "states", "chunks that are", &of.states);
    if !of.owners.is_empty() {
        ui.add_space(4.0);
        sums(ui, "owners", "in use, by owner", &of.owners);
        let rest = of.all_owners.saturating_sub(of.owners.len() as u64);
        if rest > 0 {
            ui.weak(format!("and {} with less", count(rest, "owner")));
        }
    }
}

fn sums(ui: &mut Ui, salt: &str, title: &str, rows: &[ChunkSum]) {
    Grid::new(salt).num_columns(3).striped(true).spacing([14.0, 2.0]).show(ui, |ui| {
        head(ui, &[title, "bytes", "chunks"]);
        for row in rows {
            let name = printable(&row.name);
            ui.label(RichText::new(shortened(&name)).size(12.0)).on_hover_text(name);
            cells(ui, &[bytes(row.bytes), grouped(row.chunks)]);
            ui.end_row();
        }
    });
}

fn head(ui: &mut Ui, titles: &[&str]) {
    for title in titles {
        ui.label(RichText::new(*title).strong().size(12.0));
    }
    ui.end_row();
}

fn cells(ui: &mut Ui, texts: &[String]) {
    for text in texts {
        ui.label(RichText::new(text).monospace().size(11.5));
    }
}

/// A name's beginning, where it is too long for a table.
fn shortened(name: &str) -> String {
    const LETTERS: usize = 56;
    match name.char_indices().nth(LETTERS) {
        Some((at, _)) => format!("{}\u{2026}", &name[..at]),
        None => name.to_owned(),
    }
}
