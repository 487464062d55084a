//! What the window asks of the shell around it.

use session::Opened;
use session::port::{InPlace, Port};

/// The shell: everything that differs between desktop and browser.
pub trait Platform {
    /// Asks the user for a file; it arrives in [`Self::poll_opened`] later, or never.
    fn pick_file(&mut self, ctx: &egui::Context);
    /// The same for traces to be put beside what is open, as [`Opened::beside`] says.
    fn pick_beside(&mut self, ctx: &egui::Context) {
        self.pick_file(ctx);
    }
    /// Why the last [`Self::pick_file`] could not ask, told once; the window then takes a path as text.
    fn poll_refused(&mut self) -> Option<String> {
        None
    }
    /// Opens the file with a path that was typed; it arrives in [`Self::poll_opened`] later. Only a shell that refuses
    /// to ask is called.
    fn open_path(&mut self, _ctx: &egui::Context, _path: &str) {}
    /// Takes a dropped file; it arrives in [`Self::poll_opened`] later.
    fn take_dropped(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle);
    /// The same for one to be put beside what is open.
    fn take_dropped_beside(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle) {
        self.take_dropped(ctx, file);
    }
    /// The next file that arrived, or why it did not.
    fn poll_opened(&mut self) -> Option<Result<Opened, String>>;
    /// The way to an engine, asked for once. Without a better one it works between frames.
    fn port(&mut self) -> Box<dyn Port> {
        Box::new(InPlace::new(None))
    }
    /// Seconds that this thread has computed, where the system tells; frames are measured by them.
    fn cpu_seconds(&self) -> Option<f64> {
        None
    }
    /// Whether the system asks programs to move nothing that need not move.
    fn reduces_motion(&self) -> bool {
        false
    }
    /// Fetches a trace that belongs to the program and was not bundled, by its path under `traces/`; it arrives in
    /// [`Self::poll_opened`] later.
    fn fetch(&mut self, _ctx: &egui::Context, _file: &str) {}
    /// Saves a text as a file where the user wants it; `name` is what it is called unless they say otherwise. What goes wrong arrives
    /// in [`Self::poll_opened`] later.
    fn save(&mut self, _ctx: &egui::Context, _name: &str, _text: String) {}
    /// What a link to this program begins with: the page's address without its fragment; nothing on a desktop, where the
    /// fragment itself is opened.
    fn address(&self) -> String {
        String::new()
    }
    /// Tells the shell the state as text, for screen readers and tests (the browser mirrors it into the page).
    fn publish_status(&mut self, status: &str);
}
