//! For each slot the operation that its block was born by, at any step.

use std::sync::Arc;

use sim_core::tape::{Action, Packed, StackId};
use sim_core::{Domain, Kind, Profile, Slot, Trace};

use crate::actions::stack_at;
use crate::facts::largest_request;

/// From this number on a birth is no operation: the block of that number less this was there before the trace, in the picture that it
/// begins with.
pub const BEFORE: u32 = 1 << 31;
/// No operation gave the slot a pointer that the program may still use.
pub const NONE: u32 = u32::MAX;
/// Positions that are kept to go back to.
const KEPT: u64 = 16;
/// Operations between two of them at least.
const SPACING: u64 = 1 << 16;

/// The last operation before a step that gave each slot a pointer, as in [`crate::analysis::owner`]: a realloc that left the block in place
/// counts as well, one that gave NULL does not.
#[derive(Clone, Debug)]
pub struct Births {
    /// The largest request that a process of the profile can be given.
    most: u64,
    step: u64,
    of: Vec<u32>,
    /// Whether bytes asked for are counted: each free then looks up what its block was born with, all over the tape.
    counts: bool,
    asked: Asked,
    kept: Vec<(u64, Asked, Arc<[u32]>)>,
}

/// Bytes asked for in the blocks that have a birth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Asked {
    now: u128,
    peak: u128,
}

impl Default for Births {
    /// Where no request is too large.
    fn default() -> Self {
        Self {
            most: u64::MAX,
            step: 0,
            of: Vec::new(),
            counts: false,
            asked: Asked::default(),
            kept: Vec::new(),
        }
    }
}

impl Births {
    /// In a process of a profile, which has no room for some requests.
    pub fn under(profile: &Profile) -> Self {
        Self { most: largest_request(profile), ..Self::default() }
    }

    /// Counts bytes asked for from the next [`Self::go_to`] on, which then begins anew.
    pub fn count_asked(&mut self) {
        if !self.counts {
            *self = Self { most: self.most, counts: true, ..Self::default() };
        }
    }

    /// Goes to a step of the trace; what it knows must be of the same trace, which may have grown.
    pub fn go_to(&mut self, trace: &Trace, step: u64) {
        let step = step.min(trace.len());
        let spacing = (trace.len() / KEPT).max(SPACING);
        let before = self.kept.partition_point(|(at, ..)| *at <= step);
        let nearest = before.checked_sub(1).and_then(|at| self.kept.get(at));
        let back = step < self.step;
        if back || nearest.is_some_and(|(at, ..)| *at > self.step) {
            (self.step, self.asked, self.of) = nearest
                .map_or((0, Asked::default(), Vec::new()), |(at, asked, of)| (*at, *asked, of.to_vec()));
        }
        if self.step == 0 && self.of.is_empty() {
            let blocks = trace.origin.picture.as_ref().map_or(0, |picture| picture.main_blocks());
            self.of.extend((0..blocks as u32).map(|block| BEFORE + block));
        }
        self.of.resize(trace.slot_count() as usize, NONE);
        while self.step < step {
            let last = self.kept.last().map_or(0, |(at, ..)| *at);
            let until = if self.step >= last { step.min(last.max(self.step) + spacing) } else { step };
            self.read(trace, until);
            if self.step >= last + spacing {
                self.kept.push((self.step, self.asked, Arc::from(self.of.as_slice())));
            }
        }
    }

    fn read(&mut self, trace: &Trace, until: u64) {
        for index in self.step..until {
            let Some((slot, birth)) = self.change(trace, index) else { continue };
            let Some(at) = self.of.get_mut(slot as usize) else { continue };
            let before = std::mem::replace(at, birth);
            if !self.counts {
                continue;
            }
            if before < BEFORE {
                self.asked.now -= u128::from(trace.packed(before as usize).size);
            }
            if birth != NONE {
                self.asked.now += u128::from(trace.packed(birth as usize).size);
                self.asked.peak = self.asked.peak.max(self.asked.now);
            }
        }
        self.step = until;
    }

    /// The slot that the operation after `index` others changes, and what its block is born by afterwards.
    #[inline]
    pub(super) fn change(&self, trace: &Trace, index: u64) -> Option<(u32, u32)> {
        let op = trace.packed(index as usize);
        let birth = match op.kind {
            // A realloc that fails leaves the old block as it was.
            Kind::Realloc if op.size > self.most => return None,
            Kind::Malloc | Kind::Calloc if op.size > self.most => NONE,
            Kind::Malloc | Kind::Calloc | Kind::Realloc => index as u32,
            // A free of NULL names no block.
            Kind::Free | Kind::FreeKeep if op.null => return None,
            // A pointer that outlives its block keeps nothing.
            Kind::Free | Kind::FreeKeep => NONE,
            Kind::Act => match trace.action(op.size) {
                Some(Action::FreeDelayed { id, .. }) if id != 0 => NONE,
                _ => return None,
            },
        };
        Some((op.slot.0, birth))
    }

    /// Bytes asked for in the blocks of this step, and the most up to it, where they are [counted](Self::count_asked).
    pub fn asked(&self) -> (u64, u64) {
        // No process has as many as overflow.
        let bytes = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
        (bytes(self.asked.now), bytes(self.asked.peak))
    }

    /// By slot, [`NONE`] for a slot without a block.
    pub fn by_slot(&self) -> &[u32] {
        &self.of
    }

    /// The births of live blocks, those from before the trace first, then operations in order.
    pub fn in_order(&self) -> impl Iterator<Item = u32> {
        in_order(self.of.iter().copied().filter(|birth| *birth != NONE), self.step)
    }

    /// Of one slot, where it is an operation.
    pub fn of(&self, slot: Slot) -> Option<u64> {
        self.of.get(slot.0 as usize).filter(|birth| **birth < BEFORE).map(|birth| u64::from(*birth))
    }

    /// The step that they are of.
    pub fn step(&self) -> u64 {
        self.step
    }
}

/// The block of the picture that a birth means, if it is no operation.
pub fn picture_block(birth: u32) -> Option<u32> {
    birth.checked_sub(BEFORE).filter(|_| birth != NONE)
}

/// The stack that a block was born by; none of one that was there before.
pub(super) fn stack_of(trace: &Trace, changes: &[(u64, StackId)], birth: u32) -> StackId {
    let operation = picture_block(birth).is_none().then(|| u64::from(birth));
    operation.and_then(|birth| stack_at(trace, changes, birth)).unwrap_or_default()
}

/// How many operations ago a birth was; what was there before is older than all.
pub fn age(step: u64, birth: u32) -> u64 {
    if picture_block(birth).is_some() { step } else { step.saturating_sub(u64::from(birth)) }
}

/// The operation of a birth. A block from before has the slot of its number; what was asked for in it nobody knows.
pub(super) fn given(trace: &Trace, birth: u32) -> Packed {
    match picture_block(birth) {
        Some(block) => {
            Packed { kind: Kind::Malloc, domain: Domain::Obj, null: false, slot: Slot(block), size: 0 }
        }
        None => trace.packed(birth as usize),
    }
}

/// Births, each once: those from before the trace, then operations before a step in the order of the tape. Who reads what a tape says of many blocks does so from front to back: that
/// takes a fraction of the time that going by slots does, and less than sorting.
pub(super) fn in_order(operations: impl Iterator<Item = u32>, step: u64) -> impl Iterator<Item = u32> {
    let mut meant = vec![0_u64; (step as usize).div_ceil(64)];
    let mut before = Vec::new();
    for at in operations {
        if picture_block(at).is_some() {
            before.push(at);
        } else {
            meant[at as usize / 64] |= 1 << (at % 64);
        }
    }
    before.sort_unstable();
    let operations = meant.into_iter().zip(0..).flat_map(|(mut word, at): (u64, u32)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros())?;
            word &= word - 1;
            Some(at * 64 + bit)
        })
    });
    before.into_iter().chain(operations)
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
            births.count_asked();
            births.go_to(&trace, step);
            (births.asked(), births.of)
        };
        let mut births = Births::default();
        births.go_to(&trace, 600_000);
        births.count_asked();
        for step in [0, 70_000, 1_000_000, 3, 131_072, 900_001, u64::MAX, 500_000, 0] {
            births.go_to(&trace, step);
            assert_eq!(births.step(), step.min(trace.len()));
            assert_eq!((births.asked(), births.of.clone()), straight(step), "{step}");
            let mut sorted: Vec<u32> = births.of.iter().copied().filter(|birth| *birth != NONE).collect();
            sorted.sort_unstable();
            assert!(births.in_order().eq(sorted), "{step}");
        }
        assert!(births.kept.len() <= KEPT as usize + 1 && !births.kept.is_empty());
    }

    #[test]
    fn a_request_that_fails_gives_no_birth() {
        let mut tape = TraceBuilder::new("t");
        let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        push(Call::Malloc { id: 1, size: 100 });
        push(Call::Realloc { id: 1, newid: 1, size: 1 << 63 });
        push(Call::Malloc { id: 2, size: 1 << 50 });
        push(Call::Realloc { id: 1, newid: 1, size: 300 });
        push(Call::Realloc { id: 1, newid: 1, size: 50 });
        let trace = tape.finish();
        let profile = Profile::default();
        let mut births = Births::under(&profile);
        births.count_asked();
        let mut machine = sim_core::Machine::for_trace(&profile, &trace, None).unwrap();
        let all = [(Some(0), None, (100, 100)); 3].into_iter();
        let all = all.chain([(Some(3), None, (300, 300)), (Some(4), None, (50, 300))]);
        for (step, (first, second, asked)) in (1..).zip(all) {
            births.go_to(&trace, step);
            machine.step(&trace, step as usize - 1, &mut ());
            assert_eq!((births.of(Slot(0)), births.of(Slot(1)), births.asked()), (first, second, asked));
            let live: Vec<Slot> = machine.live().map(|(slot, _)| slot).collect();
            assert_eq!(live, [Slot(0)], "the machine says the same after {step}");
        }
    }
}
