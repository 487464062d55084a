//! The whole tape as a bar: what was held and what was live, arenas coming and going, and where we are.

use std::ops::Range;

use egui::{Mesh, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};
use session::format::{bytes, count, grouped};
use session::order::Order;

use super::{View, flags};
use crate::command::Command;
use crate::theme::Theme;

const HEIGHT: f32 = 46.0;
/// Marks that are told where the pointer is.
const MARKS_TOLD: usize = 6;
/// Width of the state after the last operation, which no other follows.
const LAST: f32 = 2.0;

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
        let states = states(index as u64, per, total);
        // The state at the end needs a place too.
        let (from, to) = (x_of(states.start).min(rect.right() - LAST), x_of(states.end.min(total)));
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
    flags::along(&painter, rect, &view.head.marks, x_of, theme);
    if curves.known < total {
        let known = Rect::from_min_max(Pos2::new(x_of(curves.known), rect.top()), rect.max);
        painter.rect_filled(known, 0.0, theme.veil);
    }
    for (name, step) in ["A", "B"].into_iter().zip(view.ab) {
        let Some(step) = step else { continue };
        flags::letter(&painter, rect, x_of(step.min(total)), name, theme);
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
        // A click on a flag means its step, which a point of the bar is too wide to tell.
        let flag = flags::near(pos.x, &view.head.marks, x_of).first().map(|mark| mark.step);
        let step = if response.clicked() { flag.unwrap_or(step) } else { step };
        if step != target {
            commands.push(Command::Order(Order::Seek(step)));
        }
    }
    if let Some(pos) = response.hover_pos() {
        let share = f64::from(((pos.x - rect.left()) / rect.width()).clamp(0.0, 1.0));
        let step = (share * total as f64).round() as u64;
        let line = Stroke::new(1.0, theme.weak);
        painter.line_segment([Pos2::new(pos.x, rect.top()), Pos2::new(pos.x, rect.bottom())], line);
        // Before the first operation nothing is held.
        let index = step.checked_sub(1).map(|done| done / per);
        let bucket = index.and_then(|index| curves.buckets.get(index as usize)).copied();
        response.on_hover_ui_at_pointer(|ui| {
            ui.label(format!("Step {}", grouped(step)));
            let there = flags::near(pos.x, &view.head.marks, x_of);
            for mark in there.iter().take(MARKS_TOLD) {
                ui.label(format!("Mark: {}, step {}", mark.name, grouped(mark.step)));
            }
            if let Some(more) = there.len().checked_sub(MARKS_TOLD).filter(|&more| more > 0) {
                ui.weak(format!("and {} near here", count(more as u64, "more mark")));
            }
            if let Some(index) = index.filter(|_| per > 1 && bucket.is_some()) {
                let states = states(index, per, total);
                let last = states.end - 1;
                ui.weak(format!("At most from step {} to {}:", grouped(states.start), grouped(last)));
            }
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
                "Triangles: arenas or segments obtained (up) and released (down). Flags: marks. Click or drag to go there.",
            );
        });
    }
    rect
}

/// The steps whose states a bucket has: those after its operations.
fn states(index: u64, per: u64, total: u64) -> Range<u64> {
    index * per + 1..((index + 1) * per).min(total) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use session::analysis::overview::Overview;
    use sim_core::{Call, Domain, Op, Profile, Replay, TraceBuilder};

    #[test]
    fn what_is_held_begins_where_its_mark_stands() {
        for operations in [4_u64, 1024, 5000] {
            let mut tape = TraceBuilder::new("t");
            for id in 1..=operations {
                // The arena comes with the operation before the last.
                let domain = if id + 1 < operations { Domain::Raw } else { Domain::Obj };
                tape.push(Op { thread: 0, domain, call: Call::Malloc { id, size: 8 } }).unwrap();
            }
            let (trace, profile) = (Arc::new(tape.finish()), Profile::default());
            let mut overview = Overview::new(&trace, &profile);
            Replay::new(trace, &profile, 0).unwrap().advance_with(u64::MAX, |moment| overview.add(moment));
            let mark = overview.marks[0].step;
            assert_eq!(mark, operations - 1);
            let first = overview.buckets.iter().position(|bucket| bucket.held_bytes > 0).unwrap();
            let per = overview.bucket_steps();
            assert!(states(first as u64, per, operations).contains(&mark));
            assert_eq!(
                states(0, per, operations).start,
                1,
                "the state before all operations is in no bucket"
            );
            let last = states(overview.buckets.len() as u64 - 1, per, operations);
            assert_eq!(last.end, operations + 1, "the state after all of them is in the last");
        }
    }
}
