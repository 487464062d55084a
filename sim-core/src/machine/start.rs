//! Blocks that were there before a trace begins, known by number only.
//!
//! A recording that begins in mid-life finds pools in use. Where `sys._debugmallocstats()` was printed at that
//! moment, arenas, pools and blocks of each class can be had again; which blocks lie where, and when they are
//! freed, cannot.

use super::Machine;
use crate::arena::ArenaBackend;

/// A size class before a trace begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartClass {
    /// Bytes of a block.
    pub size: u64,
    /// Pools in which blocks are in use.
    pub pools: u64,
    /// These blocks.
    pub in_use: u64,
}

/// pymalloc before a trace begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StartPicture {
    /// Classes that have pools.
    pub classes: Vec<StartClass>,
    /// Pools of live arenas that no class has.
    pub unused_pools: u64,
    /// Arenas obtained until then, given back ones included; 0 where that is not known.
    pub arenas_allocated: u64,
    /// The most arenas until then that were live at once; 0 where that is not known.
    pub arenas_highwater: u64,
}

/// Why a machine cannot begin with a picture.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartError {
    /// Mimalloc, debug hooks, other tables, or not at the beginning.
    #[error("only a run on pymalloc over the bare tables can begin with blocks")]
    NotPlain,
    /// A size that no class has.
    #[error("blocks of {size} bytes, of which {profile} has no class; name the profile that printed it")]
    NoClass {
        /// Of a block.
        size: u64,
        /// The run's.
        profile: String,
    },
    /// More blocks than the pools hold, or fewer than one a pool.
    #[error(
        "{in_use} blocks of {size} bytes in {pools} pools, where a pool of {profile} has 1 to {capacity} in use; \
         name the profile that printed it"
    )]
    Misfit {
        /// Of a block.
        size: u64,
        /// That are said to hold them.
        pools: u64,
        /// Blocks in use.
        in_use: u64,
        /// Blocks that a pool holds.
        capacity: u64,
        /// The run's.
        profile: String,
    },
    /// More than the simulated address space.
    #[error("{pools} pools do not fit into the address space for arenas; the text was damaged")]
    TooMany {
        /// Of all classes, and unused ones.
        pools: u64,
    },
}

impl StartPicture {
    /// Blocks in use.
    pub fn blocks(&self) -> u64 {
        self.classes.iter().fold(0, |sum, c| sum.saturating_add(c.in_use))
    }

    /// Pools of all classes.
    pub fn pools(&self) -> u64 {
        self.classes.iter().fold(0, |sum, c| sum.saturating_add(c.pools))
    }
}

impl<A: ArenaBackend> Machine<A> {
    /// Allocates what the picture has, before the first operation. The blocks of a class are spread evenly over
    /// its pools, unused pools evenly over the arenas. No slot has these blocks, so no operation frees them.
    pub fn start_with(&mut self, picture: &StartPicture) -> Result<(), StartError> {
        if !self.plain || self.pymalloc.counters().ntimes_arena_allocated > 0 {
            return Err(StartError::NotPlain);
        }
        let profile = self.pymalloc.profile();
        let pools = picture.pools().saturating_add(picture.unused_pools);
        if pools.saturating_mul(profile.pool_size) > profile.alignment << 31 {
            return Err(StartError::TooMany { pools });
        }
        let mut capacities = Vec::new();
        for &StartClass { size, pools, in_use } in &picture.classes {
            let Some(class) = self.pymalloc.size_class(size).filter(|&c| profile.block_size(c) == size)
            else {
                return Err(StartError::NoClass { size, profile: profile.name.clone() });
            };
            let capacity = profile.num_blocks(class);
            if in_use < pools || in_use > pools.saturating_mul(capacity) {
                let profile = profile.name.clone();
                return Err(StartError::Misfit { size, pools, in_use, capacity, profile });
            }
            capacities.push(capacity);
        }
        let threshold = profile.small_request_threshold;
        let spare = self.pymalloc.size_class(threshold).map_or(0, |c| profile.num_blocks(c));

        // Every pool is filled before the next one is begun, so that none is taken from a used list.
        let mut to_free = Vec::new();
        let mut place = 0;
        for (class, &capacity) in picture.classes.iter().zip(&capacities) {
            for pool in 0..class.pools {
                while share(place, picture.pools(), pools) == 0 {
                    self.fill_pool(threshold, spare, 0, &mut to_free);
                    place += 1;
                }
                self.fill_pool(class.size, capacity, share(pool, class.in_use, class.pools), &mut to_free);
                place += 1;
            }
        }
        for _ in place..pools {
            self.fill_pool(threshold, spare, 0, &mut to_free);
        }
        for block in to_free {
            self.pymalloc.free(block, &mut ());
        }
        self.pymalloc.begin_counters(picture.arenas_allocated, picture.arenas_highwater);
        self.start_blocks = picture.blocks();
        Ok(())
    }

    fn fill_pool(&mut self, size: u64, capacity: u64, kept: u64, to_free: &mut Vec<A::Block>) {
        for number in 0..capacity {
            // `None` is seen as an address space that ran out.
            let block = self.pymalloc.alloc(size, &mut ());
            to_free.extend(block.filter(|_| number >= kept));
        }
    }
}

/// What the part `at` gets of `all`, given out evenly to `parts`.
fn share(at: u64, all: u64, parts: u64) -> u64 {
    let before = |at: u64| (u128::from(at) * u128::from(all) / u128::from(parts.max(1))) as u64;
    before(at + 1) - before(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failure here")]

    use super::*;
    use crate::occupancy::Occupancy;
    use crate::profile::Profile;

    fn class(size: u64, pools: u64, in_use: u64) -> StartClass {
        StartClass { size, pools, in_use }
    }

    #[test]
    fn a_start_has_the_numbers_of_the_state_that_its_picture_shows() {
        for name in ["cpython-3.9", "cpython-3.14", "cpython-32bit"] {
            let profile = Profile::named(name).unwrap();
            // A heap with arenas given back, unused pools and holes.
            let mut pymalloc = Machine::simulated(&profile, 0).unwrap().pymalloc;
            let mut random = 7_u32;
            let mut draw = |below: u32| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 8) % below
            };
            let mut live = Vec::new();
            for round in 0..400_000 {
                if round % 200_000 < 120_000 {
                    live.extend(pymalloc.alloc(u64::from(1 + draw(512)), &mut ()));
                } else {
                    let at = draw(live.len() as u32) as usize;
                    pymalloc.free(live.swap_remove(at), &mut ());
                }
            }
            let real = Occupancy::of(&pymalloc);
            let used = real.classes.iter().filter(|c| c.pools > 0);
            let classes = used.map(|c| class(c.block_size, c.pools, c.blocks)).collect();
            let mut machine = Machine::simulated(&profile, 0).unwrap();
            machine
                .start_with(&StartPicture {
                    classes,
                    unused_pools: real.unused_pools,
                    arenas_allocated: pymalloc.counters().ntimes_arena_allocated,
                    arenas_highwater: pymalloc.counters().narenas_highwater,
                })
                .unwrap();
            machine.verify().unwrap();
            let made = Occupancy::of(&machine.pymalloc);
            let rows = |o: &Occupancy| o.classes.iter().map(|c| (c.pools, c.blocks)).collect::<Vec<_>>();
            assert_eq!(rows(&made), rows(&real), "{name}");
            assert_eq!((made.arenas, made.unused_pools), (real.arenas, real.unused_pools), "{name}");
            assert_eq!(machine.pymalloc.counters(), pymalloc.counters(), "{name}");
            assert!(real.unused_pools > 20 && real.available_bytes > 1 << 20, "{name}");
        }
    }

    #[test]
    fn a_picture_of_another_build_is_refused() {
        let with = |class| {
            let mut machine = Machine::simulated(&Profile::default(), 0).unwrap();
            machine.start_with(&StartPicture { classes: vec![class], ..StartPicture::default() }).unwrap_err()
        };
        assert!(matches!(with(class(24, 1, 1)), StartError::NoClass { size: 24, .. }));
        assert!(matches!(with(class(0, 1, 1)), StartError::NoClass { .. }));
        assert!(matches!(with(class(1024, 1, 1)), StartError::NoClass { .. }));
        assert!(matches!(with(class(512, 1, 32)), StartError::Misfit { capacity: 31, .. }));
        assert!(matches!(with(class(512, 2, 1)), StartError::Misfit { .. }));
        assert!(matches!(with(class(512, u64::MAX, u64::MAX)), StartError::TooMany { .. }));
    }
}
