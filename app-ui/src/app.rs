//! The application: one session, its panes and the shell.

use crate::platform::{Opened, Platform};

/// What to begin with.
#[derive(Default)]
pub struct Startup {
    /// A file to open at once.
    pub file: Option<Opened>,
}

/// The whole window.
pub struct App {
    platform: Box<dyn Platform>,
}

impl App {
    /// A window over a shell.
    pub fn new(platform: Box<dyn Platform>, _startup: Startup) -> Self {
        Self { platform }
    }

    /// Work between frames: files that arrived, replay, playback.
    pub fn logic(&mut self, _ctx: &egui::Context) {
        let _ = self.platform.poll_opened();
    }

    /// Draws one frame.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        egui::CentralPanel::default().show(ui, |ui| ui.label("Arenascope"));
        self.platform.publish_status("");
    }
}
