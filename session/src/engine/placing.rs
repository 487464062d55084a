//! The part of [`Engine`] that knows on which heap the map stands: the model's, or the recorded one.

use crate::diagnosis::{Layout, Placed, Recorded};
use crate::ground::Ground;
use crate::place::Place;
use crate::run::Session;

use super::Engine;

/// The recorded heap of what is open, and whether it is shown.
#[derive(Default)]
pub(super) struct Placing {
    /// Once it was asked for, where there is one.
    heap: Option<Option<Recorded>>,
    shown: bool,
}

impl Placing {
    /// The recorded heap, where that is shown.
    pub(super) fn recorded(&self) -> Option<&Recorded> {
        self.heap.as_ref()?.as_ref().filter(|_| self.shown)
    }

    /// What is shown.
    pub(super) fn ground<'a>(&'a self, session: &'a Session) -> Ground<'a> {
        self.recorded().map_or(Ground::Model(session.heap()), Ground::Recorded)
    }

    /// The place that the last operation is about, on what is shown.
    pub(super) fn focus(&self, session: &Session) -> Option<Place> {
        match self.recorded() {
            Some(recorded) => recorded.last().map(Place::Block),
            None => session.focus(),
        }
    }

    /// Forgets what was open.
    pub(super) fn forget(&mut self) {
        self.heap = None;
    }
}

impl Engine {
    /// Puts the recorded heap to the step, where it is to be shown. A lesson is told on the model, and of a trace that still comes the
    /// arenas are not known yet.
    pub(super) fn place_blocks(&mut self) {
        let wanted = self.look.placed == Some(Placed::Recorded) && self.taught.is_none() && !self.growing;
        let mut shown = false;
        if let Some(session) = self.session.as_ref().filter(|_| wanted) {
            let heap = self.placing.heap.get_or_insert_with(|| {
                let layout = Layout::of(session.trace(), &session.setup().ok()?)?;
                Some(Recorded::new(layout, session.trace().clone()))
            });
            if let Some(recorded) = heap {
                shown = true;
                if !session.travels() {
                    recorded.go_to(session.step());
                }
            }
        }
        if self.placing.shown != shown {
            self.placing.shown = shown;
            // Its places are none of the other heap.
            self.selection.pinned = None;
            self.selection.arena = None;
            self.selection.pool = None;
            self.seen = None;
            self.told.stale = true;
        }
    }
}
