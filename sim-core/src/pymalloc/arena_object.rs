//! Arena records, `new_arena` and the list of usable arenas.

use std::sync::Arc;

use super::Pymalloc;
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::event::{Event, Observer};
use crate::profile::Profile;

/// `struct arena_object`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaObject<P> {
    /// What the arena allocator returned; `None` (0 in `CPython`) for a record without an arena.
    pub address: Option<Addr>,
    /// The next pool never carved.
    pub pool_address: Addr,
    /// Pools free to be used: emptied ones and those never carved.
    pub nfreepools: u32,
    /// All pools of the arena; one less than the maximum when it is misaligned.
    pub ntotalpools: u32,
    /// Emptied pools, the last emptied first.
    pub freepools: Option<P>,
    /// Next in `usable_arenas` or `unused_arena_objects`.
    pub nextarena: Option<u32>,
    /// Previous in `usable_arenas`.
    pub prevarena: Option<u32>,
    /// Arenas obtained before this one. Not in `CPython`: it names an arena for good.
    pub ordinal: u64,
}

/// How `arenas` is to grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    /// Records now.
    pub(crate) from: u32,
    /// Records then; no more than now where the number cannot be doubled.
    pub(crate) to: u32,
    /// Bytes that all of them take.
    pub(crate) bytes: u64,
}

impl<P> ArenaObject<P> {
    /// Whether an address lies in its arena, if it has one.
    pub fn holds(&self, addr: Addr, profile: &Profile) -> bool {
        self.address.is_some_and(|base| addr.bytes_from(base) < profile.arena_size)
    }

    /// Where the pools carved from it begin, by address.
    pub fn carved_pools(&self, profile: &Profile) -> impl Iterator<Item = Addr> + use<P> {
        let first = self.address.map_or(Addr(0), |base| profile.first_pool_addr(base));
        let end = self.address.map_or(Addr(0), |_| self.pool_address);
        let pool_size = profile.pool_size;
        (0..end.bytes_from(first) / pool_size).map(move |i| first.offset(i * pool_size))
    }
}

impl<A: ArenaBackend> Pymalloc<A> {
    /// `new_arena`: the record index of a fresh arena that is on no list yet.
    fn new_arena<O: Observer>(&mut self, observer: &mut O) -> Option<u32> {
        if let Some(growth) = self.wanted_arena_objects() {
            let got = growth.to > growth.from && self.memory.bookkeeping(growth.bytes);
            if !self.grow_arena_objects(growth, got, observer) {
                return None;
            }
        }
        let base = self.obtain(observer)?;
        if !self.mark_with(base, None, observer) {
            return None;
        }
        self.adopt_arena(base, observer)
    }

    /// `new_arena`, and the arena put on the empty list; false when there is none.
    pub(crate) fn make_arena<O: Observer>(&mut self, observer: &mut O) -> bool {
        let Some(new) = self.new_arena(observer) else { return false };
        self.link_only_arena(new, observer);
        true
    }

    /// What the arena allocator gives.
    pub(crate) fn obtain<O: Observer>(&mut self, observer: &mut O) -> Option<Addr> {
        let base = self.memory.obtain_from_hook(observer);
        if base.is_none() {
            observer.event(Event::ArenaRefused);
        }
        base
    }

    /// Gives an arena that was obtained and marked a record.
    pub(crate) fn adopt_arena<O: Observer>(&mut self, base: Addr, observer: &mut O) -> Option<u32> {
        let index = self.unused_arena_objects?;
        self.unused_arena_objects = self.arenas[index as usize].nextarena;
        let ordinal = self.arenas_given;
        self.arenas_given += 1;
        self.narenas_currently_allocated += 1;
        self.ntimes_arena_allocated += 1;
        self.narenas_highwater = self.narenas_highwater.max(self.narenas_currently_allocated);

        let first_pool = self.first_pool_addr(base);
        let lost = u32::from(first_pool != base);
        let pools = self.profile.max_pools_in_arena() - lost;
        *self.arena_mut(index) = ArenaObject {
            address: Some(base),
            pool_address: first_pool,
            nfreepools: pools,
            ntotalpools: pools,
            freepools: None,
            nextarena: None,
            prevarena: None,
            ordinal,
        };
        let arena = self.arena_id(index);
        observer.event(Event::ArenaObtained { arena, base, pools, misaligned: lost == 1 });
        Some(index)
    }

    /// Goes on counting from what was counted before a trace began.
    pub(crate) fn begin_counters(&mut self, allocated: u64, highwater: u64) {
        let live = self.narenas_currently_allocated;
        self.narenas_highwater = highwater.max(live);
        self.ntimes_arena_allocated = allocated.max(self.narenas_highwater);
    }

    /// How `arenas` is to grow before the next arena, if no record is unused.
    pub(crate) fn wanted_arena_objects(&self) -> Option<Growth> {
        if self.unused_arena_objects.is_some() {
            return None;
        }
        let from = self.arenas.len() as u32;
        let to = if from == 0 { self.profile.initial_arena_objects } else { from.saturating_mul(2) };
        Some(Growth { from, to, bytes: u64::from(to) * self.profile.arena_object_bytes() })
    }

    /// Where `arenas` lies, where its memory came through RAW's table; else 0.
    pub(crate) fn arenas_at(&mut self) -> &mut Addr {
        &mut self.arenas_at
    }

    /// Doubles `arenas` and pushes the new records, lowest index on top, if RAW gave the memory.
    pub(crate) fn grow_arena_objects<O: Observer>(
        &mut self,
        growth: Growth,
        got: bool,
        observer: &mut O,
    ) -> bool {
        let Growth { from, to, bytes } = growth;
        observer.event(Event::ArenaObjectsGrown { from, to, bytes, got });
        if !got {
            return false;
        }
        for index in from..to {
            self.arenas.push(ArenaObject {
                address: None,
                pool_address: Addr(0),
                nfreepools: 0,
                ntotalpools: 0,
                freepools: None,
                nextarena: (index + 1 < to).then_some(index + 1),
                prevarena: None,
                ordinal: 0,
            });
        }
        self.unused_arena_objects = Some(from);
        true
    }

    /// Marks a new arena in the radix tree; one that cannot be marked goes back. `answers` says of each node that is to be
    /// made whether RAW gave the memory; without, the memory below is asked.
    pub(crate) fn mark_with<O: Observer>(
        &mut self,
        base: Addr,
        answers: Option<&[bool]>,
        observer: &mut O,
    ) -> bool {
        if self.mark(base, true, answers, observer) {
            return true;
        }
        observer.event(Event::ArenaNotMarked { ordinal: self.arenas_given, base });
        self.arenas_given += 1;
        self.memory.release_to_hook(base, observer);
        observer.event(Event::ArenaRefused);
        false
    }

    fn mark<O: Observer>(
        &mut self,
        base: Addr,
        used: bool,
        answers: Option<&[bool]>,
        observer: &mut O,
    ) -> bool {
        let memory = &mut self.memory;
        let mut answers = answers.map(|a| a.iter());
        Arc::make_mut(&mut self.arena_map).mark_used(base, used, &mut |node, bytes| {
            let got = match &mut answers {
                Some(answers) => answers.next().copied().unwrap_or(false),
                None => memory.bookkeeping(bytes),
            };
            observer.event(Event::RadixNodeCreated { node, bytes, got });
            got
        })
    }

    /// Puts a new arena on the empty `usable_arenas` list.
    pub(crate) fn link_only_arena<O: Observer>(&mut self, index: u32, observer: &mut O) {
        self.usable_arenas = Some(index);
        let arena = self.arena_mut(index);
        arena.nextarena = None;
        arena.prevarena = None;
        let nfreepools = arena.nfreepools;
        observer.event(Event::ArenaLinked { arena: self.arena_id(index) });
        self.set_nfp2lasta(nfreepools, Some(index), observer);
    }

    /// Takes the head off `usable_arenas` once its last pool is in use.
    pub(super) fn unlink_head_arena<O: Observer>(&mut self, index: u32, observer: &mut O) {
        let next = self.arenas[index as usize].nextarena;
        self.usable_arenas = next;
        if let Some(next) = next {
            self.arena_mut(next).prevarena = None;
        }
        observer.event(Event::ArenaFull { arena: self.arena_id(index) });
    }

    pub(super) fn set_nfp2lasta<O: Observer>(
        &mut self,
        nfreepools: u32,
        last: Option<u32>,
        observer: &mut O,
    ) {
        let entry = &mut self.nfp2lasta[nfreepools as usize];
        if *entry != last {
            *entry = last;
            observer.event(Event::Nfp2lastaSet { nfreepools, arena: last.map(|a| self.arena_id(a)) });
        }
    }

    /// The second half of `insert_to_freepool`: an arena's count of free pools grew by one.
    pub(crate) fn arena_gained_pool<O: Observer>(&mut self, index: u32, observer: &mut O) {
        let before = self.arenas[index as usize].nfreepools;
        let last = self.nfp2lasta[before as usize];
        if last == Some(index) {
            // The left neighbour becomes the rightmost with this count, if it has it.
            let left = self.arenas[index as usize].prevarena;
            let left = left.filter(|&p| self.arenas[p as usize].nfreepools == before);
            self.set_nfp2lasta(before, left, observer);
        }
        let now = before + 1;
        let arena = self.arena_mut(index);
        arena.nfreepools = now;
        let (total, next) = (arena.ntotalpools, arena.nextarena);

        if now == total {
            // CPython keeps a wholly free arena that is last, so that a program that frees and
            // allocates at the border does not ask the system each time (since 3.9).
            if next.is_some() || !self.profile.keep_last_arena {
                self.release_arena(index, observer);
                return;
            }
            observer.event(Event::ArenaKept { arena: self.arena_id(index) });
        }
        if now == 1 {
            self.arenas[index as usize].prevarena = None;
            self.arenas[index as usize].nextarena = self.usable_arenas;
            if let Some(head) = self.usable_arenas {
                self.arena_mut(head).prevarena = Some(index);
            }
            self.usable_arenas = Some(index);
            observer.event(Event::ArenaLinked { arena: self.arena_id(index) });
            if self.nfp2lasta[1].is_none() {
                self.set_nfp2lasta(1, Some(index), observer);
            }
            return;
        }
        if self.nfp2lasta[now as usize].is_none() {
            self.set_nfp2lasta(now, Some(index), observer);
        }
        if let Some(last) = last.filter(|&l| l != index) {
            self.slide_after(index, last, observer);
        }
    }

    /// Moves an arena to just right of `last`, the rightmost with the count it had.
    fn slide_after<O: Observer>(&mut self, index: u32, last: u32, observer: &mut O) {
        self.detach(index);
        let after = self.arenas[last as usize].nextarena;
        let arena = self.arena_mut(index);
        arena.prevarena = Some(last);
        arena.nextarena = after;
        self.arena_mut(last).nextarena = Some(index);
        if let Some(after) = after {
            self.arena_mut(after).prevarena = Some(index);
        }
        observer.event(Event::ArenaRelinked { arena: self.arena_id(index), after: self.arena_id(last) });
    }

    fn detach(&mut self, index: u32) {
        let ArenaObject { prevarena, nextarena, .. } = self.arenas[index as usize];
        match prevarena {
            Some(prev) => self.arena_mut(prev).nextarena = nextarena,
            None => self.usable_arenas = nextarena,
        }
        if let Some(next) = nextarena {
            self.arena_mut(next).prevarena = prevarena;
        }
    }

    fn release_arena<O: Observer>(&mut self, index: u32, observer: &mut O) {
        // Without the keep-last rule the arena may be the rightmost with its old count, so no
        // nfp2lasta entry can still name it: the caller has moved that entry already.
        self.detach(index);
        let id = self.arena_id(index);
        let unused = self.unused_arena_objects.replace(index);
        let arena = self.arena_mut(index);
        arena.nextarena = unused;
        let base = arena.address.take();
        // It wraps around when a broken heap gives back a record without an arena.
        self.narenas_currently_allocated = self.narenas_currently_allocated.wrapping_sub(1);
        if let Some(base) = base {
            self.mark(base, false, None, observer);
            self.memory.release_to_hook(base, observer);
            observer.event(Event::ArenaReleased { arena: id, base });
        }
    }
}
