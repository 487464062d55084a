//! The top row: opening, the profile, the view's settings.

use egui::{Button, ComboBox, ScrollArea, ThemePreference, Ui};
use session::format::count;
use session::order::Order;
use sim_core::profile::PRESETS;

use crate::apply::State;
use crate::command::{Action, Command};
use crate::examples::{Kind, of_kind};
use crate::layout::Layout;

/// Draws the row.
pub(crate) fn ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let narrow = Layout::is_narrow(ui.available_width());
    ui.horizontal(|ui| {
        action_button(ui, Action::Open, commands);
        if state.processes.is_some() && !narrow {
            action_button(ui, Action::OpenProcess, commands);
        }
        let lessons = "Short traces that explain one thing each, step by step";
        example_menu(ui, "Lessons", lessons, Kind::Lesson, commands);
        if narrow {
            ui.menu_button("More", |ui| {
                if state.processes.is_some() {
                    action_button(ui, Action::OpenProcess, commands);
                }
                others(ui, state, commands);
            });
            profile(ui, state, commands);
            return;
        }
        others(ui, state, commands);
        ui.separator();
        ui.label("Profile");
        profile(ui, state, commands);
        if let Some((head, _)) = state.shown.open() {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let text = format!("{} \u{b7} {}", head.name, count(head.len, "operation"));
                let label = ui.add(egui::Label::new(text).truncate());
                if !head.description.is_empty() {
                    label.on_hover_text(&head.description);
                }
            });
        }
    });
}

/// What else can be opened, how it is looked at, and help.
fn others(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let scenarios = "Debug hooks, tables of one's own and tracemalloc, step by step";
    example_menu(ui, "Scenarios", scenarios, Kind::Scenario, commands);
    example_menu(ui, "Examples", "Traces of real programs", Kind::Recording, commands);
    action_button(ui, Action::TabCompare, commands);
    view_menu(ui, state, commands);
    action_button(ui, Action::Help, commands);
}

fn example_menu(ui: &mut Ui, title: &str, about: &str, kind: Kind, commands: &mut Vec<Command>) {
    ui.menu_button(title, |ui| {
        examples(ui, kind, commands);
        if kind == Kind::Lesson {
            ui.separator();
            ui.menu_button(PITFALLS, |ui| pitfalls(ui, commands)).response.on_hover_text(
                "Things about the allocator that are easily got wrong, each as a short trace with notes",
            );
        }
    })
    .response
    .on_hover_text(about);
}

/// What their menu is called.
pub(crate) const PITFALLS: &str = "The 30 pitfalls";

/// An entry for each of them, as many at once as there is room for.
pub(crate) fn pitfalls(ui: &mut Ui, commands: &mut Vec<Command>) {
    let high = (ui.ctx().content_rect().height() - 120.0).max(120.0);
    ScrollArea::vertical().max_height(high).show(ui, |ui| examples(ui, Kind::Pitfall, commands));
}

fn examples(ui: &mut Ui, kind: Kind, commands: &mut Vec<Command>) {
    for (index, example) in of_kind(kind) {
        if ui.button(example.label).on_hover_text(example.about).clicked() {
            commands.push(Command::Example(index));
            ui.close();
        }
    }
}

fn action_button(ui: &mut Ui, action: Action, commands: &mut Vec<Command>) {
    if ui.button(action.meta().label).on_hover_text(action.tooltip(ui.ctx())).clicked() {
        commands.push(Command::Do(action));
        ui.close();
    }
}

fn view_menu(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.menu_button("View", |ui| {
        let mut entry = |ui: &mut Ui, action: Action, on: Option<bool>| {
            let meta = action.meta();
            let mut button = Button::selectable(on == Some(true), meta.label);
            if let Some(key) = meta.keys.first() {
                button = button.shortcut_text(crate::command::key_text(ui.ctx(), *key));
            }
            if ui.add(button).on_hover_text(meta.tip).clicked() {
                commands.push(Command::Do(action));
                ui.close();
            }
        };
        for action in [
            Action::TabMap,
            Action::TabClasses,
            Action::TabArenas,
            Action::TabStats,
            Action::TabDomains,
            Action::TabDebug,
            Action::TabTracemalloc,
            Action::TabOperations,
            Action::TabInspector,
            Action::TabCallers,
            Action::TabHolders,
            Action::TabWaterfall,
            Action::TabProcess,
            Action::TabWhatIf,
            Action::TabFindings,
            Action::TabCompare,
            Action::TabLearn,
            Action::TabPlayground,
        ] {
            entry(ui, action, None);
        }
        ui.separator();
        entry(ui, Action::ThemeSystem, Some(state.theme == ThemePreference::System));
        entry(ui, Action::ThemeDark, Some(state.theme == ThemePreference::Dark));
        entry(ui, Action::ThemeLight, Some(state.theme == ThemePreference::Light));
        ui.separator();
        entry(ui, Action::ReduceMotion, Some(state.reduce_motion));
        ui.separator();
        entry(ui, Action::Verify, None);
        entry(ui, Action::ResetLayout, None);
        entry(ui, Action::Palette, None);
    })
    .response
    .on_hover_text("Panes, colors and layout");
}

fn profile(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let Some((head, _)) = state.shown.open() else { return };
    let now = head.profile.name.as_str();
    let combo = ComboBox::from_id_salt("profile")
        .width(ui.available_width().min(170.0))
        .height(400.0)
        .selected_text(now)
        .show_ui(ui, |ui| {
            for (name, about) in PRESETS {
                if ui.selectable_label(*name == now, *name).on_hover_text(*about).clicked() {
                    commands.push(Command::Order(Order::Profile((*name).to_owned())));
                }
            }
        });
    combo.response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Profile");
        info.current_text_value = Some(now.to_owned());
        info
    });
    let about = PRESETS.iter().find(|p| p.0 == now).map_or("", |p| p.1);
    combo.response.on_hover_text(format!(
        "The build of CPython whose constants the machine has: {about}. Another one replays the same trace to the same step."
    ));
}
