//! Whose the blocks are that are no objects: what objects keep elsewhere, what C code keeps, and what nobody refers to.

use super::edges::Edges;
use super::nodes::{NONE, Node};
use super::outside::{Outside, Place};

/// Whose a block is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// It is an object of Python itself, or kept for the next one.
    Itself,
    /// An object's.
    Object(Node),
    /// C code's: something outside all blocks refers to it, by place in [`Outside::places`].
    Outside(u32),
    /// Nothing that was copied refers to it: it is lost, or whoever has it hides the address.
    Nowhere,
}

/// Whose each block is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owners {
    /// By block: an object's number; from `blocks` on a place outside; or none.
    of: Vec<Node>,
    blocks: u32,
    /// Where references from outside stand.
    pub outside: Outside,
}

/// A reference by no rule of the type ranks behind all that are.
const BY_ACCIDENT: u32 = 1 << 31;

impl Owners {
    /// Follows references from objects, then from outside, until nothing is added.
    pub fn find(edges: &Edges<'_>) -> Self {
        let nodes = edges.nodes();
        let mut outside = Outside::of(edges.memory, nodes);
        outside.find_frames(edges);
        let blocks = nodes.count();
        let mut owners = Self { of: vec![NONE; blocks as usize], blocks, outside };
        owners.of_objects(edges);
        owners.of_outside(edges);
        owners
    }

    fn of_objects(&mut self, edges: &Edges<'_>) {
        let nodes = edges.nodes();
        let mut ranks = vec![u32::MAX; self.of.len()];
        let mut frontier = Vec::new();
        for node in nodes.used() {
            let Some(object) = nodes.live_object(node) else { continue };
            let shape = &edges.shapes[object.of as usize];
            let start = nodes.place(node).0 + u64::from(object.offset);
            edges.from(node, |edge| {
                if nodes.object(edge.to).is_some() {
                    return;
                }
                let offset = edge.at.wrapping_sub(start);
                let distance = (offset.cast_signed().unsigned_abs() as u32).min(BY_ACCIDENT - 1);
                let rank = if shape.is_own_buffer(edges.memory, start, offset) {
                    distance
                } else {
                    BY_ACCIDENT | distance
                };
                let known = &mut ranks[edge.to as usize];
                if *known == u32::MAX {
                    frontier.push(edge.to);
                }
                if rank < *known {
                    *known = rank;
                    self.of[edge.to as usize] = node;
                }
            });
        }
        drop(ranks);
        self.spread(edges, frontier);
    }

    fn of_outside(&mut self, edges: &Edges<'_>) {
        let mut frontier = Vec::new();
        // What a library has in a variable is its own before it is whoever's has it on a stack.
        let Self { of, blocks, outside } = self;
        let is_named = |place: u32| matches!(outside.places[place as usize], Place::Variables(_));
        for named in [true, false] {
            outside.follow(
                edges,
                |place| is_named(place) == named,
                |place, node| {
                    let owner = &mut of[node as usize];
                    if *owner == NONE && edges.nodes().object(node).is_none() {
                        *owner = *blocks + place;
                        frontier.push(node);
                    }
                },
            );
        }
        self.spread(edges, frontier);
    }

    /// What blocks refer to that are somebody's is that one's too.
    fn spread(&mut self, edges: &Edges<'_>, mut frontier: Vec<Node>) {
        let nodes = edges.nodes();
        let mut next = 0;
        while let Some(&node) = frontier.get(next) {
            next += 1;
            let owner = self.of[node as usize];
            let flat = type_of(edges, owner).is_some_and(|of| edges.shapes[of as usize].is_flat());
            if flat {
                continue;
            }
            edges.from(node, |edge| {
                let of = &mut self.of[edge.to as usize];
                if *of == NONE && nodes.object(edge.to).is_none() {
                    *of = owner;
                    frontier.push(edge.to);
                }
            });
        }
    }

    /// Whose a block in use is.
    pub fn of(&self, edges: &Edges<'_>, node: Node) -> Owner {
        if edges.nodes().object(node).is_some() {
            return Owner::Itself;
        }
        match self.of[node as usize] {
            NONE => Owner::Nowhere,
            owner if owner < self.blocks => Owner::Object(owner),
            place => Owner::Outside(place - self.blocks),
        }
    }
}

/// The type of what is in a block, where that number is one's.
fn type_of(edges: &Edges<'_>, node: Node) -> Option<u32> {
    let nodes = edges.nodes();
    (node < nodes.count()).then(|| nodes.object(node)).flatten().map(|object| object.of)
}
