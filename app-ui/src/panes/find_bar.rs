//! The find bar, for going to what matters: touches of the selection, rare events, conditions and breakpoints.

use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{
    Button, ComboBox, Key, Popup, PopupCloseBehavior, RectAlign, Response, RichText, Role, TextEdit, Ui,
    WidgetInfo,
};
use session::find::Aspect;
use session::format::grouped;
use session::order::Order;
use session::search::rare_event_name;
use sim_core::breakpoint::{Condition, Variable};
use sim_core::index::RareEvent;

use super::{View, action_icon};
use crate::command::{Action, Command};
use crate::icons::{Icon, icon_button};

/// What is written in the condition field.
#[derive(Default)]
pub(crate) struct FindBarState {
    text: String,
    /// What is wrong with it.
    error: Option<String>,
    focus: bool,
    /// The text was written from outside and has not been read yet.
    written: bool,
}

impl FindBarState {
    /// Puts the text cursor into the field at the next frame, after writing something there.
    pub(crate) fn focus(&mut self, text: Option<String>) {
        self.focus = true;
        if let Some(text) = text {
            self.text = text;
            self.written = true;
        }
    }
}

/// Draws the bar.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut FindBarState, commands: &mut Vec<Command>) {
    let any = view.head.len > 0;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        action_icon(ui, Icon::Previous, Action::PreviousTouch, any, commands);
        aspect(ui, view, commands);
        action_icon(ui, Icon::Next, Action::NextTouch, any, commands);
        ui.add_space(8.0);
        action_icon(ui, Icon::Previous, Action::PreviousChosen, any, commands);
        rare_event(ui, view, commands);
        action_icon(ui, Icon::Next, Action::NextChosen, any, commands);
        ui.add_space(8.0);
        condition(ui, view, state, commands);
    });
}

/// A combo box with a name for screen readers.
fn named(response: &Response, name: &str, value: &str) {
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ComboBox, true, name);
        info.current_text_value = Some(value.to_owned());
        info
    });
}

fn aspect(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let now = view.status.finding.aspect;
    let shown = format!("this {}", now.label());
    let combo = ComboBox::from_id_salt("aspect").width(112.0).selected_text(&shown).show_ui(ui, |ui| {
        for (aspect, label, about) in Aspect::ALL {
            if ui.selectable_label(aspect == now, label).on_hover_text(about).clicked() {
                commands.push(Command::Order(Order::ChooseAspect(aspect)));
            }
        }
    });
    named(&combo.response, "What of the selection to follow", &shown);
    combo.response.on_hover_text(
        "Which of the things that the inspector shows is followed along the tape by the buttons beside this",
    );
}

fn rare_event(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let now = view.status.finding.rare_event;
    let combo = ComboBox::from_id_salt("rare event")
        .width(120.0)
        .selected_text(rare_event_name(now))
        .show_ui(ui, |ui| {
            for ((event, _), count) in RareEvent::ALL.into_iter().zip(view.travel.counts) {
                let label = format!("{} ({})", rare_event_name(event), grouped(count));
                if ui.selectable_label(event == now, label).clicked() {
                    commands.push(Command::Order(Order::ChooseRareEvent(event)));
                }
            }
        });
    named(&combo.response, "Event to go to", rare_event_name(now));
    combo.response.on_hover_text(
        "Which event the buttons beside this go to; in the list, how often it happens in what has been read",
    );
}

fn condition(ui: &mut Ui, view: &View<'_>, state: &mut FindBarState, commands: &mut Vec<Command>) {
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
        breakpoints(ui, view, commands);
        let ready = view.status.finding.condition;
        let keep = Action::KeepCondition;
        let button = ui.add_enabled(ready, Button::new("Keep"));
        button.widget_info(|| WidgetInfo::labeled(Role::Button, ready, keep.meta().label));
        if button.on_hover_text(keep.tooltip(ui.ctx())).clicked() {
            commands.push(Command::Do(keep));
        }
        action_icon(ui, Icon::Next, Action::NextHold, ready, commands);
        action_icon(ui, Icon::Previous, Action::PreviousHold, ready, commands);
        field(ui, state, commands);
    });
}

fn field(ui: &mut Ui, state: &mut FindBarState, commands: &mut Vec<Command>) {
    const NAME: &str = "Condition to run to";
    let field = TextEdit::singleline(&mut state.text)
        .hint_text("run to: arena_released && arenas > 40")
        .desired_width(ui.available_width());
    let field = ui.add(field);
    field.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::TextInput, true, NAME);
        info.current_text_value = Some(state.text.clone());
        info
    });
    if std::mem::take(&mut state.focus) {
        field.request_focus();
    }
    if field.changed() | std::mem::take(&mut state.written) {
        let read = if state.text.trim().is_empty() { None } else { Some(Condition::parse(&state.text)) };
        let read = read.transpose();
        state.error = read.as_ref().err().map(ToString::to_string);
        commands.push(Command::Order(Order::Condition(read.ok().flatten().map(|c| c.to_string()))));
    }
    if field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) && !state.text.trim().is_empty() {
        if state.error.is_some() {
            field.request_focus();
        } else {
            commands.push(Command::Do(Action::NextHold));
        }
    }
    let help = field.has_focus() || state.error.is_some();
    Popup::from_response(&field)
        .open(help)
        .align(RectAlign::TOP_START)
        .close_behavior(PopupCloseBehavior::IgnoreClicks)
        .width(field.rect.width().clamp(320.0, 620.0))
        .show(|ui| grammar(ui, state));
    field.on_hover_text(Action::EditCondition.tooltip(ui.ctx()));
}

/// What is wrong, and what can be written.
fn grammar(ui: &mut Ui, state: &FindBarState) {
    if let Some(error) = &state.error {
        // The names that it goes on to list stand below.
        let said = error.split("; events: ").next().unwrap_or(error);
        ui.label(RichText::new(said).strong());
    }
    let names = |names: Vec<&str>| names.join("  ");
    ui.weak("Events");
    ui.label(RichText::new(names(RareEvent::ALL.iter().map(|m| m.1).collect())).monospace().size(11.0));
    ui.weak("Numbers, compared with == != < <= > >=");
    ui.label(RichText::new(names(Variable::ALL.iter().map(|v| v.1).collect())).monospace().size(11.0));
    ui.weak("Joined with && || ! ( ). Enter looks ahead, Shift+F3 back, Escape stops.");
}

fn breakpoints(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let all = &view.status.finding.breakpoints;
    let on = all.iter().filter(|(_, on)| *on).count();
    let title = if all.is_empty() {
        "Breakpoints".to_owned()
    } else {
        format!("Breakpoints ({on} of {})", all.len())
    };
    let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let (button, _) = MenuButton::new(title).config(config).ui(ui, |ui| {
        ui.set_max_width(420.0);
        if all.is_empty() {
            ui.label("None. Write a condition and keep it: Play then stops where it holds.");
        }
        for (index, (text, on)) in all.iter().enumerate() {
            ui.horizontal(|ui| {
                let remove = icon_button(ui, Icon::Cross, &format!("Remove breakpoint {text}"), true);
                if remove.on_hover_text("Remove it").clicked() {
                    commands.push(Command::Order(Order::RemoveBreakpoint(index)));
                }
                if ui.small_button("edit").on_hover_text("Write it into the field").clicked() {
                    commands.push(Command::WriteCondition(text.clone()));
                    ui.close();
                }
                let mut heeded = *on;
                let check = ui.checkbox(&mut heeded, RichText::new(text).monospace());
                if check.on_hover_text("Whether Play stops here").clicked() {
                    commands.push(Command::Order(Order::ToggleBreakpoint(index)));
                }
            });
        }
        if all.len() > 1 && ui.button(Action::RemoveBreakpoints.meta().label).clicked() {
            commands.push(Command::Do(Action::RemoveBreakpoints));
        }
    });
    button.on_hover_text("Conditions at which Play stops");
}
