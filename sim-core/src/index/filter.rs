//! Sets that may say yes wrongly, never no: which slots and blocks occur in a stretch of the tape.
//!
//! A Bloom filter whose bits for one key lie in one word. A stretch is gathered in a wide one and then
//! folded, half upon half, as long as it stays sparse; a filter takes about a byte for each different key.

/// Words while a stretch is gathered.
const WORDS: usize = 1024;

/// The set of one stretch while it is gathered.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    words: Vec<u64>,
    bits_per_key: u32,
}

/// The set of one finished stretch.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    words: Box<[u64]>,
    bits_per_key: u32,
}

/// Mixes a key so that each bit of the result depends on all of it (the finaliser of `SplitMix64`).
fn mixed(key: u64) -> u64 {
    let z = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where a key's bits lie: a number whose low bits choose the word, and the bits in it.
fn place(key: u64, bits_per_key: u32) -> (usize, u64) {
    let hash = mixed(key.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let mask = (0..bits_per_key).fold(0, |mask, i| mask | 1 << ((hash >> (10 + 6 * i)) & 63));
    ((hash & (WORDS as u64 - 1)) as usize, mask)
}

impl Gather {
    /// An empty set.
    pub(super) fn new(bits_per_key: u32) -> Self {
        Self { words: vec![0; WORDS], bits_per_key }
    }

    /// Adds a key.
    #[inline]
    pub(super) fn add(&mut self, key: u64) {
        let (word, mask) = place(key, self.bits_per_key);
        self.words[word] |= mask;
    }

    /// The finished set; this one is empty again.
    pub(super) fn finish(&mut self) -> Filter {
        let mut words = self.words.clone();
        self.words.fill(0);
        let ones = |words: &[u64]| words.iter().map(|w| w.count_ones() as usize).sum::<usize>();
        // Folding about doubles the share of ones, which shall stay below two fifths.
        while words.len() > 1 && ones(&words) * 5 < words.len() * 64 {
            let half = words.len() / 2;
            let (low, high) = words.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(l, h)| *l |= *h);
            words.truncate(half);
        }
        Filter { words: words.into(), bits_per_key: self.bits_per_key }
    }
}

impl Filter {
    /// Whether a key may be in it.
    pub(super) fn may_have(&self, key: u64) -> bool {
        let (word, mask) = place(key, self.bits_per_key);
        self.words[word & (self.words.len() - 1)] & mask == mask
    }

    /// Bytes it takes.
    pub(super) fn state_bytes(&self) -> u64 {
        (size_of::<Self>() + size_of_val::<[u64]>(&self.words)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_yes_to_all_that_is_in_it_and_seldom_to_others() {
        for (keys, bits) in [(1_u64, 3), (60, 3), (1000, 5), (4000, 5), (4000, 3)] {
            let mut gather = Gather::new(bits);
            (0..keys).for_each(|k| gather.add(k * 16));
            let filter = gather.finish();
            assert!((0..keys).all(|k| filter.may_have(k * 16)));
            let wrong = (0..10_000).filter(|k| filter.may_have(1 + k * 16)).count();
            let most = if bits == 5 { 250 } else { 900 };
            assert!(wrong < most, "{wrong} of 10000 wrong with {keys} keys of {bits} bits");
            assert!(filter.state_bytes() <= 24 + 8 + 8192.min(keys * 4 + 8), "{keys}");
        }
        let empty = Gather::new(3).finish();
        assert!((0..1000).all(|k| !empty.may_have(k)));
    }
}
