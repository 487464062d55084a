//! tracemalloc's hooks. They record what the outermost call asked for, in tracemalloc's domain 0.

use super::{Called, Stack};
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::domains::Domain;
use crate::event::Observer;
use crate::machine::fatal::Fatal;
use crate::tracemalloc;

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    pub(super) fn traced_alloc(&mut self, domain: Domain, nbytes: u64, zero: bool) -> Called<Addr> {
        let outer = !std::mem::replace(&mut self.layers.reentrant, true);
        let below = self.layers.saved[domain as usize];
        let result = if zero {
            self.table_calloc(below, domain, nbytes)
        } else {
            self.table_malloc(below, domain, nbytes)
        };
        self.layers.reentrant = !outer;
        let p = result?;
        if outer && p != Addr(0) && self.record(p, nbytes).is_err() {
            self.table_free(below, domain, p)?;
            return Ok(Addr(0));
        }
        Ok(p)
    }

    fn record(&mut self, p: Addr, nbytes: u64) -> Result<(), tracemalloc::OutOfMemory> {
        let traceback = self.layers.traceback();
        self.layers.tracemalloc.add(0, p, nbytes, traceback)
    }

    pub(super) fn traced_realloc(&mut self, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        let outer = !std::mem::replace(&mut self.layers.reentrant, true);
        let below = self.layers.saved[domain as usize];
        let result = self.table_realloc(below, domain, p, nbytes);
        self.layers.reentrant = !outer;
        let q = result?;
        // A realloc that failed keeps the old block's trace.
        if outer && q != Addr(0) {
            if p != Addr(0) && q != p {
                self.layers.tracemalloc.remove(0, p);
            }
            if self.record(q, nbytes).is_err() {
                if p != Addr(0) {
                    return Err(Fatal::TraceLost {
                        function: self.layers.fatal_function("tracemalloc_realloc"),
                    });
                }
                self.table_free(below, domain, q)?;
                return Ok(Addr(0));
            }
        }
        Ok(q)
    }

    /// First the memory, then the trace; the flag is looked at but not set.
    pub(super) fn traced_free(&mut self, domain: Domain, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        self.table_free(self.layers.saved[domain as usize], domain, p)?;
        if !self.layers.reentrant {
            self.layers.tracemalloc.remove(0, p);
        }
        Ok(())
    }
}
