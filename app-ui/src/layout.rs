//! Which panes there are and where they lie.

use egui_tiles::{Container, Linear, LinearDir, Tabs, TileId, Tiles, Tree};
use serde::{Deserialize, Serialize};

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
}

impl Pane {
    /// All of them.
    pub(crate) const ALL: [Self; 11] = [
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
        }
    }
}

/// The arrangement of panes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Layout {
    /// The tiles.
    pub(crate) tree: Tree<Pane>,
}

impl Default for Layout {
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let tab = |tiles: &mut Tiles<Pane>, panes: &[Pane]| -> TileId {
            let children: Vec<TileId> = panes.iter().map(|p| tiles.insert_pane(*p)).collect();
            let mut tabs = Tabs::new(children.clone());
            if let Some(first) = children.first() {
                tabs.set_active(*first);
            }
            tiles.insert_container(Container::Tabs(tabs))
        };
        let left = tab(&mut tiles, &[Pane::Operations]);
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
        let below = tab(&mut tiles, &[Pane::Narration]);
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

impl Layout {
    /// Brings a pane to the front.
    pub(crate) fn show(&mut self, pane: Pane) {
        self.tree.make_active(|_, tile| matches!(tile, egui_tiles::Tile::Pane(p) if *p == pane));
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
        let layout = Layout::default();
        assert!(layout.sound());
        let text = ron::to_string(&layout).unwrap();
        let mut again: Layout = ron::from_str(&text).unwrap();
        assert!(again.sound());
        assert!(!again.visible(Pane::Arenas));
        again.show(Pane::Arenas);
        assert!(again.visible(Pane::Arenas));
    }
}
