//! The map in the colors of what a picture of a process says: types, owners, ways, and what is in memory.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::picture::{HeapPicture, PoolMemory, ProcessPicture};
use sim_core::{Addr, Profile, SizeClass};

use super::map::MapPicture;
use super::process::{named, type_name};
use crate::run::Session;
use crate::selection::Paint;

/// Groups that have a color of their own.
const GROUPS: usize = 7;
/// The color of all other groups together.
const OTHERS: u8 = GROUPS as u8;
/// The color of blocks of no group.
const NONE: u8 = OTHERS + 1;

/// A group with its color's meaning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PaintGroup {
    /// What it is called: the process's own text.
    pub name: String,
    /// Bytes of its blocks, or of memory.
    pub bytes: u64,
}

/// Colors of what the map shows, as numbers of groups.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MapPaint {
    /// What they say.
    pub by: Paint,
    /// The groups in the order of their colors; the last two are all others and none.
    pub groups: Vec<PaintGroup>,
    /// The group that has most of each pool, by where the pool starts; of those that are shown and have one.
    pub pools: Vec<(Addr, u8)>,
    /// The group of each block of the pool that is shown, by number; [`u8::MAX`] where there is none.
    pub blocks: Vec<u8>,
}

impl MapPaint {
    /// The group that has most of a pool.
    pub fn of_pool(&self, pool: Addr) -> Option<u8> {
        let at = self.pools.binary_search_by_key(&pool, |of| of.0).ok()?;
        Some(self.pools[at].1)
    }

    /// The name of that group.
    pub fn name_of_pool(&self, pool: Addr) -> Option<&str> {
        self.groups.get(usize::from(self.of_pool(pool)?)).map(|group| group.name.as_str())
    }

    /// The group of a block.
    pub fn of_block(&self, index: usize) -> Option<u8> {
        self.blocks.get(index).copied().filter(|group| *group != u8::MAX)
    }

    /// Whether a group is a rest, which has no color of its own.
    pub fn is_rest(&self, group: u8) -> bool {
        self.by != Paint::Memory && group >= OTHERS
    }
}

/// The colors of all pools, kept until others are wanted.
#[derive(Debug, Default)]
pub(crate) struct Painting {
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    of: Arc<ProcessPicture>,
    by: Paint,
    groups: Vec<PaintGroup>,
    /// Colors by number in the picture's table.
    colors: HashMap<u32, u8>,
    /// By address.
    pools: Vec<(Addr, u8)>,
}

impl Painting {
    /// The colors of what the map shows, where the trace begins with a picture and they are wanted.
    pub(crate) fn of(&mut self, session: &Session, by: Paint, map: Option<&MapPicture>) -> Option<MapPaint> {
        let picture = session.trace().origin.picture.as_ref().filter(|_| by != Paint::SizeClass)?;
        let (map, profile) = (map?, session.profile());
        let heap = picture.main()?;
        if self.made.as_ref().is_none_or(|made| made.by != by || !Arc::ptr_eq(&made.of, picture)) {
            self.made = Some(Made::of(picture, heap, profile, by));
        }
        let made = self.made.as_ref()?;
        let mut pools: Vec<(Addr, u8)> = Vec::new();
        for tile in map.tiles() {
            let (from, until) = (tile.arena.base, tile.arena.base.offset(profile.arena_size));
            let first = made.pools.partition_point(|pool| pool.0 < from);
            pools.extend(made.pools[first..].iter().take_while(|pool| pool.0 < until));
        }
        pools.sort_unstable_by_key(|pool| pool.0);
        let blocks = match map {
            MapPicture::Pool { pool, states, .. } => made.blocks(heap, profile, pool.addr, states.len()),
            _ => Vec::new(),
        };
        Some(MapPaint { by, groups: made.groups.clone(), pools, blocks })
    }
}

/// The column that a paint is of.
fn column(picture: &ProcessPicture, by: Paint) -> &[u32] {
    let columns = &picture.inventory.blocks;
    match by {
        Paint::SizeClass | Paint::Memory => &[],
        Paint::Type => &columns.types,
        Paint::Owner => &columns.owners,
        Paint::Path => &columns.paths,
    }
}

impl Made {
    fn of(picture: &Arc<ProcessPicture>, heap: &HeapPicture, profile: &Profile, by: Paint) -> Self {
        let mut made = Self {
            of: Arc::clone(picture),
            by,
            groups: Vec::new(),
            colors: HashMap::new(),
            pools: Vec::new(),
        };
        if by == Paint::Memory {
            made.by_memory(heap, profile);
        } else {
            made.by_column(heap, profile);
        }
        made.pools.sort_unstable_by_key(|pool| pool.0);
        made
    }

    fn by_column(&mut self, heap: &HeapPicture, profile: &Profile) {
        let picture = Arc::clone(&self.of);
        let numbers = column(&picture, self.by);
        let mut sums: HashMap<u32, u64> = HashMap::new();
        each_pool(heap, profile, numbers, |_, size, numbers| {
            for number in numbers {
                *sums.entry(*number).or_default() += size;
            }
        });
        let none = sums.remove(&0).unwrap_or(0);
        let mut all: Vec<(u32, u64)> = sums.into_iter().collect();
        all.sort_unstable_by_key(|(number, bytes)| (std::cmp::Reverse(*bytes), *number));
        let inventory = &picture.inventory;
        let name = |number| match self.by {
            Paint::Type => type_name(inventory, number),
            Paint::Owner => named(&inventory.owners, number),
            _ => named(&inventory.paths, number),
        };
        self.groups = all
            .iter()
            .take(GROUPS)
            .map(|&(number, bytes)| PaintGroup { name: name(number).unwrap_or_default(), bytes })
            .collect();
        self.groups.resize(GROUPS, PaintGroup { name: String::new(), bytes: 0 });
        let rest = all.iter().skip(GROUPS).map(|(_, bytes)| bytes).sum();
        let nothing = if self.by == Paint::Type { "no object" } else { "not known" };
        self.groups.push(PaintGroup { name: "all others".to_owned(), bytes: rest });
        self.groups.push(PaintGroup { name: nothing.to_owned(), bytes: none });
        self.colors = all.iter().take(GROUPS).map(|of| of.0).zip(0..).chain([(0, NONE)]).collect();
        let mut pools = Vec::new();
        each_pool(heap, profile, numbers, |at, _, numbers| {
            let mut counts = [0_u32; NONE as usize + 1];
            for number in numbers {
                counts[usize::from(self.color(*number))] += 1;
            }
            let most = (0..).zip(counts).max_by_key(|(group, count)| (*count, std::cmp::Reverse(*group)));
            pools.extend(most.filter(|most| most.1 > 0).map(|(group, _)| (at, group)));
        });
        self.pools = pools;
    }

    fn by_memory(&mut self, heap: &HeapPicture, profile: &Profile) {
        let names = ["this process's alone", "other processes have it too", "in part", "not in memory"];
        self.groups = names.map(|name| PaintGroup { name: name.to_owned(), bytes: 0 }).into_iter().collect();
        let all = profile.pool_size;
        let memory = self.of.inventory.pool_memory.iter();
        for ((_, at, ..), PoolMemory { resident_bytes, private_bytes }) in heap.pools(profile).zip(memory) {
            let (resident, private) = (u64::from(*resident_bytes), u64::from(*private_bytes));
            let group = match resident {
                0 => 3,
                _ if resident < all => 2,
                _ => u8::from(private * 2 < all),
            };
            self.groups[usize::from(group)].bytes += if group == 3 { all } else { resident };
            self.pools.push((at, group));
        }
    }

    fn color(&self, number: u32) -> u8 {
        self.colors.get(&number).copied().unwrap_or(OTHERS)
    }

    /// The groups of a pool's blocks, as many as it has.
    fn blocks(&self, heap: &HeapPicture, profile: &Profile, pool: Addr, count: usize) -> Vec<u8> {
        if self.by == Paint::Memory {
            let at = self.pools.binary_search_by_key(&pool, |of| of.0);
            return at.map_or_else(|_| Vec::new(), |at| vec![self.pools[at].1; count]);
        }
        let mut groups = vec![u8::MAX; count];
        let Some((first, places)) = heap.blocks_of_pool(profile, pool) else { return groups };
        let numbers = column(&self.of, self.by).iter().skip(first as usize);
        for (place, number) in places.zip(numbers) {
            if let Some(group) = groups.get_mut(usize::from(place)) {
                *group = self.color(*number);
            }
        }
        groups
    }
}

/// Calls `each` with every pool that has blocks in use: where it starts, bytes of a block, and the numbers of its blocks.
fn each_pool(
    heap: &HeapPicture,
    profile: &Profile,
    numbers: &[u32],
    mut each: impl FnMut(Addr, u64, &[u32]),
) {
    let mut rest = numbers;
    for (_, at, pool, _) in heap.pools(profile) {
        let Some((mine, others)) = rest.split_at_checked(usize::from(pool.in_use)) else { return };
        rest = others;
        if !mine.is_empty() {
            each(at, profile.block_size(SizeClass(pool.class)), mine);
        }
    }
}

#[cfg(test)]
mod tests {
    use sim_core::picture::{ArenaPicture, BlockColumns, Inventory, PoolPicture, TypeRow};

    use super::*;

    const BASE: Addr = Addr(0x7e00_0000_0000);

    /// Two pools of blocks of 32 bytes: three blocks, of which number 1 is free, and two.
    fn picture() -> Arc<ProcessPicture> {
        let profile = Profile::default();
        let of = |name: &str| TypeRow { name: name.to_owned(), ..TypeRow::default() };
        let arena = ArenaPicture {
            record: 0,
            base: BASE,
            pool_address: BASE.offset(2 * profile.pool_size),
            nfreepools: 0,
            ntotalpools: profile.max_pools_in_arena(),
            freepools: 0,
        };
        let heap = HeapPicture {
            arenas: vec![arena],
            pools: vec![
                PoolPicture { class: 1, in_use: 3, carved: 4, free: 1 },
                PoolPicture { class: 1, in_use: 2, carved: 2, free: 0 },
            ],
            free: vec![1],
            ..HeapPicture::default()
        };
        let inventory = Inventory {
            types: vec![of("m.A"), of("m.B")],
            blocks: BlockColumns { types: vec![1, 1, 2, 2, 0], ..BlockColumns::default() },
            pool_memory: vec![
                PoolMemory { resident_bytes: 16384, private_bytes: 16384 },
                PoolMemory { resident_bytes: 4096, private_bytes: 0 },
            ],
            ..Inventory::default()
        };
        Arc::new(ProcessPicture { heaps: vec![heap], inventory })
    }

    fn made(by: Paint) -> (Made, Arc<ProcessPicture>) {
        let picture = picture();
        let made = Made::of(&picture, picture.main().unwrap(), &Profile::default(), by);
        (made, picture)
    }

    #[test]
    fn pools_have_the_color_of_what_has_most_of_them_and_blocks_their_own() {
        let profile = Profile::default();
        let (made, picture) = made(Paint::Type);
        let second = BASE.offset(profile.pool_size);
        // Both have two; the one that comes first in the table is first.
        let groups: Vec<_> = made.groups.iter().filter(|group| group.bytes > 0).collect();
        let groups: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.bytes)).collect();
        assert_eq!(groups, [("m.A", 64), ("m.B", 64), ("no object", 32)]);
        assert_eq!(made.pools, [(BASE, 0), (second, 1)]);
        let heap = picture.main().unwrap();
        assert_eq!(made.blocks(heap, &profile, BASE, 5), [0, u8::MAX, 0, 1, u8::MAX]);
        assert_eq!(made.blocks(heap, &profile, second, 2), [1, NONE]);
        assert_eq!(made.blocks(heap, &profile, second.offset(profile.pool_size), 1), [u8::MAX]);
    }

    #[test]
    fn pools_are_told_apart_by_what_of_them_is_in_memory() {
        let (made, picture) = made(Paint::Memory);
        let colors: Vec<u8> = made.pools.iter().map(|pool| pool.1).collect();
        assert_eq!(colors, [0, 2], "its own, and a part of one");
        let bytes: Vec<u64> = made.groups.iter().map(|group| group.bytes).collect();
        assert_eq!(bytes, [16384, 0, 4096, 0]);
        assert_eq!(made.blocks(picture.main().unwrap(), &Profile::default(), BASE, 2), [0, 0]);
    }

    #[test]
    fn a_column_that_is_not_there_colors_nothing() {
        let (made, _) = made(Paint::Owner);
        assert!(made.pools.is_empty() && made.groups.iter().all(|group| group.bytes == 0));
    }
}
