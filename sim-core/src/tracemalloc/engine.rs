//! The state of `_tracemalloc` and what its functions and `PyTraceMalloc_Track` do to it.
//!
//! Source: `Python/tracemalloc.c` and `Modules/_tracemalloc.c`, 3.14.

use thiserror::Error;

use super::frames::{FileId, Frame, Interner, Traceback, TracebackId};
use super::table::{HashFunc, HashTable, Load};
use crate::addr::Addr;
use crate::profile::TracemallocVersion;

/// `DEFAULT_DOMAIN`: the blocks of Python's own allocators, whichever of `RAW`, `MEM` and `OBJ` it was.
pub const DEFAULT_DOMAIN: u32 = 0;

/// `MAX_NFRAME`: the most frames a traceback can keep.
pub const MAX_NFRAME: u16 = u16::MAX;

/// `ValueError` of `tracemalloc.start()`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the number of frames must be in range [1; {MAX_NFRAME}]")]
pub struct StartError;

/// A trace could not be stored; the caller must undo its allocation. Only [`Tracemalloc::fail_next`]
/// makes this happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("no memory for the trace of a block")]
pub struct OutOfMemory;

/// Where the C library has no memory for tracemalloc, in the order in which a trace is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Interning a traceback. The file names of its frames are interned all the same.
    Traceback,
    /// The table of a domain not seen before.
    Domain,
    /// The trace itself, if the pointer has none yet. Its traceback and its domain's table stay.
    Trace,
}

/// One traced block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The tracemalloc domain, which has nothing to do with `PyMem` domains.
    pub domain: u32,
    /// The block. Python code does not get to see it.
    pub ptr: Addr,
    /// What was asked for, in bytes.
    pub size: u64,
    /// Where.
    pub traceback: TracebackId,
}

/// `trace_t`.
#[derive(Clone, Copy, Debug)]
struct TraceRecord {
    size: u64,
    traceback: TracebackId,
}

/// A set of interned things of which only the size shows.
#[derive(Clone, Debug, Default)]
struct Members {
    present: Vec<bool>,
    load: Load,
}

impl Members {
    fn insert(&mut self, id: u32) {
        let index = id as usize;
        if self.present.len() <= index {
            self.present.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.present[index], true) {
            self.load.add();
        }
    }

    fn contains(&self, id: u32) -> bool {
        self.present.get(id as usize).is_some_and(|present| *present)
    }
}

/// `_PyRuntime.tracemalloc`, without the saved allocator tables and the reentrancy flag, which belong to
/// the hooks.
#[derive(Clone, Debug)]
pub struct Tracemalloc {
    pointer_bytes: u32,
    version: TracemallocVersion,
    tracing: bool,
    max_nframe: u16,
    traced_memory: u64,
    peak_traced_memory: u64,
    interner: Interner,
    filenames: Members,
    tracebacks: Members,
    /// Traces of domain 0.
    traces: HashTable<TraceRecord>,
    /// Index into `domain_traces` by domain.
    domains: HashTable<u32>,
    domain_traces: Vec<HashTable<TraceRecord>>,
    failure: Option<Failure>,
}

impl Tracemalloc {
    /// `_PyTraceMalloc_Init`: off, limit 1. `pointer_bytes` (8 or 4) is the build's, as in
    /// [`Profile`](crate::Profile).
    #[must_use]
    pub fn new(pointer_bytes: u32, version: TracemallocVersion) -> Self {
        Self {
            pointer_bytes,
            version,
            tracing: false,
            max_nframe: 1,
            traced_memory: 0,
            peak_traced_memory: 0,
            interner: Interner::default(),
            filenames: Members::default(),
            tracebacks: Members::default(),
            traces: HashTable::new(HashFunc::pointer(pointer_bytes)),
            domains: HashTable::new(HashFunc::Uint),
            domain_traces: Vec::new(),
            failure: None,
        }
    }

    /// `tracemalloc.start(nframe)`: traces from now on and keeps up to `nframe` frames of each traceback.
    /// When already tracing, a good `nframe` changes nothing and a bad one is an error all the same.
    pub fn start(&mut self, nframe: i32) -> Result<(), StartError> {
        let max_nframe = u16::try_from(nframe).ok().filter(|n| *n >= 1).ok_or(StartError)?;
        if !self.tracing {
            self.max_nframe = max_nframe;
            self.tracing = true;
        }
        Ok(())
    }

    /// `tracemalloc.stop()`: forgets everything but the limit.
    pub fn stop(&mut self) {
        if self.tracing {
            self.clear_traces();
            self.tracing = false;
        }
    }

    /// `tracemalloc.is_tracing()`.
    pub fn is_tracing(&self) -> bool {
        self.tracing
    }

    /// `tracemalloc.get_traceback_limit()`: the frames kept, 1 before the first start, and the last value
    /// after a stop.
    pub fn get_traceback_limit(&self) -> u16 {
        self.max_nframe
    }

    /// File names and tracebacks by id.
    pub fn interner(&self) -> &Interner {
        &self.interner
    }

    /// The id of a file name, for frames.
    pub fn file(&mut self, name: &str) -> FileId {
        self.interner.file(name)
    }

    /// What the present limit keeps of a stack. `stack` is most recent first and holds no frame that has
    /// not begun; `depth` is the stack's real number of frames if `stack` is cut. The id holds as long as
    /// the limit does, so callers that see a stack often can remember it.
    pub fn traceback(&mut self, stack: &[Frame], depth: usize) -> TracebackId {
        self.interner.traceback(Traceback::new(stack, depth, self.max_nframe))
    }

    /// `tracemalloc_add_trace`: remembers a block, or replaces what is known of it. While tracing is off
    /// it does nothing. The peak rises only here, after a replaced size was subtracted.
    pub fn add(
        &mut self,
        domain: u32,
        ptr: Addr,
        size: u64,
        traceback: TracebackId,
    ) -> Result<(), OutOfMemory> {
        if !self.tracing {
            return Ok(());
        }
        let failure = self.failure.take();
        self.intern(traceback, failure)?;
        let record = TraceRecord { size, traceback };
        let pointer_hash = HashFunc::pointer(self.pointer_bytes);
        let traces = if domain == DEFAULT_DOMAIN {
            &mut self.traces
        } else {
            let index = if let Some(index) = self.domains.get(u64::from(domain)) {
                index
            } else if failure == Some(Failure::Domain) {
                return Err(OutOfMemory);
            } else {
                let index = self.domain_traces.len() as u32;
                self.domain_traces.push(HashTable::new(pointer_hash));
                self.domains.set(u64::from(domain), index);
                index
            };
            &mut self.domain_traces[index as usize]
        };
        if let Some(known) = traces.get_mut(ptr.0) {
            // size_t arithmetic: unsigned, without a check in release builds of CPython.
            self.traced_memory = self.traced_memory.wrapping_sub(known.size);
            *known = record;
        } else if failure == Some(Failure::Trace) {
            return Err(OutOfMemory);
        } else {
            traces.set(ptr.0, record);
        }
        self.traced_memory = self.traced_memory.wrapping_add(size);
        self.peak_traced_memory = self.peak_traced_memory.max(self.traced_memory);
        Ok(())
    }

    /// Whether a traceback is not among those interned, so that a copy of it is to be made.
    pub(crate) fn is_new(&self, traceback: TracebackId) -> bool {
        self.tracing && traceback != TracebackId::EMPTY && !self.tracebacks.contains(traceback.0)
    }

    /// Every block that has a trace, in the order in which the tables are cleared.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, Addr)> + '_ {
        let of = |domain: u32, traces: &HashTable<TraceRecord>| -> Vec<(u32, Addr)> {
            traces.iter().map(|(p, _)| (domain, Addr(p))).collect()
        };
        let others = self.domains.iter().flat_map(move |(domain, index)| {
            self.domain_traces.get(index as usize).map_or_else(Vec::new, |t| of(domain as u32, t))
        });
        of(DEFAULT_DOMAIN, &self.traces).into_iter().chain(others)
    }

    /// `tracemalloc_remove_trace`: forgets a block if it is known. The domain's table stays.
    pub fn remove(&mut self, domain: u32, ptr: Addr) {
        if self.tracing
            && let Some(traces) = self.traces_table_mut(domain)
            && let Some(record) = traces.steal(ptr.0)
        {
            self.traced_memory = self.traced_memory.wrapping_sub(record.size);
        }
    }

    /// `PyTraceMalloc_Track`: 0, -1 without memory, -2 while tracing is off.
    pub fn track(&mut self, domain: u32, ptr: Addr, size: u64, traceback: TracebackId) -> i32 {
        if self.tracing { if self.add(domain, ptr, size, traceback).is_ok() { 0 } else { -1 } } else { -2 }
    }

    /// `PyTraceMalloc_Untrack`: 0 also for an unknown block, -2 while tracing is off.
    pub fn untrack(&mut self, domain: u32, ptr: Addr) -> i32 {
        if self.tracing {
            self.remove(domain, ptr);
            0
        } else {
            -2
        }
    }

    /// `_PyTraceMalloc_TraceRef`: an object was made in this block, perhaps one from a free list. A block
    /// of domain 0 that is known gets the traceback, its size stays; others stay unknown.
    pub fn trace_ref(&mut self, ptr: Addr, traceback: TracebackId) {
        if self.tracing && self.traces.get(ptr.0).is_some() {
            let failure = self.failure.take();
            if self.intern(traceback, failure).is_ok()
                && let Some(record) = self.traces.get_mut(ptr.0)
            {
                record.traceback = traceback;
            }
        }
    }

    /// Lets the next trace fail for want of memory, if it comes to that point at all.
    pub fn fail_next(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// `tracemalloc.get_traced_memory()`: bytes of all domains' blocks now and at most; zeros while off.
    pub fn get_traced_memory(&self) -> (u64, u64) {
        if self.tracing { (self.traced_memory, self.peak_traced_memory) } else { (0, 0) }
    }

    /// `tracemalloc.reset_peak()`.
    pub fn reset_peak(&mut self) {
        if self.tracing {
            self.peak_traced_memory = self.traced_memory;
        }
    }

    /// `tracemalloc.clear_traces()`: forgets every block and sets both counters to 0. Ids stay valid.
    pub fn clear_traces(&mut self) {
        if self.tracing {
            self.traces.clear();
            self.domains.clear();
            self.domain_traces.clear();
            self.tracebacks = Members::default();
            self.filenames = Members::default();
            self.traced_memory = 0;
            self.peak_traced_memory = 0;
        }
    }

    /// `tracemalloc.get_tracemalloc_memory()` in bytes: the tables of tracebacks, of file names and of
    /// each domain's traces, but not the table of domains nor the traces and tracebacks themselves.
    /// 0 while off from 3.14 on; before, the empty tables count then, too.
    pub fn get_tracemalloc_memory(&self) -> u64 {
        if !self.tracing && self.version == TracemallocVersion::V3_14 {
            return 0;
        }
        // An entry has next, hash, key and value. In 3.8 sets have no value, and a trace is one of two words.
        let (record, set, traces) = match self.version {
            TracemallocVersion::V3_8 => (9, 3, 5),
            _ => (10, 4, 4),
        };
        let size = |load: Load, entry| load.size(self.pointer_bytes, record, entry);
        let of_traces =
            self.domain_traces.iter().chain([&self.traces]).map(|table| size(table.load(), traces));
        of_traces.sum::<u64>() + size(self.tracebacks.load, set) + size(self.filenames.load, set)
    }

    /// `_PyTraceMalloc_GetTraceback`: where a block was allocated, if it is known.
    pub fn get_traceback(&self, domain: u32, ptr: Addr) -> Option<TracebackId> {
        self.traces_table(domain)?.get(ptr.0).map(|record| record.traceback)
    }

    /// `_tracemalloc._get_object_traceback`: `ptr` is where the object's block begins, before the header
    /// of the garbage collector if it has one.
    pub fn get_object_traceback(&self, ptr: Addr) -> Option<TracebackId> {
        self.get_traceback(DEFAULT_DOMAIN, ptr)
    }

    /// `_tracemalloc._get_traces()`: every block in `CPython`'s order: domain 0, then the others as their
    /// table has them. Each table is copied first, which reorders it.
    pub fn get_traces(&self) -> Vec<Trace> {
        let domains = self.domains.copy();
        let others = domains.iter().filter_map(|(domain, index)| {
            Some((domain as u32, self.domain_traces.get(index as usize)?.copy()))
        });
        let mut all = Vec::new();
        for (domain, traces) in std::iter::once((DEFAULT_DOMAIN, self.traces.copy())).chain(others) {
            all.extend(traces.iter().map(|(ptr, TraceRecord { size, traceback })| Trace {
                domain,
                ptr: Addr(ptr),
                size,
                traceback,
            }));
        }
        all
    }

    /// Enters a traceback and its file names in the tables.
    fn intern(&mut self, id: TracebackId, failure: Option<Failure>) -> Result<(), OutOfMemory> {
        if id == TracebackId::EMPTY || self.tracebacks.contains(id.0) {
            return Ok(());
        }
        for frame in self.interner.get(id).frames() {
            if frame.filename != FileId::UNKNOWN {
                self.filenames.insert(frame.filename.0);
            }
        }
        if failure == Some(Failure::Traceback) {
            return Err(OutOfMemory);
        }
        self.tracebacks.insert(id.0);
        Ok(())
    }

    /// `tracemalloc_get_traces_table`.
    fn traces_table(&self, domain: u32) -> Option<&HashTable<TraceRecord>> {
        if domain == DEFAULT_DOMAIN {
            return Some(&self.traces);
        }
        self.domain_traces.get(self.domains.get(u64::from(domain))? as usize)
    }

    fn traces_table_mut(&mut self, domain: u32) -> Option<&mut HashTable<TraceRecord>> {
        if domain == DEFAULT_DOMAIN {
            return Some(&mut self.traces);
        }
        self.domain_traces.get_mut(self.domains.get(u64::from(domain))? as usize)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
