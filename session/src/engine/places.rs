//! The part of [`Engine`] that looks at places: pins, the map's levels, following the steps.

use sim_core::Addr;

use crate::place::Place;
use crate::selection::Level;
use crate::view::Hint;

use super::Engine;

impl Engine {
    /// Stays with a place and shows it on the map.
    pub(super) fn pin(&mut self, place: Place) {
        if let Some(place) = self.existing(place) {
            self.selection.pinned = Some(place);
            self.show_place(place);
        }
    }

    /// Goes to a step, and stays there with the arena that begins at an address.
    pub(super) fn show_arena(&mut self, step: u64, base: Addr) {
        self.seek(|_| step);
        self.awaits_arena = Some(base);
        self.stay_with_awaited_arena();
    }

    pub(super) fn stay_with_awaited_arena(&mut self) {
        let Some(base) = self.awaits_arena else { return };
        if self.session.as_ref().is_none_or(crate::run::Session::travels) {
            return;
        }
        self.awaits_arena = None;
        self.place_blocks();
        let Some(session) = self.session.as_ref() else { return };
        match self.placing.ground(session).arenas().into_iter().find(|arena| arena.base == base) {
            Some(arena) => self.pin(Place::Arena(arena.id)),
            None => self.notice(format!("No arena begins at {base} at this step")),
        }
    }

    /// The place as it is at this step: an address inside a block means the block, one outside all
    /// blocks its pool.
    fn existing(&mut self, place: Place) -> Option<Place> {
        let session = self.session.as_ref()?;
        let ground = self.placing.ground(session);
        let found = match place {
            Place::Arena(id) => ground.same_arena(id).map(|a| Place::Arena(a.id)),
            Place::Pool(addr) => ground.pool_at(addr).map(|p| Place::Pool(p.addr)),
            Place::Block(addr) if session.machine().mimalloc().is_some() => {
                let heap = session.machine().mimalloc()?.heap();
                heap.page_around(addr).map(|_| place)
            }
            Place::Block(addr) => ground
                .block_at(addr)
                .map(|b| Place::Block(b.addr))
                .or_else(|| ground.pool_at(addr).map(|p| Place::Pool(p.addr))),
        };
        if found.is_none() {
            let text = match place {
                Place::Arena(id) => format!("{id} does not exist at this step"),
                Place::Pool(addr) | Place::Block(addr) => format!("no arena holds {addr} at this step"),
            };
            self.error = Some(text.into());
        }
        found
    }

    /// Points the map somewhere; away from where the step happened it stops following.
    fn show_place(&mut self, place: Place) {
        let Some(session) = &self.session else { return };
        let ground = self.placing.ground(session);
        let there = place.resolve(ground);
        let here = self.placing.focus(session).map(|focus| focus.resolve(ground));
        let elsewhere = here.is_some_and(|here| match self.selection.level {
            Level::Heap => false,
            Level::Arena => here.0 != there.0,
            Level::Pool => there.1.is_some() && here.1 != there.1,
        });
        self.selection.look_at(ground, place);
        if elsewhere && std::mem::replace(&mut self.selection.follow, false) {
            self.notice("The map stays here; Follow (F) has it go with the steps again".to_owned());
        }
    }

    /// Opens a place on the map.
    pub(super) fn enter(&mut self, place: Place) {
        let Some(place) = self.existing(place) else { return };
        self.selection.level = match place {
            Place::Arena(_) => Level::Arena,
            Place::Pool(_) | Place::Block(_) => Level::Pool,
        };
        if let Place::Block(_) = place {
            self.selection.pinned = Some(place);
        }
        self.show_place(place);
    }

    /// Goes a level in.
    pub(super) fn zoom_in(&mut self) {
        self.selection.level = match self.selection.level {
            Level::Heap => Level::Arena,
            Level::Arena | Level::Pool => Level::Pool,
        };
        // Going in, one wants to see what is being looked at.
        if let (Some(session), Some(place)) = (&self.session, self.inspected()) {
            self.selection.look_at(self.placing.ground(session), place);
        }
    }

    /// Goes a level out.
    pub(super) fn zoom_out(&mut self) {
        self.selection.level = match self.selection.level {
            Level::Heap | Level::Arena => Level::Heap,
            Level::Pool => Level::Arena,
        };
    }

    /// After the state shown has changed, the map goes where it happened and lets go of what is gone.
    pub(super) fn catch_up(&mut self) {
        self.place_blocks();
        let Some(session) = &self.session else { return };
        if self.seen != Some(session.revision()) {
            self.seen = Some(session.revision());
            if self.checked.is_some_and(|step| step != session.step()) {
                self.checked = None;
            }
            // It told how to take the first step.
            if session.step() > 0 && self.hint == Some(Hint::Beginning) {
                self.hint = None;
            }
            if self.selection.follow
                && let Some(place) = self.placing.focus(session)
            {
                self.selection.look_at(self.placing.ground(session), place);
            }
            self.selection.repair(self.placing.ground(session));
        }
        self.direct();
        // On the recorded heap the holder is known by the address.
        if self.placing.recorded().is_none()
            && let Some(Place::Block(block)) = self.inspected()
            && let Some(session) = &mut self.session
        {
            session.ask_owner(block);
        }
    }
}
