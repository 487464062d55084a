//! The arena allocator's hook at work: which of the installed ones is asked, and who made what.
//!
//! Hooks pass calls on to the hook they found until one has memory. What a hook is asked to free may be
//! another's; [`ArenaHooks`] knows the maker of everything and what the real functions would do.

use std::collections::BTreeMap;

use crate::addr::Addr;
use crate::domains::{ArenaAllocator, ArenaChoice, ArenaFunction, ArenaHookState, ForeignFree};
use crate::event::{Event, Observer};

/// Where memory really comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Mmap,
    Bump(u32),
    Malloc,
}

/// Memory that came through a hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// The hook that was in force.
    pub by: ArenaAllocator,
    /// Bytes.
    pub size: u64,
    source: Source,
}

/// What is to be done with memory that was given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Freed {
    /// Where it came from.
    pub(super) source: Source,
    /// Whether it is no longer there.
    pub(super) gone: bool,
}

/// The hook in force, those that were installed, and who made what. Without a scenario's own hooks there
/// is no such record.
#[derive(Clone, Debug)]
pub struct ArenaHooks {
    installed: ArenaAllocator,
    user: Vec<ArenaHookState>,
    /// By address; what is not here and still live was made by the default hook before there were others.
    made: BTreeMap<Addr, Made>,
    chunks: (Addr, Addr),
    arena_size: u64,
}

const PAGE_BYTES: u64 = 4096;
/// What the C library keeps in front of a block that has pages of its own.
pub(super) const MALLOC_HEADER_BYTES: u64 = 16;

impl ArenaHooks {
    pub(super) fn new(pointer_bytes: u32, arena_size: u64) -> Self {
        let chunks = if pointer_bytes == 4 {
            (Addr(0x3000_0000), Addr(0x4000_0000))
        } else {
            (Addr(0x7c00_0000_0000), Addr(0x7e00_0000_0000))
        };
        Self {
            installed: ArenaAllocator::Default,
            user: Vec::new(),
            made: BTreeMap::new(),
            chunks,
            arena_size,
        }
    }

    /// `PyObject_GetArenaAllocator`.
    pub fn installed(&self) -> ArenaAllocator {
        self.installed
    }

    /// The scenario's own hooks, in the order they were installed.
    pub fn user(&self) -> &[ArenaHookState] {
        &self.user
    }

    /// The hook in force and those it passes calls on to.
    pub fn chain(&self) -> Vec<ArenaAllocator> {
        std::iter::successors(Some(self.installed), |&hook| self.below(hook)).take(16).collect()
    }

    /// The hook that a hook passes calls on to.
    fn below(&self, hook: ArenaAllocator) -> Option<ArenaAllocator> {
        let ArenaAllocator::User(at) = hook else { return None };
        let state = self.user.get(at as usize)?;
        (!matches!(state.kind, ArenaChoice::Bump { .. } | ArenaChoice::Malloc)).then_some(state.inner)
    }

    /// The hook that made the arena at a base.
    pub fn maker(&self, base: Addr) -> ArenaAllocator {
        self.made.get(&base).map_or(ArenaAllocator::Default, |made| made.by)
    }

    /// Live memory that came through hooks since the first one was installed, data-stack chunks included.
    pub fn made(&self) -> impl Iterator<Item = (Addr, Made)> + '_ {
        self.made.iter().map(|(base, made)| (*base, *made))
    }

    /// `PyObject_SetArenaAllocator`: a struct is copied, nothing moves.
    pub(super) fn set(&mut self, choice: ArenaChoice) {
        self.installed = if choice == ArenaChoice::Default {
            ArenaAllocator::Default
        } else {
            self.user.push(ArenaHookState::new(choice, self.installed));
            ArenaAllocator::User(self.user.len() as u32 - 1)
        };
    }

    /// Asks the hook in force; the source that is to give the memory, `None` for NULL.
    pub(super) fn alloc<O: Observer>(
        &mut self,
        size: u64,
        is_arena: bool,
        observer: &mut O,
    ) -> Option<Source> {
        let function = ArenaFunction::Alloc;
        let mut hook = self.installed;
        loop {
            observer.event(Event::ArenaHookCalled { hook, function, ptr: Addr(0), size });
            let ArenaAllocator::User(at) = hook else { return Some(Source::Mmap) };
            let state = self.user.get_mut(at as usize)?;
            if state.note(function, is_arena) {
                observer.event(Event::ArenaHookRefused { hook, size });
                return None;
            }
            match state.kind {
                ArenaChoice::Malloc => return Some(Source::Malloc),
                ArenaChoice::Bump { bytes } => {
                    if bytes - state.used_bytes < size {
                        observer.event(Event::ArenaHookRefused { hook, size });
                        return None;
                    }
                    state.used_bytes += size;
                    return Some(Source::Bump(at));
                }
                _ => hook = state.inner,
            }
        }
    }

    pub(super) fn remember(&mut self, at: Addr, size: u64, source: Source) {
        self.made.insert(at, Made { by: self.installed, size, source });
    }

    /// Gives memory to the hook in force, whoever made it. `at` may be NULL.
    pub(super) fn free<O: Observer>(
        &mut self,
        at: Addr,
        size: u64,
        is_arena: bool,
        observer: &mut O,
    ) -> Freed {
        let function = ArenaFunction::Free;
        let mut hook = self.installed;
        let asked = loop {
            observer.event(Event::ArenaHookCalled { hook, function, ptr: at, size });
            let ArenaAllocator::User(number) = hook else { break Source::Mmap };
            let Some(state) = self.user.get_mut(number as usize) else { break Source::Mmap };
            state.note(function, is_arena);
            match state.kind {
                ArenaChoice::Malloc => break Source::Malloc,
                ArenaChoice::Bump { .. } => break Source::Bump(number),
                _ => hook = state.inner,
            }
        };
        if at == Addr(0) {
            return Freed { source: Source::Mmap, gone: false };
        }
        let made = self.made.get(&at).copied().unwrap_or(Made {
            by: ArenaAllocator::Default,
            size,
            source: Source::Mmap,
        });
        let (gone, outcome) = match (asked, made.source) {
            (Source::Bump(_), source) => {
                (false, if asked == source { None } else { Some(ForeignFree::Leaked) })
            }
            (asked, source) if asked == source => (true, None),
            (Source::Malloc, _) => (false, Some(ForeignFree::Aborted)),
            (_, Source::Malloc) => (false, Some(ForeignFree::Refused)),
            _ => (true, Some(ForeignFree::Unmapped)),
        };
        if made.by != self.installed {
            let (made_by, freed_by) = (made.by, self.installed);
            observer.event(Event::ArenaFreedByOther { base: at, made_by, freed_by, outcome });
        }
        if gone {
            self.made.remove(&at);
        } else {
            // It stays mapped although nobody will free it again.
            self.made.insert(at, made);
        }
        Freed { source: made.source, gone }
    }

    /// An address for a data-stack chunk. Addresses rise and are never used again.
    pub(super) fn chunk(&mut self, size: u64, source: Source) -> Option<Addr> {
        let header = if source == Source::Malloc { MALLOC_HEADER_BYTES } else { 0 };
        let pages = size.checked_add(header)?.checked_next_multiple_of(PAGE_BYTES)?.max(PAGE_BYTES);
        let (next, end) = self.chunks;
        if pages > end.bytes_from(next) {
            return None;
        }
        self.chunks.0 = next.offset(pages);
        Some(next.offset(header))
    }

    /// Whether memory that came through a hook is still there, perhaps leaked.
    pub fn is_mapped(&self, at: Addr) -> bool {
        self.made.contains_key(&at)
    }

    pub(super) fn size_of(&self, at: Addr) -> u64 {
        self.made.get(&at).map_or(0, |made| made.size)
    }

    pub(super) fn arena_size(&self) -> u64 {
        self.arena_size
    }
}
