//! The seam between a front and its engine: orders and looks go in, updates come out.
//!
//! [`InPlace`] works in the front's own thread, a slice at a time; `Threaded` in one of its own. Fronts see no difference:
//! what they draw is the last update, whenever it comes. [`server`] is what ports to elsewhere share.

mod in_place;
pub mod server;
#[cfg(not(target_arch = "wasm32"))]
mod thread;

use std::time::Duration;

use crate::open::Opened;
use crate::order::Order;
use crate::view::{Look, Update};

pub use in_place::InPlace;
#[cfg(not(target_arch = "wasm32"))]
pub use thread::Threaded;

/// A way to an engine.
pub trait Port {
    /// Begins to open a file; what is open stays until it is complete.
    fn open(&mut self, opened: Opened);
    /// Passes an order on.
    fn order(&mut self, order: Order);
    /// Says what is on the screen from now on; whether that is another look than before.
    fn look(&mut self, look: Look) -> bool;
    /// Whether it works in frames alone, so that whatever was asked takes another one. Others wake the front themselves.
    fn needs_frames(&self) -> bool {
        false
    }
    /// Lets an engine that shares this thread work for about `slice`; `seconds` have passed since the last call. Says
    /// whether there is more to do, which then needs another frame.
    fn work(&mut self, seconds: f64, slice: Duration) -> bool;
    /// Whether something was asked that no update has answered yet.
    fn owes(&self) -> bool;
    /// The next update, if there is one.
    fn update(&mut self) -> Option<Update>;
}
