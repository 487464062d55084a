//! One call on its way down the tables: from the entry point through each table to the one that has memory.
//!
//! What a table does is in a file of its own: the C library, pymalloc and mimalloc below, debug hooks, tracemalloc's
//! hooks and a scenario's own tables above them.

mod broken;
mod debug;
mod mimalloc;
mod pymalloc;
mod traced;
mod user;
mod writes;

use super::fatal::Fatal;
use super::layers::Layers;
use super::mimalloc::MiRun;
use crate::addr::Addr;
use crate::arena::ArenaBackend;
use crate::bytes::Unmapped;
use crate::domains::{AllocatorTable, Context, Domain, Functions};
use crate::event::{Event, Function, NullReason, Observer};
use crate::pymalloc::Pymalloc;
use crate::raw::RawModel;

/// How deep tables may call one another before it is taken for a circle. Real chains have five links.
const DEPTH_MAX: u32 = 64;

/// One call on its way down the tables.
pub(in crate::machine) struct Stack<'a, A: ArenaBackend, O: Observer> {
    pub(in crate::machine) pymalloc: &'a mut Pymalloc<A>,
    pub(in crate::machine) raw: &'a mut RawModel,
    pub(in crate::machine) mimalloc: Option<&'a mut MiRun>,
    pub(in crate::machine) layers: &'a mut Layers,
    pub(in crate::machine) observer: &'a mut O,
    pub(in crate::machine) py_ssize_t_max: u64,
    pub(in crate::machine) depth: u32,
    /// How many of the last calls were pymalloc's realloc.
    pub(in crate::machine) reallocs: u32,
}

type Called<T> = Result<T, Fatal>;

impl<A: ArenaBackend, O: Observer> Stack<'_, A, O> {
    /// `PyMem_RawMalloc`, `PyMem_Malloc`, `PyObject_Malloc`. Address 0 is NULL throughout.
    pub(in crate::machine) fn malloc(&mut self, domain: Domain, nbytes: u64) -> Called<Addr> {
        if nbytes > self.py_ssize_t_max {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return Ok(Addr(0));
        }
        self.table_malloc(self.layers.allocators.get(domain), domain, nbytes)
    }

    /// `PyMem_RawCalloc`, `PyMem_Calloc`, `PyObject_Calloc`, with the product of the arguments.
    pub(in crate::machine) fn calloc(&mut self, domain: Domain, nbytes: u64) -> Called<Addr> {
        if nbytes > self.py_ssize_t_max {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return Ok(Addr(0));
        }
        self.table_calloc(self.layers.allocators.get(domain), domain, nbytes)
    }

    /// `PyMem_RawRealloc`, `PyMem_Realloc`, `PyObject_Realloc`.
    pub(in crate::machine) fn realloc(&mut self, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        if nbytes > self.py_ssize_t_max {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return Ok(Addr(0));
        }
        self.table_realloc(self.layers.allocators.get(domain), domain, p, nbytes)
    }

    /// `PyMem_RawFree`, `PyMem_Free`, `PyObject_Free`.
    pub(in crate::machine) fn free(&mut self, domain: Domain, p: Addr) -> Called<()> {
        self.table_free(self.layers.allocators.get(domain), domain, p)
    }

    /// Reports a table being called, and refuses to follow a circle.
    fn enter(
        &mut self,
        table: AllocatorTable,
        domain: Domain,
        function: Function,
        nbytes: u64,
    ) -> Called<()> {
        self.observer.event(Event::TableCalled { domain, table, function, nbytes });
        self.depth += 1;
        let passes_on = table.functions == Functions::Pymalloc && function == Function::Realloc;
        self.reallocs = if passes_on { self.reallocs + 1 } else { 0 };
        if self.depth <= DEPTH_MAX {
            return Ok(());
        }
        Err(if self.reallocs > DEPTH_MAX / 2 { Fatal::EndlessRealloc } else { Fatal::StackOverflow })
    }

    fn table_malloc(&mut self, table: AllocatorTable, domain: Domain, nbytes: u64) -> Called<Addr> {
        self.enter(table, domain, Function::Malloc, nbytes)?;
        let p = match (table.functions, table.ctx) {
            (Functions::Libc, _) => self.libc_malloc(nbytes),
            (Functions::Pymalloc, _) => self.pymalloc_malloc(nbytes)?,
            (Functions::MimallocRaw, _) => self.mimalloc_malloc(Domain::Raw, nbytes, false)?,
            (Functions::MimallocMem, _) => self.mimalloc_malloc(Domain::Mem, nbytes, false)?,
            (Functions::MimallocObj, _) => self.mimalloc_malloc(Domain::Obj, nbytes, false)?,
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_malloc(table, d, nbytes, false)?
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_alloc(d, nbytes, false)?,
            (Functions::User(at), _) => self.user_alloc(at, domain, Function::Malloc, nbytes)?,
            _ => Addr(0),
        };
        self.depth -= 1;
        Ok(p)
    }

    fn table_calloc(&mut self, table: AllocatorTable, domain: Domain, nbytes: u64) -> Called<Addr> {
        self.enter(table, domain, Function::Calloc, nbytes)?;
        let p = match (table.functions, table.ctx) {
            (Functions::Libc, _) => {
                let p = self.libc_malloc(nbytes);
                self.fill(p, nbytes.max(1), 0)?;
                p
            }
            (Functions::Pymalloc, _) => {
                if let Some(p) = self.small_alloc(nbytes)? {
                    self.fill(p, nbytes, 0)?;
                    p
                } else {
                    let p = self.calloc(Domain::Raw, nbytes)?;
                    self.count_raw(p);
                    p
                }
            }
            (Functions::MimallocRaw, _) => self.mimalloc_malloc(Domain::Raw, nbytes, true)?,
            (Functions::MimallocMem, _) => self.mimalloc_malloc(Domain::Mem, nbytes, true)?,
            (Functions::MimallocObj, _) => self.mimalloc_malloc(Domain::Obj, nbytes, true)?,
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_malloc(table, d, nbytes, true)?
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_alloc(d, nbytes, true)?,
            (Functions::User(at), _) => self.user_alloc(at, domain, Function::Calloc, nbytes)?,
            _ => Addr(0),
        };
        self.depth -= 1;
        Ok(p)
    }

    fn table_realloc(&mut self, table: AllocatorTable, domain: Domain, p: Addr, nbytes: u64) -> Called<Addr> {
        self.enter(table, domain, Function::Realloc, nbytes)?;
        let new = match (table.functions, table.ctx) {
            (Functions::Libc, _) => self.libc_realloc(p, nbytes)?,
            (Functions::Pymalloc, _) => self.pymalloc_realloc(p, nbytes)?,
            (Functions::MimallocRaw, _) => self.mimalloc_realloc(Domain::Raw, p, nbytes)?,
            (Functions::MimallocMem, _) => self.mimalloc_realloc(Domain::Mem, p, nbytes)?,
            (Functions::MimallocObj, _) => self.mimalloc_realloc(Domain::Obj, p, nbytes)?,
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_realloc(table, d, p, nbytes)?
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_realloc(d, p, nbytes)?,
            (Functions::User(at), _) => self.user_realloc(at, domain, p, nbytes)?,
            _ => Addr(0),
        };
        self.depth -= 1;
        Ok(new)
    }

    fn table_free(&mut self, table: AllocatorTable, domain: Domain, p: Addr) -> Called<()> {
        self.enter(table, domain, Function::Free, 0)?;
        match (table.functions, table.ctx) {
            (Functions::Libc, _) => self.libc_free(p)?,
            (Functions::Pymalloc, _) => self.pymalloc_free(p)?,
            (Functions::MimallocRaw | Functions::MimallocMem | Functions::MimallocObj, _) => {
                self.mimalloc_free(p)?;
            }
            (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(d)) => {
                self.debug_free(table, d, p)?;
            }
            (Functions::Tracemalloc, Context::Saved(d)) => self.traced_free(d, p)?,
            (Functions::User(at), _) => self.user_free(at, domain, p)?,
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn fill(&mut self, at: Addr, len: u64, byte: u8) -> Called<()> {
        if at == Addr(0) {
            return Ok(());
        }
        self.wrote(at, len);
        self.layers.bytes.fill(at, len, byte).map_err(|e| segfault(e, "writing"))
    }

    // The C library.

    fn libc_malloc(&mut self, nbytes: u64) -> Addr {
        let Layers { libc, bytes, .. } = self.layers;
        let Some((p, id)) = libc.malloc(self.raw, bytes, nbytes) else {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return Addr(0);
        };
        let label = self.raw.get(id).label;
        self.observer.event(Event::RawAllocated { label, nbytes, for_pymalloc: false });
        p
    }

    fn libc_realloc(&mut self, p: Addr, nbytes: u64) -> Called<Addr> {
        if p == Addr(0) {
            return Ok(self.libc_malloc(nbytes));
        }
        self.check_chunk(p)?;
        let Layers { libc, bytes, .. } = self.layers;
        let before = libc.get(p).map(|id| self.raw.get(id));
        let new = libc.realloc(self.raw, bytes, p, nbytes).map_err(Fatal::Libc)?;
        if new == Addr(0) {
            self.observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
        } else if let Some(before) = before {
            self.observer.event(Event::RawResized { label: before.label, from: before.nbytes, nbytes });
        }
        Ok(new)
    }

    /// Before it knows whose a pointer is, the C library reads the size in front of it.
    fn check_chunk(&self, p: Addr) -> Called<()> {
        let word = self.layers.layout.word_bytes;
        let size = self.layers.layout.at(p, u64::from(word).wrapping_neg());
        self.layers
            .bytes
            .word(size, word)
            .map_err(|e| segfault(e, "reading the size in front of a block"))?;
        Ok(())
    }

    fn libc_free(&mut self, p: Addr) -> Called<()> {
        if p == Addr(0) {
            return Ok(());
        }
        self.check_chunk(p)?;
        let Layers { libc, bytes, .. } = self.layers;
        let id = libc.free(bytes, p).map_err(Fatal::Libc)?;
        let block = self.raw.free(id);
        self.observer.event(Event::RawFreed {
            label: block.label,
            nbytes: block.nbytes,
            for_pymalloc: false,
        });
        Ok(())
    }
}

fn segfault(fault: Unmapped, doing: &'static str) -> Fatal {
    Fatal::Segfault { addr: fault.0, doing, printed: String::new() }
}
