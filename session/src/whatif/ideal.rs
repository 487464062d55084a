//! How few arenas the blocks of a run could lie in: what no placement goes below, and what one comes to that knows each block's end.
//!
//! Blocks, their classes and their lives are those of the run. *Perfect packing* has at each step as many pools of a class as its
//! live blocks fill, and as many arenas as those pools fill: blocks would have to move, and no allocator that leaves them where they
//! are holds less. *Known lifetimes* moves nothing: each block goes to the pool, and each pool to the arena, that lives just long
//! enough anyway, see [`Packing`]. That is one placement and not the best one, so that the truth for allocators that know the future
//! lies between the two.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Deref};

use serde::{Deserialize, Serialize};
use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::{Kind, Machine, Profile, SizeClass, Trace};
use thiserror::Error;

use super::run::{Allocator, CellError};
use crate::setup::Setup;

/// Operations between two words on how far it is.
const CHUNK: u64 = 1 << 18;
/// Operations at the most: each is up to two changes, which have numbers of 32 bits.
const OPERATIONS_MAX: u64 = 1 << 30;

/// Why there is no bound.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum IdealError {
    /// It cannot be run.
    #[error(transparent)]
    Run(#[from] CellError),
    /// Pools and arenas are pymalloc's.
    #[error("MEM and OBJ are not pymalloc's in this run, and the bound is on its arenas")]
    NotPymalloc,
    /// Too many operations.
    #[error("it has over {OPERATIONS_MAX} operations; take a part of it")]
    TooLong,
}

/// Arenas of one placement.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Arenas {
    /// The most at once.
    pub peak_arenas: u64,
    /// Those that are left at the end.
    pub final_arenas: u64,
}

/// Whose doing it is that more is held than the live blocks fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The same lives, placed otherwise, would hold less.
    Allocator,
    /// Blocks that live long are born among those that do not, and knowing it hardly helps.
    Program,
    /// The live blocks fill what is held.
    Neither,
}

/// The real run beside the two placements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ideal {
    /// pymalloc's.
    pub real: Arenas,
    /// Blocks packed anew at each step: a lower bound.
    pub perfect_packing: Arenas,
    /// Blocks placed once, by when they end: the best of two such placements and pymalloc's, each figure for itself.
    pub known_lifetimes: Arenas,
    /// What the real run has over perfect packing.
    pub gap: Arenas,
    /// Whose doing that is.
    pub blame: Blame,
}

/// Blocks of pools with their lives.
#[derive(Default)]
struct Lives {
    /// Each birth, as the block's number, and each death, as its number with the top bit.
    changes: Vec<u32>,
    /// By block.
    classes: Vec<u16>,
    /// By block: the change that ends it.
    deaths: Vec<u32>,
}

const DIED: u32 = 1 << 31;
const NEVER: u32 = u32::MAX;
const NOBODY: u32 = u32::MAX;

impl Lives {
    fn born(&mut self, class: u16) -> u32 {
        let block = self.classes.len() as u32;
        self.classes.push(class);
        self.deaths.push(NEVER);
        self.changes.push(block);
        block
    }

    fn died(&mut self, block: u32) {
        self.deaths[block as usize] = self.changes.len() as u32;
        self.changes.push(block | DIED);
    }

    /// What an operation did to the block of its slot, whose number is `owner`.
    fn step(&mut self, machine: &mut Machine, trace: &Trace, index: usize, owner: &mut [u32]) {
        let op = trace.packed(index);
        let before = machine.target(op.slot);
        machine.step(trace, index, &mut ());
        let keeps = matches!(op.kind, Kind::Free | Kind::FreeKeep) && op.null || op.kind == Kind::Act;
        let Some(owner) = owner.get_mut(op.slot.0 as usize).filter(|_| !keeps) else { return };
        let after = machine.target(op.slot);
        let stays = op.kind == Kind::Realloc && before == after;
        if stays {
            return;
        }
        let old = std::mem::replace(owner, NOBODY);
        // As pymalloc does it: the new block before the old one goes.
        if op.kind != Kind::FreeKeep
            && let Target::Block(block) = after
        {
            let memory = machine.pymalloc().memory();
            *owner = self.born(memory.header(memory.pool_of(block)).szidx as u16);
        }
        if old != NOBODY {
            self.died(old);
        }
    }
}

/// The most and the last of a number.
#[derive(Default)]
struct Count {
    now: u64,
    most: u64,
}

impl Count {
    fn set(&mut self, now: u64) {
        self.now = now;
        self.most = self.most.max(now);
    }

    fn arenas(&self) -> Arenas {
        Arenas { peak_arenas: self.most, final_arenas: self.now }
    }
}

/// Blocks of a pool by class, and pools of an arena.
struct Room {
    blocks: Vec<u64>,
    pools: u64,
}

impl Room {
    fn of(profile: &Profile) -> Self {
        let classes = (0..profile.nb_small_size_classes()).map(SizeClass);
        Self {
            blocks: classes.map(|class| profile.num_blocks(class).max(1)).collect(),
            pools: u64::from(profile.max_pools_in_arena()).max(1),
        }
    }
}

/// As many pools as live blocks fill, and as many arenas as those fill, at each change.
fn perfect(lives: &Lives, room: &Room) -> Arenas {
    let (mut live, mut pools, mut arenas) = (vec![0_u64; room.blocks.len()], 0_u64, Count::default());
    for change in &lives.changes {
        let class = usize::from(lives.classes[(change & !DIED) as usize]);
        if change & DIED == 0 {
            pools += u64::from(live[class].is_multiple_of(room.blocks[class]));
            live[class] += 1;
        } else {
            live[class] -= 1;
            pools -= u64::from(live[class].is_multiple_of(room.blocks[class]));
        }
        arenas.set(pools.div_ceil(room.pools));
    }
    arenas.arenas()
}

/// What holds other things, and when the last of them ends.
#[derive(Clone, Copy)]
struct Holder {
    /// What it holds.
    used: u64,
    end: u32,
    /// The pool's class, and the arena it lies in.
    class: u16,
    arena: u32,
}

/// Blocks placed once, by when they end. A block goes to a pool of its class that has about as long to live as itself, within a
/// factor of two. Where there is none, a new pool is begun, as long as arenas are no more than `budget`. Else it goes to the pool with room
/// that ends soonest after it, and where all end before, to the one that ends last. Pools are placed in arenas by the same rule.
#[derive(Default)]
struct Packing {
    /// Arenas that may be begun although others have room.
    budget: usize,
    /// Changes so far.
    now: u32,
    pools: Vec<Holder>,
    arenas: Vec<Holder>,
    free_pools: Vec<u32>,
    free_arenas: Vec<u32>,
    /// Pools with room by class, and arenas with room, each by its end.
    open_pools: Vec<BTreeSet<(u32, u32)>>,
    open_arenas: BTreeSet<(u32, u32)>,
    /// By block.
    pool_of: Vec<u32>,
    count: Count,
}

/// The one that ends soonest after `end`, else the one that ends last.
fn fitting(open: &BTreeSet<(u32, u32)>, end: u32) -> Option<u32> {
    open.range((end, 0)..).next().or_else(|| open.last()).map(|holder| holder.1)
}

/// The one that has about as long to live from `now` on as what ends at `end`: the soonest after it, else the last before it.
fn alike(open: &BTreeSet<(u32, u32)>, now: u32, end: u32) -> Option<u32> {
    let left = |end: u32| u64::from(end.saturating_sub(now));
    let close = |other: u32| {
        (other == NEVER) == (end == NEVER) && left(other) <= 2 * left(end) && left(end) <= 2 * left(other)
    };
    let after = open.range((end, 0)..).next().filter(|holder| close(holder.0));
    after.or_else(|| open.range(..(end, 0)).last().filter(|holder| close(holder.0))).map(|holder| holder.1)
}

/// A number for a new holder.
fn place(all: &mut Vec<Holder>, free: &mut Vec<u32>, holder: Holder) -> u32 {
    if let Some(at) = free.pop() {
        all[at as usize] = holder;
        return at;
    }
    all.push(holder);
    all.len() as u32 - 1
}

impl Packing {
    #[cfg(test)]
    fn run(lives: &Lives, room: &Room, budget: u64) -> Arenas {
        let mut packing = Self::new(lives, room, budget);
        while !packing.advance(lives, room, 3) {}
        packing.count.arenas()
    }

    fn new(lives: &Lives, room: &Room, budget: u64) -> Self {
        Self {
            budget: budget as usize,
            open_pools: vec![BTreeSet::new(); room.blocks.len()],
            pool_of: vec![0; lives.classes.len()],
            ..Self::default()
        }
    }

    /// Does so many changes more; whether all are done.
    fn advance(&mut self, lives: &Lives, room: &Room, most: u64) -> bool {
        let changes = lives.changes.iter().skip(self.now as usize);
        for change in changes.take(usize::try_from(most).unwrap_or(usize::MAX)) {
            let block = (change & !DIED) as usize;
            if change & DIED == 0 {
                self.pool_of[block] = self.put(lives.classes[block], lives.deaths[block], room);
            } else {
                self.take(self.pool_of[block], room);
            }
            self.now += 1;
            self.count.set(self.live_arenas() as u64);
        }
        self.now as usize == lives.changes.len()
    }

    fn live_arenas(&self) -> usize {
        self.arenas.len() - self.free_arenas.len()
    }

    /// Whether a pool can be begun within the budget.
    fn may_begin(&self) -> bool {
        self.live_arenas() < self.budget || !self.open_arenas.is_empty()
    }

    fn put(&mut self, class: u16, end: u32, room: &Room) -> u32 {
        let at = usize::from(class);
        let open = &self.open_pools[at];
        let pool = match alike(open, self.now, end) {
            Some(pool) => pool,
            None if self.budget > 0 && self.may_begin() => self.begin(class, end, room),
            None => match fitting(open, end) {
                Some(pool) => pool,
                None => self.begin(class, end, room),
            },
        };
        let holder = &mut self.pools[pool as usize];
        self.open_pools[at].remove(&(holder.end, pool));
        holder.used += 1;
        holder.end = holder.end.max(end);
        let (used, ends, arena) = (holder.used, holder.end, holder.arena);
        if used < room.blocks[at] {
            self.open_pools[at].insert((ends, pool));
        }
        let holder = &mut self.arenas[arena as usize];
        if holder.end < ends {
            if self.open_arenas.remove(&(holder.end, arena)) {
                self.open_arenas.insert((ends, arena));
            }
            holder.end = ends;
        }
        pool
    }

    /// A new pool.
    fn begin(&mut self, class: u16, end: u32, room: &Room) -> u32 {
        let among = &self.open_arenas;
        let known = alike(among, self.now, end).or_else(|| {
            // A new one rather than one that lives longer or shorter, while there may be one.
            let full = self.live_arenas() >= self.budget;
            if full { fitting(among, end) } else { None }
        });
        let arena = known.unwrap_or_else(|| {
            let new = Holder { used: 0, end, class: 0, arena: 0 };
            place(&mut self.arenas, &mut self.free_arenas, new)
        });
        let holder = &mut self.arenas[arena as usize];
        self.open_arenas.remove(&(holder.end, arena));
        holder.used += 1;
        if holder.used < room.pools {
            self.open_arenas.insert((holder.end, arena));
        }
        let new = Holder { used: 0, end, class, arena };
        place(&mut self.pools, &mut self.free_pools, new)
    }

    /// A block of a pool ends.
    fn take(&mut self, pool: u32, room: &Room) {
        let Holder { used, end, class, arena } = self.pools[pool as usize];
        let open = &mut self.open_pools[usize::from(class)];
        self.pools[pool as usize].used = used - 1;
        if used > 1 {
            open.insert((end, pool));
            return;
        }
        open.remove(&(end, pool));
        self.free_pools.push(pool);
        let holder = &mut self.arenas[arena as usize];
        holder.used -= 1;
        if holder.used == 0 {
            self.open_arenas.remove(&(holder.end, arena));
            self.free_arenas.push(arena);
        } else if holder.used == room.pools - 1 {
            self.open_arenas.insert((holder.end, arena));
        }
    }
}

/// Runs a trace and packs its blocks anew. `on` hears how many operations are done, and may stop it.
pub fn ideal(
    trace: &Trace,
    setup: &Setup,
    on: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Ideal, IdealError> {
    let mut packer = Packer::new(trace, setup)?;
    loop {
        if let Some(ideal) = packer.advance(CHUNK) {
            return ideal;
        }
        if packer.done() <= trace.len() && on(packer.done()).is_break() {
            return Err(CellError::Stopped.into());
        }
    }
}

/// A trace being run and packed anew, a piece at a time, over a trace that is lent or shared.
pub struct Packer<T> {
    trace: T,
    machine: Machine,
    room: Room,
    lives: Lives,
    owner: Vec<u32>,
    done: u64,
    packed: Option<Arenas>,
    /// The placements by when blocks end that are done, and the one under way.
    by_end: Vec<Arenas>,
    placing: Option<Packing>,
}

impl<T: Deref<Target = Trace>> Packer<T> {
    /// With nothing done.
    pub fn new(trace: T, setup: &Setup) -> Result<Self, IdealError> {
        if trace.len() > OPERATIONS_MAX {
            return Err(IdealError::TooLong);
        }
        let machine = setup.machine(&trace).map_err(CellError::from)?;
        if Allocator::of(setup) != Allocator::Pymalloc {
            return Err(IdealError::NotPymalloc);
        }
        Ok(Self {
            machine,
            room: Room::of(&setup.profile),
            lives: Lives::default(),
            owner: vec![NOBODY; trace.slot_count() as usize],
            done: 0,
            packed: None,
            by_end: Vec::new(),
            placing: None,
            trace,
        })
    }

    /// Operations that are done; then changes of blocks that were placed, twice.
    pub fn done(&self) -> u64 {
        let placing = self.placing.as_ref().map_or(0, |placing| u64::from(placing.now));
        self.done + self.by_end.len() as u64 * self.lives.changes.len() as u64 + placing
    }

    /// About how many there are of [`Self::done`]; known once the run is done.
    pub fn total(&self) -> u64 {
        let changes =
            if self.done < self.trace.len() { self.trace.len() } else { self.lives.changes.len() as u64 };
        self.trace.len() + 2 * changes
    }

    /// Does about so many more; the bounds are there once all are done.
    pub fn advance(&mut self, most: u64) -> Option<Result<Ideal, IdealError>> {
        let len = self.trace.len();
        if self.done < len {
            for index in self.done..len.min(self.done.saturating_add(most)) {
                self.lives.step(&mut self.machine, &self.trace, index as usize, &mut self.owner);
                self.done = index + 1;
            }
            return None;
        }
        if self.machine.pymalloc().memory().out_of_space() {
            return Some(Err(CellError::OutOfSpace.into()));
        }
        let Some(packed) = self.packed else {
            self.packed = Some(perfect(&self.lives, &self.room));
            return None;
        };
        let budget = if self.by_end.is_empty() { 0 } else { packed.peak_arenas };
        let placing = self.placing.get_or_insert_with(|| Packing::new(&self.lives, &self.room, budget));
        if placing.advance(&self.lives, &self.room, most) {
            self.by_end.push(placing.count.arenas());
            self.placing = None;
        }
        let [first, second] = self.by_end[..] else { return None };
        let counters = self.machine.arena_counters();
        let real = Arenas {
            peak_arenas: counters.narenas_highwater,
            final_arenas: counters.narenas_currently_allocated,
        };
        Some(Ok(Ideal::of(real, packed, [first, second])))
    }
}

impl Ideal {
    fn of(real: Arenas, perfect_packing: Arenas, by_end: [Arenas; 2]) -> Self {
        let known_lifetimes = by_end.iter().fold(real, |least, by| Arenas {
            peak_arenas: least.peak_arenas.min(by.peak_arenas),
            final_arenas: least.final_arenas.min(by.final_arenas),
        });
        let less = |by: Arenas| Arenas {
            peak_arenas: real.peak_arenas.saturating_sub(by.peak_arenas),
            final_arenas: real.final_arenas.saturating_sub(by.final_arenas),
        };
        let (gap, closed) = (less(perfect_packing), less(known_lifetimes));
        // An arena is always begun; beyond it a tenth is not worth anybody's work.
        let small = |gap: u64, of: u64| gap <= (of / 10).max(1);
        let blame = if small(gap.peak_arenas, real.peak_arenas) && small(gap.final_arenas, real.final_arenas)
        {
            Blame::Neither
        } else {
            let (gap, closed) = if gap.final_arenas >= gap.peak_arenas {
                (gap.final_arenas, closed.final_arenas)
            } else {
                (gap.peak_arenas, closed.peak_arenas)
            };
            if 2 * closed >= gap { Blame::Allocator } else { Blame::Program }
        };
        Self { real, perfect_packing, known_lifetimes, gap, blame }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arenas(peak_arenas: u64, final_arenas: u64) -> Arenas {
        Arenas { peak_arenas, final_arenas }
    }

    #[test]
    fn blame_is_the_allocators_where_knowing_lifetimes_closes_half_of_the_gap() {
        let blame = |real, perfect, known| Ideal::of(real, perfect, [known, real]).blame;
        assert_eq!(blame(arenas(40, 40), arenas(38, 37), arenas(39, 38)), Blame::Neither);
        assert_eq!(blame(arenas(2, 1), arenas(1, 0), arenas(2, 1)), Blame::Neither);
        assert_eq!(blame(arenas(40, 40), arenas(38, 2), arenas(40, 21)), Blame::Allocator);
        assert_eq!(blame(arenas(40, 40), arenas(38, 2), arenas(40, 22)), Blame::Program);
        // A packing that is worse than the real one is not taken.
        assert_eq!(
            Ideal::of(arenas(9, 3), arenas(5, 1), [arenas(12, 4), arenas(9, 5)]).known_lifetimes,
            arenas(9, 3)
        );
    }

    /// Pools of two blocks and arenas of two pools, by hand.
    #[test]
    fn blocks_go_where_they_end_last() {
        let room = Room { blocks: vec![2], pools: 2 };
        let mut lives = Lives::default();
        // Long and short by turns: by birth each pool would keep one of each.
        let blocks: Vec<u32> = (0..8).map(|_| lives.born(0)).collect();
        for short in [1, 3, 5, 7] {
            lives.died(blocks[short]);
        }
        assert_eq!(perfect(&lives, &room), arenas(2, 1));
        assert_eq!(
            Packing::run(&lives, &room, 0),
            arenas(2, 2),
            "rooms are filled before new ones are begun"
        );
        assert_eq!(Packing::run(&lives, &room, 2), arenas(2, 1), "those that stay lie together");
        // Those that end together are together once the first of them has gone.
        let mut lives = Lives::default();
        let first: Vec<u32> = (0..4).map(|_| lives.born(0)).collect();
        lives.died(first[0]);
        lives.died(first[2]);
        let (long, short) = (lives.born(0), lives.born(0));
        for block in [short, first[1], first[3]] {
            lives.died(block);
        }
        lives.died(long);
        assert_eq!([0, 1].map(|budget| Packing::run(&lives, &room, budget)), [arenas(1, 0); 2]);
    }
}
