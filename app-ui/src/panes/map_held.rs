//! The places of the group that is looked at in the pane of holders, on every level of the map: a diamond with the number of its blocks,
//! and a dashed outline.

use egui::{Align2, FontId, Painter, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};
use session::Place;
use session::format::{count, grouped, printable};
use session::view::holders::Marks;

use super::View;
use super::map_scene::{Frame, Scene};
use crate::command::{Command, HoldersAsk};
use crate::theme::Theme;

/// The marks that belong to the picture.
pub(super) fn marks<'a>(view: &View<'a>) -> Option<&'a Marks> {
    // What was made of another state would point at other blocks.
    view.held.marks.as_ref().filter(|_| view.held.revision == view.picture.revision)
}

/// Says whose places are marked, and offers to end that.
pub(super) fn line(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let Some(marks) = marks(view) else { return };
    let arenas = marks.arenas.len() as u64;
    let alone = marks.arenas.iter().filter(|arena| arena.alone).count() as u64;
    let blocks: u64 = marks.arenas.iter().map(|arena| arena.blocks).sum();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
        diamond(ui.painter(), view, rect.center(), 6.0);
        let end = ui.small_button("unmark");
        if end.on_hover_text("Mark no holder on the map").clicked() {
            commands.push(Command::Holders(HoldersAsk::Unmark));
        }
        let whose = printable(&marks.whose);
        let text = if arenas == 0 {
            format!("Nothing in these arenas: {whose}")
        } else {
            format!(
                "{} in {}, {} of them alone: {whose}",
                count(blocks, "block"),
                count(arenas, "arena"),
                grouped(alone)
            )
        };
        let label = ui.add(egui::Label::new(&text).truncate());
        label.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Marked: {text}")));
    });
}

fn diamond(painter: &Painter, view: &View<'_>, at: Pos2, size: f32) {
    let points = [(0.0, -size), (size, 0.0), (0.0, size), (-size, 0.0)];
    let points = points.map(|(x, y)| at + Vec2::new(x, y)).to_vec();
    let casing = Theme::casing(view.theme.touched);
    painter.add(Shape::convex_polygon(points, view.theme.touched, Stroke::new(1.0, casing)));
}

/// A dashed line around a place, a diamond at its corner, and how many blocks where there is room.
fn mark(painter: &Painter, view: &View<'_>, rect: Rect, blocks: Option<u64>, whole: bool) {
    let color = view.theme.touched;
    let inner = rect.shrink(1.5);
    let corners =
        [inner.left_top(), inner.right_top(), inner.right_bottom(), inner.left_bottom(), inner.left_top()];
    let casing = Stroke::new(3.0, Theme::faded(Theme::casing(color), 0.5));
    let stroke = Stroke::new(1.5, color);
    if whole {
        painter.add(Shape::closed_line(corners[..4].to_vec(), casing));
        painter.add(Shape::closed_line(corners[..4].to_vec(), stroke));
    } else {
        painter.extend(Shape::dashed_line(&corners, casing, 4.0, 3.0));
        painter.extend(Shape::dashed_line(&corners, stroke, 4.0, 3.0));
    }
    let size = (rect.width().min(rect.height()) * 0.3).clamp(2.0, 6.0);
    let at = inner.right_top() + Vec2::new(-size - 1.0, size + 1.0);
    diamond(painter, view, at, size);
    if let Some(blocks) = blocks.filter(|_| rect.width() >= 44.0 && rect.height() >= 18.0) {
        let galley = painter.layout_no_wrap(grouped(blocks), FontId::proportional(11.0), view.theme.text);
        let place = Align2::RIGHT_CENTER.anchor_size(at - Vec2::new(size + 3.0, 0.0), galley.size());
        painter.rect_filled(place.expand2(Vec2::new(2.0, 0.0)), 2.0, Theme::faded(view.theme.tile, 0.85));
        painter.galley(place.min, galley, view.theme.text);
    }
}

/// Draws the marks of the level shown.
pub(super) fn paint(painter: &Painter, view: &View<'_>, scene: &Scene<'_>, frame: &Frame) {
    let Some(marks) = marks(view) else { return };
    let unit = frame.unit;
    let shown = |place| scene.rect_of(view, place, unit).map(|r| frame.screen(r));
    match scene {
        Scene::Heap { tiles, .. } => {
            for tile in *tiles {
                let Some(marked) = marks.arena(tile.arena.base) else { continue };
                if let Some(rect) =
                    shown(Place::Arena(tile.arena.id)).filter(|rect| rect.intersects(frame.rect))
                {
                    mark(painter, view, rect, Some(marked.blocks), marked.alone);
                }
            }
        }
        Scene::Arena { .. } => {
            for (pool, blocks) in &marks.pools {
                if let Some(rect) = shown(Place::Pool(*pool)).filter(|rect| rect.intersects(frame.rect)) {
                    mark(painter, view, rect, Some(*blocks), false);
                }
            }
        }
        Scene::Pool { pool, .. } => {
            for block in marks.blocks.iter().filter(|_| marks.pool(pool.addr).is_some()) {
                if let Some(rect) = shown(Place::Block(*block)).filter(|rect| rect.intersects(frame.rect)) {
                    mark(painter, view, rect, None, false);
                }
            }
        }
    }
}
