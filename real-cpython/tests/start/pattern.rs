//! What the process does after it was seen, and the model with it: the same numbers make the same calls on both sides.

/// The largest block that is asked for, in bytes: some go past pymalloc.
const MOST: u64 = 700;

/// A call. Blocks are named by their place among the live ones; a freed block's place goes to the last one.
pub(crate) enum Step {
    Malloc { size: usize, object: bool },
    Calloc { size: usize, object: bool },
    Realloc { at: usize, size: usize },
    Free { at: usize },
}

/// The calls, one after the other.
pub(crate) struct Pattern {
    state: u64,
    done: u64,
    operations: u64,
}

impl Pattern {
    pub(crate) fn new(seed: u64, operations: u64) -> Self {
        Self { state: seed, done: 0, operations }
    }

    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// The next call of a program that has so many live blocks; `None` at the end.
    pub(crate) fn next(&mut self, live: usize) -> Option<Step> {
        if self.done == self.operations {
            return None;
        }
        // It grows and shrinks by turns, so that arenas come and go.
        let grows = if (self.done * 10 / self.operations).is_multiple_of(2) { 66 } else { 20 };
        self.done += 1;
        let (chance, size, object) = (self.below(100), 1 + self.below(MOST) as usize, self.below(2) == 0);
        let at = self.below(live.max(1) as u64) as usize;
        Some(if live == 0 || chance < grows {
            if chance.is_multiple_of(6) {
                Step::Calloc { size, object }
            } else {
                Step::Malloc { size, object }
            }
        } else if chance.is_multiple_of(5) {
            Step::Realloc { at, size }
        } else {
            Step::Free { at }
        })
    }
}
