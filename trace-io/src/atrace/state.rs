//! All slots at one place, so that reading can begin there.

use sim_core::tape::{SlotOwner, SlotState, TraceState};

use super::prediction::Place;
use super::varint::{Numbers, distance, moved, put};

const OWNERS: [SlotOwner; 5] =
    [SlotOwner::Nobody, SlotOwner::Raw, SlotOwner::Pymalloc, SlotOwner::Null, SlotOwner::Chunk];

/// The payload of a STATE block; `places` is empty where there are no addresses.
pub(crate) fn put_state(state: &TraceState, places: &[Place], out: &mut Vec<u8>) {
    put(out, state.slots.len() as u64);
    put(out, state.last_id);
    put(out, state.max_id);
    out.push(u8::from(state.needs_layers) | u8::from(!places.is_empty()) << 1);
    put(out, u64::from(state.interpreters_made));
    put(out, state.interpreters.len() as u64);
    state.interpreters.iter().for_each(|&number| put(out, u64::from(number)));
    out.extend(state.slots.iter().map(|s| s.owner as u8));
    let mut last = 0;
    for slot in &state.slots {
        put(out, distance(last, slot.id));
        last = slot.id;
    }
    last = 0;
    for &slot in &state.free {
        put(out, distance(last, u64::from(slot)));
        last = u64::from(slot);
    }
    if places.is_empty() {
        return;
    }
    last = 0;
    for (at, slot) in state.slots.iter().enumerate() {
        if slot.owner != SlotOwner::Nobody {
            let place = places.get(at).copied().unwrap_or_default();
            let address = place.address.rotate_right(4);
            out.push(place.class);
            put(out, distance(last, address));
            last = address;
        }
    }
}

/// What a STATE block says.
pub(crate) fn take_state(raw: &[u8], first: u64) -> Option<(TraceState, Vec<Place>)> {
    let mut numbers = Numbers(raw);
    // Each slot takes two bytes at least.
    let count = usize::try_from(numbers.next()?).ok().filter(|&n| n <= raw.len() / 2)?;
    let mut state =
        TraceState { first, last_id: numbers.next()?, max_id: numbers.next()?, ..TraceState::default() };
    let flags = numbers.bytes(1)?[0];
    state.needs_layers = flags & 1 != 0;
    state.interpreters_made = numbers.small()?;
    for _ in 0..numbers.small().filter(|&n| n <= state.interpreters_made)? {
        state.interpreters.push(numbers.small()?);
    }
    let owners = numbers.bytes(count)?;
    let mut id = 0;
    for &owner in owners {
        id = moved(id, numbers.next()?);
        state.slots.push(SlotState { id, owner: *OWNERS.get(usize::from(owner))? });
    }
    let free = state.slots.iter().filter(|s| s.owner == SlotOwner::Nobody).count();
    let mut slot = 0;
    for _ in 0..free {
        slot = moved(slot, numbers.next()?);
        state.free.push(u32::try_from(slot).ok()?);
    }
    let mut places = Vec::new();
    if flags & 2 != 0 {
        places.resize(count, Place::default());
        let mut address = 0;
        for (place, _) in places.iter_mut().zip(owners).filter(|(_, owner)| **owner != 0) {
            place.class = numbers.bytes(1)?[0] & 127;
            address = moved(address, numbers.next()?);
            place.address = address.rotate_left(4);
        }
    }
    numbers.done().then_some((state, places))
}
