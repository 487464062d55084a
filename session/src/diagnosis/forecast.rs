//! What freeing some blocks would give back, and what has to be freed to get so much.

use serde::{Deserialize, Serialize};
use sim_core::report::ArenaEvents;
use sim_core::tape::Packed;
use sim_core::{Event, Kind, Machine, Trace};

use super::births::{given, in_order};
use super::census::Census;
use super::choice::Chosen;
use super::holders::Holders;
use super::layout::Placed;

/// What becomes of the memory once some blocks are freed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// Blocks that are freed.
    pub blocks: u64,
    /// Bytes that they take.
    pub block_bytes: u64,
    /// Bytes of arenas that go back to the system.
    pub returned_bytes: u64,
    /// Bytes that stay in arenas which are held, for other blocks.
    pub reusable_bytes: u64,
    /// Bytes that go back to the C library, which may keep them.
    pub c_library_bytes: u64,
    /// The arenas that go back, by number.
    pub arenas: Vec<u64>,
    /// Arenas that would be empty and are kept all the same: `CPython` keeps the last one of `usable_arenas`.
    pub kept_empty: Vec<u64>,
    /// Whether the model did the frees. Else it was counted which arenas have no other block, and one of them may be kept.
    pub exact: bool,
}

impl Forecast {
    /// Of the chosen blocks. `machine` is the one that the census was taken of, or `None` where blocks lie as recorded.
    pub fn of(machine: Option<&Machine>, trace: &Trace, census: &Census, chosen: &Chosen) -> Self {
        let mut forecast = Self::counted(census, chosen);
        let on_model = census.placed == Placed::Model && chosen.have_pointers();
        if let Some(machine) = machine.filter(|machine| on_model && machine.mimalloc().is_none()) {
            let released = release(machine.clone(), trace, census, chosen);
            let goes = |number: &u64| released.contains(number);
            forecast.kept_empty = forecast.arenas.iter().copied().filter(|number| !goes(number)).collect();
            forecast.arenas = released;
            forecast.exact = true;
        }
        forecast.sum(census, chosen);
        forecast
    }

    /// The arenas in which no other block lies.
    fn counted(census: &Census, chosen: &Chosen) -> Self {
        let mut forecast = Self::default();
        let mut others = census.unborn.iter().zip(&chosen.unborn).peekable();
        for (at, region) in census.regions.iter().enumerate() {
            let mut all = region.blocks > 0 && census.range(at).all(|block| chosen.blocks[block]);
            while let Some((_, chosen)) = others.next_if(|(unborn, _)| unborn.region as usize == at) {
                all &= *chosen;
            }
            if all {
                forecast.arenas.push(region.number);
            }
        }
        forecast.arenas.sort_unstable();
        forecast
    }

    fn sum(&mut self, census: &Census, chosen: &Chosen) {
        for (at, region) in census.regions.iter().enumerate() {
            let goes = self.arenas.binary_search(&region.number).is_ok();
            self.returned_bytes += if goes { region.bytes } else { 0 };
            for block in census.range(at).filter(|block| chosen.blocks[*block]) {
                self.count(1, census.block_bytes[block], goes);
            }
        }
        for (unborn, _) in census.unborn.iter().zip(&chosen.unborn).filter(|(_, chosen)| **chosen) {
            let number = census.regions[unborn.region as usize].number;
            let goes = self.arenas.binary_search(&number).is_ok();
            self.count(unborn.blocks, unborn.blocks * unborn.block_bytes, goes);
        }
        for block in census.range(census.regions.len()).filter(|block| chosen.blocks[*block]) {
            self.blocks += 1;
            self.block_bytes = self.block_bytes.saturating_add(census.block_bytes[block]);
            self.c_library_bytes = self.c_library_bytes.saturating_add(census.block_bytes[block]);
        }
    }

    fn count(&mut self, blocks: u64, bytes: u64, goes: bool) {
        self.blocks += blocks;
        self.block_bytes += bytes;
        self.reusable_bytes += if goes { 0 } else { bytes };
    }
}

/// Frees the chosen blocks in the order of their births, and says which arenas that released, by number.
fn release(mut machine: Machine, trace: &Trace, census: &Census, chosen: &Chosen) -> Vec<u64> {
    let meant =
        census.births.iter().zip(&chosen.blocks).filter(|(_, chosen)| **chosen).map(|(birth, _)| *birth);
    let mut events = ArenaEvents::default();
    for birth in in_order(meant, census.step) {
        let Packed { domain, slot, .. } = given(trace, birth);
        let free = Packed { kind: Kind::Free, domain, null: false, slot, size: 0 };
        machine.apply(free, &mut events);
    }
    let released = events.as_slice().iter().filter_map(|event| match event {
        Event::ArenaReleased { arena, .. } => Some(arena.ordinal),
        _ => None,
    });
    let mut released: Vec<u64> = released.collect();
    released.sort_unstable();
    released
}

/// Groups to free so that at least `want_bytes` go back to the system, in the order in which they were chosen, and what that gives. Fewer
/// bytes where all groups together do not give so much.
///
/// It goes greedily: of the groups without which arenas would be empty the one with most such arenas, the smallest of several; where
/// there is none, all groups of the arena that has the fewest of them.
pub fn want(
    machine: Option<&Machine>,
    trace: &Trace,
    census: &Census,
    holders: &Holders,
    want_bytes: u64,
) -> (Vec<u32>, Forecast) {
    let mut plan = Plan::new(census, holders);
    let forecast_of = |groups: &[u32]| {
        let mut meant = vec![false; holders.groups.len()];
        for group in groups {
            meant[*group as usize] = true;
        }
        let mut chosen = Chosen::none(census);
        chosen.add(holders, &meant);
        Forecast::of(machine, trace, census, &chosen)
    };
    // What the counted arenas lack, for one that is kept.
    let mut short = 0;
    loop {
        while plan.gained_bytes < want_bytes.saturating_add(short) && plan.go_on() {}
        let forecast = forecast_of(&plan.chosen);
        if forecast.returned_bytes >= want_bytes || plan.exhausted() {
            return (plan.chosen, forecast);
        }
        short = plan.gained_bytes - forecast.returned_bytes.min(plan.gained_bytes) + short.max(1);
    }
}

/// Groups chosen so far, and what each arena still lacks.
struct Plan<'a> {
    census: &'a Census,
    holders: &'a Holders,
    /// Regions in which each group lies.
    regions: Vec<Vec<u32>>,
    /// Groups of each region that are not chosen yet, and the sum of their numbers, which is the last one's where one is left.
    lacking: Vec<(u32, u64)>,
    /// Regions with a block of what is not looked at, which nothing empties.
    barred: Vec<bool>,
    taken: Vec<bool>,
    chosen: Vec<u32>,
    gained_bytes: u64,
}

impl<'a> Plan<'a> {
    fn new(census: &'a Census, holders: &'a Holders) -> Self {
        let mut regions = vec![Vec::new(); holders.groups.len()];
        let (mut lacking, mut barred) = (Vec::new(), Vec::new());
        for region in 0..census.regions.len() {
            let shares = holders.shares_of(region);
            for share in shares {
                regions[share.group as usize].push(region as u32);
            }
            barred.push(holders.outside.is_some_and(|outside| shares.iter().any(|s| s.group == outside)));
            lacking.push((shares.len() as u32, shares.iter().map(|share| u64::from(share.group)).sum()));
        }
        let taken = vec![false; holders.groups.len()];
        Self { census, holders, regions, lacking, barred, taken, chosen: Vec::new(), gained_bytes: 0 }
    }

    fn exhausted(&self) -> bool {
        self.lacking.iter().zip(&self.barred).all(|(lacking, barred)| lacking.0 == 0 || *barred)
    }

    /// Chooses one group more, or those of one arena; false where there is none left.
    fn go_on(&mut self) -> bool {
        let mut gains = vec![0_u64; self.holders.groups.len()];
        for ((region, lacking), barred) in self.census.regions.iter().zip(&self.lacking).zip(&self.barred) {
            if lacking.0 == 1 && !barred {
                gains[lacking.1 as usize] += region.bytes;
            }
        }
        let smallest = |group: usize| std::cmp::Reverse(self.holders.groups[group].block_bytes);
        let best = (0..gains.len())
            .filter(|group| gains[*group] > 0)
            .max_by_key(|group| (gains[*group], smallest(*group), std::cmp::Reverse(*group)));
        if let Some(group) = best {
            self.take(group as u32);
            return true;
        }
        let open = self.lacking.iter().enumerate().filter(|(at, lacking)| lacking.0 > 0 && !self.barred[*at]);
        let Some((region, _)) = open.min_by_key(|(_, lacking)| lacking.0) else { return false };
        let groups: Vec<u32> = self.holders.shares_of(region).iter().map(|share| share.group).collect();
        for group in groups {
            self.take(group);
        }
        true
    }

    fn take(&mut self, group: u32) {
        if std::mem::replace(&mut self.taken[group as usize], true) {
            return;
        }
        self.chosen.push(group);
        for region in &self.regions[group as usize] {
            let lacking = &mut self.lacking[*region as usize];
            *lacking = (lacking.0 - 1, lacking.1 - u64::from(group));
            if lacking.0 == 0 {
                self.gained_bytes += self.census.regions[*region as usize].bytes;
            }
        }
    }
}
