//! Who keeps an arena: the blocks in use that lie in it, by what they have in common.
//!
//! A block's birth is the last operation that gave the program its pointer, as in [`super::owner`]: a realloc that
//! left the block in place counts as well.

use std::collections::BTreeMap;

use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::{ArenaId, Machine, SizeClass, Trace};

use crate::diagnosis::Births;
use crate::facts;

/// What is known of how a block came to be. Further facts of the same operation, such as its place in the source, belong here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Birth {
    /// The operation, by index.
    pub operation: u64,
}

/// A block that keeps its arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survivor {
    /// Its size class.
    pub class: SizeClass,
    /// Bytes that it takes.
    pub bytes: u64,
    /// `None` where no pointer of the program leads to it: it is from before the trace, or nobody can free it.
    pub birth: Option<Birth>,
}

/// What blocks may have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Trait {
    /// One size class.
    Class(SizeClass),
    /// A birth at one of these operations, by index.
    Born {
        /// The first one.
        from: u64,
        /// The first one that is too late.
        until: u64,
    },
}

impl Trait {
    /// Whether a block has it.
    pub fn of(self, block: &Survivor) -> bool {
        match self {
            Self::Class(class) => block.class == class,
            Self::Born { from, until } => {
                block.birth.is_some_and(|birth| (from..until).contains(&birth.operation))
            }
        }
    }
}

/// Some of an arena's blocks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Share {
    /// How many.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Share {
    fn add(&mut self, block: &Survivor) {
        self.blocks += 1;
        self.bytes += block.bytes;
    }
}

/// An arena with the blocks that keep it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The arena.
    pub arena: ArenaId,
    /// Its blocks in use: those of the program in the order of their births, then the others.
    pub blocks: Vec<Survivor>,
}

impl Kept {
    /// How many of its blocks have something in common.
    pub fn share(&self, what: Trait) -> Share {
        let mut share = Share::default();
        self.blocks.iter().filter(|block| what.of(block)).for_each(|block| share.add(block));
        share
    }

    /// Whether nothing else keeps it: without these blocks it would be wholly free. An arena that is so already is
    /// kept by nobody.
    pub fn alone(&self, what: Trait) -> bool {
        !self.blocks.is_empty() && self.blocks.iter().all(|block| what.of(block))
    }

    /// Its blocks by size class, the smallest first.
    pub fn by_class(&self) -> Vec<(SizeClass, Share)> {
        let mut shares: BTreeMap<u16, Share> = BTreeMap::new();
        for block in &self.blocks {
            shares.entry(block.class.0).or_default().add(block);
        }
        shares.into_iter().map(|(class, share)| (SizeClass(class), share)).collect()
    }

    /// Its blocks by ranges of `width` operations in which they were born, each by its first operation; those without
    /// a birth are in none.
    pub fn by_birth(&self, width: u64) -> Vec<(u64, Share)> {
        let width = width.max(1);
        let mut shares: BTreeMap<u64, Share> = BTreeMap::new();
        for block in &self.blocks {
            if let Some(birth) = block.birth {
                shares.entry(birth.operation / width * width).or_default().add(block);
            }
        }
        shares.into_iter().collect()
    }
}

/// The arenas of the pymalloc state in force, in the order in which they were obtained.
pub fn survivors(machine: &Machine, trace: &Trace, step: u64) -> Vec<Kept> {
    let heap = machine.pymalloc();
    let mut all: BTreeMap<u64, Kept> = heap
        .live_arenas()
        .map(|index| {
            let arena = heap.arena_id(index);
            (arena.ordinal, Kept { arena, blocks: Vec::new() })
        })
        .collect();
    let mut births = Births::under(heap.profile());
    births.go_to(trace, step);
    // Blocks that a pointer leads to, by pool.
    let mut known: BTreeMap<u64, u32> = BTreeMap::new();
    for (slot, target) in machine.live() {
        let (Target::Block(block), Some(operation)) = (target, births.of(slot)) else { continue };
        let Some(pool) = facts::pool_at(heap, heap.memory().block_addr(block)) else { continue };
        let (Some(class), Some(kept)) = (pool.class, all.get_mut(&pool.arena.ordinal)) else { continue };
        let birth = Some(Birth { operation });
        kept.blocks.push(Survivor { class, bytes: u64::from(pool.block_size), birth });
        *known.entry(pool.addr.0).or_default() += 1;
    }
    for kept in all.values_mut() {
        kept.blocks.sort_by_key(|block| (block.birth, block.class.0));
        let Some(arena) = facts::arena(heap, kept.arena.index) else { continue };
        for pool in (0..arena.ntotalpools).filter_map(|index| facts::pool_of_arena(heap, &arena, index)) {
            let Some(class) = pool.class else { continue };
            let found = known.get(&pool.addr.0).copied().unwrap_or(0);
            let other = Survivor { class, bytes: u64::from(pool.block_size), birth: None };
            kept.blocks.extend((found..pool.used).map(|_| other));
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use sim_core::machine::{StartClass, StartPicture};
    use trace_io::lesson::Lesson;

    use super::*;
    use crate::lesson::compile;
    use crate::setup::{Overrides, Setup};

    /// The arenas after a program, which may have small arenas.
    fn kept(head: &str, program: &str, preset: &str) -> (Machine, Vec<Kept>) {
        let text = format!(
            "Lesson(id: \"t\", name: \"t\", goal: \"t\", minutes: 1, {head} steps: [run({program:?})])"
        );
        let (trace, script) = compile(&Lesson::parse(&text).unwrap(), Some(preset)).unwrap();
        assert_eq!(script.faults, [""; 0]);
        let mut machine = Setup::resolve(&trace, &Overrides::default()).unwrap().machine(&trace).unwrap();
        for index in 0..trace.len() as usize {
            machine.step(&trace, index, &mut ());
        }
        let all = survivors(&machine, &trace, trace.len());
        (machine, all)
    }

    const SMALL: &str = "settings: {\"arena_size\": \"4*pool.size\"},";

    /// Two arenas of one class each, and a third with both.
    const MIXED: &str = "for i in range(4*blocks(512)): a[i] = malloc(512)\n\
                         for i in range(4*blocks(100)): b[i] = malloc(100)\n\
                         c = malloc(512)\nd = malloc(100)\n\
                         for i in range(1, 4*blocks(512)): free(a[i])\n\
                         for i in range(2, 4*blocks(100)): free(b[i])";

    #[test]
    fn each_arena_names_its_blocks_by_class() {
        for preset in ["cpython-3.14", "cpython-3.9", "cpython-32bit"] {
            let (machine, all) = kept(SMALL, MIXED, preset);
            let profile = machine.pymalloc().profile();
            let class = |bytes| machine.pymalloc().size_class(bytes).unwrap();
            let (large, small) = (class(512), class(100));
            let blocks = |kept: &Kept, class| kept.share(Trait::Class(class)).blocks;
            // Pools of one class serve before new ones: `c` and `d` found room where others had been, or not yet.
            let counts: Vec<(u64, u64)> = all.iter().map(|k| (blocks(k, large), blocks(k, small))).collect();
            assert_eq!(counts, [(1, 0), (0, 2), (1, 1)], "{preset}");
            assert!(all[0].alone(Trait::Class(large)) && !all[0].alone(Trait::Class(small)));
            assert!(all[1].alone(Trait::Class(small)));
            assert!(!all[2].alone(Trait::Class(large)) && !all[2].alone(Trait::Class(small)));
            let bytes = profile.block_size(small) * 2;
            assert_eq!(all[1].by_class(), [(small, Share { blocks: 2, bytes })], "{preset}");
        }
    }

    #[test]
    fn each_arena_names_its_blocks_by_birth() {
        let (machine, all) = kept(SMALL, MIXED, "cpython-3.14");
        let profile = machine.pymalloc().profile();
        let blocks = |bytes: u64| {
            let block = profile.block_size(machine.pymalloc().size_class(bytes).unwrap());
            (profile.pool_size - profile.pool_overhead()) / block
        };
        let (first, second) = (4 * blocks(512), 4 * blocks(100));
        let born = |from, until| Trait::Born { from, until };
        assert_eq!(all[0].blocks[0].birth, Some(Birth { operation: 0 }));
        assert!(all[0].alone(born(0, first)) && all[1].alone(born(first, first + second)));
        assert_eq!(all[1].share(born(first, first + 1)).blocks, 1);
        assert!(!all[1].alone(born(first, first + 1)));
        assert!(all[2].alone(born(first + second, first + second + 2)));
        let widest: Vec<_> =
            all[1].by_birth(1).into_iter().map(|(from, share)| (from, share.blocks)).collect();
        assert_eq!(widest, [(first, 1), (first + 1, 1)]);
        assert_eq!(all[1].by_birth(u64::MAX).len(), 1);
    }

    #[test]
    fn a_realloc_is_a_birth_and_a_freed_pointer_keeps_nothing() {
        let program = "a = malloc(40)\nb = malloc(40)\na = realloc(a, 41)\nfree_keep(b)";
        let (_, all) = kept("", program, "cpython-3.14");
        let births: Vec<_> = all[0].blocks.iter().map(|block| block.birth).collect();
        assert_eq!(births, [Some(Birth { operation: 2 })]);
        // The place is handed out again while the program still has the old pointer: one block, the new one.
        let (_, all) = kept("", "a = malloc(40)\nfree_keep(a)\nb = malloc(40)", "cpython-3.14");
        let births: Vec<_> = all[0].blocks.iter().map(|block| block.birth).collect();
        assert_eq!(births, [Some(Birth { operation: 2 })]);
    }

    #[test]
    fn blocks_from_before_the_trace_keep_too_and_have_no_birth() {
        let text =
            "Lesson(id: \"t\", name: \"t\", goal: \"t\", minutes: 1, steps: [run(\"a = malloc(64)\")])";
        let (trace, _) = compile(&Lesson::parse(text).unwrap(), Some("cpython-3.14")).unwrap();
        let mut machine = Setup::resolve(&trace, &Overrides::default()).unwrap().machine(&trace).unwrap();
        let class = StartClass { size: 64, pools: 1, in_use: 7 };
        machine.start_with(&StartPicture { classes: vec![class], ..StartPicture::default() }).unwrap();
        machine.step(&trace, 0, &mut ());
        let all = survivors(&machine, &trace, 1);
        let class = machine.pymalloc().size_class(64).unwrap();
        assert_eq!(all[0].share(Trait::Class(class)), Share { blocks: 8, bytes: 8 * 64 });
        assert_eq!(all[0].share(Trait::Born { from: 0, until: 1 }).blocks, 1);
        assert!(all[0].alone(Trait::Class(class)) && !all[0].alone(Trait::Born { from: 0, until: u64::MAX }));
    }

    /// Under debug hooks a pointer lies inside its block, and classes are those of what pymalloc was asked for.
    #[test]
    fn debug_hooks_change_the_class_and_not_who_keeps() {
        let (machine, all) =
            kept("malloc: \"debug\",", "a = malloc(40)\nb = malloc(40)\nfree(a)", "cpython-3.14");
        let class = machine.pymalloc().size_class(64).unwrap();
        let kept: Vec<_> = all[0].blocks.iter().map(|b| (b.class, b.birth)).collect();
        assert_eq!(kept, [(class, Some(Birth { operation: 1 }))]);
    }

    /// As many as the headers count, also where a block was freed and the arena is wholly free.
    #[test]
    fn all_blocks_are_found_and_a_free_arena_is_kept_by_nobody() {
        let (machine, all) = kept(SMALL, MIXED, "cpython-3.14");
        let heap = machine.pymalloc();
        for kept in &all {
            let used: u64 = heap
                .carved_pools(kept.arena.index)
                .map(|pool| u64::from(heap.memory().header(pool).ref_count))
                .sum();
            assert_eq!(kept.blocks.len() as u64, used);
        }
        let (_, all) = kept("", "a = malloc(40)\nfree(a)", "cpython-3.14");
        assert!(all.len() == 1 && all[0].blocks.is_empty());
        assert!(!all[0].alone(Trait::Born { from: 0, until: 9 }));
    }
}
