//! What a file shows that has no operations: the text of `sys._debugmallocstats()`, size classes at one moment, or an account.

use egui::{Color32, Grid, Label, Rect, RichText, ScrollArea, Sense, Ui, Vec2};
use session::format::{bytes, count, grouped};
use session::open::Still;
use trace_io::account::Account;
use trace_io::stats_text::{ClassRow, StatsText};

use crate::theme::Theme;

/// Draws it. Says whether it is to be closed.
pub(crate) fn ui(ui: &mut Ui, still: &Still, theme: &Theme) -> bool {
    let Still { name, stats: all, account } = still;
    if let Some(account) = account {
        return says(ui, name, account);
    }
    let id = ui.scope_id().with(("picture", name, all.pictures));
    let chosen = ui.data(|data| data.get_temp::<u64>(id)).unwrap_or(all.pictures);
    let stats = all.series().find(|stats| stats.pictures == chosen).unwrap_or(all);
    let room = ui.ctx().content_rect();
    ui.set_width(700.0_f32.min(room.width() - 60.0));
    let which = match (stats.pictures, all.pictures) {
        (_, 0 | 1) => String::new(),
        (here, pictures) => format!(", picture {here} of {pictures} in it"),
    };
    let Some(allocator) = stats.allocator() else {
        ui.heading("Free lists at one moment");
        ui.label(format!(
            "{name}{which}. It has no allocator's figures: neither pymalloc nor mimalloc was in use, as under \
             PYTHONMALLOC=malloc, or another table stood above, as under memray."
        ));
        free_lists(ui, stats);
        return ui.button("Close").clicked();
    };
    ui.heading(format!("{allocator} at one moment"));
    ui.label(format!(
        "{name}{which}. It shows a state and no operations, so there is nothing to step through; \
         `arenascope replay --start` begins a recording with it."
    ));
    if all.pictures > 1
        && let Some(other) = series(ui, all, chosen, theme)
    {
        ui.data_mut(|data| data.insert_temp(id, other));
    }
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

/// An account of something else, as text. Says whether it is to be closed.
fn says(ui: &mut Ui, name: &str, account: &Account) -> bool {
    let room = ui.ctx().content_rect();
    ui.set_width(900.0_f32.min(room.width() - 60.0));
    ui.heading(account.title());
    ui.label(format!("{name}. It has no operations, so there is nothing to step through."));
    ui.add_space(6.0);
    let mut lines = account.lines().into_iter();
    ui.strong(lines.next().unwrap_or_default());
    ScrollArea::both().max_height(room.height() - 240.0).auto_shrink([false, true]).show(ui, |ui| {
        for line in lines {
            ui.add(Label::new(RichText::new(line).monospace()).extend());
        }
    });
    ui.add_space(4.0);
    ui.button("Close").clicked()
}

/// A bar for each picture of the text, what was held and what of it was in use. A click chooses one.
fn series(ui: &mut Ui, all: &StatsText, chosen: u64, theme: &Theme) -> Option<u64> {
    const HEIGHT: f32 = 44.0;
    ui.add_space(6.0);
    ui.label("What was held, and in use, from picture to picture; click one to see it:");
    let pictures: Vec<&StatsText> = all.series().collect();
    let most = pictures.iter().map(|stats| stats.bytes_held()).max().unwrap_or(0).max(1);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), HEIGHT), Sense::click());
    ui.painter().rect_filled(rect, 2.0, theme.ground);
    let width = rect.width() / pictures.len() as f32;
    for (at, stats) in pictures.iter().enumerate() {
        let gap = if width > 4.0 { 1.0 } else { 0.0 };
        let bar = |bytes: u64| {
            let left = rect.left() + at as f32 * width;
            let height = HEIGHT * bytes as f32 / most as f32;
            Rect::from_min_max(
                egui::pos2(left, rect.bottom() - height),
                egui::pos2(left + width - gap, rect.bottom()),
            )
        };
        let here = stats.pictures == chosen;
        let color = if here { theme.touched } else { theme.class(0) };
        ui.painter().rect_filled(bar(stats.bytes_held()), 0.0, theme.tint(color));
        ui.painter().rect_filled(bar(stats.bytes_in_use()), 0.0, color);
    }
    let at = response.hover_pos().map(|pos| ((pos.x - rect.left()) / width) as usize);
    let under = *pictures.get(at?)?;
    let response = response.on_hover_text(format!(
        "picture {} of {}: {} held, {} in use",
        under.pictures,
        all.pictures,
        bytes(under.bytes_held()),
        bytes(under.bytes_in_use())
    ));
    response.clicked().then_some(under.pictures)
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
        let held = match stats.bytes_committed() {
            Some(committed) => format!("{} reserved, {} committed", bytes(held), bytes(committed)),
            None => format!("{} held{arenas}", bytes(held)),
        };
        ui.label(RichText::new(held).strong());
        for (name, part, color) in parts {
            swatch(ui, color);
            let share = 100.0 * part as f64 / stats.bytes_held().max(1) as f64;
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
