//! The engine in the front's own thread.

use std::time::Duration;

use super::Port;
use crate::engine::Engine;
use crate::open::Opened;
use crate::order::Order;
use crate::view::{Look, Update};

/// An engine that works when it is told to.
pub struct InPlace {
    engine: Engine,
    owes: bool,
}

impl InPlace {
    /// With nothing open. A trace that takes more than `bytes_max` is refused.
    pub fn new(bytes_max: Option<u64>) -> Self {
        Self::of(Engine::new(bytes_max))
    }

    /// The same over an engine.
    pub fn of(engine: Engine) -> Self {
        Self { engine, owes: false }
    }
}

impl Port for InPlace {
    fn open(&mut self, opened: Opened) {
        self.owes = true;
        self.engine.open(opened);
    }

    fn order(&mut self, order: Order) {
        self.owes = true;
        self.engine.order(order);
    }

    fn look(&mut self, look: Look) -> bool {
        let new = self.engine.look(look);
        self.owes |= new;
        new
    }

    fn needs_frames(&self) -> bool {
        true
    }

    fn work(&mut self, seconds: f64, slice: Duration) -> bool {
        self.engine.work(seconds, slice);
        self.engine.busy()
    }

    fn owes(&self) -> bool {
        self.owes
    }

    fn update(&mut self) -> Option<Update> {
        let update = self.engine.update(true);
        self.owes &= update.is_none();
        update
    }
}
