//! References between blocks: words of one that lead into another.

use super::layout::Version;
use super::memory::{Memory, word_of};
use super::nodes::{Node, Nodes};
use super::picture::Picture;
use super::shape::Shape;

/// A reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Where the word lies.
    pub at: u64,
    /// The word, without what a version marks it with.
    pub value: u64,
    /// The block that it leads into.
    pub to: Node,
}

/// Follows references.
pub struct Edges<'a> {
    pub(super) memory: &'a Memory,
    pub(super) nodes: Nodes<'a>,
    pub(super) shapes: Vec<Shape>,
    version: Version,
}

impl<'a> Edges<'a> {
    /// Of a picture and the copy that it was made of.
    pub fn of(memory: &'a Memory, picture: &'a Picture) -> Self {
        let version = picture.version;
        let shapes = picture.types.iter().map(|of| Shape::of(memory, version, of)).collect();
        Self { memory, nodes: Nodes::of(picture), shapes, version }
    }

    /// The blocks.
    pub fn nodes(&self) -> &Nodes<'a> {
        &self.nodes
    }

    /// The layout.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Where the object of a block begins, and its shape.
    pub(super) fn object(&self, node: Node) -> Option<(u64, &Shape)> {
        let object = self.nodes.object(node)?;
        let (addr, _) = self.nodes.place(node);
        Some((addr + u64::from(object.offset), &self.shapes[object.of as usize]))
    }

    /// The references that a block in use holds, in the order of their words. Weak ones are none, and neither are those of objects that Python
    /// gave up, and to an object's type.
    pub fn from(&self, node: Node, mut each: impl FnMut(Edge)) {
        let (addr, room) = self.nodes.place(node);
        let Some(bytes) = self.memory.slice(addr, room) else { return };
        let Some(object) = self.nodes.object(node) else {
            return self.words(addr, bytes, 0, room, &mut each);
        };
        if object.dead {
            return;
        }
        let shape = &self.shapes[object.of as usize];
        let offset = u64::from(object.offset);
        let start = addr + offset;
        let end = offset.saturating_add(shape.end(self.memory, self.version, start, room)).min(room);
        // Words before the object, without those of the garbage collector, then those behind count and type.
        let before = shape.before - if shape.gc { 16 } else { 0 };
        let first = offset.saturating_sub(shape.before);
        let mut strong = |edge: Edge| {
            if shape.weak.is_empty() || !shape.weak.contains(&edge.at.wrapping_sub(start)) {
                each(edge);
            }
        };
        self.words(addr, bytes, first, first + before, &mut strong);
        self.words(addr, bytes, offset + 16, end, &mut strong);
    }

    /// The type that an object in a block holds, where it is in a block too.
    pub fn type_of(&self, node: Node) -> Option<Node> {
        let object = self.nodes.live_object(node)?;
        self.nodes.at(self.nodes.picture().types[object.of as usize].addr)
    }

    /// References of any memory that was copied in one piece.
    pub(super) fn within(&self, lo: u64, hi: u64, mut each: impl FnMut(Edge)) {
        let lo = lo.next_multiple_of(8);
        if let Some(bytes) = hi.checked_sub(lo).and_then(|len| self.memory.slice(lo, len)) {
            self.words(lo, bytes, 0, bytes.len() as u64, &mut each);
        }
    }

    #[inline]
    fn words(&self, addr: u64, bytes: &[u8], from: u64, until: u64, each: &mut impl FnMut(Edge)) {
        let Some(words) = bytes.get(from as usize..until.max(from) as usize) else { return };
        let odd = self.version.minor == 12;
        for (word, at) in words.chunks_exact(8).zip((addr + from..).step_by(8)) {
            let mut value = word_of(word, 0);
            // 3.12 keeps where attributes are less one.
            if odd && value & 1 == 1 {
                value = value.wrapping_add(1);
            }
            if let Some(to) = self.nodes.at(value) {
                each(Edge { at, value, to });
            }
        }
    }
}

impl std::fmt::Debug for Edges<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edges").field("blocks", &self.nodes.count()).finish_non_exhaustive()
    }
}
