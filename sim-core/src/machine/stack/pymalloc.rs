//! The bottom of most chains: pymalloc's table, with what it writes going to memory.

use super::writes::Writes;
use super::{Called, Stack, segfault};
use crate::addr::{Addr, Slot};
use crate::arena::ArenaBackend;
use crate::domains::Domain;
use crate::event::{Event, Observer};
use crate::machine::LibcAbort;
use crate::machine::fatal::Fatal;
use crate::machine::layers::Layers;
use crate::occupancy::debugmallocstats;
use crate::pymalloc::{Growth, Pymalloc, Realloc};

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    /// Runs pymalloc with its writes going to memory.
    pub(super) fn with_pymalloc<T>(
        &mut self,
        run: impl FnOnce(&mut Pymalloc<A>, &mut Writes<'_, O>) -> T,
    ) -> Called<T> {
        let Layers { bytes, wild, .. } = self.layers;
        let mut writes = Writes {
            bytes,
            wild,
            arena_size: self.pymalloc.profile().arena_size,
            word_bytes: self.pymalloc.profile().pointer_bytes,
            met_wild: None,
            released: Vec::new(),
            aborted: false,
            observer: self.observer,
        };
        let result = run(self.pymalloc, &mut writes);
        let Writes { released, aborted, .. } = writes;
        for base in released {
            self.unmap(base);
        }
        if aborted { Err(Fatal::Libc(LibcAbort::FreeInvalidPointer)) } else { Ok(result) }
    }

    /// Forgets the contents of memory that a hook took back, unless it is still there.
    fn unmap(&mut self, base: Addr) {
        let hooks = self.pymalloc.memory().hooks();
        if !hooks.is_some_and(|h| h.is_mapped(base)) {
            self.layers.bytes.unmap(base);
        }
    }

    /// `free_obmalloc_arenas`, when an interpreter ends that left no block.
    pub(in crate::machine) fn free_arenas(&mut self) -> Called<()> {
        self.with_pymalloc(|pymalloc, writes| pymalloc.free_arenas(writes))
    }

    /// `_PyObject_VirtualFree` of the chunk in a slot.
    pub(in crate::machine) fn virtual_free(&mut self, slot: Slot) -> Called<()> {
        let at = std::mem::take(&mut self.layers.pointers[slot.0 as usize]);
        self.layers.touched = at;
        if self.with_pymalloc(|pymalloc, writes| pymalloc.memory_mut().virtual_free(at, writes))? {
            self.unmap(at);
        }
        Ok(())
    }

    /// `new_arena` prints the statistics before anything changes, where `PYTHONMALLOCSTATS` is set.
    fn print_malloc_stats(&mut self, nbytes: u64) {
        let Layers { malloc_stats: Some(stats), allocators, .. } = &mut *self.layers else { return };
        if self.pymalloc.needs_arena(nbytes) && allocators.pymalloc_enabled() {
            stats.text.push_str(&debugmallocstats(self.pymalloc));
            stats.printed += 1;
            self.observer.event(Event::MallocStatsPrinted { number: stats.printed - 1 });
        }
    }

    pub(super) fn small_alloc(&mut self, nbytes: u64) -> Called<Option<Addr>> {
        self.print_malloc_stats(nbytes);
        if self.is_broken() {
            return self.broken_alloc(nbytes);
        }
        if self.pymalloc.needs_arena(nbytes) && self.layers.raw_is_watched() {
            return self.alloc_in_new_arena(nbytes);
        }
        let block = self.with_pymalloc(|pymalloc, writes| pymalloc.alloc(nbytes, writes))?;
        Ok(block.map(|b| self.pymalloc.memory().block_addr(b)))
    }

    /// `new_arena` where RAW's table sees what pymalloc takes for itself, through the public functions: records by
    /// `PyMem_RawRealloc`, nodes of the radix tree by `PyMem_RawCalloc`.
    fn alloc_in_new_arena(&mut self, nbytes: u64) -> Called<Option<Addr>> {
        let Some(class) = self.pymalloc.size_class(nbytes) else { return Ok(None) };
        self.observer.event(Event::SizeClassChosen { nbytes, class });
        if !self.new_arena()? {
            return Ok(None);
        }
        let block = self.with_pymalloc(|pymalloc, writes| pymalloc.alloc_of(class, writes))?;
        Ok(block.map(|b| self.pymalloc.memory().block_addr(b)))
    }

    /// `new_arena`, and the arena put on the empty list; false when there is none.
    pub(super) fn new_arena(&mut self) -> Called<bool> {
        if !self.layers.raw_is_watched() {
            return self.with_pymalloc(|pymalloc, writes| pymalloc.make_arena(writes));
        }
        if let Some(growth) = self.pymalloc.wanted_arena_objects() {
            let got = growth.to > growth.from && self.grow_arenas(growth)?;
            if !self.with_pymalloc(|pymalloc, writes| pymalloc.grow_arena_objects(growth, got, writes))? {
                return Ok(false);
            }
        }
        let Some(base) = self.with_pymalloc(|pymalloc, writes| pymalloc.obtain(writes))? else {
            return Ok(false);
        };
        let mut answers = Vec::new();
        for bytes in self.pymalloc.arena_map().missing_nodes(base) {
            let got =
                self.pymalloc.memory_mut().bookkeeping(bytes) && self.calloc(Domain::Raw, bytes)? != Addr(0);
            answers.push(got);
            if !got {
                break;
            }
        }
        self.with_pymalloc(|pymalloc, writes| {
            if !pymalloc.mark_with(base, Some(&answers), writes) {
                return false;
            }
            let Some(index) = pymalloc.adopt_arena(base, writes) else { return false };
            pymalloc.link_only_arena(index, writes);
            true
        })
    }

    /// Takes memory for more arena records.
    fn grow_arenas(&mut self, growth: Growth) -> Called<bool> {
        if !self.pymalloc.memory_mut().bookkeeping(growth.bytes) {
            return Ok(false);
        }
        if growth.from > 0 && *self.pymalloc.arenas_at() == Addr(0) {
            // Nobody looked when the first records were taken; now it matters which table they came from.
            let bytes = growth.bytes / u64::from(growth.to) * u64::from(growth.from);
            let at = self.table_malloc(self.layers.raw_before_users(), Domain::Raw, bytes)?;
            *self.pymalloc.arenas_at() = at;
        }
        let old = *self.pymalloc.arenas_at();
        let new = self.realloc(Domain::Raw, old, growth.bytes)?;
        if new != Addr(0) {
            *self.pymalloc.arenas_at() = new;
        }
        Ok(new != Addr(0))
    }

    pub(super) fn count_raw(&mut self, p: Addr) {
        if p != Addr(0) {
            self.pymalloc.raw_allocated_blocks += 1;
            self.observer.event(Event::RawBlocksCounted { now: self.pymalloc.raw_allocated_blocks });
        }
    }

    pub(super) fn pymalloc_malloc(&mut self, nbytes: u64) -> Called<Addr> {
        if let Some(p) = self.small_alloc(nbytes)? {
            return Ok(p);
        }
        // The public function: hooks on RAW see the fallback.
        let p = self.malloc(Domain::Raw, nbytes)?;
        self.count_raw(p);
        Ok(p)
    }

    /// `address_in_range`, reported.
    fn owned(&mut self, p: Addr) -> Called<bool> {
        let owned = if self.is_broken() { self.broken_owns(p)? } else { self.pymalloc.address_in_range(p) };
        self.observer.event(Event::AddressInRange { addr: p, owned });
        Ok(owned)
    }

    pub(super) fn pymalloc_free(&mut self, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        if !self.owned(p)? {
            self.free(Domain::Raw, p)?;
            self.pymalloc.raw_allocated_blocks -= 1;
            self.observer.event(Event::RawBlocksCounted { now: self.pymalloc.raw_allocated_blocks });
            return Ok(());
        }
        if self.is_broken() {
            return self.broken_free(p);
        }
        let block = self.pymalloc.block_at(p);
        self.with_pymalloc(|pymalloc, writes| pymalloc.free(block, writes))
    }

    pub(super) fn pymalloc_realloc(&mut self, p: Addr, nbytes: u64) -> Called<Addr> {
        if p == Addr(0) {
            self.observer.event(Event::ReallocOfNull);
            return self.pymalloc_malloc(nbytes);
        }
        if !self.owned(p)? {
            return self.realloc(Domain::Raw, p, nbytes);
        }
        let decision = if self.is_broken() {
            Realloc::of(self.broken_block_size(p)?, nbytes)
        } else {
            self.pymalloc.realloc_decision(self.pymalloc.block_at(p), nbytes)
        };
        match decision {
            Realloc::InPlace { block_size } => {
                self.observer.event(Event::ReallocInPlace { block: p, block_size, nbytes });
                Ok(p)
            }
            Realloc::Move { block_size, copied } => {
                self.observer.event(Event::ReallocMoves { block: p, block_size, nbytes, copied });
                let new = self.pymalloc_malloc(nbytes)?;
                if new != Addr(0) {
                    self.layers.bytes.copy(p, new, copied).map_err(|e| segfault(e, "copying"))?;
                    self.pymalloc_free(p)?;
                }
                Ok(new)
            }
        }
    }
}
