//! The browser's shell around the window: a handle for the page, files, the way to the engine's worker, and the page's
//! status line.
//!
//! The page (`index.html` and `page/boot.js`) loads this crate as WebAssembly, makes a `WebHandle` and
//! starts it on its canvas. On any other target the crate is empty, so that the whole workspace can be
//! checked natively.

#![forbid(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod fonts;
#[cfg(target_arch = "wasm32")]
mod handle;
#[cfg(target_arch = "wasm32")]
mod inbox;
#[cfg(target_arch = "wasm32")]
mod js_error;
#[cfg(target_arch = "wasm32")]
mod platform;
#[cfg(target_arch = "wasm32")]
mod port;
#[cfg(target_arch = "wasm32")]
mod shell;
#[cfg(target_arch = "wasm32")]
mod worker;

#[cfg(target_arch = "wasm32")]
pub use handle::WebHandle;
