//! Where arenas begin, told from their pools: the fewest windows of an arena's size that hold all pools, and those that are certain.
//!
//! Two things are known of every arena. Its pools are carved upwards, each at once for a block; and a new one is asked for only
//! when all others are carved to their ends. So the pools of an arena that was obtained while recorded are first seen one after
//! the other, from its first to its last. 64 pools of 16 KiB lie in an arena whose base is aligned to them, else 63, and the place
//! at each of its ends is no pool of any arena. Arenas that were mapped beside each other share their place modulo their size.

use std::collections::BTreeMap;

/// An arena that pools imply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    /// Its first pool, as far as is told.
    pub(super) base: u64,
    /// Places for pools in it; where it is not certain, as many as there may be.
    pub(super) pools: u32,
    /// Whether it is certain where it begins and ends.
    pub(super) certain: bool,
}

/// Bytes that an operating system maps at least, and to which it aligns.
const PAGE_BYTES: u64 = 4096;

/// Arenas by address, from pools and the order in which a block was first seen in each.
pub(super) fn of(pools: &BTreeMap<u64, u32>, pool_size: u64, arena_size: u64) -> Vec<Window> {
    let pools: Vec<(u64, u32)> = pools.iter().map(|(pool, order)| (*pool, *order)).collect();
    let born = born(&pools, pool_size, arena_size);
    let certain: Vec<u64> = born.iter().map(|(base, _)| *base).collect();
    let mut windows = Vec::new();
    let mut rest = pools.as_slice();
    for at in 0..=certain.len() {
        let (below, above) = (at.checked_sub(1).and_then(|at| certain.get(at)), certain.get(at));
        let end = rest.partition_point(|(pool, _)| above.is_none_or(|above| pool < above));
        let (here, others) = rest.split_at(end);
        let start = here.partition_point(|(pool, _)| below.is_some_and(|base| *pool < base + arena_size));
        between(&here[start..], below.copied(), above.copied(), (pool_size, arena_size), &mut windows);
        windows.extend(born.get(at).map(|(base, pools)| Window {
            base: *base,
            pools: *pools,
            certain: true,
        }));
        rest = others;
    }
    // What is not certain ends where the next begins.
    for at in 1..windows.len() {
        let next = windows[at].base;
        let room = ((next - windows[at - 1].base) / pool_size) as u32;
        windows[at - 1].pools = windows[at - 1].pools.min(room);
    }
    windows
}

/// The first pools of arenas that were obtained while recorded, and carved to their ends, and how many each has.
fn born(pools: &[(u64, u32)], pool_size: u64, arena_size: u64) -> Vec<(u64, u32)> {
    let whole = (arena_size / pool_size) as usize;
    let misaligned = pool_size > PAGE_BYTES;
    // First pool, pools, and when the first was seen.
    let mut found: Vec<(u64, u32, u32)> = Vec::new();
    let mut start = 0;
    while start < pools.len() {
        let next_to = |at: usize| at > 0 && at < pools.len() && pools[at].0 == pools[at - 1].0 + pool_size;
        let mut end = start + 1;
        while next_to(end) && pools[end].1 > pools[end - 1].1 {
            end += 1;
        }
        let run = &pools[start..end];
        // Those that lie one above the other and were obtained upwards look like one. Where a part of another lies below them, it is
        // not known where that ends.
        if run.len().is_multiple_of(whole) {
            found.extend(run.chunks_exact(whole).map(|arena| (arena[0].0, whole as u32, arena[0].1)));
        }
        let alone = !next_to(start) && !next_to(end);
        if misaligned && alone && run.len() + 1 == whole {
            found.push((run[0].0, run.len() as u32, run[0].1));
        }
        start = end;
    }
    // One arena may have been carved in part when the recording began, and what was there of it may never be seen. The last one may
    // not be carved to its end: where it has 63 pools, it may yet get another.
    let orders = || found.iter().map(|(_, _, order)| *order);
    if let (Some(first), Some(last)) = (orders().min(), orders().max()) {
        found.retain(|(_, pools, order)| *order != first && (*order != last || *pools as usize == whole));
    }
    found.into_iter().map(|(base, pools, _)| (base, pools)).collect()
}

/// The fewest windows that hold the pools between two arenas; of ways with as few, one in a row with a neighbour.
fn between(
    mut pools: &[(u64, u32)],
    below: Option<u64>,
    above: Option<u64>,
    (pool_size, arena_size): (u64, u64),
    windows: &mut Vec<Window>,
) {
    while let [first, ..] = pools {
        // What lies further apart than an arena is told by itself.
        let far = pools.windows(2).position(|two| two[1].0 - two[0].0 >= arena_size);
        let (cluster, others) = pools.split_at(far.map_or(pools.len(), |at| at + 1));
        let last = cluster.last().unwrap_or(first).0;
        let mut ways = vec![lowest_first(cluster, arena_size)];
        let near = |gap: u64| gap < 2 * arena_size;
        ways.extend(above.filter(|above| near(above - last)).map(|above| in_row(cluster, above, arena_size)));
        ways.extend(
            below.filter(|below| near(first.0 - below)).map(|below| in_row(cluster, below, arena_size)),
        );
        ways.reverse();
        let bases = ways.into_iter().min_by_key(Vec::len).unwrap_or_default();
        let most = (arena_size / pool_size) as u32;
        windows.extend(bases.into_iter().map(|base| Window { base, pools: most, certain: false }));
        pools = others;
    }
}

/// A window begins with the lowest pool that those before do not hold.
fn lowest_first(pools: &[(u64, u32)], arena_size: u64) -> Vec<u64> {
    let mut bases: Vec<u64> = Vec::new();
    for (pool, _) in pools {
        if bases.last().is_none_or(|base| pool - base >= arena_size) {
            bases.push(*pool);
        }
    }
    bases
}

/// Windows in one row with an arena.
fn in_row(pools: &[(u64, u32)], base: u64, arena_size: u64) -> Vec<u64> {
    let within = base % arena_size;
    let mut bases: Vec<u64> = pools
        .iter()
        .map(|(pool, _)| pool.saturating_sub(within) / arena_size * arena_size + within)
        .collect();
    bases.dedup();
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: u64 = 16 << 10;
    const ARENA: u64 = 1 << 20;

    /// Windows of pools in the order in which they were first seen.
    fn told(order: impl IntoIterator<Item = u64>) -> Vec<(u64, bool)> {
        let mut pools = BTreeMap::new();
        for (pool, at) in order.into_iter().zip(0..) {
            pools.entry(pool).or_insert(at);
        }
        of(&pools, POOL, ARENA).into_iter().map(|w| (w.base, w.certain)).collect()
    }

    fn carved(base: u64) -> impl Iterator<Item = u64> {
        let first = base.next_multiple_of(POOL);
        (first..=base + ARENA - POOL).step_by(POOL as usize)
    }

    #[test]
    fn what_was_carved_while_recorded_is_certain_but_for_the_first() {
        let top = 0x7f00_0000_0000_u64;
        // Downwards, as systems map them, aligned to pools and not.
        for within in [0, 0x1000, 0x3000] {
            let bases = [top + within, top + within - ARENA, top + within - 2 * ARENA];
            let first = |base: u64| base.next_multiple_of(POOL);
            // Of 63 pools it is not known whether a 64th was still to come.
            let last = within == 0;
            assert_eq!(
                told(bases.into_iter().flat_map(carved)),
                [(first(bases[2]), last), (first(bases[1]), true), (first(bases[0]), false)],
                "{within:#x}"
            );
            // Nor of the last that is carved in part.
            let part = bases.into_iter().flat_map(carved).chain(carved(bases[2] - ARENA).take(63 - 20));
            assert_eq!(
                told(part).iter().filter(|(_, certain)| *certain).count(),
                1 + usize::from(last),
                "{within:#x}"
            );
        }
        // Upwards.
        let up = [top, top + ARENA, top + 2 * ARENA];
        assert_eq!(told(up.into_iter().flat_map(carved)), [(up[0], false), (up[1], true), (up[2], true)]);
    }

    #[test]
    fn an_arena_from_before_takes_its_place_in_the_row() {
        let base = 0x7f00_0000_3000_u64;
        // Of the lower one only two pools are seen, far from its ends.
        let below = (base - ARENA).next_multiple_of(POOL);
        let old = [below + 40 * POOL, below + 9 * POOL];
        let first = [base + 5 * ARENA];
        let last = base + 9 * ARENA;
        let order = first.into_iter().flat_map(carved).chain(carved(base)).chain(carved(last)).chain(old);
        let start = |base: u64| base.next_multiple_of(POOL);
        let told_of = [(below, false), (start(base), true), (start(first[0]), false), (start(last), false)];
        assert_eq!(told(order), told_of);
        // What no neighbour tells begins with its lowest pool.
        assert_eq!(told([0x4000, 0x8000]), [(0x4000, false)]);
        assert_eq!(
            told([0x8000, 0x4000 + ARENA, 0x4000 + 3 * ARENA]),
            [(0x8000, false), (0x4000 + 3 * ARENA, false)]
        );
    }

    #[test]
    fn arenas_of_4_kib_pools_are_never_misaligned() {
        let pools = |base: u64, count: u64| (0..count).map(move |pool| base + pool * 4096);
        let bases = [0x10_0000_u64, 0x20_0000, 0x30_0000];
        let counts = [64, 63, 64];
        let mut order = BTreeMap::new();
        for (pool, at) in bases.into_iter().zip(counts).flat_map(|(b, c)| pools(b, c)).zip(0..) {
            order.insert(pool, at);
        }
        let told: Vec<_> = of(&order, 4096, 256 << 10).into_iter().map(|w| (w.base, w.certain)).collect();
        assert_eq!(told, [(bases[0], false), (bases[1], false), (bases[2], true)]);
    }
}
