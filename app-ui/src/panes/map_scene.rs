//! Where everything lies on the map: the geometry that painting, labels and pointing share.

use egui::{Align2, ColorImage, Pos2, Rect, Vec2};
use session::Place;
use session::facts::{self, ArenaFacts, BlockState, PoolFacts};
use session::format::{bytes, grouped};
use session::view::inspect::HeaderFacts;
use session::view::map::{MapPicture, Tile};
use sim_core::Addr;

use super::View;
use crate::raster::grid::{CellGrid, TileGrid, pool_columns};
use crate::raster::{self, BlockPicture, PixelRect};

/// Height of a pool's header, in points.
pub(super) const BAND: f32 = 40.0;

/// The picture's geometry, in pixels from its top, unscrolled.
pub(super) enum Scene<'a> {
    /// All arenas; of them some tiles, counted from the first.
    Heap { first: u32, tiles: &'a [Tile], focus: Option<u32>, grid: TileGrid },
    /// One arena.
    Arena { tile: &'a Tile, emptied: &'a [Addr], grid: CellGrid },
    /// One pool.
    Pool {
        pool: &'a PoolFacts,
        fields: Option<&'a HeaderFacts>,
        /// The blocks in the picture: all, or those that were carved and a few more.
        states: &'a [BlockState],
        grid: CellGrid,
        header: PixelRect,
        /// Where the blocks lie that are left out, and how many they are.
        folded: Option<(PixelRect, u32)>,
        tail: PixelRect,
        /// The block that the free list's last one leads back to.
        back: Option<u32>,
    },
}

/// Where the picture lies on the screen.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The visible part.
    pub(super) rect: Rect,
    /// Pixels scrolled off the top.
    pub(super) scroll: i32,
    /// Pixels of a point.
    pub(super) unit: f32,
}

impl Frame {
    /// Pixels to points.
    pub(super) fn screen(&self, r: PixelRect) -> Rect {
        let min = self.rect.min + Vec2::new(r.x as f32, (r.y - self.scroll) as f32) / self.unit;
        Rect::from_min_size(min, Vec2::new(r.w as f32, r.h as f32) / self.unit)
    }

    pub(super) fn pixel(&self, pos: Pos2) -> (i32, i32) {
        let at = (pos - self.rect.min) * self.unit;
        (at.x.floor() as i32, at.y.floor() as i32 + self.scroll)
    }
}

impl<'a> Scene<'a> {
    /// The geometry of the level shown.
    pub(super) fn of(view: &View<'a>, width: i32, height: i32, unit: f32) -> Option<Self> {
        let profile = view.profile();
        let points = |p: f32| ((p * unit).round() as i32).max(1);
        match view.picture.map.as_ref()? {
            MapPicture::Nothing => None,
            MapPicture::Heap { total, first, tiles, focus } => {
                let grid = TileGrid::fit(*total, profile.max_pools_in_arena(), width, height, unit);
                Some(Scene::Heap { first: *first, tiles, focus: *focus, grid })
            }
            MapPicture::Arena { tile, emptied } => {
                let pools = profile.max_pools_in_arena();
                let largest = (points(128.0), points(76.0));
                // Room for outlines at the edges.
                let edge = points(5.0);
                let (w, h) = (width - 2 * edge, height - 2 * edge);
                let grid = CellGrid::fixed(pool_columns(pools), pools, w, h, largest).moved(edge, edge);
                Some(Scene::Arena { tile, emptied, grid })
            }
            MapPicture::Pool { pool, header: fields, states, free } => {
                let left_out = if view.picture.selection.fold { folded(states) } else { 0 };
                let states = &states[..states.len() - left_out as usize];
                let shown = states.len() as u32;
                let lost = pool.class.map_or(0, |c| profile.quantization_bytes(c));
                let narrow = width < points(560.0);
                let band = points(if narrow { BAND + 15.0 } else { BAND });
                let gutter = points(56.0);
                let cells = shown + u32::from(left_out > 0) + u32::from(lost > 0);
                let room = (width - gutter, height - band - points(8.0));
                let smallest = (points(26.0), points(20.0));
                let grid = CellGrid::flowing(cells, room.0, room.1, smallest, (points(116.0), points(52.0)));
                let grid = grid.moved(gutter, band + points(6.0));
                let tail = if lost > 0 && cells > 0 { grid.cell(cells - 1) } else { PixelRect::default() };
                let header = PixelRect { x: 0, y: 0, w: width, h: band };
                let folded = (left_out > 0).then(|| (grid.cell(shown), left_out));
                let back = free.back_to.and_then(|addr| {
                    let within = addr.bytes_from(pool.addr).checked_sub(profile.pool_overhead())?;
                    let index = within.checked_div(u64::from(pool.block_size))?;
                    (index < states.len() as u64).then_some(index as u32)
                });
                Some(Scene::Pool { pool, fields: fields.as_ref(), states, grid, header, folded, tail, back })
            }
        }
    }
}

impl Scene<'_> {
    pub(super) fn height(&self) -> i32 {
        match self {
            Self::Heap { grid, .. } => grid.height(),
            Self::Arena { grid, .. } | Self::Pool { grid, .. } => grid.y + grid.height(),
        }
    }

    pub(super) fn image(&self, view: &View<'_>, scroll: i32, size: (i32, i32)) -> ColorImage {
        let profile = view.profile();
        match self {
            Self::Heap { first, tiles, grid, .. } => {
                raster::heap(profile, (*first, tiles), grid, scroll, size, view.colors())
            }
            Self::Arena { tile, grid, .. } => {
                raster::arena(profile, tile, &grid.moved(0, -scroll), size, view.colors())
            }
            Self::Pool { pool, states, grid, header, tail, .. } => {
                let picture = BlockPicture { states, pool, grid: *grid, header: *header, tail: *tail };
                raster::blocks(&picture, scroll, size, view.colors())
            }
        }
    }

    /// Where the last operation happened, as closely as the picture has it.
    pub(super) fn focus(&self, view: &View<'_>, unit: f32) -> Option<PixelRect> {
        let there = view.picture.focus.and_then(|place| self.rect_of(view, place, unit));
        there.or(match self {
            Self::Heap { focus, grid, .. } => focus.map(|tile| grid.tile(tile)),
            Self::Arena { .. } | Self::Pool { .. } => None,
        })
    }

    /// The tiles that are there: the number of the first, and how many.
    pub(super) fn tiles(&self) -> (u32, usize) {
        match self {
            Self::Heap { first, tiles, .. } => (*first, tiles.len()),
            Self::Arena { .. } | Self::Pool { .. } => (0, 0),
        }
    }

    /// The arenas that have a pixel between two heights, by number; of the first level only.
    pub(super) fn in_view(&self, top: i32, bottom: i32) -> Option<std::ops::Range<u32>> {
        let Self::Heap { grid, .. } = self else { return None };
        Some(grid.between(top, bottom))
    }

    /// What lies at a pixel.
    pub(super) fn hit(&self, view: &View<'_>, x: i32, y: i32) -> Option<Place> {
        let profile = view.profile();
        match self {
            Self::Heap { first, tiles, grid, .. } => {
                let (index, cell) = grid.hit(x, y)?;
                let tile = tiles.get(index.checked_sub(*first)? as usize)?;
                let pool = cell.and_then(|i| tile.pool(profile, i));
                Some(pool.map_or(Place::Arena(tile.arena.id), |p| Place::Pool(p.addr)))
            }
            Self::Arena { tile, grid, .. } => {
                tile.pool(profile, grid.hit(x, y)?).map(|p| Place::Pool(p.addr))
            }
            Self::Pool { pool, states, grid, header, .. } => {
                if header.contains(x, y) {
                    return Some(Place::Pool(pool.addr));
                }
                let index = grid.hit(x, y).filter(|i| (*i as usize) < states.len())?;
                let offset = facts::block_offset(profile, pool, index);
                Some(Place::Block(pool.addr.offset(u64::from(offset))))
            }
        }
    }

    /// Where a place lies in the picture, if it is in it.
    pub(super) fn rect_of(&self, view: &View<'_>, place: Place, unit: f32) -> Option<PixelRect> {
        let profile = view.profile();
        match (self, place) {
            (Self::Heap { first, tiles, grid, .. }, Place::Arena(id)) => {
                tiles.iter().position(|t| t.arena.id == id).map(|at| grid.tile(first + at as u32))
            }
            (Self::Heap { first, tiles, grid, .. }, Place::Pool(addr) | Place::Block(addr)) => {
                let at = tiles.iter().position(|t| t.holds(profile, addr))?;
                Some(grid.cells(first + at as u32).cell(tiles[at].pool_index(profile, addr)?))
            }
            (Self::Arena { tile, grid, .. }, Place::Pool(addr) | Place::Block(addr)) => {
                Some(grid.cell(tile.pool_index(profile, addr)?))
            }
            (Self::Pool { pool, header, .. }, Place::Pool(addr)) => {
                // Its outline must fit between the edges of the picture.
                (addr == pool.addr).then_some(header.shrink(((6.0 * unit).round() as i32).max(1)))
            }
            (Self::Pool { pool, states, grid, .. }, Place::Block(addr)) => {
                let offset = addr.bytes_from(pool.addr);
                let within = offset.checked_sub(profile.pool_overhead())?;
                let index = within.checked_div(u64::from(pool.block_size))?;
                (offset < profile.pool_size && index < states.len() as u64).then(|| grid.cell(index as u32))
            }
            (Self::Arena { .. } | Self::Pool { .. }, Place::Arena(_)) => None,
        }
    }
}

/// How many of the blocks never carved are left out, where they are most of a pool.
fn folded(states: &[BlockState]) -> u32 {
    /// Never carved blocks that stay in the picture.
    const KEPT: usize = 8;
    let carved = states.iter().take_while(|s| **s != BlockState::NeverCarved).count();
    let kept = carved + KEPT;
    if kept * 2 > states.len() || states.len() < 4 * KEPT {
        return 0;
    }
    (states.len() - kept) as u32
}

/// The sentence under an arena's tile and in tooltips.
pub(super) fn arena_line(view: &View<'_>, arena: &ArenaFacts) -> String {
    format!(
        "{} at {}: {} of {} pools in use, {}",
        arena.id,
        arena.base,
        grouped(u64::from(arena.pools_in_use())),
        arena.ntotalpools,
        bytes(view.profile().arena_size)
    )
}

/// Left top, for labels.
pub(super) const TOP_LEFT: Align2 = Align2::LEFT_TOP;
