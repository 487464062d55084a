//! What `sys._debugmallocstats()` would print here, to read and to copy.

use egui::{RichText, ScrollArea, Ui};

use session::format::{bytes, count};
use session::lesson::Point;

use super::View;
use crate::command::{Action, Command};

/// Characters of the text's longest line, and the width of one as against the size of the font.
const LINE: f32 = 63.0;
const ADVANCE: f32 = 0.61;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let copy = ui.button("Copy").on_hover_text(Action::CopyStats.meta().tip);
        if copy.clicked() {
            commands.push(Command::Do(Action::CopyStats));
        }
        ui.add(
            egui::Label::new(
                RichText::new("What sys._debugmallocstats() prints at this step, byte for byte").weak(),
            )
            .wrap(),
        );
    });
    let Some(stats) = &view.picture.stats else { return };
    if let Some((printed, report)) = &stats.printed {
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("PYTHONMALLOCSTATS is set").strong());
            ui.label(if report.is_empty() {
                format!("{} printed so far, none by this step", count(*printed, "report"))
            } else {
                "This step printed the report that follows, before it asked for an arena".to_owned()
            });
        });
    }
    if let Some(totals) = &view.picture.mimalloc {
        ui.label(format!(
            "CPython prints here no more than the default heap of the thread that asks, taken to be thread 0: objects lie in \
             other heaps, and other threads have theirs. In all there are {} of {}.",
            count(totals.live_blocks, "live block"),
            bytes(totals.live_bytes)
        ));
    } else if stats.text.is_empty() {
        ui.label("It prints nothing here: neither pymalloc nor mimalloc stands in OBJ's table.");
    }
    let report = stats.printed.as_ref().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
    // On a phone the numbers at the end of its lines are to be seen, too.
    let usual = egui::TextStyle::Monospace.resolve(ui.style()).size;
    let size = (ui.available_width() / (LINE * ADVANCE)).clamp(8.0, usual);
    let mono = |text: &str| RichText::new(text).monospace().size(size);
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        if let Some(report) = report {
            ui.add(egui::Label::new(mono(report)).selectable(true).wrap_mode(egui::TextWrapMode::Extend));
            ui.separator();
            ui.label(RichText::new("And this is the state after the step:").strong());
        }
        let pointed = pointed(view);
        if pointed.is_empty() {
            text(ui, mono(&stats.text).into());
            return;
        }
        // A lesson points at lines: one label a line, so that each has a place.
        ui.spacing_mut().item_spacing.y = 0.0;
        let mut to_show = true;
        for line in stats.text.lines() {
            if pointed.iter().any(|words| line.trim_start().starts_with(*words)) {
                let marked = mono(line).strong().background_color(view.theme.hint);
                let response = text(ui, marked.into());
                super::outline(ui.painter(), response.rect.expand(1.0), 1.5, view.theme.touched);
                if std::mem::take(&mut to_show) {
                    response.scroll_to_me(None);
                }
            } else {
                text(ui, mono(line).into());
            }
        }
    });
}

fn text(ui: &mut Ui, text: egui::WidgetText) -> egui::Response {
    ui.add(egui::Label::new(text).selectable(true).wrap_mode(egui::TextWrapMode::Extend))
}

/// How the lines begin that the lesson's beat points at.
fn pointed<'a>(view: &View<'a>) -> Vec<&'a str> {
    let points = view.picture.lesson.as_ref().map_or(&[][..], |lesson| &lesson.beat.point);
    let line = |point: &'a Point| match point {
        Point::Line(words) => Some(words.as_str()),
        Point::Place(_) | Point::Field(_) => None,
    };
    points.iter().filter_map(line).collect()
}
