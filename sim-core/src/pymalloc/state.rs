//! `interp->obmalloc`: the state of one interpreter, taken out and put in.
//!
//! Memory is the process's; lists, records, radix tree and counters are an interpreter's own (since 3.12).

use std::mem::swap;

use super::{ArenaMap, ArenaObject, Pymalloc};
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::event::{Event, Observer};

/// The pymalloc state of an interpreter that does not run now.
#[derive(Clone, Debug)]
pub struct Parked<P> {
    used: Vec<Option<P>>,
    arenas: Vec<ArenaObject<P>>,
    unused_arena_objects: Option<u32>,
    usable_arenas: Option<u32>,
    nfp2lasta: Vec<Option<u32>>,
    arena_map: ArenaMap,
    narenas_currently_allocated: u64,
    ntimes_arena_allocated: u64,
    narenas_highwater: u64,
    raw_allocated_blocks: i64,
}

impl<A: ArenaBackend> Pymalloc<A> {
    /// The zeroed state that an isolated interpreter begins with.
    pub fn pristine_state(&self) -> Parked<A::Pool> {
        Parked {
            used: vec![None; self.used.len()],
            arenas: Vec::new(),
            unused_arena_objects: None,
            usable_arenas: None,
            nfp2lasta: vec![None; self.nfp2lasta.len()],
            arena_map: ArenaMap::new(&self.profile),
            narenas_currently_allocated: 0,
            ntimes_arena_allocated: 0,
            narenas_highwater: 0,
            raw_allocated_blocks: 0,
        }
    }

    /// Exchanges the state in force with a parked one. Memory stays.
    pub fn exchange(&mut self, parked: &mut Parked<A::Pool>) {
        swap(&mut self.used, &mut parked.used);
        swap(&mut self.arenas, &mut parked.arenas);
        swap(&mut self.unused_arena_objects, &mut parked.unused_arena_objects);
        swap(&mut self.usable_arenas, &mut parked.usable_arenas);
        swap(&mut self.nfp2lasta, &mut parked.nfp2lasta);
        swap(&mut self.arena_map, &mut parked.arena_map);
        swap(&mut self.narenas_currently_allocated, &mut parked.narenas_currently_allocated);
        swap(&mut self.ntimes_arena_allocated, &mut parked.ntimes_arena_allocated);
        swap(&mut self.narenas_highwater, &mut parked.narenas_highwater);
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
