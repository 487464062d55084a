//! The engine of the page, in a Web Worker: `page/worker.js` loads this crate as WebAssembly and turns it over.
//!
//! What goes in and out are bytes of `session`'s requests and updates; only files travel as what they are. On any other
//! target the crate is empty, so that the whole workspace can be checked natively.

#![forbid(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
mod file;

#[cfg(target_arch = "wasm32")]
pub use engine::Engine;
