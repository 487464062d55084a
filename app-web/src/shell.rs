//! The window inside eframe.

use std::any::Any;

use app_ui::{App, Startup};
use eframe::egui;
use js_sys::Function;
use web_sys::Storage;

use crate::platform::WebPlatform;

/// Where layout and colors are in the browser's storage, which all pages of a host share.
const LAYOUT_KEY: &str = "arenascope-layout";

/// The window as eframe's app.
pub(crate) struct Shell {
    app: App,
    ctx: egui::Context,
}

impl Shell {
    /// The window over the page's elements, laid out as it was left.
    pub(crate) fn new(creation: &eframe::CreationContext<'_>, launch: Function) -> Result<Self, String> {
        creation.egui_ctx.set_fonts(crate::fonts::definitions());
        let platform = WebPlatform::new(&creation.egui_ctx, launch)?;
        let mut app = App::new(Box::new(platform), Startup { link: fragment(), ..Startup::default() });
        if let Some(saved) = storage().and_then(|storage| storage.get_item(LAYOUT_KEY).ok()?) {
            app.restore(&saved);
        }
        Ok(Self { app, ctx: creation.egui_ctx.clone() })
    }

    /// Keeps the layout for the next visit. eframe's own persistence would keep more, scroll positions
    /// among it, for a tenth more to download.
    pub(crate) fn save(&mut self) {
        if let Some(storage) = storage() {
            // A full or forbidden storage only means that the next visit starts with the usual layout.
            let _ = storage.set_item(LAYOUT_KEY, &self.app.save());
        }
    }

    /// Follows the link that the address is now.
    pub(crate) fn follow_address(&mut self) {
        if let Some(fragment) = fragment() {
            self.app.open_link(&fragment);
            self.ctx.request_repaint();
        }
    }

    /// The window.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// From the next picture on each has a digest; the first call draws a frame, in which that is asked for.
    pub(crate) fn keep_digests(&mut self) {
        if self.app.keep_digests() {
            self.ctx.request_repaint();
        }
    }
}

impl eframe::App for Shell {
    fn raw_input_hook(&mut self, ctx: &egui::Context, input: &mut egui::RawInput) {
        self.app.take_input(ctx, input);
    }

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

/// What the address says after `#`, if it says something.
fn fragment() -> Option<String> {
    let fragment = web_sys::window()?.location().hash().ok()?;
    (fragment.len() > 1).then_some(fragment)
}

/// The browser's storage for this host, unless the user forbids it.
fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}
