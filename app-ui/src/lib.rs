//! The window's contents, the same on the desktop and in the browser.
//!
//! [`App`] is the window; [`Platform`] is what it asks of the shell around it. Inside, panes read a
//! session and a selection and push commands, and one function, `State::apply`, changes anything.

#![forbid(unsafe_code)]

mod actions;
mod app;
mod apply;
mod apply_find;
mod command;
mod examples;
mod facts;
mod filter;
mod find;
mod format;
mod frame_times;
mod icons;
mod layout;
mod loading;
mod overview;
mod owner;
mod panes;
mod platform;
mod quest;
mod raster;
mod selection;
mod session;
mod snapshots;
mod theme;

pub use app::{App, Startup};
pub use frame_times::FrameSummary;
pub use platform::{Opened, Platform};
