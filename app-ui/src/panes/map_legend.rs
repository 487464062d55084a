//! The map's legend: what the fills mean, and the ramp of size classes.

use egui::{Color32, Painter, Pos2, Rect, Role, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use session::format::{bytes, grouped, printable};
use session::view::map::MapPicture;
use session::{Level, Order, Paint};
use sim_core::SizeClass;

use super::View;
use super::boxes::sign;
use super::map_arrows::ARROWS;
use crate::command::Command;
use crate::theme::mix;

/// Height that the legend needs.
pub(super) fn legend_height(ui: &Ui, view: &View<'_>) -> f32 {
    let line = ui.text_style_height(&egui::TextStyle::Small).max(ui.spacing().interact_size.y) + 2.0;
    // The swatches wrap to a second line in a narrow pane.
    let lines = match ui.available_width() {
        ..320.0 => 3.0,
        ..620.0 => 2.0,
        _ => 1.0,
    };
    // So do groups with long names.
    let groups = if view.picture.paint.is_some() { lines + 1.0 } else { 1.0 };
    if has_ramp(ui, view) { (lines + groups) * line } else { lines * line }
}

/// Whether there is room for the ramp: a lesson on a phone wants the picture large.
fn has_ramp(ui: &Ui, view: &View<'_>) -> bool {
    view.picture.lesson.is_none() || ui.available_width() >= 480.0
}

/// What the fills mean, and the ramp of size classes.
pub(super) fn legend(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let theme = view.theme;
    let sample = theme.class(view.profile().nb_small_size_classes() / 2);
    ui.spacing_mut().item_spacing.y = 2.0;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        let item = |ui: &mut Ui, name: &str, what: &str, paint: &dyn Fn(&Painter, Rect)| {
            sign(ui, view, name, paint).on_hover_text(what);
        };
        let hollow = |p: &Painter, r: Rect, c: Color32| {
            p.rect_stroke(r, 0.0, Stroke::new(1.5, c), StrokeKind::Inside);
        };
        let dots = |p: &Painter, r: Rect| {
            for i in 0..4 {
                for j in 0..4 {
                    if i == 0 || i == 3 || j == 0 || j == 3 {
                        let at = r.min + Vec2::new(i as f32, j as f32) * (r.width() / 3.2);
                        p.rect_filled(Rect::from_min_size(at, Vec2::splat(1.5)), 0.0, theme.dot);
                    }
                }
            }
        };
        if view.on_recorded() {
            recorded_items(
                view,
                sample,
                &mut |name, what, paint| item(ui, name, what, paint),
                &hollow,
                &dots,
            );
        } else if view.picture.selection.level == Level::Pool {
            item(ui, "live", "The program holds this block", &|p, r| {
                p.rect_filled(r, 0.0, sample);
            });
            item(
                ui,
                "free, numbered in list order",
                "On the pool's free list; arrows lead from each to the next",
                &|p, r| {
                    hollow(p, r, sample);
                },
            );
            item(ui, "never carved", "Beyond nextoffset: never handed out, on no list", &dots);
        } else {
            item(
                ui,
                "used, filled as far as its blocks are",
                "A pool with used and free blocks, on its class's usedpools list",
                &|p, r| {
                    p.rect_filled(r, 0.0, theme.tint(sample));
                    p.rect_filled(r.with_min_y(r.center().y), 0.0, sample);
                },
            );
            item(ui, "full", "A pool without a free block, on no list", &|p, r| {
                p.rect_filled(r, 0.0, sample);
            });
            item(
                ui,
                "empty",
                "A pool without a used block, on its arena's freepools; any class may take it",
                &|p, r| {
                    hollow(p, r, theme.line);
                },
            );
            item(ui, "never carved", "Part of the arena that was never a pool", &dots);
        }
        let touched = if view.on_recorded() {
            "The recorded block that the current operation gave or took"
        } else {
            "What the current operation changed or looked at"
        };
        item(ui, "touched by this step", touched, &|p, r| {
            hollow(p, r, theme.touched);
        });
        if let Some(MapPicture::Pool { free, .. }) = &view.picture.map {
            let free = free.blocks.len();
            if free > ARROWS {
                ui.small(format!("arrows for the first {ARROWS} of {} free blocks", grouped(free as u64)));
            }
        }
    });
    if !has_ramp(ui, view) {
        return;
    }
    if view.head.process.is_some() {
        ui.horizontal_wrapped(|ui| painted(ui, view, commands));
        return;
    }
    ui.horizontal(|ui| ramp(ui, view));
}

/// What the colors say, and a choice of it.
fn painted(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let mut by = view.picture.selection.paint;
    ui.small("color:");
    let combo = egui::ComboBox::from_id_salt("paint").selected_text(by.words()).width(92.0);
    let combo = combo.show_ui(ui, |ui| {
        for paint in Paint::ALL {
            ui.selectable_value(&mut by, paint, paint.words());
        }
    });
    combo
        .response
        .widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, "What the map\u{2019}s colors say"));
    if by != view.picture.selection.paint {
        commands.push(Command::Order(Order::Paint(by)));
    }
    let Some(paint) = &view.picture.paint else {
        ramp(ui, view);
        return;
    };
    let colors = view.colors();
    ui.spacing_mut().item_spacing.x = 5.0;
    for (group, of) in (0..).zip(&paint.groups).filter(|(_, of)| of.bytes > 0) {
        let name = printable(&of.name);
        let fill = |p: &Painter, r: Rect| {
            p.rect_filled(r, 0.0, colors.group(group));
        };
        sign(ui, view, &last_letters(&name), fill).on_hover_text(format!("{name}: {}", bytes(of.bytes)));
    }
}

/// A name's end, which tells most of it, where it is too long for a legend.
fn last_letters(name: &str) -> String {
    const LETTERS: usize = 28;
    let count = name.chars().count();
    if count <= LETTERS {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - LETTERS).collect();
    format!("\u{2026}{end}")
}

/// The ramp of size classes.
fn ramp(ui: &mut Ui, view: &View<'_>) {
    let theme = view.theme;
    let profile = view.profile();
    let classes = profile.nb_small_size_classes();
    ui.spacing_mut().item_spacing.x = 5.0;
    ui.small(format!("size class 0 ({} bytes)", profile.alignment));
    let width = (ui.available_width() - 150.0).clamp(60.0, 360.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 11.0), egui::Sense::hover());
    let step = width / f32::from(classes);
    for class in 0..classes {
        let x = rect.left() + step * f32::from(class);
        let cell = Rect::from_min_max(Pos2::new(x, rect.top()), Pos2::new(x + step, rect.bottom()));
        ui.painter().rect_filled(cell, 0.0, theme.class(class));
    }
    if let Some(pos) = response.hover_pos() {
        let class = (((pos.x - rect.left()) / step).max(0.0) as u16).min(classes - 1);
        let size = profile.block_size(SizeClass(class));
        response.on_hover_text(format!("Size class {class}: blocks of {}", bytes(size)));
    }
    ui.small(format!("{} ({} bytes)", classes - 1, profile.small_request_threshold));
}

/// Draws a sign with its name and what it means.
type Item<'a> = dyn FnMut(&str, &str, &dyn Fn(&Painter, Rect)) + 'a;

/// The fills of the recorded heap, which has no free lists.
fn recorded_items(
    view: &View<'_>,
    sample: Color32,
    item: &mut Item<'_>,
    hollow: &dyn Fn(&Painter, Rect, Color32),
    dots: &dyn Fn(&Painter, Rect),
) {
    let theme = view.theme;
    if view.picture.selection.level == Level::Pool {
        item("live", "The program holds this block, at this address", &|p, r| {
            p.rect_filled(r, 0.0, sample);
        });
        item(
            "free, or from before",
            "No recorded block lies here: it is free, or has one from before the recording. Free lists are not in a recording",
            &|p, r| hollow(p, r, mix(theme.ground, sample, 0.55)),
        );
        return;
    }
    item(
        "as full as recorded blocks make it",
        "A pool with recorded blocks; the rest of it is free, or has blocks from before the recording",
        &|p, r| {
            p.rect_filled(r, 0.0, theme.tint(sample));
            p.rect_filled(r.with_min_y(r.center().y), 0.0, sample);
        },
    );
    item("full", "A pool with a recorded block at each place", &|p, r| {
        p.rect_filled(r, 0.0, sample);
    });
    item(
        "none now",
        "No recorded block is live here now; at other steps there is one. The pool is free, or has blocks from before the recording",
        &|p, r| hollow(p, r, theme.line),
    );
    item("never one", "No block was ever recorded here", dots);
}
