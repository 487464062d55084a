//! What the worker's script holds.

use js_sys::{Object, Reflect, Uint8Array};
use session::open::Opened;
use session::port::server::{Next, Server};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsError, JsValue};
use web_sys::{DedicatedWorkerGlobalScope, File};

use crate::file::Slices;

/// An engine with nothing open.
#[wasm_bindgen]
pub struct Engine {
    server: Server,
    update: Option<Uint8Array>,
}

#[wasm_bindgen]
impl Engine {
    /// A trace that takes more than `bytes_max` is refused. From here on the page is told of a panic.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes_max: f64) -> Self {
        std::panic::set_hook(Box::new(|info| tell_panic(&info.to_string())));
        Self { server: Server::new(Some(bytes_max as u64)), update: None }
    }

    /// Begins to open a file, which is read here, slice by slice; `beside` what is open.
    pub fn open_file(&mut self, file: File, beside: bool) -> Result<(), JsError> {
        let (name, size) = (file.name(), file.size() as u64);
        let slices = Slices::new(file).map_err(|_| JsError::new("this browser's workers read no files"))?;
        self.server.read(name, Box::new(slices), Some(size), beside);
        Ok(())
    }

    /// Begins to open bytes, the same way.
    pub fn open_bytes(&mut self, name: String, bytes: Vec<u8>, beside: bool) {
        self.server.open(Opened::bytes(name, bytes).beside(beside));
    }

    /// Takes in a request as bytes.
    pub fn ask(&mut self, request: &[u8]) -> Result<(), JsError> {
        let request = postcard::from_bytes(request)
            .map_err(|error| JsError::new(&format!("page and engine are of different versions: {error}")))?;
        self.server.ask(request);
        Ok(())
    }

    /// Works a slice. When to turn again: 0 when something is asked, 1 after some milliseconds, 2 at once.
    pub fn turn(&mut self) -> Result<u8, JsError> {
        let (update, next) = self.server.turn();
        if let Some(update) = update {
            let bytes = postcard::to_allocvec(&update)
                .map_err(|error| JsError::new(&format!("the update cannot be sent: {error}")))?;
            self.update = Some(Uint8Array::from(bytes.as_slice()));
        }
        Ok(match next {
            Next::WhenAsked => 0,
            Next::Soon => 1,
            Next::AtOnce => 2,
        })
    }

    /// The update that the last turn made, once.
    pub fn take_update(&mut self) -> Option<Uint8Array> {
        self.update.take()
    }
}

/// Tells the page what a panic said: the trap that follows has no words.
fn tell_panic(text: &str) {
    let message = Object::new();
    // A plain object takes any key.
    let _ = Reflect::set(&message, &JsValue::from_str("panicked"), &JsValue::from_str(text));
    if let Ok(scope) = js_sys::global().dyn_into::<DedicatedWorkerGlobalScope>() {
        // Nobody could be told that nobody could be told.
        let _ = scope.post_message(&message);
    }
}
