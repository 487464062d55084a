//! What was called, and the names that the blocks have in the program.

use std::collections::{BTreeMap, BTreeSet};

/// RAW, MEM and OBJ, as a program writes them.
pub(crate) const DOMAINS: [&str; 3] = ["raw", "mem", "obj"];

/// A call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Malloc(usize),
    Calloc(usize, usize),
    /// Of a block that is on the tape, or of NULL.
    Realloc {
        fresh: bool,
        size: usize,
    },
    Free,
}

/// A call of a block, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) domain: usize,
    pub(crate) block: usize,
    /// The block of the tape that lay last where this one was put, if it was freed.
    pub(crate) again: Option<usize>,
    /// Whether a realloc answered with another pointer.
    pub(crate) moved: bool,
}

/// A line and the calls up to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) number: u32,
    pub(crate) upto: usize,
}

/// A block that is alive.
#[derive(Clone, Copy)]
struct Live {
    block: usize,
    size: usize,
}

/// What was called between the first mark and the last.
pub(crate) struct Tape {
    pub(crate) ops: Vec<Op>,
    pub(crate) lines: Vec<Line>,
    /// Calls up to the last line that are about blocks from before: a program cannot name those.
    pub(crate) unnamed: usize,
    foreign: usize,
    live: BTreeMap<usize, Live>,
    /// The block that was freed last at an address.
    gone: BTreeMap<usize, usize>,
    /// By block.
    names: BTreeMap<usize, String>,
    blocks: usize,
}

impl Tape {
    pub(crate) const fn new() -> Self {
        Self {
            ops: Vec::new(),
            lines: Vec::new(),
            unnamed: 0,
            foreign: 0,
            live: BTreeMap::new(),
            gone: BTreeMap::new(),
            names: BTreeMap::new(),
            blocks: 0,
        }
    }

    /// A request that was answered.
    pub(crate) fn made(&mut self, kind: Kind, domain: usize, at: usize, size: usize) {
        let block = self.blocks;
        self.blocks += 1;
        self.live.insert(at, Live { block, size });
        let again = self.gone.remove(&at);
        self.ops.push(Op { kind, domain, block, again, moved: false });
    }

    pub(crate) fn resized(&mut self, domain: usize, from: usize, to: usize, size: usize) {
        let Some(live) = self.live.remove(&from).filter(|_| from != 0) else {
            self.foreign += usize::from(from != 0);
            self.made(Kind::Realloc { fresh: true, size }, domain, to, size);
            return;
        };
        let moved = from != to;
        if moved {
            self.gone.insert(from, live.block);
        }
        let again = self.gone.remove(&to).filter(|_| moved);
        self.live.insert(to, Live { block: live.block, size });
        let kind = Kind::Realloc { fresh: false, size };
        self.ops.push(Op { kind, domain, block: live.block, again, moved });
    }

    pub(crate) fn freed(&mut self, domain: usize, at: usize) {
        if at == 0 {
            return;
        }
        let Some(live) = self.live.remove(&at) else {
            self.foreign += 1;
            return;
        };
        self.gone.insert(at, live.block);
        self.ops.push(Op { kind: Kind::Free, domain, block: live.block, again: None, moved: false });
    }

    pub(crate) fn line(&mut self, number: u32) {
        self.lines.push(Line { number, upto: self.ops.len() });
        self.unnamed = self.foreign;
    }

    /// Gives a name to the block that an address lies in, unless it has one. Whether there is such a block.
    pub(crate) fn name(&mut self, address: usize, name: &str) -> bool {
        let Some((at, live)) = self.live.range(..=address).next_back() else { return false };
        if address - at >= live.size.max(1) {
            return false;
        }
        self.names.entry(live.block).or_insert_with(|| name.to_owned());
        true
    }

    /// The name of each block, by its number, that the program can use: one that is alive gives its name to no other.
    pub(crate) fn program_names(&self) -> Vec<String> {
        let mut names = vec![String::new(); self.blocks];
        let mut used: BTreeSet<String> = BTreeSet::new();
        let mut temporary = 0;
        for op in &self.ops {
            if op.kind == Kind::Free {
                used.remove(&names[op.block]);
            } else if names[op.block].is_empty() {
                let wanted = self.names.get(&op.block).cloned().unwrap_or_else(|| {
                    temporary += 1;
                    format!("t[{temporary}]")
                });
                let (base, rest) = wanted.split_at(wanted.find(['[', '.']).unwrap_or(wanted.len()));
                let mut name = wanted.clone();
                let mut number = 2;
                while used.contains(&name) {
                    name = format!("{base}{number}{rest}");
                    number += 1;
                }
                used.insert(name.clone());
                names[op.block] = name;
            }
        }
        names
    }
}
