//! Who holds the live blocks and the arenas: groups of blocks by what they have in common.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sim_core::tape::StackId;
use sim_core::{Profile, Trace};

use super::births::age;
use super::census::Census;
use super::key::{Key, Keyer, Label};
use super::scope::Within;

/// How the bytes of an arena that several groups hold are shared among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Rule {
    /// An arena counts for the one group that holds it alone, and for nobody where there are more: what freeing the group by itself
    /// gives back.
    #[default]
    Sole,
    /// Each group of an arena has the same part of it.
    Split,
    /// An arena counts for the last of its groups in the order of the list: what freeing one group after the other gives back. The list
    /// is in the order of equal parts.
    Marginal,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sole, Self::Split, Self::Marginal];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sole => "sole",
            Self::Split => "split",
            Self::Marginal => "marginal",
        }
    }
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or("write sole, split or marginal")
    }
}

/// Blocks with something in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// What it is called.
    pub label: Label,
    /// Blocks, those of the C library too.
    pub blocks: u64,
    /// Bytes asked for in them; of blocks from before the trace what they take.
    pub bytes: u64,
    /// Bytes that they take as blocks.
    pub block_bytes: u64,
    /// Arenas in which one of them lies.
    pub arenas: u64,
    /// Arenas in which no other block lies.
    pub arenas_alone: u64,
    /// Bytes of arenas that count for it by the rule.
    pub pinned_bytes: u64,
    /// Bytes asked for, each times the operations that it has been live for; blocks from before the trace since its beginning.
    pub byte_steps: u64,
}

/// A group's part of an arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// The group, by place in [`Holders::groups`].
    pub group: u32,
    /// Its blocks there.
    pub blocks: u64,
    /// Bytes of those as blocks.
    pub block_bytes: u64,
}

/// All groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holders {
    /// What they have in common.
    pub key: Key,
    /// How arenas are shared.
    pub rule: Rule,
    /// The groups, the most pinned first; then the one that takes the most.
    pub groups: Vec<Group>,
    /// The group of each block of the census.
    pub of_block: Vec<u32>,
    /// The same for those that no operation gave.
    pub of_unborn: Vec<u32>,
    /// Who lies in each region, the largest share first; those of region `k` begin at `starts[k]`.
    pub shares: Vec<Share>,
    /// Where each region's shares begin, and the end.
    pub starts: Vec<u32>,
    /// The group of what is not looked at, where only a part of the blocks is: it keeps arenas as every other does.
    pub outside: Option<u32>,
}

impl Holders {
    /// Puts the blocks of a census in groups. `changes` as [`crate::actions::stack_changes`] gives them.
    pub fn of(
        census: &Census,
        trace: &Trace,
        profile: &Profile,
        changes: &[(u64, StackId)],
        key: Key,
        rule: Rule,
    ) -> Self {
        Self::within(census, trace, profile, changes, (key, rule), None)
    }

    /// The same, where only the blocks of a scope are looked at; all others are one group.
    pub fn within(
        census: &Census,
        trace: &Trace,
        profile: &Profile,
        changes: &[(u64, StackId)],
        (key, rule): (Key, Rule),
        within: Option<&Within>,
    ) -> Self {
        let mut keyer = Keyer::new(trace, profile, changes, key, census.step);
        let outside = within.map(|_| keyer.outside());
        let of_block: Vec<u32> = match (within, outside) {
            (Some(within), Some(outside)) => (0..census.len())
                .map(|at| if within.blocks[at] { keyer.of(census, at) } else { outside })
                .collect(),
            _ => (0..census.len()).map(|at| keyer.of(census, at)).collect(),
        };
        let unborn_outside = outside.filter(|_| within.is_some_and(|within| !within.unborn));
        let of_unborn: Vec<u32> = census
            .unborn
            .iter()
            .map(|unborn| unborn_outside.unwrap_or_else(|| keyer.of_unborn(unborn)))
            .collect();
        let mut groups: Vec<Group> = keyer.labels().into_iter().map(Group::new).collect();
        for (at, &group) in of_block.iter().enumerate() {
            let group = &mut groups[group as usize];
            group.blocks += 1;
            let bytes = census.asked[at];
            let age = age(census.step, census.births[at]);
            group.bytes = group.bytes.saturating_add(bytes);
            group.byte_steps = group.byte_steps.saturating_add(bytes.saturating_mul(age));
            group.block_bytes = group.block_bytes.saturating_add(census.block_bytes[at]);
        }
        for (unborn, &group) in census.unborn.iter().zip(&of_unborn) {
            let group = &mut groups[group as usize];
            group.blocks += unborn.blocks;
            group.bytes += unborn.blocks * unborn.block_bytes;
            group.block_bytes += unborn.blocks * unborn.block_bytes;
            let lived = (unborn.blocks * unborn.block_bytes).saturating_mul(census.step);
            group.byte_steps = group.byte_steps.saturating_add(lived);
        }
        let (shares, starts) = shares(census, &of_block, &of_unborn, groups.len());
        let mut holders = Self { key, rule, groups, of_block, of_unborn, shares, starts, outside };
        holders.count_arenas(census);
        holders.pin(census, rule);
        holders.sort();
        holders
    }

    /// Who lies in a region, the largest share first.
    pub fn shares_of(&self, region: usize) -> &[Share] {
        let at = |index: usize| self.starts.get(index).map_or(0, |start| *start as usize);
        self.shares.get(at(region)..at(region + 1)).unwrap_or_default()
    }

    fn count_arenas(&mut self, census: &Census) {
        for region in 0..census.regions.len() {
            let (from, until) = (self.starts[region] as usize, self.starts[region + 1] as usize);
            for share in &self.shares[from..until] {
                let group = &mut self.groups[share.group as usize];
                group.arenas += 1;
                group.arenas_alone += u64::from(until - from == 1);
            }
        }
    }

    fn pin(&mut self, census: &Census, rule: Rule) {
        if rule == Rule::Marginal {
            self.pin(census, Rule::Split);
            self.sort();
            self.groups.iter_mut().for_each(|group| group.pinned_bytes = 0);
        }
        for (at, region) in census.regions.iter().enumerate() {
            let (from, until) = (self.starts[at] as usize, self.starts[at + 1] as usize);
            let shares = &self.shares[from..until];
            let parts = shares.len() as u64;
            match (rule, shares) {
                (Rule::Sole, [alone]) => self.groups[alone.group as usize].pinned_bytes += region.bytes,
                (_, []) | (Rule::Sole, _) => {}
                (Rule::Split, _) => {
                    // What does not divide goes to the largest shares, so that all of the arena is somebody's.
                    for (share, at) in shares.iter().zip(0..) {
                        let more = u64::from(at < region.bytes % parts);
                        self.groups[share.group as usize].pinned_bytes += region.bytes / parts + more;
                    }
                }
                (Rule::Marginal, _) => {
                    if let Some(last) = shares.iter().map(|share| share.group).max() {
                        self.groups[last as usize].pinned_bytes += region.bytes;
                    }
                }
            }
        }
    }

    /// The most pinned first; then the one that takes the most.
    fn sort(&mut self) {
        let mut order: Vec<u32> = (0..self.groups.len() as u32).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.groups[*a as usize], &self.groups[*b as usize]);
            let by = |group: &Group| (group.pinned_bytes, group.block_bytes, group.blocks);
            by(b).cmp(&by(a)).then_with(|| a.label.cmp(&b.label))
        });
        let mut places = vec![0_u32; order.len()];
        for (place, group) in (0..).zip(&order) {
            places[*group as usize] = place;
        }
        self.groups = order.iter().map(|group| self.groups[*group as usize].clone()).collect();
        self.of_block
            .iter_mut()
            .chain(&mut self.of_unborn)
            .for_each(|group| *group = places[*group as usize]);
        self.shares.iter_mut().for_each(|share| share.group = places[share.group as usize]);
        self.outside = self.outside.map(|group| places[group as usize]);
        for region in self.starts.windows(2) {
            self.shares[region[0] as usize..region[1] as usize]
                .sort_by_key(|share| (std::cmp::Reverse(share.block_bytes), share.group));
        }
    }
}

impl Group {
    fn new(label: Label) -> Self {
        let (blocks, bytes, block_bytes) = (0, 0, 0);
        Self { label, blocks, bytes, block_bytes, arenas: 0, arenas_alone: 0, pinned_bytes: 0, byte_steps: 0 }
    }
}

/// Who lies in each region, and where each region's shares begin.
fn shares(census: &Census, of_block: &[u32], unborn: &[u32], groups: usize) -> (Vec<Share>, Vec<u32>) {
    let (mut shares, mut starts): (Vec<Share>, Vec<u32>) = (Vec::new(), vec![0]);
    // The share of each group in the region at hand, by place behind the region's first.
    let mut place: Vec<u32> = vec![u32::MAX; groups];
    let mut others = census.unborn.iter().zip(unborn).peekable();
    for region in 0..census.regions.len() {
        let first = shares.len();
        let mut add = |group: u32, blocks: u64, block_bytes: u64| {
            let at = &mut place[group as usize];
            if *at == u32::MAX {
                *at = shares.len() as u32;
                shares.push(Share { group, blocks: 0, block_bytes: 0 });
            }
            let share = &mut shares[*at as usize];
            share.blocks += blocks;
            share.block_bytes += block_bytes;
        };
        for at in census.range(region) {
            add(of_block[at], 1, census.block_bytes[at]);
        }
        while let Some((unborn, group)) = others.next_if(|(unborn, _)| unborn.region as usize == region) {
            add(*group, unborn.blocks, unborn.blocks * unborn.block_bytes);
        }
        for share in &shares[first..] {
            place[share.group as usize] = u32::MAX;
        }
        starts.push(shares.len() as u32);
    }
    (shares, starts)
}
