//! The window inside eframe.

use std::any::Any;

use app_ui::{App, Startup};
use eframe::egui;

use crate::platform::WebPlatform;

/// Where layout and colors are in the browser's storage.
const LAYOUT_KEY: &str = "layout";

/// The window as eframe's app.
pub(crate) struct Shell {
    app: App,
}

impl Shell {
    /// The window over the page's elements, laid out as it was left.
    pub(crate) fn new(creation: &eframe::CreationContext<'_>) -> Result<Self, String> {
        let platform = WebPlatform::new(&creation.egui_ctx)?;
        let mut app = App::new(Box::new(platform), Startup::default());
        if let Some(saved) = creation.storage.and_then(|storage| storage.get_string(LAYOUT_KEY)) {
            app.restore(&saved);
        }
        Ok(Self { app })
    }

    /// The window.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }
}

impl eframe::App for Shell {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.app.logic(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.app.ui(ui);
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        storage.set_string(LAYOUT_KEY, self.app.save());
    }

    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
}
