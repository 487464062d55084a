//! What is pending, a slice at a time: the way to a step, searches, the first pass over the tape.

use std::time::Duration;

use sim_core::replay::Found;
use web_time::Instant;

use super::Session;
use crate::analysis::owner::Owner;

/// Operations of a seek between two looks at the clock.
const CHUNK: u64 = 20_000;
/// Operations of the first pass between two looks at the clock.
const FIRST_PASS_CHUNK: u64 = 2048;
/// What a frame gives the first pass at least, once no seek is under way.
const FIRST_PASS_SLICE: Duration = Duration::from_millis(1);

impl Session {
    /// Does pending work for about `slice`; the rest waits for the next frame.
    pub fn work(&mut self, slice: Duration) {
        let begun = Instant::now();
        let more = || begun.elapsed() < slice;
        if !self.travel(&more) {
            return;
        }
        if let Some(search) = &mut self.owner
            && search.is_current(self.revision)
        {
            while search.answer() == Owner::Searching {
                search.advance(self.replay.machine(), &self.trace);
                if !more() {
                    break;
                }
            }
        }
        let reads = self.pursue(&more);
        self.look_out(&more);
        if reads {
            let first = Instant::now();
            let on = || more() || first.elapsed() < FIRST_PASS_SLICE;
            while !self.dashed && on() {
                self.dashed = self.replay.dash(CHUNK);
            }
            while self.dashed && !self.overview.complete() && on() {
                let Self { replay, overview, trust, .. } = self;
                replay.advance_with(FIRST_PASS_CHUNK, |moment| {
                    overview.add(moment);
                    if let Some(trust) = trust {
                        trust.after(moment.machine, moment.trace, moment.index, moment.pointer);
                    }
                });
            }
        }
    }

    /// Goes on with a seek; says whether it got there.
    fn travel(&mut self, more: &impl Fn() -> bool) -> bool {
        let Some(seek) = self.seek else { return true };
        loop {
            if self.replay.seek(seek.target, CHUNK) {
                self.seek = None;
                self.changed();
                self.halt();
                return true;
            }
            if !more() {
                return false;
            }
        }
    }

    /// Goes on with a search; says whether the first pass may go on too, whose machine it shares.
    fn pursue(&mut self, more: &impl Fn() -> bool) -> bool {
        while let Some(quest) = &mut self.quest {
            let owner = self.owner;
            let holder = |block| {
                owner.filter(|o| o.is_for(self.revision, block)).map_or(Owner::Searching, |o| o.answer())
            };
            match quest.advance(&mut self.replay, &self.overview, holder) {
                Found::At(step) => {
                    self.seek(step);
                    self.travel(more);
                }
                Found::Nowhere => {
                    self.notice = Some(quest.in_vain());
                    self.quest = None;
                }
                Found::NotRead => return true,
                Found::Looking if more() => {}
                Found::Looking => return false,
            }
        }
        true
    }
}
