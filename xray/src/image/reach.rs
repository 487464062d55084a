//! Who keeps a block: the way to it from a module, a stack or C code.
//!
//! Breadth-first from one kind of root after the other, so that the first kind that leads to a block names it, by its shortest way.

use super::edges::{Edge, Edges};
use super::groups::{Group, Groups, Step};
use super::nodes::{NONE, Node};
use super::objects;
use super::outside::{Outside, Place};
use super::shape::Sort;
use super::steps::{Contents, Naming, Steps};

/// Modules that lead to everything: they come after the others.
const LAST: [&str; 3] = ["sys", "gc", "builtins"];
/// Roots that are no modules.
pub const STACK: &str = "(stack)";
/// What a thread computes with.
pub const REGISTER: &str = "(register)";
/// Memory that is neither stack nor variable.
pub const OTHER: &str = "(memory outside all blocks)";
/// What only C code's lost memory leads to.
pub const LOST: &str = "(memory that nothing refers to)";
/// Objects that nothing leads to.
pub const UNREACHED: &str = "(nothing refers to it)";
/// Objects that are kept for the next of their type.
pub const FREE_LISTS: &str = "(Python's free lists)";

/// The way to each block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The block before.
    parents: Vec<Node>,
    /// The group of the way.
    groups_of: Vec<Group>,
    /// The groups.
    pub groups: Groups,
}

/// No group.
const UNSEEN: Group = Group::MAX;

struct Walk<'a, 'b> {
    edges: &'b Edges<'a>,
    steps: Steps<'a, 'b>,
    reach: Reach,
    queue: Vec<Node>,
    next: usize,
    /// Memory of objects' own of which nobody knows the form: what it leads to may be an accident, so all else goes first.
    later: Vec<Node>,
    is_later: bool,
}

impl Reach {
    /// Of all blocks in use.
    pub fn find(edges: &Edges<'_>, outside: &Outside, contents: Contents) -> Self {
        let count = edges.nodes().count() as usize;
        let reach =
            Self { parents: vec![NONE; count], groups_of: vec![UNSEEN; count], groups: Groups::default() };
        let steps = Steps::new(edges, contents);
        let mut walk =
            Walk { edges, steps, reach, queue: Vec::new(), next: 0, later: Vec::new(), is_later: false };
        walk.follow_modules();
        walk.follow_frames(outside);
        walk.follow_later();
        walk.follow_outside(outside, |place| matches!(place, Place::Stack | Place::Register));
        walk.follow_outside(outside, |place| matches!(place, Place::Variables(_)));
        walk.follow_outside(outside, |place| matches!(place, Place::Other));
        walk.follow_types();
        walk.follow_lost();
        walk.name_the_rest();
        walk.reach
    }

    /// The group of a block; none of a free one.
    pub fn group(&self, node: Node) -> Option<Group> {
        Some(self.groups_of[node as usize]).filter(|group| *group != UNSEEN)
    }

    /// The block before a block on its way; none of one that a root leads to.
    pub fn parent(&self, node: Node) -> Option<Node> {
        Some(self.parents[node as usize]).filter(|parent| *parent != NONE)
    }

    /// The blocks of a way, from the root on.
    pub fn way(&self, node: Node) -> Vec<Node> {
        let mut way: Vec<Node> = std::iter::successors(Some(node), |node| self.parent(*node)).collect();
        way.reverse();
        way
    }
}

impl Walk<'_, '_> {
    fn follow_modules(&mut self) {
        let nodes = self.edges.nodes();
        let is_module = |node: &Node| {
            let object = nodes.live_object(*node);
            object.is_some_and(|object| self.edges.shapes[object.of as usize].sort == Sort::Module)
        };
        let modules: Vec<(Node, String)> =
            nodes.used().filter(is_module).map(|node| (node, self.module_name(node))).collect();
        // None leads to another: each is a root, also those that come last.
        for (node, name) in &modules {
            let root = self.reach.groups.root(name);
            self.reach.groups_of[*node as usize] = root;
        }
        let (last, mut first): (Vec<_>, Vec<_>) =
            modules.into_iter().partition(|(_, name)| LAST.contains(&name.as_str()));
        first.sort_by_key(|(_, name)| name != "__main__");
        for modules in [first, last] {
            self.queue.extend(modules.into_iter().map(|(node, _)| node));
            self.run();
        }
    }

    fn module_name(&self, node: Node) -> String {
        let (memory, version) = (self.edges.memory, self.edges.version());
        let name = self.edges.object(node).and_then(|(start, _)| {
            let dict = memory.word(start.checked_add(16)?)?;
            objects::text(memory, version, objects::dict_value(memory, version, dict, "__name__")?)
        });
        name.unwrap_or_else(|| "(module)".to_owned())
    }

    fn follow_later(&mut self) {
        self.is_later = true;
        self.queue = std::mem::take(&mut self.later);
        self.run();
    }

    /// Local variables of functions that run.
    fn follow_frames(&mut self, outside: &Outside) {
        for frame in &outside.frames {
            let (edges, reach, queue) = (self.edges, &mut self.reach, &mut self.queue);
            let (of, groups) = (&mut reach.groups_of, &mut reach.groups);
            if let Some(node) = frame.object {
                let group = &mut of[node as usize];
                if *group == UNSEEN {
                    *group = groups.root(&frame.function);
                    queue.push(node);
                }
                continue;
            }
            edges.within(frame.locals, frame.end, |edge| {
                let group = &mut of[edge.to as usize];
                if *group == UNSEEN {
                    let name = frame.names.get((edge.at.saturating_sub(frame.locals) / 8) as usize);
                    let root = groups.root(&frame.function);
                    *group = match name {
                        Some(name) => {
                            let name = groups.text(name);
                            groups.child(root, Step::Attribute(name))
                        }
                        None => groups.child(root, Step::Item),
                    };
                    queue.push(edge.to);
                }
            });
        }
        self.run();
    }

    fn follow_outside(&mut self, outside: &Outside, is_wanted: impl Fn(&Place) -> bool) {
        for (place, number) in outside.places.iter().zip(0..) {
            if !is_wanted(place) {
                continue;
            }
            let root = match place {
                Place::Stack => self.reach.groups.root(STACK),
                Place::Register => self.reach.groups.root(REGISTER),
                Place::Other => self.reach.groups.root(OTHER),
                Place::Variables(name) => self.reach.groups.root(&format!("({name})")),
            };
            let (reach, queue) = (&mut self.reach, &mut self.queue);
            outside.follow(
                self.edges,
                |place| place == number,
                |_, node| {
                    let group = &mut reach.groups_of[node as usize];
                    if *group == UNSEEN {
                        *group = root;
                        queue.push(node);
                    }
                },
            );
        }
        self.run();
    }

    /// Types that only their objects keep.
    fn follow_types(&mut self) {
        for node in 0..self.edges.nodes().count() {
            let Some(group) = self.reach.group(node) else { continue };
            let Some(of) = self.edges.type_of(node) else { continue };
            if self.reach.groups_of[of as usize] == UNSEEN {
                self.reach.groups_of[of as usize] = self.reach.groups.child(group, Step::Type);
                self.reach.parents[of as usize] = node;
                self.queue.push(of);
            }
        }
        self.run();
    }

    /// What memory leads to that nothing leads to itself.
    fn follow_lost(&mut self) {
        let nodes = self.edges.nodes();
        let root = self.reach.groups.root(LOST);
        let lost: Vec<Node> = nodes
            .used()
            .filter(|node| self.reach.groups_of[*node as usize] == UNSEEN && nodes.object(*node).is_none())
            .collect();
        for node in lost {
            if self.reach.groups_of[node as usize] == UNSEEN {
                self.reach.groups_of[node as usize] = root;
                self.queue.push(node);
            }
        }
        self.run();
    }

    fn name_the_rest(&mut self) {
        let nodes = self.edges.nodes();
        let unreached = self.reach.groups.root(UNREACHED);
        let kept = self.reach.groups.root(FREE_LISTS);
        for node in nodes.used() {
            let group = &mut self.reach.groups_of[node as usize];
            if *group == UNSEEN {
                *group = if nodes.live_object(node).is_some() { unreached } else { kept };
            }
        }
    }

    fn run(&mut self) {
        while let Some(&node) = self.queue.get(self.next) {
            self.next += 1;
            self.follow(node);
        }
        self.queue.clear();
        self.next = 0;
    }

    fn follow(&mut self, node: Node) {
        let Self { edges, steps, reach, queue, later, is_later, .. } = self;
        let Reach { parents, groups_of, groups } = reach;
        let group = groups_of[node as usize];
        let parent = Some(parents[node as usize]).filter(|parent| *parent != NONE);
        let is_object = edges.nodes().object(node).is_some();
        // What a string or a bytearray keeps elsewhere leads nowhere.
        let flat = |node: Node| edges.object(node).is_some_and(|(_, shape)| shape.is_flat());
        if !is_object && parent.is_some_and(flat) {
            return;
        }
        let before = groups.parent(group).map(|before| groups.step(before));
        let naming = steps.naming(groups, node, parent, groups.step(group), before);
        if matches!(naming, Naming::Plain) && !is_object && !*is_later {
            later.push(node);
            return;
        }
        edges.from(node, |edge: Edge| {
            if groups_of[edge.to as usize] != UNSEEN {
                return;
            }
            let step = steps.step(groups, &naming, edge);
            groups_of[edge.to as usize] = groups.child(group, step);
            parents[edge.to as usize] = node;
            queue.push(edge.to);
        });
    }
}
