//! References between blocks: words of one that lead into another.

use hashbrown::HashMap;

use super::layout::Version;
use super::memory::{Memory, word_of};
use super::nodes::{Node, Nodes};
use super::objects;
use super::picture::Picture;
use super::shape::{MANAGED, MANAGED_SECOND, Shape, Sort};

/// A reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Where the word lies.
    pub at: u64,
    /// The block that it leads into.
    pub to: Node,
}

/// Follows references.
pub struct Edges<'a> {
    pub(super) memory: &'a Memory,
    pub(super) nodes: Nodes<'a>,
    pub(super) shapes: Vec<Shape>,
    version: Version,
    /// Where the items of a table begin, and behind the last: what else its block has room for is left over from whoever had the memory
    /// before.
    bounds: HashMap<Node, (u64, u64)>,
}

impl<'a> Edges<'a> {
    /// Of a picture and the copy that it was made of.
    pub fn of(memory: &'a Memory, picture: &'a Picture) -> Self {
        let version = picture.version;
        let shapes = picture.types.iter().map(|of| Shape::of(memory, version, of)).collect();
        let mut edges = Self { memory, nodes: Nodes::of(picture), shapes, version, bounds: HashMap::new() };
        let (bounds, dead) = edges.tables();
        edges.bounds = bounds;
        for table in dead {
            edges.nodes.is_table(table);
        }
        edges
    }

    /// Where the items of tables are that have more than these, and the tables that look like objects that were given up.
    fn tables(&self) -> (HashMap<Node, (u64, u64)>, Vec<Node>) {
        let nodes = &self.nodes;
        let (mut bounds, mut dead) = (HashMap::new(), Vec::new());
        for (first, end) in nodes.used().flat_map(|node| self.tables_of(node)).flatten() {
            let Some(table) = nodes.at(first) else { continue };
            match nodes.object(table) {
                Some(object) if object.dead => dead.push(table),
                Some(_) => continue,
                None => {}
            }
            if self.has_left_over(table, first, end) == Some(true) {
                // Where two objects say that it is theirs, nothing that either has is left out.
                let known = bounds.entry(table).or_insert((first, end));
                *known = (known.0.min(first), known.1.max(end));
            }
        }
        (bounds, dead)
    }

    /// Whether a block has words before or behind a table's items that lead anywhere; most have none.
    fn has_left_over(&self, table: Node, first: u64, end: u64) -> Option<bool> {
        let (addr, room) = self.nodes.place(table);
        let before = self.memory.slice(addr, first - addr)?;
        let behind = self.memory.slice(end, (addr + room).checked_sub(end)?)?;
        let mut words = before.chunks_exact(8).chain(behind.chunks_exact(8));
        Some(words.any(|word| self.nodes.at(word_of(word, 0)).is_some()))
    }

    /// Where an object's items begin, and behind the last of them; of those that have two such tables both.
    fn tables_of(&self, node: Node) -> [Option<(u64, u64)>; 2] {
        let Some(object) = self.nodes.live_object(node) else { return [None, None] };
        let shape = &self.shapes[object.of as usize];
        let start = self.nodes.place(node).0 + u64::from(object.offset);
        let word = |offset: u64| self.memory.word(start.wrapping_add(offset)).filter(|word| *word != 0);
        let items =
            |first: u64, bytes: u64, count: u64| Some((first, first.checked_add(bytes.checked_mul(count)?)?));
        let entries = |keys: u64| objects::entries(self.memory, self.version, keys);
        let keys = |keys: u64| {
            let (first, bytes, count) = entries(keys)?;
            items(first, bytes, count)
        };
        let values = |first: u64, keys: u64| {
            let prefix = if self.version.minor < 13 { 0 } else { 8 };
            items(first.checked_add(prefix)?, 8, entries(keys)?.2)
        };
        match shape.sort {
            Sort::List => [word(24).and_then(|first| items(first, 8, word(16).unwrap_or(0))), None],
            Sort::Dict => {
                let table = word(32);
                [table.and_then(keys), word(40).and_then(|first| values(first, table?))]
            }
            Sort::Set => {
                let count = word(32).unwrap_or(0).saturating_add(1);
                [word(40).and_then(|first| items(first, 16, count)), None]
            }
            Sort::Type => [word(self.version.ht_cached_keys()).and_then(keys), None],
            _ if shape.managed => {
                [self.values_of(start).and_then(|first| values(first, shape.cached_keys)), None]
            }
            _ => [None, None],
        }
    }

    /// Where an object that begins at an address has the values of its attributes, if in a table of its own.
    pub(super) fn values_of(&self, start: u64) -> Option<u64> {
        let word = |offset: u64| self.memory.word(start.wrapping_add(offset));
        match self.version.minor {
            11 => word(MANAGED_SECOND),
            12 => word(MANAGED).map(|word| word.wrapping_add(word & 1)),
            _ => None,
        }
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
            let (first, end) = self.bounds.get(&node).map_or((0, room), |(first, end)| {
                (first.saturating_sub(addr).min(room), end.saturating_sub(addr).min(room))
            });
            return self.words(addr, bytes, first, end, &mut each);
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
        for (word, at) in words.chunks_exact(8).zip((addr + from..).step_by(8)) {
            if let Some(to) = self.to(word_of(word, 0)) {
                each(Edge { at, to });
            }
        }
    }

    /// The block that a word leads into.
    #[inline]
    pub(super) fn to(&self, word: u64) -> Option<Node> {
        // 3.12 keeps where attributes are less one.
        let odd = self.version.minor == 12 && word & 1 == 1;
        self.nodes.at(if odd { word.wrapping_add(1) } else { word })
    }
}

impl std::fmt::Debug for Edges<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edges").field("blocks", &self.nodes.count()).finish_non_exhaustive()
    }
}
