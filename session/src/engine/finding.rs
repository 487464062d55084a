//! The part of [`Engine`] that looks for things along the tape.

use sim_core::index::{RareEvent, Wanted};

use crate::order::Direction;
use crate::search::{Aim, rare_event_name};

use super::Engine;

impl Engine {
    /// Sets out for the next or previous operation of some kind; `what` is for sentences.
    fn look_for(&mut self, aim: Aim, what: impl Into<String>, direction: Direction) {
        if let Some(session) = &mut self.session {
            session.playback.playing = false;
            session.look_for(aim, what.into(), direction == Direction::Ahead);
        }
    }

    /// The next or previous operation that obtains or releases an arena.
    pub(super) fn look_for_arena(&mut self, direction: Direction) {
        self.look_for(Aim::Arena, "an arena obtained or released", direction);
    }

    /// The next or previous operation with a rare event.
    pub(super) fn go_to_rare_event(&mut self, event: RareEvent, direction: Direction) {
        let what = format!("\u{201c}{}\u{201d}", rare_event_name(event));
        self.look_for(Aim::Of(Wanted::RareEvent(event)), what, direction);
    }

    /// The next or previous operation that touched what is selected.
    pub(super) fn touch(&mut self, direction: Direction) {
        let Some(session) = &self.session else { return };
        if self.placing.recorded().is_some() {
            self.notice(
                "Searches for touches go by the model's places; show the model's heap first".to_owned(),
            );
            return;
        }
        let (place, pinned) = (self.inspected(), self.selection.pinned.is_some());
        match self.find.aspect.aim(session, place, pinned) {
            Ok((aim, what)) => self.look_for(aim, what, direction),
            Err(why) => self.notice(why),
        }
    }

    pub(super) fn notice(&mut self, notice: String) {
        if let Some(session) = &mut self.session {
            session.set_notice(notice);
        }
    }

    /// The next or previous operation after which the condition that is written holds.
    pub(super) fn run_to(&mut self, direction: Direction) {
        if let Some(condition) = self.find.condition.clone() {
            let what = format!("`{condition}`");
            self.look_for(Aim::Condition(condition), what, direction);
        }
    }

    /// Makes the condition that is written a breakpoint.
    pub(super) fn keep_condition(&mut self) {
        if let Some(condition) = self.find.condition.clone() {
            self.notice(format!("Play stops where `{condition}` holds"));
            self.find.keep(condition);
            self.heed_breakpoints();
        }
    }

    /// Heeds a breakpoint or passes it over.
    pub(super) fn toggle_breakpoint(&mut self, index: usize) {
        if let Some(breakpoint) = self.find.breakpoints.get_mut(index) {
            breakpoint.on = !breakpoint.on;
        }
        self.heed_breakpoints();
    }

    /// Removes a breakpoint.
    pub(super) fn remove_breakpoint(&mut self, index: usize) {
        if index < self.find.breakpoints.len() {
            self.find.breakpoints.remove(index);
        }
        self.heed_breakpoints();
    }

    /// Removes all of them.
    pub(super) fn remove_breakpoints(&mut self) {
        self.find.breakpoints.clear();
        self.heed_breakpoints();
    }

    /// Tells the session which breakpoints there are.
    pub(super) fn heed_breakpoints(&mut self) {
        if let Some(session) = &mut self.session {
            session.set_breakpoints(self.find.heeded());
        }
    }
}
