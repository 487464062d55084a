//! What a replay needs of a machine, whatever memory its arenas lie in.

use anyhow::{Result, ensure};
use mmap_arenas::MmapMachine;
use session::Setup;
use sim_core::report::{ArenaEvents, Placement, Summary, malloc_stats};
use sim_core::{Machine, Profile, Trace};

use super::output::grouped;

/// The allocator stack over one kind of arenas.
pub(super) trait Run: Sized {
    /// What `--backend` calls it.
    const BACKEND: &'static str;

    /// At the beginning, for a trace or its first piece.
    fn set_up(setup: &Setup, trace: &Trace) -> Result<Self>;
    /// To be called before each piece of a trace: makes room, and refuses what it cannot do.
    fn prepare(&mut self, piece: &Trace) -> Result<()>;
    /// The address space for arenas, in bytes.
    fn address_space_bytes(profile: &Profile) -> u64;
    /// Does the operation after `index` others.
    fn step(&mut self, trace: &Trace, index: usize);
    /// Does the first operations of a piece, as [`Self::step`] does one.
    fn run(&mut self, trace: &Trace, steps: usize) {
        (0..steps).for_each(|index| self.step(trace, index));
    }
    /// Does one and says where its block landed.
    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents) -> Placement;
    /// Whether an arena was refused for want of address space.
    fn out_of_space(&self) -> bool;
    /// The self-check.
    fn verify(&self) -> Result<()>;
    /// The state in numbers.
    fn summary(&self) -> Summary;
    /// Bytes that the state takes.
    fn state_bytes(&self) -> u64;
    /// What `_PyObject_DebugMallocStats` prints: nothing while OBJ is not seen to be pymalloc's.
    fn debugmallocstats(&self) -> String;
    /// The simulated machine, which alone has layers.
    fn simulated(&self) -> Option<&Machine> {
        None
    }
    /// The same, to be run with events.
    fn simulated_mut(&mut self) -> Option<&mut Machine> {
        None
    }
    /// Whether the process would have ended.
    fn has_stopped(&self) -> bool {
        self.simulated().is_some_and(|machine| machine.stopped().is_some())
    }
}

impl Run for Machine {
    const BACKEND: &'static str = "sim";

    fn set_up(setup: &Setup, trace: &Trace) -> Result<Self> {
        Ok(setup.machine(trace)?)
    }

    fn prepare(&mut self, piece: &Trace) -> Result<()> {
        ensure!(
            self.layers().is_some() || !piece.needs_layers(),
            "an action or a kept free comes after the first {} operations, where the run has no layers any more; \
             give --malloc default",
            grouped(piece.first())
        );
        self.check_piece(piece)?;
        self.grow(piece.slot_count());
        Ok(())
    }

    fn address_space_bytes(profile: &Profile) -> u64 {
        profile.alignment << 31
    }

    #[inline]
    fn step(&mut self, trace: &Trace, index: usize) {
        self.step(trace, index, &mut ());
    }

    fn run(&mut self, trace: &Trace, steps: usize) {
        self.run(trace, 0, steps);
    }

    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents) -> Placement {
        let pointer = self.step(trace, index, events);
        Placement::of(self, pointer)
    }

    fn out_of_space(&self) -> bool {
        self.pymalloc().memory().out_of_space()
    }

    fn verify(&self) -> Result<()> {
        Ok(self.verify()?)
    }

    fn summary(&self) -> Summary {
        Summary::of(self)
    }

    fn state_bytes(&self) -> u64 {
        self.state_bytes()
    }

    fn debugmallocstats(&self) -> String {
        malloc_stats(self)
    }

    fn simulated(&self) -> Option<&Machine> {
        Some(self)
    }

    fn simulated_mut(&mut self) -> Option<&mut Machine> {
        Some(self)
    }
}

impl Run for MmapMachine {
    const BACKEND: &'static str = "mmap";

    fn set_up(setup: &Setup, trace: &Trace) -> Result<Self> {
        Ok(Self::for_trace(&setup.profile, trace, Some(setup.malloc))?)
    }

    fn prepare(&mut self, piece: &Trace) -> Result<()> {
        Ok(self.prepare(piece)?)
    }

    fn address_space_bytes(_profile: &Profile) -> u64 {
        Self::ADDRESS_SPACE_BYTES
    }

    #[inline]
    fn step(&mut self, trace: &Trace, index: usize) {
        self.step(trace, index);
    }

    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents) -> Placement {
        self.place(trace, index, events)
    }

    fn out_of_space(&self) -> bool {
        self.out_of_space()
    }

    fn verify(&self) -> Result<()> {
        Ok(self.verify()?)
    }

    fn summary(&self) -> Summary {
        self.summary()
    }

    fn state_bytes(&self) -> u64 {
        self.state_bytes()
    }

    fn debugmallocstats(&self) -> String {
        self.debugmallocstats()
    }
}
