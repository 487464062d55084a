//! What a click puts on the clipboard.

use app_ui::App;
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

/// Clicks a button, and what that put on the clipboard.
pub(crate) fn copied(harness: &mut Harness<'static, App>, button: &str) -> String {
    harness.get_by_role_and_label(Role::Button, button).click();
    for _ in 0..4 {
        harness.step();
        let commands = &harness.output().platform_output.commands;
        if let Some(egui::OutputCommand::CopyText(text)) = commands.first() {
            return text.clone();
        }
    }
    panic!("nothing was copied");
}
