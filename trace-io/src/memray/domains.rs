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
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Its address in its own size.
    number: u64,
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

/// Where a new block was put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) domain: Domain,
    /// Its class, if it lies in a pool.
    pub(super) class: u16,
    /// Its page, for the block's death and for the births beside it.
    pub(super) page: u32,
}

/// What is known of the pages in use.
#[derive(Debug, Default)]
pub(super) struct Domains {
    /// `None` while nothing is known of pools: then sizes alone decide.
    pool_bits: Option<u32>,
    /// Bytes that debug hooks put in front of a block, and around it altogether.
    front_bytes: u64,
    around_bytes: u64,
    /// Page 0 stands for all while nothing is known of pools.
    pages: Vec<Page>,
    free_pages: Vec<u32>,
    by_number: Map<u32>,
    regions: Map<Region>,
}

impl Domains {
    /// `pool_bytes` is a power of two.
    pub(super) fn set_pools(&mut self, pool_bytes: u64) {
        self.pool_bits = Some(pool_bytes.trailing_zeros());
        self.pages = vec![Page::default()];
    }

    /// Blocks have debug hooks around them: size and id in front, pads, nothing behind but a pad.
    pub(super) fn set_debug_hooks(&mut self) {
        self.front_bytes = 16;
        self.around_bytes = 24;
    }

    /// A block of one of Python's domains is born. `page` is that of a live block in the same chunk of addresses.
    #[inline]
    pub(super) fn python_birth(&mut self, address: u64, size: u64, page: Option<u32>) -> Found {
        let class = size.saturating_add(self.around_bytes).div_ceil(ALIGNMENT);
        let small = class > 0 && class <= THRESHOLD_BYTES / ALIGNMENT;
        let Some(pool_bits) = self.pool_bits else {
            return Found {
                domain: Domain::Obj,
                class: if small { class as u16 } else { NO_CLASS },
                page: 0,
            };
        };
        if !small {
            return Found { domain: Domain::Obj, ..self.birth(address, pool_bits, NO_CLASS, page) };
        }
        let start = address.wrapping_sub(self.front_bytes);
        let bytes = class * ALIGNMENT;
        let place = start & ((1 << pool_bits) - 1);
        let fits = place >= POOL_OVERHEAD_BYTES
            && ((place - POOL_OVERHEAD_BYTES) as u32).is_multiple_of(bytes as u32)
            && place + bytes <= 1 << pool_bits;
        self.birth(address, pool_bits, if fits { class as u16 } else { NO_CLASS }, page)
    }

    /// A block is where one of this class was just now.
    pub(super) fn birth_in_pool(&mut self, address: u64, class: u16, page: Option<u32>) -> u32 {
        self.pool_bits.map_or(0, |pool_bits| self.birth(address, pool_bits, class, page).page)
    }

    /// A block of the C library is born.
    pub(super) fn libc_birth(&mut self, address: u64, page: Option<u32>) -> Found {
        match self.pool_bits {
            Some(pool_bits) => {
                Found { domain: Domain::Raw, ..self.birth(address, pool_bits, NO_CLASS, page) }
            }
            None => Found { domain: Domain::Raw, class: NO_CLASS, page: 0 },
        }
    }

    /// Counts a block to its page, which says what it makes of the class asked for.
    #[expect(clippy::inline_always, reason = "it is called for each block, and was not inlined")]
    #[inline(always)]
    fn birth(&mut self, address: u64, pool_bits: u32, class: u16, page: Option<u32>) -> Found {
        let number = match page {
            Some(page) if page != 0 => page,
            _ => match self.by_number.get(&(address >> pool_bits)) {
                Some(&page) => page,
                None => return self.first(address >> pool_bits, address >> REGION_BITS, class),
            },
        };
        let page = &mut self.pages[number as usize];
        page.live = page.live.saturating_add(1);
        if page.class == class {
            return Found::new(class, number);
        }
        if page.class != NO_CLASS {
            // Two classes side by side: this never was a pool.
            page.class = NO_CLASS;
            let region = self.regions.entry(address >> REGION_BITS).or_default();
            region.pools = region.pools.saturating_sub(1);
            region.others += 1;
        }
        Found::new(NO_CLASS, number)
    }

    #[cold]
    fn first(&mut self, number: u64, region: u64, class: u16) -> Found {
        let region = self.regions.entry(region).or_default();
        // Among blocks of the C library alone a block that would fit a pool does so by chance.
        let class = if region.pools == 0 && region.others > 0 { NO_CLASS } else { class };
        if class == NO_CLASS {
            region.others += 1;
        } else {
            region.pools += 1;
        }
        let page = Page { number, class, live: 1 };
        let row = if let Some(row) = self.free_pages.pop() {
            self.pages[row as usize] = page;
            row
        } else {
            self.pages.push(page);
            self.pages.len() as u32 - 1
        };
        self.by_number.insert(number, row);
        Found::new(class, row)
    }

    /// A block of this page dies.
    #[inline]
    pub(super) fn death(&mut self, page: u32) {
        let Some(at) = self.pages.get_mut(page as usize).filter(|_| page != 0) else { return };
        at.live -= 1;
        if at.live == 0 {
            self.last(page);
        }
    }

    #[cold]
    fn last(&mut self, row: u32) {
        let page = self.pages[row as usize];
        self.by_number.remove(&page.number);
        self.free_pages.push(row);
        let region = page.number >> (REGION_BITS - self.pool_bits.unwrap_or(0));
        if let Some(counts) = self.regions.get_mut(&region) {
            let count = if page.class == NO_CLASS { &mut counts.others } else { &mut counts.pools };
            *count = count.saturating_sub(1);
            if counts.pools == 0 && counts.others == 0 {
                self.regions.remove(&region);
            }
        }
    }
}

impl Default for Found {
    fn default() -> Self {
        Self::new(NO_CLASS, 0)
    }
}

impl Found {
    fn new(class: u16, page: u32) -> Self {
        Self { domain: if class == NO_CLASS { Domain::Raw } else { Domain::Obj }, class, page }
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

    fn born(domains: &mut Domains, address: u64, size: u64) -> (Domain, u16) {
        let found = domains.python_birth(address, size, None);
        (found.domain, found.class)
    }

    #[test]
    fn a_block_in_a_pool_is_pymallocs() {
        let mut domains = domains();
        assert_eq!(born(&mut domains, POOL + 48, 33), (Domain::Obj, 3));
        assert_eq!(born(&mut domains, POOL + 48 + 5 * 48, 48), (Domain::Obj, 3));
        assert_eq!(born(&mut domains, POOL + 48 + 50, 48), (Domain::Raw, NO_CLASS));
    }

    #[test]
    fn beside_blocks_of_the_c_library_chance_does_not_count() {
        let mut domains = domains();
        let large = domains.python_birth(HEAP + 0x2a0, 4000, None);
        assert_eq!((large.domain, large.class), (Domain::Obj, NO_CLASS));
        let beside = domains.python_birth(HEAP + 0x1300, 16, Some(large.page));
        assert_eq!(beside, Found { domain: Domain::Raw, class: NO_CLASS, page: large.page }, "the same page");
        let near = domains.python_birth(HEAP + 0x4040, 16, None);
        assert_eq!((near.domain, near.class), (Domain::Raw, NO_CLASS), "the same neighbourhood");
        for page in [large.page, large.page, near.page] {
            domains.death(page);
        }
        assert!(domains.by_number.is_empty() && domains.regions.is_empty());
        assert_eq!(born(&mut domains, HEAP + 0x4030, 16), (Domain::Obj, 1), "an arena may come there later");
    }

    #[test]
    fn without_a_version_sizes_decide() {
        let mut domains = Domains::default();
        assert_eq!(born(&mut domains, HEAP + 8, 512), (Domain::Obj, 32));
        assert_eq!(born(&mut domains, HEAP + 8, 0), (Domain::Obj, NO_CLASS));
    }

    #[test]
    fn reallocs_stay_as_pymalloc_lets_them() {
        assert!(stays_in_place(2, 25) && stays_in_place(2, 32));
        assert!(!stays_in_place(2, 24) && !stays_in_place(2, 33) && !stays_in_place(1, 0));
    }
}
