//! A block's bytes as debug hooks lay them out: size, API id and pads around the data, and what the
//! checks say. Each byte has a letter besides its color.

use egui::{Align2, FontId, Rect, RichText, ScrollArea, Sense, Stroke, Ui, Vec2, WidgetInfo};
use session::analysis::anatomy::{Anatomy, Part};
use session::format::count;
use sim_core::Addr;

use super::View;
use crate::command::Command;
use crate::theme::Theme;

/// Bytes of a row.
const ROW: u64 = 16;
/// Width of the address in front of them.
const ADDRESS_WIDTH: f32 = 118.0;
/// Width of one.
const BYTE_WIDTH: f32 = 27.0;
/// Width of an address and sixteen bytes.
const BYTES_WIDTH: f32 = ADDRESS_WIDTH + 16.0 * BYTE_WIDTH + 6.0;

/// The letter that a byte has besides its color.
fn letter(part: Part) -> char {
    match part {
        Part::Size => 'S',
        Part::Id => 'I',
        Part::Pad => 'F',
        Part::Data => 'D',
        Part::Rounding => '\u{b7}',
        Part::Link => 'L',
        Part::Dead => 'X',
        Part::Other => '?',
    }
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    if !view.head.layers {
        super::no_layers(
            ui,
            view,
            "A trace of calls does not have the bytes that the program wrote, so there is nothing for debug hooks to check",
        );
        return;
    }
    let Some(debug) = &view.picture.debug else { return };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        if let Some(text) = &debug.fatal {
            fatal(ui, view, text, commands);
        }
        let Some(anatomy) = &debug.block else {
            ui.label("Nothing to show: no operation has touched a block yet; step on, or click a block on the map.");
            return;
        };
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format!("Block at {}", anatomy.p)).strong());
            ui.weak(if anatomy.chosen {
                "the selected block (Escape follows the steps again)"
            } else {
                "the block touched last"
            });
        });
        for line in &anatomy.lines {
            ui.label(line);
        }
        ui.add_space(4.0);
        dump(ui, view, anatomy);
        ui.add_space(6.0);
        legend(ui, view, anatomy.headers > 0);
    });
}

/// CPython's last words.
fn fatal(ui: &mut Ui, view: &View<'_>, text: &str, commands: &mut Vec<Command>) {
    egui::Frame::new().fill(view.theme.error).corner_radius(4).inner_margin(8).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(
                RichText::new("Here the process ends. It would have printed:")
                    .strong()
                    .color(view.theme.error_text),
            );
            if ui.button("Copy").on_hover_text("Copy the text that CPython prints").clicked() {
                commands.push(Command::Copy(text.to_owned()));
            }
        });
        let text = RichText::new(text).monospace().size(12.0).color(view.theme.error_text);
        ui.add(egui::Label::new(text).selectable(true).wrap());
    });
    ui.add_space(6.0);
}

/// The rows. Only those in view are drawn.
fn dump(ui: &mut Ui, view: &View<'_>, anatomy: &Anatomy) {
    let theme = view.theme;
    let two = anatomy.headers > 1;
    // Where sixteen bytes do not fit beside each other, eight do, without their letters.
    let row_bytes = if ui.available_width() < BYTES_WIDTH { ROW / 2 } else { ROW };
    let width = if row_bytes == ROW { 690.0 } else { ADDRESS_WIDTH + 8.0 * BYTE_WIDTH };
    let height = 33.0;
    let first = anatomy.start.0 / row_bytes * row_bytes;
    let lead = (anatomy.start.0 - first) as usize;
    let rows = (lead + anatomy.bytes.len()).div_ceil(row_bytes as usize);
    let high = (rows as f32 * (height + 2.0)).min((ui.available_height() - 60.0).max(180.0));
    ui.spacing_mut().item_spacing.y = 2.0;
    ScrollArea::both().id_salt("bytes").max_height(high).auto_shrink(false).show_rows(
        ui,
        height,
        rows,
        |ui, range| {
            for row in range {
                let cells: Vec<Option<usize>> = (0..row_bytes as usize)
                    .map(|i| {
                        (row * row_bytes as usize + i)
                            .checked_sub(lead)
                            .filter(|at| *at < anatomy.bytes.len())
                    })
                    .collect();
                let addr = Addr(first + row as u64 * row_bytes);
                let (rect, response) = ui.allocate_exact_size(Vec2::new(width, height), Sense::hover());
                response.widget_info(|| {
                    WidgetInfo::labeled(egui::Role::Label, true, spoken(anatomy, addr, &cells))
                });
                let painter = ui.painter();
                let mono = FontId::monospace(12.0);
                painter.text(rect.left_center(), Align2::LEFT_CENTER, addr, mono.clone(), theme.weak);
                for (i, cell) in cells.iter().enumerate() {
                    let Some(at) = *cell else { continue };
                    let (part, domain) = anatomy.parts[at];
                    let x =
                        rect.left() + ADDRESS_WIDTH + i as f32 * BYTE_WIDTH + if i >= 8 { 6.0 } else { 0.0 };
                    let cell = Rect::from_min_size(egui::pos2(x, rect.top()), Vec2::new(26.0, height));
                    let ground = theme.part(part);
                    painter.rect_filled(cell, 2.0, ground);
                    let ink = Theme::on(ground);
                    let hex = format!("{:02x}", anatomy.bytes[at]);
                    painter.text(
                        cell.center_top() + Vec2::new(0.0, 2.0),
                        Align2::CENTER_TOP,
                        hex,
                        mono.clone(),
                        ink,
                    );
                    let mut letter = letter(part).to_string();
                    if two
                        && part != Part::Data
                        && let Some(domain) = domain
                    {
                        letter.push(domain.letter());
                    }
                    if anatomy.damaged[at] {
                        letter.insert(0, '!');
                        let mark = Stroke::new(2.5, theme.touched);
                        painter.rect_stroke(cell, 2.0, mark, egui::StrokeKind::Inside);
                    }
                    let foot = cell.center_bottom() - Vec2::new(0.0, 1.0);
                    painter.text(foot, Align2::CENTER_BOTTOM, letter, FontId::monospace(10.0), ink);
                    // The program's pointer.
                    if anatomy.start.offset(at as u64) == anatomy.p {
                        let stroke = Stroke::new(2.5, theme.pinned);
                        painter.line_segment([cell.left_top(), cell.left_bottom()], stroke);
                    }
                }
                if row_bytes < ROW {
                    continue;
                }
                let letters: String =
                    cells.iter().map(|c| c.map_or(' ', |at| shown(anatomy.bytes[at]))).collect();
                let x = rect.left() + ADDRESS_WIDTH + 16.0 * BYTE_WIDTH + 14.0;
                painter.text(egui::pos2(x, rect.center().y), Align2::LEFT_CENTER, letters, mono, theme.text);
            }
        },
    );
}

/// A row for a screen reader, and for whoever copies it.
fn spoken(anatomy: &Anatomy, addr: Addr, cells: &[Option<usize>]) -> String {
    let here = || cells.iter().flatten().copied();
    let hex: Vec<String> = here().map(|at| format!("{:02x}", anatomy.bytes[at])).collect();
    let parts: String = here().map(|at| letter(anatomy.parts[at].0)).collect();
    let text: String = here().map(|at| shown(anatomy.bytes[at])).collect();
    let harm = here().filter(|at| anatomy.damaged[*at]).count() as u64;
    let harm = if harm == 0 { String::new() } else { format!(" {} damaged", count(harm, "byte")) };
    format!("{addr}: {} {parts} {text}{harm}", hex.join(" "))
}

fn shown(byte: u8) -> char {
    if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '.' }
}

fn legend(ui: &mut Ui, view: &View<'_>, hooks: bool) {
    let theme = view.theme;
    let entry = |ui: &mut Ui, part: Part, text: &str| {
        let font = FontId::proportional(12.0);
        let galley = ui.painter().layout_no_wrap(text.to_owned(), font, theme.text);
        let (rect, response) =
            ui.allocate_exact_size(Vec2::new(galley.size().x + 24.0, 18.0), Sense::hover());
        response.widget_info(|| {
            WidgetInfo::labeled(egui::Role::Label, true, format!("{}: {text}", letter(part)))
        });
        let chip = Rect::from_min_size(rect.min + Vec2::new(0.0, 1.0), Vec2::new(18.0, 16.0));
        let ground = theme.part(part);
        let painter = ui.painter();
        painter.rect_filled(chip, 2.0, ground);
        let font = FontId::monospace(11.0);
        painter.text(chip.center(), Align2::CENTER_CENTER, letter(part), font, Theme::on(ground));
        let at = egui::pos2(chip.right() + 6.0, rect.center().y - galley.size().y / 2.0);
        painter.galley(at, galley, theme.text);
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::new(14.0, 3.0);
        if hooks {
            entry(ui, Part::Size, "size asked for, big-endian");
            entry(ui, Part::Id, "API id: r, m or o");
            entry(ui, Part::Pad, "pad: FD, FORBIDDENBYTE");
        }
        entry(ui, Part::Data, if hooks { "data: CD (CLEANBYTE) when fresh, 0 after calloc" } else { "data" });
        if hooks {
            entry(ui, Part::Dead, "DD, DEADBYTE: filled by free");
        }
        entry(ui, Part::Other, "not what free left");
        entry(ui, Part::Link, "the allocator's own, in freed memory");
        entry(ui, Part::Rounding, "nobody asked for it");
    });
    if hooks {
        ui.label(
            RichText::new("With two headers the small letter says whose: m over r is MEM's block in RAW's. ! is damage; the thick line is the program's pointer.")
                .size(12.0)
                .color(theme.weak),
        );
    }
}
