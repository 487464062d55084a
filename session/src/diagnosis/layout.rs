//! Arenas and pools as recorded addresses imply them.
//!
//! A recording has the addresses of blocks and not those of arenas. A pool is a window of the address space in which blocks of a
//! class lie at their places; arenas are told from the pools in which a block was ever seen, see the module `windows`. Which of them are
//! certain is said; of the others there may have been more. An arena none of whose blocks was recorded is not known, and neither are free lists.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use sim_core::debug_hooks;
use sim_core::domains::{AllocatorName, Build};
use sim_core::tape::Packed;
use sim_core::{Addr, Domain, Kind, Profile, SizeClass, Trace};

use super::pools::Pools;
use super::windows::{self, Window};
use crate::setup::Setup;

/// Which heap is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Placed {
    /// Blocks where the model puts them.
    #[default]
    Model,
    /// Blocks at their recorded addresses.
    Recorded,
}

impl Placed {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Recorded => "recorded",
        }
    }
}

/// The arenas of a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    profile: Profile,
    /// Debug hooks around each block, where there are any.
    hooks: Option<debug_hooks::Layout>,
    windows: Vec<Window>,
    pools: Vec<Addr>,
}

/// The arenas of one trace under one set-up, told when somebody asks first, for all who ask: it reads the whole trace.
#[derive(Clone, Debug, Default)]
pub struct SharedLayout(Arc<OnceLock<Option<Arc<Layout>>>>);

impl SharedLayout {
    /// The arenas, where there are any. Whoever shares it asks of the same trace and set-up.
    pub fn of(&self, trace: &Trace, setup: &Setup) -> Option<&Arc<Layout>> {
        self.0.get_or_init(|| Layout::of(trace, setup).map(Arc::new)).as_ref()
    }

    /// The arenas, where somebody has asked.
    pub fn known(&self) -> Option<&Arc<Layout>> {
        self.0.get()?.as_ref()
    }

    /// Whether both are one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Layout {
    /// Whether a trace has addresses of pymalloc's.
    pub fn is_to_be_had(trace: &Trace, setup: &Setup) -> bool {
        let malloc = setup.malloc;
        let elsewhere = matches!(malloc, AllocatorName::Malloc | AllocatorName::MallocDebug)
            || malloc.is_mimalloc(Build::from(&setup.profile));
        !elsewhere && trace.has_addresses()
    }

    /// Of all of a trace that has addresses; `None` where it has none, or where no pymalloc served it.
    pub fn of(trace: &Trace, setup: &Setup) -> Option<Self> {
        if !Self::is_to_be_had(trace, setup) {
            return None;
        }
        let malloc = setup.malloc;
        let word_bytes = setup.profile.pointer_bytes;
        let hooks = malloc.is_debug().then_some(debug_hooks::Layout { word_bytes });
        let mut layout =
            Self { profile: setup.profile.clone(), hooks, windows: Vec::new(), pools: Vec::new() };
        let (pool_size, arena_size) = (setup.profile.pool_size, setup.profile.arena_size);
        let mut pools = Pools::new(pool_size, setup.profile.alignment);
        for index in 0..trace.len() as usize {
            let op = trace.packed(index);
            if matches!(op.kind, Kind::Free | Kind::FreeKeep | Kind::Act) {
                continue;
            }
            let Some(addr) = trace.address_of(index) else { continue };
            match layout.place_of(op, addr) {
                Some((place, pool, class)) => {
                    pools.note(pool.0, place.bytes_from(pool), layout.profile.block_size(class));
                }
                None => pools.note_foreign(addr.0),
            }
        }
        let told = pools.told();
        layout.pools = told.keys().copied().map(Addr).collect();
        layout.windows = windows::of(&told, pool_size, arena_size);
        Some(layout)
    }

    /// The pool, and the class, of a block that an operation left at an address; `None` where pymalloc's pools have no such place.
    pub fn pool_of(&self, op: Packed, addr: Addr) -> Option<(Addr, SizeClass)> {
        self.place_of(op, addr).map(|(_, pool, class)| (pool, class))
    }

    /// The same with where the block begins, header of debug hooks included.
    pub fn place_of(&self, op: Packed, addr: Addr) -> Option<(Addr, Addr, SizeClass)> {
        let (profile, class) = (&self.profile, self.class_of(op)?);
        // Debug hooks give the program a pointer behind the block's size and id.
        let start = self.hooks.map_or(addr, |hooks| hooks.inner(addr)).0;
        let pool = start & !(profile.pool_size - 1);
        let offset = (start - pool).checked_sub(profile.pool_overhead())?;
        let block = profile.block_size(class);
        (offset.is_multiple_of(block) && offset / block < profile.num_blocks(class)).then_some((
            Addr(start),
            Addr(pool),
            class,
        ))
    }

    /// Whether pymalloc would serve an operation.
    pub fn is_small(&self, op: Packed) -> bool {
        self.class_of(op).is_some()
    }

    fn class_of(&self, op: Packed) -> Option<SizeClass> {
        let bytes = op.size.checked_add(self.hooks.map_or(0, debug_hooks::Layout::extra))?;
        // As in pymalloc, which leaves a request for nothing to the C library.
        let small = op.domain != Domain::Raw && (1..=self.profile.small_request_threshold).contains(&bytes);
        small.then(|| SizeClass(((bytes - 1) / self.profile.alignment) as u16))
    }

    /// The arena that holds a pool, by number: in the order of addresses.
    pub fn arena_of(&self, pool: Addr) -> Option<usize> {
        let at = self.windows.partition_point(|window| window.base <= pool.0).checked_sub(1)?;
        self.windows.get(at).is_some_and(|w| pool.0 - w.base < self.profile.arena_size).then_some(at)
    }

    /// Where the pools of each arena begin, as far as they tell, in order.
    pub fn bases(&self) -> impl ExactSizeIterator<Item = Addr> + '_ {
        self.windows.iter().map(|window| Addr(window.base))
    }

    /// Where the pools of an arena begin.
    pub fn base_of(&self, arena: usize) -> Option<Addr> {
        self.windows.get(arena).map(|window| Addr(window.base))
    }

    /// Arenas in all.
    pub fn arenas(&self) -> usize {
        self.windows.len()
    }

    /// Whether it is certain where an arena begins and ends: all its pools were carved while recorded, one after the other.
    pub fn is_certain(&self, arena: usize) -> bool {
        self.windows.get(arena).is_some_and(|window| window.certain)
    }

    /// Places for pools in an arena, as far as is told.
    pub fn pools_of(&self, arena: usize) -> u32 {
        self.windows.get(arena).map_or(0, |window| window.pools)
    }

    /// Places for pools in any arena at most.
    pub fn pools_of_arena(&self) -> u32 {
        (self.profile.arena_size / self.profile.pool_size) as u32
    }

    /// Pools in which a block was ever seen.
    pub fn pools(&self) -> u64 {
        self.pools.len() as u64
    }

    /// Whether a block was ever seen in a pool.
    pub fn has_pool(&self, pool: Addr) -> bool {
        self.pools.binary_search(&pool).is_ok()
    }

    /// The constants of the build.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
}
