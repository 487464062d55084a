//! What is counted while a program runs, for formulas that ask how it came to where it is.

#![expect(clippy::cast_possible_wrap, reason = "sizes and counts of a heap lie far below 2^63")]

use std::collections::{BTreeMap, BTreeSet};

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
    /// Bytes that each live block was asked for with, by its id.
    live: BTreeMap<u64, u64>,
    most: u64,
    carved: u64,
    classes: BTreeSet<u16>,
    /// Blocks that began at each place, and the sizes that they had.
    places: BTreeMap<i64, (u64, BTreeSet<u64>)>,
    /// What became of each block since it was made, by its name.
    journeys: BTreeMap<String, Journey>,
}

/// A block's way from place to place.
#[derive(Clone, Default)]
struct Journey {
    /// Operations done when it was made.
    born: u64,
    /// Operations done when it was freed.
    died: Option<u64>,
    /// Where it was first, and where it is now.
    first: i64,
    at: i64,
    moves: u64,
    classes: BTreeSet<u16>,
}

impl Tally {
    /// Nothing counted; the first `given` operations are not the learner's.
    pub(super) fn after(given: u64) -> Self {
        Self { given, ..Self::default() }
    }

    /// Counts an operation. `step` is how many are done with it, `spot` where its block lies.
    pub(super) fn count(
        &mut self,
        step: u64,
        op: &Op,
        events: &[Event],
        names: &BTreeMap<u64, String>,
        spot: Option<Spot>,
    ) {
        self.carved += events.iter().filter(|e| matches!(e, Event::PoolCarved { .. })).count() as u64;
        let (from, id, size) = match op.call {
            Call::Malloc { id, size } => (0, id, size),
            Call::Calloc { id, nelem, elsize } => (0, id, nelem.saturating_mul(elsize)),
            Call::Realloc { id, newid, size } => (id, newid, size),
            Call::Free { id } | Call::FreeKeep { id } => {
                self.live.remove(&id);
                if let Some(journey) = names.get(&id).and_then(|name| self.journeys.get_mut(name)) {
                    journey.died = Some(step);
                }
                return;
            }
            Call::Act(_) => return,
        };
        if step > self.given {
            self.requests += 1;
            self.raw_requests += u64::from(op.domain == Domain::Raw);
            self.largest = self.largest.max(size);
            self.smallest = Some(self.smallest.map_or(size, |smallest| smallest.min(size)));
        }
        let Some(spot) = spot.filter(|spot| !matches!(spot.placement, Some(Placement::Null))) else { return };
        self.live.remove(&from);
        self.live.insert(id, size);
        self.most = self.most.max(self.live.len() as u64);
        let place = spot.place();
        let journey = names.get(&from).and_then(|name| self.journeys.remove(name));
        let mut journey = if let Some(journey) = journey {
            Journey { moves: journey.moves + u64::from(journey.at != place), at: place, ..journey }
        } else {
            if matches!(spot.placement, Some(Placement::Arena { .. })) {
                let (count, sizes) = self.places.entry(place).or_default();
                *count += 1;
                sizes.insert(size);
            }
            Journey { born: step, first: place, at: place, ..Journey::default() }
        };
        if let Some(class) = spot.class {
            self.classes.insert(class);
            journey.classes.insert(class);
        }
        if let Some(name) = names.get(&id) {
            self.journeys.insert(name.clone(), journey);
        }
    }

    /// A name's value.
    pub(super) fn name(&self, name: &str) -> Option<i64> {
        Some(match name {
            "requests" => self.requests as i64,
            "requests.raw" => self.raw_requests as i64,
            "requests.largest" => self.largest as i64,
            "requests.smallest" => self.smallest.unwrap_or(0) as i64,
            "bytes.requested" => self.live.values().sum::<u64>() as i64,
            "blocks.most" => self.most as i64,
            "pools.carved" => self.carved as i64,
            "classes.seen" => self.classes.len() as i64,
            "shared.most" => self.places.values().map(|(count, _)| *count).max().unwrap_or(0) as i64,
            "shared.sizes" => self.places.values().map(|(_, sizes)| sizes.len()).max().unwrap_or(0) as i64,
            _ => return None,
        })
    }

    /// A function's value for the block with a name.
    pub(super) fn of_block(&self, function: &str, block: &str) -> Result<i64, String> {
        let journey = self.journeys.get(block).ok_or_else(|| format!("no block is called `{block}` yet"))?;
        Ok(match function {
            "born" => journey.born as i64,
            "died" => journey.died.unwrap_or(0) as i64,
            "moves" => journey.moves as i64,
            "home" => i64::from(journey.first == journey.at),
            _ => journey.classes.len() as i64,
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
