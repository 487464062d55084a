//! The first twenty seconds: a heap that grows and shrinks by itself until somebody touches it, and three ways on.

use egui::{Align, Button, CentralPanel, Frame, Layout, Panel, RichText, Ui};
use session::Opened;
use session::lesson::{LessonView, words};
use session::order::Order;

use super::App;
use crate::command::{Action, Command};
use crate::examples::{OPENING, OPENING_SCENE, lesson};
use crate::panes::{self, View, Wishes};

/// How long a picture stays, in seconds; the first one, which is empty, less.
const PICTURE_SECONDS: f64 = 2.5;
const FIRST_SECONDS: f64 = 1.2;

/// Whether it moves, and since when its picture stands.
#[derive(Default)]
pub(super) struct Opening {
    touched: bool,
    shown: Option<(usize, f64)>,
}

impl App {
    /// Begins with the scene.
    pub(super) fn open_scene(&mut self) {
        self.state.open(Opened::bytes("opening.ron", OPENING_SCENE));
    }

    /// Moves on when a picture was shown long enough. Who touches it has it stay.
    pub(super) fn play_scene(&mut self, ctx: &egui::Context) {
        let open = self.state.shown.picture.as_ref().and_then(|picture| picture.lesson.as_ref());
        let Some(lesson) = open.filter(|lesson| lesson.id == OPENING) else { return };
        let (at, last) = (lesson.at, lesson.at + 1 == lesson.len);
        self.opening.touched |= ctx.input(|input| {
            input.pointer.any_pressed()
                || input.events.iter().any(|event| matches!(event, egui::Event::Key { pressed: true, .. }))
        });
        if self.opening.touched || self.state.reduce_motion || last {
            return;
        }
        let now = ctx.input(|input| input.time);
        let begun = match self.opening.shown {
            Some((shown, begun)) if shown == at => begun,
            _ => now,
        };
        self.opening.shown = Some((at, begun));
        let stays = if at == 0 { FIRST_SECONDS } else { PICTURE_SECONDS };
        if now - begun >= stays {
            self.opening.shown = None;
            self.state.order(Order::Beat(1));
            ctx.request_repaint();
        } else {
            ctx.request_repaint_after(std::time::Duration::from_secs_f64(stays - (now - begun)));
        }
    }
}

/// Draws the scene where the panes would be.
pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    lesson: &LessonView,
    map: &mut panes::map::MapState,
    wishes: &mut Wishes,
) {
    let commands = &mut wishes.commands;
    Panel::bottom("opening").frame(Frame::side_top_panel(ui.style()).inner_margin(14)).show(ui, |ui| {
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.label(RichText::new(words(&lesson.beat.text)).size(20.0).strong());
            ui.add_space(4.0);
            steps(ui, view, lesson, commands);
            ui.add_space(8.0);
            doors(ui, commands);
        });
    });
    CentralPanel::default().show(ui, |ui| panes::map::bare_ui(ui, view, map, wishes));
}

/// A dot for each picture, to go to it.
fn steps(ui: &mut Ui, view: &View<'_>, lesson: &LessonView, commands: &mut Vec<Command>) {
    let width = lesson.len as f32 * 22.0 + 2.0 * 34.0;
    ui.allocate_ui(egui::vec2(width, 18.0), |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            // Who had it stop, or has nothing move, goes on by hand.
            let turn = |ui: &mut Ui, text: &str, name: &str, on: bool| {
                let button = ui.add_enabled(on, Button::new(text).min_size(egui::vec2(26.0, 18.0)));
                button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, on, name));
                button.on_hover_text(name).clicked()
            };
            if turn(ui, "\u{2039}", "Previous picture", lesson.at > 0) {
                commands.push(Command::Order(Order::Beat(-1)));
            }
            for beat in 0..lesson.len {
                let (rect, response) = ui.allocate_exact_size(egui::vec2(18.0, 18.0), egui::Sense::click());
                let name = format!("Picture {} of {}", beat + 1, lesson.len);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
                let (radius, color) =
                    if beat == lesson.at { (6.0, view.theme.touched) } else { (4.0, view.theme.line) };
                ui.painter().circle_filled(rect.center(), radius, color);
                if response.on_hover_text(name).clicked() {
                    commands.push(Command::Order(Order::BeatAt(beat)));
                }
            }
            if turn(ui, "\u{203a}", "Next picture", lesson.at + 1 < lesson.len) {
                commands.push(Command::Order(Order::Beat(1)));
            }
        });
    });
}

/// Three ways on.
fn doors(ui: &mut Ui, commands: &mut Vec<Command>) {
    let door = |ui: &mut Ui, text: &str, about: &str| {
        ui.add(Button::new(RichText::new(text).size(16.0)).min_size(egui::vec2(150.0, 34.0)))
            .on_hover_text(about)
            .clicked()
    };
    let width = ui.available_width().min(3.0 * 160.0);
    ui.allocate_ui(egui::vec2(width, 34.0), |ui| {
        ui.horizontal_wrapped(|ui| {
            if door(ui, "Learn why", "Lessons that show it step by step")
                && let Some((index, _)) = lesson("first-block")
            {
                commands.push(Command::Example(index));
            }
            if door(ui, "Open your file", "A recording of your own program; nothing leaves this machine") {
                commands.push(Command::Do(Action::Open));
            }
            if door(ui, "Play with it", "Write a program and see what the allocator does") {
                commands.push(Command::Fork);
            }
        });
    });
}
