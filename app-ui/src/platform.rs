//! What the window asks of the shell around it.

use std::io::Read;

/// A file that came in by dialog, drop or argument.
pub struct Opened {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub source: Box<dyn Read>,
    /// How many there are, where that is known.
    pub total_bytes: Option<u64>,
}

/// The shell: everything that differs between desktop and browser.
pub trait Platform {
    /// Asks the user for a file; it arrives in [`Self::poll_opened`] later, or never.
    fn pick_file(&mut self, ctx: &egui::Context);
    /// Takes a dropped file; it arrives in [`Self::poll_opened`] later.
    fn take_dropped(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle);
    /// The next file that arrived, or why it did not.
    fn poll_opened(&mut self) -> Option<Result<Opened, String>>;
    /// Tells the shell the state as text, for screen readers and tests (the browser mirrors it into the page).
    fn publish_status(&mut self, status: &str);
}
