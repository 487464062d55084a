//! The debug hooks' functions. `domain` is the record's; the table below is what that record remembers.

use super::{Called, Stack, segfault};
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::bytes::{Bytes, Unmapped};
use crate::debug_hooks::{self, DEADBYTE, ERASED_SIZE};
use crate::domains::{AllocatorTable, Domain, Functions};
use crate::event::{Function, Observer};
use crate::machine::fatal::Fatal;
use crate::machine::layers::Layers;

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    fn thread_check(&self, table: AllocatorTable, function: Function) -> Called<()> {
        if table.functions == Functions::Debug && !self.layers.is_attached() {
            return Err(Fatal::NoThreadState {
                function: self.layers.fatal_function(table.function_names()[function as usize]),
                free_threaded: self.layers.allocators.build.free_threaded,
            });
        }
        Ok(())
    }

    pub(super) fn debug_malloc(
        &mut self,
        table: AllocatorTable,
        domain: Domain,
        nbytes: u64,
        zero: bool,
    ) -> Called<Addr> {
        self.thread_check(table, if zero { Function::Calloc } else { Function::Malloc })?;
        let layout = self.layers.layout;
        if nbytes > self.py_ssize_t_max - layout.extra() {
            return Ok(Addr(0));
        }
        let below = self.layers.allocators.debug[domain as usize];
        let wanted = nbytes + layout.extra();
        let q = if zero {
            self.table_calloc(below, domain, wanted)?
        } else {
            self.table_malloc(below, domain, wanted)?
        };
        if q == Addr(0) {
            return Ok(q);
        }
        let p = q.offset(layout.front());
        let spared = self.debug_spared(domain, None);
        let bytes = &mut self.layers.bytes;
        layout
            .decorate(bytes, p, nbytes, domain)
            .and_then(|()| {
                let fresh = if zero { 0 } else { nbytes.saturating_sub(spared) };
                layout.clean(bytes, p.offset(spared), fresh)
            })
            .map_err(|e| segfault(e, "decorating a block"))?;
        Ok(p)
    }

    /// The size in front of a block, by which it is going to be overwritten; it may have been overwritten itself.
    fn before_erasing(&mut self, p: Addr) -> Called<u64> {
        let layout = self.layers.layout;
        let size = layout.stored_size(&self.layers.bytes, p).map_err(|e| segfault(e, "reading a size"))?;
        let (q, len) = (layout.inner(p), size.saturating_add(layout.extra()));
        self.before_write(p, q, len);
        self.wrote(q, len);
        Ok(size)
    }

    fn debug_check(&mut self, domain: Domain, p: Addr, function: &'static str) -> Called<()> {
        self.before_read(p);
        let Layers { layout, bytes, .. } = &*self.layers;
        let damage = debug_hooks::check(*layout, bytes, p, domain);
        match damage {
            Ok(None) => Ok(()),
            Err(e) => Err(segfault(e, "checking a block")),
            Ok(Some(damage)) => {
                let (mut dump, fault) = debug_hooks::dump(*layout, bytes, p);
                if let Some(e) = fault {
                    return Err(Fatal::Segfault {
                        addr: e.0,
                        doing: "reading a damaged block's tail",
                        printed: dump,
                    });
                }
                self.layers.write_traceback(&mut dump, p);
                let function = self.layers.fatal_function(function);
                Err(Fatal::Debug { function, damage, block: p, dump })
            }
        }
    }

    pub(super) fn debug_free(&mut self, table: AllocatorTable, domain: Domain, p: Addr) -> Called<()> {
        self.thread_check(table, Function::Free)?;
        if p == Addr(0) {
            return Ok(());
        }
        self.debug_check(domain, p, "_PyMem_DebugRawFree")?;
        let nbytes = self.before_erasing(p)?;
        let layout = self.layers.layout;
        let q = layout.inner(p);
        let spared = self.debug_spared(domain, Some(q));
        let bytes = &mut self.layers.bytes;
        let behind = nbytes + layout.extra() - layout.front();
        layout
            .kill(bytes, q, layout.front())
            .and_then(|()| layout.kill(bytes, p.offset(spared), behind.saturating_sub(spared)))
            .map_err(|e| segfault(e, "killing a block"))?;
        self.table_free(self.layers.allocators.debug[domain as usize], domain, q)
    }

    pub(super) fn debug_realloc(
        &mut self,
        table: AllocatorTable,
        domain: Domain,
        p: Addr,
        nbytes: u64,
    ) -> Called<Addr> {
        self.thread_check(table, Function::Realloc)?;
        if p == Addr(0) {
            return self.debug_malloc(table, domain, nbytes, false);
        }
        self.debug_check(domain, p, "_PyMem_DebugRawRealloc")?;
        let old = self.before_erasing(p)?;
        let layout = self.layers.layout;
        if nbytes > self.py_ssize_t_max - layout.extra() {
            return Ok(Addr(0));
        }
        let fault = |e| segfault(e, "reallocating a block");
        // A free-threaded build leaves the old copy alone: other threads may be reading it.
        let free_threaded = self.layers.allocators.build.free_threaded;
        let saved =
            if free_threaded { Saved::default() } else { self.save_and_erase(p, old).map_err(fault)? };
        let below = self.layers.allocators.debug[domain as usize];
        let r = self.table_realloc(below, domain, layout.inner(p), nbytes + layout.extra())?;
        let (data, len) = if r == Addr(0) { (p, old) } else { (r.offset(layout.front()), nbytes) };
        let bytes = &mut self.layers.bytes;
        layout
            .decorate(bytes, data, len, domain)
            .and_then(|()| saved.restore(bytes, data, len))
            .and_then(|()| {
                if r != Addr(0) && nbytes > old {
                    layout.clean(bytes, data.offset(old), nbytes - old)
                } else {
                    Ok(())
                }
            })
            .map_err(fault)?;
        Ok(if r == Addr(0) { r } else { data })
    }

    /// Keeps the edges of a block (all of a small one) and overwrites them with header and pads.
    fn save_and_erase(&mut self, p: Addr, old: u64) -> Result<Saved, Unmapped> {
        let layout = self.layers.layout;
        let bytes = &mut self.layers.bytes;
        let q = layout.inner(p);
        if old <= 2 * ERASED_SIZE {
            let first = bytes.read(p, old)?;
            bytes.fill(q, old + layout.extra(), DEADBYTE)?;
            return Ok(Saved { first, last: Vec::new(), last_at: old });
        }
        let last_at = old - ERASED_SIZE;
        let first = bytes.read(p, ERASED_SIZE)?;
        let last = bytes.read(p.offset(last_at), ERASED_SIZE)?;
        bytes.fill(q, layout.front() + ERASED_SIZE, DEADBYTE)?;
        bytes.fill(p.offset(last_at), ERASED_SIZE + u64::from(layout.word_bytes), DEADBYTE)?;
        Ok(Saved { first, last, last_at })
    }
}

/// The edges of a block during a realloc.
#[derive(Default)]
struct Saved {
    first: Vec<u8>,
    last: Vec<u8>,
    /// Where `last` begins, in bytes from the data's start.
    last_at: u64,
}

impl Saved {
    /// Writes them back, as far as they lie within `len` bytes.
    fn restore(&self, bytes: &mut Bytes, data: Addr, len: u64) -> Result<(), Unmapped> {
        let clip = |part: &[u8], at: u64| len.saturating_sub(at).min(part.len() as u64) as usize;
        bytes.write(data, &self.first[..clip(&self.first, 0)])?;
        bytes.write(data.offset(self.last_at), &self.last[..clip(&self.last, self.last_at)])
    }
}
