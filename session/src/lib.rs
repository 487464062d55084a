//! The middle floor, without a window: what a trace becomes once it is open.
//!
//! [`open`] reads it a slice at a time, [`Session`] replays it and stands at one step, [`search`] finds things along it,
//! [`analysis`] says what follows from it. An [`Engine`] holds all of that for one front and takes its orders. Windows, pages and commands share all of it; each words and draws it.

#![forbid(unsafe_code)]

pub mod actions;
pub mod analysis;
pub mod at;
pub mod contents;
pub mod diagnosis;
mod dice;
pub mod engine;
pub mod facts;
pub mod feed;
pub mod filter;
pub mod find;
pub mod format;
pub mod ground;
pub mod lesson;
pub mod link;
pub mod names;
pub mod open;
pub mod order;
pub mod palette;
pub mod pass;
pub mod place;
pub mod port;
pub mod practice;
pub mod puzzle;
pub mod quiz;
pub mod real;
pub mod run;
pub mod search;
pub mod selection;
pub mod setup;
pub mod snapshots;
mod trouble;
pub mod view;
pub mod whatif;

pub use at::At;
pub use engine::Engine;
pub use open::Opened;
pub use order::Order;
pub use place::Place;
pub use run::Session;
pub use selection::{Level, Paint, Selection};
pub use setup::{Overrides, Setup, SetupError};
pub use trouble::Trouble;
