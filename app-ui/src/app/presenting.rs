//! A lesson alone: large for a class, or in a frame of another page.

use egui::{CentralPanel, Context, Frame, Margin, Panel, Ui};
use session::lesson::LessonView;

use super::tiles::Host;
use crate::apply::Extent;
use crate::layout::{Layout, Pane};

/// How much larger everything is for a class.
const LARGE: f32 = 1.45;

/// Makes everything as large as it is to be, when that changes: who chose another size by hand keeps it until then.
pub(super) fn zoom(ctx: &Context, before: Extent, now: Extent) {
    if (before == Extent::Present) != (now == Extent::Present) {
        ctx.set_zoom_factor(if now == Extent::Present { LARGE } else { 1.0 });
    }
}

/// Draws the lesson's text and the pane that its beat shows, and nothing else.
pub(super) fn ui(ui: &mut Ui, lesson: &LessonView, host: &mut Host<'_, '_>) {
    let picture = Pane::of(lesson.beat.show);
    let size = ui.available_size();
    let frame = Frame::new().fill(ui.visuals().panel_fill).inner_margin(Margin::same(12));
    if Layout::is_narrow(size.x) {
        Panel::bottom("presented-text")
            .exact_size(size.y * 0.5)
            .frame(frame)
            .show(ui, |ui| host.draw(ui, Pane::Learn));
    } else {
        Panel::left("presented-text")
            .exact_size(size.x * 0.38)
            .frame(frame)
            .show(ui, |ui| host.draw(ui, Pane::Learn));
    }
    CentralPanel::default().frame(frame).show(ui, |ui| host.draw(ui, picture));
}
