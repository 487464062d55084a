//! Amounts as areas: rectangles that fill one, each as near to a square as rows of them allow.

use egui::{Pos2, Rect};

/// The places of amounts in a rectangle, in their order: the largest should come first. Amounts of 0 have places without an area.
pub(super) fn places(amounts: &[u64], within: Rect) -> Vec<Rect> {
    let total: f64 = amounts.iter().map(|amount| *amount as f64).sum();
    let mut places = Vec::with_capacity(amounts.len());
    let mut left = within;
    if total <= 0.0 || !left.is_positive() {
        return vec![Rect::from_min_size(left.min, egui::Vec2::ZERO); amounts.len()];
    }
    let unit = f64::from(left.width()) * f64::from(left.height()) / total;
    let mut rest = amounts;
    while !rest.is_empty() {
        let side = f64::from(left.width().min(left.height()));
        let (mut row, mut sum, mut worst) = (0, 0.0, f64::INFINITY);
        for amount in rest {
            let area = *amount as f64 * unit;
            let now = squeezed(&rest[..=row], sum + area, side, unit);
            if row > 0 && now > worst {
                break;
            }
            (row, sum, worst) = (row + 1, sum + area, now);
        }
        let (taken, others) = rest.split_at(row);
        left = lay(taken, sum, left, unit, &mut places);
        rest = others;
    }
    places
}

/// How far the least square of a row is from a square, 1 where it is one.
fn squeezed(row: &[u64], sum: f64, side: f64, unit: f64) -> f64 {
    let deep = sum / side.max(f64::MIN_POSITIVE);
    row.iter().fold(1.0, |worst, amount| {
        let long = *amount as f64 * unit / deep.max(f64::MIN_POSITIVE);
        let ratio = if long > deep { long / deep } else { deep / long };
        worst.max(if ratio.is_nan() { f64::INFINITY } else { ratio })
    })
}

/// Lays a row along the shorter side, and says what is left.
fn lay(row: &[u64], sum: f64, left: Rect, unit: f64, places: &mut Vec<Rect>) -> Rect {
    let upright = left.width() >= left.height();
    let side = f64::from(if upright { left.height() } else { left.width() });
    let deep = (sum / side.max(f64::MIN_POSITIVE)) as f32;
    let mut from = 0.0_f64;
    for amount in row {
        let until = if sum > 0.0 { from + *amount as f64 * unit / sum * side } else { from };
        let (a, b) = (from as f32, until as f32);
        let place = if upright {
            Rect::from_min_max(
                Pos2::new(left.left(), left.top() + a),
                Pos2::new(left.left() + deep, left.top() + b),
            )
        } else {
            Rect::from_min_max(
                Pos2::new(left.left() + a, left.top()),
                Pos2::new(left.left() + b, left.top() + deep),
            )
        };
        places.push(place);
        from = until;
    }
    if upright {
        left.with_min_x((left.left() + deep).min(left.right()))
    } else {
        left.with_min_y((left.top() + deep).min(left.bottom()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::Vec2;

    #[test]
    fn areas_are_in_proportion_and_lie_within() {
        let within = Rect::from_min_size(Pos2::new(10.0, 20.0), Vec2::new(300.0, 120.0));
        let amounts = [600, 300, 200, 100, 50, 7, 1, 0, 0];
        let places = places(&amounts, within);
        assert_eq!(places.len(), amounts.len());
        let total: u64 = amounts.iter().sum();
        for (place, amount) in places.iter().zip(amounts) {
            assert!(within.expand(0.01).contains_rect(*place), "{place:?}");
            let share = place.area() / within.area();
            assert!((share - amount as f32 / total as f32).abs() < 1e-3, "{amount}: {share}");
        }
        for (at, one) in places.iter().enumerate() {
            for other in &places[at + 1..] {
                let both = one.intersect(*other);
                assert!(!both.is_positive() || both.area() < 0.5, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn nothing_has_no_area() {
        let within = Rect::from_min_size(Pos2::ZERO, Vec2::new(100.0, 50.0));
        assert_eq!(places(&[], within).len(), 0);
        for rects in [places(&[0, 0], within), places(&[3, 2], Rect::NOTHING)] {
            assert_eq!(rects.len(), 2);
        }
    }
}
