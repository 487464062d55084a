//! Files on their way into the window.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use app_ui::Opened;
use eframe::egui;
use session::open::Source;
use web_sys::File;

/// Files that the browser gave, by number: the engine's worker reads them, not this thread. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct Files {
    /// The last few, of which one may be asked for.
    last: Rc<RefCell<VecDeque<(u32, File)>>>,
}

impl Files {
    /// Files that may wait to be opened at once.
    const KEPT: usize = 16;

    fn keep(&self, file: File) -> u32 {
        let mut last = self.last.borrow_mut();
        let number = last.back().map_or(0, |(number, _)| number + 1);
        last.push_back((number, file));
        if last.len() > Self::KEPT {
            last.pop_front();
        }
        number
    }

    /// A file by its number.
    pub(crate) fn get(&self, number: u32) -> Option<File> {
        self.last.borrow().iter().find(|(n, _)| *n == number).map(|(_, file)| file.clone())
    }
}

/// Files that were given, in order. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Inbox {
    arrived: Rc<RefCell<VecDeque<Result<Opened, String>>>>,
    files: Files,
}

impl Inbox {
    /// The next file, or why there is none.
    pub(crate) fn next(&self) -> Option<Result<Opened, String>> {
        self.arrived.borrow_mut().pop_front()
    }

    /// The files by number.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Says why there is no file, and has the window look.
    pub(crate) fn fail(&self, ctx: &egui::Context, error: &str) {
        self.put(ctx, Err(error.to_owned()));
    }

    /// Puts in a file, to be put `beside` what is open.
    pub(crate) fn take(&self, ctx: &egui::Context, file: File, beside: bool) {
        let (name, total_bytes) = (file.name(), Some(file.size() as u64));
        let source = Source::Shell(self.files.keep(file));
        self.put(ctx, Ok(Opened { name, source, total_bytes, beside }));
    }

    fn put(&self, ctx: &egui::Context, file: Result<Opened, String>) {
        self.arrived.borrow_mut().push_back(file);
        ctx.request_repaint();
    }
}
