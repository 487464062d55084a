//! Which domain a block came from, told from its size and address.
//!
//! memray wraps RAW, MEM and OBJ alike. Of the blocks that pymalloc could have served, those it did serve lie
//! in a pool: a whole number of blocks after the header of an aligned page run all of whose blocks have one class. What lies
//! otherwise, or beside blocks that are the C library's for certain, came through RAW. A pool that is set up gives its first
//! block first, and hardly any other block lies there, so such a one says more than what lies beside it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sim_core::Domain;

use super::allocator::Function;
use super::neighbours::{Kind, Neighbours};

type Map<V> = HashMap<u64, V, RandomState>;

/// The class of a block that lies in no pool.
pub(super) const NO_CLASS: u16 = 0;

const ALIGNMENT: u64 = 16;
const THRESHOLD_BYTES: u64 = 512;
const CLASSES: usize = (THRESHOLD_BYTES / ALIGNMENT) as usize;
const POOL_OVERHEAD_BYTES: u64 = 48;

/// C libraries map blocks of 128 KiB and more by themselves, or of what they are told; smaller ones hardly anybody does.
const MAPPED_BYTES_MIN: u64 = 64 << 10;
/// Such a block begins where a page does, behind a header.
const MAPPED_HEADER_BYTES: u64 = 64;
const SYSTEM_PAGE_BYTES: u64 = 4 << 10;

/// A run of addresses as large and aligned as a pool, while a block in it is live.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Its address in its own size.
    number: u64,
    /// The class of its blocks in units of the alignment; [`NO_CLASS`] for the C library's.
    class: u16,
    live: u32,
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

/// A block as its address shows it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    address: u64,
    pool_bits: u32,
    /// The class it would have in a pool; [`NO_CLASS`] if it lies in none.
    class: u16,
    /// It lies where a pool's first block does.
    first: bool,
    /// It may have a mapping of its own.
    mapped: bool,
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
    neighbours: Neighbours,
    /// Blocks that both pymalloc and the C library could have put there, so that only what lies around them decided.
    pub(super) guesses: u64,
}

impl Domains {
    /// `pool_bytes` is a power of two.
    pub(super) fn set_pools(&mut self, pool_bytes: u64) {
        self.pool_bits = Some(pool_bytes.trailing_zeros());
        self.pages = vec![Page::default()];
    }

    pub(super) fn knows_pools(&self) -> bool {
        self.pool_bits.is_some()
    }

    /// Blocks have debug hooks around them: size and id in front, pads, nothing behind but a pad.
    pub(super) fn set_debug_hooks(&mut self) {
        self.front_bytes = 16;
        self.around_bytes = 24;
    }

    /// A block of one of Python's domains is born. `page` is that of a live block in the same chunk of addresses, 0 for none.
    #[inline]
    pub(super) fn python_birth(&mut self, address: u64, size: u64, page: u32) -> Found {
        let class =
            if size > THRESHOLD_BYTES { 0 } else { (size + self.around_bytes).div_ceil(ALIGNMENT) as usize };
        let class = if class > CLASSES { NO_CLASS } else { class as u16 };
        let Some(pool_bits) = self.pool_bits else {
            return Found { domain: Domain::Obj, class, page: 0 };
        };
        let block = address.wrapping_sub(self.front_bytes);
        let seen = Seen {
            address,
            pool_bits,
            class: if fits(block, class, pool_bits) { class } else { NO_CLASS },
            first: block & ((1 << pool_bits) - 1) == POOL_OVERHEAD_BYTES,
            mapped: maps_itself(address, size, false),
        };
        let (found, page) = self.birth(seen, page);
        let large = class == NO_CLASS;
        Found {
            domain: if large || found != NO_CLASS { Domain::Obj } else { Domain::Raw },
            class: found,
            page,
        }
    }

    /// Whether a block of pymalloc's would lie so.
    pub(super) fn lies_in_pool(address: u64, size: u64, pool_bytes: u64) -> bool {
        let class = size.div_ceil(ALIGNMENT);
        class as usize <= CLASSES && fits(address, class as u16, pool_bytes.trailing_zeros())
    }

    /// A block is where one of this class was just now.
    pub(super) fn birth_in_pool(&mut self, address: u64, class: u16, page: u32) -> u32 {
        let Some(pool_bits) = self.pool_bits else { return 0 };
        self.birth(Seen { address, pool_bits, class, first: false, mapped: false }, page).1
    }

    /// A block of the C library is born.
    pub(super) fn libc_birth(&mut self, function: Function, address: u64, size: u64, page: u32) -> Found {
        let Some(pool_bits) = self.pool_bits else { return Found::default() };
        let mapped = maps_itself(address, size, function.aligns());
        let seen = Seen { address, pool_bits, class: NO_CLASS, first: false, mapped };
        Found { page: self.birth(seen, page).1, ..Found::default() }
    }

    /// Counts a block to its page, which says what it makes of the class asked for.
    #[inline]
    fn birth(&mut self, seen: Seen, page: u32) -> (u16, u32) {
        let row = if page == 0 { self.row(seen) } else { page };
        let page = &mut self.pages[row as usize];
        page.live += 1;
        if page.class == seen.class {
            return (seen.class, row);
        }
        self.differs(row, seen)
    }

    /// A block that is not of its page's class.
    #[cold]
    fn differs(&mut self, row: u32, seen: Seen) -> (u16, u32) {
        let page = &mut self.pages[row as usize];
        if page.class == NO_CLASS {
            self.guesses += 1;
        } else if seen.first && seen.class != NO_CLASS {
            // The pool was set up anew: what seems to live in it from before has died unseen.
            page.class = seen.class;
            return (seen.class, row);
        } else {
            // Two classes side by side: this never was a pool.
            page.class = NO_CLASS;
            self.neighbours.correct(seen.address, seen.pool_bits);
        }
        (NO_CLASS, row)
    }

    /// The row of a page, which the first block to live in it gives a class.
    #[cold]
    fn row(&mut self, seen: Seen) -> u32 {
        let Seen { address, pool_bits, .. } = seen;
        let number = address >> pool_bits;
        if let Some(&row) = self.by_number.get(&number) {
            return row;
        }
        let kind = if seen.class == NO_CLASS {
            if seen.mapped { Kind::Mapping } else { Kind::Other }
        } else if seen.first {
            Kind::Pool
        } else {
            // Among blocks of the C library alone a block that would fit a pool does so by chance.
            let guess = self.neighbours.guess(address, pool_bits);
            self.guesses += u64::from(guess.is_none());
            guess.unwrap_or(Kind::Pool)
        };
        self.neighbours.begin(address, pool_bits, kind);
        let page = Page { number, class: if kind == Kind::Pool { seen.class } else { NO_CLASS }, live: 0 };
        let row = if let Some(row) = self.free_pages.pop() {
            self.pages[row as usize] = page;
            row
        } else {
            self.pages.push(page);
            self.pages.len() as u32 - 1
        };
        self.by_number.insert(number, row);
        row
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
        self.neighbours.end(page.number << self.pool_bits.unwrap_or(0));
    }
}

/// Whether a block lies where pymalloc puts one of its class.
#[inline]
fn fits(block: u64, class: u16, pool_bits: u32) -> bool {
    let place = block & ((1 << pool_bits) - 1);
    place >= POOL_OVERHEAD_BYTES
        && is_multiple((place - POOL_OVERHEAD_BYTES) as u32, class)
        && place + u64::from(class) * ALIGNMENT <= 1 << pool_bits
}

/// Whether a block is as large and lies as one for which the C library makes a mapping. What is asked for at an address of an alignment may
/// lie anywhere in its mapping.
fn maps_itself(address: u64, size: u64, aligned: bool) -> bool {
    size >= MAPPED_BYTES_MIN && (aligned || address % SYSTEM_PAGE_BYTES < MAPPED_HEADER_BYTES)
}

impl Default for Found {
    fn default() -> Self {
        Self { domain: Domain::Raw, class: NO_CLASS, page: 0 }
    }
}

/// Whether a distance in a pool is a whole number of blocks of a class, without a division for each block: of the
/// multiples of a number, and of no others, the product with its inverse is small (Lemire, Kaser and Kurz, "Faster
/// remainder by direct computation", 2019).
#[inline]
fn is_multiple(bytes: u32, class: u16) -> bool {
    const INVERSES: [u32; CLASSES + 1] = {
        // Of [`NO_CLASS`] nothing is a multiple.
        let mut inverses = [0; CLASSES + 1];
        let mut class = 1;
        while class <= CLASSES {
            inverses[class] = u32::MAX / (class * ALIGNMENT as usize) as u32 + 1;
            class += 1;
        }
        inverses
    };
    let inverse = INVERSES[usize::from(class)];
    bytes.wrapping_mul(inverse) < inverse
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
        let found = domains.python_birth(address, size, 0);
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
        let large = domains.python_birth(HEAP + 0x2a0, 4000, 0);
        assert_eq!((large.domain, large.class), (Domain::Obj, NO_CLASS));
        let beside = domains.python_birth(HEAP + 0x1300, 16, large.page);
        assert_eq!(beside, Found { domain: Domain::Raw, class: NO_CLASS, page: large.page }, "the same page");
        let near = domains.python_birth(HEAP + 0x4040, 16, 0);
        assert_eq!((near.domain, near.class), (Domain::Raw, NO_CLASS), "the same neighbourhood");
        for page in [large.page, large.page, near.page] {
            domains.death(page);
        }
        assert!(domains.by_number.is_empty() && domains.neighbours.is_empty());
        assert_eq!(born(&mut domains, HEAP + 0x4030, 16), (Domain::Obj, 1), "an arena may come there later");
    }

    /// Linux puts the arena directly below the mapping, at no multiple of its size.
    #[test]
    fn an_arena_below_a_mapping_is_seen() {
        for pool_bytes in [4 << 10, 16 << 10] {
            let mut domains = Domains::default();
            domains.set_pools(pool_bytes);
            let mapping = 0x7f12_345c_3000;
            let big = domains.python_birth(mapping + 16, 2_000_000, 0);
            assert_eq!((big.domain, big.class), (Domain::Obj, NO_CLASS));
            let pool = mapping / pool_bytes * pool_bytes - pool_bytes;
            // Of a pool from before the recording any block may be the first that is seen.
            assert_eq!(born(&mut domains, pool + 48 + 96, 93), (Domain::Obj, 6), "{pool_bytes}");
            for n in 2..9 {
                assert_eq!(born(&mut domains, pool - n * pool_bytes + 48, 93), (Domain::Obj, 6));
                assert_eq!(born(&mut domains, pool - n * pool_bytes + 48 + 96, 93), (Domain::Obj, 6));
            }
            let numpy = domains.libc_birth(Function::new(9).unwrap(), mapping - (4 << 20) + 0x80, 1 << 20, 0);
            assert_eq!(
                (numpy.class, domains.guesses),
                (NO_CLASS, 1),
                "only the first pool had nothing beside it"
            );
        }
    }

    #[test]
    fn a_pool_that_is_set_up_anew_is_believed() {
        let mut domains = domains();
        assert_eq!(born(&mut domains, POOL + 48, 33), (Domain::Obj, 3));
        // Its free was lost.
        assert_eq!(born(&mut domains, POOL + 48, 100), (Domain::Obj, 7));
        assert_eq!(born(&mut domains, POOL + 48 + 112, 100), (Domain::Obj, 7));
    }

    #[test]
    fn without_a_version_sizes_decide() {
        let mut domains = Domains::default();
        assert_eq!(born(&mut domains, HEAP + 8, 512), (Domain::Obj, 32));
        assert_eq!(born(&mut domains, HEAP + 8, 0), (Domain::Obj, NO_CLASS));
    }

    #[test]
    fn multiples_are_told_without_dividing() {
        for class in 1..=CLASSES as u16 {
            for bytes in 0..1 << 16 {
                assert_eq!(
                    is_multiple(bytes, class),
                    bytes % (16 * u32::from(class)) == 0,
                    "{bytes} of {class}"
                );
            }
        }
    }

    #[test]
    fn reallocs_stay_as_pymalloc_lets_them() {
        assert!(stays_in_place(2, 25) && stays_in_place(2, 32));
        assert!(!stays_in_place(2, 24) && !stays_in_place(2, 33) && !stays_in_place(1, 0));
    }
}
