//! What the window asks of a browser.

use std::cell::Cell;
use std::rc::Rc;

use app_ui::{Opened, Platform, Port};
use eframe::egui;
use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Document, Element, Event, File, HtmlAnchorElement, HtmlInputElement, Response, Url};

use crate::inbox::Inbox;
use crate::js_error::describe;
use crate::port::Workers;

/// The `<input type="file">` of the page. A dialog library would add styles of its own to the page, which
/// the page's content security policy forbids.
const FILE_INPUT_ID: &str = "file";
/// The `aria-live` element of the page.
const STATUS_ID: &str = "status";

/// The attribute of the page's root that says what the system asks for.
const MOTION: &str = "data-motion";

/// The browser as a [`Platform`].
pub(crate) struct WebPlatform {
    inbox: Inbox,
    /// Whether what is chosen next is to stand beside what is open.
    beside: Rc<Cell<bool>>,
    ctx: egui::Context,
    /// The page's function that starts a worker.
    launch: Function,
    file_input: HtmlInputElement,
    /// Called by the browser when the user chose a file: must live as long as the input may call it.
    on_change: Closure<dyn FnMut(Event)>,
    status: Element,
    status_text: String,
}

impl WebPlatform {
    /// Finds the page's elements.
    pub(crate) fn new(ctx: &egui::Context, launch: Function) -> Result<Self, String> {
        let document = web_sys::window()
            .and_then(|window| window.document())
            .ok_or("there is no document: the app must be started by a page, not by a worker")?;
        let status = element(&document, STATUS_ID)?;
        let file_input: HtmlInputElement = element(&document, FILE_INPUT_ID)?
            .dyn_into()
            .map_err(|_| format!("the page's element #{FILE_INPUT_ID} is no <input>"))?;
        let inbox = Inbox::default();
        let beside = Rc::<Cell<bool>>::default();
        let on_change = {
            let (inbox, ctx, beside) = (inbox.clone(), ctx.clone(), Rc::clone(&beside));
            Closure::new(move |event: Event| take_chosen(&inbox, &ctx, &event, beside.get()))
        };
        file_input
            .add_event_listener_with_callback("change", on_change.as_ref().unchecked_ref())
            .map_err(|error: JsValue| format!("the file dialog cannot be watched: {}", describe(&error)))?;
        let ctx = ctx.clone();
        Ok(Self { inbox, beside, ctx, launch, file_input, on_change, status, status_text: String::new() })
    }
}

impl WebPlatform {
    fn take(&self, ctx: &egui::Context, file: &egui::DroppedFileHandle, beside: bool) {
        match file.web_file() {
            Some(file) => self.inbox.take(ctx, file.clone(), beside),
            None => self.inbox.fail(ctx, "the browser did not hand over the dropped file"),
        }
    }
}

impl Drop for WebPlatform {
    fn drop(&mut self) {
        // The page outlives the app after `WebHandle::destroy`; an error means it was never listening.
        let _ = self
            .file_input
            .remove_event_listener_with_callback("change", self.on_change.as_ref().unchecked_ref());
    }
}

impl Platform for WebPlatform {
    fn pick_file(&mut self, _ctx: &egui::Context) {
        self.beside.set(false);
        self.file_input.click();
    }

    fn pick_beside(&mut self, _ctx: &egui::Context) {
        self.beside.set(true);
        self.file_input.click();
    }

    fn take_dropped(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle) {
        self.take(ctx, file, false);
    }

    fn take_dropped_beside(&mut self, ctx: &egui::Context, file: &egui::DroppedFileHandle) {
        self.take(ctx, file, true);
    }

    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        self.inbox.next()
    }

    fn port(&mut self) -> Box<dyn Port> {
        Box::new(Workers::new(self.ctx.clone(), self.launch.clone(), self.inbox.files().clone()))
    }

    fn reduces_motion(&self) -> bool {
        // The page's script knows, and writes it where a sheet of style can see it too.
        let root = self.status.owner_document().and_then(|document| document.document_element());
        root.and_then(|root| root.get_attribute(MOTION)).is_some_and(|motion| motion == "reduce")
    }

    fn fetch(&mut self, ctx: &egui::Context, file: &str) {
        let (inbox, ctx, file) = (self.inbox.clone(), ctx.clone(), file.to_owned());
        wasm_bindgen_futures::spawn_local(async move {
            match fetched(&file).await {
                Ok(file) => inbox.take(&ctx, file, false),
                Err(why) => inbox.fail(
                    &ctx,
                    &format!("{file} could not be loaded from the page's server: {why}; try again"),
                ),
            }
        });
    }

    fn save(&mut self, ctx: &egui::Context, name: &str, text: String) {
        if let Err(error) = download(name, &text) {
            self.inbox.fail(ctx, &format!("{name} could not be saved: {}", describe(&error)));
        }
    }

    fn address(&self) -> String {
        let location = web_sys::window().map(|window| window.location());
        let parts = location
            .map(|l| format!("{}{}", l.origin().unwrap_or_default(), l.pathname().unwrap_or_default()));
        parts.unwrap_or_default()
    }

    fn publish_status(&mut self, status: &str) {
        // Setting the same text again would have a screen reader say it again.
        if self.status_text != status {
            status.clone_into(&mut self.status_text);
            self.status.set_text_content(Some(status));
        }
    }
}

/// Has the browser save a text, as if a link to it had been clicked.
fn download(name: &str, text: &str) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or("there is no document")?;
    let blob = Blob::new_with_str_sequence(&js_sys::Array::of1(&text.into()))?;
    let address = Url::create_object_url_with_blob(&blob)?;
    let link: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    link.set_href(&address);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&address)
}

/// A file from beside the page: the build puts folders into names.
async fn fetched(file: &str) -> Result<File, String> {
    let window = web_sys::window().ok_or("there is no window")?;
    let name = file.replace('/', "-");
    let said = |error: JsValue| describe(&error);
    let response: Response =
        JsFuture::from(window.fetch_with_str(&name)).await.map_err(said)?.unchecked_into();
    if !response.ok() {
        return Err(format!("it answers {}", response.status()));
    }
    let blob = JsFuture::from(response.blob().map_err(said)?).await.map_err(said)?;
    let name = file.rsplit('/').next().unwrap_or(file);
    File::new_with_blob_sequence(&js_sys::Array::of1(&blob), name).map_err(said)
}

fn element(document: &Document, id: &str) -> Result<Element, String> {
    document
        .get_element_by_id(id)
        .ok_or_else(|| format!("the page has no element #{id}: index.html and the app differ in version"))
}

/// The first file is opened, unless it is to stand beside what is open; the others stand beside it.
fn take_chosen(inbox: &Inbox, ctx: &egui::Context, event: &Event, beside: bool) {
    let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else {
        return;
    };
    if let Some(files) = input.files() {
        for (at, file) in (0..files.length()).filter_map(|at| Some((at, files.get(at)?))) {
            inbox.take(ctx, file, beside || at > 0);
        }
    }
    // Otherwise choosing the same file again would be no change.
    input.set_value("");
}
