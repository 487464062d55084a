//! A place in the middle of a trace as a STATE block's.

use sim_core::tape::{SlotOwner, SlotState, TraceState};

use crate::state::{Owner, Slot, State};

pub(super) fn state_of(tape: &TraceState) -> State {
    let owner = |owner| match owner {
        SlotOwner::Nobody => Owner::Nobody,
        SlotOwner::Raw => Owner::Raw,
        SlotOwner::Pymalloc => Owner::Pymalloc,
        SlotOwner::Null => Owner::Null,
        SlotOwner::Chunk => Owner::Chunk,
    };
    State {
        slots: tape.slots.iter().map(|s| Slot { id: s.id, owner: owner(s.owner) }).collect(),
        free: tape.free.clone(),
        last_id: tape.last_id,
        max_id: tape.max_id,
        needs_layers: tape.needs_layers,
        interpreters: tape.interpreters.clone(),
        interpreters_made: tape.interpreters_made,
    }
}

/// The other way; `first` operations come before.
pub(super) fn tape_state(state: State, first: u64) -> TraceState {
    let owner = |owner| match owner {
        Owner::Nobody => SlotOwner::Nobody,
        Owner::Raw => SlotOwner::Raw,
        Owner::Pymalloc => SlotOwner::Pymalloc,
        Owner::Null => SlotOwner::Null,
        Owner::Chunk => SlotOwner::Chunk,
    };
    TraceState {
        first,
        slots: state.slots.iter().map(|s| SlotState { id: s.id, owner: owner(s.owner) }).collect(),
        free: state.free,
        last_id: state.last_id,
        max_id: state.max_id,
        needs_layers: state.needs_layers,
        interpreters: state.interpreters,
        interpreters_made: state.interpreters_made,
    }
}
