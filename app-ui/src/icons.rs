//! Buttons with painted icons: no font has to know the glyphs, and each button has a name.

use egui::{Color32, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};

/// What a button shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Icon {
    /// To the first operation.
    Start,
    /// A hundred back.
    BackFar,
    /// One back.
    Back,
    /// Run.
    Play,
    /// Stop running.
    Pause,
    /// One on.
    Forward,
    /// A hundred on.
    ForwardFar,
    /// To the last operation.
    End,
    /// The arena mark before.
    PreviousArena,
    /// The arena mark after.
    NextArena,
    /// The operation before that is one of those looked for.
    Previous,
    /// The operation after that is one of those looked for.
    Next,
    /// Close.
    Cross,
}

/// A button of one icon. `name` is for screen readers; give the tooltip to the response.
pub(crate) fn icon_button(ui: &mut Ui, icon: Icon, name: &str, enabled: bool) -> Response {
    let sense = if enabled { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(30.0, 24.0), sense);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
    if ui.is_rect_visible(rect) {
        let visuals =
            if enabled { *ui.style().interact(&response) } else { ui.visuals().widgets.noninteractive };
        ui.painter().rect(
            rect.shrink(0.5),
            visuals.corner_radius,
            if enabled { visuals.weak_bg_fill } else { ui.visuals().faint_bg_color },
            if response.hovered() || response.has_focus() { visuals.bg_stroke } else { Stroke::NONE },
            egui::StrokeKind::Inside,
        );
        let color = if enabled { visuals.fg_stroke.color } else { ui.visuals().weak_text_color() };
        paint(ui.painter(), rect.shrink2(Vec2::new(8.0, 6.0)), icon, color);
    }
    response
}

fn paint(painter: &Painter, r: Rect, icon: Icon, color: Color32) {
    let c = r.center();
    let (w, h) = (r.width() / 2.0, r.height() / 2.0);
    let triangle = |tip: f32, base: f32| {
        let points =
            vec![Pos2::new(c.x + tip, c.y), Pos2::new(c.x + base, c.y - h), Pos2::new(c.x + base, c.y + h)];
        painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
    };
    let bar = |x: f32, width: f32| {
        painter.rect_filled(
            Rect::from_center_size(Pos2::new(c.x + x, c.y), Vec2::new(width, 2.0 * h)),
            0.0,
            color,
        );
    };
    let square = |x: f32| {
        let r = Rect::from_center_size(Pos2::new(c.x + x, c.y), Vec2::splat(1.5 * h));
        painter.rect_stroke(r, 0.0, Stroke::new(1.5, color), egui::StrokeKind::Inside);
    };
    match icon {
        Icon::Start => {
            bar(-w + 1.0, 2.0);
            triangle(-w + 3.0, w);
        }
        Icon::End => {
            bar(w - 1.0, 2.0);
            triangle(w - 3.0, -w);
        }
        Icon::Back => {
            bar(w - 2.0, 2.0);
            triangle(-w + 1.0, w - 4.0);
        }
        Icon::Forward => {
            bar(-w + 2.0, 2.0);
            triangle(w - 1.0, -w + 4.0);
        }
        Icon::BackFar => {
            triangle(-w, 0.0);
            triangle(0.0, w);
        }
        Icon::ForwardFar => {
            triangle(w, 0.0);
            triangle(0.0, -w);
        }
        Icon::Play => triangle(w, -w + 1.0),
        Icon::Pause => {
            bar(-3.0, 3.5);
            bar(3.0, 3.5);
        }
        Icon::PreviousArena => {
            triangle(-w - 1.0, -1.0);
            square(w - 2.0);
        }
        Icon::NextArena => {
            triangle(w + 1.0, 1.0);
            square(-w + 2.0);
        }
        Icon::Previous => {
            triangle(-w, 0.0);
            painter.circle_filled(Pos2::new(c.x + w - 2.0, c.y), 2.5, color);
        }
        Icon::Next => {
            triangle(w, 0.0);
            painter.circle_filled(Pos2::new(c.x - w + 2.0, c.y), 2.5, color);
        }
        Icon::Cross => {
            let stroke = Stroke::new(1.5, color);
            painter.line_segment([Pos2::new(c.x - h, c.y - h), Pos2::new(c.x + h, c.y + h)], stroke);
            painter.line_segment([Pos2::new(c.x - h, c.y + h), Pos2::new(c.x + h, c.y - h)], stroke);
        }
    }
}
