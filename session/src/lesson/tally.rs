//! What is counted while a program runs, for formulas that ask how it came to where it is.

#![expect(clippy::cast_possible_wrap, reason = "sizes and counts of a heap lie far below 2^63")]

use sim_core::report::Placement;
use sim_core::{Call, Domain, Event, Op};

use super::spot::Spot;

/// Counts of a run so far.
#[derive(Default)]
pub(super) struct Tally {
    /// Operations of what a puzzle gives; those after them are the learner's.
    pub(super) given: u64,
    /// Requests of the learner's.
    requests: u64,
    raw_requests: u64,
    largest: u64,
    smallest: Option<u64>,
    /// Live blocks, the most that there were, and the bytes that they were asked for with.
    live: u64,
    most: u64,
    requested: u64,
    carved: u64,
    /// Size classes that blocks were in, a bit each.
    classes: u128,
    /// Where each block began, with its size.
    births: Vec<(i64, u64)>,
}

/// What an operation did to a block: where it lay before, and where it lies now.
#[derive(Clone, Copy, Default)]
pub(super) struct Change {
    pub(super) before: Option<Spot>,
    pub(super) after: Option<Spot>,
}

impl Tally {
    /// Nothing counted; the first `given` operations are not the learner's.
    pub(super) fn after(given: u64) -> Self {
        Self { given, ..Self::default() }
    }

    /// Counts an operation. `step` is how many are done with it.
    pub(super) fn count(&mut self, step: u64, op: &Op, events: &[Event], change: Change) {
        self.carved += events.iter().filter(|e| matches!(e, Event::PoolCarved { .. })).count() as u64;
        let size = match op.call {
            Call::Malloc { size, .. } | Call::Realloc { size, .. } => Some(size),
            Call::Calloc { nelem, elsize, .. } => Some(nelem.saturating_mul(elsize)),
            Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_) => None,
        };
        if let Some(size) = size.filter(|_| step > self.given) {
            self.requests += 1;
            self.raw_requests += u64::from(op.domain == Domain::Raw);
            self.largest = self.largest.max(size);
            self.smallest = Some(self.smallest.map_or(size, |smallest| smallest.min(size)));
        }
        let there = |spot: &Spot| !matches!(spot.placement, Some(Placement::Null));
        // What got NULL from realloc has its block still.
        if change.after.is_some_and(|after| !there(&after)) {
            return;
        }
        if let Some(before) = change.before.filter(|before| before.live && there(before)) {
            self.live = self.live.saturating_sub(1);
            self.requested = self.requested.saturating_sub(before.size);
        }
        let Some(after) = change.after else { return };
        self.live += 1;
        self.requested += after.size;
        self.most = self.most.max(self.live);
        self.classes |= after.class_bit();
        if after.way.born == step && matches!(after.placement, Some(Placement::Arena { .. })) {
            self.births.push((after.place(), after.size));
        }
    }

    /// A name's value.
    pub(super) fn name(&self, name: &str) -> Option<i64> {
        Some(match name {
            "requests" => self.requests as i64,
            "requests.raw" => self.raw_requests as i64,
            "requests.largest" => self.largest as i64,
            "requests.smallest" => self.smallest.unwrap_or(0) as i64,
            "bytes.requested" => self.requested as i64,
            "blocks.most" => self.most as i64,
            "pools.carved" => self.carved as i64,
            "classes.seen" => i64::from(self.classes.count_ones()),
            "shared.most" | "shared.sizes" => {
                let mut births = self.births.clone();
                births.sort_unstable();
                if name == "shared.sizes" {
                    births.dedup();
                }
                let places = births.chunk_by(|a, b| a.0 == b.0);
                places.map(<[(i64, u64)]>::len).max().unwrap_or(0) as i64
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::lesson::beyond::tests::faults;

    #[test]
    fn blocks_have_ways_and_places_have_blocks() {
        let run = "keep = malloc(512)\nx = malloc(16)\nx = realloc(x, 20)\nx = realloc(x, 40)\ny = malloc(50)\nfree(y)\n\
                   z = malloc(60)\nw = malloc(100, raw)\nx = realloc(x, 600)";
        let claims = [
            "operations == step and requests == 8 and requests.raw == 1",
            "requests.largest == 600 and requests.smallest == 16",
            "born(x) == 2 and died(x) == 0 and born(y) == 5 and died(y) == 6",
            "moves(x) == 3 and classes_had(x) == 3 and not home(x)",
            "home(z) and moves(z) == 0",
            "shared.most == 2 and shared.sizes == 2",
            "bytes.requested == 512 + 60 + 100 + 600 and bytes.wasted == 4",
            "blocks.most == 4",
            "pools.used == 2 and pools.full == 0 and arenas.pinned == 1",
            "classes.seen == 5 and pools.carved == 3",
            "not traced.running",
        ];
        assert_eq!(faults("", run, &claims, "cpython-3.9"), [""; 0]);
        let wrong = faults("", run, &["moves(nothing) == 0"], "cpython-3.9");
        assert!(wrong[0].contains("no block is called `nothing`"), "{wrong:?}");
    }

    #[test]
    fn a_full_pool_is_counted_and_the_same_places_are_known() {
        let run = "for i in range(blocks(512)): a[i] = malloc(512)\nb = malloc(16)";
        assert_eq!(faults("", run, &["pools.full == 1 and pools.used == 2"], "cpython-3.14"), [""; 0]);
        let claims = ["same_places(\"cpython-3.12\")", "not same_places(\"cpython-3.9\")"];
        assert_eq!(faults("", run, &claims, "cpython-3.14"), [""; 0]);
    }
}
