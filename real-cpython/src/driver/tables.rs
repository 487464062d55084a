//! Tables over CPython's own: of a trace, and one that lets requests for bookkeeping fail.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::c_void;

type Pointer = *mut c_void;

/// `PyMemAllocatorEx`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Table {
    pub(crate) ctx: Pointer,
    pub(crate) malloc: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    pub(crate) calloc: unsafe extern "C" fn(Pointer, usize, usize) -> Pointer,
    pub(crate) realloc: unsafe extern "C" fn(Pointer, Pointer, usize) -> Pointer,
    pub(crate) free: unsafe extern "C" fn(Pointer, Pointer),
}

/// What a call through MEM or OBJ is about, while it lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Malloc,
    Calloc(usize, usize),
    Realloc(Pointer),
    Free,
}

/// Who is asked whether a request is to fail.
enum Kind {
    /// `count`, `log` and `fail:N`: each n-th malloc, calloc and realloc.
    Every(u64),
    /// These requests for arena records and nodes of the radix tree, counted from 1.
    Books { fail_at: BTreeSet<u64>, requests: u64, records: Pointer, during: *const Cell<Option<Call>> },
}

/// A table over the one that it found.
pub(crate) struct Over {
    inner: Table,
    kind: Kind,
    /// Calls of malloc, calloc, realloc and free.
    pub(crate) calls: [u64; 4],
}

impl Over {
    /// `count`, `log`, which here counts alone, or `fail:N`.
    pub(crate) fn parse(kind: &str, inner: Table) -> Option<Self> {
        let every = match kind.split_once(':') {
            None if matches!(kind, "count" | "log") => 0,
            Some(("fail", n)) => n.parse().ok()?,
            _ => return None,
        };
        Some(Self { inner, kind: Kind::Every(every), calls: [0; 4] })
    }

    /// For RAW: what pymalloc asks of it on its own behalf fails when its turn comes.
    pub(crate) fn books(fail_at: BTreeSet<u64>, during: *const Cell<Option<Call>>, inner: Table) -> Self {
        let kind = Kind::Books { fail_at, requests: 0, records: std::ptr::null_mut(), during };
        Self { inner, kind, calls: [0; 4] }
    }

    pub(crate) fn table(&mut self) -> Table {
        Table {
            ctx: (&raw mut *self).cast(),
            malloc: Self::malloc,
            calloc: Self::calloc,
            realloc: Self::realloc,
            free: Self::free,
        }
    }

    fn fails(&mut self, function: usize, p: Pointer, calloc: (usize, usize)) -> bool {
        self.calls[function] += 1;
        match &mut self.kind {
            Kind::Every(n) => *n > 0 && self.calls[..3].iter().sum::<u64>().is_multiple_of(*n),
            Kind::Books { fail_at, requests, records, during } => {
                // SAFETY: it outlives the process's calls.
                let during = unsafe { &**during }.get();
                let own = match (function, during) {
                    // A large block is asked for with the program's own numbers.
                    (1, Some(call)) => call != Call::Calloc(calloc.0, calloc.1),
                    (2, Some(call)) => p == *records && call != Call::Realloc(p),
                    _ => false,
                };
                *requests += u64::from(own);
                own && fail_at.contains(requests)
            }
        }
    }

    unsafe extern "C" fn malloc(ctx: Pointer, n: usize) -> Pointer {
        // SAFETY: the ctx of `table`, which outlives the process's calls; one thread calls.
        let over = unsafe { &mut *ctx.cast::<Self>() };
        if over.fails(0, std::ptr::null_mut(), (0, 0)) {
            return std::ptr::null_mut();
        }
        // SAFETY: the table below, with its own ctx.
        unsafe { (over.inner.malloc)(over.inner.ctx, n) }
    }

    unsafe extern "C" fn calloc(ctx: Pointer, nelem: usize, elsize: usize) -> Pointer {
        // SAFETY: as in `malloc`.
        let over = unsafe { &mut *ctx.cast::<Self>() };
        if over.fails(1, std::ptr::null_mut(), (nelem, elsize)) {
            return std::ptr::null_mut();
        }
        // SAFETY: as in `malloc`.
        unsafe { (over.inner.calloc)(over.inner.ctx, nelem, elsize) }
    }

    unsafe extern "C" fn realloc(ctx: Pointer, p: Pointer, n: usize) -> Pointer {
        // SAFETY: as in `malloc`.
        let over = unsafe { &mut *ctx.cast::<Self>() };
        if over.fails(2, p, (0, 0)) {
            return std::ptr::null_mut();
        }
        // SAFETY: as in `malloc`.
        let new = unsafe { (over.inner.realloc)(over.inner.ctx, p, n) };
        if let Kind::Books { records, during, .. } = &mut over.kind
            // SAFETY: as in `fails`.
            && let Some(call) = unsafe { &**during }.get()
            && p == *records
            && call != Call::Realloc(p)
        {
            *records = new;
        }
        new
    }

    unsafe extern "C" fn free(ctx: Pointer, p: Pointer) {
        // SAFETY: as in `malloc`.
        let over = unsafe { &mut *ctx.cast::<Self>() };
        over.calls[3] += 1;
        // SAFETY: as in `malloc`.
        unsafe { (over.inner.free)(over.inner.ctx, p) }
    }
}
