//! What lies around a page: pools of pymalloc, or blocks of the C library.
//!
//! An arena is a run of pools and a heap a run of blocks, so a page is most likely what the nearest known one is. No
//! boundary of addresses parts them: Linux puts a mapping directly below the last one, at any page. A large block that may
//! have a mapping of its own says nothing of what lies beside it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

type Map<V> = HashMap<u64, V, RandomState>;

/// Addresses that are looked at together, as many as an arena has.
const REGION_BITS: u32 = 20;
/// Pages of a region, at most.
const PAGES: usize = 1 << (REGION_BITS - PAGE_BITS_MIN);
const PAGE_BITS_MIN: u32 = 12;
const WORDS: usize = PAGES / 64;

/// A program's heap and its mappings are further apart than this, on the systems that have a heap.
const REALM_BITS: u32 = 40;
/// No process has blocks in more of them.
const REALMS_MAX: usize = 1 << 10;
/// A realm with so many pages of the C library for each pool is its heap.
const OTHERS_A_POOL: u64 = 8;

/// What a page has in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Pool,
    /// Blocks of the C library.
    Other,
    /// A block with a mapping of its own.
    Mapping,
}

/// Pages by their place in a region.
type Bits = [u64; WORDS];

/// What its pages are, or were last.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    pools: Bits,
    others: Bits,
    /// Pages that have live blocks.
    live: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Realm {
    pools: u64,
    others: u64,
}

/// What is known of neighbourhoods. Regions in which nothing is live are forgotten.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    regions: Map<Region>,
    realms: Map<Realm>,
}

impl Neighbours {
    /// What the page at this address is, if that is known at all: what the nearest page of its region is, or what is usual so far
    /// away from everything else.
    pub(super) fn guess(&self, address: u64, page_bits: u32) -> Option<Kind> {
        let near = self.regions.get(&(address >> REGION_BITS)).and_then(|region| {
            let at = place(address, page_bits);
            match (nearest(&region.pools, at), nearest(&region.others, at)) {
                (None, None) => None,
                (Some(pool), Some(other)) if other < pool => Some(Kind::Other),
                (None, Some(_)) => Some(Kind::Other),
                (Some(_), _) => Some(Kind::Pool),
            }
        });
        near.or_else(|| {
            let realm = self.realms.get(&(address >> REALM_BITS))?;
            match (realm.pools, realm.others) {
                (0, 0) => None,
                (pools, others) if others > pools.saturating_mul(OTHERS_A_POOL) => Some(Kind::Other),
                _ => Some(Kind::Pool),
            }
        })
    }

    /// A page has its first live block, by which it is of this kind.
    pub(super) fn begin(&mut self, address: u64, page_bits: u32, kind: Kind) {
        self.regions.entry(address >> REGION_BITS).or_default().live += 1;
        self.set(address, page_bits, kind, false);
    }

    /// A page that was taken for a pool is none.
    pub(super) fn correct(&mut self, address: u64, page_bits: u32) {
        self.set(address, page_bits, Kind::Other, true);
    }

    fn set(&mut self, address: u64, page_bits: u32, kind: Kind, corrects: bool) {
        if kind == Kind::Mapping {
            return;
        }
        let at = place(address, page_bits);
        let region = self.regions.entry(address >> REGION_BITS).or_default();
        let (word, bit) = (at / 64, 1 << (at % 64));
        let (now, before) = match kind {
            Kind::Pool => (&mut region.pools, &mut region.others),
            _ => (&mut region.others, &mut region.pools),
        };
        now[word] |= bit;
        before[word] &= !bit;
        if self.realms.len() >= REALMS_MAX && !self.realms.contains_key(&(address >> REALM_BITS)) {
            return;
        }
        let realm = self.realms.entry(address >> REALM_BITS).or_default();
        match kind {
            Kind::Pool => realm.pools += 1,
            _ => realm.others += 1,
        }
        if corrects {
            realm.pools = realm.pools.saturating_sub(1);
        }
    }

    /// The last live block of a page is gone.
    pub(super) fn end(&mut self, address: u64) {
        let number = address >> REGION_BITS;
        if let Some(region) = self.regions.get_mut(&number) {
            region.live -= 1;
            if region.live == 0 {
                self.regions.remove(&number);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }
}

/// Where in its region a page lies.
fn place(address: u64, page_bits: u32) -> usize {
    (address >> page_bits.max(PAGE_BITS_MIN)) as usize
        % (PAGES >> (page_bits.max(PAGE_BITS_MIN) - PAGE_BITS_MIN))
}

/// How far the nearest page of these is.
fn nearest(bits: &Bits, at: usize) -> Option<usize> {
    let (word, bit) = (at / 64, at % 64);
    let from_here = bits[word] >> bit << bit;
    let up = std::iter::once(from_here)
        .chain(bits[word + 1..].iter().copied())
        .enumerate()
        .find(|(_, w)| *w != 0)
        .map(|(n, w)| (word + n) * 64 + w.trailing_zeros() as usize - at);
    let to_here = bits[word] << (63 - bit) >> (63 - bit);
    let down = std::iter::once(to_here)
        .chain(bits[..word].iter().rev().copied())
        .enumerate()
        .find(|(_, w)| *w != 0)
        .map(|(n, w)| at - ((word - n) * 64 + 63 - w.leading_zeros() as usize));
    match (up, down) {
        (Some(up), Some(down)) => Some(up.min(down)),
        (up, down) => up.or(down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_as_by_walking() {
        let mut state = 7_u64;
        for _ in 0..400 {
            let mut bits = [0; WORDS];
            for word in &mut bits {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *word = if state >> 60 < 6 { 0 } else { (state >> 3) & (state >> 23) & (state << 17) };
            }
            for at in [0, 1, 63, 64, 100, 191, 192, 255] {
                let walked =
                    (0..PAGES).filter(|p| bits[p / 64] >> (p % 64) & 1 == 1).map(|p| p.abs_diff(at)).min();
                assert_eq!(nearest(&bits, at), walked, "{at} of {bits:x?}");
            }
        }
    }

    #[test]
    fn far_from_everything_what_is_usual_there_counts() {
        const HEAP: u64 = 0x5555_0000_0000;
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.guess(HEAP, 14), None);
        for n in 0..3 {
            neighbours.begin(HEAP + (n << 20), 14, Kind::Other);
        }
        assert_eq!(neighbours.guess(HEAP + (9 << 20), 14), Some(Kind::Other));
        neighbours.begin(0x7f00_0000_0000, 14, Kind::Mapping);
        assert_eq!(neighbours.guess(0x7f00_0000_4000, 14), None, "a mapping says nothing");
        neighbours.begin(HEAP + (9 << 20), 14, Kind::Pool);
        assert_eq!(
            neighbours.guess(HEAP + (9 << 20) + 0x4000, 14),
            Some(Kind::Pool),
            "the nearest counts more"
        );
        assert_eq!(
            neighbours.guess(HEAP + (7 << 20), 14),
            Some(Kind::Pool),
            "and one pool in four pages is much"
        );
    }
}
