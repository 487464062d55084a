//! Blocks by the address they had in the recorded process.
//!
//! A recording names a block by its pointer, and pointers come back. Each birth gets an id, and the ids of
//! dead blocks are given again, so that they stay small however long the recording is. What the recording
//! never saw being born is counted and passed over.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sim_core::tape::{Missing, StackId};
use sim_core::{Addr, Call, Domain, Op, TapeError, Trace, TraceBuilder};

/// A live block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Birth {
    /// The id its operations have.
    pub(crate) id: u64,
    /// Bytes asked for last.
    pub(crate) size: u64,
}

/// Live blocks by address.
#[derive(Debug, Default)]
pub(crate) struct Births {
    live: HashMap<u64, Birth, RandomState>,
    free_ids: Vec<u64>,
    given: u64,
}

impl Births {
    /// The block at an address.
    pub(crate) fn get(&self, address: u64) -> Option<Birth> {
        self.live.get(&address).copied()
    }

    /// A block comes to be. Also returns the one that was still there, whose free the recording lost.
    pub(crate) fn insert(&mut self, address: u64, size: u64) -> (u64, Option<Birth>) {
        let id = self.free_ids.pop().unwrap_or_else(|| {
            self.given += 1;
            self.given
        });
        let lost = self.live.insert(address, Birth { id, size });
        self.free_ids.extend(lost.map(|l| l.id));
        (id, lost)
    }

    /// A block goes; its id is free again.
    pub(crate) fn remove(&mut self, address: u64) -> Option<Birth> {
        let gone = self.live.remove(&address);
        self.free_ids.extend(gone.map(|g| g.id));
        gone
    }

    /// A block moves and keeps its id. Also returns the one that was still at the new place. `from` must
    /// be live.
    pub(crate) fn rename(&mut self, from: u64, to: u64, size: u64) -> Option<Birth> {
        let birth = self.live.remove(&from)?;
        let lost = self.live.insert(to, Birth { size, ..birth });
        self.free_ids.extend(lost.map(|l| l.id));
        lost
    }
}

/// A trace made of calls with pointers.
#[derive(Debug)]
pub(crate) struct PointerTape {
    pub(crate) builder: TraceBuilder,
    pub(crate) births: Births,
    /// The domain that all calls are taken for.
    pub(crate) domain: Domain,
}

/// The recorded process got its arenas where Linux puts mappings: at addresses of pages, so that each arena loses a pool to alignment where
/// pools are larger than pages.
pub(crate) fn placed_by_the_system(trace: &mut Trace) {
    trace.head.settings.push(("arena_placement".to_owned(), "page".to_owned()));
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) thread: u16,
    pub(crate) stack: StackId,
}

impl PointerTape {
    /// An empty trace of the C library's calls.
    pub(crate) fn new(name: &str) -> Self {
        let mut builder = TraceBuilder::new(name);
        placed_by_the_system(builder.trace_mut());
        Self { builder, births: Births::default(), domain: Domain::Raw }
    }

    fn push(&mut self, from: Origin, call: Call, address: u64) -> Result<(), TapeError> {
        let op = Op { thread: from.thread, domain: self.domain, call };
        self.builder.push_recorded(op, from.stack, Some(Addr(address)))
    }

    /// A block was still at an address where another was born: it went at some time before.
    fn lost(&mut self, from: Origin, lost: Option<Birth>, address: u64) -> Result<(), TapeError> {
        let Some(lost) = lost else { return Ok(()) };
        self.builder.trace_mut().origin.source.doubt.lost_frees += 1;
        self.push(Origin { thread: from.thread, ..Origin::default() }, Call::Free { id: lost.id }, address)
    }

    /// `malloc`, or what else gives a block of a size. An address of 0 is a failure, which leaves nothing.
    pub(crate) fn malloc(&mut self, from: Origin, address: u64, size: u64) -> Result<(), TapeError> {
        if address == 0 {
            return Ok(());
        }
        let (id, lost) = self.births.insert(address, size);
        self.lost(from, lost, address)?;
        self.push(from, Call::Malloc { id, size }, address)
    }

    /// `calloc` whose two arguments the recording multiplied.
    pub(crate) fn calloc(&mut self, from: Origin, address: u64, size: u64) -> Result<(), TapeError> {
        if address == 0 {
            return Ok(());
        }
        let (id, lost) = self.births.insert(address, size);
        self.lost(from, lost, address)?;
        self.push(from, Call::Calloc { id, nelem: 1, elsize: size }, address)
    }

    /// `free`.
    pub(crate) fn free(&mut self, from: Origin, address: u64) -> Result<(), TapeError> {
        if address == 0 {
            return self.push(from, Call::Free { id: 0 }, 0);
        }
        if let Some(gone) = self.births.remove(address) {
            return self.push(from, Call::Free { id: gone.id }, address);
        }
        self.builder.trace_mut().origin.source.doubt.unknown_frees += 1;
        Ok(())
    }

    /// `realloc` that gave `new`; `old` 0 is NULL. A realloc of an unknown block is the birth of its result.
    pub(crate) fn realloc(&mut self, from: Origin, old: u64, new: u64, size: u64) -> Result<(), TapeError> {
        let Some(birth) = self.births.get(old) else {
            if old != 0 {
                self.builder.trace_mut().origin.source.doubt.unknown_reallocs += 1;
                return self.malloc(from, new, size);
            }
            let (newid, lost) = self.births.insert(new, size);
            self.lost(from, lost, new)?;
            return self.push(from, Call::Realloc { id: 0, newid, size }, new);
        };
        let lost = self.births.rename(old, new, size);
        self.lost(from, lost, new)?;
        self.push(from, Call::Realloc { id: birth.id, newid: birth.id, size }, new)
    }

    /// Notes what recorders below Python cannot know. `stacks` says what stands for the Python stack.
    pub(crate) fn note_what_is_missing(&mut self, stacks: &str) {
        let remedy = if self.domain == Domain::Raw {
            "the recorder sits below Python, so all calls are the C library's; record with PYTHONMALLOC=malloc, where each \
             call of Python's allocators is one of these, and take them for calls of OBJ to see what pymalloc would have done"
        } else {
            "the recorder sits below Python; its calls are taken for those of one domain because that was asked for"
        };
        let source = &mut self.builder.trace_mut().origin.source;
        source.lacks("domains", remedy);
        source.lacks(Missing::PYTHON_STACKS, stacks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_given_again_and_what_was_never_born_is_counted() {
        let from = Origin::default();
        let mut tape = PointerTape::new("x");
        for round in 0..100 {
            tape.malloc(from, 0x1000 + round * 16, 8).unwrap();
            tape.realloc(from, 0x1000 + round * 16, 0x9000, 16).unwrap();
            tape.free(from, 0x9000).unwrap();
        }
        tape.free(from, 0x5550).unwrap();
        tape.realloc(from, 0x5560, 0x5570, 9).unwrap();
        tape.malloc(from, 0x5570, 10).unwrap();
        tape.realloc(from, 0, 0x5580, 9).unwrap();
        tape.realloc(from, 0x5580, 0x5570, 9).unwrap();
        let trace = tape.builder.finish();
        assert_eq!(trace.slot_count(), 2);
        let doubt = &trace.origin.source.doubt;
        assert_eq!((doubt.unknown_frees, doubt.unknown_reallocs, doubt.lost_frees), (1, 1, 2));
        assert_eq!(trace.counts()[Domain::Raw as usize], [102, 0, 102, 102]);
    }
}
