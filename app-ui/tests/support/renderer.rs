//! Paints what egui made of a frame, on the processor: the same pixels on every machine, without a graphics card.
//!
//! It does what egui's OpenGL painter does: premultiplied colors are multiplied and blended as they are stored, without
//! linear light, and a pixel belongs to the triangle in which its centre lies, by the top-left rule.

#![expect(clippy::cast_possible_wrap, reason = "pixels of a screen are counted, far below 2^31")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;

use egui::epaint::{ClippedPrimitive, ImageData, ImageDelta, Mesh, Primitive, Vertex};
use egui::{Color32, Pos2, TextureFilter, TextureId, TexturesDelta};
use egui_kittest::TestRenderer;

use super::picture::Picture;

/// Parts of a pixel in which corners are told.
const SUBPIXELS: f32 = 256.0;

/// One texture, its texels premultiplied.
struct Texture {
    size: [usize; 2],
    texels: Vec<Color32>,
    smooth: bool,
}

impl Texture {
    /// Replaces all of it or a part.
    fn update(&mut self, delta: &ImageDelta) {
        let ImageData::Color(image) = &delta.image;
        self.smooth = delta.options.magnification == TextureFilter::Linear;
        let Some([left, top]) = delta.pos else {
            (self.size, self.texels) = (image.size, image.pixels.clone());
            return;
        };
        for (row, texels) in image.pixels.chunks(image.size[0]).enumerate() {
            let at = (top + row) * self.size[0] + left;
            self.texels[at..at + texels.len()].copy_from_slice(texels);
        }
    }

    fn texel(&self, x: i64, y: i64) -> [f32; 4] {
        let x = x.clamp(0, self.size[0] as i64 - 1) as usize;
        let y = y.clamp(0, self.size[1] as i64 - 1) as usize;
        self.texels[y * self.size[0] + x].to_array().map(f32::from)
    }

    /// The color at a place told in shares of width and height, 0 to 255.
    fn sample(&self, at: Pos2) -> [f32; 4] {
        let (x, y) = (at.x * self.size[0] as f32, at.y * self.size[1] as f32);
        if !self.smooth {
            return self.texel(x.floor() as i64, y.floor() as i64);
        }
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (right_share, below_share) = (x - left, y - top);
        let (left, top) = (left as i64, top as i64);
        let above = mixed(self.texel(left, top), self.texel(left + 1, top), right_share);
        let below = mixed(self.texel(left, top + 1), self.texel(left + 1, top + 1), right_share);
        mixed(above, below, below_share)
    }
}

fn mixed(a: [f32; 4], b: [f32; 4], share: f32) -> [f32; 4] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

#[derive(Default)]
struct Store {
    textures: BTreeMap<TextureId, Texture>,
    /// Needed for the frame that said so, and no longer.
    free: Vec<TextureId>,
}

/// The textures of a window, which its test keeps a handle of.
#[derive(Clone, Default)]
pub(crate) struct Textures(Rc<RefCell<Store>>);

impl TestRenderer for Textures {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        let store = &mut *self.0.borrow_mut();
        for id in mem::take(&mut store.free) {
            store.textures.remove(&id);
        }
        // Each is about one texture, so that their order is all one.
        delta.set.drain().for_each(|(id, deltas)| {
            let new = || Texture { size: [0, 0], texels: Vec::new(), smooth: false };
            let texture = store.textures.entry(id).or_insert_with(new);
            deltas.iter().for_each(|delta| texture.update(delta));
        });
        store.free.extend(delta.free.drain());
    }
}

impl Textures {
    /// Paints a frame of `size` points, which are as many pixels.
    pub(crate) fn paint(&self, ctx: &egui::Context, output: &egui::FullOutput, size: [usize; 2]) -> Picture {
        let mut target = Target { size, pixels: vec![[0; 3]; size[0] * size[1]] };
        let store = self.0.borrow();
        assert!((output.pixels_per_point - 1.0).abs() < f32::EPSILON, "a pixel is a point");
        for ClippedPrimitive { clip_rect, primitive } in ctx.tessellate(output.shapes.clone(), 1.0) {
            let Primitive::Mesh(mesh) = primitive else { panic!("only meshes can be painted here") };
            let texture = &store.textures[&mesh.texture_id];
            let edge = |v: f32, most: usize| (v.round().max(0.0) as usize).min(most) as i64;
            let clip = Clip {
                left: edge(clip_rect.min.x, size[0]),
                top: edge(clip_rect.min.y, size[1]),
                right: edge(clip_rect.max.x, size[0]),
                bottom: edge(clip_rect.max.y, size[1]),
            };
            target.mesh(&mesh, texture, clip);
        }
        Picture { size, pixels: target.pixels }
    }
}

/// The pixels that may change.
#[derive(Clone, Copy)]
struct Clip {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

/// The picture being painted.
struct Target {
    size: [usize; 2],
    pixels: Vec<[u8; 3]>,
}

/// A corner in parts of a pixel.
type Corner = (i64, i64);

/// Twice the area that three corners span, positive where they go round clockwise on the screen.
fn area(a: Corner, b: Corner, c: Corner) -> i64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

/// Whether what lies exactly on an edge of a clockwise triangle belongs to it: on its top and on its left.
fn owns_edge(from: Corner, to: Corner) -> bool {
    to.1 < from.1 || (to.1 == from.1 && to.0 > from.0)
}

impl Target {
    fn mesh(&mut self, mesh: &Mesh, texture: &Texture, clip: Clip) {
        for corners in mesh.indices.chunks_exact(3) {
            self.triangle(std::array::from_fn(|i| &mesh.vertices[corners[i] as usize]), texture, clip);
        }
    }

    fn triangle(&mut self, mut v: [&Vertex; 3], texture: &Texture, clip: Clip) {
        let corner =
            |v: &Vertex| ((v.pos.x * SUBPIXELS).round() as i64, (v.pos.y * SUBPIXELS).round() as i64);
        let mut c = v.map(corner);
        let mut whole = area(c[0], c[1], c[2]);
        if whole < 0 {
            v.swap(1, 2);
            c.swap(1, 2);
            whole = -whole;
        }
        if whole == 0 {
            return;
        }
        let sub = SUBPIXELS as i64;
        let least = |pick: fn(Corner) -> i64| c.iter().map(|c| pick(*c)).min().unwrap_or(0).div_euclid(sub);
        let most =
            |pick: fn(Corner) -> i64| c.iter().map(|c| pick(*c)).max().unwrap_or(0).div_euclid(sub) + 1;
        let (left, right) = (least(|c| c.0).max(clip.left), most(|c| c.0).min(clip.right));
        let (top, bottom) = (least(|c| c.1).max(clip.top), most(|c| c.1).min(clip.bottom));
        let margin: [i64; 3] = std::array::from_fn(|i| i64::from(!owns_edge(c[(i + 1) % 3], c[(i + 2) % 3])));
        let plain = (v[0].uv == v[1].uv && v[1].uv == v[2].uv).then(|| texture.sample(v[0].uv));
        let colors = v.map(|v| v.color.to_array().map(f32::from));
        for y in top..bottom {
            for x in left..right {
                let at = (x * sub + sub / 2, y * sub + sub / 2);
                // Opposite each corner; together they are the whole.
                let parts: [i64; 3] = std::array::from_fn(|i| area(c[(i + 1) % 3], c[(i + 2) % 3], at));
                if (0..3).any(|i| parts[i] < margin[i]) {
                    continue;
                }
                let share = parts.map(|part| (part as f64 / whole as f64) as f32);
                let between = |of: [f32; 3]| of[0] * share[0] + of[1] * share[1] + of[2] * share[2];
                let texel = plain.unwrap_or_else(|| {
                    texture.sample(Pos2::new(between(v.map(|v| v.uv.x)), between(v.map(|v| v.uv.y))))
                });
                let color: [f32; 4] =
                    std::array::from_fn(|i| between(colors.map(|color| color[i])) * texel[i] / 255.0);
                let pixel = &mut self.pixels[y as usize * self.size[0] + x as usize];
                *pixel = std::array::from_fn(|i| {
                    let below = f32::from(pixel[i]) * (1.0 - color[3] / 255.0);
                    (color[i] + below).round().clamp(0.0, 255.0) as u8
                });
            }
        }
    }
}
