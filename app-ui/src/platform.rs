//! What the window asks of the shell around it.

use session::Opened;

/// The shell: everything that differs between desktop and browser.
pub trait Platform {
    /// Asks the user for a file; it arrives in [`Self::poll_opened`] later, or never.
    fn pick_file(&mut self, ctx: &egui::Context);
    /// Takes a dropped file; it arrives in [`Self::poll_opened`] later.
    fn take_dropped(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle);
    /// The next file that arrived, or why it did not.
    fn poll_opened(&mut self) -> Option<Result<Opened, String>>;
    /// The most bytes that a trace may take before opening it is refused; `None` where the system says no
    /// early enough by itself.
    fn trace_bytes_max(&self) -> Option<u64> {
        None
    }
    /// Seconds that this thread has computed, where the system tells; frames are measured by them.
    fn cpu_seconds(&self) -> Option<f64> {
        None
    }
    /// Tells the shell the state as text, for screen readers and tests (the browser mirrors it into the page).
    fn publish_status(&mut self, status: &str);
}
