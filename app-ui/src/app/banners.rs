//! What stands under the toolbar for a while: an error, a file on its way in, a hint.

use egui::{Align, Layout as UiLayout, Panel, RichText, Ui};
use session::format::{bytes, count, grouped};
use session::view::{Head, Hint};

use super::App;
use crate::command::{Action, Command};
use crate::icons::{Icon, icon_button};

impl App {
    /// Errors, loading and hints, under the toolbar.
    pub(super) fn banners(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let margin = egui::Margin::symmetric(10, 6);
        if let Some(error) = self.state.error() {
            let frame = egui::Frame::new().fill(self.theme.error).inner_margin(margin);
            Panel::top("error").frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
                        if icon_button(ui, Icon::Cross, Action::DismissError.meta().label, true)
                            .on_hover_text(Action::DismissError.meta().tip)
                            .clicked()
                        {
                            commands.push(Command::Do(Action::DismissError));
                        }
                        ui.with_layout(UiLayout::left_to_right(Align::Center), |ui| {
                            let kept = if self.state.shown.head.is_some() {
                                " What was open stays open."
                            } else {
                                ""
                            };
                            let text = RichText::new(format!("{}.{kept}", error.trim_end_matches('.')))
                                .color(self.theme.error_text);
                            ui.add(egui::Label::new(text).wrap().selectable(true));
                        });
                    });
                });
            });
        }
        let status = &self.state.shown.status;
        if let Some(opening) = &status.opening {
            let frame = egui::Frame::new().fill(self.theme.hint).inner_margin(margin);
            Panel::top("loading").frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    // A wheel that turns has the window painted all the time, which may cost the engine a core.
                    let total = opening.total_bytes.filter(|t| *t > 0);
                    if total.is_none() && !opening.grows {
                        ui.spinner();
                    }
                    let (what, how, stop) = if opening.grows {
                        ("Reading", " as it comes", "Stop reading; what has come stays")
                    } else {
                        ("Opening", "", "Stop opening; what is open stays")
                    };
                    ui.label(format!("{what} {}{how}", opening.name));
                    if let Some(total) = total {
                        let share = opening.bytes as f32 / total as f32;
                        ui.add(egui::ProgressBar::new(share).desired_width(180.0).show_percentage());
                    }
                    ui.weak(format!("{}, {}", bytes(opening.bytes), count(opening.operations, "operation")));
                    if ui.button("Cancel").on_hover_text(stop).clicked() {
                        commands.push(Command::Do(Action::Cancel));
                    }
                });
            });
        } else if let (Some(hint), Some(head)) = (&status.hint, &self.state.shown.head) {
            let hint = hint_text(hint, head);
            let frame = egui::Frame::new().fill(self.theme.hint).inner_margin(margin);
            Panel::top("hint").frame(frame).show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
                        if icon_button(ui, Icon::Cross, Action::DismissHint.meta().label, true)
                            .on_hover_text(Action::DismissHint.meta().tip)
                            .clicked()
                        {
                            commands.push(Command::Do(Action::DismissHint));
                        }
                        ui.with_layout(UiLayout::left_to_right(Align::Center), |ui| {
                            ui.add(egui::Label::new(&hint).wrap());
                        });
                    });
                });
            });
        }
    }
}

/// What to tell whoever just opened this.
fn hint_text(hint: &Hint, head: &Head) -> String {
    match hint {
        Hint::Empty => format!("{} has no operation; open another trace.", head.name),
        Hint::Process => {
            "The memory of a process at one moment: Process says where it is, Holders whose it is, and Map shows its arenas.".to_owned()
        }
        Hint::Beginning => {
            let about = head.description.as_str();
            let gap = if about.is_empty() { "" } else { " " };
            format!(
                "{about}{gap}This is before the first of {}. Press the right arrow key to step; each step says what the allocator did.",
                count(head.len, "operation")
            )
        }
        Hint::Doubtful(doubts) => format!("Read with a grain of salt: {}.", doubts.join("; ")),
        Hint::Recording if head.mimalloc => format!(
            "The heap of mimalloc during a run of {}, one page a row, under its segment. Right arrow steps, Space plays.",
            head.name
        ),
        Hint::Recording => format!(
            "CPython's heap during a run of {}. Each tile is an arena of {}, each cell a pool of {}, filled as far as its blocks are in use. \
             Right arrow steps, Space plays, a double click looks inside.",
            head.name,
            bytes(head.profile.arena_size),
            bytes(head.profile.pool_size),
        ),
        Hint::Sound(step) => format!(
            "The heap after step {} is sound: lists, counts, links, radix tree and sums all hold.",
            grouped(*step)
        ),
    }
}
