//! One row a size class: its `usedpools` list, front first, and how many blocks its pools hold.

use egui::{Align2, FontId, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};
use egui_extras::{Column, TableBuilder};
use session::Place;
use session::facts::PoolFacts;
use session::format::{bytes, grouped};
use session::order::Order;
use sim_core::SizeClass;

use super::{View, Wishes, empty, outline};
use crate::command::Command;
use crate::theme::Theme;

/// Width of a pool's gauge, and of one with the pool's number.
const CHIP: f32 = 35.0;
const NAMED_CHIP: f32 = 78.0;
/// The same where it is narrow.
const SHORT_CHIP: f32 = 54.0;

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
    // Where it is narrow in a lesson, the list of pools is what matters.
    let narrow = view.picture.lesson.is_some() && ui.available_width() < 520.0;
    let left_out = |name: &str| narrow && matches!(name, "used" | "free" | "in use");
    let wide = |wanted: bool| usize::from(wanted);
    let shown = to_show(ui, view);
    let mut table = TableBuilder::new(ui);
    if let Some(at) = shown.and_then(|class| classes.iter().position(|c| c.in_use.class == class)) {
        // In a table of few rows its neighbours are wanted, too.
        table = table.scroll_to_row(at, narrow.then_some(egui::Align::Center));
    }
    table
        .striped(true)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .column(Column::exact(64.0))
        .column(Column::exact(52.0))
        .columns(Column::exact(70.0), 2 * wide(!narrow))
        .columns(Column::exact(78.0), wide(!narrow))
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
            for (name, what) in columns.into_iter().filter(|(name, _)| !left_out(name)) {
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
                let values = [
                    ("bytes", use_.block_size.to_string()),
                    ("used", grouped(use_.blocks)),
                    ("free", grouped(use_.avail)),
                    ("in use", bytes(use_.blocks * use_.block_size)),
                    ("full", grouped(full)),
                ];
                for (_, value) in values.into_iter().filter(|(name, _)| !left_out(name)) {
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
                    let chip_width = match (view.picture.lesson.is_some(), narrow) {
                        (false, _) => CHIP,
                        (true, true) => SHORT_CHIP,
                        (true, false) => NAMED_CHIP,
                    };
                    let chips = |width: f32| (width / (chip_width + 3.0)).max(1.0) as usize;
                    // Room for how many more there are is left only where there are more.
                    let all = chips(ui.available_width());
                    let fit = class.listed <= all as u64;
                    let room = if fit { all } else { chips(ui.available_width() - 44.0) };
                    ui.spacing_mut().item_spacing.x = 3.0;
                    for pool in class.front.iter().take(room) {
                        chip(ui, view, pool, chip_width, commands);
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

/// The class that the table has to show: that of the last operation, once, so that the table can be scrolled from there.
fn to_show(ui: &Ui, view: &View<'_>) -> Option<SizeClass> {
    let id = ui.scope_id().with("scrolled");
    let now = view.picture.revision;
    let before = ui.data_mut(|d| d.get_temp_mut_or_default::<Option<u64>>(id).replace(now));
    view.picture.touched_class.filter(|_| view.picture.selection.follow && before != Some(now))
}

/// A pool as a small gauge with its number of used blocks.
fn chip(ui: &mut Ui, view: &View<'_>, pool: &PoolFacts, width: f32, commands: &mut Vec<Command>) {
    let addr = pool.addr;
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 16.0), Sense::click());
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
    // A lesson speaks of pools by their numbers.
    let said = if width >= NAMED_CHIP {
        format!("pool {}: {}", pool.index, pool.used)
    } else if width >= SHORT_CHIP {
        format!("p{}: {}", pool.index, pool.used)
    } else {
        pool.used.to_string()
    };
    for (ground, text_color) in
        [(filled, Theme::on(color)), (rect.with_min_x(filled.right()), view.theme.text)]
    {
        let clipped = painter.with_clip_rect(ground.intersect(painter.clip_rect()));
        clipped.text(rect.center(), Align2::CENTER_CENTER, &said, FontId::monospace(10.5), text_color);
    }
    if response.double_clicked() {
        commands.push(Command::Order(Order::Enter(Place::Pool(addr))));
    } else if response.clicked() {
        commands.push(Command::Order(Order::Pin(Place::Pool(addr))));
    }
    response.on_hover_text(format!("{name}\nat {addr}\nDouble click to open it on the map"));
}
