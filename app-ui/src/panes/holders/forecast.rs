//! What freeing the groups that are ticked gives back; and the reverse.

use std::fmt::Write as _;

use egui::{Key, RichText, Role, TextEdit, Ui, WidgetInfo};
use session::diagnosis::Forecast;
use session::format::{bytes, count, parse_bytes};
use session::view::holders::HoldersPicture;

use super::HoldersState;
use crate::command::{Action, Command};

/// Draws the line.
pub(super) fn ui(
    ui: &mut Ui,
    picture: &HoldersPicture,
    state: &mut HoldersState,
    commands: &mut Vec<Command>,
) {
    if state.picked.is_empty() && state.said.is_none() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        if !state.picked.is_empty() {
            match &picture.forecast {
                Some(forecast) => {
                    ui.label(RichText::new(sentence(forecast, state.picked.len() as u64)).strong());
                }
                None => {
                    ui.label("What is ticked holds nothing at this step.");
                }
            }
        }
        if let Some(said) = &state.said {
            ui.label(said);
        }
        if !state.picked.is_empty() && ui.small_button("untick").on_hover_text("Tick no group").clicked() {
            state.picked.clear();
            state.said = None;
        }
        let what = "Try the whole trace without these blocks, or with them elsewhere";
        if !state.picked.is_empty() && ui.small_button("what if\u{2026}").on_hover_text(what).clicked() {
            commands.push(Command::Do(Action::TabWhatIf));
        }
    });
}

/// The reverse: groups to be found for bytes.
pub(super) fn want(ui: &mut Ui, state: &mut HoldersState) {
    ui.label("To get back");
    let field = ui.add(TextEdit::singleline(&mut state.want).hint_text("50 MiB").desired_width(64.0));
    field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Bytes to get back"));
    let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    let amount = parse_bytes(&state.want);
    let button = ui.add_enabled(amount.is_some(), egui::Button::new("tick groups"));
    let button = button
        .on_hover_text("Ticks the groups to free so that at least so much goes back to the system: as few bytes as it finds")
        .on_disabled_hover_text("Write bytes, such as 64K, 50 MiB or 2G");
    if button.clicked() || entered && amount.is_some() {
        state.wanting = amount;
        state.said = None;
    }
}

/// The forecast in a sentence, what goes back first.
fn sentence(forecast: &Forecast, groups: u64) -> String {
    let mut text = format!(
        "Freeing {} ({}) gives {} back to the system",
        count(groups, "ticked group"),
        count(forecast.blocks, "block"),
        bytes(forecast.returned_bytes)
    );
    if !forecast.arenas.is_empty() {
        let _ = write!(text, " in {}", count(forecast.arenas.len() as u64, "arena"));
    }
    let _ = write!(text, "; {} can only be reused", bytes(forecast.reusable_bytes));
    if forecast.c_library_bytes > 0 {
        let _ = write!(text, ", {} go to the C library", bytes(forecast.c_library_bytes));
    }
    match forecast.kept_empty.len() {
        0 => {}
        1 => text += "; 1 arena would be empty and is kept, as the last one with room",
        more => {
            let _ = write!(text, "; {more} arenas would be empty and are kept");
        }
    }
    if !forecast.exact {
        text += " (counted, not replayed: one arena more may be kept)";
    }
    text + "."
}
