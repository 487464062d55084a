//! Boxes with arrows between them, tables and hooks as the chains they form; and the signs of legends.

use egui::{
    Frame, Margin, Painter, Pos2, Rect, Response, RichText, Role, Sense, Stroke, TextStyle, Ui, Vec2,
    WidgetInfo,
};

use super::View;

/// Boxes one below the other, of a width.
pub(crate) fn boxes(ui: &mut Ui, width: f32, content: impl FnOnce(&mut Ui)) {
    ui.vertical(|ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = 0.0;
        content(ui);
    });
}

/// What a table is called, and its context on the right, which is given back.
pub(crate) fn table_head(ui: &mut Ui, view: &View<'_>, title: &str, context: &str) -> Response {
    ui.horizontal(|ui| {
        ui.label(RichText::new(title).strong());
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.label(RichText::new(format!("ctx {context}")).monospace().size(10.5).color(view.theme.weak))
        })
        .inner
    })
    .inner
}

/// One function of a table, lit where the current operation called it, with what each call asked for.
pub(crate) fn function_line(ui: &mut Ui, view: &View<'_>, name: &str, calls: &[String]) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let text = RichText::new(name).monospace().size(11.0);
        if calls.is_empty() {
            ui.label(text.color(view.theme.weak));
        } else {
            ui.label(text.strong().color(view.theme.text));
            ui.label(RichText::new(calls.join(", ")).size(11.5).strong().color(view.theme.touched));
        }
    });
}

pub(crate) fn boxed(ui: &mut Ui, view: &View<'_>, lit: bool, content: impl FnOnce(&mut Ui)) {
    let theme = view.theme;
    // The frame keeps its size when it lights up.
    let (stroke, margin) =
        if lit { (Stroke::new(2.0, theme.touched), 7) } else { (Stroke::new(1.0, theme.line), 8) };
    Frame::new()
        .fill(theme.tile)
        .stroke(stroke)
        .corner_radius(5)
        .inner_margin(Margin { left: margin, right: margin, top: margin - 2, bottom: margin - 2 })
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 2.0;
            content(ui);
        });
}

/// An arrow down to what is drawn next, with a remark beside it.
pub(crate) fn arrow(ui: &mut Ui, view: &View<'_>, lit: bool, remark: &str) {
    let theme = view.theme;
    let (color, wide) = if lit { (theme.touched, 2.5) } else { (theme.line, 1.5) };
    ui.horizontal(|ui| {
        ui.add_space(22.0);
        let (rect, _) = ui.allocate_exact_size(Vec2::new(14.0, 22.0), egui::Sense::hover());
        let (top, tip) = (rect.center_top(), rect.center_bottom() - Vec2::new(0.0, 1.0));
        let stroke = Stroke::new(wide, color);
        ui.painter().line_segment([top, tip], stroke);
        for side in [-5.0, 5.0] {
            ui.painter().line_segment([Pos2::new(tip.x + side, tip.y - 6.0), tip], stroke);
        }
        if !remark.is_empty() {
            ui.label(RichText::new(remark).size(11.5).color(theme.weak));
        }
    });
}

/// A sign of a legend with its name: one piece, so that they go to the next line together.
pub(crate) fn sign(ui: &mut Ui, view: &View<'_>, name: &str, paint: impl FnOnce(&Painter, Rect)) -> Response {
    let font = TextStyle::Small.resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(name.to_owned(), font, view.theme.text);
    let size = Vec2::new(galley.size().x + 25.0, galley.size().y.max(12.0));
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    paint(ui.painter(), Rect::from_center_size(rect.left_center() + Vec2::new(6.0, 0.0), Vec2::splat(12.0)));
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, name));
    let at = Pos2::new(rect.left() + 17.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, view.theme.text);
    response
}
