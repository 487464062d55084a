//! A state that is there already: `_obmalloc_state` as a picture has it.

use std::sync::Arc;

use super::{ArenaMap, ArenaObject, Pymalloc};
use crate::addr::{Addr, SizeClass};
use crate::arena::{ArenaBackend as _, PoolHeader, SimArenas, SimBlock, SimPool};
use crate::picture::{ArenaPicture, HeapPicture, PictureError, PoolPicture, numbers_in_use};

impl Pymalloc<SimArenas> {
    /// Goes on from a picture, and calls `each` with every block in use, in order. Nothing must have been allocated before. After an
    /// error nothing is changed.
    pub(crate) fn begin(
        &mut self,
        picture: &HeapPicture,
        mut each: impl FnMut(SimBlock),
    ) -> Result<(), PictureError> {
        picture.check(&self.profile)?;
        let most = SimArenas::most_placed(&self.profile);
        if picture.arenas.len() as u64 > most {
            return Err(PictureError::TooMany { arenas: picture.arenas.len() as u64, most });
        }
        let bases: Vec<Addr> = picture.arenas.iter().map(|arena| arena.base).collect();
        self.memory.place(&bases, &picture.later_arenas);
        self.begin_arenas(picture);
        let pools = self.begin_pools(picture, &mut each);
        self.begin_lists(picture, &pools);
        Ok(())
    }

    fn begin_arenas(&mut self, picture: &HeapPicture) {
        let none = ArenaObject {
            address: None,
            pool_address: Addr(0),
            nfreepools: 0,
            ntotalpools: 0,
            freepools: None,
            nextarena: None,
            prevarena: None,
            ordinal: 0,
        };
        self.arenas = vec![none; picture.records as usize];
        let mut map = ArenaMap::new(&self.profile);
        for (arena, ordinal) in picture.arenas.iter().zip(0..) {
            self.arenas[arena.record as usize] = ArenaObject {
                address: Some(arena.base),
                pool_address: arena.pool_address,
                nfreepools: arena.nfreepools,
                ntotalpools: arena.ntotalpools,
                ordinal,
                ..none
            };
            map.mark_used(arena.base, true, &mut |_, _| true);
        }
        self.arena_map = Arc::new(map);
        for pair in picture.usable.windows(2) {
            self.arenas[pair[0] as usize].nextarena = Some(pair[1]);
            self.arenas[pair[1] as usize].prevarena = Some(pair[0]);
        }
        for &record in &picture.usable {
            // The last of those with a count stays.
            let nfreepools = self.arenas[record as usize].nfreepools;
            self.nfp2lasta[nfreepools as usize] = Some(record);
        }
        for pair in picture.unused.windows(2) {
            self.arenas[pair[0] as usize].nextarena = Some(pair[1]);
        }
        self.usable_arenas = picture.usable.first().copied();
        self.unused_arena_objects = picture.unused.first().copied();
        self.arenas_given = picture.arenas.len() as u64;
        self.narenas_currently_allocated = picture.arenas.len() as u64;
        self.begin_counters(picture.arenas_allocated, picture.arenas_highwater);
    }

    /// Writes headers and free lists, and gives the pools in the picture's order.
    fn begin_pools(&mut self, picture: &HeapPicture, each: &mut impl FnMut(SimBlock)) -> Vec<SimPool> {
        let overhead = self.pool_overhead;
        let mut all = Vec::with_capacity(picture.pools.len());
        for (arena, at, pool, free) in picture.pools(&self.profile) {
            let &PoolPicture { class, in_use, carved, .. } = pool;
            let size = (u32::from(class) + 1) << self.alignment_bits;
            let place = self.memory.pool_at(at);
            let memory = &self.memory;
            let block = |number: u16| memory.block_in(place, overhead + u32::from(number) * size);
            numbers_in_use(*pool, free).for_each(|number| each(block(number)));
            let header = PoolHeader {
                ref_count: u32::from(in_use),
                freeblock: free.first().map(|&number| block(number)),
                nextpool: None,
                prevpool: None,
                arenaindex: picture.arenas[arena].record,
                szidx: u32::from(class),
                nextoffset: overhead + u32::from(carved) * size,
                maxnextoffset: self.profile.pool_size as u32 - size,
            };
            let links: Vec<SimBlock> = free.iter().map(|&number| block(number)).collect();
            for (place, link) in links.iter().enumerate() {
                self.memory.set_link(*link, links.get(place + 1).copied());
            }
            *self.memory.header_mut(place) = header;
            all.push(place);
        }
        all
    }

    /// Links the pools.
    fn begin_lists(&mut self, picture: &HeapPicture, pools: &[SimPool]) {
        let (mut first, mut freepools) = (0, picture.freepools.as_slice());
        for arena in &picture.arenas {
            let (mine, rest) = freepools.split_at(arena.freepools as usize);
            freepools = rest;
            let list: Vec<SimPool> = mine.iter().map(|&number| pools[first + number as usize]).collect();
            for pair in list.windows(2) {
                self.memory.header_mut(pair[0]).nextpool = Some(pair[1]);
            }
            let record = &mut self.arenas[arena.record as usize];
            record.freepools = list.first().copied();
            first += record.carved_pools(&self.profile).count();
        }
        for (front, list) in self.used.iter_mut().zip(&picture.used) {
            let list: Vec<SimPool> = list.iter().map(|&pool| pools[pool as usize]).collect();
            for pair in list.windows(2) {
                self.memory.header_mut(pair[0]).nextpool = Some(pair[1]);
                self.memory.header_mut(pair[1]).prevpool = Some(pair[0]);
            }
            *front = list.first().copied();
        }
    }

    /// The state as a picture, to go on from elsewhere. Bytes of the C library's are not in it.
    pub(crate) fn picture(&self) -> HeapPicture {
        let (profile, memory) = (&self.profile, &self.memory);
        let mut picture = HeapPicture {
            arena_bytes: profile.arena_size,
            pool_bytes: profile.pool_size,
            records: self.arenas.len() as u32,
            usable: self.usable_arenas().collect(),
            unused: self.unused_arena_objects().collect(),
            used: vec![Vec::new(); self.used.len()],
            arenas_allocated: self.ntimes_arena_allocated,
            arenas_highwater: self.narenas_highwater,
            ..HeapPicture::default()
        };
        let mut places = std::collections::BTreeMap::new();
        for record in self.live_arenas() {
            let arena = &self.arenas[record as usize];
            let Some(base) = arena.address else { continue };
            let first = profile.first_pool_addr(base);
            let freepools = picture.freepools.len();
            let number = |pool| (memory.pool_addr(pool).bytes_from(first) / profile.pool_size) as u32;
            picture.freepools.extend(self.freepools(record).map(number));
            picture.arenas.push(ArenaPicture {
                record,
                base,
                pool_address: arena.pool_address,
                nfreepools: arena.nfreepools,
                ntotalpools: arena.ntotalpools,
                freepools: (picture.freepools.len() - freepools) as u32,
            });
            for pool in self.carved_pools(record) {
                let header = memory.header(pool);
                let (at, size) = (memory.pool_addr(pool), u64::from(self.block_bytes(header.szidx)));
                let start = at.offset(u64::from(self.pool_overhead));
                let free = picture.free.len();
                let number = |block| (memory.block_addr(block).bytes_from(start) / size) as u16;
                picture.free.extend(self.free_list(pool).map(number));
                places.insert(at, picture.pools.len() as u32);
                picture.pools.push(PoolPicture {
                    class: header.szidx as u16,
                    in_use: header.ref_count as u16,
                    carved: (u64::from(header.nextoffset - self.pool_overhead) / size) as u16,
                    free: (picture.free.len() - free) as u16,
                });
            }
        }
        for (class, list) in (0..).map(SizeClass).zip(&mut picture.used) {
            let place = |pool| places.get(&memory.pool_addr(pool)).copied();
            list.extend(self.used_pools(class).filter_map(place));
        }
        picture
    }
}
