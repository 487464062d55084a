//! Pools as cells: a gauge filled from below by the blocks in use, in the color of the size class.

use egui::ColorImage;
use session::facts::PoolFacts;
use session::view::map::Tile;
use sim_core::Profile;
use sim_core::report::PoolState;

use super::grid::{CellGrid, TileGrid};
use super::{Canvas, Colors, PixelRect};
use crate::theme::mix;

/// The arenas between `scroll` and `scroll + height` of the grid's height; `first` is the number of the first tile.
pub(crate) fn heap(
    profile: &Profile,
    (first, tiles): (u32, &[Tile]),
    grid: &TileGrid,
    scroll: i32,
    size: (i32, i32),
    colors: Colors<'_>,
) -> ColorImage {
    let theme = colors.theme;
    let mut canvas = Canvas::new(size.0, size.1, theme.ground);
    for index in grid.between(scroll, scroll + size.1) {
        let tile = grid.tile(index);
        canvas.fill(PixelRect { y: tile.y - scroll, ..tile }, theme.tile);
        // What scrolled into view is on its way.
        if let Some(arena) = index.checked_sub(first).and_then(|at| tiles.get(at as usize)) {
            cells(&mut canvas, profile, arena, &grid.cells(index).moved(0, -scroll), colors);
        }
    }
    canvas.finish()
}

/// One arena.
pub(crate) fn arena(
    profile: &Profile,
    tile: &Tile,
    grid: &CellGrid,
    size: (i32, i32),
    colors: Colors<'_>,
) -> ColorImage {
    let mut canvas = Canvas::new(size.0, size.1, colors.theme.ground);
    cells(&mut canvas, profile, tile, grid, colors);
    canvas.finish()
}

fn cells(canvas: &mut Canvas, profile: &Profile, tile: &Tile, grid: &CellGrid, colors: Colors<'_>) {
    for index in 0..grid.count {
        let cell = grid.cell(index);
        if cell.y >= canvas.height || cell.y + cell.h <= 0 {
            continue;
        }
        match tile.pool(profile, index) {
            Some(pool) => pool_cell(canvas, cell, &pool, colors),
            // The pool that a misaligned arena loses.
            None => canvas.hatch(inner(cell), 5, colors.theme.lost),
        }
    }
}

fn inner(cell: PixelRect) -> PixelRect {
    match cell.w.min(cell.h) {
        0..=3 => cell,
        4..=11 => PixelRect { w: cell.w - 1, h: cell.h - 1, ..cell },
        _ => cell.shrink(1),
    }
}

fn pool_cell(canvas: &mut Canvas, cell: PixelRect, pool: &PoolFacts, colors: Colors<'_>) {
    let theme = colors.theme;
    let r = inner(cell);
    let side = r.w.min(r.h);
    match pool.state {
        PoolState::NeverCarved => {
            let dot = if side >= 16 { 2 } else { 1 };
            if side >= 10 {
                canvas.dotted(r, dot, theme.dot);
            } else {
                canvas.fill(PixelRect { x: r.x + r.w / 2, y: r.y + r.h / 2, w: dot, h: dot }, theme.dot);
            }
        }
        PoolState::Empty => {
            if side >= 3 {
                canvas.frame(r, if side >= 20 { 2 } else { 1 }, colors.of_empty(pool));
            } else {
                canvas.fill(r, mix(theme.tile, colors.of_empty(pool), 0.5));
            }
        }
        PoolState::Used | PoolState::Full => {
            let color = colors.of_pool(pool);
            if side < 4 {
                canvas.fill(r, mix(theme.tile, color, 0.35 + 0.65 * pool.share()));
                return;
            }
            canvas.fill(r, theme.tint(color));
            if pool.state == PoolState::Used && side >= 8 {
                canvas.frame(r, 1, mix(theme.tile, color, 0.6));
            }
            canvas.fill(filled(r, pool), color);
        }
    }
}

/// The part of a gauge that is filled: never nothing for a used pool, never all unless it is full.
fn filled(r: PixelRect, pool: &PoolFacts) -> PixelRect {
    let mut high = (r.h as f32 * pool.share()).round() as i32;
    if pool.state == PoolState::Used {
        high = high.clamp(1, (r.h - 1).max(1));
    }
    PixelRect { y: r.y + r.h - high, h: high, ..r }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session::facts::ArenaFacts;
    use session::view::map::PoolCell;
    use sim_core::{Addr, ArenaId, SizeClass};

    use crate::theme::Theme;

    fn plain(theme: &Theme) -> Colors<'_> {
        Colors { theme, paint: None }
    }

    /// An arena whose first pools are in these states.
    fn tile(profile: &Profile, cells: &[(PoolState, u16, u32)]) -> Tile {
        let base = Addr(0x7e00_0000_0000);
        let pools = profile.max_pools_in_arena();
        let arena = ArenaFacts {
            id: ArenaId { index: 0, ordinal: 0 },
            base,
            first_pool: base,
            pool_address: base,
            nfreepools: pools,
            ntotalpools: pools,
        };
        let never = PoolCell { state: PoolState::NeverCarved, class: None, used: 0 };
        let mut tile = Tile { arena, cells: vec![never; pools as usize] };
        for (cell, (state, class, used)) in tile.cells.iter_mut().zip(cells) {
            *cell = PoolCell { state: *state, class: Some(SizeClass(*class)), used: *used };
        }
        tile
    }

    #[test]
    fn states_look_different() {
        // Pool 0 full (31 blocks of 512), pool 1 used, pool 2 emptied, pool 3 never carved.
        let profile = Profile::default();
        let cells = [(PoolState::Full, 31, 31), (PoolState::Used, 0, 1), (PoolState::Empty, 1, 0)];
        let tile = tile(&profile, &cells);
        let theme = Theme::new(true, 32);
        let grid = CellGrid { x: 0, y: 0, columns: 8, count: 64, cell_w: 20, cell_h: 20 };
        let image = arena(&profile, &tile, &grid, (160, 160), plain(&theme));
        let at = |pool: usize, x: usize, y: usize| image.pixels[y * 160 + pool * 20 + x];
        assert_eq!(at(0, 10, 3), theme.class(31), "full to the top");
        assert_eq!(at(1, 10, 18), theme.class(0), "one block at the bottom");
        assert_eq!(at(1, 10, 8), theme.tint(theme.class(0)));
        assert_eq!(at(2, 1, 10), theme.line, "hollow");
        assert_eq!(at(2, 10, 10), theme.ground);
        assert_eq!(at(3, 1, 1), theme.dot, "dotted");
    }

    #[test]
    fn a_big_heap_is_one_image() {
        let profile = Profile::default();
        let tiles = vec![tile(&profile, &[(PoolState::Full, 31, 31); 64]); 3];
        let grid = TileGrid::fit(3, 64, 800, 600, 1.0);
        let theme = Theme::new(false, 32);
        let image = super::heap(&profile, (0, &tiles), &grid, 0, (800, 600), plain(&theme));
        assert_eq!(image.size, [800, 600]);
        assert!(image.pixels.contains(&theme.class(31)));
        // Tiles that are not there yet leave their place empty.
        let late = super::heap(&profile, (3, &[]), &grid, 0, (800, 600), plain(&theme));
        assert!(!late.pixels.contains(&theme.class(31)));
    }
}
