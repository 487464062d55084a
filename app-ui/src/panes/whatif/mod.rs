//! What would have been: the trace under other settings, with other blocks, and how few arenas the same blocks could lie in.

mod blocks;
mod bounds;
mod chart;
mod matrix;
mod rows;

use egui::{ComboBox, ProgressBar, Role, ScrollArea, TextEdit, Ui, WidgetInfo};
use session::diagnosis::Choice;
use session::order::Order;
use session::view::whatif::WhatIfOrder;

use super::{View, Wishes};
use crate::command::Command;

/// What of it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Settings,
    Blocks,
    Bounds,
}

/// What the pane is set to.
#[derive(Default)]
pub(crate) struct WhatIfState {
    part: Part,
    matrix: matrix::MatrixState,
    blocks: blocks::BlocksState,
}

/// Draws the pane. `ticked` are groups that are ticked among the holders.
pub(crate) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    state: &mut WhatIfState,
    ticked: &[Choice],
    wishes: &mut Wishes,
) {
    wishes.look.whatif = true;
    let commands = &mut wishes.commands;
    let (tried, part) = (view.tried, &mut state.part);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.selectable_value(part, Part::Settings, "Settings")
            .on_hover_text("The trace under a grid of versions and settings");
        ui.selectable_value(part, Part::Blocks, "Blocks")
            .on_hover_text("Without some call sites, or with their blocks elsewhere or at another time");
        ui.selectable_value(part, Part::Bounds, "Ideal")
            .on_hover_text("How few arenas the same blocks could lie in, and whose doing the rest is");
        if let Some(trial) = &tried.trial {
            ui.separator();
            if ui.button("Stop").on_hover_text("What is done so far stays").clicked() {
                commands.push(ask(WhatIfOrder::Stop));
            }
            ui.add(ProgressBar::new(trial.share).desired_width(90.0).desired_height(12.0));
            ui.weak(&trial.what);
        }
    });
    if let Some(error) = &tried.error {
        egui::Frame::new().fill(view.theme.error).inner_margin(5).corner_radius(4).show(ui, |ui| {
            ui.colored_label(view.theme.error_text, session::format::printable(error));
        });
    }
    let scroll = ScrollArea::vertical().id_salt("what if").auto_shrink(false);
    scroll.show(ui, |ui| match state.part {
        Part::Settings => matrix::ui(ui, view, &mut state.matrix, commands),
        Part::Blocks => blocks::ui(ui, view, &mut state.blocks, ticked, commands),
        Part::Bounds => bounds::ui(ui, view, commands),
    });
}

fn ask(order: WhatIfOrder) -> Command {
    Command::Order(Order::WhatIf(order))
}

/// A box that opens, with a name for who cannot see it.
fn combo(ui: &mut Ui, name: &str, selected: &str, content: impl FnOnce(&mut Ui)) {
    let combo = ComboBox::from_id_salt(name).selected_text(selected).show_ui(ui, content);
    combo.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, name));
}

/// A field for a text; whether Enter was pressed in it.
fn field(ui: &mut Ui, name: &str, hint: &str, width: f32, text: &mut String) -> bool {
    let field = ui.add(TextEdit::singleline(text).hint_text(hint).desired_width(width));
    field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, name));
    field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter))
}
