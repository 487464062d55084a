//! The window's contents, the same on the desktop and in the browser.
//!
//! [`App`] is the window; [`Platform`] is what it asks of the shell around it. Inside, panes read a
//! session and a selection and push commands, and one function, `State::apply`, changes anything.

#![forbid(unsafe_code)]

mod app;
mod apply;
mod command;
mod examples;
mod frame_times;
mod icons;
mod layout;
mod panes;
mod platform;
mod progress;
mod raster;
mod theme;
mod words;

pub use app::{App, Startup};
pub use frame_times::FrameSummary;
pub use platform::{Platform, ProcessAsk, ProcessNews, ProcessRow};

pub use session::Opened;
pub use session::port::{InPlace, Port};
