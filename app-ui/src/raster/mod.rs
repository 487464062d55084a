//! Pictures of the heap as pixels: pure functions from state and geometry to an image.
//!
//! One texel is one physical pixel, so a map of a thousand arenas costs one upload when the state
//! changes and one quad a frame, and lines stay sharp. Nothing here knows of an egui context.

mod blocks;
mod colors;
pub(crate) mod grid;
mod pools;

pub(crate) use blocks::{BlockPicture, blocks};
pub(crate) use colors::Colors;
pub(crate) use pools::{arena, heap};

use egui::{Color32, ColorImage};

/// A rectangle of pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PixelRect {
    /// Left edge.
    pub(crate) x: i32,
    /// Top edge.
    pub(crate) y: i32,
    /// Width.
    pub(crate) w: i32,
    /// Height.
    pub(crate) h: i32,
}

impl PixelRect {
    /// The rectangle with `by` pixels less on each side.
    pub(crate) fn shrink(self, by: i32) -> Self {
        Self { x: self.x + by, y: self.y + by, w: self.w - 2 * by, h: self.h - 2 * by }
    }

    /// Whether a pixel lies in it.
    pub(crate) fn contains(self, x: i32, y: i32) -> bool {
        (self.x..self.x + self.w).contains(&x) && (self.y..self.y + self.h).contains(&y)
    }
}

/// An image being drawn. Everything is cut at its edges.
pub(crate) struct Canvas {
    width: i32,
    height: i32,
    pixels: Vec<Color32>,
}

impl Canvas {
    /// A canvas of one color.
    pub(crate) fn new(width: i32, height: i32, ground: Color32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, pixels: vec![ground; (width * height) as usize] }
    }

    /// The image.
    pub(crate) fn finish(self) -> ColorImage {
        ColorImage::new([self.width as usize, self.height as usize], self.pixels)
    }

    /// A solid rectangle.
    pub(crate) fn fill(&mut self, r: PixelRect, color: Color32) {
        let (x0, x1) = (r.x.clamp(0, self.width), (r.x + r.w).clamp(0, self.width));
        if x0 >= x1 {
            return;
        }
        for y in r.y.max(0)..(r.y + r.h).min(self.height) {
            let row = (y * self.width) as usize;
            self.pixels[row + x0 as usize..row + x1 as usize].fill(color);
        }
    }

    /// A hollow rectangle.
    pub(crate) fn frame(&mut self, r: PixelRect, thick: i32, color: Color32) {
        let thick = thick.min(r.w / 2).min(r.h / 2).max(1);
        self.fill(PixelRect { h: thick, ..r }, color);
        self.fill(PixelRect { y: r.y + r.h - thick, h: thick, ..r }, color);
        self.fill(PixelRect { w: thick, ..r }, color);
        self.fill(PixelRect { x: r.x + r.w - thick, w: thick, ..r }, color);
    }

    /// A rectangle whose outline is dots.
    pub(crate) fn dotted(&mut self, r: PixelRect, dot: i32, color: Color32) {
        let pitch = dot * 3;
        let mut at = |x, y| self.fill(PixelRect { x, y, w: dot, h: dot }, color);
        for x in (r.x..=r.x + r.w - dot).step_by(pitch as usize) {
            at(x, r.y);
            at(x, r.y + r.h - dot);
        }
        for y in (r.y..=r.y + r.h - dot).step_by(pitch as usize) {
            at(r.x, y);
            at(r.x + r.w - dot, y);
        }
    }

    /// Diagonal lines over a rectangle.
    pub(crate) fn hatch(&mut self, r: PixelRect, pitch: i32, color: Color32) {
        for y in r.y.max(0)..(r.y + r.h).min(self.height) {
            for x in r.x.max(0)..(r.x + r.w).min(self.width) {
                if (x + y).rem_euclid(pitch) < pitch / 3 + 1 {
                    self.pixels[(y * self.width + x) as usize] = color;
                }
            }
        }
    }

    #[cfg(test)]
    fn at(&self, x: i32, y: i32) -> Color32 {
        self.pixels[(y * self.width + x) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stay_inside() {
        let mut canvas = Canvas::new(10, 10, Color32::BLACK);
        canvas.fill(PixelRect { x: -5, y: -5, w: 8, h: 8 }, Color32::RED);
        canvas.frame(PixelRect { x: 8, y: 8, w: 9, h: 9 }, 1, Color32::RED);
        canvas.dotted(PixelRect { x: 6, y: -2, w: 30, h: 30 }, 1, Color32::RED);
        canvas.hatch(PixelRect { x: -3, y: 7, w: 5, h: 30 }, 4, Color32::RED);
        canvas.fill(PixelRect { x: 50, y: 50, w: 8, h: 8 }, Color32::RED);
        assert_eq!(canvas.at(2, 2), Color32::RED);
        assert_eq!(canvas.at(4, 4), Color32::BLACK);
        assert_eq!(canvas.at(8, 9), Color32::RED);
        assert_eq!(canvas.finish().size, [10, 10]);
    }
}
