//! The blocks of one pool: live solid, free hollow, never carved dotted, the tail hatched.

use egui::ColorImage;
use session::facts::{BlockState, PoolFacts};

use super::grid::CellGrid;
use super::{Canvas, Colors, PixelRect};
use crate::theme::mix;

/// What to draw of a pool.
pub(crate) struct BlockPicture<'a> {
    /// State of each block.
    pub(crate) states: &'a [BlockState],
    /// The pool, for its color.
    pub(crate) pool: &'a PoolFacts,
    /// Where each block lies.
    pub(crate) grid: CellGrid,
    /// Where the header lies.
    pub(crate) header: PixelRect,
    /// Where the bytes lie that no block covers; empty when there are none.
    pub(crate) tail: PixelRect,
}

/// Draws it, moved up by `scroll`.
pub(crate) fn blocks(
    picture: &BlockPicture<'_>,
    scroll: i32,
    size: (i32, i32),
    colors: Colors<'_>,
) -> ColorImage {
    let theme = colors.theme;
    let mut canvas = Canvas::new(size.0, size.1, theme.ground);
    let up = |r: PixelRect| PixelRect { y: r.y - scroll, ..r };
    canvas.fill(up(picture.header), theme.header);
    if picture.tail.w > 0 {
        canvas.hatch(up(picture.tail).shrink(1), 6, theme.lost);
    }
    for (index, state) in picture.states.iter().enumerate() {
        let cell = up(picture.grid.cell(index as u32));
        if cell.y >= size.1 || cell.y + cell.h <= 0 {
            continue;
        }
        let r = if cell.w.min(cell.h) >= 5 { cell.shrink(1) } else { cell };
        let color = colors.of_block(picture.pool, index);
        match state {
            BlockState::Live => canvas.fill(r, color),
            BlockState::Free(_) => canvas.frame(r, if r.h >= 14 { 2 } else { 1 }, color),
            // Neither handed out nor known to be free: fainter than a frame, and no dots.
            BlockState::Unknown => canvas.frame(r, 1, mix(theme.ground, color, 0.55)),
            BlockState::NeverCarved => canvas.dotted(r, if r.h >= 24 { 2 } else { 1 }, theme.dot),
        }
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use sim_core::report::PoolState;
    use sim_core::{Addr, ArenaId, SizeClass};

    use super::*;
    use crate::theme::Theme;

    #[test]
    fn each_state_has_its_own_fill() {
        let theme = Theme::new(true, 32);
        let states = [BlockState::Live, BlockState::Free(0), BlockState::NeverCarved];
        let pool = PoolFacts {
            arena: ArenaId { index: 0, ordinal: 0 },
            addr: Addr(0x7e00_0000_0000),
            index: 0,
            state: PoolState::Used,
            class: Some(SizeClass(3)),
            used: 1,
            capacity: 252,
            block_size: 64,
        };
        let picture = BlockPicture {
            states: &states,
            pool: &pool,
            grid: CellGrid { x: 0, y: 20, columns: 3, count: 3, cell_w: 20, cell_h: 20 },
            header: PixelRect { x: 0, y: 0, w: 60, h: 18 },
            tail: PixelRect::default(),
        };
        let image = blocks(&picture, 0, (60, 40), Colors { theme: &theme, paint: None });
        let at = |x: usize, y: usize| image.pixels[y * 60 + x];
        assert_eq!(at(5, 5), theme.header);
        assert_eq!(at(10, 30), theme.class(3));
        assert_eq!((at(21, 30), at(30, 30)), (theme.class(3), theme.ground));
        assert_eq!((at(41, 21), at(50, 30)), (theme.dot, theme.ground));
    }
}
