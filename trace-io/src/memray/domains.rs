//! Which domain a block came from, told from its size and address.
//!
//! memray wraps RAW, MEM and OBJ alike. Of the blocks that pymalloc could have served, those it did serve lie
//! in a pool: a whole number of blocks after the header of an aligned page run all of whose blocks have one class. What lies
//! otherwise, or beside blocks that are the C library's for certain, came through RAW.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sim_core::Domain;

type Map<V> = HashMap<u64, V, RandomState>;

/// The class of a block that lies in no pool.
pub(super) const NO_CLASS: u16 = 0;

const ALIGNMENT: u64 = 16;
const THRESHOLD_BYTES: u64 = 512;
const POOL_OVERHEAD_BYTES: u64 = 48;
/// Neighbourhoods that are asked where a page itself tells nothing.
const REGION_BITS: u32 = 20;

/// A run of addresses as large and aligned as a pool, while a block in it is live.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// The class of its blocks in units of the alignment; [`NO_CLASS`] for the C library's.
    class: u16,
    live: u32,
}

/// Pages of a neighbourhood that have live blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    pools: u32,
    others: u32,
}

/// What is known of the pages in use.
#[derive(Debug, Default)]
pub(super) struct Domains {
    /// `None` while nothing is known of pools: then sizes alone decide.
    pool_bits: Option<u32>,
    /// Bytes that debug hooks put in front of a block, and around it altogether.
    front_bytes: u64,
    around_bytes: u64,
    pages: Map<Page>,
    regions: Map<Region>,
}

impl Domains {
    /// `pool_bytes` is a power of two.
    pub(super) fn set_pools(&mut self, pool_bytes: u64) {
        self.pool_bits = Some(pool_bytes.trailing_zeros());
    }

    /// Blocks have debug hooks around them: size and id in front, pads, nothing behind but a pad.
    pub(super) fn set_debug_hooks(&mut self) {
        self.front_bytes = 16;
        self.around_bytes = 24;
    }

    /// A block of one of Python's domains is born: its domain, and its class if it lies in a pool.
    #[inline]
    pub(super) fn python_birth(&mut self, address: u64, size: u64) -> (Domain, u16) {
        let class = size.saturating_add(self.around_bytes).div_ceil(ALIGNMENT);
        let small = class > 0 && class <= THRESHOLD_BYTES / ALIGNMENT;
        let Some(pool_bits) = self.pool_bits else {
            return (Domain::Obj, if small { class as u16 } else { NO_CLASS });
        };
        if !small {
            self.birth(address, pool_bits, NO_CLASS);
            return (Domain::Obj, NO_CLASS);
        }
        let start = address.wrapping_sub(self.front_bytes);
        let bytes = class * ALIGNMENT;
        let place = start & ((1 << pool_bits) - 1);
        let fits = place >= POOL_OVERHEAD_BYTES
            && (place - POOL_OVERHEAD_BYTES).is_multiple_of(bytes)
            && place + bytes <= 1 << pool_bits;
        let asked = if fits { class as u16 } else { NO_CLASS };
        let found = self.birth(address, pool_bits, asked);
        if found == NO_CLASS { (Domain::Raw, NO_CLASS) } else { (Domain::Obj, found) }
    }

    /// A block is where one of this class was just now.
    pub(super) fn birth_in_pool(&mut self, address: u64, class: u16) {
        if let Some(pool_bits) = self.pool_bits {
            self.birth(address, pool_bits, class);
        }
    }

    /// A block of the C library is born.
    pub(super) fn libc_birth(&mut self, address: u64) {
        if let Some(pool_bits) = self.pool_bits {
            self.birth(address, pool_bits, NO_CLASS);
        }
    }

    /// Counts a block to its page; what the page makes of the class asked for.
    #[inline]
    fn birth(&mut self, address: u64, pool_bits: u32, class: u16) -> u16 {
        let region = address >> REGION_BITS;
        match self.pages.get_mut(&(address >> pool_bits)) {
            Some(page) => {
                page.live = page.live.saturating_add(1);
                if page.class == class {
                    return class;
                }
                if page.class != NO_CLASS {
                    // Two classes side by side: this never was a pool.
                    page.class = NO_CLASS;
                    let region = self.regions.entry(region).or_default();
                    region.pools = region.pools.saturating_sub(1);
                    region.others += 1;
                }
                NO_CLASS
            }
            None => self.first(address >> pool_bits, region, class),
        }
    }

    fn first(&mut self, page: u64, region: u64, class: u16) -> u16 {
        let region = self.regions.entry(region).or_default();
        // Among blocks of the C library alone a block that would fit a pool does so by chance.
        let class = if region.pools == 0 && region.others > 0 { NO_CLASS } else { class };
        if class == NO_CLASS {
            region.others += 1;
        } else {
            region.pools += 1;
        }
        self.pages.insert(page, Page { class, live: 1 });
        class
    }

    /// A block dies.
    #[inline]
    pub(super) fn death(&mut self, address: u64) {
        let Some(pool_bits) = self.pool_bits else { return };
        let number = address >> pool_bits;
        let Some(page) = self.pages.get_mut(&number) else { return };
        page.live -= 1;
        if page.live > 0 {
            return;
        }
        let class = page.class;
        self.pages.remove(&number);
        if let Some(region) = self.regions.get_mut(&(address >> REGION_BITS)) {
            let count = if class == NO_CLASS { &mut region.others } else { &mut region.pools };
            *count = count.saturating_sub(1);
            if region.pools == 0 && region.others == 0 {
                self.regions.remove(&(address >> REGION_BITS));
            }
        }
    }
}

/// Whether `realloc` leaves a block of this class where it is (`pymalloc_realloc`): it has room, and not a
/// quarter and more of it to spare.
pub(super) fn stays_in_place(class: u16, size: u64) -> bool {
    let bytes = u64::from(class) * ALIGNMENT;
    size <= bytes && 4 * size > 3 * bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: u64 = 0x7f00_0010_0000;
    const HEAP: u64 = 0x5600_0000_0000;

    fn domains() -> Domains {
        let mut domains = Domains::default();
        domains.set_pools(16 << 10);
        domains
    }

    #[test]
    fn a_block_in_a_pool_is_pymallocs() {
        let mut domains = domains();
        assert_eq!(domains.python_birth(POOL + 48, 33), (Domain::Obj, 3));
        assert_eq!(domains.python_birth(POOL + 48 + 5 * 48, 48), (Domain::Obj, 3));
        assert_eq!(domains.python_birth(POOL + 48 + 50, 48), (Domain::Raw, NO_CLASS));
    }

    #[test]
    fn beside_blocks_of_the_c_library_chance_does_not_count() {
        let mut domains = domains();
        assert_eq!(domains.python_birth(HEAP + 0x2a0, 4000), (Domain::Obj, NO_CLASS));
        assert_eq!(domains.python_birth(HEAP + 0x1300, 16), (Domain::Raw, NO_CLASS), "the same page");
        assert_eq!(
            domains.python_birth(HEAP + 0x4040, 16),
            (Domain::Raw, NO_CLASS),
            "the same neighbourhood"
        );
        for address in [0x2a0, 0x1300, 0x4040] {
            domains.death(HEAP + address);
        }
        assert!(domains.pages.is_empty() && domains.regions.is_empty());
        assert_eq!(
            domains.python_birth(HEAP + 0x4030, 16),
            (Domain::Obj, 1),
            "an arena may come there later"
        );
    }

    #[test]
    fn without_a_version_sizes_decide() {
        let mut domains = Domains::default();
        assert_eq!(domains.python_birth(HEAP + 8, 512), (Domain::Obj, 32));
        assert_eq!(domains.python_birth(HEAP + 8, 0), (Domain::Obj, NO_CLASS));
    }

    #[test]
    fn reallocs_stay_as_pymalloc_lets_them() {
        assert!(stays_in_place(2, 25) && stays_in_place(2, 32));
        assert!(!stays_in_place(2, 24) && !stays_in_place(2, 33) && !stays_in_place(1, 0));
    }
}
