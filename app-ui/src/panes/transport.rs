//! Moving through the tape.

use egui::{ComboBox, Ui};
use session::format::grouped;
use session::order::Order;
use session::run::SPEEDS;

use super::{View, action_icon};
use crate::command::{Action, Command};
use crate::icons::Icon;

/// Draws the row of buttons.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let (travel, len) = (view.travel, view.head.len);
    let at_start = travel.target == 0;
    let at_end = travel.target >= len;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let mut button =
            |ui: &mut Ui, icon, action, enabled| action_icon(ui, icon, action, enabled, commands);
        button(ui, Icon::Start, Action::Start, !at_start);
        button(ui, Icon::PreviousArena, Action::PreviousArena, !at_start);
        button(ui, Icon::BackFar, Action::BackFar, !at_start);
        button(ui, Icon::Back, Action::Back, !at_start);
        let play = if travel.playing { Icon::Pause } else { Icon::Play };
        button(ui, play, Action::Play, len > 0);
        button(ui, Icon::Forward, Action::Forward, !at_end);
        button(ui, Icon::ForwardFar, Action::ForwardFar, !at_end);
        button(ui, Icon::NextArena, Action::NextArena, !at_end);
        button(ui, Icon::End, Action::End, !at_end);
        ui.add_space(6.0);
        speed(ui, view, commands);
        if ui.button(Action::GoTo.meta().label).on_hover_text(Action::GoTo.tooltip(ui.ctx())).clicked() {
            commands.push(Command::Do(Action::GoTo));
        }
        ui.add_space(6.0);
        ui.strong(format!("step {}", grouped(travel.target)));
        ui.weak(format!("of {}", grouped(len)));
        if let Some(share) = travel.seeking {
            ui.label(format!("seeking\u{2026} {:.0}%", share * 100.0));
            if ui.button("Cancel").on_hover_text("Stop where it is").clicked() {
                commands.push(Command::Do(Action::Cancel));
            }
        } else if let Some((doing, share)) = &travel.looking {
            if ui.button("Cancel").on_hover_text("Stop looking (Escape)").clicked() {
                commands.push(Command::Do(Action::Cancel));
            }
            let share = share.map_or_else(String::new, |s| format!(" {:.0}%", s * 100.0));
            ui.add(egui::Label::new(format!("{doing}\u{2026}{share}")).truncate());
        } else if let Some(notice) = &travel.notice {
            ui.add_space(6.0);
            ui.add(egui::Label::new(egui::RichText::new(notice).strong()).truncate());
        } else if let Some(last) = &view.picture.last
            && ui.available_width() > 260.0
        {
            ui.add_space(6.0);
            let result = last.result.as_ref().map_or_else(String::new, |r| format!(" -> {r}"));
            ui.monospace(format!("{}{result}", last.plain));
        }
    });
}

fn speed(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let now = view.travel.speed.min(SPEEDS.len() - 1);
    let name = |index: usize| format!("{}/s", grouped(u64::from(SPEEDS[index])));
    let combo = ComboBox::from_id_salt("speed").width(96.0).selected_text(name(now)).show_ui(ui, |ui| {
        for index in 0..SPEEDS.len() {
            if ui.selectable_label(index == now, name(index)).clicked() {
                commands.push(Command::Order(Order::Speed(index)));
            }
        }
    });
    combo.response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Playback speed");
        info.current_text_value = Some(name(now));
        info
    });
    combo.response.on_hover_text("Operations a second while playing (, slower, . faster)");
}
