//! The desktop shell: a window, a file dialog, dropped files and a place to keep the layout.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use app_ui::{App, InPlace, Opened, Platform, Port, ProcessNews, Startup};
use eframe::egui;
use session::Engine;
use session::feed::feed;
use session::port::Threaded;

use crate::dialog;
use crate::measure::Drag;
use crate::memory::SystemMemory;

/// Where the layout is kept in the shell's storage.
const LAYOUT_KEY: &str = "layout";

/// Opens the window and stays in it until it is closed. `file` opens at once, else a bundled trace does.
/// `drag_seconds` makes it drag the position to the end and back by itself, say how long frames took, and close.
pub(crate) fn run(file: Option<PathBuf>, drag_seconds: Option<f64>) -> anyhow::Result<()> {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Arenascope")
            .with_app_id("arenascope")
            .with_inner_size([1440.0, 900.0])
            .with_min_inner_size([720.0, 480.0])
            .with_drag_and_drop(true)
            .with_icon(icon()),
        renderer: eframe::Renderer::Glow,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native("arenascope", options, Box::new(move |cc| Ok(Box::new(Shell::new(cc, file, drag_seconds)))))
        .map_err(|error| {
            let text = error.to_string();
            anyhow::anyhow!(
                "no window can be opened here ({}); without a display use the command line, for example `arenascope replay FILE`",
                cause(&text)
            )
        })
}

/// What an error of the window system says, without the place in its source where it was noticed.
fn cause(text: &str) -> String {
    let said = text.rsplit_once(".rs:").map_or(text, |(_, rest)| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | ' '))
    });
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").trim_end_matches(['.', ')', ';']).to_owned()
}

struct Shell {
    app: App,
    drag: Option<Drag>,
}

impl Shell {
    fn new(cc: &eframe::CreationContext<'_>, file: Option<PathBuf>, drag_seconds: Option<f64>) -> Self {
        dialog::watch();
        let platform = Desktop::new(cc.egui_ctx.clone());
        let link = file.as_ref().and_then(|path| path.to_str()).filter(|text| text.starts_with("#v="));
        let link = link.map(str::to_owned);
        let mut app = match file {
            Some(_) if link.is_some() => App::new(Box::new(platform), Startup { link, ..Startup::default() }),
            Some(path) => {
                platform.open(&cc.egui_ctx, path, false);
                App::waiting(Box::new(platform))
            }
            None => App::new(Box::new(platform), Startup::default()),
        };
        // What is measured is the window as it comes, whatever somebody made of it.
        let storage = cc.storage.filter(|_| drag_seconds.is_none());
        if let Some(saved) = storage.and_then(|s| s.get_string(LAYOUT_KEY)) {
            app.restore(&saved);
        }
        Self { app, drag: drag_seconds.map(Drag::new) }
    }
}

impl eframe::App for Shell {
    fn raw_input_hook(&mut self, ctx: &egui::Context, input: &mut egui::RawInput) {
        if let Some(drag) = &mut self.drag {
            drag.input(&mut self.app, input);
        }
        self.app.take_input(ctx, input);
    }

    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.app.logic(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        self.app.ui(ui);
        if let Some(drag) = &mut self.drag {
            if let Some(report) = drag.after(&self.app, frame.info().cpu_usage) {
                println!("{report}");
                ui.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            ui.request_repaint();
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        if self.drag.is_none() {
            storage.set_string(LAYOUT_KEY, self.app.save());
        }
    }
}

/// What threads bring.
enum Arrival {
    /// A file, or why it cannot be read.
    Opened(Result<Opened, String>),
    /// Why nobody could be asked for a file.
    NoDialog(String),
    /// What is new of processes.
    Processes(ProcessNews),
}

/// The desktop.
struct Desktop {
    sender: Sender<Arrival>,
    arrivals: Receiver<Arrival>,
    opened: VecDeque<Result<Opened, String>>,
    no_dialog: Option<String>,
    processes: VecDeque<ProcessNews>,
    /// Whether the file that was asked for last is to stand beside what is open.
    beside: bool,
    ctx: egui::Context,
}

impl Desktop {
    fn new(ctx: egui::Context) -> Self {
        let (sender, arrivals) = channel();
        Self {
            sender,
            arrivals,
            opened: VecDeque::new(),
            no_dialog: None,
            processes: VecDeque::new(),
            beside: false,
            ctx,
        }
    }

    /// Puts what has come where it is asked for.
    fn sort_arrivals(&mut self) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            match arrival {
                Arrival::Opened(opened) => self.opened.push_back(opened),
                Arrival::NoDialog(why) => self.no_dialog = Some(why),
                Arrival::Processes(news) => self.processes.push_back(news),
            }
        }
    }

    /// Opens a file on a thread of its own: a slow disk or a pipe must not stop a frame.
    fn open(&self, ctx: &egui::Context, path: PathBuf, beside: bool) {
        self.spawn("open-file", ctx, move |tell| tell(Arrival::Opened(arrive(&path, beside))));
    }

    /// Asks for files. The first is opened, unless it is to stand beside what is open; the others stand beside it.
    fn pick(&mut self, ctx: &egui::Context, beside: bool) {
        self.beside = beside;
        let answer = dialog::ask();
        self.spawn("file-dialog", ctx, move |tell| match answer() {
            Ok(paths) => {
                for (at, path) in paths.iter().enumerate() {
                    tell(Arrival::Opened(arrive(path, beside || at > 0)));
                }
            }
            Err(why) => tell(Arrival::NoDialog(why)),
        });
    }

    fn spawn(&self, name: &str, ctx: &egui::Context, work: impl FnOnce(&dyn Fn(Arrival)) + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), ctx.clone());
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            work(&|arrival| {
                // The window may be gone by now; then nobody misses the file.
                let _ = sender.send(arrival);
                ctx.request_repaint();
            });
        });
        if let Err(error) = spawned {
            let why = format!("no thread can be started: {error}; close other programs and try again");
            // The receiving end is in this same struct.
            let _ = self.sender.send(Arrival::Opened(Err(why)));
        }
    }
}

impl Platform for Desktop {
    fn port(&mut self) -> Box<dyn Port> {
        let ctx = self.ctx.clone();
        let engine = || Engine::new(None).over(Box::new(SystemMemory));
        match Threaded::new(engine, move || ctx.request_repaint()) {
            Ok(port) => Box::new(port),
            // Without a thread the engine works between frames.
            Err(_) => Box::new(InPlace::of(engine())),
        }
    }

    fn pick_file(&mut self, ctx: &egui::Context) {
        self.pick(ctx, false);
    }

    fn pick_beside(&mut self, ctx: &egui::Context) {
        self.pick(ctx, true);
    }

    fn save(&mut self, ctx: &egui::Context, name: &str, text: String) {
        let answer = dialog::ask_to_save(name);
        let name = name.to_owned();
        self.spawn("save-dialog", ctx, move |tell| {
            let saved = match answer() {
                Ok(Some(path)) => write_to(&path, &text),
                Ok(None) => return,
                // Where the program was begun, under a name that nothing has yet.
                Err(why) => Err(
                    match std::env::current_dir()
                        .map_err(|error| format!("there is no folder to save in: {error}"))
                        .and_then(|folder| write_beside(&folder, &name, &text))
                    {
                        Ok(path) => format!("{why}; it is saved as {}", path.display()),
                        Err(failed) => format!("{why}, and {failed}"),
                    },
                ),
            };
            if let Err(why) = saved {
                tell(Arrival::Opened(Err(why)));
            }
        });
    }

    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn has_processes(&self) -> bool {
        true
    }

    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn list_processes(&mut self, ctx: &egui::Context) {
        self.spawn("list-processes", ctx, |tell| {
            tell(Arrival::Processes(ProcessNews::Listed(crate::processes::list())));
        });
    }

    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn take_picture(&mut self, ctx: &egui::Context, ask: app_ui::ProcessAsk) {
        self.spawn("take-picture", ctx, move |tell| {
            crate::processes::take(ask, &|news| tell(Arrival::Processes(news)));
        });
    }

    fn poll_processes(&mut self) -> Option<ProcessNews> {
        self.sort_arrivals();
        self.processes.pop_front()
    }

    fn poll_refused(&mut self) -> Option<String> {
        self.sort_arrivals();
        self.no_dialog.take()
    }

    fn open_path(&mut self, ctx: &egui::Context, path: &str) {
        self.open(ctx, dialog::typed(path, std::env::home_dir()), self.beside);
    }

    fn take_dropped(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle) {
        self.open(ctx, file.path().to_owned(), false);
    }

    fn take_dropped_beside(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle) {
        self.open(ctx, file.path().to_owned(), true);
    }

    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        self.sort_arrivals();
        self.opened.pop_front()
    }

    #[cfg(unix)]
    fn cpu_seconds(&self) -> Option<f64> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
    }

    fn publish_status(&mut self, _status: &str) {
        // The desktop's screen readers see every label through AccessKit.
    }
}

/// Saves a text.
fn write_to(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text)
        .map_err(|error| format!("{}: cannot be written: {error}; choose another place", path.display()))
}

/// Saves a text in a folder, under a name that no file there has yet.
fn write_beside(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    const TRIES: u32 = 1_000;
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "ron"));
    let numbered = (2..TRIES).map(|number| format!("{stem}-{number}.{ending}"));
    for name in std::iter::once(name.to_owned()).chain(numbered) {
        let path = folder.join(name);
        if let Ok(mut file) = File::create_new(&path) {
            let written = file.write_all(text.as_bytes());
            return written.map(|()| path).map_err(|error| format!("nothing was saved: {error}"));
        }
    }
    Err(format!("nothing can be saved in {}", folder.display()))
}

/// Opens a file. Of a pipe is shown what has come; `-` is standard input.
fn arrive(path: &Path, beside: bool) -> Result<Opened, String> {
    opened(path).map(|opened| opened.beside(beside))
}

fn opened(path: &Path) -> Result<Opened, String> {
    let failed = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    if path == Path::new("-") {
        return pipe("standard input", std::io::stdin()).map_err(failed);
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() {
        return Ok(Opened::new(name, Box::new(file), Some(metadata.len())));
    }
    if metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    pipe(&name, file).map_err(failed)
}

/// Something that may be waited for, read by threads of its own.
fn pipe(name: &str, source: impl Read + Send + 'static) -> std::io::Result<Opened> {
    let (pump, reading, feed) = feed(name);
    thread::Builder::new().name("pipe".to_owned()).spawn(move || pump.run(source))?;
    thread::Builder::new().name("pipe-reader".to_owned()).spawn(move || reading.run())?;
    Ok(Opened::feed(name, feed))
}

/// The window's icon: an arena of four by four pools, filled to different heights.
fn icon() -> egui::IconData {
    const SIDE: usize = 64;
    const CELL: usize = 14;
    // Filled parts of the pools, in twelfths, and a color of the ramp for each row.
    const FILLS: [[usize; 4]; 4] = [[12, 12, 12, 7], [12, 9, 12, 4], [6, 12, 2, 0], [10, 3, 0, 0]];
    const COLORS: [[u8; 3]; 4] = [[86, 112, 205], [58, 150, 190], [92, 180, 130], [205, 205, 92]];
    let mut rgba = vec![0; SIDE * SIDE * 4];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (column, row) = ((x.saturating_sub(4)) / CELL, (y.saturating_sub(4)) / CELL);
            let (dx, dy) = ((x.saturating_sub(4)) % CELL, (y.saturating_sub(4)) % CELL);
            let inside =
                (4..60).contains(&x) && (4..60).contains(&y) && dx > 0 && dx < 13 && dy > 0 && dy < 13;
            let color = if inside {
                let filled = 13 - dy <= FILLS[row.min(3)][column.min(3)];
                let base = COLORS[row.min(3)];
                if filled { base } else { base.map(|c| c / 4 + 14) }
            } else {
                [22, 26, 33]
            };
            let at = (y * SIDE + x) * 4;
            rgba[at..at + 3].copy_from_slice(&color);
            rgba[at + 3] = 255;
        }
    }
    egui::IconData { rgba, width: SIDE as u32, height: SIDE as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("playground.ron", "a"), ("playground-2.ron", "b"), ("playground-3.ron", "c")] {
            let path = write_beside(folder.path(), "playground.ron", text).unwrap();
            assert_eq!(path, folder.path().join(name));
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
        let nowhere = folder.path().join("nowhere");
        assert!(
            write_beside(&nowhere, "playground.ron", "a").unwrap_err().contains("nothing can be saved in")
        );
        let why = write_to(&nowhere.join("x.ron"), "a").unwrap_err();
        assert!(why.contains("cannot be written") && why.contains("choose another place"), "{why}");
    }

    #[test]
    fn missing_files_say_so_in_one_line() {
        let error = arrive(Path::new("/none/such.ptrace"), false).err().unwrap_or_default();
        assert!(error.contains("/none/such.ptrace: cannot be read") && !error.contains('\n'), "{error}");
        assert!(arrive(Path::new("/"), false).is_err(), "a folder is no trace");
    }

    #[test]
    fn causes_are_short() {
        let text = "EventLoopError: os error at /a/b/mod.rs:765: no DISPLAY\n is set.)";
        assert_eq!(cause(text), "no DISPLAY is set");
        assert_eq!(cause("no GL"), "no GL");
    }

    #[test]
    fn the_icon_is_whole() {
        let icon = icon();
        assert_eq!(icon.rgba.len(), (icon.width * icon.height * 4) as usize);
    }
}
