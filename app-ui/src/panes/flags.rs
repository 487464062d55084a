//! Marks as flags: one for a row, and those along a bar, with their names where there is room.

use egui::text::{LayoutJob, TextWrapping};
use egui::{Color32, FontId, Painter, Pos2, Rect, Shape, Stroke, vec2};
use session::view::MarkFacts;

use crate::theme::Theme;

/// Width of a flag.
pub(super) const WIDTH: f32 = 7.0;
/// Poles that are closer together than this are one.
const APART: f32 = 2.0;
/// A name with less room than this is left out.
const NAME_MIN: f32 = 24.0;
/// Names of one pole that are drawn, before they are cut off anyway.
const NAMES: usize = 8;
/// How near the pointer has to be to a pole.
const NEAR: f32 = 4.0;
/// Where the names stand, from the top of the bar: below the triangles of arenas.
const TOP: f32 = 8.0;

/// Draws a flag on a pole of some height.
pub(super) fn draw(painter: &Painter, foot: Pos2, height: f32, color: Color32) {
    let top = foot.y - height;
    painter.line_segment([Pos2::new(foot.x, top), foot], Stroke::new(1.0, color));
    let points =
        vec![Pos2::new(foot.x, top), Pos2::new(foot.x + WIDTH, top + 3.0), Pos2::new(foot.x, top + 6.0)];
    painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
}

/// Where the name of a mark may stand along a bar: from, to, and whether it ends at its pole instead of beginning there.
fn room(x: f32, before: f32, next: f32, bar: Rect) -> Option<(f32, f32, bool)> {
    let right = (x + WIDTH + 2.0, next.min(bar.right()) - 3.0, false);
    let left = (before + 3.0, x - 3.0, true);
    let wide = |(from, to, _): (f32, f32, bool)| to - from;
    // Only what has no other way out stands to the left of its pole.
    let best = if wide(right) < NAME_MIN && wide(left) > wide(right) { left } else { right };
    (wide(best) >= NAME_MIN).then_some(best)
}

/// The names of the marks that share a pole, and how many marks these are.
fn names(marks: &[MarkFacts], x_of: impl Fn(u64) -> f32) -> (String, usize) {
    let pole = marks.first().map_or(0.0, |mark| x_of(mark.step));
    let count = marks.iter().take_while(|mark| x_of(mark.step) - pole < APART).count();
    let names: Vec<&str> = marks[..count].iter().take(NAMES).map(|mark| mark.name.as_str()).collect();
    (names.join(", "), count)
}

/// Draws marks along a bar.
pub(super) fn along(
    painter: &Painter,
    bar: Rect,
    marks: &[MarkFacts],
    x_of: impl Fn(u64) -> f32 + Copy,
    theme: &Theme,
) {
    // Where the last thing drawn ends.
    let mut before = bar.left();
    let mut rest = marks;
    while let Some(mark) = rest.first() {
        let x = x_of(mark.step);
        let (names, count) = names(rest, x_of);
        rest = &rest[count..];
        draw(painter, Pos2::new(x, bar.bottom()), bar.height() - TOP, theme.text);
        let next = rest.first().map_or(bar.right(), |mark| x_of(mark.step));
        let Some((from, to, ends)) = room(x, before, next, bar) else {
            before = x + WIDTH;
            continue;
        };
        let mut job = LayoutJob::simple_singleline(names, FontId::proportional(10.0), theme.text);
        let max_width = to - from;
        job.wrap = TextWrapping { max_width, max_rows: 1, break_anywhere: true, ..TextWrapping::default() };
        let galley = painter.layout_job(job);
        let from = if ends { to - galley.size().x } else { from };
        let place = Rect::from_min_size(Pos2::new(from, bar.top() + TOP), galley.size());
        painter.rect_filled(place.expand2(vec2(2.0, 0.0)), 2.0, Theme::faded(theme.ground, 0.75));
        painter.galley(place.min, galley, theme.text);
        before = if ends { x } else { place.right() };
    }
}

/// A letter on a pole, at the foot of a bar.
pub(super) fn letter(painter: &Painter, bar: Rect, x: f32, name: &str, theme: &Theme) {
    let x = x.clamp(bar.left() + 1.0, bar.right() - 1.0);
    painter
        .line_segment([Pos2::new(x, bar.top()), Pos2::new(x, bar.bottom())], Stroke::new(1.5, theme.pinned));
    let galley = painter.layout_no_wrap(name.to_owned(), FontId::proportional(11.0), theme.ground);
    // At the end of the bar it stands to the left of its pole.
    let left = if x + galley.size().x + 5.0 > bar.right() { x - galley.size().x - 5.0 } else { x };
    let size = galley.size() + vec2(5.0, 0.0);
    let place = Rect::from_min_size(Pos2::new(left, bar.bottom() - size.y), size);
    painter.rect_filled(place, 1.0, theme.pinned);
    painter.galley(place.min + vec2(2.5, 0.0), galley, theme.ground);
}

/// Marks whose poles are near a place, the nearest first.
pub(super) fn near(x: f32, marks: &[MarkFacts], x_of: impl Fn(u64) -> f32) -> Vec<&MarkFacts> {
    let far = |mark: &MarkFacts| (x_of(mark.step) - x).abs();
    let mut there: Vec<&MarkFacts> = marks.iter().filter(|mark| far(mark) <= NEAR).collect();
    there.sort_by(|a, b| far(a).total_cmp(&far(b)));
    there
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::pos2;

    #[test]
    fn names_stand_where_there_is_room() {
        let bar = Rect::from_min_max(pos2(0.0, 0.0), pos2(300.0, 46.0));
        assert_eq!(room(10.0, 0.0, 100.0, bar), Some((19.0, 97.0, false)));
        assert_eq!(room(10.0, 0.0, 30.0, bar), None, "neither side has room");
        // At the end of the bar a name ends at its pole.
        assert_eq!(room(299.0, 100.0, 300.0, bar), Some((103.0, 296.0, true)));
        assert_eq!(room(299.0, 290.0, 300.0, bar), None);
    }

    #[test]
    fn marks_of_one_pole_are_named_together() {
        let mark = |step, name: &str| MarkFacts { step, name: name.to_owned() };
        let marks = [mark(10, "a"), mark(10, "b"), mark(11, "c"), mark(30, "d")];
        assert_eq!(names(&marks, |step| step as f32), ("a, b, c".to_owned(), 3));
        assert_eq!(names(&marks[3..], |step| step as f32), ("d".to_owned(), 1));
        let many: Vec<MarkFacts> = (0..100).map(|_| mark(1, "x")).collect();
        assert_eq!(names(&many, |step| step as f32).1, 100);
    }

    #[test]
    fn the_nearest_mark_is_the_first() {
        let mark = |step, name: &str| MarkFacts { step, name: name.to_owned() };
        let marks = [mark(1, "a"), mark(5, "b"), mark(8, "c"), mark(90, "d")];
        let names = |x| -> Vec<&str> {
            near(x, &marks, |step| step as f32).into_iter().map(|m| m.name.as_str()).collect()
        };
        assert_eq!(names(7.0), ["c", "b"]);
        assert_eq!(names(40.0), [""; 0]);
    }
}
