//! Numbers from a seed: the same question, and the same order of answers, for the same seed everywhere.

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From a seed alone.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// For what several numbers name together.
    pub(crate) fn of(numbers: &[u64]) -> Self {
        let mut dice = Self(0);
        for &number in numbers {
            dice.0 = dice.next() ^ number;
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `from` to `to`, both included.
    #[inline(never)]
    pub(crate) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to.saturating_sub(from) + 1)
    }

    /// One of several things.
    pub(crate) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.within(0, things.len() as u64 - 1) as usize]
    }

    /// In an order that tells nothing.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (1..things.len()).rev() {
            things.swap(end, self.within(0, end as u64) as usize);
        }
    }

    /// Some of several things, in any order.
    pub(crate) fn some<T: Clone>(&mut self, things: &[T], count: usize) -> Vec<T> {
        let mut all = things.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}
