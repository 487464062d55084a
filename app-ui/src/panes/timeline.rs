//! The whole tape as a bar: what was held and what was live, arenas coming and going, and where we are.

use egui::{Mesh, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};
use session::format::{bytes, count, grouped};
use session::order::Order;

use super::View;
use crate::command::Command;
use crate::theme::Theme;

const HEIGHT: f32 = 46.0;

/// Draws the bar and says where it lies. Clicking and dragging seeks.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) -> Rect {
    let (total, target, curves) = (view.head.len, view.travel.target, view.curves);
    let (rect, response) =
        ui.allocate_exact_size(Vec2::new(ui.available_width(), HEIGHT), Sense::click_and_drag());
    response.widget_info(|| {
        let mut info = WidgetInfo::slider(total > 0, target as f64, "Position on the trace");
        info.current_text_value = Some(format!("{} of {}", grouped(target), grouped(total)));
        info
    });
    if total == 0 {
        return rect;
    }
    let painter = ui.painter_at(rect);
    let theme = view.theme;
    painter.rect_filled(rect, 3.0, theme.ground);
    let x_of = |step: u64| rect.left() + rect.width() * (step as f64 / total as f64) as f32;
    let plot = Rect::from_min_max(rect.min + Vec2::new(0.0, 7.0), rect.max);
    let peak = curves.buckets.iter().map(|b| b.held_bytes.max(b.live_bytes)).max().unwrap_or(0).max(1);
    let mut mesh = Mesh::default();
    let per = curves.bucket_steps.max(1);
    for (index, bucket) in curves.buckets.iter().enumerate() {
        let from = x_of(index as u64 * per);
        let to = x_of(((index as u64 + 1) * per).min(total));
        for (value, color) in [(bucket.held_bytes, theme.held), (bucket.live_bytes, theme.live)] {
            let high = plot.height() * (value as f64 / peak as f64) as f32;
            let top = plot.bottom() - high;
            mesh.add_colored_rect(
                Rect::from_min_max(Pos2::new(from, top), Pos2::new(to, plot.bottom())),
                color,
            );
        }
    }
    painter.add(Shape::mesh(mesh));
    for mark in &curves.marks {
        let x = x_of(mark.step);
        let (from, to) = if mark.obtained { (0.0, 5.0) } else { (2.0, 7.0) };
        let points = if mark.obtained {
            vec![
                Pos2::new(x, rect.top() + from),
                Pos2::new(x - 3.0, rect.top() + to),
                Pos2::new(x + 3.0, rect.top() + to),
            ]
        } else {
            vec![
                Pos2::new(x, rect.top() + to),
                Pos2::new(x - 3.0, rect.top() + from),
                Pos2::new(x + 3.0, rect.top() + from),
            ]
        };
        let color = if mark.obtained { theme.text } else { theme.weak };
        painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
    }
    if curves.known < total {
        let known = Rect::from_min_max(Pos2::new(x_of(curves.known), rect.top()), rect.max);
        painter.rect_filled(known, 0.0, theme.veil);
    }
    let x = x_of(target);
    painter.line_segment(
        [Pos2::new(x, rect.top()), Pos2::new(x, rect.bottom())],
        Stroke::new(4.0, Theme::faded(theme.ground, 0.8)),
    );
    painter.line_segment(
        [Pos2::new(x, rect.top()), Pos2::new(x, rect.bottom())],
        Stroke::new(2.0, theme.touched),
    );

    if let Some(pos) = response.interact_pointer_pos() {
        let share = f64::from(((pos.x - rect.left()) / rect.width()).clamp(0.0, 1.0));
        let step = (share * total as f64).round() as u64;
        if step != target {
            commands.push(Command::Order(Order::Seek(step)));
        }
    }
    if let Some(pos) = response.hover_pos() {
        let share = f64::from(((pos.x - rect.left()) / rect.width()).clamp(0.0, 1.0));
        let step = (share * total as f64) as u64;
        let line = Stroke::new(1.0, theme.weak);
        painter.line_segment([Pos2::new(pos.x, rect.top()), Pos2::new(pos.x, rect.bottom())], line);
        let bucket = curves.buckets.get((step / per) as usize).copied();
        response.on_hover_ui_at_pointer(|ui| {
            ui.label(format!("Step {}", grouped(step)));
            if let Some(bucket) = bucket {
                if view.head.mimalloc {
                    ui.label(format!("Held: {} in segments", bytes(bucket.held_bytes)));
                    ui.label(format!("Asked for in live blocks of mimalloc: {}", bytes(bucket.live_bytes)));
                } else {
                    let arenas = bucket.held_bytes / view.profile().arena_size;
                    ui.label(format!("Held: {} in {}", bytes(bucket.held_bytes), count(arenas, "arena")));
                    ui.label(format!("Asked for in live blocks of pools: {}", bytes(bucket.live_bytes)));
                }
            }
            ui.weak(
                "Triangles: arenas or segments obtained (up) and released (down). Click or drag to go there.",
            );
        });
    }
    rect
}
