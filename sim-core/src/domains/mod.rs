//! The three domains and their replaceable tables of functions.
//!
//! `PyMemAllocatorEx` is a context and four functions. Here a function is the name of what it does, so
//! that tables can be compared, printed and drawn as the chain they form. One table stands for each
//! domain, process-wide; debug hooks remember the table they cover.

mod arena_hook;
mod domain;
mod setup;
mod user;

pub use arena_hook::{ArenaAllocator, ArenaChoice, ArenaFunction, ArenaHookState, ForeignFree};
pub use domain::{Domain, ObjectHeap};
pub use setup::{AllocatorName, Build, SetupError};
pub use user::{LoggedCall, UserAllocator, UserState};

/// What the four functions of a table do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Functions {
    /// `_PyMem_RawMalloc` …: the C library, with 1 byte for 0.
    Libc,
    /// `_PyObject_Malloc` …: pymalloc.
    Pymalloc,
    /// `_PyMem_MiRawMalloc` …: mimalloc's default heap of the thread (3.15).
    MimallocRaw,
    /// `_PyMem_MiMalloc` …: mimalloc, in a free-threaded build its mem heap.
    MimallocMem,
    /// `_PyObject_MiMalloc` …: mimalloc, in a free-threaded build the current object heap.
    MimallocObj,
    /// `_PyMem_DebugRawMalloc` …: pads, fills and checks.
    DebugRaw,
    /// `_PyMem_DebugMalloc` …: the same after a check of the thread state.
    Debug,
    /// `tracemalloc_alloc` …, the functions that tracemalloc installs.
    Tracemalloc,
    /// A table of the scenario's own.
    User(u16),
}

/// The context that a table's functions get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Context {
    /// NULL.
    Null,
    /// The debug hooks' record of a domain.
    DebugRecord(Domain),
    /// tracemalloc's copy of the table it covers.
    Saved(Domain),
    /// A scenario's own state.
    User(u16),
}

/// `PyMemAllocatorEx`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AllocatorTable {
    /// The first argument of each function.
    pub ctx: Context,
    /// malloc, calloc, realloc and free.
    pub functions: Functions,
}

impl AllocatorTable {
    /// The C library's functions.
    pub const LIBC: Self = Self { ctx: Context::Null, functions: Functions::Libc };
    /// pymalloc's.
    pub const PYMALLOC: Self = Self { ctx: Context::Null, functions: Functions::Pymalloc };

    /// mimalloc's for a domain.
    pub fn mimalloc(domain: Domain) -> Self {
        let functions = match domain {
            Domain::Raw => Functions::MimallocRaw,
            Domain::Mem => Functions::MimallocMem,
            Domain::Obj => Functions::MimallocObj,
        };
        Self { ctx: Context::Null, functions }
    }

    /// The debug hooks' table of a domain.
    pub fn debug(domain: Domain) -> Self {
        let functions = if domain == Domain::Raw { Functions::DebugRaw } else { Functions::Debug };
        Self { ctx: Context::DebugRecord(domain), functions }
    }

    /// The names of the four functions in `CPython`, malloc to free.
    pub fn function_names(self) -> [&'static str; 4] {
        match self.functions {
            Functions::Libc => {
                ["_PyMem_RawMalloc", "_PyMem_RawCalloc", "_PyMem_RawRealloc", "_PyMem_RawFree"]
            }
            Functions::Pymalloc => {
                ["_PyObject_Malloc", "_PyObject_Calloc", "_PyObject_Realloc", "_PyObject_Free"]
            }
            Functions::MimallocRaw => {
                ["_PyMem_MiRawMalloc", "_PyMem_MiRawCalloc", "_PyMem_MiRawRealloc", "_PyMem_MiRawFree"]
            }
            Functions::MimallocMem => {
                ["_PyMem_MiMalloc", "_PyMem_MiCalloc", "_PyMem_MiRealloc", "_PyMem_MiFree"]
            }
            Functions::MimallocObj => {
                ["_PyObject_MiMalloc", "_PyObject_MiCalloc", "_PyObject_MiRealloc", "_PyObject_MiFree"]
            }
            Functions::DebugRaw => [
                "_PyMem_DebugRawMalloc",
                "_PyMem_DebugRawCalloc",
                "_PyMem_DebugRawRealloc",
                "_PyMem_DebugRawFree",
            ],
            Functions::Debug => {
                ["_PyMem_DebugMalloc", "_PyMem_DebugCalloc", "_PyMem_DebugRealloc", "_PyMem_DebugFree"]
            }
            Functions::Tracemalloc => {
                ["tracemalloc_malloc", "tracemalloc_calloc", "tracemalloc_realloc", "tracemalloc_free"]
            }
            Functions::User(_) => ["user malloc", "user calloc", "user realloc", "user free"],
        }
    }
}

/// `_PyRuntime.allocators`: the tables in force and those that debug hooks cover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocators {
    /// `standard`: what the entry points call, by domain.
    pub standard: [AllocatorTable; 3],
    /// `debug`: the table below each domain's debug hook.
    pub debug: [AllocatorTable; 3],
    /// `is_debug_enabled`: written by the set-up functions only.
    pub is_debug_enabled: bool,
    /// The build, as far as set-up depends on it.
    pub build: Build,
}

impl Default for Allocators {
    /// A release build before anything is set up.
    fn default() -> Self {
        let base = [AllocatorTable::LIBC, AllocatorTable::PYMALLOC, AllocatorTable::PYMALLOC];
        Self { standard: base, debug: base, is_debug_enabled: false, build: Build::default() }
    }
}

impl Allocators {
    /// `PyMem_GetAllocator`.
    pub fn get(&self, domain: Domain) -> AllocatorTable {
        self.standard[domain as usize]
    }

    /// `PyMem_SetAllocator`: the table is copied in; nobody is told.
    pub fn set(&mut self, domain: Domain, table: AllocatorTable) {
        self.standard[domain as usize] = table;
    }

    /// `PyMem_SetupDebugHooks`. A domain is skipped when its malloc is the debug one already; what lies
    /// below another wrapper is not looked at, so a second call over one makes a circle, as in `CPython`.
    pub fn setup_debug_hooks(&mut self) {
        for domain in Domain::ALL {
            self.cover(domain);
        }
        self.is_debug_enabled = true;
    }

    fn cover(&mut self, domain: Domain) {
        let hook = AllocatorTable::debug(domain);
        let at = domain as usize;
        if self.standard[at].functions != hook.functions {
            self.debug[at] = self.standard[at];
            self.standard[at] = hook;
        }
    }

    /// The chain of tables that a call of `top` passes, as far as tables show it.
    /// It ends at the C library, pymalloc or mimalloc, or after 16 tables (a circle).
    pub fn chain(
        &self,
        top: AllocatorTable,
        below: &dyn Fn(AllocatorTable) -> Option<AllocatorTable>,
    ) -> Vec<AllocatorTable> {
        let mut chain = vec![top];
        while let Some(&last) = chain.last()
            && chain.len() < 16
        {
            let next = match last.ctx {
                Context::DebugRecord(d) => Some(self.debug[d as usize]),
                _ => below(last),
            };
            match next {
                Some(next) => chain.push(next),
                None => break,
            }
        }
        chain
    }
}
