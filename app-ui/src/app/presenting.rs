//! A lesson alone: large for a class, or in a frame of another page.

use egui::{CentralPanel, Context, Frame, Margin, Panel, Ui};
use session::lesson::LessonView;
use session::link::Part;

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

/// Draws the lesson's text and the pane that its beat shows, or what a link chose, and nothing else.
pub(super) fn ui(ui: &mut Ui, lesson: &LessonView, parts: &[Part], host: &mut Host<'_, '_>) {
    let parts = if parts.is_empty() { &[Part::Text, Part::Picture] } else { parts };
    let pane = |part: &Part| match part {
        Part::Text => Pane::Learn,
        Part::Picture => Pane::of(lesson.beat.show),
        Part::Narration => Pane::Narration,
        Part::Inspector => Pane::Inspector,
    };
    let reads = |part: &&Part| matches!(part, Part::Text | Part::Narration);
    let (words, pictures): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(reads);
    let panes = |parts: Vec<&Part>| parts.into_iter().map(pane).collect::<Vec<_>>();
    let (words, pictures) = (panes(words), panes(pictures));
    let size = ui.available_size();
    if words.is_empty() || pictures.is_empty() {
        column(ui, host, &[words, pictures].concat());
    } else if Layout::is_narrow(size.x) {
        column(ui, host, &[pictures, words].concat());
    } else {
        Panel::left("presented-words")
            .exact_size(size.x * 0.38)
            .frame(Frame::new())
            .show(ui, |ui| column(ui, host, &words));
        CentralPanel::default().frame(Frame::new()).show(ui, |ui| column(ui, host, &pictures));
    }
}

/// Panes one below the other, each as high as the next.
fn column(ui: &mut Ui, host: &mut Host<'_, '_>, panes: &[Pane]) {
    let Some((last, others)) = panes.split_last() else { return };
    let frame = Frame::new().fill(ui.visuals().panel_fill).inner_margin(Margin::same(12));
    let high = ui.available_height() / panes.len() as f32;
    for pane in others {
        Panel::top(("presented", pane.title()))
            .exact_size(high)
            .frame(frame)
            .show(ui, |ui| host.draw(ui, *pane));
    }
    CentralPanel::default().frame(frame).show(ui, |ui| host.draw(ui, *last));
}
