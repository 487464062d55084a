//! The part of [`Engine`] that says who holds the memory, a moment after the position has come to rest: it takes up to a few tenths of a
//! second on a large trace, in one go, so that neither Play nor somebody who steps is made to wait for it.

use std::sync::Arc;

use sim_core::{Addr, ArenaId, Trace};

use crate::diagnosis::inquiry::TRUSTED;
use crate::diagnosis::key::Known;
use crate::diagnosis::scope::Within;
use crate::diagnosis::{
    Census, Chosen, Forecast, Holders, Inquiry, Key, Placed, Rule, Scope, SharedLayout, Tree,
};
use crate::ground::Ground;
use crate::place::Place;
use crate::run::Session;
use crate::selection::Selection;
use crate::view::Look;
use crate::view::holders::{
    Column, Found, HeldSums, HoldersLook, HoldersPicture, Holdings, MarkedArena, Marks, NoHolders, PlaceHeld,
    Wanted, WaterfallPicture,
};

use super::Engine;
use super::placing::Placing;
use super::supposing::{SupposedLook, Supposing};

/// Seconds that the position rests before anything is made that takes long.
const REST_SECONDS: f64 = 0.12;
/// A trace with fewer slots is asked at once.
const SMALL_SLOTS: u32 = 20_000;
/// And one with fewer operations.
const SMALL_OPERATIONS: u64 = 200_000;

/// What is made depends on.
#[derive(Clone, PartialEq, Debug)]
struct Asked {
    revision: u64,
    operations: u64,
    /// On which heap.
    placed: Placed,
    /// Whether the model agrees too little with the recording to be believed, as far as is known.
    doubted: bool,
    holders: Option<HoldersLook>,
    waterfall: bool,
    supposed: Option<SupposedLook>,
    inspected: Option<Place>,
    pinned: Option<Place>,
    arena: Option<ArenaId>,
    pool: Option<Addr>,
}

/// Who holds what, for one front.
#[derive(Default)]
pub(super) struct Holding {
    inquiry: Option<Inquiry>,
    kept: Kept,
    pub(super) supposing: Supposing,
    asked: Option<Asked>,
    answer: Holdings,
    untold: bool,
    /// The revision that rests, and for how long.
    rested: (u64, f64),
}

/// What the last question was answered with, since most change only how it is looked at.
#[derive(Default)]
struct Kept {
    holders: Vec<KeptHolders>,
    tree: Option<(Arc<Census>, Scope, Tree)>,
    forecast: Option<(Arc<Holders>, Vec<String>, Forecast)>,
    wanted: Option<(Arc<Holders>, Wanted)>,
}

struct KeptHolders {
    census: Arc<Census>,
    key: Key,
    rule: Rule,
    scope: Scope,
    holders: Arc<Holders>,
}

impl Engine {
    fn asked(&self) -> Option<Asked> {
        let session = self.session.as_ref()?;
        let look = &self.look;
        let small = is_small(session.trace());
        let mimalloc = session.machine().mimalloc().is_some();
        let inspected = if look.inspector && !mimalloc { self.inspected() } else { None };
        // Where it takes long, only who stays with a place waits for what holds it.
        let inspected = inspected.filter(|_| small || self.selection.pinned.is_some());
        let supposed = look.tracemalloc.as_ref().filter(|_| session.supposed().is_ok());
        if look.holders.is_none() && !look.waterfall && inspected.is_none() && supposed.is_none() {
            return None;
        }
        let on_map = look.holders.is_some() && look.map.is_some();
        Some(Asked {
            revision: session.revision(),
            operations: session.len(),
            placed: self.placed(),
            doubted: agreement(session).is_some_and(|share| share < TRUSTED),
            holders: look.holders.clone(),
            waterfall: look.waterfall,
            supposed: supposed.map(|look| SupposedLook::of(look, &self.kept)),
            inspected,
            pinned: self.selection.pinned.filter(|_| look.holders.is_some()),
            arena: self.selection.arena.filter(|_| on_map),
            pool: self.selection.pool.filter(|_| on_map),
        })
    }

    /// Whether something about holders is to be made once the position rests.
    pub(super) fn owes_holding(&self) -> bool {
        self.asked().is_some_and(|asked| self.holding.asked.as_ref() != Some(&asked))
    }

    /// The same, and it rests.
    pub(super) fn may_hold(&self) -> bool {
        let Some(session) = &self.session else { return false };
        let at_rest = !session.travels() && !session.under_way() && !session.playback.playing;
        let (revision, seconds) = self.holding.rested;
        let known = self.holding.asked.as_ref().is_some_and(|asked| asked.revision == revision);
        let soon = is_small(session.trace()) || known || seconds >= REST_SECONDS;
        at_rest && revision == session.revision() && soon
    }

    /// Makes what is asked of it, if the position has rested long enough.
    pub(super) fn hold(&mut self, seconds: f64) {
        let Some(session) = &self.session else { return };
        if self.holding.rested.0 == session.revision() {
            self.holding.rested.1 += seconds;
        } else {
            self.holding.rested = (session.revision(), 0.0);
        }
        let Some(asked) = self.asked() else {
            self.holding.asked = None;
            return;
        };
        if self.holding.asked.as_ref() == Some(&asked) || !self.may_hold() {
            return;
        }
        self.holding.make(session, &self.placing, (&self.look, &self.selection), &asked);
    }

    /// What was made and not told yet.
    pub(super) fn held(&mut self) -> Option<Box<Holdings>> {
        std::mem::take(&mut self.holding.untold).then(|| Box::new(self.holding.answer.clone()))
    }

    /// Gives all groups for the clipboard, as they are sorted and searched on the screen.
    pub(super) fn copy_holders(&mut self, as_csv: bool) {
        let Some(look) = &self.look.holders else { return };
        let Some(kept) = self.holding.kept.holders.first() else { return };
        self.copied = Some(text_of(&kept.holders, &order(&kept.holders, look), as_csv));
    }
}

/// The share of blocks that lie where they were recorded, as far as the tape has been read.
fn agreement(session: &Session) -> Option<f64> {
    session.trust().and_then(|trust| trust.total().share())
}

fn is_small(trace: &Trace) -> bool {
    trace.slot_count() < SMALL_SLOTS && trace.len() < SMALL_OPERATIONS
}

impl Holding {
    /// The trace goes on.
    pub(super) fn grow(&mut self, trace: &Arc<Trace>, layout: &SharedLayout) {
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.grow(Arc::clone(trace), layout.clone());
        }
        self.kept = Kept::default();
        self.supposing = Supposing::default();
    }

    fn make(
        &mut self,
        session: &Session,
        placing: &Placing,
        (look, selection): (&Look, &Selection),
        asked: &Asked,
    ) {
        let layout = placing.layout();
        let same = self.inquiry.as_ref().is_some_and(|inquiry| {
            Arc::ptr_eq(inquiry.trace(), session.trace())
                && session.setup().is_ok_and(|setup| *inquiry.setup() == setup)
        });
        if !same {
            self.kept = Kept::default();
            self.supposing = Supposing::default();
            self.inquiry = (session.setup().ok())
                .map(|setup| Inquiry::sharing(Arc::clone(session.trace()), setup, layout.clone()));
        }
        self.asked = Some(asked.clone());
        let Some(inquiry) = &mut self.inquiry else { return };
        let (ground, placed) = (placing.ground(session), asked.placed);
        let mut answer = Holdings { revision: asked.revision, step: session.step(), ..Holdings::default() };
        if let Some(look) = &look.holders {
            let (holders, marks) =
                Asking { session, ground, inquiry, kept: &mut self.kept, look }.picture(selection, asked);
            answer.holders = Some(holders);
            answer.marks = marks;
        }
        if look.waterfall {
            let census = inquiry.census(session.machine(), session.step(), placed);
            let waterfall = inquiry.waterfall(session.machine(), &census);
            answer.waterfall = Some(WaterfallPicture {
                placed: census.placed,
                total_bytes: waterfall.total_bytes,
                parts: waterfall.parts,
            });
        }
        if let Some(look) = &asked.supposed {
            answer.supposed = Some(self.supposing.picture(inquiry, session.step(), look));
        }
        answer.places = (asked.inspected)
            .and_then(|place| places_held(session, ground, inquiry, place))
            .unwrap_or_default();
        self.untold |= self.answer != answer;
        self.answer = answer;
    }
}

/// The places of the rows: groups in the order that is asked for, as far as they are found.
fn order(holders: &Holders, look: &HoldersLook) -> Vec<u32> {
    let wanted = look.search.trim().to_lowercase();
    let found = |at: &u32| {
        let label = &holders.groups[*at as usize].label;
        holders.outside != Some(*at)
            && (wanted.is_empty() || label.to_string().to_lowercase().contains(&wanted))
    };
    let mut rows: Vec<u32> = (0..holders.groups.len() as u32).filter(found).collect();
    let of = |at: &u32| look.sort.of(&holders.groups[*at as usize]);
    if look.sort == Column::Name {
        rows.sort_by(|a, b| holders.groups[*a as usize].label.cmp(&holders.groups[*b as usize].label));
        if !look.ascending {
            rows.reverse();
        }
    } else if look.ascending {
        rows.sort_by_key(of);
    } else {
        rows.sort_by_key(|at| std::cmp::Reverse(of(at)));
    }
    rows
}

/// Rows as text between tabs, or as a file of values.
fn text_of(holders: &Holders, rows: &[u32], as_csv: bool) -> String {
    let between = if as_csv { "," } else { "\t" };
    let mut text = Column::ALL.map(Column::title).join(between) + "\n";
    for row in rows {
        let group = &holders.groups[*row as usize];
        let cells = Column::ALL.map(|column| match column.of(group) {
            Some(value) => value.to_string(),
            None if as_csv => crate::format::csv_cell(&group.label.to_string()),
            None => crate::format::printable(&group.label.to_string()).into_owned(),
        });
        text += &(cells.join(between) + "\n");
    }
    text
}

/// A question about holders, and what it is asked of.
struct Asking<'a> {
    session: &'a Session,
    ground: Ground<'a>,
    inquiry: &'a mut Inquiry,
    kept: &'a mut Kept,
    look: &'a HoldersLook,
}

impl Asking<'_> {
    fn picture(mut self, selection: &Selection, asked: &Asked) -> (HoldersPicture, Option<Marks>) {
        let (look, session) = (self.look, self.session);
        let trace = session.trace();
        let known = Known::of(trace);
        let asked_for = look.key.filter(|key| known.picture || !key.needs_picture());
        let key = asked_for.unwrap_or_else(|| Key::usual_for(known));
        let census = self.inquiry.census(session.machine(), session.step(), asked.placed);
        let within = self.inquiry.within(&census, &look.scope);
        let none = (key.needs_stacks() && !known.stacks).then_some(NoHolders::NoStacks);
        let holders = self.holders(&census, key, within.as_ref());
        let rows = if none.is_some() { Vec::new() } else { order(&holders, look) };
        let total = rows.len() as u32;
        let (first, end) = (look.rows.start.min(total), look.rows.end.min(total));
        let shown = rows.get(first as usize..end as usize).unwrap_or_default();
        let (forecast, gone) = self.forecast(&census, &holders);
        let picture = HoldersPicture {
            key,
            rule: look.rule,
            placed: census.placed,
            doubted: agreement(session).filter(|_| asked.doubted),
            scope: look.scope.clone(),
            known,
            none,
            sums: sums(&census, &holders),
            groups: holders.groups.len() as u32 - u32::from(holders.outside.is_some()),
            total,
            first,
            rows: shown.iter().map(|row| holders.groups[*row as usize].clone()).collect(),
            marked_row: look.marked.as_ref().and_then(|name| {
                let at = rows.iter().position(|row| holders.groups[*row as usize].label.key == *name);
                at.map(|at| at as u32)
            }),
            forecast,
            gone,
            wanted: look.want_bytes.map(|bytes| self.wanted(&census, &holders, bytes)),
            found: None,
            icicle: known.stacks.then(|| self.icicle(&census, within.as_ref())).flatten(),
        };
        let found = asked.pinned.and_then(|place| {
            // Where no block is in use, what is around it is held by somebody.
            let (arena, pool) = place.resolve(self.ground);
            let around = [Some(place), pool.map(Place::Pool), arena.map(Place::Arena)];
            let mut around = around.into_iter().flatten();
            let group = around.find_map(|place| largest_at(self.ground, &census, &holders, place))?;
            let is_it = |row: &u32| holders.groups[*row as usize].label.key == group;
            let row = rows.iter().position(|row| picture.none.is_none() && is_it(row));
            Some(Found { place, group, row: row.map(|row| row as u32) })
        });
        let marks = self.marks(&census, &holders, selection);
        (HoldersPicture { found, ..picture }, marks)
    }

    /// Groups of a heap. Those of the heap that was looked at before stay at hand.
    fn holders(&mut self, census: &Arc<Census>, key: Key, within: Option<&Within>) -> Arc<Holders> {
        let (rule, scope) = (self.look.rule, &self.look.scope);
        let is_it = |kept: &KeptHolders| {
            Arc::ptr_eq(&kept.census, census) && (kept.key, kept.rule, &kept.scope) == (key, rule, scope)
        };
        let kept = match self.kept.holders.iter().position(is_it) {
            Some(at) => self.kept.holders.remove(at),
            None => KeptHolders {
                census: Arc::clone(census),
                key,
                rule,
                scope: scope.clone(),
                holders: Arc::new(self.inquiry.holders_within(census, (key, rule), within)),
            },
        };
        let holders = Arc::clone(&kept.holders);
        self.kept.holders.truncate(1);
        self.kept.holders.insert(0, kept);
        holders
    }

    fn forecast(&mut self, census: &Census, holders: &Arc<Holders>) -> (Option<Forecast>, Vec<String>) {
        let picked = &self.look.picked;
        let meant: Vec<bool> = groups_named(holders, picked);
        let has = |name: &String| holders.groups.iter().any(|group| group.label.key == *name);
        let gone = picked.iter().filter(|name| !has(name)).cloned().collect();
        if !meant.contains(&true) {
            return (None, gone);
        }
        if let Some((of, names, forecast)) = &self.kept.forecast
            && Arc::ptr_eq(of, holders)
            && names == picked
        {
            return (Some(forecast.clone()), gone);
        }
        let mut chosen = Chosen::none(census);
        chosen.add(holders, &meant);
        let forecast = self.inquiry.forecast(self.session.machine(), census, &chosen);
        self.kept.forecast = Some((Arc::clone(holders), picked.clone(), forecast.clone()));
        (Some(forecast), gone)
    }

    fn wanted(&mut self, census: &Census, holders: &Arc<Holders>, bytes: u64) -> Wanted {
        if let Some((of, wanted)) = &self.kept.wanted
            && Arc::ptr_eq(of, holders)
            && wanted.bytes == bytes
        {
            return wanted.clone();
        }
        let (groups, forecast) = self.inquiry.want(self.session.machine(), census, holders, bytes);
        let name = |group: u32| holders.groups[group as usize].label.key.clone();
        let wanted = Wanted { bytes, groups: groups.into_iter().map(name).collect(), forecast };
        self.kept.wanted = Some((Arc::clone(holders), wanted.clone()));
        wanted
    }

    fn icicle(&mut self, census: &Arc<Census>, within: Option<&Within>) -> Option<crate::diagnosis::Icicle> {
        let look = self.look.icicle.as_ref()?;
        let scope = &self.look.scope;
        let known = self.kept.tree.take().filter(|(of, its, _)| Arc::ptr_eq(of, census) && its == scope);
        let make = || (Arc::clone(census), scope.clone(), self.inquiry.tree(census, within));
        let (_, _, tree) = self.kept.tree.insert(known.unwrap_or_else(make));
        Some(tree.icicle(self.session.trace(), &look.root, look.weight, look.parts))
    }

    /// Where the blocks of the marked groups lie.
    fn marks(&self, census: &Census, holders: &Holders, selection: &Selection) -> Option<Marks> {
        let names = match &self.look.marked {
            Some(name) => std::slice::from_ref(name),
            None => &self.look.picked,
        };
        let meant = groups_named(holders, names);
        let count = meant.iter().filter(|meant| **meant).count();
        let first = meant.iter().position(|meant| *meant)?;
        let whose = match count {
            1 => holders.groups[first].label.to_string(),
            count => crate::format::count(count as u64, "picked group"),
        };
        let is_marked = |group: u32| meant.get(group as usize) == Some(&true);
        let mut marks = Marks { whose, ..Marks::default() };
        for (at, region) in census.regions.iter().enumerate() {
            let shares = holders.shares_of(at);
            let of_it = shares.iter().filter(|share| is_marked(share.group));
            let blocks = of_it.clone().map(|share| share.blocks).sum();
            if blocks > 0 {
                let alone = of_it.count() == shares.len();
                marks.arenas.push(MarkedArena { base: region.base, blocks, alone });
            }
        }
        marks.arenas.sort_by_key(|arena| arena.base);
        let ground = self.ground;
        let arena = selection.arena.and_then(|id| ground.same_arena(id));
        let region =
            arena.and_then(|arena| census.regions.iter().position(|region| region.base == arena.base));
        if let Some(region) = region {
            let pool_size = self.session.profile().pool_size;
            let mut pools: std::collections::BTreeMap<Addr, u64> = std::collections::BTreeMap::new();
            for block in census.range(region).filter(|block| is_marked(holders.of_block[*block])) {
                let addr = census.addrs[block];
                let pool = Addr(addr.0 & !(pool_size - 1));
                *pools.entry(pool).or_default() += 1;
                if selection.pool == Some(pool) {
                    marks.blocks.push(ground.block_at(addr).map_or(addr, |block| block.addr));
                }
            }
            marks.pools = pools.into_iter().collect();
            marks.blocks.sort_unstable();
        }
        Some(marks)
    }
}

fn groups_named(holders: &Holders, names: &[String]) -> Vec<bool> {
    let named: std::collections::BTreeSet<&str> = names.iter().map(String::as_str).collect();
    holders.groups.iter().map(|group| named.contains(group.label.key.as_str())).collect()
}

fn sums(census: &Census, holders: &Holders) -> HeldSums {
    let outside = holders.outside.and_then(|group| holders.groups.get(group as usize));
    let all = |of: fn(&crate::diagnosis::Group) -> u64| holders.groups.iter().map(of).sum::<u64>();
    let arenas = census.regions.len() as u64;
    HeldSums {
        blocks: all(|group| group.blocks) - outside.map_or(0, |group| group.blocks),
        bytes: all(|group| group.bytes) - outside.map_or(0, |group| group.bytes),
        outside: outside.map_or(0, |group| group.blocks),
        arenas,
        arena_bytes: census.held_bytes(),
        alone: all(|group| group.arenas_alone) - outside.map_or(0, |group| group.arenas_alone),
        empty: census.regions.iter().filter(|region| region.blocks == 0).count() as u64,
        astray: census.astray,
    }
}

/// Blocks of the columns that lie at a place, and the region.
fn blocks_at(ground: Ground<'_>, census: &Census, place: Place) -> Option<(usize, Vec<usize>)> {
    let id = place.resolve(ground).0?;
    let base = ground.same_arena(id)?.base;
    let region = census.regions.iter().position(|region| region.base == base)?;
    let pool_size = ground.profile().pool_size;
    let is_there = |at: &usize| {
        let addr = census.addrs[*at];
        match place {
            Place::Arena(_) => true,
            Place::Pool(pool) => Addr(addr.0 & !(pool_size - 1)) == pool,
            // Under debug hooks a pointer lies inside its block.
            Place::Block(block) => ground.block_at(addr).map_or(addr, |found| found.addr) == block,
        }
    };
    Some((region, census.range(region).filter(is_there).collect()))
}

/// The group with the most blocks at a place.
fn largest_at(ground: Ground<'_>, census: &Census, holders: &Holders, place: Place) -> Option<String> {
    let (region, blocks) = blocks_at(ground, census, place)?;
    let mut counts = vec![0_u64; holders.groups.len()];
    if matches!(place, Place::Arena(_)) {
        for share in holders.shares_of(region) {
            counts[share.group as usize] = share.blocks;
        }
    } else {
        for at in &blocks {
            counts[holders.of_block[*at] as usize] += 1;
        }
    }
    let most = (0..counts.len()).filter(|group| counts[*group] > 0 && holders.outside != Some(*group as u32));
    let most = most.max_by_key(|group| (counts[*group], std::cmp::Reverse(*group)))?;
    Some(holders.groups[most].label.key.clone())
}

/// Who holds the arena that is inspected; or the pool, or the one of the block, and its arena.
fn places_held(
    session: &Session,
    ground: Ground<'_>,
    inquiry: &mut Inquiry,
    place: Place,
) -> Option<Vec<PlaceHeld>> {
    let (arena, pool) = place.resolve(ground);
    let census = inquiry.census(session.machine(), session.step(), ground.placed());
    let arena = place_held(session, ground, inquiry, &census, Place::Arena(arena?), None)?;
    let pool =
        pool.and_then(|pool| place_held(session, ground, inquiry, &census, Place::Pool(pool), Some(&arena)));
    Some(pool.into_iter().chain(std::iter::once(arena)).collect())
}

/// Who holds a place. Of a pool `arena` is its arena, which goes only where it has no other pool with a block.
fn place_held(
    session: &Session,
    ground: Ground<'_>,
    inquiry: &Inquiry,
    census: &Census,
    place: Place,
    arena: Option<&PlaceHeld>,
) -> Option<PlaceHeld> {
    /// Sites that are named.
    const NAMED: usize = 3;
    let (region, blocks) = blocks_at(ground, census, place)?;
    let unborn: (u64, u64) = match place {
        Place::Arena(_) => census
            .unborn
            .iter()
            .filter(|unborn| unborn.region as usize == region)
            .fold((0, 0), |sum, unborn| (sum.0 + unborn.blocks, sum.1 + unborn.blocks * unborn.block_bytes)),
        Place::Pool(addr) | Place::Block(addr) => {
            let pool = ground.pool_at(addr)?;
            let more = u64::from(pool.used).saturating_sub(blocks.len() as u64);
            (more, more * u64::from(pool.block_size))
        }
    };
    let known = Known::of(session.trace());
    let key = Key::usual_for(known);
    let groups = if known == Known::default() { Vec::new() } else { inquiry.groups_of(census, &blocks, key) };
    let all = blocks.len() as u64 + unborn.0;
    let (returned_bytes, kept, exact) = match arena {
        Some(arena) if arena.blocks == all => (arena.returned_bytes, arena.kept, arena.exact),
        Some(_) => (0, false, true),
        // Blocks that no operation gave cannot be freed one by one.
        None if unborn.0 > 0 => (0, false, false),
        None if blocks.is_empty() => (0, census.regions[region].blocks == 0, true),
        None => {
            let mut chosen = Chosen::none(census);
            for at in &blocks {
                chosen.blocks[*at] = true;
            }
            let forecast = inquiry.forecast(session.machine(), census, &chosen);
            let kept = forecast.kept_empty.contains(&census.regions[region].number);
            (forecast.returned_bytes, kept, forecast.exact)
        }
    };
    Some(PlaceHeld {
        place,
        blocks: all,
        block_bytes: blocks.iter().map(|at| census.block_bytes[*at]).sum::<u64>() + unborn.1,
        unborn: unborn.0,
        by: key,
        sites: (known != Known::default()).then_some(groups.len() as u64),
        most: groups.into_iter().take(NAMED).map(|(label, blocks, _)| (label.to_string(), blocks)).collect(),
        returned_bytes,
        kept,
        exact,
    })
}
