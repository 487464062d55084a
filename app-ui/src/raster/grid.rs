//! Where arenas, pools and blocks lie on the map, in pixels, and what lies at a pixel.

#![expect(clippy::cast_possible_wrap, reason = "cells and pixels of a screen are counted, far below 2^31")]

use super::PixelRect;

/// Equal cells in rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CellGrid {
    /// Left edge of the first cell.
    pub(crate) x: i32,
    /// Top edge of the first cell.
    pub(crate) y: i32,
    /// Cells in a row.
    pub(crate) columns: u32,
    /// Cells.
    pub(crate) count: u32,
    /// Width of a cell, its gap included.
    pub(crate) cell_w: i32,
    /// Height of a cell, its gap included.
    pub(crate) cell_h: i32,
}

impl CellGrid {
    /// Rows.
    pub(crate) fn rows(&self) -> u32 {
        self.count.div_ceil(self.columns.max(1))
    }

    /// Height of all rows.
    pub(crate) fn height(&self) -> i32 {
        self.rows() as i32 * self.cell_h
    }

    /// A cell's rectangle.
    pub(crate) fn cell(&self, index: u32) -> PixelRect {
        PixelRect {
            x: self.x + (index % self.columns) as i32 * self.cell_w,
            y: self.y + (index / self.columns) as i32 * self.cell_h,
            w: self.cell_w,
            h: self.cell_h,
        }
    }

    /// The cell at a pixel.
    pub(crate) fn hit(&self, x: i32, y: i32) -> Option<u32> {
        let (dx, dy) = (x - self.x, y - self.y);
        if dx < 0 || dy < 0 || dx >= self.columns as i32 * self.cell_w {
            return None;
        }
        let index = (dy / self.cell_h) as u32 * self.columns + (dx / self.cell_w) as u32;
        (index < self.count).then_some(index)
    }

    /// The grid moved by some pixels.
    pub(crate) fn moved(self, dx: i32, dy: i32) -> Self {
        Self { x: self.x + dx, y: self.y + dy, ..self }
    }

    /// `count` cells as large as they fit in `w` by `h`, in columns the caller chose.
    pub(crate) fn fixed(columns: u32, count: u32, w: i32, h: i32, largest: (i32, i32)) -> Self {
        let columns = columns.clamp(1, count.max(1));
        let rows = count.div_ceil(columns).max(1) as i32;
        Self {
            x: 0,
            y: 0,
            columns,
            count,
            cell_w: (w / columns as i32).clamp(1, largest.0),
            cell_h: (h / rows).clamp(1, largest.1),
        }
    }

    /// `count` cells as large as they fit in `w` by `h` without getting smaller than `smallest`, about
    /// one and a half times as wide as high. Rows may then run over the height.
    pub(crate) fn flowing(count: u32, w: i32, h: i32, smallest: (i32, i32), largest: (i32, i32)) -> Self {
        let mut cell_w = largest.0.max(smallest.0);
        loop {
            let columns = (w / cell_w).max(1) as u32;
            let cell_h = (cell_w * 2 / 3).clamp(smallest.1, largest.1);
            let rows = count.div_ceil(columns) as i32;
            if rows * cell_h <= h || cell_w <= smallest.0 {
                // Spread what is left of the width.
                let columns = columns.min(count.max(1));
                let cell_w = (w / columns as i32).min(largest.0).max(cell_w);
                return Self { x: 0, y: 0, columns, count, cell_w, cell_h };
            }
            cell_w -= 1;
        }
    }
}

/// Pools in a row of an arena's picture: the wider half of the nearest square.
pub(crate) fn pool_columns(pools: u32) -> u32 {
    let mut columns = 1;
    while columns * columns < pools {
        columns *= 2;
    }
    columns
}

/// Arenas as tiles of pools.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TileGrid {
    /// Pools in a row of a tile.
    pub(crate) pool_columns: u32,
    /// Pools of a tile.
    pub(crate) pools: u32,
    /// Side of a pool's cell.
    pub(crate) cell: i32,
    /// Room around the cells of a tile.
    pub(crate) padding: i32,
    /// Height of a tile's label, 0 when there is no room for any.
    pub(crate) label: i32,
    /// Space between tiles.
    pub(crate) gap: i32,
    /// Room around all of them, for the outlines of those at the edges.
    pub(crate) edge: i32,
    /// Tiles in a row.
    pub(crate) per_row: u32,
    /// Tiles.
    pub(crate) count: u32,
}

impl TileGrid {
    /// Tiles as large as they all fit in `w` by `h`; small ones that run over the height where they do not.
    /// `unit` is the number of pixels in a point.
    pub(crate) fn fit(count: u32, pools: u32, w: i32, h: i32, unit: f32) -> Self {
        let points = |p: f32| ((p * unit).round() as i32).max(1);
        let columns = pool_columns(pools);
        let smallest = if columns > 16 { 1 } else { points(2.5) };
        // Arenas of a few pools, as lessons have them, are not drawn smaller for it.
        let largest = points(48.0).max(points(384.0) / columns as i32);
        let edge = points(5.0);
        let w = w - 2 * edge;
        let mut cell = largest.min((w - points(24.0)) / columns as i32).max(smallest);
        loop {
            let mut grid = Self {
                pool_columns: columns,
                pools,
                cell,
                padding: if cell >= points(6.0) { points(5.0) } else { points(1.0) },
                label: 0,
                gap: if cell >= points(6.0) { points(12.0) } else { points(4.0) },
                edge,
                per_row: 1,
                count,
            };
            if grid.tile_width() >= points(74.0) {
                grid.label = points(20.0);
            }
            grid.per_row = ((w + grid.gap) / (grid.tile_width() + grid.gap)).max(1) as u32;
            if grid.height() <= h || cell <= smallest {
                return grid;
            }
            cell -= 1;
        }
    }

    /// Width of a tile.
    pub(crate) fn tile_width(&self) -> i32 {
        self.pool_columns as i32 * self.cell + 2 * self.padding
    }

    /// Height of a tile, its label included.
    pub(crate) fn tile_height(&self) -> i32 {
        self.pools.div_ceil(self.pool_columns) as i32 * self.cell + 2 * self.padding + self.label
    }

    /// Height of all tiles.
    pub(crate) fn height(&self) -> i32 {
        self.count.div_ceil(self.per_row) as i32 * (self.tile_height() + self.gap) + 2 * self.edge
    }

    /// A tile without its label.
    pub(crate) fn tile(&self, index: u32) -> PixelRect {
        PixelRect {
            x: (index % self.per_row) as i32 * (self.tile_width() + self.gap) + self.edge,
            y: (index / self.per_row) as i32 * (self.tile_height() + self.gap) + self.label + self.edge,
            w: self.tile_width(),
            h: self.tile_height() - self.label,
        }
    }

    /// The cells of a tile.
    pub(crate) fn cells(&self, index: u32) -> CellGrid {
        let tile = self.tile(index);
        CellGrid {
            x: tile.x + self.padding,
            y: tile.y + self.padding,
            columns: self.pool_columns,
            count: self.pools,
            cell_w: self.cell,
            cell_h: self.cell,
        }
    }

    /// Tiles that have a pixel between two heights.
    pub(crate) fn between(&self, top: i32, bottom: i32) -> std::ops::Range<u32> {
        let row = self.tile_height() + self.gap;
        let row_at = |y: i32| ((y - self.edge).max(0) / row) as u32;
        let first = row_at(top) * self.per_row;
        let last = (row_at(bottom) + 1) * self.per_row;
        first.min(self.count)..last.min(self.count)
    }

    /// The tile at a pixel, and the pool if there is one.
    pub(crate) fn hit(&self, x: i32, y: i32) -> Option<(u32, Option<u32>)> {
        let (x, y) = (x - self.edge, y - self.edge);
        if x < 0 || y < 0 {
            return None;
        }
        let column = (x / (self.tile_width() + self.gap)) as u32;
        let row = (y / (self.tile_height() + self.gap)) as u32;
        let index = row * self.per_row + column;
        if column >= self.per_row || index >= self.count {
            return None;
        }
        let tile = self.tile(index);
        let whole = PixelRect { y: tile.y - self.label, h: tile.h + self.label, ..tile };
        let (x, y) = (x + self.edge, y + self.edge);
        whole.contains(x, y).then(|| (index, self.cells(index).hit(x, y)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares() {
        assert_eq!(pool_columns(64), 8);
        assert_eq!(pool_columns(128), 16);
        assert_eq!(pool_columns(256), 16);
        assert_eq!(pool_columns(1), 1);
    }

    #[test]
    fn what_is_drawn_is_what_is_hit() {
        for (count, pools) in [(1, 64), (3, 64), (40, 256), (2000, 64), (5, 128)] {
            let grid = TileGrid::fit(count, pools, 900, 600, 1.0);
            for tile in [0, count / 2, count - 1] {
                for pool in [0, pools / 3, pools - 1] {
                    let cell = grid.cells(tile).cell(pool);
                    assert_eq!(grid.hit(cell.x, cell.y), Some((tile, Some(pool))), "{count} {pools}");
                    assert!(grid.between(cell.y, cell.y + 1).contains(&tile));
                }
            }
            assert!(grid.per_row as i32 * (grid.tile_width() + grid.gap) <= 900 + grid.gap);
        }
    }

    #[test]
    fn few_arenas_fit_many_scroll() {
        assert!(TileGrid::fit(3, 64, 900, 600, 1.0).height() <= 600);
        assert!(TileGrid::fit(3, 64, 900, 600, 1.0).label > 0);
        assert!(TileGrid::fit(2000, 64, 900, 600, 1.0).height() > 600);
    }

    #[test]
    fn blocks_flow() {
        let few = CellGrid::flowing(31, 900, 500, (24, 18), (110, 60));
        assert!(few.height() <= 500 && few.cell_w > 60);
        let many = CellGrid::flowing(1021, 900, 500, (24, 18), (110, 60));
        assert!(many.columns as i32 * many.cell_w <= 900);
        let last = many.cell(1020);
        assert_eq!(many.hit(last.x, last.y), Some(1020));
        assert_eq!(many.hit(last.x + last.w, last.y + last.h), None);
    }
}
