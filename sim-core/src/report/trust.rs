//! How far the model agrees with the addresses that a recording has.
//!
//! The recorded process had its arenas elsewhere, so that addresses cannot be equal; the place inside a pool
//! can. Where model and process did the same since their birth, every block has the same place; one block more or less on
//! a free list shifts all that follow in its class.

use std::collections::HashMap;
use std::fmt;

use super::Occupancy;
use crate::addr::{Addr, SizeClass};
use crate::arena::{ArenaBackend, Target};
use crate::machine::Machine;
use crate::profile::Profile;
use crate::tape::{Kind, Missing, Trace};

/// Blocks of one kind of call that were compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Agreement {
    /// Calls whose block lies in one of the model's pools and has a recorded address.
    pub compared: u64,
    /// Those of them with the same place in their pool.
    pub same: u64,
}

impl Agreement {
    /// The share with the same place, `None` where nothing was compared.
    pub fn share(self) -> Option<f64> {
        (self.compared > 0).then(|| self.same as f64 / self.compared as f64)
    }
}

/// The first block that the model put elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// Operations before it.
    pub step: u64,
    /// Which call.
    pub kind: Kind,
    /// Bytes asked for.
    pub size: u64,
    /// The simulated thread.
    pub thread: u16,
    /// The model's place in bytes from the start of the pool.
    pub model_offset: u64,
    /// The recorded one, if the address lay in a pool.
    pub recorded_offset: u64,
    /// The recorded address.
    pub recorded: Addr,
}

/// Arenas and pools at one moment, in the model and as the recorded addresses of live blocks imply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaPoint {
    /// Operations before it.
    pub step: u64,
    /// Arenas of the model.
    pub model_arenas: u64,
    /// Aligned windows of an arena's size that hold a recorded live block. Arenas need not be aligned, so a row of them
    /// covers one window more.
    pub recorded_arenas: u64,
    /// The model's pools with a used block.
    pub model_pools: u64,
    /// Pools that hold a recorded live block.
    pub recorded_pools: u64,
}

/// Compares while a trace runs. Call [`Self::after`] after each operation.
#[derive(Debug)]
pub struct Trust {
    pool_bits: u32,
    arena_bits: u32,
    by_kind: [Agreement; 3],
    /// Blocks that would have the same place if places were drawn by lot.
    by_chance: f64,
    chance: Vec<f64>,
    first: Option<Divergence>,
    recorded: Option<Recorded>,
}

/// Recorded addresses of live blocks.
#[derive(Debug, Default)]
struct Recorded {
    /// By slot; 0 for none.
    slots: Vec<u64>,
    /// Live blocks by pool.
    pools: HashMap<u64, u32>,
    /// Pools with live blocks by window of an arena's size.
    arenas: HashMap<u64, u32>,
    points: Vec<ArenaPoint>,
    stride: u64,
    steps: u64,
}

/// Moments kept; when they are full every second one goes.
const POINTS_MAX: usize = 128;

impl Trust {
    /// Compares places alone.
    pub fn new(profile: &Profile) -> Self {
        let chance = |class: u16| 1.0 / profile.num_blocks(SizeClass(class)).max(1) as f64;
        Self {
            pool_bits: profile.pool_size.trailing_zeros(),
            arena_bits: profile.arena_size.trailing_zeros(),
            by_kind: [Agreement::default(); 3],
            by_chance: 0.0,
            chance: (0..profile.nb_small_size_classes()).map(chance).collect(),
            first: None,
            recorded: None,
        }
    }

    /// Compares arenas over time, too.
    pub fn with_arenas(profile: &Profile) -> Self {
        Self { recorded: Some(Recorded { stride: 1, ..Recorded::default() }), ..Self::new(profile) }
    }

    /// The operation after `index` others of `trace` gave `ptr`.
    #[inline]
    pub fn after<A: ArenaBackend>(&mut self, machine: &Machine<A>, trace: &Trace, index: usize, ptr: A::Ptr) {
        if !trace.has_addresses() {
            return;
        }
        let op = trace.packed(index);
        let target = A::target(ptr);
        let at = match op.kind {
            Kind::Malloc => 0,
            Kind::Calloc => 1,
            Kind::Realloc => 2,
            Kind::Free | Kind::FreeKeep | Kind::Act => 3,
        };
        let address = trace.address_of(index);
        if let (Some(agreement), Target::Block(block), Some(recorded)) =
            (self.by_kind.get_mut(at), target, address)
        {
            let memory = machine.pymalloc().memory();
            let mask = (1 << self.pool_bits) - 1;
            let (model_offset, recorded_offset) = (memory.block_addr(block).0 & mask, recorded.0 & mask);
            agreement.compared += 1;
            if model_offset == recorded_offset {
                agreement.same += 1;
            } else if self.first.is_none() {
                self.first = Some(Divergence {
                    step: trace.first() + index as u64,
                    kind: op.kind,
                    size: op.size,
                    thread: trace.op(index as u64).map_or(0, |o| o.thread),
                    model_offset,
                    recorded_offset,
                    recorded,
                });
            }
            let class = memory.header(memory.pool_of(block)).szidx;
            self.by_chance += self.chance.get(class as usize).copied().unwrap_or_default();
        }
        if let Some(kept) = &mut self.recorded {
            let in_pool = matches!(target, Target::Block(_));
            if op.kind != Kind::Act && !op.null {
                kept.take(op.slot.0 as usize, self.pool_bits, self.arena_bits);
            }
            if let (Some(address), true) = (address, in_pool && at < 3) {
                kept.put(op.slot.0 as usize, address.0, self.pool_bits, self.arena_bits);
            }
            kept.step(machine);
        }
    }

    /// All that were compared.
    pub fn total(&self) -> Agreement {
        let sum = |f: fn(&Agreement) -> u64| self.by_kind.iter().map(f).sum();
        Agreement { compared: sum(|a| a.compared), same: sum(|a| a.same) }
    }

    /// By kind of call.
    pub fn by_kind(&self) -> [(Kind, Agreement); 3] {
        let [malloc, calloc, realloc] = self.by_kind;
        [(Kind::Malloc, malloc), (Kind::Calloc, calloc), (Kind::Realloc, realloc)]
    }

    /// The share that places drawn by lot would have.
    pub fn share_by_chance(&self) -> Option<f64> {
        let compared = self.total().compared;
        (compared > 0).then(|| self.by_chance / compared as f64)
    }

    /// The first block with another place.
    pub fn first_divergence(&self) -> Option<Divergence> {
        self.first
    }

    /// Arenas and pools over time, at most some hundred moments and the last one.
    pub fn arenas<A: ArenaBackend>(&self, machine: &Machine<A>) -> Vec<ArenaPoint> {
        let Some(kept) = &self.recorded else { return Vec::new() };
        let mut points = kept.points.clone();
        if points.last().is_none_or(|p| p.step != kept.steps) {
            points.push(kept.point(machine));
        }
        points
    }

    /// Why model and recording may differ, the likeliest reason first; empty where they do not.
    pub fn reasons(&self, trace: &Trace) -> Vec<Reason> {
        let Some(first) = self.first else { return Vec::new() };
        let source = &trace.origin.source;
        let doubt = &source.doubt;
        let lacks = |what: &str| source.missing.iter().find(|m| m.what == what);
        let mut reasons = Vec::new();
        let freed_later = doubt.unknown_frees + doubt.unknown_reallocs;
        if freed_later > 0 || lacks(Missing::PROCESS_BIRTH).is_some() {
            reasons.push(Reason::UnknownPast { freed_later });
        }
        reasons.extend(lacks(Missing::RECORDERS_BLOCKS).map(|m| Reason::HiddenBlocks(m.remedy.clone())));
        if doubt.lost_frees > 0 {
            reasons.push(Reason::LostFrees(doubt.lost_frees));
        }
        if doubt.ambiguous_reallocs > 0 {
            reasons.push(Reason::AmbiguousReallocs(doubt.ambiguous_reallocs));
        }
        if trace.thread_count() > 1 {
            let names = &trace.origin.source.thread_names;
            let name = names.get(usize::from(first.thread)).cloned().unwrap_or_default();
            reasons.push(Reason::Threads { count: trace.thread_count(), here: first.thread, name });
        }
        if doubt.inferred_domains > 0 {
            reasons.push(Reason::InferredDomains);
        }
        if reasons.is_empty() {
            reasons.push(Reason::OtherProfile);
        }
        reasons
    }
}

/// Why a model and a recording may differ. Its text is one sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The recording begins with blocks that it has not seen being born.
    UnknownPast {
        /// So many of them were freed or moved later.
        freed_later: u64,
    },
    /// The recorder hides blocks; how, it says itself.
    HiddenBlocks(String),
    /// So many frees are missing.
    LostFrees(u64),
    /// So many pairs of free and realloc were taken for one realloc each.
    AmbiguousReallocs(u64),
    /// Records need not be in the order of calls.
    Threads {
        /// Threads that ran.
        count: u64,
        /// The thread of the first difference.
        here: u16,
        /// Its name, empty where it has none.
        name: String,
    },
    /// Domains were told from sizes and addresses.
    InferredDomains,
    /// Nothing speaks against the recording: the profile may be another than the recorded Python's.
    OtherProfile,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPast { freed_later } => {
                f.write_str("unknown past: the recording begins in mid-life, with pools already in use")?;
                match freed_later {
                    0 => Ok(()),
                    blocks => write!(f, ", of which {blocks} blocks were freed or moved later"),
                }
            }
            Self::HiddenBlocks(how) => write!(f, "hidden blocks: {how}"),
            Self::LostFrees(frees) => write!(f, "lost events: {frees} frees are missing"),
            Self::AmbiguousReallocs(pairs) => {
                write!(f, "{pairs} pairs of free and realloc were taken for one realloc each")
            }
            Self::Threads { count, here, name } => {
                let between = if name.is_empty() { "" } else { ", " };
                write!(
                    f,
                    "threads: {count} of them ran, and the order of their calls may not be that of their records (here thread {here}{between}{name})"
                )
            }
            Self::InferredDomains => {
                f.write_str("domains were inferred, and a wrong one puts a block into a pool or keeps it out")
            }
            Self::OtherProfile => f.write_str("the profile may be another than the recorded Python's"),
        }
    }
}

impl Recorded {
    fn take(&mut self, slot: usize, pool_bits: u32, arena_bits: u32) {
        let Some(kept) = self.slots.get_mut(slot) else { return };
        let address = std::mem::take(kept);
        if address == 0 {
            return;
        }
        let pool = address >> pool_bits;
        if !drop_one(&mut self.pools, pool) {
            drop_one(&mut self.arenas, address >> arena_bits);
        }
    }

    fn put(&mut self, slot: usize, address: u64, pool_bits: u32, arena_bits: u32) {
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, 0);
        }
        self.slots[slot] = address;
        let live = self.pools.entry(address >> pool_bits).or_default();
        *live += 1;
        if *live == 1 {
            *self.arenas.entry(address >> arena_bits).or_default() += 1;
        }
    }

    fn step<A: ArenaBackend>(&mut self, machine: &Machine<A>) {
        self.steps += 1;
        if !self.steps.is_multiple_of(self.stride) {
            return;
        }
        let point = self.point(machine);
        self.points.push(point);
        if self.points.len() >= POINTS_MAX {
            self.stride *= 2;
            let stride = self.stride;
            self.points.retain(|p| p.step.is_multiple_of(stride));
        }
    }

    fn point<A: ArenaBackend>(&self, machine: &Machine<A>) -> ArenaPoint {
        let occupancy = Occupancy::of(machine.pymalloc());
        ArenaPoint {
            step: self.steps,
            model_arenas: occupancy.arenas,
            recorded_arenas: self.arenas.len() as u64,
            model_pools: occupancy.classes.iter().map(|c| c.pools).sum(),
            recorded_pools: self.pools.len() as u64,
        }
    }
}

/// Counts one less; whether any is left.
fn drop_one(counts: &mut HashMap<u64, u32>, key: u64) -> bool {
    let Some(count) = counts.get_mut(&key) else { return true };
    *count -= 1;
    if *count == 0 {
        counts.remove(&key);
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::Domain;
    use crate::tape::{Call, Op, StackId, TraceBuilder};

    /// Runs a trace whose addresses are the model's own, moved by whole arenas, except where `wrong` says so.
    fn run(wrong: &[u64]) -> (Trust, Machine, Trace) {
        let profile = Profile::default();
        let mut plain = TraceBuilder::new("plain");
        let op = |call| Op { thread: 0, domain: Domain::Obj, call };
        for id in 1..=2000 {
            plain.push(op(Call::Malloc { id, size: 1 + id % 512 })).unwrap();
        }
        for id in 1..=1000 {
            plain.push(op(Call::Free { id })).unwrap();
        }
        plain.push(op(Call::Realloc { id: 1500, newid: 1500, size: 16 })).unwrap();
        plain.push(op(Call::Malloc { id: 1, size: 100_000 })).unwrap();
        let plain = plain.finish();
        let mut model = Machine::for_trace(&profile, &plain, None).unwrap();
        let mut tape = TraceBuilder::new("recorded");
        for index in 0..plain.len() {
            let ptr = model.step(&plain, index as usize, &mut ());
            let address = match <crate::arena::SimArenas as ArenaBackend>::target(ptr) {
                Target::Block(block) => {
                    let shift = if wrong.contains(&index) { 16 } else { 0 };
                    Some(Addr(model.pymalloc().memory().block_addr(block).0 - (1 << 40) + shift))
                }
                _ => Some(Addr(0x5000)),
            };
            tape.push_recorded(plain.op(index).unwrap(), StackId(0), address).unwrap();
        }
        let trace = tape.finish();
        let mut machine = Machine::for_trace(&profile, &trace, None).unwrap();
        let mut trust = Trust::with_arenas(&profile);
        for index in 0..trace.len() as usize {
            let ptr = machine.step(&trace, index, &mut ());
            trust.after(&machine, &trace, index, ptr);
        }
        (trust, machine, trace)
    }

    #[test]
    fn the_models_own_addresses_agree() {
        let (trust, machine, trace) = run(&[]);
        assert_eq!(trust.total(), Agreement { compared: 2001, same: 2001 });
        assert_eq!(trust.by_kind()[2].1.compared, 1);
        assert_eq!((trust.first_divergence(), trust.reasons(&trace)), (None, Vec::new()));
        assert!(trust.share_by_chance().is_some_and(|s| s > 0.0 && s < 0.1));
        let points = trust.arenas(&machine);
        assert!(points.len() < POINTS_MAX && points.len() > POINTS_MAX / 4);
        for point in &points {
            assert_eq!(point.recorded_arenas, point.model_arenas, "at {}", point.step);
            assert_eq!(point.recorded_pools, point.model_pools, "at {}", point.step);
        }
        assert_eq!(points.last().unwrap().step, trace.len());
    }

    #[test]
    fn the_first_difference_is_named() {
        let (trust, _, mut trace) = run(&[7, 9]);
        assert_eq!(trust.total().compared - trust.total().same, 2);
        let first = trust.first_divergence().unwrap();
        assert_eq!((first.step, first.kind, first.size), (7, Kind::Malloc, 9));
        assert_eq!(first.recorded_offset, first.model_offset + 16);
        assert_eq!(trust.reasons(&trace), [Reason::OtherProfile]);
        trace.origin.source.lacks(Missing::RECORDERS_BLOCKS, "it takes one for each code object");
        trace.origin.source.doubt.unknown_frees = 3;
        let reasons = trust.reasons(&trace);
        let hidden = Reason::HiddenBlocks("it takes one for each code object".to_owned());
        assert_eq!(reasons, [Reason::UnknownPast { freed_later: 3 }, hidden]);
        assert!(reasons[1].to_string().starts_with("hidden blocks: it takes"));
    }
}
