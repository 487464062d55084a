//! Arenas and pools as recorded addresses imply them.
//!
//! A recording has the addresses of blocks and not those of arenas. A pool is a window of the address space in which blocks of a
//! class lie at their places; arenas are told from the pools: the fewest windows of an arena's size that hold all pools in which a block
//! was ever seen. There were never fewer arenas than that. An arena none of whose blocks was recorded is not known, and
//! neither are free lists.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim_core::debug_hooks;
use sim_core::domains::{AllocatorName, Build};
use sim_core::tape::Packed;
use sim_core::{Addr, Domain, Kind, Profile, SizeClass, Trace};

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
    bases: Vec<u64>,
    pools: u64,
}

impl Layout {
    /// Of all of a trace that has addresses; `None` where it has none, or where no pymalloc served it.
    pub fn of(trace: &Trace, setup: &Setup) -> Option<Self> {
        let malloc = setup.malloc;
        let elsewhere = matches!(malloc, AllocatorName::Malloc | AllocatorName::MallocDebug)
            || malloc.is_mimalloc(Build::from(&setup.profile));
        if elsewhere || !trace.has_addresses() {
            return None;
        }
        let word_bytes = setup.profile.pointer_bytes;
        let hooks = malloc.is_debug().then_some(debug_hooks::Layout { word_bytes });
        let mut layout = Self { profile: setup.profile.clone(), hooks, bases: Vec::new(), pools: 0 };
        let mut pools = BTreeSet::new();
        let mut last = None;
        for index in 0..trace.len() as usize {
            let op = trace.packed(index);
            if matches!(op.kind, Kind::Free | Kind::FreeKeep | Kind::Act) {
                continue;
            }
            let pool = trace.address_of(index).and_then(|addr| layout.pool_of(op, addr)).map(|found| found.0);
            if pool.is_some() && pool != last {
                pools.extend(pool);
                last = pool;
            }
        }
        layout.pools = pools.len() as u64;
        // A window begins with the lowest pool that those before do not hold.
        for pool in pools {
            if layout.bases.last().is_none_or(|base| pool.0 - base >= layout.profile.arena_size) {
                layout.bases.push(pool.0);
            }
        }
        Some(layout)
    }

    /// The pool, and the class, of a block that an operation left at an address; `None` where pymalloc's pools have no such place.
    pub fn pool_of(&self, op: Packed, addr: Addr) -> Option<(Addr, SizeClass)> {
        let (profile, class) = (&self.profile, self.class_of(op)?);
        // Debug hooks give the program a pointer behind the block's size and id.
        let start = self.hooks.map_or(addr, |hooks| hooks.inner(addr)).0;
        let pool = start & !(profile.pool_size - 1);
        let offset = (start - pool).checked_sub(profile.pool_overhead())?;
        let block = profile.block_size(class);
        (offset.is_multiple_of(block) && offset / block < profile.num_blocks(class))
            .then_some((Addr(pool), class))
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
        let at = self.bases.partition_point(|base| *base <= pool.0).checked_sub(1)?;
        self.bases.get(at).is_some_and(|base| pool.0 - base < self.profile.arena_size).then_some(at)
    }

    /// Where each arena begins, as far as its pools tell, in order.
    pub fn bases(&self) -> &[u64] {
        &self.bases
    }

    /// Pools in which a block was ever seen.
    pub fn pools(&self) -> u64 {
        self.pools
    }

    /// The constants of the build.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
}
