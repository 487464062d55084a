//! The plain stack over arenas in memory, to replay a trace.

use sim_core::domains::AllocatorName;
use sim_core::event::Observer;
use sim_core::pymalloc::Violation;
use sim_core::report::{Placement, Summary, debugmallocstats};
use sim_core::{Addr, Machine, Profile, ProfileError, Trace};
use thiserror::Error;

use crate::arenas::MmapArenas;
use crate::pointer::MmapPtr;
use crate::source::{ReserveError, WINDOW_BYTES};

/// What arenas in memory are not for. [`Self::runs_simulated`] says whether simulated ones are.
#[derive(Debug, Error)]
pub enum Unsupported {
    /// The profile's fields do not fit together.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A 32-bit build.
    #[error("arenas in memory hold this program's own 64-bit pointers; 32-bit builds run simulated only")]
    PointerBytes,
    /// Debug hooks and the like.
    #[error(
        "PYTHONMALLOC={name} has layers over pymalloc, which need contents that a trace does not bring; \
             they run simulated only"
    )]
    Layers {
        /// What was asked for.
        name: &'static str,
    },
    /// A trace that changes tables or misuses pointers.
    #[error(
        "this trace changes the allocators' tables or misuses pointers, which real memory would not survive; \
             it runs simulated only"
    )]
    Scenario,
    /// Blocks that lie elsewhere already.
    #[error(
        "this trace begins with the picture of a process, whose addresses cannot be had again here; it runs simulated only"
    )]
    Picture,
    /// No address space.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
}

impl Unsupported {
    /// Whether it would run over simulated arenas.
    pub fn runs_simulated(&self) -> bool {
        matches!(self, Self::PointerBytes | Self::Layers { .. } | Self::Scenario | Self::Picture)
    }
}

/// A machine whose arenas lie in memory, placed as the profile says.
///
/// It does what [`Machine`] does without layers, and lends nobody the memory itself: following a pool's
/// address is safe only while its arena lives.
#[derive(Debug)]
pub struct MmapMachine {
    machine: Machine<MmapArenas>,
    slots: u32,
}

impl MmapMachine {
    /// The address space that arenas may take.
    pub const ADDRESS_SPACE_BYTES: u64 = WINDOW_BYTES as u64;

    /// A pristine stack for a trace under its `PYTHONMALLOC`, unless another is given.
    pub fn for_trace(
        profile: &Profile,
        trace: &Trace,
        malloc: Option<AllocatorName>,
    ) -> Result<Self, Unsupported> {
        profile.validate()?;
        if profile.pointer_bytes != 8 {
            return Err(Unsupported::PointerBytes);
        }
        let name = malloc.or(trace.head.malloc).unwrap_or(AllocatorName::Default);
        if profile.mimalloc.free_threaded {
            return Err(Unsupported::Layers { name: "mimalloc" });
        }
        if !matches!(name, AllocatorName::Default | AllocatorName::Pymalloc) {
            return Err(Unsupported::Layers { name: name.name() });
        }
        if trace.needs_layers() {
            return Err(Unsupported::Scenario);
        }
        if trace.origin.picture.is_some() {
            return Err(Unsupported::Picture);
        }
        // SAFETY: the profile is valid and 64-bit. The machine is kept from view; without layers it frees a
        // block when it takes the pointer out of its slot, so once, and writes nothing but links.
        let arenas = unsafe { MmapArenas::placed(profile)? };
        let slots = trace.slot_count();
        Ok(Self { machine: Machine::new(profile, arenas, slots), slots })
    }

    /// Makes room for the next piece of a trace; refuses one with actions.
    pub fn prepare(&mut self, piece: &Trace) -> Result<(), Unsupported> {
        if piece.needs_layers() {
            return Err(Unsupported::Scenario);
        }
        self.slots = self.slots.max(piece.slot_count());
        self.machine.grow(self.slots);
        Ok(())
    }

    /// Does the operation of a trace after `index` others.
    #[inline]
    pub fn step(&mut self, trace: &Trace, index: usize) {
        self.machine.step(trace, index, &mut ());
    }

    /// Does it and says where its block landed.
    pub fn place(&mut self, trace: &Trace, index: usize, observer: &mut impl Observer) -> Placement {
        let pointer = self.machine.step(trace, index, observer);
        Placement::of(&self.machine, pointer)
    }

    /// The arenas that there are, by ordinal, and where they lie.
    pub fn arenas(&self) -> Vec<(u64, Addr)> {
        let mut arenas: Vec<(u64, Addr)> = self.machine.pymalloc().memory().bases().collect();
        arenas.sort_unstable();
        arenas
    }

    /// The state in numbers, with its digest.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.machine)
    }

    /// What `_PyObject_DebugMallocStats` prints.
    pub fn debugmallocstats(&self) -> String {
        debugmallocstats(self.machine.pymalloc())
    }

    /// Checks the whole heap and that the program's pointers and the heap agree.
    pub fn verify(&self) -> Result<(), Violation> {
        self.machine.verify()
    }

    /// Whether an arena was refused because the reserved window was full.
    pub fn out_of_space(&self) -> bool {
        self.machine.pymalloc().memory().out_of_space()
    }

    /// Bytes that the state takes: live arenas, tables, the C library's blocks and the pointers.
    pub fn state_bytes(&self) -> u64 {
        let pymalloc = self.machine.pymalloc();
        pymalloc.memory().live_bytes()
            + pymalloc.table_bytes()
            + self.machine.raw().state_bytes()
            + u64::from(self.slots) * size_of::<MmapPtr>() as u64
    }
}
