//! How processes that are looked at together are related: which arenas they have from before a fork, and what of these each has copied.
//!
//! A page says no more than that no other process has it. That it is a copy is told by what the others have at its address: an arena is
//! from before a fork where two processes have a page of it in common, or where a process has it with the same contents as the one that it
//! was forked from. Objects count as copied where the other one has an object of that type there, too.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::layout::{Geometry, type_object};
use super::memory::Memory;
use super::picture::Picture;
use super::pools::Pool;
use super::resident::Resident;
use super::types::Object;

/// Bytes that are looked at as one: the smallest page.
const PAGE: u64 = 4096;
/// Bytes of an object's reference count.
const COUNT: u64 = 8;
/// Bytes that the collector keeps before an object, the link to the next one first: 0 for one that it does not keep track of.
const GC_HEAD: u64 = 16;
/// An arena is the same in two processes where so many hundredths of the blocks that one of them uses are the same in the other.
const ALIKE_PERCENT: u64 = 50;
/// A process, as it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its number.
    pub pid: i32,
    /// The process that it is a child of.
    pub parent: Option<i32>,
    /// Bytes of it that are in memory, as the system counts them.
    pub rss_bytes: u64,
    /// The same, each page divided by how many processes have it, where the system tells.
    pub pss_bytes: Option<u64>,
    /// Its memory.
    pub memory: &'a Memory,
    /// What that shows.
    pub picture: &'a Picture,
    /// What of it is in memory.
    pub resident: &'a Resident,
    /// What of that no other process has.
    pub private: &'a Resident,
}

/// Objects of a type that were there before the fork, and lie on pages that are a process's own by now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CopiedType {
    /// Module and qualified name.
    pub name: String,
    /// How many.
    pub blocks: u64,
    /// Bytes of their blocks on such pages.
    pub bytes: u64,
    /// Of these, those of objects that are in all but their reference count, and what the collector keeps before them, as in the other process.
    pub unchanged: u64,
    /// Of the bytes, those of objects that the garbage collector keeps track of, and so writes to.
    pub tracked: u64,
}

/// What lies on copied pages of arenas.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Bytes of the pages.
    pub bytes: u64,
    /// Objects by type, what takes most first.
    pub types: Vec<CopiedType>,
    /// Bytes of blocks that are no objects.
    pub buffer_bytes: u64,
    /// Of the pages, bytes of those without an object that the garbage collector keeps track of: it was not the collector that wrote there.
    pub uncollected_bytes: u64,
}

/// What is known of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: Option<i32>,
    /// Bytes in memory.
    pub rss_bytes: u64,
    /// The same, each page divided by how many have it.
    pub pss_bytes: Option<u64>,
    /// Bytes of pages that no other process has.
    pub private_bytes: u64,
    /// Of pages that another one has, too.
    pub shared_bytes: u64,
    /// Of the former, those in pymalloc's arenas.
    pub arena_private_bytes: u64,
    /// Of the latter.
    pub arena_shared_bytes: u64,
    /// Arenas from before a fork.
    pub arenas_before: u64,
    /// Arenas that another one has at the same address with the same contents, without a page in common: made by both, or copied as a whole.
    pub arenas_unknown: u64,
    /// Arenas made since, of which another process has made one with the same in it at the same address.
    pub arenas_twice: u64,
    /// Other arenas.
    pub arenas_own: u64,
    /// Private bytes of arenas of which it is unknown.
    pub unknown_bytes: u64,
    /// Private bytes of arenas that are made twice.
    pub twice_bytes: u64,
    /// What of arenas from before the fork is its own by now.
    pub copied: Copied,
}

/// When an arena was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Age {
    Before,
    Unknown,
    /// Made since, as another one made one.
    Twice,
    Own,
}

/// What another process shows of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Witness {
    of: usize,
    /// Whether that alone says that the page was there before the fork.
    certain: bool,
}

/// What is in a block in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// An object: where its type lies.
    Object(u64),
    Buffer,
    Dead,
}

/// Processes, and how they are related.
pub(super) struct Kin<'a> {
    members: &'a [Member<'a>],
    /// Of each its arenas by address, with the places of their pools.
    arenas: Vec<BTreeMap<u64, (usize, usize)>>,
    /// Of each, those that it comes from.
    elders: Vec<Vec<usize>>,
    ages: HashMap<(usize, u64), Age>,
}

impl<'a> Kin<'a> {
    pub(super) fn of(members: &'a [Member<'a>]) -> Self {
        let parents: Vec<(i32, Option<i32>)> =
            members.iter().map(|member| (member.pid, member.parent)).collect();
        let mut kin = Self {
            members,
            arenas: members.iter().map(|member| arenas(member.picture)).collect(),
            elders: elders(&parents),
            ages: HashMap::new(),
        };
        let mut all: Vec<u64> = kin.arenas.iter().flat_map(|arenas| arenas.keys().copied()).collect();
        all.sort_unstable();
        all.dedup();
        for arena in all {
            kin.date(arena);
        }
        kin
    }

    fn geometry(&self, at: usize) -> Geometry {
        self.members[at].picture.geometry
    }

    /// Those that have an arena there, read by one layout.
    fn having(&self, arena: u64, like: usize) -> impl Iterator<Item = usize> + '_ {
        let version = self.members[like].picture.version;
        (0..self.members.len()).filter(move |at| {
            self.members[*at].picture.version == version && self.arenas[*at].contains_key(&arena)
        })
    }

    /// Says of an arena of each process when it was made.
    fn date(&mut self, arena: u64) {
        let here: Vec<usize> =
            (0..self.members.len()).filter(|at| self.arenas[*at].contains_key(&arena)).collect();
        let mut before: Vec<usize> = Vec::new();
        for (&a, rest) in here.iter().zip((1..).map(|from| &here[from..])) {
            for &b in rest {
                let known = before.contains(&a) && before.contains(&b);
                if !known && self.have_in_common(a, b, arena) {
                    before.extend([a, b]);
                }
            }
        }
        // Then those without a page in common with another one that have the same in it as one that is known, or as one that they come from.
        let shared = before.clone();
        let mut alike: Vec<usize> = Vec::new();
        for &a in here.iter().filter(|a| !shared.contains(a)) {
            for b in self.having(arena, a).filter(|b| *b != a) {
                let related = self.elders[a].contains(&b) || self.elders[b].contains(&a);
                let counts = related || shared.contains(&b);
                if (counts || !alike.contains(&a)) && self.is_alike(a, b, arena) {
                    if counts {
                        before.push(a);
                        break;
                    }
                    alike.push(a);
                }
            }
        }
        for at in here {
            // Where the one that it comes from is there to say so, what that one has not was made since.
            let age = match (before.contains(&at), alike.contains(&at)) {
                (true, _) => Age::Before,
                (false, true) if self.elders[at].is_empty() => Age::Unknown,
                (false, true) => Age::Twice,
                (false, false) => Age::Own,
            };
            self.ages.insert((at, arena), age);
        }
    }

    /// Whether two processes have a page of an arena in common.
    fn have_in_common(&self, a: usize, b: usize, arena: u64) -> bool {
        let (one, other) = (&self.members[a], &self.members[b]);
        one.picture.version == other.picture.version
            && pages(arena, self.geometry(a).arena).any(|page| {
                self.shares(a, page) && self.shares(b, page) && {
                    let bytes = one.memory.slice(page, PAGE);
                    bytes.is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0))
                        && bytes == other.memory.slice(page, PAGE)
                }
            })
    }

    /// Whether the same is in most blocks of an arena of two processes.
    fn is_alike(&self, a: usize, b: usize, arena: u64) -> bool {
        let (mut same, mut of_a) = (0_u64, 0_u64);
        for pool in self.pools(a, arena) {
            let other = self.like(b, pool);
            for block in 0..pool.carved {
                if let Some(content) = self.content(a, pool, block) {
                    of_a += 1;
                    let there = other.and_then(|other| self.content(b, other, block));
                    same += u64::from(there == Some(content));
                }
            }
        }
        let of_b: u64 = self.pools(b, arena).iter().map(|pool| u64::from(pool.count)).sum();
        let fewer = of_a.min(of_b);
        fewer > 0 && same * 100 >= fewer * ALIKE_PERCENT
    }

    fn pools(&self, at: usize, arena: u64) -> &'a [Pool] {
        let all = &self.members[at].picture.pools.pools;
        self.arenas[at].get(&arena).and_then(|(from, until)| all.get(*from..*until)).unwrap_or_default()
    }

    /// The pool of a process at the place of another's, where it has blocks of the same size.
    fn like(&self, at: usize, pool: &Pool) -> Option<&'a Pool> {
        let other = self.members[at].picture.pools.at(pool.addr);
        other.filter(|other| other.class == pool.class)
    }

    fn content(&self, at: usize, pool: &Pool, block: u32) -> Option<Content> {
        let picture = self.members[at].picture;
        let number = (pool.first + block) as usize;
        if block >= pool.carved || !picture.pools.used[number] {
            return None;
        }
        Some(match picture.objects[number] {
            None => Content::Buffer,
            Some(object) if object.dead => Content::Dead,
            Some(object) => Content::Object(picture.types[object.of as usize].addr),
        })
    }

    fn has(&self, at: usize, page: u64) -> bool {
        self.members[at].resident.within(page, page.saturating_add(PAGE)) == PAGE
    }

    fn owns(&self, at: usize, page: u64) -> bool {
        self.members[at].private.within(page, page.saturating_add(PAGE)) == PAGE
    }

    fn shares(&self, at: usize, page: u64) -> bool {
        self.has(at, page) && self.members[at].private.within(page, page.saturating_add(PAGE)) == 0
    }

    /// Whoever shows that a page of a process was there before the fork.
    ///
    /// Of one that others come from, a page that it has for itself may be the one that the others copied: only those who still share it count.
    fn witnesses(&self, at: usize, arena: u64, page: u64) -> Vec<Witness> {
        let others = self.having(arena, at).filter(|of| *of != at);
        let others = others.filter(|of| self.ages.get(&(*of, arena)) == Some(&Age::Before));
        let witness = |of: usize| {
            if self.shares(of, page) || (self.elders[at].contains(&of) && self.has(of, page)) {
                return Some(Witness { of, certain: true });
            }
            let sibling = self.elders[at].is_empty() && !self.elders[of].contains(&at);
            (sibling && self.has(of, page)).then_some(Witness { of, certain: false })
        };
        others.filter_map(witness).collect()
    }

    /// All of a process.
    pub(super) fn process(&self, at: usize) -> Process {
        let member = &self.members[at];
        let mut process = Process {
            pid: member.pid,
            parent: member.parent,
            rss_bytes: member.rss_bytes,
            pss_bytes: member.pss_bytes,
            private_bytes: member.private.bytes(),
            shared_bytes: member.resident.bytes().saturating_sub(member.private.bytes()),
            ..Process::default()
        };
        let mut types = vec![CopiedType::default(); member.picture.types.len()];
        for &arena in self.arenas[at].keys() {
            let end = arena.saturating_add(self.geometry(at).arena);
            let private = member.private.within(arena, end);
            process.arena_private_bytes += private;
            process.arena_shared_bytes += member.resident.within(arena, end).saturating_sub(private);
            match self.ages.get(&(at, arena)) {
                Some(Age::Before) => {
                    process.arenas_before += 1;
                    self.copied(at, arena, &mut process.copied, &mut types);
                }
                Some(Age::Unknown) => {
                    process.arenas_unknown += 1;
                    process.unknown_bytes += private;
                }
                Some(Age::Twice) => {
                    process.arenas_twice += 1;
                    process.twice_bytes += private;
                }
                Some(Age::Own) | None => process.arenas_own += 1,
            }
        }
        let mut named = BTreeMap::new();
        for (row, of) in types.into_iter().zip(&member.picture.types).filter(|(row, _)| row.blocks > 0) {
            add(&mut named, &CopiedType { name: of.name.clone(), ..row });
        }
        process.copied.types = sorted(named);
        process
    }

    /// Adds what was copied of an arena.
    fn copied(&self, at: usize, arena: u64, copied: &mut Copied, types: &mut [CopiedType]) {
        let pages: Vec<u64> = pages(arena, self.geometry(at).arena).collect();
        let witnesses: Vec<Vec<Witness>> = pages
            .iter()
            .map(|page| if self.owns(at, *page) { self.witnesses(at, arena, *page) } else { Vec::new() })
            .collect();
        let mut counts: Vec<bool> =
            witnesses.iter().map(|those| those.iter().any(|witness| witness.certain)).collect();
        let mut collected = vec![false; pages.len()];
        for pool in self.pools(at, arena) {
            let first = ((pool.addr - arena) / PAGE) as usize;
            let last = first + (self.geometry(at).pool / PAGE) as usize;
            if witnesses.get(first..last).is_none_or(|those| those.iter().all(Vec::is_empty)) {
                continue;
            }
            let others: Vec<Option<&Pool>> = (0..self.members.len()).map(|of| self.like(of, pool)).collect();
            for block in 0..pool.carved {
                let Some(content) = self.content(at, pool, block) else { continue };
                let (lo, hi) = (pool.block(block), pool.block(block) + pool.block_bytes());
                let places = ((lo - arena) / PAGE) as usize..=((hi - 1 - arena) / PAGE) as usize;
                let object = self.members[at].picture.objects[(pool.first + block) as usize];
                let tracked = object.is_some_and(|object| self.is_tracked(at, lo, object));
                if tracked {
                    collected[places.clone()].fill(true);
                }
                let (mut bytes, mut like) = (0, None);
                for place in places {
                    let there = witnesses[place].iter().find(|witness| {
                        let other = others[witness.of];
                        other.and_then(|other| self.content(witness.of, other, block)) == Some(content)
                    });
                    if let Some(witness) = there {
                        counts[place] = true;
                        bytes += hi.min(pages[place] + PAGE) - lo.max(pages[place]);
                        like = Some(witness.of);
                    }
                }
                let Some(like) = like else { continue };
                match object {
                    Some(object) if !object.dead => {
                        let row = &mut types[object.of as usize];
                        row.blocks += 1;
                        row.bytes += bytes;
                        row.tracked += if tracked { bytes } else { 0 };
                        let from = lo + u64::from(object.offset) + COUNT;
                        row.unchanged += if self.is_unchanged(at, like, from, hi) { bytes } else { 0 };
                    }
                    Some(_) => {}
                    None => copied.buffer_bytes += bytes,
                }
            }
        }
        for (_, collected) in counts.iter().zip(&collected).filter(|(counts, _)| **counts) {
            copied.bytes += PAGE;
            copied.uncollected_bytes += if *collected { 0 } else { PAGE };
        }
    }

    /// Whether the garbage collector has an object in one of its lists.
    fn is_tracked(&self, at: usize, block: u64, object: Object) -> bool {
        let Member { picture, memory, .. } = self.members[at];
        let has_head = picture.types[object.of as usize].flags & type_object::HAVE_GC != 0;
        let next = block + u64::from(object.offset).saturating_sub(GC_HEAD);
        has_head && memory.word(next).is_some_and(|next| next != 0)
    }

    fn is_unchanged(&self, a: usize, b: usize, lo: u64, hi: u64) -> bool {
        let bytes = |at: usize| self.members[at].memory.slice(lo, hi.saturating_sub(lo));
        bytes(a).is_some() && bytes(a) == bytes(b)
    }
}

/// The pages of an arena.
fn pages(arena: u64, bytes: u64) -> impl Iterator<Item = u64> {
    (0..bytes / PAGE).map(move |page| arena.saturating_add(page * PAGE))
}

/// Arenas by address, with the places of their pools.
fn arenas(picture: &Picture) -> BTreeMap<u64, (usize, usize)> {
    let mut arenas = BTreeMap::new();
    let pools = &picture.pools.pools;
    for (table, number) in picture.tables.iter().zip(0_u32..) {
        for (arena, place) in table.arenas.iter().zip(0_u32..) {
            let from = pools.partition_point(|pool| (pool.table, pool.arena) < (number, place));
            let until = pools.partition_point(|pool| (pool.table, pool.arena) <= (number, place));
            arenas.insert(arena.address, (from, until));
        }
    }
    arenas
}

/// Of each process those of the others that it comes from, by the numbers of all and of their parents.
fn elders(all: &[(i32, Option<i32>)]) -> Vec<Vec<usize>> {
    let of = |at: usize| {
        let parent = all[at].1?;
        all.iter().position(|(pid, _)| *pid == parent)
    };
    let elders = |at: usize| {
        let mut elders: Vec<usize> = Vec::new();
        let mut next = of(at);
        while let Some(elder) = next.filter(|elder| *elder != at && !elders.contains(elder)) {
            elders.push(elder);
            next = of(elder);
        }
        elders
    };
    (0..all.len()).map(elders).collect()
}

/// Adds to the row of a type's name.
pub(super) fn add(types: &mut BTreeMap<String, CopiedType>, row: &CopiedType) {
    let sum = types.entry(row.name.clone()).or_default();
    sum.blocks += row.blocks;
    sum.bytes += row.bytes;
    sum.unchanged += row.unchanged;
    sum.tracked += row.tracked;
}

/// What takes most first.
pub(super) fn sorted(types: BTreeMap<String, CopiedType>) -> Vec<CopiedType> {
    let mut rows: Vec<CopiedType> = types.into_iter().map(|(name, row)| CopiedType { name, ..row }).collect();
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.name.cmp(&b.name)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elders_are_found_and_circles_end() {
        let all = [(10, Some(1)), (11, Some(10)), (12, Some(11)), (13, None)];
        assert_eq!(elders(&all), [vec![], vec![0], vec![1, 0], vec![]]);
        let circle = [(10, Some(11)), (11, Some(10)), (12, Some(12))];
        assert_eq!(elders(&circle), [vec![1], vec![0], vec![]]);
    }
}
