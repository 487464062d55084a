//! Pictures: what was held before and after a change, and cells by what they hold at the end and at the most.

use egui::{Align2, FontId, Mesh, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};
use session::format::{bytes, count, grouped};
use session::view::whatif::{Changed, Matrix};
use session::whatif::Figures;

use super::super::View;

const CURVES_HEIGHT: f32 = 110.0;
const FRONT_HEIGHT: f32 = 220.0;
const FONT: FontId = FontId::new(11.0, egui::FontFamily::Proportional);

/// Both curves, the new one over the old one.
pub(super) fn curves(ui: &mut Ui, view: &View<'_>, changed: &Changed) {
    let theme = view.theme;
    let (rect, response) =
        ui.allocate_exact_size(Vec2::new(ui.available_width() - 4.0, CURVES_HEIGHT), Sense::hover());
    let (before, after) = (&changed.before.curve, &changed.after.curve);
    let most = before.iter().chain(after).copied().max().unwrap_or(0).max(1);
    response.widget_info(|| {
        let text = format!(
            "Bytes of arenas along the trace, as it is and as changed, of {} at the most",
            bytes(most)
        );
        WidgetInfo::labeled(Role::Image, true, text)
    });
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 3.0, theme.ground);
    let plot = rect.shrink2(Vec2::new(0.0, 4.0)).with_min_y(rect.top() + 18.0);
    let x_of = |at: usize| plot.left() + plot.width() * at as f32 / before.len().max(1) as f32;
    let y_of = |value: u64| plot.bottom() - plot.height() * (value as f64 / most as f64) as f32;
    let mut bars = Mesh::default();
    for (at, value) in before.iter().enumerate() {
        let top = Pos2::new(x_of(at), y_of(*value));
        bars.add_colored_rect(Rect::from_min_max(top, Pos2::new(x_of(at + 1), plot.bottom())), theme.held);
    }
    painter.add(Shape::mesh(bars));
    let mut line = Vec::with_capacity(2 * after.len());
    for (at, value) in after.iter().enumerate() {
        line.extend([Pos2::new(x_of(at), y_of(*value)), Pos2::new(x_of(at + 1), y_of(*value))]);
    }
    painter.add(Shape::line(line, Stroke::new(2.0, theme.touched)));
    let text = |at: Pos2, align, text: String| painter.text(at, align, text, FONT, theme.text);
    let named = text(rect.left_top() + Vec2::new(18.0, 2.0), Align2::LEFT_TOP, "as it is".to_owned());
    let sign = Rect::from_min_size(rect.left_top() + Vec2::new(4.0, 4.0), Vec2::splat(10.0));
    painter.rect_filled(sign, 1.0, theme.held);
    painter.rect_stroke(sign, 1.0, Stroke::new(1.0, theme.line), egui::StrokeKind::Inside);
    let second = Pos2::new(named.right() + 12.0, rect.top() + 9.0);
    painter.line_segment([second, second + Vec2::new(14.0, 0.0)], Stroke::new(2.0, theme.touched));
    text(second + Vec2::new(19.0, -7.0), Align2::LEFT_TOP, "as changed".to_owned());
    text(rect.right_top() + Vec2::new(-4.0, 2.0), Align2::RIGHT_TOP, format!("{} at the most", bytes(most)));
    if let Some(pos) = response.hover_pos() {
        let at = ((pos.x - plot.left()) / plot.width() * before.len() as f32).max(0.0) as usize;
        if let (Some(was), Some(is)) = (before.get(at), after.get(at)) {
            let step = ((at as u64 + 1) * changed.stretch).min(view.head.len);
            painter.vline(pos.x, rect.y_range(), Stroke::new(1.0, theme.weak));
            response.on_hover_text_at_pointer(format!(
                "At the most up to step {}:\n{} as it is\n{} as changed",
                grouped(step),
                bytes(*was),
                bytes(*is)
            ));
        }
    }
}

/// Cells as points, those on the front joined; a click chooses the one at the pointer.
pub(super) fn front(ui: &mut Ui, view: &View<'_>, matrix: &Matrix, selected: &mut Option<usize>) {
    let Some(base) = &matrix.base else { return };
    let theme = view.theme;
    let held: Vec<_> = matrix.rows.iter().map(|row| row.held(base)).collect();
    let own = base.figures().map(Figures::held);
    let all = || held.iter().flatten().copied().chain(own);
    let width = (ui.available_width() - 4.0).min(520.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, FRONT_HEIGHT), Sense::click());
    response.widget_info(|| {
        let words = format!(
            "{} by bytes held at the end and at the most, {} on the front",
            count(held.iter().flatten().count() as u64, "cell"),
            matrix.verdict.front.len()
        );
        WidgetInfo::labeled(Role::Image, true, words)
    });
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 3.0, theme.ground);
    let plot = Rect::from_min_max(rect.min + Vec2::new(14.0, 22.0), rect.max - Vec2::new(14.0, 24.0));
    let range = |of: fn((u64, u64)) -> u64| {
        let (least, most) = all().map(of).fold((u64::MAX, 0), |(a, b), v| (a.min(v), b.max(v)));
        (least.min(most), most.max(least.min(most) + 1))
    };
    let (ends, peaks) = (range(|h| h.0), range(|h| h.1));
    let share =
        |value: u64, (least, most): (u64, u64)| ((value - least) as f64 / (most - least) as f64) as f32;
    let at = |(end, peak): (u64, u64)| {
        Pos2::new(
            plot.left() + plot.width() * share(end, ends),
            plot.bottom() - plot.height() * share(peak, peaks),
        )
    };
    let text = |pos: Pos2, align, text: String| painter.text(pos, align, text, FONT, theme.weak);
    text(
        rect.left_top() + Vec2::new(4.0, 3.0),
        Align2::LEFT_TOP,
        format!("at the most: up to {}", bytes(peaks.1)),
    );
    text(
        rect.left_bottom() + Vec2::new(4.0, -3.0),
        Align2::LEFT_BOTTOM,
        format!("at the end: {}", bytes(ends.0)),
    );
    text(rect.right_bottom() + Vec2::new(-4.0, -3.0), Align2::RIGHT_BOTTOM, bytes(ends.1));
    let on_front = || matrix.verdict.front.iter().filter_map(|row| held.get(*row).copied().flatten());
    painter.add(Shape::line(on_front().map(at).collect(), Stroke::new(1.5, theme.live)));
    for (row, held) in held.iter().enumerate() {
        let Some(place) = held.map(at) else { continue };
        if matrix.verdict.front.contains(&row) {
            painter.circle_filled(place, 5.0, theme.live);
        } else {
            painter.circle_stroke(place, 4.0, Stroke::new(1.5, theme.line));
        }
        if *selected == Some(row) {
            painter.circle_stroke(place, 8.0, Stroke::new(2.0, theme.pinned));
        }
    }
    if let Some(place) = own.map(at) {
        let cross = Stroke::new(2.0, theme.touched);
        for side in [Vec2::new(5.0, 5.0), Vec2::new(5.0, -5.0)] {
            painter.line_segment([place - side, place + side], cross);
        }
    }
    let near = response.hover_pos().and_then(|pos| {
        let far = |row: &usize| held[*row].map_or(f32::MAX, |held| at(held).distance(pos));
        (0..held.len()).filter(|row| far(row) < 12.0).min_by(|a, b| far(a).total_cmp(&far(b)))
    });
    if response.clicked() && near.is_some() {
        *selected = near;
    }
    if let Some((row, (end, peak))) = near.and_then(|row| Some((row, held[row]?))) {
        let words =
            format!("{}\n{} at the end, {} at the most", matrix.rows[row].named(), bytes(end), bytes(peak));
        response.on_hover_text_at_pointer(words);
    }
    ui.weak("Filled and joined: on the front, no other cell holds less both at the end and at the most. The cross is the run as it is.");
}
