//! A Web Worker with the engine in it, and what it has said.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use eframe::egui;
use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use session::port::server::Request;
use session::view::Update;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{ErrorEvent, MessageEvent};

/// A file as it can be given to a worker, more than once.
#[derive(Clone)]
pub(crate) enum File {
    /// The browser's own, of which no byte passes this thread.
    Browser(web_sys::File),
    /// Bytes with a name.
    Bytes(String, Uint8Array),
}

/// What a worker says.
pub(crate) enum Letter {
    Update(Box<Update>),
    Pong,
    /// It is of no use any more, and why.
    Failed(String),
}

type Inbox = Rc<RefCell<VecDeque<Letter>>>;

/// A worker. Dropping it ends it, and gives its memory back.
pub(crate) struct Worker {
    js: web_sys::Worker,
    inbox: Inbox,
    /// Files, orders and looks that were sent to it.
    asked: Cell<u64>,
    /// Called by the browser: they live as long as the worker.
    on_message: Closure<dyn FnMut(MessageEvent)>,
    on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Worker {
    /// Makes one by the page's function, which has it load the engine. Whatever it says wakes the window.
    pub(crate) fn launch(launch: &Function, ctx: &egui::Context) -> Result<Self, JsValue> {
        let worker: web_sys::Worker = launch.call0(&JsValue::UNDEFINED)?.dyn_into()?;
        let inbox = Inbox::default();
        let put = {
            let (inbox, ctx) = (Rc::clone(&inbox), ctx.clone());
            move |letter| {
                inbox.borrow_mut().push_back(letter);
                // At once would mean twice, which without a graphics card takes the cores that the engine needs.
                ctx.request_repaint_after(Duration::from_millis(1));
            }
        };
        let on_message = {
            let put = put.clone();
            Closure::new(move |event: MessageEvent| put(read(&event.data())))
        };
        // A script that is not there or not allowed gives an event without words.
        let on_error = Closure::new(move |event: ErrorEvent| {
            let said = event.message();
            let said = if said.is_empty() { "its script cannot be loaded".to_owned() } else { said };
            put(Letter::Failed(said));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { js: worker, inbox, asked: Cell::new(0), on_message, on_error })
    }

    /// The next thing it said.
    pub(crate) fn next(&self) -> Option<Letter> {
        self.inbox.borrow_mut().pop_front()
    }

    /// Sends a request.
    pub(crate) fn ask(&self, request: &Request) {
        self.count(*request != Request::Taken);
        match postcard::to_allocvec(request) {
            Ok(bytes) => {
                let bytes = Uint8Array::from(bytes.as_slice());
                let transfer = Array::of1(&bytes.buffer());
                self.sent(self.js.post_message_with_transfer(&bytes, &transfer));
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Gives it a file to open, `beside` what it has.
    pub(crate) fn open(&self, file: &File, beside: bool) {
        self.count(true);
        let message = Object::new();
        let [name, content] = match file {
            File::Browser(file) => [("name", JsValue::from(file.name())), ("file", file.into())],
            File::Bytes(name, bytes) => [("name", name.into()), ("bytes", bytes.into())],
        };
        for (key, value) in [name, content, ("beside", beside.into())] {
            // A plain object takes any key.
            let _ = Reflect::set(&message, &key.into(), &value);
        }
        self.sent(self.js.post_message(&message));
    }

    /// Asks whether it is there.
    pub(crate) fn ping(&self) {
        self.sent(self.js.post_message(&"ping".into()));
    }

    /// Files, orders and looks that were sent so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.get()
    }

    fn count(&self, one: bool) {
        self.asked.set(self.asked.get() + u64::from(one));
    }

    fn sent(&self, result: Result<(), JsValue>) {
        if let Err(error) = result {
            self.fail(&crate::js_error::describe(&error));
        }
    }

    fn fail(&self, why: &str) {
        self.inbox.borrow_mut().push_back(Letter::Failed(why.to_owned()));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.js.set_onmessage(None);
        self.js.set_onerror(None);
        self.js.terminate();
        // The closures go after the worker that could call them.
        let _ = (&self.on_message, &self.on_error);
    }
}

fn read(data: &JsValue) -> Letter {
    if let Some(bytes) = data.dyn_ref::<Uint8Array>() {
        return match postcard::from_bytes(&bytes.to_vec()) {
            Ok(update) => Letter::Update(Box::new(update)),
            Err(error) => Letter::Failed(format!("page and engine are of different versions: {error}")),
        };
    }
    let said = |key: &str| Reflect::get(data, &key.into()).ok().and_then(|text| text.as_string());
    match said("panicked").or_else(|| said("failed")) {
        Some(why) => Letter::Failed(why),
        None => Letter::Pong,
    }
}
