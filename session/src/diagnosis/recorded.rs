//! The heap as recorded, at a step: pools and arenas as addresses imply, and the blocks that the program holds where they really were.
//!
//! A place without a recorded block is free, or has one from before the recording: which, is not known. Free lists are not in a recording.
//!
//! It goes along the tape operation by operation and notes what each changed, so that steps cost next to nothing; a long way is read off
//! [`Births`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use sim_core::{Addr, SizeClass, Trace};

use super::births::{BEFORE, Births, NONE};
use super::layout::Layout;

/// The blocks of one class that are live in a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Sheet {
    class: SizeClass,
    /// Live blocks that the recording has at each place: more than one where it missed a free.
    claims: Vec<u8>,
    /// Places with one.
    live: u32,
}

/// The recorded heap.
#[derive(Clone, Debug)]
pub struct Recorded {
    layout: Arc<Layout>,
    trace: Arc<Trace>,
    births: Births,
    step: u64,
    /// For each slot the operation that its block was born by.
    of: Vec<u32>,
    /// Pools of the first arena, of the second, …
    pools: Vec<Vec<Sheet>>,
    /// Live blocks of each arena.
    live: Vec<u64>,
    /// Arenas with a live block, and the bytes of all live blocks.
    arenas: u64,
    block_bytes: u64,
    /// What each of the last operations changed: the slot, and what its block was born by.
    trail: VecDeque<(u32, u32)>,
    /// The block that was asked about last, and what it was born by: to be looked for again only once that is gone.
    asked: Cell<(Addr, u32)>,
}

impl Recorded {
    /// So many operations are kept to be taken back.
    const TRAIL: usize = 1 << 14;
    /// On a longer way nothing is looked at in between.
    const FAR: u64 = 1 << 17;
    /// What an operation that holds no block changed.
    const NOTHING: (u32, u32) = (NONE, NONE);

    /// Before the first operation.
    pub fn new(layout: Arc<Layout>, trace: Arc<Trace>) -> Self {
        let (arenas, pools) = (layout.arenas(), layout.pools_of_arena() as usize);
        Self {
            births: Births::under(layout.profile()),
            layout,
            step: 0,
            of: vec![NONE; trace.slot_count() as usize],
            trace,
            pools: vec![Vec::new(); arenas * pools],
            live: vec![0; arenas],
            arenas: 0,
            block_bytes: 0,
            trail: VecDeque::new(),
            asked: Cell::new((Addr(0), NONE)),
        }
    }

    /// The arenas that it lies in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What was recorded.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// Operations done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Goes to a step.
    pub fn go_to(&mut self, step: u64) {
        let step = step.min(self.trace.len());
        let back = self.step.saturating_sub(step);
        let far = step.saturating_sub(self.step) > Self::FAR || back > self.trail.len() as u64;
        if far {
            // A little before, so that the way back from there is short as well.
            self.jump(step.saturating_sub(Self::TRAIL as u64 / 2));
        }
        while self.step > step {
            let Some((slot, birth)) = self.trail.pop_back() else { break };
            self.step -= 1;
            self.set(slot, birth);
        }
        while self.step < step {
            let change = self.births.change(&self.trace, self.step);
            self.step += 1;
            let (slot, birth) = change.unwrap_or(Self::NOTHING);
            let before = self.of.get(slot as usize).copied().unwrap_or(NONE);
            self.set(slot, birth);
            self.trail.push_back((slot, before));
            if self.trail.len() > Self::TRAIL {
                self.trail.pop_front();
            }
        }
    }

    fn jump(&mut self, step: u64) {
        self.births.go_to(&self.trace, step);
        self.step = step;
        self.trail.clear();
        self.pools.iter_mut().for_each(Vec::clear);
        self.live.fill(0);
        (self.arenas, self.block_bytes) = (0, 0);
        self.of.clear();
        self.of.resize(self.trace.slot_count() as usize, NONE);
        for slot in 0..self.of.len() {
            let birth = self.births.by_slot().get(slot).copied().unwrap_or(NONE);
            self.set(slot as u32, birth);
        }
    }

    /// The block of a slot is another one.
    fn set(&mut self, slot: u32, birth: u32) {
        let Some(of) = self.of.get_mut(slot as usize) else { return };
        let old = std::mem::replace(of, birth);
        if old != birth {
            self.claim(old, false);
            self.claim(birth, true);
        }
    }

    fn claim(&mut self, birth: u32, more: bool) {
        let Some((block, pool, class)) = self.place_of(birth) else { return };
        let Some((arena, place)) = self.locate(pool) else { return };
        let at = arena * self.layout.pools_of_arena() as usize + place as usize;
        let (Some(sheets), Some(live)) = (self.pools.get_mut(at), self.live.get_mut(arena)) else { return };
        let profile = self.layout.profile();
        let index = (block.bytes_from(pool) - profile.pool_overhead()) / profile.block_size(class);
        let which = sheets.iter().position(|sheet| sheet.class == class).unwrap_or(sheets.len());
        if which == sheets.len() {
            sheets.push(Sheet { class, claims: vec![0; profile.num_blocks(class) as usize], live: 0 });
        }
        let sheet = &mut sheets[which];
        let Some(claims) = sheet.claims.get_mut(index as usize) else { return };
        if more {
            *claims = claims.saturating_add(1);
            let first = u64::from(*claims == 1);
            sheet.live += first as u32;
            self.arenas += u64::from(*live == 0) * first;
            *live += first;
            self.block_bytes += first * profile.block_size(class);
        } else {
            *claims = claims.saturating_sub(1);
            let last = u64::from(*claims == 0);
            sheet.live -= last as u32;
            *live -= last;
            self.arenas -= u64::from(*live == 0) * last;
            self.block_bytes -= last * profile.block_size(class);
        }
        if sheet.live == 0 {
            sheets.swap_remove(which);
        }
    }

    /// Where the block lies that an operation gave: the block, its pool and its class.
    fn place_of(&self, birth: u32) -> Option<(Addr, Addr, SizeClass)> {
        // Where blocks from before lie no recorded address says.
        if birth >= BEFORE {
            return None;
        }
        let addr = self.trace.address_of(birth as usize)?;
        self.layout.place_of(self.trace.packed(birth as usize), addr)
    }

    /// The arena of a pool, and which of its places it has.
    fn locate(&self, pool: Addr) -> Option<(usize, u32)> {
        let arena = self.layout.arena_of(pool)?;
        let place = pool.bytes_from(self.layout.base_of(arena)?) / self.layout.profile().pool_size;
        (place < u64::from(self.layout.pools_of(arena))).then_some((arena, place as u32))
    }

    /// Arenas in which a block is live, by number, in the order of addresses.
    pub fn held(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.live).filter(|(_, live)| **live > 0).map(|(arena, _)| arena)
    }

    /// How many arenas these are.
    pub fn arenas(&self) -> u64 {
        self.arenas
    }

    /// Bytes of all live blocks, as blocks.
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// Whether a block is live in an arena.
    pub fn holds(&self, arena: u32) -> bool {
        self.live.get(arena as usize).is_some_and(|live| *live > 0)
    }

    /// Live blocks in all arenas.
    pub fn blocks(&self) -> u64 {
        self.live.iter().sum()
    }

    /// Of a place of an arena the class of its live blocks, and how many they are; `None` without any. Where the recording has blocks of
    /// several classes in it, having missed a free, that with the most.
    pub fn pool(&self, arena: u32, place: u32) -> Option<(SizeClass, u32)> {
        self.sheet(arena, place).map(|sheet| (sheet.class, sheet.live))
    }

    /// Which blocks of it are live.
    pub fn live_places(&self, arena: u32, place: u32) -> impl Iterator<Item = bool> + '_ {
        self.sheet(arena, place).into_iter().flat_map(|sheet| sheet.claims.iter().map(|claims| *claims > 0))
    }

    fn sheet(&self, arena: u32, place: u32) -> Option<&Sheet> {
        let at = arena as usize * self.layout.pools_of_arena() as usize + place as usize;
        let sheets = self.pools.get(at)?;
        sheets.iter().max_by_key(|sheet| (sheet.live, std::cmp::Reverse(sheet.class.0)))
    }

    /// The arena that an address lies in, and the place for a pool there.
    pub fn at(&self, addr: Addr) -> Option<(u32, u32)> {
        let profile = self.layout.profile();
        let pool = Addr(addr.0 & !(profile.pool_size - 1));
        self.locate(pool).map(|(arena, place)| (arena as u32, place))
    }

    /// The block that the last operation gave, else the one that it took; `None` where that lies in no pool.
    pub fn last(&self) -> Option<Addr> {
        let (slot, before) = *self.trail.back()?;
        let now = *self.of.get(slot as usize)?;
        let (block, pool, _) = self.place_of(if now == NONE { before } else { now })?;
        self.locate(pool).map(|_| block)
    }

    /// The operation that a live block was born by: the last of them, where the recording has several at one place.
    pub fn birth(&self, block: Addr) -> Option<u64> {
        let is_it = |birth: u32| self.place_of(birth).is_some_and(|(addr, ..)| addr == block);
        let last = self.trail.back().and_then(|(slot, _)| self.of.get(*slot as usize)).copied();
        if let Some(birth) = last.filter(|birth| is_it(*birth)) {
            return Some(u64::from(birth));
        }
        let (asked, birth) = self.asked.get();
        if asked == block && birth != NONE && self.claims(block) == 1 {
            let slot = self.trace.packed(birth as usize).slot;
            if self.of.get(slot.0 as usize) == Some(&birth) {
                return Some(u64::from(birth));
            }
        }
        let births = self.of.iter().copied().filter(|birth| *birth != NONE && is_it(*birth));
        let birth = births.max()?;
        self.asked.set((block, birth));
        Some(u64::from(birth))
    }

    /// How many live blocks the recording has at the place of one.
    fn claims(&self, block: Addr) -> u32 {
        let profile = self.layout.profile();
        let pool = Addr(block.0 & !(profile.pool_size - 1));
        let Some((arena, place)) = self.locate(pool) else { return 0 };
        let at = arena * self.layout.pools_of_arena() as usize + place as usize;
        let sheets = self.pools.get(at).map_or(&[][..], Vec::as_slice);
        let claims = |sheet: &Sheet| {
            let within = block.bytes_from(pool).checked_sub(profile.pool_overhead())?;
            let index = within / profile.block_size(sheet.class);
            sheet.claims.get(index as usize).map(|claims| u32::from(*claims))
        };
        sheets.iter().filter_map(claims).sum()
    }
}
