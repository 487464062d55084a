//! Calls through tables, over contents: what a run with [`Layers`](super::Layers) does.

use super::{Fatal, Machine, stack};
use crate::addr::{Addr, Slot};
use crate::arena::ArenaBackend;
use crate::event::Observer;
use crate::tape::{Kind, Packed};

impl<A: ArenaBackend> Machine<A> {
    pub(super) fn stack<'a, O: Observer>(
        &'a mut self,
        observer: &'a mut O,
    ) -> Option<stack::Stack<'a, A, O>> {
        Some(stack::Stack {
            pymalloc: &mut self.pymalloc,
            raw: &mut self.raw,
            mimalloc: self.mimalloc.as_deref_mut(),
            layers: self.layers.as_deref_mut()?,
            observer,
            py_ssize_t_max: self.py_ssize_t_max,
            depth: 0,
            reallocs: 0,
        })
    }

    /// Does something that is no call of the program's, and stops the machine if it ended the process.
    pub(super) fn with_stack<O: Observer>(
        &mut self,
        observer: &mut O,
        run: impl FnOnce(&mut stack::Stack<'_, A, O>) -> Result<(), Fatal>,
    ) {
        let Some(mut stack) = self.stack(observer) else { return };
        let done = run(&mut stack);
        stack.read_back();
        if let Err(fatal) = done {
            self.stopped = Some(Box::new(fatal));
        }
    }

    /// [`Machine::apply`] through tables.
    #[cold]
    pub(super) fn apply_layered<O: Observer>(&mut self, op: Packed, observer: &mut O) -> A::Ptr {
        if self.layers.is_none() || self.stopped.is_some() {
            return A::Ptr::default();
        }
        let at = op.slot.0 as usize;
        let Some(mut stack) = self.stack(observer) else { return A::Ptr::default() };
        stack.layers.begin_step();
        // A tape of nothing but free(NULL) has no slot.
        let old = stack.layers.pointers.get(at).copied().unwrap_or_default();
        let uses_old = !op.null && matches!(op.kind, Kind::Realloc | Kind::Free | Kind::FreeKeep);
        if uses_old && stack.layers.kept.contains(&op.slot) {
            stack.break_heap();
        }
        let done = match op.kind {
            Kind::Malloc => stack.malloc(op.domain, op.size),
            Kind::Calloc => stack.calloc(op.domain, op.size),
            Kind::Realloc => stack.realloc(op.domain, if op.null { Addr(0) } else { old }, op.size),
            Kind::Free | Kind::FreeKeep => {
                let p = if op.null { Addr(0) } else { old };
                stack.free(op.domain, p).map(|()| Addr(0))
            }
            Kind::Act => Ok(Addr(0)),
        };
        stack.read_back();
        let returned = *done.as_ref().unwrap_or(&Addr(0));
        let passed = if op.null || matches!(op.kind, Kind::Malloc | Kind::Calloc) { Addr(0) } else { old };
        if let Some(run) = self.mimalloc.as_deref_mut() {
            run.returned_addr = returned;
        }
        let Some(layers) = self.layers.as_deref_mut() else { return A::Ptr::default() };
        layers.returned = returned;
        if let Some(p) = [returned, passed].into_iter().find(|p| *p != Addr(0)) {
            layers.touched = p;
        }
        if let Some(all) = self.interpreters.as_deref_mut() {
            all.note_arenas(self.pymalloc.counters());
        }
        match done {
            Err(fatal) => {
                self.stopped = Some(Box::new(fatal));
                A::Ptr::default()
            }
            Ok(p) => {
                // A realloc that gave NULL leaves the program with its old pointer.
                let keeps_old = match op.kind {
                    Kind::Realloc => p == Addr(0),
                    Kind::Free => op.null,
                    Kind::FreeKeep | Kind::Act => true,
                    Kind::Malloc | Kind::Calloc => false,
                };
                if !keeps_old {
                    layers.pointers[at] = p;
                    layers.kept.remove(&op.slot);
                }
                if op.kind == Kind::FreeKeep && !op.null {
                    layers.kept.insert(op.slot);
                }
                let ptr = self.packed_pointer(p);
                if !keeps_old {
                    self.pointers.replace(at, ptr);
                }
                ptr
            }
        }
    }

    /// The program writes `bytes` at `offset` from the pointer in a slot: into its block, over its ends,
    /// or into a block it no longer owns. Needs layers; without them there are no bytes.
    pub fn poke(&mut self, slot: Slot, offset: i64, bytes: &[u8]) {
        let Some(layers) = self.layers.as_deref_mut() else { return };
        if self.stopped.is_some() {
            return;
        }
        let p = layers.pointers[slot.0 as usize];
        layers.touched = p;
        let (at, kept) = (layers.layout.at(p, offset as u64), layers.kept.contains(&slot));
        self.with_stack(&mut (), |stack| stack.poke(p, kept, at, bytes));
        for i in 0..bytes.len() as u64 {
            self.mimalloc_link_was_written(at.offset(i));
        }
    }

    /// A pointer as blocks are named: the alignment unit it points to, or the C library's block around it.
    pub(super) fn packed_pointer(&self, p: Addr) -> A::Ptr {
        let Some(layers) = &self.layers else { return A::Ptr::default() };
        if p != Addr(0) && self.pymalloc.address_in_range(p) {
            return A::pack_block(self.pymalloc.block_at(p));
        }
        layers.libc().around(&self.raw, p).map_or_else(A::Ptr::default, A::pack_raw)
    }
}
