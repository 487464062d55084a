//! The text of `sys._debugmallocstats()` or `PYTHONMALLOCSTATS`, as pasted from a terminal: a picture of size
//! classes at one moment. The lines are read in `stats_lines`.

use serde::{Deserialize, Serialize};

/// A size class that has pools.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClassRow {
    /// Its number.
    pub class: u64,
    /// Bytes of a block.
    pub size: u64,
    /// Pools that are not empty.
    pub pools: u64,
    /// Blocks in use.
    pub in_use: u64,
    /// Blocks that are free in these pools.
    pub available: u64,
}

/// A free list of the interpreter's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FreeList {
    /// What lies in it: `free PyDictObject`.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Bytes of one, without what stands before and after it in its block.
    pub size: u64,
}

impl FreeList {
    /// Bytes of the blocks that it keeps in use. An object that the collector follows has a header of 16 bytes before it,
    /// and blocks come in steps of 16 (a 64-bit build from 3.8 on).
    pub fn block_bytes(&self) -> u64 {
        const STEP: u64 = 16;
        const COLLECTED: [&str; 7] = ["Dict", "Tuple", "List", "Frame", "Method", "CFunction", "Slice"];
        let collected = COLLECTED.iter().any(|kind| self.name.ends_with(&format!("Py{kind}Object")));
        let one = self.size.saturating_add(if collected { STEP } else { 0 });
        one.div_ceil(STEP).saturating_mul(STEP).saturating_mul(self.count)
    }
}

/// What the text says. Sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StatsText {
    /// Its number among the pictures in the text, from 1; the last one has the earlier ones with it.
    pub pictures: u64,
    /// The pictures before it, in order; of a very long series not all.
    pub earlier: Vec<StatsText>,
    /// The largest small request.
    pub threshold: u64,
    /// Size classes of the build.
    pub size_classes: u64,
    /// The classes that have pools, for pymalloc.
    pub classes: Vec<ClassRow>,
    /// All named numbers, in the order of the text.
    pub numbers: Vec<(String, u64)>,
    /// The interpreter's free lists.
    pub free_lists: Vec<FreeList>,
}

impl StatsText {
    /// A number by the beginning of its name.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.numbers.iter().find(|n| n.0.starts_with(name)).map(|n| n.1)
    }

    /// Whether it is mimalloc's block and not pymalloc's.
    pub fn is_mimalloc(&self) -> bool {
        self.number("Allocated Blocks").is_some() || self.number("Medium block threshold").is_some()
    }

    /// Whose figures they are; `None` where there are only the interpreter's free lists, because neither pymalloc nor
    /// mimalloc was in use, or another table stood above.
    pub fn allocator(&self) -> Option<&'static str> {
        if self.is_mimalloc() {
            return Some("mimalloc");
        }
        let figures = !self.classes.is_empty() || self.threshold > 0 || !self.numbers.is_empty();
        figures.then_some("pymalloc")
    }

    /// All pictures, this one last.
    pub fn series(&self) -> impl Iterator<Item = &Self> {
        self.earlier.iter().chain(std::iter::once(self))
    }

    /// Bytes that mimalloc has made usable of what it reserved.
    pub fn bytes_committed(&self) -> Option<u64> {
        self.number("Bytes Committed").filter(|_| self.is_mimalloc())
    }

    /// Live arenas and the bytes of one.
    pub fn arenas(&self) -> Option<(u64, u64)> {
        self.product(" arenas * ")
    }

    /// Pools that no class has, and the bytes of one.
    pub fn unused_pools(&self) -> Option<(u64, u64)> {
        self.product(" unused pools * ")
    }

    /// `N things * M bytes` by what stands between the two numbers.
    fn product(&self, between: &str) -> Option<(u64, u64)> {
        self.numbers.iter().find_map(|(name, _)| {
            let (count, rest) = name.split_once(between)?;
            Some((count.parse().ok()?, rest.split_whitespace().next()?.parse().ok()?))
        })
    }

    /// Bytes of blocks in use.
    pub fn bytes_in_use(&self) -> u64 {
        self.number("# bytes in allocated blocks")
            .or_else(|| self.number("Allocated Bytes"))
            .unwrap_or_else(|| self.sum(|c| c.in_use.saturating_mul(c.size)))
    }

    /// Bytes that can be given out: free blocks of used pools, and unused pools.
    pub fn bytes_free(&self) -> u64 {
        if self.is_mimalloc() {
            // What is reserved and not committed belongs to pages that were not carved yet: it costs nothing.
            let there = self.bytes_committed().unwrap_or_else(|| self.bytes_held());
            return there.saturating_sub(self.bytes_in_use());
        }
        let blocks = self
            .number("# bytes in available blocks")
            .unwrap_or_else(|| self.sum(|c| c.available.saturating_mul(c.size)));
        blocks.saturating_add(self.unused_pools().map_or(0, |(n, bytes)| n.saturating_mul(bytes)))
    }

    /// Bytes that nobody can use: pool headers, what is left at the end of pools, alignment.
    pub fn bytes_lost(&self) -> u64 {
        ["# bytes lost to pool headers", "# bytes lost to quantization", "# bytes lost to arena alignment"]
            .iter()
            .fold(0, |sum, name| sum.saturating_add(self.number(name).unwrap_or(0)))
    }

    /// Bytes that the allocator holds.
    pub fn bytes_held(&self) -> u64 {
        if self.is_mimalloc() {
            return self.number("Bytes Reserved").unwrap_or(0);
        }
        match self.arenas() {
            Some((count, bytes)) => count.saturating_mul(bytes),
            None => self.bytes_in_use().saturating_add(self.bytes_free()).saturating_add(self.bytes_lost()),
        }
    }

    /// The share of what is held, by mimalloc of what is committed, that is in no block in use, 0 to 1.
    pub fn fragmentation(&self) -> f64 {
        let held = self.bytes_committed().unwrap_or_else(|| self.bytes_held());
        if held == 0 { 0.0 } else { held.saturating_sub(self.bytes_in_use()) as f64 / held as f64 }
    }

    /// What does not fit together, a sentence each: the text was cut or changed.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.is_mimalloc() {
            if self.number("Bytes Committed").is_none() {
                doubts.push("the text ends before `Bytes Committed`, so it is not whole".to_owned());
            }
            return doubts;
        }
        if self.allocator().is_none() {
            return doubts;
        }
        if self.classes.is_empty() && self.threshold == 0 {
            doubts.push("the table of size classes is not in it; the sums are the text's own".to_owned());
            return doubts;
        }
        let mut compare = |name: &str, rows: u64, said: Option<u64>| {
            if let Some(said) = said.filter(|&said| said != rows) {
                doubts.push(format!(
                    "{name}: the rows come to {rows}, the text says {said}, so a line is missing"
                ));
            }
        };
        let in_use = self.sum(|c| c.in_use.saturating_mul(c.size));
        compare("bytes in allocated blocks", in_use, self.number("# bytes in allocated blocks"));
        let available = self.sum(|c| c.available.saturating_mul(c.size));
        compare("bytes in available blocks", available, self.number("# bytes in available blocks"));
        if self.number("Total").is_none() {
            doubts.push("the text ends before the first `Total`, so it is not whole".to_owned());
        }
        doubts
    }

    fn sum(&self, of: impl Fn(&ClassRow) -> u64) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.saturating_add(of(class)))
    }
}
