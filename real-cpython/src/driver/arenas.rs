//! Arenas where the simulation puts them, in one reserved stretch of addresses.

use std::collections::BTreeSet;
use std::ffi::c_void;

use super::c;

/// `PyObjectArenaAllocator`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ArenaAllocator {
    pub(crate) ctx: *mut c_void,
    pub(crate) alloc: extern "C" fn(*mut c_void, usize) -> *mut c_void,
    pub(crate) free: extern "C" fn(*mut c_void, *mut c_void, usize),
}

/// Where arenas are to be, and when there is to be none.
#[derive(Default)]
pub(crate) struct Layout {
    /// Where the first slot begins.
    pub(crate) region: usize,
    /// Bytes from one slot to the next.
    pub(crate) stride: usize,
    /// Bytes from a slot's beginning to its arena, by the arena's ordinal modulo 4.
    pub(crate) shifts: [usize; 4],
    /// Slots that are reserved.
    pub(crate) slots: usize,
    pub(crate) arena_size: usize,
    /// The request for an arena fails while this many are live.
    pub(crate) limit: Option<usize>,
    /// Requests that fail, counted from 1.
    pub(crate) fail_at: BTreeSet<u64>,
}

/// The reserved stretch.
pub(crate) struct Arenas {
    layout: Layout,
    /// Base and ordinal of the arena in each slot that was ever used.
    slots: Vec<Option<(usize, u64)>>,
    free: BTreeSet<usize>,
    live: usize,
    obtained: u64,
    requests: u64,
    /// Ordinals of arenas that came (true) and went since they were last asked for.
    pub(crate) marks: Vec<(bool, u64)>,
    /// What the hook should never have been asked.
    pub(crate) trouble: Option<String>,
}

impl Arenas {
    pub(crate) fn reserve(layout: Layout) -> Result<Self, String> {
        // A shifted arena of the last slot reaches beyond it.
        let bytes = layout.slots * layout.stride + layout.arena_size;
        // SAFETY: it is refused where anything is.
        unsafe { c::map(layout.region, bytes, c::PROT_NONE, c::MAP_FIXED_NOREPLACE) }?;
        Ok(Self {
            layout,
            slots: Vec::new(),
            free: BTreeSet::new(),
            live: 0,
            obtained: 0,
            requests: 0,
            marks: Vec::new(),
            trouble: None,
        })
    }

    /// Ordinal of the arena that an address lies in, and bytes from its base.
    pub(crate) fn find(&self, address: usize) -> Option<(u64, usize)> {
        let slot = address.checked_sub(self.layout.region)? / self.layout.stride;
        // An arena that is shifted against its slot reaches into the next one.
        [Some(slot), slot.checked_sub(1)].into_iter().flatten().find_map(|slot| {
            let (base, ordinal) = (*self.slots.get(slot)?)?;
            let offset = address.checked_sub(base)?;
            (offset < self.layout.arena_size).then_some((ordinal, offset))
        })
    }

    /// The hook, to be installed while this stays where it is.
    pub(crate) fn hook(&mut self) -> ArenaAllocator {
        ArenaAllocator { ctx: (&raw mut *self).cast(), alloc: Self::alloc, free: Self::free }
    }

    fn obtain(&mut self, size: usize) -> Option<usize> {
        self.requests += 1;
        if self.layout.fail_at.contains(&self.requests)
            || self.layout.limit.is_some_and(|limit| self.live >= limit)
        {
            return None;
        }
        let slot = self.free.pop_first().unwrap_or(self.slots.len());
        if size != self.layout.arena_size || slot >= self.layout.slots {
            self.trouble = Some(format!("an arena of {size} bytes in slot {slot} was asked for"));
            return None;
        }
        let base =
            self.layout.region + slot * self.layout.stride + self.layout.shifts[(self.obtained % 4) as usize];
        // SAFETY: a slot of our own stretch in which no arena is.
        if let Err(why) = unsafe { c::map(base, size, c::PROT_READ_WRITE, c::MAP_FIXED) } {
            self.trouble = Some(why);
            return None;
        }
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some((base, self.obtained));
        self.marks.push((true, self.obtained));
        self.obtained += 1;
        self.live += 1;
        Some(base)
    }

    fn release(&mut self, base: usize, size: usize) {
        let slot = base.wrapping_sub(self.layout.region) / self.layout.stride;
        let arena = self.slots.get_mut(slot).and_then(|arena| arena.take_if(|arena| arena.0 == base));
        let Some((_, ordinal)) = arena.filter(|_| size == self.layout.arena_size) else {
            self.trouble = Some(format!("{size} bytes at {base:#x} were given back, which are no arena"));
            return;
        };
        // SAFETY: an arena that pymalloc gave back.
        if let Err(why) = unsafe { c::map(base, size, c::PROT_NONE, c::MAP_FIXED) } {
            self.trouble = Some(why);
        }
        self.free.insert(slot);
        self.marks.push((false, ordinal));
        self.live -= 1;
    }

    extern "C" fn alloc(ctx: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the ctx of `hook`, which outlives the process's calls; one thread calls.
        let arenas = unsafe { &mut *ctx.cast::<Self>() };
        arenas.obtain(size).unwrap_or(0) as *mut c_void
    }

    extern "C" fn free(ctx: *mut c_void, p: *mut c_void, size: usize) {
        // SAFETY: as in `alloc`.
        let arenas = unsafe { &mut *ctx.cast::<Self>() };
        if !p.is_null() {
            arenas.release(p as usize, size);
        }
    }
}

/// A hook of the trace's own over the one that it found.
pub(crate) struct Hook {
    inner: ArenaAllocator,
    fail_every: u64,
    fail_from: u64,
    /// Calls of alloc and free.
    pub(crate) calls: [u64; 2],
}

impl Hook {
    /// `count`, `fail:N` or `fail_from:N`.
    pub(crate) fn parse(kind: &str, inner: ArenaAllocator) -> Option<Self> {
        let (mut fail_every, mut fail_from) = (0, 0);
        match kind.split_once(':') {
            None if kind == "count" => {}
            Some(("fail", n)) => fail_every = n.parse().ok()?,
            Some(("fail_from", n)) => fail_from = n.parse().ok()?,
            _ => return None,
        }
        Some(Self { inner, fail_every, fail_from, calls: [0; 2] })
    }

    pub(crate) fn table(&mut self) -> ArenaAllocator {
        ArenaAllocator { ctx: (&raw mut *self).cast(), alloc: Self::alloc, free: Self::free }
    }

    extern "C" fn alloc(ctx: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the ctx of `table`, which outlives the process's calls; one thread calls.
        let hook = unsafe { &mut *ctx.cast::<Self>() };
        hook.calls[0] += 1;
        let n = hook.calls[0];
        if hook.fail_every > 0 && n.is_multiple_of(hook.fail_every)
            || hook.fail_from > 0 && n >= hook.fail_from
        {
            return std::ptr::null_mut();
        }
        (hook.inner.alloc)(hook.inner.ctx, size)
    }

    extern "C" fn free(ctx: *mut c_void, p: *mut c_void, size: usize) {
        // SAFETY: as in `alloc`.
        let hook = unsafe { &mut *ctx.cast::<Self>() };
        hook.calls[1] += 1;
        (hook.inner.free)(hook.inner.ctx, p, size);
    }
}
