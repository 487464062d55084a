//! The system's file dialog, and noticing that there is none.
//!
//! The library that asks for it tells a person who chose nothing and a system without dialogs alike, but writes the
//! latter into the log; so the log is where it is read.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// What the library calls itself in the log where its last resort failed.
const LIBRARY: &str = "rfd::backend";
/// What it says then, of files to open and to save.
const FAILED: [&str; 2] = ["Failed to pick file", "Failed to save file"];

/// Dialogs that could not be had so far.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// A log that keeps nothing but the number of dialogs that failed.
struct Failures;

impl log::Log for Failures {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error && metadata.target().starts_with(LIBRARY)
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata())
            && FAILED.iter().any(|said| record.args().to_string().starts_with(said))
        {
            FAILURES.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Begins to watch the log. Only the first call of a program can.
pub(crate) fn watch() {
    if log::set_logger(&Failures).is_ok() {
        log::set_max_level(log::LevelFilter::Error);
    }
}

/// Asks for files. On macOS the dialog has to be made on the main thread, but the answer may be waited for on any. The
/// answer is empty when nothing was chosen, an error when nobody could be asked.
pub(crate) fn ask() -> impl FnOnce() -> Result<Vec<PathBuf>, String> + Send + use<> {
    let before = FAILURES.load(Ordering::Relaxed);
    let dialog = rfd::AsyncFileDialog::new()
        .set_title("Open a trace")
        .add_filter("Traces and recordings", &trace_io::endings())
        .add_filter("All files", &["*"])
        .pick_files();
    move || answered(wait(dialog), before).map(Option::unwrap_or_default)
}

/// Asks where to save a file that is called `name` unless the user says otherwise; the rest is as in [`ask`].
pub(crate) fn ask_to_save(name: &str) -> impl FnOnce() -> Result<Option<PathBuf>, String> + Send + use<> {
    let before = FAILURES.load(Ordering::Relaxed);
    let dialog = rfd::AsyncFileDialog::new().set_title("Save the trace").set_file_name(name).save_file();
    move || answered(wait(dialog).map(|file| vec![file]), before).map(|paths| paths.unwrap_or_default().pop())
}

/// What came of a dialog, of which so many had failed before it.
fn answered(files: Option<Vec<rfd::FileHandle>>, before: u64) -> Result<Option<Vec<PathBuf>>, String> {
    match files {
        Some(files) => Ok(Some(files.iter().map(|file| file.path().to_owned()).collect())),
        None if FAILURES.load(Ordering::Relaxed) > before => {
            Err("This desktop has no file dialog: no xdg-desktop-portal answers, and there is no zenity"
                .to_owned())
        }
        None => Ok(None),
    }
}

/// A path as a person types it: with quotes, or from the home folder.
pub(crate) fn typed(text: &str, home: Option<PathBuf>) -> PathBuf {
    let text = text.trim();
    let bare = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let text = bare('"').or_else(|| bare('\'')).unwrap_or(text);
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

/// Waits for a future on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Log as _;
    use std::path::Path;

    #[test]
    fn futures_are_waited_for() {
        assert_eq!(wait(std::future::ready(7)), 7);
    }

    #[test]
    fn only_a_dialog_that_failed_is_counted() {
        let record = |level, target, text: &str| {
            let args = format!("{text}: No such file");
            Failures.log(
                &log::Record::builder().level(level).target(target).args(format_args!("{args}")).build(),
            );
            FAILURES.load(Ordering::Relaxed)
        };
        let before = FAILURES.load(Ordering::Relaxed);
        let library = "rfd::backend::xdg_desktop_portal";
        assert_eq!(record(log::Level::Error, "winit", "Failed to pick file with zenity"), before);
        assert_eq!(record(log::Level::Error, library, "Failed to connect to session bus"), before);
        assert_eq!(record(log::Level::Error, library, "Failed to pick file with zenity"), before + 1);
        assert_eq!(record(log::Level::Error, library, "Failed to save file with zenity"), before + 2);
    }

    #[test]
    fn paths_are_taken_as_people_write_them() {
        let home = || Some(PathBuf::from("/home/a"));
        assert_eq!(typed(" '/tmp/a b.bin' ", home()), Path::new("/tmp/a b.bin"));
        assert_eq!(typed("\"x.csv\"", home()), Path::new("x.csv"));
        assert_eq!(typed("~/x.atrace", home()), Path::new("/home/a/x.atrace"));
        assert_eq!(typed("~/x.atrace", None), Path::new("~/x.atrace"));
    }
}
