//! What the window asks of the shell around it.

use session::Opened;
use session::port::{InPlace, Port};

/// A process whose memory can be looked at, or that would be one if it were permitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessRow {
    /// Its number.
    pub pid: i32,
    /// What the system calls it: somebody else's text.
    pub name: String,
    /// Bytes that it has in memory.
    pub resident_bytes: u64,
    /// Its version of Python, such as `3.11`, where that can be told.
    pub python: Option<String>,
    /// Why its memory cannot be read and what to do about it, where it cannot.
    pub refused: Option<String>,
}

/// A process of which a picture is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessAsk {
    /// Its number.
    pub pid: i32,
    /// It is not stopped, and the picture is approximate.
    pub runs_on: bool,
    /// Keys of dicts are shown.
    pub contents: bool,
}

/// What a shell tells of processes.
pub enum ProcessNews {
    /// Which there are, those with most in memory first.
    Listed(Vec<ProcessRow>),
    /// The process's memory is copied: it did not run for so long, and runs again.
    Copied {
        /// Its number.
        pid: i32,
        /// Microseconds.
        pause_us: u64,
    },
    /// The picture as a trace, or why there is none.
    Taken {
        /// Its number.
        pid: i32,
        /// What became of it.
        picture: Result<Opened, String>,
    },
}

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
    /// Whether it can take pictures of processes; if not, the two below are never called.
    fn has_processes(&self) -> bool {
        false
    }
    /// Asks which processes there are; the answer arrives in [`Self::poll_processes`] later.
    fn list_processes(&mut self, _ctx: &egui::Context) {}
    /// Takes a picture of one; what becomes of it arrives there too.
    fn take_picture(&mut self, _ctx: &egui::Context, _ask: ProcessAsk) {}
    /// What is new of processes.
    fn poll_processes(&mut self) -> Option<ProcessNews> {
        None
    }
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
