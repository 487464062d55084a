//! What came of a question's operations, whoever did them: the machine, a wrong one, or a real interpreter.
//!
//! Keys and distractors are read off such records by the same code ([`super::Asked::answer`]), so that a key can be had
//! from real placements as well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::event::narrate_operation;
use sim_core::report::Placement;
use sim_core::{Call, Domain, Event, Machine, Profile, Trace};
use trace_io::TraceError;
use trace_io::program::{Bounds, Expander, Program};

use crate::facts;

/// Where a call's block lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Spot {
    /// In a pool.
    Block {
        /// Its arena, in the order in which they were obtained, from 0.
        arena: u64,
        /// Bytes from the arena's first pool.
        offset: u64,
    },
    /// In the C library's memory.
    Raw,
    /// Nowhere: the call returned NULL.
    Null,
}

/// The header of a pool, as far as is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// `nextoffset`.
    pub nextoffset: u64,
    /// Blocks on the pool's free list.
    pub linked: u64,
}

/// What one operation did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Happened {
    /// Where the block lies that it returned; none for a free.
    pub spot: Option<Spot>,
    /// Arenas that it obtained.
    pub obtained: u64,
    /// Arenas that it gave back, by number.
    pub released: Vec<u64>,
}

/// What came of all operations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// One for each operation.
    pub happened: Vec<Happened>,
    /// The header, at the end, of the pool that the last block lies in.
    pub header: Option<Header>,
    /// `raw_allocated_blocks` at the end.
    pub raw_blocks: i64,
    /// Bytes of a pool, and from one class to the next, in whose machine it is.
    pub pool_size: u64,
    /// See [`Self::pool_size`].
    pub step: u64,
}

impl Record {
    /// An empty one of a build.
    pub fn of(profile: &Profile) -> Self {
        Self { pool_size: profile.pool_size, step: profile.alignment, ..Self::default() }
    }
}

/// A question's operations under a profile.
#[derive(Clone, Debug)]
pub struct Staged {
    /// All of them.
    pub trace: Trace,
    /// Those that are shown before the question.
    pub shown: usize,
    /// Bytes of an arena.
    pub(super) arena_size: u64,
    /// Names of blocks, by id.
    names: BTreeMap<u64, String>,
    /// The last operation that returned a block of a name.
    made: BTreeMap<String, usize>,
}

impl Staged {
    /// Two programs, one after the other.
    pub fn new(program: &str, then: &str, profile: &Profile) -> Result<Self, TraceError> {
        let mut expander = Expander::new("practice", profile, Bounds::default());
        expander.run(&Program::parse(program)?)?;
        let shown = expander.len() as usize;
        expander.run(&Program::parse(then)?)?;
        let trace = expander.finish().trace;
        let names = trace.head.names.iter().cloned().collect();
        let arena_size = profile.arena_size;
        let mut staged = Self { trace, shown, arena_size, names, made: BTreeMap::new() };
        for index in 0..staged.trace.len() as usize {
            if let Some((id, _)) = staged.result(index) {
                let name = staged.name(id).to_owned();
                staged.made.insert(name, index);
            }
        }
        Ok(staged)
    }

    /// An operation's call with its domain.
    pub(super) fn call(&self, index: usize) -> Option<(Call, Domain)> {
        self.trace.op(index as u64).map(|op| (op.call, op.domain))
    }

    /// The id that a call gives to what it returns, and the bytes asked for.
    pub(super) fn result(&self, index: usize) -> Option<(u64, u64)> {
        match self.call(index)?.0 {
            Call::Malloc { id, size } => Some((id, size)),
            Call::Calloc { id, nelem, elsize } => Some((id, nelem.saturating_mul(elsize))),
            Call::Realloc { newid, size, .. } => Some((newid, size)),
            Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_) => None,
        }
    }

    /// The name of a block.
    pub(super) fn name(&self, id: u64) -> &str {
        self.names.get(&id).map_or("NULL", String::as_str)
    }

    /// The last operation that returned a block of a name.
    pub(super) fn made(&self, name: &str) -> Option<usize> {
        self.made.get(name).copied()
    }

    /// A call as the program writes it.
    pub(super) fn written(&self, index: usize) -> String {
        let name = |id: u64| self.name(id);
        match self.call(index).map(|(call, _)| call) {
            Some(Call::Malloc { id, size }) => format!("{} = malloc({size})", name(id)),
            Some(Call::Calloc { id, nelem, elsize }) => format!("{} = calloc({nelem}, {elsize})", name(id)),
            Some(Call::Realloc { id, newid, size }) => {
                format!("{} = realloc({}, {size})", name(newid), name(id))
            }
            Some(Call::Free { id } | Call::FreeKeep { id }) => format!("free({})", name(id)),
            Some(Call::Act(_)) | None => String::new(),
        }
    }

    /// Does the operations on the machine; also what it says of one of them.
    pub(super) fn run(&self, profile: &Profile, told: Option<usize>) -> Option<(Record, Vec<String>)> {
        let mut machine = Machine::for_trace(profile, &self.trace, None).ok()?;
        let (mut record, mut said) = (Record::of(profile), Vec::new());
        let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
        let mut obtained = 0;
        let mut events: Vec<Event> = Vec::new();
        let mut last = None;
        for index in 0..self.trace.len() as usize {
            events.clear();
            let pointer = machine.step(&self.trace, index, &mut events);
            let mut happened = Happened::default();
            for event in &events {
                match event {
                    Event::ArenaObtained { base, .. } => {
                        numbers.insert(base.0, obtained);
                        obtained += 1;
                        happened.obtained += 1;
                    }
                    Event::ArenaReleased { base, .. } => {
                        happened.released.extend(numbers.remove(&base.0));
                    }
                    _ => {}
                }
            }
            if self.result(index).is_some() {
                happened.spot = Some(match Placement::of_last(&machine, pointer) {
                    Placement::Null => Spot::Null,
                    Placement::Raw => Spot::Raw,
                    Placement::Arena { ordinal, offset } => {
                        if let Target::Block(block) = SimArenas::target(pointer) {
                            last = Some(machine.pymalloc().memory().block_addr(block));
                        }
                        Spot::Block { arena: ordinal, offset }
                    }
                });
            }
            record.happened.push(happened);
            if Some(index) == told
                && let Some(op) = self.trace.op(index as u64)
            {
                said.extend(narrate_operation(&op, &events, profile).into_iter().map(|s| s.text));
            }
        }
        let heap = machine.pymalloc();
        record.header = last.and_then(|addr| facts::pool_at(heap, addr)).and_then(|pool| {
            let carved = facts::carved(heap, &pool)?;
            Some(Header {
                nextoffset: u64::from(heap.memory().header(carved).nextoffset),
                linked: heap.free_list(carved).count() as u64,
            })
        });
        record.raw_blocks = heap.raw_allocated_blocks;
        Some((record, said))
    }
}
