//! Files on their way into the window.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use app_ui::Opened;
use eframe::egui;
use wasm_bindgen_futures::spawn_local;
use web_sys::File;

use crate::bytes::Arriving;

/// Files that were read, in the order in which their reading ended. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Inbox {
    files: Rc<RefCell<VecDeque<Result<Opened, String>>>>,
}

impl Inbox {
    /// The next file, or why it could not be read.
    pub(crate) fn next(&self) -> Option<Result<Opened, String>> {
        self.files.borrow_mut().pop_front()
    }

    /// Puts in a file, or why there is none, and has the window look.
    pub(crate) fn put(&self, ctx: &egui::Context, file: Result<Opened, String>) {
        self.files.borrow_mut().push_back(file);
        ctx.request_repaint();
    }

    /// Puts in a file, whose bytes then come by and by.
    pub(crate) fn read(&self, ctx: &egui::Context, file: File) {
        let (name, total_bytes) = (file.name(), file.size() as u64);
        let repaint = ctx.clone();
        let (source, fetching) = Arriving::new(file, move || repaint.request_repaint());
        let ready = source.ready();
        let mut opened = Opened::new(name, Box::new(source), Some(total_bytes));
        opened.ready = Some(Box::new(ready));
        self.put(ctx, Ok(opened));
        spawn_local(fetching);
    }
}
