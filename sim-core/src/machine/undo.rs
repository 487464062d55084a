//! Operations of a plain run done so that they can be taken back one by one.
//!
//! Going back from a saved state costs what the operations since cost; taking one back costs what it wrote.

use super::Machine;
use crate::arena::{ArenaBackend as _, LogPosition, SimArenas, SimPtr, Target, WriteLog};
use crate::event::Event;
use crate::pymalloc::{Beside, Changed};
use crate::raw::RawBefore;
use crate::tape::{Kind, Trace};

/// Operations in a row that can be taken back, the last one first. It belongs to one machine and must hear of
/// every operation between two that it knows.
#[derive(Debug, Default)]
pub(crate) struct UndoLog {
    done: Vec<Done>,
    writes: Option<Box<WriteLog>>,
    /// As after the last operation.
    beside: Option<Beside>,
    /// Bytes of what `done` points to.
    bytes: u64,
}

/// One operation.
#[derive(Debug)]
struct Done {
    slot: usize,
    /// The slot's pointer before; `None` where the operation has no slot.
    pointer: Option<SimPtr>,
    raw: RawBefore,
    raw_allocated_blocks: i64,
    writes: LogPosition,
    changed: Changed,
}

impl UndoLog {
    /// Operations that can be taken back.
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        let writes = self.writes.as_ref().map_or(0, |w| w.bytes());
        (size_of_val(self.done.as_slice()) + writes) as u64 + self.bytes
    }

    /// Forgets all operations.
    pub(crate) fn clear(&mut self) {
        self.forget_first(self.done.len());
        self.beside = None;
    }

    /// Forgets the first `count` operations.
    pub(crate) fn forget_first(&mut self, count: usize) {
        self.bytes -= self.done.drain(..count).map(|d| d.changed.bytes()).sum::<u64>();
        let Some(writes) = &mut self.writes else { return };
        let start = self.done.first().map_or_else(|| writes.position(), |d| d.writes);
        writes.forget_before(start);
        for done in &mut self.done {
            done.writes = done.writes.after(start);
        }
    }
}

impl Machine<SimArenas> {
    /// Whether operations can be taken back: not those of layers and of mimalloc.
    pub(crate) fn can_undo(&self) -> bool {
        self.plain
    }

    /// [`Machine::step`] of a plain run, so that [`Machine::undo`] can take it back. `events` must be empty.
    pub(crate) fn step_undoable(
        &mut self,
        trace: &Trace,
        index: usize,
        events: &mut Vec<Event>,
        log: &mut UndoLog,
    ) -> SimPtr {
        let op = trace.packed(index);
        let slot = op.slot.0 as usize;
        let pointer = self.pointers.as_slice().get(slot).copied();
        let passed = match (op.kind, pointer.map(SimArenas::target)) {
            (Kind::Realloc | Kind::Free | Kind::FreeKeep, Some(Target::Raw(id))) => Some(id),
            _ => None,
        };
        let mut beside = log.beside.take().unwrap_or_else(|| self.pymalloc.beside());
        let writes = log.writes.take().unwrap_or_default();
        let mut done = Done {
            slot,
            pointer,
            raw: self.raw.before(passed),
            raw_allocated_blocks: self.pymalloc.raw_allocated_blocks,
            writes: writes.position(),
            changed: Changed::Nothing,
        };
        self.pymalloc.memory_mut().log_to(Some(writes));
        let returned = self.apply_plain(op, events);
        log.writes = self.pymalloc.memory_mut().log_to(None);
        done.changed = self.pymalloc.changes(&mut beside, events);
        log.beside = Some(beside);
        log.bytes += done.changed.bytes();
        log.done.push(done);
        returned
    }

    /// Takes back the last operation that `log` knows; false when it knows none.
    pub(crate) fn undo(&mut self, log: &mut UndoLog) -> bool {
        let (Some(done), Some(beside)) = (log.done.pop(), &mut log.beside) else { return false };
        log.bytes -= done.changed.bytes();
        if let Some(pointer) = done.pointer {
            self.pointers.replace(done.slot, pointer);
        }
        self.raw.take_back(&done.raw);
        if let Some(writes) = &mut log.writes {
            self.pymalloc.memory_mut().take_back(writes, done.writes);
        }
        self.pymalloc.take_back(done.changed, beside);
        self.pymalloc.raw_allocated_blocks = done.raw_allocated_blocks;
        true
    }
}
