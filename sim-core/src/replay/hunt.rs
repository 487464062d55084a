//! The next or previous operation after which a condition holds.
//!
//! Forward the machine that runs ahead asks after each operation. Back it does the same for one window of the
//! tape after the other, the last one first, and keeps the last operation of a window that is one. Where the
//! index tells that a stretch lacks the events the conditions need, it is passed quietly.

use super::Replay;
use super::scout::Scout;
use super::search::Found;
use crate::breakpoint::{Condition, Watch};
use crate::event::Event;
use crate::index::{Index, RareEvent, RareEvents};

/// Operations of a window at least.
const WINDOW: u64 = 4096;

/// A search for conditions under way, to be taken on with [`Replay::hunt`].
#[derive(Clone, Debug)]
pub struct Hunt {
    conditions: Vec<Condition>,
    /// Events without which none of them holds.
    needed: Option<RareEvents>,
    forward: bool,
    /// The position it began at.
    from: u64,
    /// Forward all operations before this one have been looked at, back all from this one on.
    edge: u64,
    /// On the way back, where the window before `edge` begins and where it stands in it.
    window: Option<(u64, u64)>,
    watch: Option<Watch>,
    /// The last operation of the window that is one, and the number of its condition.
    last: Option<(u64, usize)>,
    events: Vec<Event>,
}

impl Hunt {
    /// For the first operation after the position `from` after which one of the conditions holds, or the last
    /// one before the one that led to it.
    pub fn new(conditions: Vec<Condition>, from: u64, forward: bool) -> Self {
        Self {
            needed: Watch::may_skip(&conditions),
            conditions,
            forward,
            from,
            edge: if forward { from } else { from.saturating_sub(1) },
            window: None,
            watch: None,
            last: None,
            events: Vec::new(),
        }
    }

    /// The condition that was found to hold, or the first one before.
    pub fn condition(&self) -> Option<&Condition> {
        self.conditions.get(self.last.map_or(0, |(_, number)| number))
    }

    /// Forward all operations before this one have been looked at, back all from this one on.
    pub fn edge(&self) -> u64 {
        self.edge
    }

    /// The share of a tape of `len` operations that has been looked at, 0 to 1.
    pub fn share(&self, len: u64) -> f32 {
        let (done, all) = if self.forward {
            (self.edge.saturating_sub(self.from), len.saturating_sub(self.from))
        } else {
            (self.from.saturating_sub(self.edge), self.from)
        };
        (done as f32 / all.max(1) as f32).min(1.0)
    }

    /// From a step on, the first one whose operation has to be asked about, at most `stop`.
    fn next_candidate(&self, index: &Index, step: u64, stop: u64) -> u64 {
        let covered = index.covered();
        match self.needed {
            Some(rare_events) if step < covered => {
                let next = all_of(rare_events).filter_map(|rare| index.step_of(rare, step, true)).min();
                next.map_or(covered, |step| step - 1).min(stop)
            }
            _ => step,
        }
    }

    /// The last step up to `step` whose operation has to be asked about.
    fn last_candidate(&self, index: &Index, step: u64) -> Option<u64> {
        match self.needed {
            Some(rare_events) if step <= index.covered() => {
                all_of(rare_events).filter_map(|rare| index.step_of(rare, step + 1, false)).max()
            }
            _ => Some(step),
        }
    }
}

fn all_of(rare_events: RareEvents) -> impl Iterator<Item = RareEvent> {
    RareEvent::ALL.iter().map(|(rare, _)| *rare).filter(move |rare| rare_events.has(*rare))
}

impl Replay {
    /// Takes a search for conditions on by at most `budget` operations and the way to them from a saved
    /// state. The position stays where it is.
    pub fn hunt(&mut self, hunt: &mut Hunt, budget: u64) -> Found {
        if hunt.forward { self.hunt_forward(hunt, budget) } else { self.hunt_back(hunt, budget) }
    }

    fn hunt_forward(&mut self, hunt: &mut Hunt, budget: u64) -> Found {
        hunt.last = None;
        let known = self.index.known();
        if hunt.edge >= known {
            return if known < self.len() { Found::NotRead } else { Found::Nowhere };
        }
        let stop = known.min(hunt.edge.saturating_add(budget));
        hunt.edge = self.watch_on(hunt, hunt.edge, stop, true);
        hunt.last.map_or(Found::Looking, |(step, _)| Found::At(step))
    }

    fn hunt_back(&mut self, hunt: &mut Hunt, budget: u64) -> Found {
        if self.index.known() < hunt.edge {
            return Found::NotRead;
        }
        let (begin, at) = if let Some(window) = hunt.window {
            window
        } else {
            hunt.edge = hunt.last_candidate(&self.index, hunt.edge).unwrap_or(0);
            if hunt.edge == 0 {
                return Found::Nowhere;
            }
            let begin = self.checkpoints.before(hunt.edge.saturating_sub(WINDOW));
            (begin, begin)
        };
        let at = self.watch_on(hunt, at, hunt.edge.min(at.saturating_add(budget)), false);
        if at < hunt.edge {
            hunt.window = Some((begin, at));
            return Found::Looking;
        }
        hunt.window = None;
        hunt.watch = None;
        if let Some((step, _)) = hunt.last {
            return Found::At(step);
        }
        hunt.edge = begin;
        if begin > 0 { Found::Looking } else { Found::Nowhere }
    }

    /// Asks after the operations from `at` to `stop` and says how far it got: to the first one that is one if
    /// that is to end it.
    fn watch_on(&mut self, hunt: &mut Hunt, at: u64, stop: u64, ends: bool) -> u64 {
        let Self { scout, checkpoints, index, trace, .. } = self;
        let scout = scout.get_or_insert_with(|| Scout::new(checkpoints.at_start(&self.here)));
        scout.go_to(at, checkpoints, trace);
        let machine = &mut scout.tracked.machine;
        let mut watch = match hunt.watch.take() {
            Some(watch) => watch,
            None => Watch::new(hunt.conditions.clone(), machine),
        };
        let mut at = at;
        while at < stop {
            let next = hunt.next_candidate(index, at, stop);
            machine.run(trace, at as usize, next as usize);
            at = next;
            if at >= stop {
                break;
            }
            watch.before(machine);
            hunt.events.clear();
            machine.step(trace, at as usize, &mut hunt.events);
            at += 1;
            watch.holds(trace, at as usize - 1, &hunt.events, machine);
            if let Some(number) = watch.held() {
                hunt.last = Some((at, number));
                if ends {
                    break;
                }
            }
        }
        scout.step = at;
        hunt.watch = Some(watch);
        at
    }
}
