//! The arrows of a pool's free list.

use egui::epaint::QuadraticBezierShape;
use egui::{Color32, Painter, Pos2, Rect, Stroke, Vec2};
use session::facts::BlockState;

use super::View;
use crate::theme::Theme;

/// Free-list arrows drawn at once; the rest of the list is numbered only.
pub(super) const ARROWS: usize = 32;

/// The arrows of a free list.
pub(super) struct FreeArrows<'a> {
    pub(super) states: &'a [BlockState],
    /// The block that the last one leads back to, where the list runs in a circle.
    pub(super) back: Option<u32>,
    pub(super) header: Rect,
    /// The pool's first block.
    pub(super) first: Rect,
}

impl FreeArrows<'_> {
    /// From the header to the head of the list, and from each free block to the next.
    pub(super) fn paint(&self, painter: &Painter, view: &View<'_>, cell: &dyn Fn(u32) -> Rect) {
        let free = |(i, state): (usize, &BlockState)| match state {
            BlockState::Free(at) => Some((*at, i as u32)),
            BlockState::Live | BlockState::NeverCarved | BlockState::Unknown => None,
        };
        let mut order: Vec<(u32, u32)> = self.states.iter().enumerate().filter_map(free).collect();
        order.sort_unstable();
        let shown = order.len().min(ARROWS);
        let mut from = Pos2::new(self.first.left(), self.header.bottom() - 2.0);
        let back = self.back.filter(|_| order.len() <= ARROWS);
        for (at, index) in order.iter().map(|(_, index)| *index).take(shown).chain(back).enumerate() {
            let mut to = cell(index).center();
            if from.distance(to) < 1.0 {
                // A block that leads to itself: out at its side, and in from above.
                let side = Vec2::new(cell(index).width() * 0.3, 0.0);
                from += side;
                to -= side;
            }
            // The head matters most; further on the arrows fade.
            let strength = 1.0 - 0.75 * at as f32 / shown.max(1) as f32;
            if at == 0 {
                from.x = to.x.clamp(self.header.left() + 20.0, self.header.right() - 20.0);
            }
            let casing = Theme::faded(view.theme.ground, 0.7 * strength);
            arrow(painter, from, to, Theme::faded(view.theme.text, 0.85 * strength), casing);
            from = to;
        }
    }
}

/// A bowed arrow with a casing, so that it shows on any ground.
fn arrow(painter: &Painter, from: Pos2, to: Pos2, color: Color32, casing: Color32) {
    let along = to - from;
    let length = along.length();
    if length < 1.0 {
        return;
    }
    // A slight bow keeps arrows along one row apart.
    let middle = from + along * 0.5 + along.rot90() * 0.12;
    let direction = (to - middle).normalized();
    let tip = to - direction * 4.0;
    for (width, color) in [(3.6, casing), (1.4, color)] {
        let stroke = Stroke::new(width, color);
        let points = [from, middle, tip];
        painter.add(QuadraticBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, stroke));
    }
    let side = direction.rot90() * 3.5;
    let back = tip - direction * 7.0;
    painter.add(egui::Shape::convex_polygon(
        vec![tip, back + side, back - side],
        color,
        Stroke::new(1.0, casing),
    ));
}
