//! The text of `sys._debugmallocstats()`: size classes at one moment, without operations.

use egui::{Color32, Grid, Rect, RichText, ScrollArea, Sense, Ui, Vec2};
use session::format::{bytes, count, grouped};
use session::open::Still;
use trace_io::stats_text::{ClassRow, StatsText};

use crate::theme::Theme;

/// Draws it. Says whether it is to be closed.
pub(crate) fn ui(ui: &mut Ui, still: &Still, theme: &Theme) -> bool {
    let Still { name, stats } = still;
    let room = ui.ctx().content_rect();
    ui.set_width(700.0_f32.min(room.width() - 60.0));
    let allocator = if stats.is_mimalloc() { "mimalloc" } else { "pymalloc" };
    ui.heading(format!("{allocator} at one moment"));
    let which = match stats.pictures {
        0 | 1 => String::new(),
        pictures => format!(", the last of {pictures} in it"),
    };
    ui.label(format!(
        "{name}{which}. It shows a state and no operations, so there is nothing to step through; \
         `arenascope replay --start` begins a recording with it."
    ));
    for doubt in stats.doubts() {
        ui.colored_label(theme.touched, format!("Doubt: {doubt}."));
    }
    ui.add_space(6.0);
    shares(ui, stats, theme);
    ui.add_space(6.0);
    ScrollArea::vertical().max_height(room.height() - 300.0).auto_shrink([false, true]).show(ui, |ui| {
        classes(ui, stats, theme);
        free_lists(ui, stats);
    });
    ui.add_space(4.0);
    ui.button("Close").clicked()
}

/// What is held, and what of it is in use.
fn shares(ui: &mut Ui, stats: &StatsText, theme: &Theme) {
    let held = stats.bytes_held();
    let parts = [
        ("in use", stats.bytes_in_use(), theme.class(0)),
        ("free", stats.bytes_free(), theme.tint(theme.class(0))),
        ("lost to headers and ends of pools", stats.bytes_lost(), theme.weak),
    ];
    let (rect, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 14.0), Sense::hover());
    ui.painter().rect_filled(rect, 2.0, theme.ground);
    let mut left = rect.left();
    for (_, part, color) in parts {
        let width = (rect.width() * part as f32 / held.max(1) as f32).min(rect.right() - left);
        ui.painter().rect_filled(rect.with_min_x(left).with_max_x(left + width), 0.0, color);
        left += width;
    }
    ui.horizontal_wrapped(|ui| {
        let arenas = stats
            .arenas()
            .map_or_else(String::new, |(n, size)| format!(" in {} of {}", count(n, "arena"), bytes(size)));
        ui.label(RichText::new(format!("{} held{arenas}", bytes(held))).strong());
        for (name, part, color) in parts {
            swatch(ui, color);
            let share = 100.0 * part as f64 / held.max(1) as f64;
            ui.label(format!("{} {name}, {share:.1} %", bytes(part)));
        }
    });
}

fn swatch(ui: &mut Ui, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::new(12.0, 14.0), Sense::hover());
    ui.painter().rect_filled(rect, 2.0, color);
}

fn classes(ui: &mut Ui, stats: &StatsText, theme: &Theme) {
    if stats.classes.is_empty() {
        return;
    }
    Grid::new("still classes").striped(true).spacing([14.0, 3.0]).show(ui, |ui| {
        ui.label(RichText::new("class").strong().size(12.0));
        for title in ["bytes", "pools", "used", "free", "in use"] {
            ui.label(RichText::new(format!("{title:>9}")).strong().monospace());
        }
        ui.label(RichText::new("share of the blocks used").strong().size(12.0));
        ui.end_row();
        for row in &stats.classes {
            class(ui, row, theme);
            ui.end_row();
        }
    });
}

fn class(ui: &mut Ui, row: &ClassRow, theme: &Theme) {
    let color = theme.class(u16::try_from(row.class).unwrap_or(u16::MAX));
    ui.horizontal(|ui| {
        swatch(ui, color);
        ui.monospace(row.class.to_string());
    });
    for value in [row.size, row.pools, row.in_use, row.available] {
        ui.monospace(format!("{:>9}", grouped(value)));
    }
    ui.monospace(format!("{:>9}", bytes(row.in_use.saturating_mul(row.size))));
    let share = row.in_use as f32 / row.in_use.saturating_add(row.available).max(1) as f32;
    let (rect, _) = ui.allocate_exact_size(Vec2::new(120.0, 12.0), Sense::hover());
    ui.painter().rect_filled(rect, 2.0, theme.tint(color));
    let used = Rect::from_min_size(rect.min, Vec2::new(rect.width() * share, rect.height()));
    ui.painter().rect_filled(used, 2.0, color);
    ui.monospace(format!("{:.1} %", 100.0 * share));
}

fn free_lists(ui: &mut Ui, stats: &StatsText) {
    let kept: Vec<_> = stats.free_lists.iter().filter(|l| l.count > 0).collect();
    if kept.is_empty() {
        return;
    }
    ui.add_space(6.0);
    ui.label("Of the blocks in use the interpreter's free lists keep:");
    Grid::new("still lists").striped(true).spacing([14.0, 3.0]).show(ui, |ui| {
        for list in kept {
            ui.label(&list.name);
            ui.monospace(format!("{:>9}", grouped(list.count)));
            ui.label(format!("of {}", bytes(list.size)));
            ui.end_row();
        }
    });
}
