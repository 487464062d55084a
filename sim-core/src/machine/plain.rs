//! Calls of the plain stack: pymalloc, and behind it the C library, with no table in between.

use super::Machine;
use crate::addr::Addr;
use crate::arena::{ArenaBackend, RawId, Target};
use crate::domains::Domain;
use crate::event::{Event, NullReason, Observer};
use crate::pymalloc::Realloc;
use crate::tape::{Kind, Packed};

impl<A: ArenaBackend> Machine<A> {
    #[inline]
    pub(super) fn apply_plain<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        let at = op.slot.0 as usize;
        match op.kind {
            Kind::Malloc | Kind::Calloc => {
                let ptr = self.malloc(op.domain, op.size, observer);
                self.pointers.replace(at, ptr);
                ptr
            }
            Kind::Realloc => self.realloc(op, observer),
            Kind::Free | Kind::FreeKeep => {
                if op.null {
                    observer.event(Event::FreeOfNull);
                } else {
                    let ptr = self.pointers.replace(at, A::Ptr::default());
                    self.free(op.domain, ptr, observer);
                }
                A::Ptr::default()
            }
            Kind::Act => A::Ptr::default(),
        }
    }

    /// `PyMem_RawMalloc`, `PyMem_Malloc` or `PyObject_Malloc`; calloc differs in contents only.
    #[inline]
    fn malloc<O: Observer>(&mut self, domain: Domain, nbytes: u64, observer: &mut O) -> A::Ptr {
        // No small request is over PY_SSIZE_T_MAX, so that check can wait.
        if domain != Domain::Raw
            && self.pymalloc.size_class(nbytes).is_some()
            && let Some(block) = self.pymalloc.alloc(nbytes, observer)
        {
            return A::pack_block(block);
        }
        self.malloc_elsewhere(domain, nbytes, observer)
    }

    /// What pymalloc has not served goes to RAW.
    #[inline(never)]
    fn malloc_elsewhere<O: Observer>(&mut self, domain: Domain, nbytes: u64, observer: &mut O) -> A::Ptr {
        if nbytes > self.py_ssize_t_max {
            observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return A::Ptr::default();
        }
        if domain == Domain::Raw {
            return self.raw_malloc(nbytes, false, observer);
        }
        if self.pymalloc.size_class(nbytes).is_none() {
            observer.event(Event::NotSmall { nbytes });
        }
        let ptr = self.raw_malloc(nbytes, true, observer);
        if !matches!(A::target(ptr), Target::Null) {
            self.pymalloc.raw_allocated_blocks += 1;
        }
        ptr
    }

    /// `_PyObject_Malloc` for a realloc that moves, which no request over `PY_SSIZE_T_MAX` reaches.
    fn pymalloc_malloc<O: Observer>(&mut self, nbytes: u64, observer: &mut O) -> A::Ptr {
        self.malloc(Domain::Obj, nbytes, observer)
    }

    pub(super) fn raw_malloc<O: Observer>(
        &mut self,
        nbytes: u64,
        for_pymalloc: bool,
        observer: &mut O,
    ) -> A::Ptr {
        let Some(id) = self.raw.malloc(nbytes) else {
            observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return A::Ptr::default();
        };
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

    #[inline(never)]
    pub(super) fn raw_free<O: Observer>(&mut self, domain: Domain, id: RawId, observer: &mut O) {
        let for_pymalloc = domain != Domain::Raw;
        let block = self.raw.free(id);
        if for_pymalloc {
            self.pymalloc.raw_allocated_blocks -= 1;
            observer.event(Event::AddressInRange { addr: Addr(0), owned: false });
        }
        observer.event(Event::RawFreed { label: block.label, nbytes: block.nbytes, for_pymalloc });
    }

    /// `PyMem_RawRealloc`, `PyMem_Realloc` or `PyObject_Realloc`.
    #[inline(never)]
    fn realloc<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        let (at, nbytes) = (op.slot.0 as usize, op.size);
        if nbytes > self.py_ssize_t_max {
            // The old block stays, and the trace's new name stands for it.
            observer.event(Event::ReturnedNull { reason: NullReason::OverSsizeMax });
            return A::Ptr::default();
        }
        let old = self.pointers.get(at);
        let new = match A::target(old) {
            Target::Null => {
                observer.event(Event::ReallocOfNull);
                Some(self.malloc(op.domain, nbytes, observer))
            }
            Target::Raw(id) => {
                if op.domain != Domain::Raw {
                    observer.event(Event::AddressInRange { addr: Addr(0), owned: false });
                }
                self.raw_realloc(id, nbytes, observer).map(|()| old)
            }
            Target::Block(block) => self.pymalloc_realloc(block, nbytes, observer),
        };
        // A realloc that gave NULL leaves the program with its old block.
        new.map_or_else(A::Ptr::default, |new| {
            self.pointers.replace(at, new);
            new
        })
    }

    /// `realloc` of the C library's; `None` when it has no memory.
    pub(super) fn raw_realloc<O: Observer>(
        &mut self,
        id: RawId,
        nbytes: u64,
        observer: &mut O,
    ) -> Option<()> {
        let Some(before) = self.raw.realloc(id, nbytes) else {
            observer.event(Event::ReturnedNull { reason: NullReason::OutOfMemory });
            return None;
        };
        observer.event(Event::RawResized { label: before.label, from: before.nbytes, nbytes });
        Some(())
    }

    /// `pymalloc_realloc` of a block in a pool: the new block is taken before the old one is freed. `None` when there is
    /// no new one, and the old one stays.
    fn pymalloc_realloc<O: Observer>(
        &mut self,
        block: A::Block,
        nbytes: u64,
        observer: &mut O,
    ) -> Option<A::Ptr> {
        let addr = self.pymalloc.memory().block_addr(block);
        if O::ENABLED {
            observer.event(Event::AddressInRange { addr, owned: self.pymalloc.address_in_range(addr) });
        }
        match self.pymalloc.realloc_decision(block, nbytes) {
            Realloc::InPlace { block_size } => {
                observer.event(Event::ReallocInPlace { block: addr, block_size, nbytes });
                Some(A::pack_block(block))
            }
            Realloc::Move { block_size, copied } => {
                observer.event(Event::ReallocMoves { block: addr, block_size, nbytes, copied });
                let new = self.pymalloc_malloc(nbytes, observer);
                if matches!(A::target(new), Target::Null) {
                    return None;
                }
                self.pymalloc.free(block, observer);
                Some(new)
            }
        }
    }
}
