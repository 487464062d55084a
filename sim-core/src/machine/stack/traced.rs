//! tracemalloc's hooks. They record what the outermost call asked for, in tracemalloc's domain 0.

use super::{Called, Stack};
use crate::addr::{Addr, Slot};
use crate::arena::ArenaBackend;
use crate::domains::Domain;
use crate::event::Observer;
use crate::machine::fatal::Fatal;
use crate::machine::layers::TraceRecords;
use crate::profile::TracemallocVersion;
use crate::tracemalloc::{Failure, OutOfMemory};

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
        if outer && p != Addr(0) && self.record(0, p, nbytes)?.is_err() {
            self.table_free(below, domain, p)?;
            return Ok(Addr(0));
        }
        Ok(p)
    }

    /// `tracemalloc_add_trace`. What it keeps comes from the table that RAW had when tracing began: a new traceback, and
    /// since 3.9 a record for each trace.
    fn record(&mut self, domain: u32, p: Addr, nbytes: u64) -> Called<Result<(), OutOfMemory>> {
        let traceback = self.layers.traceback();
        let raw = self.layers.saved[Domain::Raw as usize];
        if self.layers.records.is_some() {
            let word = u64::from(self.layers.layout.word_bytes);
            let tracemalloc = &self.layers.tracemalloc;
            if tracemalloc.is_new(traceback) {
                // A hash, two numbers of frames in 8 bytes with their padding or in 4, and for each frame a pointer and a line.
                let frames = tracemalloc.interner().get(traceback).frames().len() as u64;
                let head = if word == 8 { 12 } else { 8 };
                let at = self.table_malloc(raw, Domain::Raw, head + (word + 4) * frames)?;
                match &mut self.layers.records {
                    Some(records) if at != Addr(0) => records.tracebacks.push(at),
                    _ => self.layers.tracemalloc.fail_next(Failure::Traceback),
                }
                if at == Addr(0) {
                    return Ok(self.layers.tracemalloc.add(domain, p, nbytes, traceback));
                }
            }
            let known = self.layers.tracemalloc.get_traceback(domain, p).is_some();
            if !known && self.layers.allocators.build.tracemalloc != TracemallocVersion::V3_8 {
                let at = self.table_malloc(raw, Domain::Raw, 2 * word)?;
                match &mut self.layers.records {
                    Some(records) if at != Addr(0) => {
                        records.traces.insert((domain, p), at);
                    }
                    _ => self.layers.tracemalloc.fail_next(Failure::Trace),
                }
            }
        }
        Ok(self.layers.tracemalloc.add(domain, p, nbytes, traceback))
    }

    /// `tracemalloc_remove_trace`.
    fn forget(&mut self, domain: u32, p: Addr) -> Called<()> {
        self.layers.tracemalloc.remove(domain, p);
        let record = self.layers.records.as_mut().and_then(|records| records.traces.remove(&(domain, p)));
        self.give_back(record)
    }

    fn give_back(&mut self, records: impl IntoIterator<Item = Addr>) -> Called<()> {
        for record in records {
            self.table_free(self.layers.saved[Domain::Raw as usize], Domain::Raw, record)?;
        }
        Ok(())
    }

    /// `tracemalloc.clear_traces()`.
    pub(in crate::machine) fn clear_traces(&mut self) -> Called<()> {
        if let Some(records) = &mut self.layers.records {
            let TraceRecords { mut traces, tracebacks } = std::mem::take(records);
            let known: Vec<_> =
                self.layers.tracemalloc.known().filter_map(|key| traces.remove(&key)).collect();
            self.give_back(known)?;
            self.give_back(tracebacks)?;
        }
        self.layers.tracemalloc.clear_traces();
        Ok(())
    }

    /// `tracemalloc.stop`: the tables found at the start come back, whatever was installed since.
    pub(in crate::machine) fn stop_tracemalloc(&mut self) -> Called<()> {
        if !self.layers.tracemalloc.is_tracing() {
            return Ok(());
        }
        for domain in Domain::ALL {
            let saved = self.layers.saved[domain as usize];
            self.layers.allocators.set(domain, saved);
        }
        self.clear_traces()?;
        self.layers.tracemalloc.stop();
        Ok(())
    }

    /// `PyTraceMalloc_Track`.
    pub(in crate::machine) fn track(&mut self, domain: u32, slot: Slot, size: u64) -> Called<()> {
        let p = self.layers.pointers[slot.0 as usize];
        self.layers.touched = p;
        if self.layers.tracemalloc.is_tracing() {
            // Without memory it returns -1, and that is all.
            let _ = self.record(domain, p, size)?;
        }
        Ok(())
    }

    /// `PyTraceMalloc_Untrack`.
    pub(in crate::machine) fn untrack(&mut self, domain: u32, slot: Slot) -> Called<()> {
        let p = self.layers.pointers[slot.0 as usize];
        self.layers.touched = p;
        self.forget(domain, p)
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
                self.forget(0, p)?;
            }
            if self.record(0, q, nbytes)?.is_err() {
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
            self.forget(0, p)?;
        }
        Ok(())
    }
}
