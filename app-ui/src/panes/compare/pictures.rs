//! Curves of both sides over each other, and their arenas as two small maps.

use egui::{Align2, FontId, Pos2, Rect, RichText, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};
use session::format::{bytes, count, grouped};
use session::order::Order;
use session::view::compare::{ComparePicture, CurvePoint, SideLook, SidePicture, TwoCurves};

use super::super::View;
use crate::command::{Action, Command};
use crate::theme::Theme;

const HEIGHT: f32 = 96.0;
/// A small tile with what is between two.
const TILE: f32 = 11.0;
/// Panes narrower than this have the second map below the first.
const NARROW: f32 = 430.0;

/// Draws what was held and what was live on both sides, once the runs for it are done.
pub(super) fn curves(ui: &mut Ui, view: &View<'_>, picture: &ComparePicture, curves: &TwoCurves) {
    let theme = view.theme;
    if curves.a.is_empty() || curves.b.is_empty() {
        return;
    }
    let same =
        picture.look.a.trace == picture.look.b.trace && picture.look.a.profile == picture.look.b.profile;
    let width = ui.available_width().max(80.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, HEIGHT), Sense::hover());
    let both = || curves.a.iter().chain(&curves.b);
    let peak = both().map(|point| point.held_bytes.max(point.live_bytes)).max().unwrap_or(0).max(1);
    let steps = both().map(|point| point.step).max().unwrap_or(0).max(1);
    response.widget_info(|| {
        let text = format!("Curves of both, up to {} over {}", bytes(peak), count(steps, "operation"));
        WidgetInfo::labeled(Role::Image, true, text)
    });
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 3.0, theme.ground);
    let at = |step: u64, value: u64| {
        let x = rect.left() + rect.width() * (step as f64 / steps as f64) as f32;
        Pos2::new(x, rect.bottom() - (rect.height() - 16.0) * (value as f64 / peak as f64) as f32)
    };
    let line = |curve: &[CurvePoint], value: fn(&CurvePoint) -> u64| -> Vec<Pos2> {
        curve.iter().map(|point| at(point.step, value(point))).collect()
    };
    let sides: &[(&[CurvePoint], egui::Color32, bool)] = if same {
        &[(&curves.a, theme.live, false)]
    } else {
        &[(&curves.a, theme.live, false), (&curves.b, theme.touched, true)]
    };
    for (curve, color, dashed) in sides {
        for (value, width) in [
            ((|point: &CurvePoint| point.held_bytes) as fn(&CurvePoint) -> u64, 1.0),
            (|point: &CurvePoint| point.live_bytes, 2.0),
        ] {
            let (points, stroke) = (line(curve, value), Stroke::new(width, *color));
            if *dashed {
                painter.extend(Shape::dashed_line(&points, stroke, 5.0, 3.0));
            } else {
                painter.line(points, stroke);
            }
        }
    }
    for (name, side) in ["A", "B"].into_iter().zip(&*picture.sides) {
        let foot = at(side.step.min(steps), 0);
        painter.line_segment([Pos2::new(foot.x, rect.top() + 14.0), foot], Stroke::new(1.0, theme.text));
        let anchor = if foot.x > rect.right() - 12.0 { Align2::RIGHT_TOP } else { Align2::LEFT_TOP };
        let place = Pos2::new(foot.x, rect.top() + 1.0);
        painter.text(place, anchor, name, FontId::proportional(11.0), theme.text);
    }
    let most = format!("{} \u{2013}", bytes(peak));
    painter.text(
        rect.left_top() + Vec2::new(16.0, 1.0),
        Align2::LEFT_TOP,
        most,
        FontId::proportional(10.5),
        theme.weak,
    );
    let whose = if same { "" } else { "A solid, B dashed. " };
    ui.weak(format!("{whose}Thick: live bytes, the C library\u{2019}s too. Thin: arenas held."));
}

/// Draws both maps: one tile an arena, as full as blocks in use make it.
pub(super) fn maps(ui: &mut Ui, view: &View<'_>, picture: &ComparePicture, commands: &mut Vec<Command>) {
    let [a, b] = &*picture.sides;
    let looks = [&picture.look.a, &picture.look.b];
    let sides = [("A", a, looks[0]), ("B", b, looks[1])];
    if ui.available_width() < NARROW {
        for (name, side, look) in sides {
            map(ui, view, name, side, look, commands);
        }
    } else {
        ui.columns(2, |columns| {
            for (ui, (name, side, look)) in columns.iter_mut().zip(sides) {
                map(ui, view, name, side, look, commands);
            }
        });
    }
}

fn map(
    ui: &mut Ui,
    view: &View<'_>,
    name: &str,
    side: &SidePicture,
    look: &SideLook,
    commands: &mut Vec<Command>,
) {
    let theme = view.theme;
    let arenas = count(u64::from(side.arenas), "arena");
    ui.label(RichText::new(format!("{name}: {arenas}")).size(12.0));
    if side.tiles.is_empty() {
        return;
    }
    let across = ((ui.available_width() - 4.0) / TILE).floor().max(1.0) as usize;
    let down = side.tiles.len().div_ceil(across);
    let size = Vec2::new(across as f32 * TILE, down as f32 * TILE);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Small map of {name}: {arenas}")));
    let painter = ui.painter_at(rect);
    let place = |at: usize| {
        let corner = Vec2::new((at % across) as f32, (at / across) as f32) * TILE;
        Rect::from_min_size(rect.min + corner, Vec2::splat(TILE - 2.0))
    };
    for (at, tile) in side.tiles.iter().enumerate() {
        let rect = place(at);
        painter.rect_filled(rect, 1.0, theme.tile);
        // As full as it is, from below.
        let high = rect.height() * f32::from(tile.percent) / 100.0;
        let high = if tile.blocks > 0 { high.max(1.5) } else { 0.0 };
        painter.rect_filled(rect.with_min_y(rect.bottom() - high), 0.0, theme.live);
        painter.rect_stroke(
            rect,
            1.0,
            Stroke::new(1.0, Theme::faded(theme.line, 0.6)),
            egui::StrokeKind::Inside,
        );
    }
    let under = |pos: Pos2| side.tiles.iter().enumerate().find(|(at, _)| place(*at).contains(pos));
    let tile = response.hover_pos().and_then(under).map(|(at, tile)| (at, *tile));
    let own = look.trace == 0 && look.profile.is_none();
    if let Some((at, tile)) = tile {
        if response.clicked() && own {
            commands.push(Command::Order(Order::ShowArena(side.step, tile.base)));
            commands.push(Command::Do(Action::TabMap));
        }
        response.on_hover_ui_at_pointer(|ui| {
            ui.label(format!("Arena {} of {name}, at {}", grouped(at as u64 + 1), tile.base));
            ui.label(format!("{} in use, {} % of it", count(tile.blocks, "block"), tile.percent));
            if own {
                ui.weak("Click to see it on the map");
            }
        });
    }
    if side.tiles.len() < side.arenas as usize {
        ui.weak(format!("The first {} by address.", grouped(side.tiles.len() as u64)));
    }
    ui.add_space(4.0);
}
