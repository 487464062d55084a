//! Which panes there are and where they lie.

use egui_tiles::{Container, Linear, LinearDir, Tabs, TileId, Tiles, Tree};
use serde::{Deserialize, Serialize};
use trace_io::lesson::Show;

/// A pane. Its state lives elsewhere, so that a layout can be thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Pane {
    /// All operations.
    Operations,
    /// The heap as a picture.
    Map,
    /// One row a size class.
    SizeClasses,
    /// One row an arena.
    Arenas,
    /// `sys._debugmallocstats()`.
    MallocStats,
    /// The tables of each domain and the chains they form.
    Domains,
    /// The bytes of a block under debug hooks.
    DebugHooks,
    /// Who allocated what is live.
    Tracemalloc,
    /// What the current step did.
    Narration,
    /// One arena, pool or block field by field.
    Inspector,
    /// Threads, and places in the source that allocate most.
    Callers,
    /// Who holds the live blocks and the arenas.
    Holders,
    /// What the memory is used for.
    Waterfall,
    /// The process that the trace has the picture of.
    Process,
    /// What would have been.
    WhatIf,
    /// What became of the memory over the run.
    Findings,
    /// Two moments beside each other.
    Compare,
    /// The course, and the lesson that is open.
    Learn,
    /// A program that is written here.
    Playground,
}

impl Pane {
    /// All of them.
    pub(crate) const ALL: [Self; 19] = [
        Self::Operations,
        Self::Map,
        Self::SizeClasses,
        Self::Arenas,
        Self::MallocStats,
        Self::Domains,
        Self::DebugHooks,
        Self::Tracemalloc,
        Self::Narration,
        Self::Inspector,
        Self::Callers,
        Self::Holders,
        Self::Waterfall,
        Self::Process,
        Self::WhatIf,
        Self::Findings,
        Self::Compare,
        Self::Learn,
        Self::Playground,
    ];

    /// The tab's title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Operations => "Operations",
            Self::Map => "Map",
            Self::SizeClasses => "Size classes",
            Self::Arenas => "Arenas",
            Self::MallocStats => "Malloc stats",
            Self::Domains => "Domains",
            Self::DebugHooks => "Debug hooks",
            Self::Tracemalloc => "tracemalloc",
            Self::Narration => "What happened",
            Self::Inspector => "Inspector",
            Self::Callers => "Who allocates",
            Self::Holders => "Holders",
            Self::Waterfall => "Waterfall",
            Self::Process => "Process",
            Self::WhatIf => "What if",
            Self::Findings => "Findings",
            Self::Compare => "Compare",
            Self::Learn => "Learn",
            Self::Playground => "Playground",
        }
    }
}

impl Pane {
    /// The pane that a beat of a lesson has in front.
    pub(crate) fn of(show: Show) -> Self {
        match show {
            Show::Arenas | Show::Pools | Show::Blocks | Show::Mimalloc => Self::Map,
            Show::Classes => Self::SizeClasses,
            Show::ArenaList => Self::Arenas,
            Show::Stats => Self::MallocStats,
            Show::Domains => Self::Domains,
            Show::Debug => Self::DebugHooks,
            Show::Tracemalloc => Self::Tracemalloc,
            Show::Narration => Self::Narration,
        }
    }
}

/// The arrangement of panes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Layout {
    /// The tiles.
    pub(crate) tree: Tree<Pane>,
}

/// Panes behind each other, the first in front.
fn tab(tiles: &mut Tiles<Pane>, panes: &[Pane]) -> TileId {
    let children: Vec<TileId> = panes.iter().map(|p| tiles.insert_pane(*p)).collect();
    let mut tabs = Tabs::new(children.clone());
    if let Some(first) = children.first() {
        tabs.set_active(*first);
    }
    tiles.insert_container(Container::Tabs(tabs))
}

impl Default for Layout {
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let left = tab(&mut tiles, &[Pane::Operations, Pane::Findings, Pane::Learn, Pane::Playground]);
        let center = tab(
            &mut tiles,
            &[
                Pane::Map,
                Pane::SizeClasses,
                Pane::Arenas,
                Pane::MallocStats,
                Pane::Domains,
                Pane::DebugHooks,
                Pane::Tracemalloc,
                Pane::Callers,
            ],
        );
        let below = tab(
            &mut tiles,
            &[Pane::Narration, Pane::Holders, Pane::Waterfall, Pane::Process, Pane::Compare, Pane::WhatIf],
        );
        let right = tab(&mut tiles, &[Pane::Inspector]);
        let middle = tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [center, below], 0.71));
        let mut columns = Linear::new(LinearDir::Horizontal, vec![left, middle, right]);
        columns.shares.set_share(left, 0.19);
        columns.shares.set_share(middle, 0.56);
        columns.shares.set_share(right, 0.25);
        let root = tiles.insert_container(columns);
        Self { tree: Tree::new(egui::Id::unique("panes"), root, tiles) }
    }
}

/// Panes that show the heap, in a window that is laid out for something to read or to write.
const PICTURE: &[Pane] = &[
    Pane::Map,
    Pane::SizeClasses,
    Pane::Arenas,
    Pane::MallocStats,
    Pane::Domains,
    Pane::DebugHooks,
    Pane::Tracemalloc,
    Pane::Callers,
    Pane::Operations,
];

/// Panes that say more of it, beside or below.
const BESIDE: &[Pane] = &[
    Pane::Narration,
    Pane::Inspector,
    Pane::Holders,
    Pane::Waterfall,
    Pane::Process,
    Pane::Findings,
    Pane::Compare,
    Pane::WhatIf,
];

/// Windows narrower than this have a lesson's text under its picture.
const NARROW: f32 = 700.0;

impl Layout {
    /// Whether a window is too narrow for a lesson's text beside its picture.
    pub(crate) fn is_narrow(width: f32) -> bool {
        width < NARROW
    }

    /// For a lesson: its text and what happened, the picture large, the rest behind tabs.
    pub(crate) fn lesson(narrow: bool) -> Self {
        let mut tiles = Tiles::default();
        let text = tab(&mut tiles, &[Pane::Learn, Pane::Playground]);
        let root = if narrow {
            let picture = tab(&mut tiles, &[PICTURE, BESIDE].concat());
            tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [picture, text], 0.5))
        } else {
            let picture = tab(&mut tiles, PICTURE);
            let happened = tab(&mut tiles, BESIDE);
            let left =
                tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [text, happened], 0.66));
            tiles.insert_container(Linear::new_binary(LinearDir::Horizontal, [left, picture], 0.38))
        };
        Self { tree: Tree::new(egui::Id::unique("panes"), root, tiles) }
    }

    /// For a puzzle: task, goals and editor in a whole column.
    pub(crate) fn puzzle(narrow: bool) -> Self {
        let mut tiles = Tiles::default();
        let text = tab(&mut tiles, &[Pane::Learn, Pane::Playground]);
        let root = if narrow {
            let picture = tab(&mut tiles, &[PICTURE, BESIDE].concat());
            tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [picture, text], 0.34))
        } else {
            let picture = tab(&mut tiles, PICTURE);
            let happened = tab(&mut tiles, BESIDE);
            let right =
                tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [picture, happened], 0.7));
            tiles.insert_container(Linear::new_binary(LinearDir::Horizontal, [text, right], 0.4))
        };
        Self { tree: Tree::new(egui::Id::unique("panes"), root, tiles) }
    }

    /// Brings a pane to the front, with room where it needs some.
    pub(crate) fn show(&mut self, pane: Pane) {
        if matches!(pane, Pane::Holders | Pane::Waterfall | Pane::Process | Pane::Compare | Pane::WhatIf) {
            self.make_room(pane);
        }
        self.tree.make_active(|_, tile| matches!(tile, egui_tiles::Tile::Pane(p) if *p == pane));
    }

    /// For a phone with a trace: the picture, and below it what there is to say of it.
    pub(crate) fn phone() -> Self {
        let mut tiles = Tiles::default();
        let picture = tab(&mut tiles, PICTURE);
        let mut below =
            vec![Pane::Findings, Pane::Holders, Pane::Waterfall, Pane::Process, Pane::Compare, Pane::WhatIf];
        below.extend([Pane::Narration, Pane::Inspector, Pane::Learn, Pane::Playground]);
        let below = tab(&mut tiles, &below);
        let root = tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [picture, below], 0.42));
        Self { tree: Tree::new(egui::Id::unique("panes"), root, tiles) }
    }

    /// For who opens a recording: what became of the memory is in front, with room to be read.
    pub(crate) fn diagnose(&mut self) {
        const SHARE: f32 = 0.26;
        self.show(Pane::Findings);
        let tiles = &mut self.tree.tiles;
        let tabs = tiles.find_pane(&Pane::Findings).and_then(|tile| tiles.parent_of(tile));
        let Some((tabs, row)) = tabs.and_then(|tabs| Some((tabs, tiles.parent_of(tabs)?))) else { return };
        if let Some(egui_tiles::Tile::Container(Container::Linear(linear))) = tiles.get_mut(row)
            && linear.dir == LinearDir::Horizontal
        {
            let all: f32 = linear.children.iter().map(|child| linear.shares[*child]).sum();
            let least = (all - linear.shares[tabs]) * SHARE / (1.0 - SHARE);
            if linear.shares[tabs] < least {
                linear.shares.set_share(tabs, least);
            }
        }
    }

    /// Gives a pane that lies above or below others more than half of the height, where it has less.
    fn make_room(&mut self, pane: Pane) {
        const SHARE: f32 = 0.56;
        let tiles = &self.tree.tiles;
        let within = tiles.find_pane(&pane).and_then(|tile| tiles.parent_of(tile));
        let Some((tabs, column)) = within.and_then(|tabs| Some((tabs, tiles.parent_of(tabs)?))) else {
            return;
        };
        if let Some(egui_tiles::Tile::Container(Container::Linear(linear))) = self.tree.tiles.get_mut(column)
            && linear.dir == LinearDir::Vertical
        {
            let others: f32 = linear
                .children
                .iter()
                .filter(|child| **child != tabs)
                .map(|child| linear.shares[*child])
                .sum();
            let least = others * SHARE / (1.0 - SHARE);
            if linear.shares[tabs] < least {
                linear.shares.set_share(tabs, least);
            }
        }
    }

    /// Whether a pane is in front.
    #[cfg(test)]
    pub(crate) fn visible(&self, pane: Pane) -> bool {
        self.tree
            .active_tiles()
            .iter()
            .any(|id| matches!(self.tree.tiles.get(*id), Some(egui_tiles::Tile::Pane(p)) if *p == pane))
    }

    /// Whether each pane is there exactly once, as in every layout this program saves.
    pub(crate) fn sound(&self) -> bool {
        Pane::ALL.iter().all(|pane| {
            let places =
                self.tree.tiles.tiles().filter(|t| matches!(t, egui_tiles::Tile::Pane(p) if p == pane));
            places.count() == 1
        }) && self.tree.root().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layout_is_sound_and_survives_saving() {
        for narrow in [false, true] {
            assert!(Layout::lesson(narrow).sound() && Layout::puzzle(narrow).sound());
        }
        assert!(Layout::phone().sound());
        let layout = Layout::default();
        assert!(layout.sound());
        let text = serde_json::to_string(&layout).unwrap();
        let mut again: Layout = serde_json::from_str(&text).unwrap();
        assert!(again.sound());
        assert!(!again.visible(Pane::Arenas));
        again.show(Pane::Arenas);
        assert!(again.visible(Pane::Arenas));
    }
}
