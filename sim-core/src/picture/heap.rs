//! pymalloc's state of one interpreter at one moment.

use crate::addr::Addr;
use crate::profile::Profile;

/// A live arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArenaPicture {
    /// Its record's place in `arenas`, which its pools have as `arenaindex`.
    pub record: u32,
    /// `address`: what the arena allocator returned.
    pub base: Addr,
    /// `pool_address`: the next pool never carved.
    pub pool_address: Addr,
    /// `nfreepools`.
    pub nfreepools: u32,
    /// `ntotalpools`.
    pub ntotalpools: u32,
    /// How many of [`HeapPicture::freepools`] are its own.
    pub freepools: u32,
}

/// A carved pool. Counts are in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolPicture {
    /// `szidx`.
    pub class: u16,
    /// `ref.count`: blocks in use.
    pub in_use: u16,
    /// Blocks up to `nextoffset`: those that were ever handed out or linked.
    pub carved: u16,
    /// How many of [`HeapPicture::free`] are its own.
    pub free: u16,
}

/// `_obmalloc_state` with the arenas it has.
///
/// Lists of different length stand one after the other in one column, and their owners say how long each is: tens of millions of
/// blocks take no more than their pools' free lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeapPicture {
    /// `ARENA_SIZE` in bytes.
    pub arena_bytes: u64,
    /// `POOL_SIZE` in bytes.
    pub pool_bytes: u64,
    /// `maxarenas`: records that `arenas` has room for.
    pub records: u32,
    /// Live arenas, by record.
    pub arenas: Vec<ArenaPicture>,
    /// `usable_arenas`, head first, as numbers of records.
    pub usable: Vec<u32>,
    /// `unused_arena_objects`, top first, as numbers of records.
    pub unused: Vec<u32>,
    /// All pools that were ever carved from these arenas, arena by arena, in each by address: the first one of an arena lies at its
    /// first pool-aligned address.
    pub pools: Vec<PoolPicture>,
    /// Free lists of the pools, one after the other, head first, as numbers of blocks in their pool. Empty pools have theirs
    /// too: a class that takes such a pool again goes on with it.
    pub free: Vec<u16>,
    /// `freepools` of the arenas, one after the other, top first, as numbers of pools in their arena.
    pub freepools: Vec<u32>,
    /// `usedpools` by class, front first, as places in [`Self::pools`].
    pub used: Vec<Vec<u32>>,
    /// `ntimes_arena_allocated`; 0 where it is not known.
    pub arenas_allocated: u64,
    /// `narenas_highwater`; 0 where it is not known.
    pub arenas_highwater: u64,
    /// Bases of arenas that were obtained afterwards, in order, as far as that is known. Of others the model chooses the place.
    pub later_arenas: Vec<Addr>,
}

impl HeapPicture {
    /// Blocks in use.
    pub fn blocks(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.in_use)).sum()
    }

    /// Bytes it takes.
    pub fn state_bytes(&self) -> u64 {
        let used: usize =
            self.used.iter().map(|list| size_of_val(list.as_slice()) + size_of::<Vec<u32>>()).sum();
        (size_of_val(self.arenas.as_slice())
            + size_of_val(self.pools.as_slice())
            + size_of_val(self.free.as_slice())
            + 4 * (self.usable.len() + self.unused.len() + self.freepools.len())
            + used
            + size_of_val(self.later_arenas.as_slice())) as u64
    }

    /// Every carved pool with its arena's place in [`Self::arenas`], where it begins and its free list, in order. What was not checked
    /// may have fewer pools than its arenas say; then it ends there.
    pub fn pools<'a>(
        &'a self,
        profile: &'a Profile,
    ) -> impl Iterator<Item = (usize, Addr, &'a PoolPicture, &'a [u16])> + 'a {
        let places = self.arenas.iter().enumerate().flat_map(move |(place, arena)| {
            let size = profile.pool_size;
            let first = Addr(arena.base.0.checked_next_multiple_of(size).unwrap_or_default());
            let carved = arena.pool_address.bytes_from(first) / size;
            (0..carved).map(move |pool| (place, first.offset(pool * size)))
        });
        let mut free = self.free.as_slice();
        self.pools.iter().zip(places).map(move |(pool, (arena, at))| {
            let (list, rest) = free.split_at_checked(usize::from(pool.free)).unwrap_or((free, &[]));
            free = rest;
            (arena, at, pool, list)
        })
    }

    /// Where each block in use begins, and its bytes: by arena, pool and number in the pool.
    pub fn blocks_in_use<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = (Addr, u64)> + 'a {
        self.pools(profile).flat_map(move |(_, at, pool, free)| {
            let size = profile.block_size(crate::SizeClass(pool.class));
            let start = at.offset(profile.pool_overhead());
            numbers_in_use(*pool, free).map(move |number| (start.offset(u64::from(number) * size), size))
        })
    }
}

impl HeapPicture {
    /// The number among all blocks in use of the first one of the pool that begins at `pool`, and which blocks of that pool are in
    /// use, by number in it.
    pub fn blocks_of_pool(
        &self,
        profile: &Profile,
        pool: Addr,
    ) -> Option<(u64, impl Iterator<Item = u16> + use<>)> {
        let mut first = 0;
        for (_, at, of, free) in self.pools(profile) {
            if at == pool {
                return Some((first, numbers_in_use(*of, free)));
            }
            first += u64::from(of.in_use);
        }
        None
    }
}

/// Numbers of the blocks of a pool that are in use, in order.
pub(crate) fn numbers_in_use(pool: PoolPicture, free: &[u16]) -> impl Iterator<Item = u16> + use<> {
    let mut is_free = vec![false; usize::from(pool.carved)];
    for &number in free {
        if let Some(entry) = is_free.get_mut(usize::from(number)) {
            *entry = true;
        }
    }
    (0..pool.carved).zip(is_free).filter(|(_, free)| !free).map(|(number, _)| number)
}
