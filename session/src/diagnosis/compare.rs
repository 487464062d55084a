//! Two moments side by side: of one trace, of two, or of one under two builds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::Machine;

use super::census::Census;
use super::holders::{Group, Holders};
use super::inquiry::Inquiry;
use super::key::{Key, Label};
use super::layout::Placed;
use super::waterfall::Waterfall;
use crate::format::count;

/// A figure of both sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pair {
    /// Of the first.
    pub a: u64,
    /// Of the second.
    pub b: u64,
}

impl Pair {
    /// How much more the second has.
    pub fn change(self) -> i128 {
        i128::from(self.b) - i128::from(self.a)
    }
}

/// A figure with its name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What is counted.
    pub name: String,
    /// Whether it is bytes; else it is a count.
    pub bytes: bool,
    /// How many.
    pub pair: Pair,
}

/// A group of both sides; one that is on one side alone has nothing on the other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupPair {
    /// Its label.
    pub label: Label,
    /// Blocks.
    pub blocks: Pair,
    /// Bytes asked for.
    pub bytes: Pair,
    /// Arenas in which it lies.
    pub arenas: Pair,
    /// Arenas that it holds alone.
    pub arenas_alone: Pair,
    /// Bytes that it pins.
    pub pinned_bytes: Pair,
}

impl GroupPair {
    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        self.sizes_of_change() != [0; 5]
    }

    /// How much differs, what weighs most first.
    fn sizes_of_change(&self) -> [u128; 5] {
        [self.bytes, self.blocks, self.pinned_bytes, self.arenas_alone, self.arenas]
            .map(|pair| pair.change().unsigned_abs())
    }
}

/// What is known of one side.
#[derive(Clone, PartialEq, Debug)]
pub struct Side {
    figures: Vec<(String, bool, u64)>,
    classes: Vec<(String, u64)>,
    holders: Holders,
}

impl Side {
    /// Of a machine at the step of a census, with who holds it.
    pub fn of(inquiry: &Inquiry, machine: &Machine, census: &Census, holders: Holders) -> Self {
        let counters = machine.arena_counters();
        let bytes = |name: &str, bytes: u64| (name.to_owned(), true, bytes);
        let number = |name: &str, number: u64| (name.to_owned(), false, number);
        let mut figures = vec![
            number("operations", census.step),
            number("arenas held", census.regions.len() as u64),
            number("arenas part used", census.part_used()),
        ];
        // A recording does not have arenas that came and went unseen.
        if machine.mimalloc().is_none() && census.placed == Placed::Model {
            figures.push(number("arenas obtained so far", counters.ntimes_arena_allocated));
            figures.push(number("most arenas so far", counters.narenas_highwater));
        }
        figures.push(number("live blocks", census.len() as u64));
        let waterfall: Waterfall = inquiry.waterfall(machine, census);
        figures.extend(waterfall.parts.iter().map(|part| bytes(part.cause.name(), part.bytes)));
        figures.push(bytes("total", waterfall.total_bytes));
        let mut classes: BTreeMap<u64, u64> = BTreeMap::new();
        let inside = census.range(census.regions.len()).start;
        for size in &census.block_bytes[..inside] {
            *classes.entry(*size).or_default() += 1;
        }
        for unborn in &census.unborn {
            *classes.entry(unborn.block_bytes).or_default() += unborn.blocks;
        }
        let classes = classes.into_iter().map(|(size, blocks)| (count(size, "byte"), blocks)).collect();
        Self { figures, classes, holders }
    }
}

/// The differences.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Sums, in the order of the waterfall.
    pub figures: Vec<Figure>,
    /// Blocks in use by size class, those that differ or are there at all.
    pub classes: Vec<Figure>,
    /// What groups are made by.
    pub key: Key,
    /// Groups, the largest change of bytes first; of those with as many bytes the largest change of blocks, pinned bytes and arenas.
    pub groups: Vec<GroupPair>,
}

impl Comparison {
    /// Of two sides, whose groups must be made by the same key.
    pub fn of(a: &Side, b: &Side) -> Self {
        let figures = merged(&a.figures, &b.figures);
        let blocks = |side: &Side| -> Vec<(String, bool, u64)> {
            side.classes.iter().map(|(name, blocks)| (name.clone(), false, *blocks)).collect()
        };
        let mut classes = merged(&blocks(a), &blocks(b));
        classes.retain(|figure| figure.pair.a > 0 || figure.pair.b > 0);
        let (of_a, of_b) = (by_key(&a.holders.groups), by_key(&b.holders.groups));
        let keys: std::collections::BTreeSet<&str> = of_a.keys().chain(of_b.keys()).copied().collect();
        let mut groups: Vec<GroupPair> = keys
            .into_iter()
            .filter_map(|key| {
                let (a, b) = (of_a.get(key).copied(), of_b.get(key).copied());
                let pair = |of: fn(&Group) -> u64| Pair { a: a.map_or(0, of), b: b.map_or(0, of) };
                Some(GroupPair {
                    label: a.or(b)?.label.clone(),
                    blocks: pair(|group| group.blocks),
                    bytes: pair(|group| group.bytes),
                    arenas: pair(|group| group.arenas),
                    arenas_alone: pair(|group| group.arenas_alone),
                    pinned_bytes: pair(|group| group.pinned_bytes),
                })
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.sizes_of_change()));
        Self { figures, classes, key: a.holders.key, groups }
    }
}

fn by_key(groups: &[Group]) -> BTreeMap<&str, &Group> {
    groups.iter().map(|group| (group.label.key.as_str(), group)).collect()
}

/// Figures of both by name, in the order of the first, then what only the second has.
fn merged(a: &[(String, bool, u64)], b: &[(String, bool, u64)]) -> Vec<Figure> {
    let value = |side: &[(String, bool, u64)], name: &str| {
        side.iter().find(|figure| figure.0 == name).map_or(0, |figure| figure.2)
    };
    let only_b = b.iter().filter(|figure| !a.iter().any(|other| other.0 == figure.0));
    let mut names: Vec<(&str, bool)> = a.iter().chain(only_b).map(|f| (f.0.as_str(), f.1)).collect();
    // The sum comes last whatever the second side has beside the first.
    names.sort_by_key(|(name, _)| *name == "total");
    names
        .into_iter()
        .map(|(name, bytes)| Figure {
            name: name.to_owned(),
            bytes,
            pair: Pair { a: value(a, name), b: value(b, name) },
        })
        .collect()
}
