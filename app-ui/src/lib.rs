//! The window's contents, the same on the desktop and in the browser.
//!
//! [`App`] is the window; [`Platform`] is what it asks of the shell around it. Inside, panes read a
//! session and a selection and push commands, and one function, `State::apply`, changes anything.

#![forbid(unsafe_code)]

mod actions;
mod app;
mod apply;
mod command;
mod examples;
mod facts;
mod filter;
mod format;
mod icons;
mod layout;
mod loading;
mod overview;
mod owner;
mod panes;
mod platform;
mod raster;
mod selection;
mod session;
mod snapshots;
mod theme;

pub use app::{App, Startup};
pub use platform::{Opened, Platform};
