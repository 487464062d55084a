//! What outlives the program: layout, colors and breakpoints, as JSON.

use serde::{Deserialize, Serialize};
use session::find::Breakpoints;
use session::order::Order;

use super::App;
use crate::layout::Layout;
use crate::progress::Progress;

/// Raised when a saved layout no longer means what it did.
const SAVED_VERSION: u32 = 1;

/// What outlives the program.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    theme: egui::ThemePreference,
    reduce_motion: bool,
    follow: bool,
    layout: Layout,
    /// Conditions where Play stops, by the name of their trace.
    #[serde(default)]
    kept: Vec<(String, Breakpoints)>,
    /// How far somebody came in lessons.
    #[serde(default)]
    progress: Progress,
}

impl App {
    /// Layout, colors and breakpoints as [`Self::save`] wrote them. What cannot be read is ignored.
    pub fn restore(&mut self, saved: &str) {
        let Ok(mut saved) = serde_json::from_str::<Saved>(saved) else { return };
        if saved.version != SAVED_VERSION {
            return;
        }
        self.state.theme = saved.theme;
        // Who asks the system for less gets it here, whatever was chosen where nobody asked.
        self.state.reduce_motion = saved.reduce_motion || self.platform.reduces_motion();
        self.state.order(Order::Follow(saved.follow));
        self.state.order(Order::Restore(saved.kept));
        self.state.progress = saved.progress;
        if saved.layout.sound() {
            saved.layout.tree.tiles.recompute_next_tile_id();
            self.state.layout = saved.layout;
        }
        self.styled = false;
    }

    /// Layout, colors and breakpoints as text, for the shell to keep.
    pub fn save(&mut self) -> String {
        let layout = std::mem::take(self.state.kept_layout());
        let saved = Saved {
            version: SAVED_VERSION,
            theme: self.state.theme,
            reduce_motion: self.state.reduce_motion,
            follow: self.state.selection().follow,
            layout,
            progress: self.state.progress.clone(),
            kept: self.state.shown.status.finding.kept.clone(),
        };
        // A tree of plain numbers and names always has a form in JSON.
        let text = serde_json::to_string(&saved).unwrap_or_default();
        *self.state.kept_layout() = saved.layout;
        text
    }
}
