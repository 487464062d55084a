//! The bottom of chains in runs with mimalloc: its tables, with what it writes going to memory.

use super::writes::Writes;
use super::{Called, Stack, segfault};
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::domains::Domain;
use crate::event::{Event, MiEvent, NullReason, Observer};
use crate::machine::fatal::Fatal;
use crate::machine::layers::Layers;
use crate::machine::mimalloc::MiRun;
use crate::mimalloc::ReallocDecision;

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    /// Runs mimalloc with its writes going to memory. Its tables are installed in runs that have it only.
    fn with_mimalloc<T: Default>(
        &mut self,
        run: impl FnOnce(&mut MiRun, &mut Writes<'_, O>) -> Called<T>,
    ) -> Called<T> {
        let Some(mimalloc) = self.mimalloc.as_deref_mut() else { return Ok(T::default()) };
        let Layers { bytes, wild, .. } = self.layers;
        let mut writes = Writes {
            bytes,
            wild,
            arena_size: 0,
            word_bytes: 8,
            met_wild: None,
            released: Vec::new(),
            aborted: false,
            observer: self.observer,
        };
        let result = run(mimalloc, &mut writes);
        match writes.met_wild {
            Some((block, link)) => Err(Fatal::WildFreeList { block, link }),
            None => result,
        }
    }

    pub(super) fn mimalloc_malloc(&mut self, domain: Domain, nbytes: u64, zero: bool) -> Called<Addr> {
        let (p, block_bytes) = self.with_mimalloc(|run, writes| {
            let heap = run.heap_for(domain, writes);
            let block = run.heap.malloc(heap, nbytes, writes);
            Ok(block.map_or((Addr(0), 0), |b| (run.heap.block_addr(b), run.heap.block_bytes(b))))
        })?;
        if p == Addr(0) {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
        } else if zero {
            self.fill(p, block_bytes, 0)?;
        }
        Ok(p)
    }

    pub(super) fn mimalloc_free(&mut self, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        self.with_mimalloc(|run, writes| {
            let block = run.heap.block_at(p);
            block
                .and_then(|b| run.heap.free(run.thread, b, writes))
                .map_err(|why| Fatal::Mimalloc { addr: p, why })
        })
    }

    pub(super) fn mimalloc_realloc(&mut self, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        if p == Addr(0) {
            self.observer.event(Event::ReallocOfNull);
            return self.mimalloc_malloc(domain, nbytes, false);
        }
        let decision = self.with_mimalloc(|run, _| {
            let block = run.heap.block_at(p).map_err(|why| Fatal::Mimalloc { addr: p, why })?;
            Ok(Some(run.heap.realloc_decision(block, nbytes)))
        })?;
        let (event, copied) = match decision {
            None => return Ok(Addr(0)),
            Some(ReallocDecision::InPlace { block_bytes }) => {
                (MiEvent::ReallocInPlace { block: p, block_bytes, nbytes }, None)
            }
            Some(ReallocDecision::Move { block_bytes, copied }) => {
                (MiEvent::ReallocMoves { block: p, block_bytes, nbytes, copied }, Some(copied))
            }
        };
        self.observer.event(Event::Mimalloc(event));
        let Some(copied) = copied else { return Ok(p) };
        let new = self.mimalloc_malloc(domain, nbytes, false)?;
        if new != Addr(0) {
            self.layers.bytes.copy(p, new, copied).map_err(|e| segfault(e, "copying"))?;
            self.mimalloc_free(p)?;
        }
        Ok(new)
    }

    /// Bytes at the start of an object's data that debug fills spare in a free-threaded build, so that its
    /// header stays valid for other threads: up to `ob_type`, and the pre-header in front (`debug_offset`
    /// without the hook's own header). `block` is the layer below's pointer of a block that is freed.
    pub(super) fn debug_spared(&self, domain: Domain, block: Option<Addr>) -> u64 {
        let Some(run) = self.mimalloc.as_deref() else { return 0 };
        if domain != Domain::Obj || !self.layers.allocators.build.free_threaded {
            return 0;
        }
        let tag = match block {
            None => run.object_heap.tag(),
            Some(q) => run.heap.page_around(q).map_or(1, |page| run.heap.page(page).tag),
        };
        if tag == 3 { 40 } else { 24 }
    }
}
