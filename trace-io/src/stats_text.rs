//! The text of `sys._debugmallocstats()` or `PYTHONMALLOCSTATS`, as pasted from a terminal: a picture of size
//! classes at one moment.
//!
//! Lines of other programs may stand between; they are passed over. Of several pictures the last one is kept.

use serde::{Deserialize, Serialize};

/// The beginning of every picture.
const BEGINNING: &[u8] = b"Small block threshold = ";
/// More rows than any build prints.
const ROWS_MAX: usize = 4096;

/// Whether the first bytes of a file have the beginning of a picture. What a program or a log writes may stand
/// before it in its line; a comment or a quotation of it is none.
pub(crate) fn is_in(head: &[u8]) -> bool {
    head.split(|&b| b == b'\n').any(|line| {
        let at = line.windows(BEGINNING.len()).position(|w| w == BEGINNING);
        at.is_some_and(|at| !line[..at].iter().any(|b| matches!(b, b'"' | b'#')))
    })
}

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
    /// Bytes of one.
    pub size: u64,
}

/// What the text says. Sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StatsText {
    /// Pictures in the text; this is the last one.
    pub pictures: u64,
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
            let reserved = self.number("Bytes Reserved").unwrap_or(0);
            return reserved.saturating_sub(self.bytes_in_use());
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

    /// The share of what is held that is in no block in use, 0 to 1.
    pub fn fragmentation(&self) -> f64 {
        let held = self.bytes_held();
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

    /// Takes a line.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(at) = line.find("Small block threshold = ") {
            let pictures = self.pictures + 1;
            *self = Self { pictures, ..Self::default() };
            let mut numbers = line[at..].split(|c: char| !c.is_ascii_digit()).filter(|w| !w.is_empty());
            self.threshold = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            self.size_classes = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        } else if self.pictures == 0
            || self.classes.len() + self.numbers.len() + self.free_lists.len() >= ROWS_MAX
        {
        } else if let Some((name, value)) = named_number(line) {
            match free_list(name) {
                Some(list) => self.free_lists.push(list),
                None => self.numbers.push((name.to_owned(), value)),
            }
        } else if let Some(row) = class_row(line) {
            self.classes.push(row);
        }
    }
}

/// `NAME = 1,234` or `NAME: 1234`.
fn named_number(line: &str) -> Option<(&str, u64)> {
    let (name, value) = line.rsplit_once('=').or_else(|| line.rsplit_once(':'))?;
    let (name, value) = (name.trim(), value.trim());
    let digits: String = value.chars().filter(|c| *c != ',').collect();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && !name.is_empty()).then(|| Some((name, digits.parse().ok()?)))?
}

/// `6 free PyDictObjects * 48 bytes each`.
fn free_list(name: &str) -> Option<FreeList> {
    let (things, size) = name.strip_suffix(" bytes each")?.split_once(" * ")?;
    let (count, what) = things.split_once(' ')?;
    let what = what.strip_suffix('s').unwrap_or(what);
    Some(FreeList { name: what.to_owned(), count: count.parse().ok()?, size: size.parse().ok()? })
}

/// Five numbers and nothing else.
fn class_row(line: &str) -> Option<ClassRow> {
    let mut words = line.split_whitespace().map(|w| w.parse::<u64>().ok());
    let mut next = || words.next().flatten();
    let row = ClassRow { class: next()?, size: next()?, pools: next()?, in_use: next()?, available: next()? };
    words.next().is_none().then_some(row)
}
