//! The window without a trace, and under a file that is about to be dropped.

use egui::{Button, Id, LayerId, Ui};

use crate::command::{Action, Command};
use crate::examples::{Kind, of_kind};
use crate::panes::toolbar;
use crate::theme::Theme;

/// What stands where the panes will be.
pub(super) fn welcome(ui: &mut Ui, loading: bool, commands: &mut Vec<Command>) {
    ui.add_space(ui.available_height() * 0.15);
    ui.vertical_centered(|ui| {
        ui.heading("Arenascope");
        ui.label("See how CPython's memory allocator places every block, step by step, forward and back.");
        ui.add_space(12.0);
        if loading {
            return;
        }
        if ui
            .add(Button::new("Open a trace file\u{2026}"))
            .on_hover_text(Action::Open.tooltip(ui.ctx()))
            .clicked()
        {
            commands.push(Command::Do(Action::Open));
        }
        for (title, kind) in [
            ("Lessons", Kind::Lesson),
            ("Scenarios", Kind::Scenario),
            ("Traces of real programs", Kind::Recording),
        ] {
            ui.add_space(10.0);
            ui.weak(title);
            for (index, example) in of_kind(kind) {
                if ui.button(example.label).on_hover_text(example.about).clicked() {
                    commands.push(Command::Example(index));
                }
            }
            if kind == Kind::Lesson {
                ui.menu_button(toolbar::PITFALLS, |ui| toolbar::pitfalls(ui, commands));
            }
        }
        ui.add_space(8.0);
        ui.weak("Or drop a file anywhere. Nothing leaves this machine.");
    });
}

/// While a file is dragged over the window.
pub(super) fn drop_overlay(ctx: &egui::Context, theme: &Theme) {
    if ctx.input(|i| i.raw.hovered_files.is_empty()) {
        return;
    }
    let painter = ctx.layer_painter(LayerId::new(egui::Order::Foreground, Id::unique("drop")));
    let rect = ctx.content_rect();
    painter.rect_filled(rect, 0.0, Theme::faded(theme.ground, 0.85));
    let center = rect.center();
    let font = |size| egui::FontId::proportional(size);
    painter.text(center, egui::Align2::CENTER_BOTTOM, "Drop to open this trace", font(26.0), theme.text);
    painter.text(
        center + egui::vec2(0.0, 8.0),
        egui::Align2::CENTER_TOP,
        "Nothing leaves this machine",
        font(16.0),
        theme.weak,
    );
}
