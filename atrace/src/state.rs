//! All slots at one place, so that reading can begin there.

use crate::prediction::PlacedBlock;
use crate::varint::{Numbers, distance, moved, put};

/// Whose block a slot has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Owner {
    /// It has none.
    #[default]
    Nobody = 0,
    /// One of RAW.
    Raw = 1,
    /// One of MEM or OBJ.
    Pymalloc = 2,
    /// The call gave NULL.
    Null = 3,
    /// A chunk of a data stack.
    Chunk = 4,
}

impl Owner {
    /// All, by their numbers.
    pub const ALL: [Self; 5] = [Self::Nobody, Self::Raw, Self::Pymalloc, Self::Null, Self::Chunk];
}

/// A slot in the middle of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// The id of its block, or of the last one it had; 0 where that is not known.
    pub id: u64,
    /// Whose block it is.
    pub owner: Owner,
}

/// What a STATE block says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// By slot.
    pub slots: Vec<Slot>,
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

impl State {
    /// Appends the payload of a STATE block; `blocks` are by slot, and empty where there are no addresses.
    pub fn put(&self, blocks: &[PlacedBlock], out: &mut Vec<u8>) {
        put(out, self.slots.len() as u64);
        put(out, self.last_id);
        put(out, self.max_id);
        out.push(u8::from(self.needs_layers) | u8::from(!blocks.is_empty()) << 1);
        put(out, u64::from(self.interpreters_made));
        put(out, self.interpreters.len() as u64);
        self.interpreters.iter().for_each(|&number| put(out, u64::from(number)));
        out.extend(self.slots.iter().map(|s| s.owner as u8));
        let mut last = 0;
        for slot in &self.slots {
            put(out, distance(last, slot.id));
            last = slot.id;
        }
        last = 0;
        for &slot in &self.free {
            put(out, distance(last, u64::from(slot)));
            last = u64::from(slot);
        }
        if blocks.is_empty() {
            return;
        }
        last = 0;
        for (at, slot) in self.slots.iter().enumerate() {
            if slot.owner != Owner::Nobody {
                let block = blocks.get(at).copied().unwrap_or_default();
                let address = block.address.rotate_right(4);
                out.push(block.class);
                put(out, distance(last, address));
                last = address;
            }
        }
    }

    /// What the payload of a STATE block says, with the blocks where there are addresses.
    pub fn take(raw: &[u8]) -> Option<(Self, Vec<PlacedBlock>)> {
        let mut numbers = Numbers(raw);
        // Each slot takes two bytes at least.
        let count = usize::try_from(numbers.number()?).ok().filter(|&n| n <= raw.len() / 2)?;
        let mut state = Self { last_id: numbers.number()?, max_id: numbers.number()?, ..Self::default() };
        let flags = numbers.bytes(1)?[0];
        state.needs_layers = flags & 1 != 0;
        state.interpreters_made = numbers.small()?;
        for _ in 0..numbers.small().filter(|&n| n <= state.interpreters_made)? {
            state.interpreters.push(numbers.small()?);
        }
        let owners = numbers.bytes(count)?;
        let mut id = 0;
        for &owner in owners {
            id = moved(id, numbers.number()?);
            state.slots.push(Slot { id, owner: *Owner::ALL.get(usize::from(owner))? });
        }
        let free = state.slots.iter().filter(|s| s.owner == Owner::Nobody).count();
        let mut slot = 0;
        for _ in 0..free {
            slot = moved(slot, numbers.number()?);
            state.free.push(u32::try_from(slot).ok()?);
        }
        let mut blocks = Vec::new();
        if flags & 2 != 0 {
            blocks.resize(count, PlacedBlock::default());
            let mut address = 0;
            for (block, _) in blocks.iter_mut().zip(owners).filter(|(_, owner)| **owner != 0) {
                block.class = numbers.bytes(1)?[0] & 127;
                address = moved(address, numbers.number()?);
                block.address = address.rotate_left(4);
            }
        }
        numbers.done().then_some((state, blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in files for ever.
    #[test]
    fn numbers_are_those_of_the_page() {
        assert!(Owner::ALL.into_iter().map(|o| o as u8).eq(0..5));
        assert_eq!(Owner::ALL.map(|o| format!("{o:?}")), ["Nobody", "Raw", "Pymalloc", "Null", "Chunk"]);
    }

    #[test]
    fn a_state_comes_back() {
        let slot = |id, owner| Slot { id, owner };
        let state = State {
            slots: vec![slot(9, Owner::Raw), slot(0, Owner::Nobody), slot(u64::MAX, Owner::Pymalloc)],
            free: vec![1],
            last_id: 9,
            max_id: u64::MAX,
            needs_layers: true,
            interpreters: vec![4],
            interpreters_made: 5,
        };
        let blocks = [PlacedBlock::new(0x7f00_0010, 40); 3];
        let mut out = Vec::new();
        state.put(&blocks, &mut out);
        let (back, there) = State::take(&out).unwrap();
        assert_eq!(back, state);
        assert_eq!(there, [blocks[0], PlacedBlock::default(), blocks[0]]);
        assert!((0..out.len()).all(|end| State::take(&out[..end]).is_none()), "a cut one is refused");
    }
}
