//! The whole stack assembled: entry points, pymalloc and the C library, applied one operation at a time.

use crate::addr::Slot;
use crate::arena::{ArenaBackend, RawId, SimArenas, Target};
use crate::event::{Event, NullReason, Observer};
use crate::profile::{Profile, ProfileError};
use crate::pymalloc::{Pymalloc, Realloc, Violation};
use crate::raw::RawModel;
use crate::tape::{Domain, Kind, Packed};

/// `CPython`'s allocator stack with a program's pointers.
#[derive(Clone, Debug)]
pub struct Machine<A: ArenaBackend = SimArenas> {
    pymalloc: Pymalloc<A>,
    raw: RawModel,
    pointers: Vec<A::Ptr>,
    py_ssize_t_max: u64,
}

impl Machine<SimArenas> {
    /// A pristine stack over simulated arenas, for a trace that uses `slots` slots.
    pub fn simulated(profile: &Profile, slots: u32) -> Result<Self, ProfileError> {
        profile.validate()?;
        Ok(Self::new(profile, SimArenas::new(profile), slots))
    }

    /// Bytes that the simulated state takes: memory, tables, the C library's blocks and the pointers.
    pub fn state_bytes(&self) -> u64 {
        self.pymalloc.memory().state_bytes()
            + self.pymalloc.table_bytes()
            + self.raw.state_bytes()
            + (self.pointers.capacity() * 4) as u64
    }
}

impl<A: ArenaBackend> Machine<A> {
    /// A pristine stack over `memory`. The profile must have passed [`Profile::validate`].
    pub fn new(profile: &Profile, memory: A, slots: u32) -> Self {
        Self {
            pymalloc: Pymalloc::new(profile, memory),
            raw: RawModel::default(),
            pointers: vec![A::Ptr::default(); slots as usize],
            py_ssize_t_max: profile.py_ssize_t_max(),
        }
    }

    /// The small-block allocator.
    pub fn pymalloc(&self) -> &Pymalloc<A> {
        &self.pymalloc
    }

    /// The C library.
    pub fn raw(&self) -> &RawModel {
        &self.raw
    }

    /// What a slot's pointer is.
    pub fn target(&self, slot: Slot) -> Target<A::Block> {
        A::target(self.pointers[slot.0 as usize])
    }

    /// All slots whose pointer is not NULL.
    pub fn live(&self) -> impl Iterator<Item = (Slot, Target<A::Block>)> + '_ {
        (0..)
            .map(Slot)
            .zip(self.pointers.iter().map(|&p| A::target(p)))
            .filter(|(_, t)| !matches!(t, Target::Null))
    }

    /// Does one operation and returns the pointer that the call returned (NULL for free).
    #[inline]
    pub fn apply<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        let at = op.slot.0 as usize;
        match op.kind {
            Kind::Malloc | Kind::Calloc => {
                let ptr = self.malloc(op.domain, op.size, observer);
                self.pointers[at] = ptr;
                ptr
            }
            Kind::Realloc => self.realloc(op, observer),
            Kind::Free => {
                if op.null {
                    observer.event(Event::FreeOfNull);
                } else {
                    let ptr = std::mem::take(&mut self.pointers[at]);
                    self.free(op.domain, ptr, observer);
                }
                A::Ptr::default()
            }
        }
    }

    /// Checks the whole heap and that the program's pointers and the heap agree.
    pub fn verify(&self) -> Result<(), Violation> {
        self.pymalloc.verify()?;
        let bad = |detail: String| Err(Violation { rule: "pointers", detail });
        let memory = self.pymalloc.memory();
        let (mut blocks, mut raw) = (0_u64, 0_u64);
        let mut seen = std::collections::BTreeSet::new();
        for (slot, target) in self.live() {
            match target {
                Target::Block(block) => {
                    blocks += 1;
                    let addr = memory.block_addr(block);
                    if !self.pymalloc.address_in_range(addr) || !seen.insert(addr) {
                        return bad(format!("{slot:?} holds {addr}, which is free or another's"));
                    }
                }
                Target::Raw(_) => raw += 1,
                Target::Null => {}
            }
        }
        let used: u64 = (0..self.pymalloc.arenas().len() as u32)
            .filter(|&i| self.pymalloc.arenas()[i as usize].address.is_some())
            .flat_map(|i| self.pymalloc.carved_pools(i))
            .map(|p| u64::from(memory.header(p).ref_count))
            .sum();
        if used != blocks || raw != self.raw.live_blocks() {
            return bad(format!(
                "{used} blocks used for {blocks} pointers, {} raw for {raw}",
                self.raw.live_blocks()
            ));
        }
        for arena in (0..self.pymalloc.arenas().len() as u32)
            .filter(|&i| self.pymalloc.arenas()[i as usize].address.is_some())
        {
            for pool in self.pymalloc.carved_pools(arena) {
                if let Some(block) =
                    self.pymalloc.free_list(pool).find(|&b| seen.contains(&memory.block_addr(b)))
                {
                    return bad(format!("{} is live and on a free list", memory.block_addr(block)));
                }
            }
        }
        Ok(())
    }

    /// `PyMem_RawMalloc`, `PyMem_Malloc` or `PyObject_Malloc`; calloc differs in contents only.
    #[inline]
    fn malloc<O: Observer>(&mut self, domain: Domain, nbytes: u64, observer: &mut O) -> A::Ptr {
        if nbytes > self.py_ssize_t_max {
            observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return A::Ptr::default();
        }
        if domain == Domain::Raw {
            return self.raw_malloc(nbytes, false, observer);
        }
        self.pymalloc_malloc(nbytes, observer)
    }

    /// `_PyObject_Malloc`: pymalloc, or RAW where it serves nothing.
    #[inline]
    fn pymalloc_malloc<O: Observer>(&mut self, nbytes: u64, observer: &mut O) -> A::Ptr {
        if let Some(block) = self.pymalloc.alloc(nbytes, observer) {
            return A::pack_block(block);
        }
        self.pymalloc.raw_allocated_blocks += 1;
        self.raw_malloc(nbytes, true, observer)
    }

    fn raw_malloc<O: Observer>(&mut self, nbytes: u64, for_pymalloc: bool, observer: &mut O) -> A::Ptr {
        let id = self.raw.malloc(nbytes);
        if O::ENABLED {
            let label = self.raw.get(id).label;
            observer.event(Event::RawAllocated { label, nbytes, for_pymalloc });
        }
        A::pack_raw(id)
    }

    /// `PyMem_RawFree`, `PyMem_Free` or `PyObject_Free`.
    #[inline]
    fn free<O: Observer>(&mut self, domain: Domain, ptr: A::Ptr, observer: &mut O) {
        match A::target(ptr) {
            Target::Null => observer.event(Event::FreeOfNull),
            Target::Block(block) => {
                if O::ENABLED {
                    let addr = self.pymalloc.memory().block_addr(block);
                    observer
                        .event(Event::AddressInRange { addr, owned: self.pymalloc.address_in_range(addr) });
                }
                self.pymalloc.free(block, observer);
            }
            Target::Raw(id) => self.raw_free(domain, id, observer),
        }
    }

    fn raw_free<O: Observer>(&mut self, domain: Domain, id: RawId, observer: &mut O) {
        let for_pymalloc = domain != Domain::Raw;
        let block = self.raw.free(id);
        if for_pymalloc {
            self.pymalloc.raw_allocated_blocks -= 1;
            observer.event(Event::AddressInRange { addr: crate::Addr(0), owned: false });
        }
        observer.event(Event::RawFreed { label: block.label, nbytes: block.nbytes, for_pymalloc });
    }

    /// `PyMem_RawRealloc`, `PyMem_Realloc` or `PyObject_Realloc`.
    fn realloc<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        let (at, nbytes) = (op.slot.0 as usize, op.size);
        if nbytes > self.py_ssize_t_max {
            // The old block stays, and the trace's new name stands for it.
            observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return A::Ptr::default();
        }
        let old = self.pointers[at];
        let new = match A::target(old) {
            Target::Null => {
                observer.event(Event::ReallocOfNull);
                self.malloc(op.domain, nbytes, observer)
            }
            Target::Raw(id) => {
                if op.domain != Domain::Raw {
                    observer.event(Event::AddressInRange { addr: crate::Addr(0), owned: false });
                }
                let before = self.raw.realloc(id, nbytes);
                observer.event(Event::RawResized { label: before.label, from: before.nbytes, nbytes });
                old
            }
            Target::Block(block) => self.pymalloc_realloc(block, nbytes, observer),
        };
        self.pointers[at] = new;
        new
    }

    /// `pymalloc_realloc` of a block in a pool: the new block is taken before the old one is freed.
    fn pymalloc_realloc<O: Observer>(&mut self, block: A::Block, nbytes: u64, observer: &mut O) -> A::Ptr {
        let addr = self.pymalloc.memory().block_addr(block);
        if O::ENABLED {
            observer.event(Event::AddressInRange { addr, owned: self.pymalloc.address_in_range(addr) });
        }
        match self.pymalloc.realloc_decision(block, nbytes) {
            Realloc::InPlace { block_size } => {
                observer.event(Event::ReallocInPlace { block: addr, block_size, nbytes });
                A::pack_block(block)
            }
            Realloc::Move { block_size, copied } => {
                observer.event(Event::ReallocMoves { block: addr, block_size, nbytes, copied });
                let new = self.pymalloc_malloc(nbytes, observer);
                self.pymalloc.free(block, observer);
                new
            }
        }
    }
}
