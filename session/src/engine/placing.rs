//! The part of [`Engine`] that knows on which heap the map stands: the model's, or the recorded one.

use std::sync::Arc;

use crate::diagnosis::{Layout, Placed, Recorded, SharedLayout};
use crate::ground::Ground;
use crate::place::Place;
use crate::run::Session;

use super::Engine;

/// The recorded heap of what is open.
#[derive(Default)]
enum Heap {
    /// It was not asked for.
    #[default]
    Unasked,
    /// There is none.
    None,
    /// It, at some step.
    Some(Box<Recorded>),
}

impl Heap {
    fn of(session: &Session, layout: &SharedLayout) -> Self {
        let setup = session.setup().ok();
        let layout = setup.and_then(|setup| layout.of(session.trace(), &setup).map(Arc::clone));
        layout
            .map_or(Self::None, |layout| Self::Some(Box::new(Recorded::new(layout, session.trace().clone()))))
    }
}

/// The recorded heap of what is open, and whether it is shown.
#[derive(Default)]
pub(super) struct Placing {
    /// Once it was asked for.
    heap: Heap,
    shown: bool,
    /// The arenas of what is open, for all who ask.
    layout: SharedLayout,
}

impl Placing {
    /// The recorded heap, where that is shown.
    pub(super) fn recorded(&self) -> Option<&Recorded> {
        match &self.heap {
            Heap::Some(recorded) if self.shown => Some(recorded),
            _ => None,
        }
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
        self.heap = Heap::Unasked;
        self.layout = SharedLayout::default();
    }

    /// The arenas of what is open, for who asks for them.
    pub(super) fn layout(&self) -> &SharedLayout {
        &self.layout
    }
}

impl Engine {
    /// Which heap is looked at, in all panes. A lesson is told on the model, and of a trace that still comes the arenas are not known yet.
    pub(super) fn placed(&self) -> Placed {
        let wanted = self.look.placed == Some(Placed::Recorded) && self.taught.is_none() && !self.growing;
        let is_there = |session: &Session| {
            session.setup().is_ok_and(|setup| Layout::is_to_be_had(session.trace(), &setup))
        };
        if wanted && self.session.as_ref().is_some_and(is_there) { Placed::Recorded } else { Placed::Model }
    }

    /// Puts the recorded heap to the step, where it is to be shown.
    pub(super) fn place_blocks(&mut self) {
        let wanted = self.placed() == Placed::Recorded;
        let mut shown = false;
        if let Some(session) = self.session.as_ref().filter(|_| wanted) {
            if let Heap::Unasked = self.placing.heap {
                self.placing.heap = Heap::of(session, &self.placing.layout);
            }
            if let Heap::Some(recorded) = &mut self.placing.heap {
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
