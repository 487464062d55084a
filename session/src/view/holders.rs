//! Who holds the memory, as a front looks at it: groups as rows, what freeing some gives back, the icicle, the waterfall, and the
//! places of groups on the map.
//!
//! It takes longer than a picture, so that it is made where the position rests and told by itself, with the step that it is of.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::Addr;

use crate::diagnosis::key::Known;
use crate::diagnosis::waterfall::Part;
use crate::diagnosis::{Forecast, Group, Icicle, Key, Placed, Rule, Scope, Weight};
use crate::place::Place;
use crate::view::tracemalloc::SupposedPicture;

/// A column of the groups' table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Column {
    /// Bytes of arenas that count for it.
    #[default]
    Pinned,
    /// Arenas in which one of its blocks lies.
    Arenas,
    /// Arenas in which no other block lies.
    Alone,
    /// Blocks.
    Blocks,
    /// Bytes asked for.
    Bytes,
    /// What its blocks are larger than what was asked for.
    Slack,
    /// Bytes, each times the operations that it has been live for.
    Lifetime,
    /// What it is called.
    Name,
}

impl Column {
    /// All of them, as they stand in the table.
    pub const ALL: [Self; 8] = [
        Self::Pinned,
        Self::Alone,
        Self::Arenas,
        Self::Blocks,
        Self::Bytes,
        Self::Slack,
        Self::Lifetime,
        Self::Name,
    ];

    /// What a group has in it; none for its name.
    pub fn of(self, group: &Group) -> Option<u64> {
        Some(match self {
            Self::Pinned => group.pinned_bytes,
            Self::Arenas => group.arenas,
            Self::Alone => group.arenas_alone,
            Self::Blocks => group.blocks,
            Self::Bytes => group.bytes,
            Self::Slack => group.block_bytes.saturating_sub(group.bytes),
            Self::Lifetime => group.byte_steps,
            Self::Name => return None,
        })
    }

    /// Its title in a file of values.
    pub fn title(self) -> &'static str {
        match self {
            Self::Pinned => "pinned_bytes",
            Self::Arenas => "arenas",
            Self::Alone => "arenas_alone",
            Self::Blocks => "blocks",
            Self::Bytes => "bytes",
            Self::Slack => "slack_bytes",
            Self::Lifetime => "bytes_x_operations",
            Self::Name => "holder",
        }
    }
}

/// The part of the icicle that is looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IcicleLook {
    /// What makes a call wide.
    pub weight: Weight,
    /// The way to the call that fills the picture, as cells have it.
    pub root: Vec<u32>,
    /// Cells that fit side by side.
    pub parts: u32,
}

/// What of the holders is looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HoldersLook {
    /// What puts blocks in a group; the usual one of the trace where it is left open.
    pub key: Option<Key>,
    /// How arenas are shared.
    pub rule: Rule,
    /// Which blocks.
    pub scope: Scope,
    /// Groups that have this in their name, in any letters.
    pub search: String,
    /// By which column.
    pub sort: Column,
    /// The smallest first.
    pub ascending: bool,
    /// Rows that are in view.
    pub rows: Range<u32>,
    /// Groups that are to be freed, by name.
    pub picked: Vec<String>,
    /// Bytes that are to be got back: names groups for it.
    pub want_bytes: Option<u64>,
    /// The group whose places the map marks, by name; those that are picked where there is none.
    pub marked: Option<String>,
    /// The icicle.
    pub icicle: Option<IcicleLook>,
}

/// What is held in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HeldSums {
    /// Live blocks that are looked at.
    pub blocks: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
    /// Live blocks outside of the scope.
    pub outside: u64,
    /// Arenas.
    pub arenas: u64,
    /// Their bytes.
    pub arena_bytes: u64,
    /// Those in which blocks of one group alone lie.
    pub alone: u64,
    /// Those without a block.
    pub empty: u64,
    /// Small blocks at recorded addresses where no pool has such a place.
    pub astray: u64,
}

/// Why there are no groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NoHolders {
    /// The key needs stacks, and the trace has none.
    NoStacks,
}

/// Groups that were found for the bytes that were wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// What was wanted.
    pub bytes: u64,
    /// The groups, in the order in which they were chosen.
    pub groups: Vec<String>,
    /// What freeing them gives.
    pub forecast: Forecast,
}

/// Where the place is that is looked at, among the groups.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Found {
    /// The place.
    pub place: Place,
    /// The group that has the block, or the largest part of the pool or arena.
    pub group: String,
    /// Its row.
    pub row: Option<u32>,
}

/// The holders of a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HoldersPicture {
    /// What puts blocks in a group.
    pub key: Key,
    /// How arenas are shared.
    pub rule: Rule,
    /// Which heap.
    pub placed: Placed,
    /// The share of blocks that lie in the model where they were recorded, where that is too small for the model to be believed.
    pub doubted: Option<f64>,
    /// Which blocks.
    pub scope: Scope,
    /// What the trace knows of its blocks.
    pub known: Known,
    /// Why there are no groups, where there are none.
    pub none: Option<NoHolders>,
    /// What is held in all.
    pub sums: HeldSums,
    /// Groups.
    pub groups: u32,
    /// Those that are found by the search: rows.
    pub total: u32,
    /// The first of the rows below.
    pub first: u32,
    /// As many as were asked for.
    pub rows: Vec<Group>,
    /// The row of the group that is marked.
    pub marked_row: Option<u32>,
    /// What freeing the picked groups gives; none where none is picked.
    pub forecast: Option<Forecast>,
    /// Picked groups that hold nothing at this step.
    pub gone: Vec<String>,
    /// What was found for the bytes that were wanted.
    pub wanted: Option<Wanted>,
    /// Where the place is that the inspector is pinned to.
    pub found: Option<Found>,
    /// The icicle.
    pub icicle: Option<Icicle>,
}

/// An arena that a group holds a part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MarkedArena {
    /// Where it begins.
    pub base: Addr,
    /// Blocks of the group.
    pub blocks: u64,
    /// Whether no other block lies there.
    pub alone: bool,
}

/// The places of a group on the map.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Marks {
    /// Whose they are, in words.
    pub whose: String,
    /// Arenas, by address.
    pub arenas: Vec<MarkedArena>,
    /// Pools of the arena that is shown, by address, with the group's blocks.
    pub pools: Vec<(Addr, u64)>,
    /// Blocks of the pool that is shown, by address.
    pub blocks: Vec<Addr>,
}

impl Marks {
    /// The mark of an arena, by where it begins.
    pub fn arena(&self, base: Addr) -> Option<&MarkedArena> {
        let at = self.arenas.binary_search_by_key(&base, |arena| arena.base).ok()?;
        self.arenas.get(at)
    }

    /// The group's blocks in a pool.
    pub fn pool(&self, addr: Addr) -> Option<u64> {
        let at = self.pools.binary_search_by_key(&addr, |pool| pool.0).ok()?;
        self.pools.get(at).map(|pool| pool.1)
    }
}

/// What the memory is used for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WaterfallPicture {
    /// Which heap.
    pub placed: Placed,
    /// The sum.
    pub total_bytes: u64,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// Who holds the arena or the pool that the inspector shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlaceHeld {
    /// The place.
    pub place: Place,
    /// Blocks in use, those from before the trace too.
    pub blocks: u64,
    /// Bytes that they take.
    pub block_bytes: u64,
    /// Those of them that no operation gave.
    pub unborn: u64,
    /// What they are put together by here: call sites, ways or types.
    pub by: Key,
    /// How many of those they have; none where the trace knows none.
    pub sites: Option<u64>,
    /// The largest of those with its blocks.
    pub most: Vec<(String, u64)>,
    /// Bytes that go back to the system when they are freed, and nothing else is.
    pub returned_bytes: u64,
    /// Whether the arena would be empty then and is kept, as the last of `usable_arenas`; of an empty one whether it is.
    pub kept: bool,
    /// Whether the model did the frees.
    pub exact: bool,
}

/// What is known of who holds what, at one step. It is made of a picture's state a moment after the picture.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Holdings {
    /// The revision that it was made of, as [`super::Picture::revision`] has it.
    pub revision: u64,
    /// Operations done.
    pub step: u64,
    /// Where the look asks for it: the holders,
    pub holders: Option<HoldersPicture>,
    /// their places on the map,
    pub marks: Option<Marks>,
    /// the waterfall,
    pub waterfall: Option<WaterfallPicture>,
    /// what tracemalloc would say,
    pub supposed: Option<SupposedPicture>,
    /// and who holds what the inspector shows: a pool and its arena, or an arena.
    pub places: Vec<PlaceHeld>,
}
