//! Wrong machines: pymalloc as people believe it to be. Each is a small simulation of the whole allocator with one or two of
//! its rules changed; with none changed it puts every block where the machine does (`session/tests/practice.rs` holds that).

use std::collections::BTreeMap;

use sim_core::{Call, Domain, Profile};

use super::record::{Happened, Header, Record, Spot, Staged};
use super::rule::Rule;

/// A pool.
struct Pool {
    block: u64,
    /// Offsets in the order in which they were freed.
    free: Vec<u64>,
    /// The first offset that was never handed out.
    next: u64,
    used: u64,
}

/// An arena.
struct Arena {
    live: bool,
    pools: Vec<Pool>,
    /// Emptied pools, the last one on top.
    emptied: Vec<usize>,
}

type Place = (usize, usize);

/// A machine with rules of its own.
pub(super) struct Wrong<'a> {
    rules: &'a [Rule],
    /// Whether those that are not about sizes hold by now.
    begun: bool,
    alignment: u64,
    threshold: u64,
    pool_size: u64,
    header: u64,
    pools: usize,
    keeps_last: bool,
    arenas: Vec<Arena>,
    /// `usable_arenas`.
    usable: Vec<usize>,
    /// `usedpools`, by block size.
    used: BTreeMap<u64, Vec<Place>>,
    /// Where each id lies, and whether it is counted among the C library's.
    blocks: BTreeMap<u64, (Spot, bool)>,
    raw_blocks: i64,
    freed: u64,
    obtained: u64,
    released: Vec<u64>,
}

impl<'a> Wrong<'a> {
    /// One with some rules of a build changed; `None` where a rule says nothing else of this build.
    pub(super) fn new(rules: &'a [Rule], profile: &Profile) -> Option<Self> {
        let has = |rule| rules.contains(&rule);
        if has(Rule::PageIsPool) && profile.pool_size <= 4096
            || has(Rule::KeepsLast) && profile.keep_last_arena
        {
            return None;
        }
        let pool_size = if has(Rule::PageIsPool) { 4096 } else { profile.pool_size };
        let limit = rules.iter().find_map(|rule| match rule {
            Rule::Limit(most) => Some(*most),
            _ => None,
        });
        Some(Self {
            rules,
            begun: false,
            alignment: profile.alignment,
            threshold: limit.unwrap_or(profile.small_request_threshold),
            pool_size,
            header: if has(Rule::NoHeader) { 0 } else { profile.pool_overhead() },
            pools: (profile.arena_size / pool_size) as usize,
            keeps_last: profile.keep_last_arena,
            arenas: Vec::new(),
            usable: Vec::new(),
            used: BTreeMap::new(),
            blocks: BTreeMap::new(),
            raw_blocks: 0,
            freed: 0,
            obtained: 0,
            released: Vec::new(),
        })
    }

    fn has(&self, rule: Rule) -> bool {
        (self.begun || rule.of_sizes()) && self.rules.contains(&rule)
    }

    /// Does a question's operations.
    pub(super) fn run(mut self, staged: &Staged) -> Record {
        let step = if self.has(Rule::OtherSteps) { self.block(1) } else { self.alignment };
        let mut record = Record { pool_size: self.pool_size, step, ..Record::default() };
        let mut last = None;
        for index in 0..staged.trace.len() as usize {
            self.begun = index >= staged.shown;
            self.obtained = 0;
            self.released.clear();
            let spot = staged.call(index).and_then(|(call, domain)| self.step(&call, domain));
            if let Some(spot @ Spot::Block { .. }) = spot {
                last = Some(spot);
            }
            let released = self.released.clone();
            record.happened.push(Happened { spot, obtained: self.obtained, released });
        }
        record.header =
            last.and_then(|spot| self.place(spot)).map(|(arena, pool, _)| self.shown(arena, pool));
        record.raw_blocks = self.raw_blocks;
        record
    }

    fn step(&mut self, call: &Call, domain: Domain) -> Option<Spot> {
        let raw = domain == Domain::Raw;
        match *call {
            Call::Malloc { id, size } => Some(self.give(id, size, raw)),
            Call::Calloc { id, nelem, elsize } => Some(self.give(id, nelem.saturating_mul(elsize), raw)),
            Call::Realloc { id: 0, newid, size } => Some(self.give(newid, size, raw)),
            Call::Realloc { id, newid, size } => Some(self.realloc(id, newid, size, raw)),
            Call::Free { id } | Call::FreeKeep { id } => {
                if let Some((spot, counted)) = self.blocks.remove(&id) {
                    self.free(spot, counted);
                }
                None
            }
            Call::Act(_) => None,
        }
    }

    /// Bytes of the block that a request takes.
    fn block(&self, size: u64) -> u64 {
        let step = match self.alignment {
            step if !self.has(Rule::OtherSteps) => step,
            8 => 16,
            step => step / 2,
        };
        if self.has(Rule::ExactSize) {
            size.max(1)
        } else if self.has(Rule::PowersOfTwo) {
            size.next_power_of_two().max(step)
        } else {
            size.max(1).next_multiple_of(step)
        }
    }

    fn give(&mut self, id: u64, size: u64, raw: bool) -> Spot {
        let (spot, counted) = self.malloc(size, raw);
        self.blocks.insert(id, (spot, counted));
        spot
    }

    fn malloc(&mut self, size: u64, raw: bool) -> (Spot, bool) {
        if size == 0 && self.has(Rule::ZeroIsNull) {
            return (Spot::Null, false);
        }
        let small = size <= self.threshold && (size > 0 || self.has(Rule::ZeroIsSmall));
        if raw || !small {
            let counted = !raw || self.has(Rule::CountsRawDomain);
            self.raw_blocks += i64::from(counted);
            return (Spot::Raw, counted);
        }
        let block = self.block(size);
        let (arena, pool) = self.pool_for(block);
        let offset = self.take(arena, pool);
        (Spot::Block { arena: arena as u64, offset: pool as u64 * self.pool_size + offset }, false)
    }

    /// The pool that serves a block size.
    fn pool_for(&mut self, block: u64) -> Place {
        let list = self.used.get(&block).map_or(&[][..], Vec::as_slice);
        let room = |&&(arena, pool): &&Place| {
            let pool = &self.arenas[arena].pools[pool];
            pool.used
        };
        let chosen = if self.has(Rule::PoolForEach) {
            None
        } else if self.has(Rule::FirstFit) {
            list.iter().min()
        } else if self.has(Rule::LastFit) {
            list.iter().max()
        } else if self.has(Rule::MostRoom) {
            list.iter().min_by_key(room)
        } else if self.has(Rule::NeverReuse) {
            list.iter().find(|(arena, pool)| self.uncarved(*arena, *pool))
        } else {
            list.first()
        };
        if let Some(&place) = chosen {
            return place;
        }
        let place = self.new_pool(block);
        self.used.entry(block).or_default().insert(0, place);
        place
    }

    fn uncarved(&self, arena: usize, pool: usize) -> bool {
        let pool = &self.arenas[arena].pools[pool];
        pool.next + pool.block <= self.pool_size
    }

    /// Pools of an arena that any class may take.
    fn nfree(&self, arena: usize) -> usize {
        let arena = &self.arenas[arena];
        self.pools - arena.pools.len() + arena.emptied.len()
    }

    fn new_pool(&mut self, block: u64) -> Place {
        let mut order: Vec<usize> = self.usable.clone();
        if self.has(Rule::EmptiestArena) {
            order.sort_by_key(|&arena| std::cmp::Reverse(self.nfree(arena)));
        } else if self.has(Rule::FirstFit) {
            order.sort_unstable();
        } else if self.has(Rule::NewestArena) || self.has(Rule::LastFit) {
            order.sort_unstable_by_key(|&arena| std::cmp::Reverse(arena));
        }
        let found = order.into_iter().find_map(|arena| self.offered(arena, block).map(|pool| (arena, pool)));
        let (arena, pool) = found.unwrap_or_else(|| {
            self.arenas.push(Arena { live: true, pools: Vec::new(), emptied: Vec::new() });
            self.obtained += 1;
            self.usable.push(self.arenas.len() - 1);
            (self.arenas.len() - 1, None)
        });
        let (header, over, keeps) = (self.header, self.has(Rule::StartsOver), self.has(Rule::KeepsList));
        let record = &mut self.arenas[arena];
        let fresh = Pool { block, free: Vec::new(), next: header, used: 0 };
        let index = if let Some(at) = pool {
            let index = record.emptied.remove(at);
            let pool = &mut record.pools[index];
            if keeps {
                pool.block = block;
            } else if pool.block != block || over {
                *pool = fresh;
            }
            index
        } else {
            record.pools.push(fresh);
            record.pools.len() - 1
        };
        if self.nfree(arena) == 0 {
            self.usable.retain(|&other| other != arena);
        }
        (arena, index)
    }

    /// Which pool an arena would give: one of its emptied ones, or a fresh one (`Some(None)`).
    #[expect(clippy::option_option, reason = "no pool, a fresh pool, and an emptied one are three answers")]
    fn offered(&self, arena: usize, block: u64) -> Option<Option<usize>> {
        let record = &self.arenas[arena];
        let emptied = &record.emptied;
        let last = emptied.len().checked_sub(1);
        let by = |lowest: bool| {
            let at = 0..emptied.len();
            if lowest { at.min_by_key(|&at| emptied[at]) } else { at.max_by_key(|&at| emptied[at]) }
        };
        let chosen = if self.has(Rule::NeverReuse) {
            None
        } else if self.has(Rule::KeepsClass) {
            emptied.iter().rposition(|&pool| record.pools[pool].block == block)
        } else if self.has(Rule::OldestFirst) {
            last.map(|_| 0)
        } else if self.has(Rule::FirstFit) || self.has(Rule::LastFit) {
            by(self.has(Rule::FirstFit))
        } else {
            last
        };
        match chosen {
            Some(at) => Some(Some(at)),
            None => (record.pools.len() < self.pools).then_some(None),
        }
    }

    /// A block of a pool that has one.
    fn take(&mut self, arena: usize, pool: usize) -> u64 {
        let uncarved = self.uncarved(arena, pool);
        let (lowest, oldest, never) =
            (self.has(Rule::FirstFit), self.has(Rule::OldestFirst), self.has(Rule::NeverReuse));
        let highest = self.has(Rule::LastFit);
        let record = &mut self.arenas[arena].pools[pool];
        let at = 0..record.free.len();
        let chosen = if never && uncarved {
            None
        } else if lowest {
            at.min_by_key(|&at| record.free[at])
        } else if highest {
            at.max_by_key(|&at| record.free[at])
        } else if oldest {
            (!record.free.is_empty()).then_some(0)
        } else {
            record.free.len().checked_sub(1)
        };
        let offset = if let Some(at) = chosen {
            record.free.remove(at)
        } else {
            let offset = record.next;
            record.next += record.block;
            offset
        };
        record.used += 1;
        if record.free.is_empty() && record.next + record.block > self.pool_size {
            let block = record.block;
            if let Some(list) = self.used.get_mut(&block) {
                list.retain(|&place| place != (arena, pool));
            }
        }
        offset
    }

    /// Arena, pool and offset in it.
    fn place(&self, spot: Spot) -> Option<(usize, usize, u64)> {
        let Spot::Block { arena, offset } = spot else { return None };
        Some((arena as usize, (offset / self.pool_size) as usize, offset % self.pool_size))
    }

    fn free(&mut self, spot: Spot, counted: bool) {
        let Some((arena, pool, offset)) = self.place(spot) else {
            self.raw_blocks -= i64::from(counted && !self.has(Rule::CountsFreed));
            return;
        };
        let record = &mut self.arenas[arena].pools[pool];
        let was_full = record.free.is_empty() && record.next + record.block > self.pool_size;
        record.free.push(offset);
        record.used -= 1;
        let (block, empty) = (record.block, record.used == 0);
        self.freed += block;
        let back = self.has(Rule::BackOfTheList);
        if was_full && !self.has(Rule::NeverReuse) {
            let list = self.used.entry(block).or_default();
            list.insert(if back { list.len() } else { 0 }, (arena, pool));
        }
        if self.has(Rule::InProportion) {
            self.in_proportion(block);
        }
        if self.has(Rule::MostlyFreeGoes) {
            self.mostly_free(arena);
        }
        if empty && !was_full {
            if let Some(list) = self.used.get_mut(&block) {
                list.retain(|&place| place != (arena, pool));
            }
            self.emptied(arena, pool);
        }
    }

    /// An arena goes for each arena's worth of freed bytes: a belief about numbers, so the arenas themselves stay usable.
    fn in_proportion(&mut self, block: u64) {
        let worth = self.pools as u64 * ((self.pool_size - self.header) / block) * block;
        if self.freed >= worth {
            self.freed -= worth;
            if let Some(gone) = self.arenas.iter().position(|arena| arena.live) {
                self.gone(gone);
            }
        }
    }

    /// An arena goes once more of its blocks are free than in use; what survives is thought to be put elsewhere.
    fn mostly_free(&mut self, arena: usize) {
        let record = &self.arenas[arena];
        let (used, all) = record
            .pools
            .iter()
            .fold((0, 0), |(used, all), pool| (used + pool.used * pool.block, all + self.pool_size));
        if record.live && record.pools.len() == self.pools && used * 2 < all {
            self.gone(arena);
        }
    }

    fn gone(&mut self, arena: usize) {
        self.arenas[arena].live = false;
        self.released.push(arena as u64);
    }

    fn emptied(&mut self, arena: usize, pool: usize) {
        let before = self.nfree(arena);
        self.arenas[arena].emptied.push(pool);
        if before == 0 {
            self.usable.insert(0, arena);
            return;
        }
        let at = self.usable.iter().position(|&other| other == arena).unwrap_or(0);
        let last = at + 1 == self.usable.len();
        let whole = before + 1 == self.pools;
        if whole && self.goes(arena, last) {
            return;
        }
        // It stands left of those that have as many free pools as it has now.
        self.usable.remove(at);
        let to = self.usable.iter().position(|&other| self.nfree(other) > before);
        self.usable.insert(to.unwrap_or(self.usable.len()), arena);
    }

    /// Whether a wholly free arena goes; which ones go with it or instead.
    fn goes(&mut self, arena: usize, last: bool) -> bool {
        if [Rule::NeverRelease, Rule::InProportion, Rule::MostlyFreeGoes]
            .into_iter()
            .any(|rule| self.has(rule))
        {
            return false;
        }
        let keeps = self.keeps_last || self.has(Rule::KeepsLast);
        let other =
            self.usable.iter().copied().find(|&other| other != arena && self.nfree(other) == self.pools);
        if (self.has(Rule::OtherGoes) || self.has(Rule::BothGo))
            && let Some(other) = other
        {
            self.release(other);
            if self.has(Rule::BothGo) {
                self.release(arena);
            }
            return self.has(Rule::BothGo);
        }
        if self.has(Rule::OtherGoes) {
            return false;
        }
        if keeps && last && !self.has(Rule::ReleaseWhenFree) {
            return false;
        }
        self.release(arena);
        true
    }

    fn release(&mut self, arena: usize) {
        self.usable.retain(|&other| other != arena);
        self.gone(arena);
    }

    fn realloc(&mut self, id: u64, newid: u64, size: u64, raw: bool) -> Spot {
        let Some(&(spot, counted)) = self.blocks.get(&id) else { return Spot::Null };
        let stays = if let Some((arena, pool, _)) = self.place(spot) {
            let block = self.arenas[arena].pools[pool].block;
            size <= block
                && !self.has(Rule::AlwaysMoves)
                && (4 * size > 3 * block
                    || self.has(Rule::StaysIfFits)
                    || 4 * size == 3 * block && self.has(Rule::StaysAtThreeQuarters))
        } else {
            !self.has(Rule::RawComesBack) || size > self.threshold || raw
        };
        self.blocks.remove(&id);
        let now = if stays {
            (spot, counted)
        } else if self.has(Rule::FreesFirst) {
            self.free(spot, counted);
            self.malloc(size, raw)
        } else {
            let now = self.malloc(size, raw);
            self.free(spot, counted);
            now
        };
        self.blocks.insert(newid, now);
        now.0
    }

    /// A pool's header. One untouched block is always linked ahead, as long as there is one.
    fn shown(&self, arena: usize, pool: usize) -> Header {
        let record = &self.arenas[arena].pools[pool];
        let left = (self.pool_size - record.next.min(self.pool_size)) / record.block;
        let ahead = if self.has(Rule::LinksAll) {
            left
        } else if self.has(Rule::LinksNone) {
            0
        } else {
            left.min(1)
        };
        Header { nextoffset: record.next + ahead * record.block, linked: record.free.len() as u64 + ahead }
    }
}
