//! What the page holds.

use app_ui::App;
use eframe::{WebOptions, WebRunner};
use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlCanvasElement;

use crate::shell::Shell;

/// The app as the page sees it: start and end it, ask whether it failed, and, for tests and automation, ask
/// where it is.
#[wasm_bindgen]
pub struct WebHandle {
    runner: WebRunner,
}

#[wasm_bindgen]
impl WebHandle {
    /// A handle to an app that is not yet started. From here on panics are caught and kept.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::new_without_default, reason = "JavaScript has constructors, not Default")]
    pub fn new() -> Self {
        Self { runner: WebRunner::new() }
    }

    /// Starts the app on a canvas; rejects when WebGL cannot be had or the page lacks an element. `launch` makes a Web
    /// Worker that is about to load the engine.
    pub async fn start(&self, canvas: HtmlCanvasElement, launch: Function) -> Result<(), JsValue> {
        let create: eframe::AppCreator<'static> =
            Box::new(move |creation| Ok(Box::new(Shell::new(creation, launch)?)));
        self.runner.start(canvas, WebOptions::default(), create).await
    }

    /// Keeps the layout for the next visit; the page calls it when it is hidden or left.
    pub fn save(&self) {
        if let Some(mut shell) = self.runner.app_mut::<Shell>() {
            shell.save();
        }
    }

    /// Follows the link that the page's address is now; the page calls it when the part after `#` changes.
    pub fn follow_address(&self) {
        if let Some(mut shell) = self.runner.app_mut::<Shell>() {
            shell.follow_address();
        }
    }

    /// Ends the app and frees what it holds.
    pub fn destroy(&self) {
        self.runner.destroy();
    }

    /// Whether the app panicked. It does not draw or react any more then.
    pub fn has_panicked(&self) -> bool {
        self.runner.has_panicked()
    }

    /// What the panic said and where it was.
    pub fn panic_message(&self) -> Option<String> {
        let summary = self.runner.panic_summary()?;
        Some(format!("{}\n\n{}", summary.message(), summary.callstack()))
    }

    /// The digest of the allocator's state, 16 hex digits; the same as `arenascope replay --json` prints at
    /// the same step of the same trace. The first call asks for it, and is answered with the next picture.
    pub fn digest(&self) -> Option<String> {
        self.runner.app_mut::<Shell>()?.keep_digests();
        self.ask(|app| app.state_digest().map(|digest| format!("{digest:016x}")))
    }

    /// Operations done.
    pub fn step(&self) -> Option<f64> {
        self.ask(|app| app.step().map(|(step, _)| step as f64))
    }

    /// Operations of the trace.
    pub fn step_count(&self) -> Option<f64> {
        self.ask(|app| app.step().map(|(_, count)| count as f64))
    }

    /// The name of the open trace.
    pub fn trace_name(&self) -> Option<String> {
        self.ask(|app| app.trace_name().map(ToOwned::to_owned))
    }

    /// The error that the window shows.
    pub fn error(&self) -> Option<String> {
        self.ask(|app| app.error().map(ToOwned::to_owned))
    }

    /// The state in words, as the page's status line has it.
    pub fn status(&self) -> Option<String> {
        self.ask(|app| Some(app.status()))
    }

    /// Whether opening, seeking or playing goes on.
    pub fn busy(&self) -> bool {
        self.ask(|app| Some(app.busy())).unwrap_or(false)
    }

    /// Asks the app; none when it is not running, or at work this very moment.
    fn ask<T>(&self, question: impl FnOnce(&App) -> Option<T>) -> Option<T> {
        question(self.runner.app_mut::<Shell>()?.app())
    }
}
