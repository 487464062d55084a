//! For each slot the operation that its block was born by, at any step.

use std::sync::Arc;

use sim_core::{Kind, Slot, Trace};

/// No operation gave the slot a pointer that the program may still use.
pub const NONE: u32 = u32::MAX;
/// Positions that are kept to go back to.
const KEPT: u64 = 16;
/// Operations between two of them at least.
const SPACING: u64 = 1 << 16;

/// The last operation before a step that gave each slot a pointer, as in [`crate::analysis::owner`]: a realloc that left the block in place
/// counts as well.
#[derive(Clone, Debug, Default)]
pub struct Births {
    step: u64,
    of: Vec<u32>,
    kept: Vec<(u64, Arc<[u32]>)>,
}

impl Births {
    /// Goes to a step of the trace; what it knows must be of the same trace, which may have grown.
    pub fn go_to(&mut self, trace: &Trace, step: u64) {
        let step = step.min(trace.len());
        let spacing = (trace.len() / KEPT).max(SPACING);
        let before = self.kept.partition_point(|(at, _)| *at <= step);
        let nearest = before.checked_sub(1).and_then(|at| self.kept.get(at));
        let back = step < self.step;
        if back || nearest.is_some_and(|(at, _)| *at > self.step) {
            (self.step, self.of) = nearest.map_or((0, Vec::new()), |(at, of)| (*at, of.to_vec()));
        }
        self.of.resize(trace.slot_count() as usize, NONE);
        while self.step < step {
            let last = self.kept.last().map_or(0, |(at, _)| *at);
            let until = if self.step >= last { step.min(last.max(self.step) + spacing) } else { step };
            self.read(trace, until);
            if self.step >= last + spacing {
                self.kept.push((self.step, Arc::from(self.of.as_slice())));
            }
        }
    }

    fn read(&mut self, trace: &Trace, until: u64) {
        for index in self.step..until {
            let op = trace.packed(index as usize);
            let birth = match op.kind {
                Kind::Malloc | Kind::Calloc | Kind::Realloc => index as u32,
                // A pointer that outlives its block keeps nothing.
                Kind::Free | Kind::FreeKeep => NONE,
                Kind::Act => continue,
            };
            // A free of NULL names no block.
            if op.null && birth == NONE {
                continue;
            }
            if let Some(at) = self.of.get_mut(op.slot.0 as usize) {
                *at = birth;
            }
        }
        self.step = until;
    }

    /// By slot, [`NONE`] for a slot without a block.
    pub fn by_slot(&self) -> &[u32] {
        &self.of
    }

    /// The operations that live blocks were born by, in order.
    pub fn in_order(&self) -> impl Iterator<Item = u32> {
        in_order(self.of.iter().copied().filter(|birth| *birth != NONE), self.step)
    }

    /// Of one slot.
    pub fn of(&self, slot: Slot) -> Option<u64> {
        self.of.get(slot.0 as usize).filter(|birth| **birth != NONE).map(|birth| u64::from(*birth))
    }

    /// The step that they are of.
    pub fn step(&self) -> u64 {
        self.step
    }
}

/// Operations before a step in the order of the tape, each once. Who reads what a tape says of many blocks does so from front to back: that
/// takes a fraction of the time that going by slots does, and less than sorting.
pub(super) fn in_order(operations: impl Iterator<Item = u32>, step: u64) -> impl Iterator<Item = u32> {
    let mut meant = vec![0_u64; (step as usize).div_ceil(64)];
    for at in operations {
        meant[at as usize / 64] |= 1 << (at % 64);
    }
    meant.into_iter().zip(0..).flat_map(|(mut word, at): (u64, u32)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros())?;
            word &= word - 1;
            Some(at * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::{Call, Domain, Op, TraceBuilder};

    #[test]
    fn any_way_leads_to_the_same_births() {
        let mut tape = TraceBuilder::new("t");
        let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        for id in 1..=400_000_u64 {
            push(Call::Malloc { id, size: 16 });
            if id % 3 != 0 {
                push(Call::Free { id });
            } else if id % 2 == 0 {
                push(Call::Realloc { id, newid: id, size: 17 });
            }
            push(Call::Free { id: 0 });
        }
        let trace = tape.finish();
        let straight = |step| {
            let mut births = Births::default();
            births.go_to(&trace, step);
            births.of
        };
        let mut births = Births::default();
        for step in [0, 70_000, 1_000_000, 3, 131_072, 900_001, u64::MAX, 500_000, 0] {
            births.go_to(&trace, step);
            assert_eq!(births.step(), step.min(trace.len()));
            assert_eq!(births.of, straight(step), "{step}");
            let mut sorted: Vec<u32> = births.of.iter().copied().filter(|birth| *birth != NONE).collect();
            sorted.sort_unstable();
            assert!(births.in_order().eq(sorted), "{step}");
        }
        assert!(births.kept.len() <= KEPT as usize + 1 && !births.kept.is_empty());
    }
}
