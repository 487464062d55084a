//! `interp->obmalloc`: the state of one interpreter, taken out and put in.
//!
//! Memory is the process's; lists, records, radix tree and counters are an interpreter's own (since 3.12).

use std::mem::swap;
use std::sync::Arc;

use super::{ArenaCounters, ArenaMap, ArenaObject, Pymalloc};
use crate::addr::{Addr, SizeClass};
use crate::arena::ArenaBackend;
use crate::event::{Event, Observer};

/// The pymalloc state of an interpreter that does not run now.
#[derive(Clone, Debug)]
pub struct Parked<P> {
    used: Vec<Option<P>>,
    arenas: Vec<ArenaObject<P>>,
    arenas_at: Addr,
    unused_arena_objects: Option<u32>,
    usable_arenas: Option<u32>,
    nfp2lasta: Vec<Option<u32>>,
    pub(super) arena_map: Arc<ArenaMap>,
    narenas_currently_allocated: u64,
    ntimes_arena_allocated: u64,
    narenas_highwater: u64,
    arenas_given: u64,
    raw_allocated_blocks: i64,
}

impl<P> Parked<P> {
    /// Bytes it takes, the radix tree among it although copies may share it.
    pub(crate) fn state_bytes(&self) -> u64 {
        self.arena_map.state_bytes()
            + (size_of::<Self>()
                + size_of_val(self.used.as_slice())
                + size_of_val(self.arenas.as_slice())
                + size_of_val(self.nfp2lasta.as_slice())) as u64
    }
}

impl<P> Parked<P> {
    /// Its arena records.
    pub(crate) fn arenas(&self) -> &[ArenaObject<P>] {
        &self.arenas
    }

    /// Its counters.
    pub(crate) fn counters(&self) -> ArenaCounters {
        ArenaCounters {
            narenas_currently_allocated: self.narenas_currently_allocated,
            ntimes_arena_allocated: self.ntimes_arena_allocated,
            narenas_highwater: self.narenas_highwater,
        }
    }
}

impl<P: Copy> Parked<P> {
    /// The front pool of a class.
    pub(super) fn front_mut(&mut self, class: SizeClass) -> Option<&mut Option<P>> {
        self.used.get_mut(usize::from(class.0))
    }
}

impl<A: ArenaBackend> Pymalloc<A> {
    /// The zeroed state that an isolated interpreter begins with.
    pub fn pristine_state(&self) -> Parked<A::Pool> {
        Parked {
            used: vec![None; self.used.len()],
            arenas: Vec::new(),
            arenas_at: Addr(0),
            unused_arena_objects: None,
            usable_arenas: None,
            nfp2lasta: vec![None; self.nfp2lasta.len()],
            arena_map: Arc::new(ArenaMap::new(&self.profile)),
            narenas_currently_allocated: 0,
            ntimes_arena_allocated: 0,
            narenas_highwater: 0,
            arenas_given: 0,
            raw_allocated_blocks: 0,
        }
    }

    /// A copy of the state in force.
    pub(super) fn copy_state(&self) -> Parked<A::Pool> {
        Parked {
            used: self.used.clone(),
            arenas: self.arenas.clone(),
            arenas_at: self.arenas_at,
            unused_arena_objects: self.unused_arena_objects,
            usable_arenas: self.usable_arenas,
            nfp2lasta: self.nfp2lasta.clone(),
            arena_map: Arc::clone(&self.arena_map),
            narenas_currently_allocated: self.narenas_currently_allocated,
            ntimes_arena_allocated: self.ntimes_arena_allocated,
            narenas_highwater: self.narenas_highwater,
            arenas_given: self.arenas_given,
            raw_allocated_blocks: self.raw_allocated_blocks,
        }
    }

    /// Exchanges the state in force with a parked one. Memory stays.
    pub fn exchange(&mut self, parked: &mut Parked<A::Pool>) {
        swap(&mut self.used, &mut parked.used);
        swap(&mut self.arenas, &mut parked.arenas);
        swap(&mut self.arenas_at, &mut parked.arenas_at);
        swap(&mut self.unused_arena_objects, &mut parked.unused_arena_objects);
        swap(&mut self.usable_arenas, &mut parked.usable_arenas);
        swap(&mut self.nfp2lasta, &mut parked.nfp2lasta);
        swap(&mut self.arena_map, &mut parked.arena_map);
        swap(&mut self.narenas_currently_allocated, &mut parked.narenas_currently_allocated);
        swap(&mut self.ntimes_arena_allocated, &mut parked.ntimes_arena_allocated);
        swap(&mut self.narenas_highwater, &mut parked.narenas_highwater);
        swap(&mut self.arenas_given, &mut parked.arenas_given);
        swap(&mut self.raw_allocated_blocks, &mut parked.raw_allocated_blocks);
    }

    /// `_PyInterpreterState_GetAllocatedBlocks`: blocks of pools, and those passed on to RAW.
    pub fn allocated_blocks(&self) -> i64 {
        let pools = self.live_arenas().flat_map(|index| self.carved_pools(index));
        let used: i64 = pools.map(|pool| i64::from(self.header(pool).ref_count)).sum();
        used + self.raw_allocated_blocks
    }

    /// Whether `alloc(nbytes)` would begin with `new_arena`.
    pub fn needs_arena(&self, nbytes: u64) -> bool {
        self.usable_arenas.is_none()
            && self.size_class(nbytes).is_some_and(|class| self.used[usize::from(class.0)].is_none())
    }

    /// `free_obmalloc_arenas`: the hook is given the address of every record, NULL included. The state is
    /// not to be used afterwards.
    pub fn free_arenas<O: Observer>(&mut self, observer: &mut O) {
        for index in 0..self.arenas.len() as u32 {
            let id = self.arena_id(index);
            let base = self.arena_mut(index).address.take();
            self.memory.release_to_hook(base.unwrap_or(Addr(0)), observer);
            if let Some(base) = base {
                observer.event(Event::ArenaReleased { arena: id, base });
            }
        }
    }
}
