//! The window's contents, the same on the desktop and in the browser.

#![forbid(unsafe_code)]

mod app;
mod platform;

pub use app::{App, Startup};
pub use platform::{Opened, Platform};
