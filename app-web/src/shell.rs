//! The window inside eframe.

use std::any::Any;

use app_ui::{App, Startup};
use eframe::egui;

use crate::platform::WebPlatform;

/// The window as eframe's app.
pub(crate) struct Shell {
    app: App,
}

impl Shell {
    /// The window over the page's elements.
    pub(crate) fn new(ctx: &egui::Context) -> Result<Self, String> {
        Ok(Self { app: App::new(Box::new(WebPlatform::new(ctx)?), Startup::default()) })
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

    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
}
