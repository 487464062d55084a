//! Several interpreters: who has which pymalloc state, and which one runs.
//!
//! Tables, debug records, the arena hook, tracemalloc, memory and the C library are the process's. Since 3.12
//! pymalloc's state is an interpreter's own, unless it was created to share the main one's.

use std::collections::BTreeMap;

use crate::addr::Slot;
use crate::arena::ArenaBackend;
use crate::domains::ArenaChoice;
use crate::event::{Event, Observer};
use crate::occupancy::Occupancy;
use crate::pymalloc::{ArenaCounters, Parked, Pymalloc};

use super::Machine;

/// The interpreters of a run that has more than the main one.
#[derive(Clone, Debug)]
pub struct Interpreters<P> {
    running: u32,
    /// The interpreter whose state pymalloc has now: the running one's, or 0 where that shares.
    state_of: u32,
    /// Besides the main one, by number: whether it has its own state.
    own: BTreeMap<u32, bool>,
    /// States of the others, by the number of their interpreter.
    parked: BTreeMap<u32, Parked<P>>,
    /// `interpreter_leaks`: blocks left in ended interpreters.
    leaks: i64,
    /// States of ended interpreters that left blocks: their arenas stay for good.
    left: Vec<Parked<P>>,
    /// Arenas that ended interpreters obtained, those in `left` besides.
    obtained_by_ended: u64,
    /// The most arenas of all interpreters that were live at once.
    arenas_highwater: u64,
}

impl<P> Default for Interpreters<P> {
    fn default() -> Self {
        Self {
            running: 0,
            state_of: 0,
            own: BTreeMap::new(),
            parked: BTreeMap::new(),
            leaks: 0,
            left: Vec::new(),
            obtained_by_ended: 0,
            arenas_highwater: 0,
        }
    }
}

impl<P: Copy> Interpreters<P> {
    /// The one that runs; 0 is the main one.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// The interpreter whose pymalloc state the running one uses.
    pub fn state_of(&self) -> u32 {
        self.state_of
    }

    /// All numbers besides the main one's, with whether the interpreter has a state of its own.
    pub fn others(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        self.own.iter().map(|(number, own)| (*number, *own))
    }

    /// Blocks left behind by ended interpreters.
    pub fn leaks(&self) -> i64 {
        self.leaks
    }

    /// Arenas that ended interpreters left behind with them.
    pub fn leaked_arenas(&self) -> u64 {
        self.left.iter().map(|state| state.counters().narenas_currently_allocated).sum()
    }

    /// Bytes that the states of the others take.
    pub(super) fn state_bytes(&self) -> u64 {
        self.elsewhere().map(Parked::state_bytes).sum()
    }

    /// The states besides the one in force, of interpreters that live and of those that ended and left blocks.
    fn elsewhere(&self) -> impl Iterator<Item = &Parked<P>> {
        self.parked.values().chain(&self.left)
    }

    /// Arenas of the whole process, where `own` are those of the state in force.
    fn counters(&self, own: ArenaCounters) -> ArenaCounters {
        let mut all = own;
        all.ntimes_arena_allocated += self.obtained_by_ended;
        for state in self.elsewhere().map(Parked::counters) {
            all.narenas_currently_allocated += state.narenas_currently_allocated;
            all.ntimes_arena_allocated += state.ntimes_arena_allocated;
        }
        all.narenas_highwater = self.arenas_highwater.max(all.narenas_currently_allocated);
        all
    }

    /// Notes how many arenas are live after an operation.
    pub(super) fn note_arenas(&mut self, own: ArenaCounters) {
        self.arenas_highwater = self.counters(own).narenas_highwater;
    }

    fn owner(&self, number: u32) -> u32 {
        if self.own.get(&number).copied().unwrap_or(false) { number } else { 0 }
    }

    /// Puts the state of `owner` in force.
    fn put_in<A: ArenaBackend<Pool = P>>(&mut self, owner: u32, pymalloc: &mut Pymalloc<A>) {
        if owner == self.state_of {
            return;
        }
        if let Some(mut parked) = self.parked.remove(&owner) {
            pymalloc.exchange(&mut parked);
            self.parked.insert(self.state_of, parked);
            self.state_of = owner;
        }
    }
}

impl<A: ArenaBackend> Machine<A> {
    /// The interpreters, once a second one was created.
    pub fn interpreters(&self) -> Option<&Interpreters<A::Pool>> {
        self.interpreters.as_deref()
    }

    /// Arenas of the process: of all interpreters' states, with what ended ones left.
    pub fn arena_counters(&self) -> ArenaCounters {
        let own = self.pymalloc.counters();
        self.interpreters.as_ref().map_or(own, |all| all.counters(own))
    }

    /// What the arenas of all interpreters hold, with what ended ones left. The text of `sys._debugmallocstats()` is on one
    /// interpreter's.
    pub fn occupancy(&self) -> Occupancy {
        let mut all = Occupancy::of(&self.pymalloc);
        let (profile, memory) = (self.pymalloc.profile(), self.pymalloc.memory());
        for state in self.interpreters.iter().flat_map(|i| i.elsewhere()) {
            all.add(&Occupancy::of_arenas(profile, memory, state.arenas()));
        }
        all
    }

    /// `_Py_GetGlobalAllocatedBlocks`, what `sys.getallocatedblocks()` gives: over all states, with what ended
    /// interpreters left. 0 while pymalloc is not in use.
    pub fn allocated_blocks(&mut self) -> i64 {
        if !self.pymalloc_enabled() {
            return 0;
        }
        let mut blocks = self.pymalloc.allocated_blocks();
        if let Some(all) = &mut self.interpreters {
            for parked in all.parked.values_mut() {
                self.pymalloc.exchange(parked);
                blocks += self.pymalloc.allocated_blocks();
                self.pymalloc.exchange(parked);
            }
            blocks += all.leaks;
        }
        blocks
    }

    pub(super) fn interpreter_new<O: Observer>(&mut self, number: u32, own_obmalloc: bool, observer: &mut O) {
        let before = self.pymalloc.counters().narenas_highwater;
        let all = self.interpreters.get_or_insert_with(|| {
            Box::new(Interpreters { arenas_highwater: before, ..Interpreters::default() })
        });
        all.own.insert(number, own_obmalloc);
        if own_obmalloc {
            all.parked.insert(number, self.pymalloc.pristine_state());
        }
        observer.event(Event::InterpreterCreated { number, own_obmalloc });
    }

    pub(super) fn interpreter_switch<O: Observer>(&mut self, number: u32, observer: &mut O) {
        let Some(all) = &mut self.interpreters else { return };
        all.put_in(all.owner(number), &mut self.pymalloc);
        all.running = number;
        let state_of = all.state_of;
        if let Some(mut stack) = self.stack(observer) {
            stack.write_out();
        }
        observer.event(Event::InterpreterSwitched { number, state_of });
    }

    /// Counts what is left; an interpreter that leaves nothing gives its arenas back, else they stay for good.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is not general enough over lifetimes"
    )]
    pub(super) fn interpreter_end<O: Observer>(&mut self, number: u32, observer: &mut O) {
        let Some(mut all) = self.interpreters.take() else { return };
        let goes_on = if all.running == number { 0 } else { all.running };
        let mut leaked = None;
        if all.own.get(&number) == Some(&true) {
            all.put_in(number, &mut self.pymalloc);
            let blocks = self.pymalloc.allocated_blocks();
            all.leaks += blocks;
            leaked = Some(blocks);
            observer.event(Event::InterpreterEnded { number, leaked });
            if blocks == 0 {
                self.with_stack(observer, |stack| stack.free_arenas());
            }
            all.put_in(all.owner(goes_on), &mut self.pymalloc);
            if let Some(state) = all.parked.remove(&number) {
                if blocks == 0 {
                    all.obtained_by_ended += state.counters().ntimes_arena_allocated;
                } else {
                    all.left.push(state);
                }
            }
        } else {
            observer.event(Event::InterpreterEnded { number, leaked });
            all.put_in(all.owner(goes_on), &mut self.pymalloc);
        }
        all.own.remove(&number);
        if all.running == number {
            all.running = 0;
            observer.event(Event::InterpreterSwitched { number: 0, state_of: all.state_of });
        }
        self.interpreters = Some(all);
    }

    pub(super) fn set_arena_allocator(&mut self, choice: ArenaChoice) {
        self.pymalloc.memory_mut().set_arena_allocator(choice);
    }

    pub(super) fn virtual_alloc<O: Observer>(&mut self, slot: Slot, size: u64, observer: &mut O) {
        let Some(layers) = self.layers.as_deref_mut() else { return };
        let at = self.pymalloc.memory_mut().virtual_alloc(size, observer).unwrap_or_default();
        if at != crate::Addr(0) {
            layers.bytes.map(at, size);
        }
        layers.pointers[slot.0 as usize] = at;
        layers.touched = at;
        observer.event(Event::ChunkObtained { at, size });
    }

    pub(super) fn virtual_free<O: Observer>(&mut self, slot: Slot, observer: &mut O) {
        self.with_stack(observer, |stack| stack.virtual_free(slot));
    }
}
