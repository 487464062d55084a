//! Which stretch of the tape touched what: answers without scanning the tape.
//!
//! The tape is cut into stretches of 4096 operations. What happens seldom is kept by step. For pools, arenas,
//! size classes, call sites, threads and domains the stretches are kept in which each occurs; for slots and
//! addresses each stretch has a set that may say yes wrongly. A search looks into the few stretches that
//! remain. All of it takes one to two bytes an operation, and stops growing at its budget.

mod filter;
mod lists;
mod touched;

pub use touched::{RareEvent, RareEvents, Touched};

use filter::{Filter, Gather};
use lists::{Steps, Stretches};

use crate::addr::{Addr, SizeClass, Slot};
use crate::arena::{SimArenas, region_base};
use crate::domains::Domain;
use crate::profile::Profile;
use crate::tape::{Kind, StackId, Trace};

/// Operations of one stretch.
pub const STRETCH: u64 = 4096;

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The block that a slot holds at the position, from its birth to its end.
    Block(Slot),
    /// Any block that a slot holds.
    Slot(Slot),
    /// A block in a pool, by its address, whoever holds it.
    Address(Addr),
    /// A pool, by its address.
    Pool(Addr),
    /// An arena, by order of creation.
    Arena(u64),
    /// A size class.
    Class(SizeClass),
    /// A call site: operations with this stack.
    Site(StackId),
    /// A thread.
    Thread(u16),
    /// Calls through a domain.
    Domain(Domain),
    /// An event that is rare.
    RareEvent(RareEvent),
}

impl Wanted {
    /// Whether the tape alone can tell.
    pub(crate) fn on_tape(self) -> bool {
        matches!(self, Self::Block(_) | Self::Slot(_) | Self::Site(_) | Self::Thread(_) | Self::Domain(_))
    }

    /// Whether the operation after `index` others is one, as far as the tape tells.
    pub(crate) fn is_on_tape(self, trace: &Trace, index: usize) -> bool {
        match self {
            Self::Block(slot) | Self::Slot(slot) => slot_of(trace, index) == Some(slot),
            Self::Site(stack) => trace.stack_of(index) == stack,
            Self::Thread(thread) => trace.thread_of(index) == thread,
            Self::Domain(domain) => domain_of(trace, index) == Some(domain),
            _ => false,
        }
    }

    /// Whether an operation that touched this is one.
    pub(crate) fn is_touched(self, touched: &Touched) -> bool {
        match self {
            Self::Address(addr) => touched.blocks.contains(&addr),
            Self::Pool(addr) => touched.pools.contains(&addr),
            Self::Arena(ordinal) => touched.arenas.contains(&ordinal),
            Self::Class(class) => touched.classes.contains(&class),
            Self::RareEvent(rare) => touched.rare_events.has(rare),
            _ => false,
        }
    }
}

/// The slot an operation is about; `None` for free(NULL) and for actions without a block.
fn slot_of(trace: &Trace, index: usize) -> Option<Slot> {
    let op = trace.packed(index);
    let none = match op.kind {
        Kind::Free => op.null,
        Kind::Act => trace.action(op.size).is_none_or(|a| a.id().is_none()),
        _ => false,
    };
    (!none).then_some(op.slot)
}

/// The domain a call goes through; `None` for actions.
fn domain_of(trace: &Trace, index: usize) -> Option<Domain> {
    let op = trace.packed(index);
    (op.kind != Kind::Act).then_some(op.domain)
}

/// The index of a tape, as far as it has been read.
#[derive(Clone, Debug)]
pub struct Index {
    known: u64,
    /// Operations that it speaks of; beyond them its budget was used up.
    covered: u64,
    full: bool,
    budget_bytes: u64,
    filter_bytes: u64,
    first_pool: Addr,
    pool_bits: u32,
    pools_most: u64,
    class_count: u16,
    rare_events: Vec<Steps>,
    pools: Stretches,
    arenas: Stretches,
    classes: Stretches,
    sites: Stretches,
    threads: Stretches,
    domains: Stretches,
    filters: Vec<(Filter, Filter)>,
    slots_now: Gather,
    blocks_now: Gather,
    /// What the last stretch had gathered when it was closed before it was full.
    cut_short: Option<(Gather, Gather)>,
}

impl Index {
    /// Empty, for a machine with this memory.
    pub(crate) fn of_memory(profile: &Profile, memory: &SimArenas, budget_bytes: u64) -> Self {
        let mut index = Self::new(profile, budget_bytes);
        if let Some(middle) = memory.placed_around() {
            // As many pools to either side as have a number. Mappings of one process lie no farther apart as a rule; a
            // pool beyond is replayed for.
            index.pools_most = u64::from(u32::MAX);
            let half = (index.pools_most / 2) << index.pool_bits;
            index.first_pool = Addr((middle.0 >> index.pool_bits << index.pool_bits).saturating_sub(half));
        }
        index
    }

    /// Empty.
    pub fn new(profile: &Profile, budget_bytes: u64) -> Self {
        Self {
            known: 0,
            covered: 0,
            full: false,
            budget_bytes,
            filter_bytes: 0,
            first_pool: region_base(profile),
            pool_bits: profile.pool_size.trailing_zeros(),
            pools_most: (u64::from(u32::MAX >> 1) * profile.alignment) >> profile.pool_size.trailing_zeros(),
            class_count: profile.nb_small_size_classes(),
            rare_events: vec![Steps::default(); RareEvent::ALL.len()],
            pools: Stretches::default(),
            arenas: Stretches::default(),
            classes: Stretches::default(),
            sites: Stretches::default(),
            threads: Stretches::default(),
            domains: Stretches::default(),
            filters: Vec::new(),
            slots_now: Gather::new(3),
            blocks_now: Gather::new(5),
            cut_short: None,
        }
    }

    /// Operations read so far.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// Operations that it can answer for; those known beyond it did not fit into its budget, and a search
    /// there replays stretch by stretch.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// How often something happened in the operations covered.
    pub fn count(&self, rare: RareEvent) -> u64 {
        self.rare_events[rare as usize].len()
    }

    /// Bytes it takes.
    pub fn state_bytes(&self) -> u64 {
        let lists = [&self.pools, &self.arenas, &self.classes, &self.sites, &self.threads, &self.domains];
        self.rare_events.iter().map(Steps::state_bytes).sum::<u64>()
            + lists.iter().map(|l| l.state_bytes()).sum::<u64>()
            + self.filter_bytes
    }

    /// Takes in the next operation, which the machine has just done.
    pub(crate) fn add(&mut self, trace: &Trace, touched: &Touched) {
        let index = self.known as usize;
        self.known += 1;
        if self.full {
            return;
        }
        self.covered = self.known;
        let stretch = (index as u64 / STRETCH) as u32;
        if !touched.rare_events.is_empty() {
            for (rare, _) in RareEvent::ALL {
                if touched.rare_events.has(rare) {
                    self.rare_events[rare as usize].push(self.known);
                }
            }
        }
        for &pool in &touched.pools {
            if let Some(number) = self.pool_number(pool) {
                self.pools.add(number, stretch);
            }
        }
        for &arena in &touched.arenas {
            self.arenas.add(arena as u32, stretch);
        }
        for class in &touched.classes {
            if class.0 < self.class_count {
                self.classes.add(u32::from(class.0), stretch);
            }
        }
        for block in &touched.blocks {
            self.blocks_now.add(block.0);
        }
        if let Some(slot) = slot_of(trace, index) {
            self.slots_now.add(u64::from(slot.0));
        }
        if let Some(domain) = domain_of(trace, index) {
            self.domains.add(domain as u32, stretch);
        }
        self.sites.add(trace.stack_of(index).0, stretch);
        self.threads.add(u32::from(trace.thread_of(index)), stretch);
        if self.known.is_multiple_of(STRETCH) {
            self.end_stretch();
        }
    }

    /// Closes the last stretch. To be called at the end of the tape.
    pub(crate) fn finish(&mut self) {
        if !self.full && !self.known.is_multiple_of(STRETCH) && self.cut_short.is_none() {
            self.cut_short = Some((self.slots_now.clone(), self.blocks_now.clone()));
            self.end_stretch();
        }
    }

    /// The tape goes on: the last stretch is filled as if it had not been closed.
    pub(crate) fn reopen(&mut self) {
        if let Some(gathered) = self.cut_short.take() {
            if let Some((slots, blocks)) = self.filters.pop() {
                self.filter_bytes -= slots.state_bytes() + blocks.state_bytes();
            }
            (self.slots_now, self.blocks_now) = gathered;
            self.full = false;
        }
    }

    fn end_stretch(&mut self) {
        let filters = (self.slots_now.finish(), self.blocks_now.finish());
        self.filter_bytes += filters.0.state_bytes() + filters.1.state_bytes();
        self.filters.push(filters);
        self.full = self.state_bytes() > self.budget_bytes;
    }

    /// What is known of something that happens seldom: the first step after `step`, or the last before it.
    pub(crate) fn step_of(&self, rare: RareEvent, step: u64, forward: bool) -> Option<u64> {
        let steps = &self.rare_events[rare as usize];
        if forward { steps.after(step) } else { steps.before(step) }
    }

    /// The first stretch from `stretch` on, or the last up to it, in which `wanted` may occur.
    pub(crate) fn stretch(&self, wanted: Wanted, stretch: u32, forward: bool) -> Option<u32> {
        let last = u32::try_from(self.known.checked_sub(1)? / STRETCH).ok()?;
        if stretch > last {
            return if forward { None } else { self.stretch(wanted, last, false) };
        }
        let covered = self.filters.len() as u32;
        if !forward && stretch >= covered {
            return Some(stretch);
        }
        let found = match wanted {
            Wanted::Block(slot) | Wanted::Slot(slot) => {
                self.filtered(stretch, forward, |f| f.0.may_have(u64::from(slot.0)))
            }
            Wanted::Address(addr) => {
                let pool = Addr(addr.0 >> self.pool_bits << self.pool_bits);
                let mut at = Some(stretch);
                loop {
                    let with_pool = Self::listed(&self.pools, self.pool_number(pool), at?, forward);
                    match with_pool {
                        Some(s) if self.filters.get(s as usize).is_some_and(|f| !f.1.may_have(addr.0)) => {
                            at = if forward { s.checked_add(1) } else { s.checked_sub(1) };
                        }
                        found => break found,
                    }
                }
            }
            Wanted::Pool(pool) => Self::listed(&self.pools, self.pool_number(pool), stretch, forward),
            Wanted::Arena(ordinal) => {
                Self::listed(&self.arenas, u32::try_from(ordinal).ok(), stretch, forward)
            }
            Wanted::Class(class) => Self::listed(&self.classes, Some(u32::from(class.0)), stretch, forward),
            Wanted::Site(stack) => Self::listed(&self.sites, Some(stack.0), stretch, forward),
            Wanted::Thread(thread) => Self::listed(&self.threads, Some(u32::from(thread)), stretch, forward),
            Wanted::Domain(domain) => Self::listed(&self.domains, Some(domain as u32), stretch, forward),
            Wanted::RareEvent(rare) => {
                let begin = u64::from(stretch) * STRETCH;
                let step = self.step_of(rare, if forward { begin } else { begin + STRETCH + 1 }, forward);
                step.map(|s| ((s - 1) / STRETCH) as u32)
            }
        };
        // Beyond what it covers any stretch may be one.
        found.or_else(|| (forward && covered <= last).then(|| stretch.max(covered)))
    }

    fn listed(lists: &Stretches, key: Option<u32>, stretch: u32, forward: bool) -> Option<u32> {
        if forward { lists.at_or_after(key?, stretch) } else { lists.at_or_before(key?, stretch) }
    }

    fn filtered(&self, stretch: u32, forward: bool, may: impl Fn(&(Filter, Filter)) -> bool) -> Option<u32> {
        let found = if forward {
            self.filters.iter().skip(stretch as usize).position(may).map(|i| i + stretch as usize)
        } else {
            self.filters[..self.filters.len().min(stretch as usize + 1)].iter().rposition(may)
        };
        found.map(|i| i as u32)
    }

    fn pool_number(&self, pool: Addr) -> Option<u32> {
        let number = pool.bytes_from(self.first_pool) >> self.pool_bits;
        (number < self.pools_most).then_some(number as u32)
    }
}
