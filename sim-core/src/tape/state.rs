//! What a reader must know to begin in the middle of a trace, and what is known of a trace without its operations.

use std::sync::Arc;

use super::builder::{Family, Naming, SLOTS_MAX, SlotBlock};
use super::order::BirthOrder;
use super::rows::Tally;
use super::{Counts, TapeError, TraceBuilder};
use crate::domains::Domain;
use crate::picture::ProcessPicture;

/// A slot in the middle of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotState {
    /// The id of its block, or of the last one it had; 0 where that is not known.
    pub id: u64,
    /// Whose block it is.
    pub owner: SlotOwner,
}

/// Whose block a slot has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SlotOwner {
    /// It has none.
    #[default]
    Nobody,
    /// One of RAW.
    Raw,
    /// One of MEM or OBJ.
    Pymalloc,
    /// The call gave NULL.
    Null,
    /// A chunk of a data stack.
    Chunk,
}

/// All slots in the middle of a trace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TraceState {
    /// Operations before.
    pub first: u64,
    /// By slot.
    pub slots: Vec<SlotState>,
    /// Slots without a block, in the order they were freed: the last is given out first.
    pub free: Vec<u32>,
    /// The id given last.
    pub last_id: u64,
    /// The largest id.
    pub max_id: u64,
    /// Whether an operation before needs tables and contents.
    pub needs_layers: bool,
    /// Numbers of the interpreters besides the main one.
    pub interpreters: Vec<u32>,
    /// Interpreters that were ever made.
    pub interpreters_made: u32,
}

/// What is known of a trace without reading its operations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts that have nothing to do with each other")]
pub struct Totals {
    /// Operations.
    pub operations: u64,
    /// By domain and kind.
    pub counts: Counts,
    /// Operations that are no call.
    pub actions: u64,
    /// Slots.
    pub slots: u32,
    /// Which threads appear, up to the highest; empty while all is on thread 0.
    pub threads: Vec<bool>,
    /// Different stacks that operations come from.
    pub stacks: u64,
    /// Whether each operation has a stack.
    pub has_stacks: bool,
    /// Whether there are recorded pointers.
    pub has_addresses: bool,
    /// Whether there are times.
    pub timed: bool,
    /// Whether only a machine with tables and contents can run it.
    pub needs_layers: bool,
    /// The first operation that only a run with mimalloc can do: operations before it, and its name in ptrace.
    pub needs_mimalloc: Option<(u64, &'static str)>,
}

impl super::Trace {
    /// What is known of it without its operations.
    pub fn totals(&self) -> Totals {
        Totals {
            operations: self.first() + self.len(),
            counts: self.counts(),
            actions: self.action_count(),
            slots: self.slot_count(),
            threads: self.rows.tally.seen_threads.clone(),
            stacks: self.stack_count(),
            has_stacks: self.has_stacks(),
            has_addresses: self.has_addresses(),
            timed: self.timed(),
            needs_layers: self.needs_layers(),
            needs_mimalloc: self.needs_mimalloc(),
        }
    }

    /// Sets what is known; for a trace that has no operations of its own here.
    pub fn set_totals(&mut self, totals: Totals) {
        self.origin.stacks.set_used_count(totals.stacks);
        self.origin.timed = totals.timed;
        let here = self.len();
        if totals.has_stacks {
            self.rows.end_mut().stacks.begin();
        }
        if totals.has_addresses {
            self.rows.end_mut().addresses.begin();
        }
        self.rows.tally = Tally {
            first: totals.operations.saturating_sub(here),
            counts: totals.counts,
            actions_done: totals.actions,
            slot_count: totals.slots,
            seen_threads: totals.threads,
            needs_layers: totals.needs_layers,
            needs_mimalloc: totals.needs_mimalloc,
        };
    }
}

impl TraceBuilder {
    /// Forgets in which order blocks were born and used, and which of their domains they came from: as a reader that
    /// begins here.
    pub fn forget_uses(&mut self) {
        for block in &mut self.slots {
            block.domain = if block.family == Family::Raw { Domain::Raw } else { Domain::Obj };
        }
        self.order = None;
    }

    /// Begins in mid-life: with the blocks of a picture's main heap, which have slots from 0 and ids from 1 in its order. Nothing
    /// must have been appended.
    pub fn begin_with(&mut self, picture: Arc<ProcessPicture>) -> Result<(), TapeError> {
        if !self.is_empty() || !self.slots.is_empty() || self.trace.origin.picture.is_some() {
            return Err(TapeError::LatePicture);
        }
        let blocks = picture.main_blocks();
        let count = u32::try_from(blocks).ok().filter(|&count| count <= SLOTS_MAX);
        let count = count.ok_or(TapeError::TooManyBlocks(SLOTS_MAX))?;
        let block = |slot: u32| SlotBlock {
            born: 0,
            id: u64::from(slot) + 1,
            family: Family::Pymalloc,
            domain: Domain::Obj,
        };
        self.slots = (0..count).map(block).collect();
        self.trace.set_slot_count(count);
        self.last_id = blocks;
        self.max_id = blocks;
        // Names are found out when somebody asks by id.
        self.naming = Naming::BySlot;
        self.trace.origin.picture = Some(picture);
        Ok(())
    }

    /// The list of live blocks, by slot where it is not known.
    pub(super) fn take_order(&mut self) -> BirthOrder {
        self.order.take().unwrap_or_else(|| {
            let live = self.slots.iter().zip(0..).filter(|(block, _)| block.family != Family::None);
            BirthOrder::of_slots(live.map(|(_, slot)| slot))
        })
    }

    /// What a reader needs to go on from here with [`Self::resume`].
    pub fn state(&self) -> TraceState {
        let slot = |block: &SlotBlock| SlotState {
            id: block.id,
            owner: match block.family {
                Family::None => SlotOwner::Nobody,
                Family::Raw => SlotOwner::Raw,
                Family::Pymalloc => SlotOwner::Pymalloc,
                Family::Null => SlotOwner::Null,
                Family::Chunk => SlotOwner::Chunk,
            },
        };
        TraceState {
            first: self.len(),
            slots: self.slots.iter().map(slot).collect(),
            free: self.free_slots.clone(),
            last_id: self.last_id,
            max_id: self.max_id,
            needs_layers: self.trace().needs_layers(),
            interpreters: self.interpreters.iter().copied().collect(),
            interpreters_made: self.interpreters_made,
        }
    }

    /// Goes to the middle of a trace; operations from columns can follow. Rows so far are dropped, tables
    /// and what is known of the trace stay; counts go on as they are.
    pub fn resume(&mut self, state: &TraceState) -> Result<(), TapeError> {
        let mut is_free = vec![false; state.slots.len()];
        for &slot in &state.free {
            match (state.slots.get(slot as usize), is_free.get_mut(slot as usize)) {
                (Some(SlotState { owner: SlotOwner::Nobody, .. }), Some(seen)) if !*seen => *seen = true,
                _ => return Err(TapeError::UnknownSlot { slot }),
            }
        }
        let lost = |(s, free): (&SlotState, &bool)| s.owner == SlotOwner::Nobody && !free;
        if let Some(slot) = state.slots.iter().zip(&is_free).position(lost) {
            return Err(TapeError::UnknownSlot { slot: slot as u32 });
        }
        let mut ids: Vec<u64> = state.slots.iter().map(|s| s.id).filter(|&id| id != 0).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|w| w[0] == w[1]) {
            return Err(TapeError::IdInUse { id: twice[0], born: state.first });
        }
        if ids.last().is_some_and(|&id| id > state.max_id) {
            return Err(TapeError::Columns("ids"));
        }
        if let Some(slot) = state.slots.iter().position(|s| s.id == 0 && s.owner != SlotOwner::Nobody) {
            return Err(TapeError::UnknownSlot { slot: slot as u32 });
        }
        self.trace.forget();
        self.trace.rows.tally.first = state.first;
        self.trace.rows.tally.needs_layers |= state.needs_layers;
        self.trace.set_slot_count(state.slots.len() as u32);
        self.slots.clear();
        self.slots.extend(state.slots.iter().map(|s| SlotBlock {
            born: state.first,
            id: s.id,
            family: match s.owner {
                SlotOwner::Nobody => Family::None,
                SlotOwner::Raw => Family::Raw,
                SlotOwner::Pymalloc => Family::Pymalloc,
                SlotOwner::Null => Family::Null,
                SlotOwner::Chunk => Family::Chunk,
            },
            domain: Domain::Obj,
        }));
        self.forget_uses();
        self.free_slots.clone_from(&state.free);
        self.interpreters = state.interpreters.iter().copied().collect();
        self.interpreters_made = state.interpreters_made;
        self.last_id = state.last_id;
        self.max_id = state.max_id;
        self.naming = Naming::BySlot;
        self.names = super::names::Names::default();
        Ok(())
    }
}
