//! The colors of pools and blocks: by size class, or by what a picture of a process says of them.

use egui::Color32;
use session::Paint;
use session::facts::PoolFacts;
use session::view::paint::MapPaint;

use crate::theme::Theme;

/// What colors are taken from.
#[derive(Clone, Copy)]
pub(crate) struct Colors<'a> {
    /// The theme.
    pub(crate) theme: &'a Theme,
    /// Groups of pools and blocks, where the map shows these.
    pub(crate) paint: Option<&'a MapPaint>,
}

impl Colors<'_> {
    /// The color of a group.
    pub(crate) fn group(&self, group: u8) -> Color32 {
        match self.paint.filter(|paint| paint.is_rest(group)) {
            None => self.theme.group(group),
            Some(paint) if usize::from(group) + 1 == paint.groups.len() => self.theme.line,
            Some(_) => self.theme.weak,
        }
    }

    /// A pool's.
    pub(crate) fn of_pool(&self, pool: &PoolFacts) -> Color32 {
        let class = || self.theme.class(pool.class.map_or(0, |class| class.0));
        match self.paint {
            None => class(),
            // What came after the picture has no group.
            Some(paint) => paint.of_pool(pool.addr).map_or(self.theme.line, |group| self.group(group)),
        }
    }

    /// That of a pool without a block, which may be in memory all the same.
    pub(super) fn of_empty(&self, pool: &PoolFacts) -> Color32 {
        let memory = self.paint.filter(|paint| paint.by == Paint::Memory);
        let group = memory.and_then(|paint| paint.of_pool(pool.addr));
        group.map_or(self.theme.line, |group| self.group(group))
    }

    /// A block's.
    pub(crate) fn of_block(&self, pool: &PoolFacts, index: usize) -> Color32 {
        match self.paint {
            None => self.of_pool(pool),
            Some(paint) => paint.of_block(index).map_or(self.theme.line, |group| self.group(group)),
        }
    }
}
