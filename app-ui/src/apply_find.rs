//! The part of [`State`] that looks for things along the tape.

use session::search::{Aim, mark_name};
use sim_core::index::{Mark, Wanted};

use crate::apply::{Request, State};

impl State {
    /// Sets out for the next or previous operation of some kind; `what` is for sentences.
    pub(crate) fn look_for(&mut self, aim: Aim, what: impl Into<String>, forward: bool) {
        if let Some(session) = &mut self.session {
            session.playback.playing = false;
            session.look_for(aim, what.into(), forward);
        }
    }

    /// The next or previous operation with a rare event.
    pub(crate) fn go_to_mark(&mut self, mark: Mark, forward: bool) {
        self.look_for(Aim::Of(Wanted::Mark(mark)), format!("\u{201c}{}\u{201d}", mark_name(mark)), forward);
    }

    /// The next or previous operation that touched what is selected.
    pub(crate) fn touch(&mut self, forward: bool) {
        let Some(session) = &self.session else { return };
        let (place, pinned) = (self.inspected(), self.selection.pinned.is_some());
        match self.find.aspect.aim(session, place, pinned) {
            Ok((aim, what)) => self.look_for(aim, what, forward),
            Err(why) => self.notice(why),
        }
    }

    fn notice(&mut self, notice: String) {
        if let Some(session) = &mut self.session {
            session.set_notice(notice);
        }
    }

    /// The next or previous operation after which the condition in the field holds.
    pub(crate) fn run_to(&mut self, forward: bool) -> Option<Request> {
        let Some(condition) = self.find.condition.clone() else {
            return Some(Request::FocusCondition(None));
        };
        let what = format!("`{condition}`");
        self.look_for(Aim::Condition(condition), what, forward);
        None
    }

    /// Makes the condition in the field a breakpoint.
    pub(crate) fn keep_condition(&mut self) -> Option<Request> {
        let Some(condition) = self.find.condition.clone() else {
            return Some(Request::FocusCondition(None));
        };
        self.notice(format!("Play stops where `{condition}` holds"));
        self.find.keep(condition);
        self.heed_breakpoints();
        None
    }

    /// Takes breakpoints as they were saved.
    pub(crate) fn restore_breakpoints(&mut self, saved: &[(String, bool)]) {
        self.find.restore(saved);
        self.heed_breakpoints();
    }

    /// Heeds a breakpoint or passes it over.
    pub(crate) fn toggle_breakpoint(&mut self, index: usize) {
        if let Some(breakpoint) = self.find.breakpoints.get_mut(index) {
            breakpoint.on = !breakpoint.on;
        }
        self.heed_breakpoints();
    }

    /// Removes a breakpoint.
    pub(crate) fn remove_breakpoint(&mut self, index: usize) {
        if index < self.find.breakpoints.len() {
            self.find.breakpoints.remove(index);
        }
        self.heed_breakpoints();
    }

    /// Removes all of them.
    pub(crate) fn remove_breakpoints(&mut self) {
        self.find.breakpoints.clear();
        self.heed_breakpoints();
    }

    /// Tells the session which breakpoints there are.
    pub(crate) fn heed_breakpoints(&mut self) {
        if let Some(session) = &mut self.session {
            session.set_breakpoints(self.find.heeded());
        }
    }
}
