//! One row a size class: its `usedpools` list, front first, and how many blocks its pools hold.

use egui::{Align2, FontId, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};
use egui_extras::{Column, TableBuilder};
use session::Place;
use session::facts::PoolFacts;
use session::format::{bytes, grouped};
use session::order::Order;

use super::{View, Wishes, empty, outline};
use crate::command::Command;
use crate::theme::Theme;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, wishes: &mut Wishes) {
    if view.head.mimalloc {
        super::no_pymalloc(ui, view, "size classes");
        return;
    }
    wishes.look.classes = true;
    let commands = &mut wishes.commands;
    let Some(classes) = &view.picture.classes else { return };
    if classes.is_empty() {
        empty(ui, "This build has no size classes.");
        return;
    }
    let touched = view.picture.touched_class;
    let row = 22.0;
    TableBuilder::new(ui)
        .striped(true)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .column(Column::exact(64.0))
        .column(Column::exact(52.0))
        .column(Column::exact(70.0))
        .column(Column::exact(70.0))
        .column(Column::exact(78.0))
        .column(Column::exact(50.0))
        .column(Column::remainder().at_least(120.0).clip(true))
        .header(20.0, |mut header| {
            let columns = [
                ("class", "szidx: the size class"),
                ("bytes", "Bytes of a block"),
                ("used", "Blocks the program holds"),
                ("free", "Free blocks in pools that have a used one, never carved ones included"),
                ("in use", "Bytes of the used blocks"),
                ("full", "Pools without a free block; they are on no list"),
                (
                    "usedpools",
                    "Pools with used and free blocks, front first: the front one serves the next allocation",
                ),
            ];
            for (name, what) in columns {
                header.col(|ui| {
                    ui.label(RichText::new(name).strong().size(12.0)).on_hover_text(what);
                });
            }
        })
        .body(|body| {
            body.rows(row, classes.len(), |mut table| {
                let class = &classes[table.index()];
                let use_ = &class.in_use;
                let here = touched == Some(use_.class);
                table.set_selected(here);
                table.col(|ui| {
                    let (rect, _) = ui.allocate_exact_size(Vec2::new(12.0, 14.0), Sense::hover());
                    ui.painter().rect_filled(rect, 2.0, view.theme.class(use_.class.0));
                    let text = RichText::new(use_.class.to_string()).monospace();
                    ui.label(if here { text.strong().color(view.theme.text) } else { text });
                    if here {
                        let (rect, _) = ui.allocate_exact_size(Vec2::splat(8.0), Sense::hover());
                        ui.painter().circle_filled(rect.center(), 3.5, view.theme.touched);
                    }
                });
                let full = use_.pools.saturating_sub(class.listed);
                for value in [
                    use_.block_size.to_string(),
                    grouped(use_.blocks),
                    grouped(use_.avail),
                    bytes(use_.blocks * use_.block_size),
                    grouped(full),
                ] {
                    table.col(|ui| {
                        let quiet = use_.pools == 0;
                        let text = RichText::new(value).monospace().size(11.5);
                        ui.label(if quiet { text.weak() } else { text });
                    });
                }
                table.col(|ui| {
                    if class.listed == 0 {
                        ui.weak("no pool");
                    }
                    let room = ((ui.available_width() - 44.0) / 38.0).max(1.0) as usize;
                    ui.spacing_mut().item_spacing.x = 3.0;
                    for pool in class.front.iter().take(room) {
                        chip(ui, view, pool, commands);
                    }
                    let folded = class.listed.saturating_sub(room.min(class.front.len()) as u64);
                    if folded > 0 {
                        ui.weak(format!("+{}", grouped(folded))).on_hover_text(format!(
                            "{} more on this list, not drawn here",
                            session::format::count(folded, "pool")
                        ));
                    }
                });
            });
        });
}

/// A pool as a small gauge with its number of used blocks.
fn chip(ui: &mut Ui, view: &View<'_>, pool: &PoolFacts, commands: &mut Vec<Command>) {
    let addr = pool.addr;
    let (rect, response) = ui.allocate_exact_size(Vec2::new(35.0, 16.0), Sense::click());
    let name =
        format!("Pool {} of {}, {} of {} blocks used", pool.index, pool.arena, pool.used, pool.capacity);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    let color = view.theme.class(pool.class.map_or(0, |c| c.0));
    let painter = ui.painter();
    painter.rect_filled(rect, 2.0, view.theme.tint(color));
    let filled = Rect::from_min_size(rect.min, Vec2::new(rect.width() * pool.share(), rect.height()));
    painter.rect_filled(filled, 2.0, color);
    if response.hovered() || response.has_focus() {
        outline(painter, rect, 1.0, view.theme.pinned);
    }
    for (ground, text_color) in
        [(filled, Theme::on(color)), (rect.with_min_x(filled.right()), view.theme.text)]
    {
        let clipped = painter.with_clip_rect(ground.intersect(painter.clip_rect()));
        clipped.text(rect.center(), Align2::CENTER_CENTER, pool.used, FontId::monospace(10.5), text_color);
    }
    if response.double_clicked() {
        commands.push(Command::Order(Order::Enter(Place::Pool(addr))));
    } else if response.clicked() {
        commands.push(Command::Order(Order::Pin(Place::Pool(addr))));
    }
    response.on_hover_text(format!("{name}\nat {addr}\nDouble click to open it on the map"));
}
