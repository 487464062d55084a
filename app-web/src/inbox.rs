//! Files on their way into the window.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use app_ui::Opened;
use eframe::egui;
use js_sys::Uint8Array;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::File;

use crate::bytes::JsBytes;

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

    /// Reads a file in the background and puts it in.
    pub(crate) fn read(&self, ctx: &egui::Context, file: File) {
        let (inbox, ctx) = (self.clone(), ctx.clone());
        spawn_local(async move {
            let name = file.name();
            let opened = match JsFuture::from(file.array_buffer()).await {
                Ok(buffer) => {
                    let source = JsBytes::new(Uint8Array::new(&buffer));
                    let total_bytes = Some(u64::from(source.len()));
                    Ok(Opened { name, source: Box::new(source), total_bytes })
                }
                // A folder, a file that changed or vanished, or more bytes than the browser can hold.
                Err(error) => Err(format!(
                    "the browser could not read {name}: {}. A folder cannot be opened; a file must stay \
                     unchanged while it is read",
                    describe(&error)
                )),
            };
            inbox.put(&ctx, opened);
        });
    }
}

/// A JavaScript error in words.
pub(crate) fn describe(error: &wasm_bindgen::JsValue) -> String {
    use wasm_bindgen::JsCast as _;

    error.dyn_ref::<js_sys::Error>().map_or_else(
        || error.as_string().unwrap_or_else(|| format!("{error:?}")),
        |error| String::from(error.message()),
    )
}
