//! A tape whose end moves: a pipe shows what has come.
//!
//! The tape that goes on has all operations of the one before, whose rows it shares. The position stays, saved states and index stay and go
//! on, and a search that found nothing looks into what is new.

use std::sync::Arc;

use thiserror::Error;

use super::Replay;
use crate::tape::Trace;

/// Why a replay does not go on with a tape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GrowError {
    /// Operations that were there are not any more.
    #[error(
        "the tape has {operations} operations, of which {known} were there before; give one that goes on"
    )]
    Shorter {
        /// Operations of the tape that was given.
        operations: u64,
        /// Operations of the one before.
        known: u64,
    },
    /// An operation has come, or something has become known of the program, for which the machine is none: the first action
    /// of a scenario, or of mimalloc, or another `PYTHONMALLOC`.
    #[error("what has come needs another machine; begin a new replay of the whole tape")]
    OtherMachine,
}

impl Replay {
    /// Goes on with a longer tape, as [`crate::TraceBuilder::share`] hands them out. After an error everything is as before.
    pub fn grow(&mut self, trace: Arc<Trace>) -> Result<(), GrowError> {
        let (operations, known) = (trace.len(), self.trace.len());
        if operations < known || trace.first() != self.trace.first() {
            return Err(GrowError::Shorter { operations, known });
        }
        if self.needs_another(&trace) {
            return Err(GrowError::OtherMachine);
        }
        let slots = trace.slot_count();
        self.here.grow(slots);
        if let Some(scout) = &mut self.scout {
            scout.tracked.grow(slots);
        }
        if operations > known {
            self.index.reopen();
        }
        self.trace = trace;
        Ok(())
    }

    /// Whether the machine for a tape that goes on is another than the one that is here.
    fn needs_another(&self, trace: &Trace) -> bool {
        let machine = &self.here.machine;
        let begins = |of: fn(&Trace) -> bool| of(trace) && !of(&self.trace);
        (begins(Trace::needs_layers) && machine.layers().is_none())
            || (begins(|t| t.needs_mimalloc().is_some()) && machine.mimalloc().is_none())
            || begins(Trace::has_interpreters)
            || trace.prints_malloc_stats() != self.trace.prints_malloc_stats()
            || trace.head.malloc != self.trace.head.malloc
    }
}
