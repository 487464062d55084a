//! The live blocks under the stacks that they were born by, callers first: what each call leads to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::Trace;
use sim_core::tape::{FrameId, StackId};

use super::births::{age, stack_of};
use super::census::Census;
use super::key::{FROM_BEFORE, NO_STACK};
use super::scope::Within;
use crate::format;

/// What makes a call wide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Weight {
    /// Bytes asked for in live blocks.
    #[default]
    Live,
    /// Bytes of arenas in which no other call's blocks lie.
    Pinned,
    /// Bytes asked for, times the operations that they have been live for.
    Lifetime,
}

impl Weight {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Pinned, Self::Lifetime];
}

/// No frame: the root, or blocks without a stack.
const ROOT: u32 = u32::MAX;
const STACKLESS: u32 = u32::MAX - 1;
const BEFORE: u32 = u32::MAX - 2;
const UNSEEN: u32 = u32::MAX;

/// What the blocks of a call sum to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Load {
    /// Blocks.
    pub blocks: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
    /// Bytes of arenas in which no other block lies.
    pub pinned_bytes: u64,
    /// Bytes asked for, each times the operations that it has been live for.
    pub byte_steps: u64,
}

impl Load {
    /// The one that counts.
    pub fn by(&self, weight: Weight) -> u64 {
        match weight {
            Weight::Live => self.bytes,
            Weight::Pinned => self.pinned_bytes,
            Weight::Lifetime => self.byte_steps,
        }
    }

    fn add(&mut self, blocks: u64, bytes: u64, age: u64) {
        self.blocks += blocks;
        self.bytes = self.bytes.saturating_add(bytes);
        self.byte_steps = self.byte_steps.saturating_add(bytes.saturating_mul(age));
    }

    fn join(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.pinned_bytes += other.pinned_bytes;
        self.byte_steps = self.byte_steps.saturating_add(other.byte_steps);
    }
}

/// A call: a frame under its callers.
#[derive(Clone, Debug)]
struct Node {
    parent: u32,
    frame: u32,
    load: Load,
    children: Vec<u32>,
    /// Its place in the order of a walk that meets callers first, and the end of what it leads to.
    order: (u32, u32),
}

/// All calls that a live block was born by.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// A call, or the rest of what its caller calls, as a cell of a picture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Calls above it, from the call that fills the picture on.
    pub depth: u32,
    /// Where it begins, in the unit of the weight, from the picture's left edge on.
    pub start: u64,
    /// How wide it is.
    pub width: u64,
    /// The function and a short path.
    pub text: String,
    /// The same with the whole path.
    pub whole: String,
    /// What its blocks sum to.
    pub load: Load,
    /// The way to it from the root, to zoom in by; `None` for calls that are folded into one.
    pub path: Option<Vec<u32>>,
    /// Calls that are folded into it.
    pub folded: u32,
}

/// The part of a tree that a picture has room for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Icicle {
    /// What is as wide as the picture.
    pub width: u64,
    /// Calls above the one that fills the picture, from the root on, each with the way to it.
    pub above: Vec<(String, Vec<u32>)>,
    /// Cells, callers before what they call, each caller's from left to right.
    pub cells: Vec<Cell>,
}

/// The deepest level of a picture: below lies what a zoom shows.
const DEPTH_MAX: u32 = 96;

impl Tree {
    /// Of the blocks of a census, or of those within a scope; an arena with another block is pinned by no call.
    pub fn of(census: &Census, trace: &Trace, changes: &[(u64, StackId)], within: Option<&Within>) -> Self {
        let mut tree = Self { nodes: vec![Node::new(ROOT, ROOT)] };
        let mut calls: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut by_stack = vec![UNSEEN; trace.origin.stacks.len() as usize + 1];
        let of_block: Vec<u32> = (0..census.len())
            .map(|at| {
                if within.is_some_and(|within| !within.blocks[at]) {
                    return UNSEEN;
                }
                let birth = census.births[at];
                let stack = stack_of(trace, changes, birth);
                let node = tree.node_of(trace, stack, &mut by_stack, &mut calls);
                let age = age(census.step, birth);
                tree.nodes[node as usize].load.add(1, census.asked[at], age);
                node
            })
            .collect();
        let unborn_count = within.is_none_or(|within| within.unborn);
        let mut before = None;
        for unborn in census.unborn.iter().filter(|_| unborn_count) {
            let node = *before.get_or_insert_with(|| tree.child(0, BEFORE, &mut calls));
            let bytes = unborn.blocks * unborn.block_bytes;
            tree.nodes[node as usize].load.add(unborn.blocks, bytes, census.step);
        }
        tree.number();
        tree.pin(census, &of_block, unborn_count, before);
        // Callers come before what they call.
        for at in (1..tree.nodes.len()).rev() {
            let load = tree.nodes[at].load;
            let parent = tree.nodes[at].parent as usize;
            tree.nodes[parent].load.join(&load);
        }
        tree
    }

    fn node_of(
        &mut self,
        trace: &Trace,
        stack: StackId,
        by_stack: &mut [u32],
        calls: &mut BTreeMap<(u32, u32), u32>,
    ) -> u32 {
        let stacks = &trace.origin.stacks;
        // From the block up to a caller that is known, and down again.
        let (mut way, mut at) = (Vec::new(), stack);
        let mut node = loop {
            match by_stack.get(at.0 as usize) {
                Some(known) if *known != UNSEEN => break *known,
                _ => {}
            }
            let Some((caller, frame)) = stacks.node(at) else { break 0 };
            way.push((at, frame));
            at = caller;
        };
        if way.is_empty() && node == 0 {
            return self.child(0, STACKLESS, calls);
        }
        for (stack, frame) in way.into_iter().rev() {
            node = self.child(node, frame.0, calls);
            by_stack[stack.0 as usize] = node;
        }
        node
    }

    fn child(&mut self, parent: u32, frame: u32, calls: &mut BTreeMap<(u32, u32), u32>) -> u32 {
        *calls.entry((parent, frame)).or_insert_with(|| {
            let node = self.nodes.len() as u32;
            self.nodes.push(Node::new(parent, frame));
            self.nodes[parent as usize].children.push(node);
            node
        })
    }

    /// Numbers the calls in the order of a walk.
    fn number(&mut self) {
        let mut next = 0;
        let mut way = vec![(0_u32, 0_usize)];
        self.nodes[0].order.0 = 0;
        while let Some((node, child)) = way.last_mut() {
            let at = *node as usize;
            if *child == 0 {
                self.nodes[at].order.0 = next;
                next += 1;
            }
            if let Some(down) = self.nodes[at].children.get(*child).copied() {
                *child += 1;
                way.push((down, 0));
            } else {
                self.nodes[at].order.1 = next;
                way.pop();
            }
        }
    }

    /// Gives each arena to the lowest call that all of its blocks were born under.
    fn pin(&mut self, census: &Census, of_block: &[u32], unborn_count: bool, before: Option<u32>) {
        let mut others = census.unborn.iter().peekable();
        for (at, region) in census.regions.iter().enumerate() {
            let mut all = true;
            // The first and the last of its calls in the order of the walk: what is above both is above all.
            let mut ends: Option<(u32, u32)> = None;
            let mut meet = |nodes: &[Node], node: u32| {
                let order = |node: u32| nodes[node as usize].order.0;
                let (first, last) = ends.unwrap_or((node, node));
                ends = Some((
                    if order(node) < order(first) { node } else { first },
                    if order(node) > order(last) { node } else { last },
                ));
            };
            for block in census.range(at) {
                match of_block[block] {
                    UNSEEN => all = false,
                    node => meet(&self.nodes, node),
                }
            }
            while others.next_if(|unborn| unborn.region as usize == at).is_some() {
                all &= unborn_count;
                if let Some(before) = before {
                    meet(&self.nodes, before);
                }
            }
            let (true, Some((first, last))) = (all, ends) else { continue };
            let last = self.nodes[last as usize].order.0;
            let mut node = first;
            while self.nodes[node as usize].order.1 <= last {
                node = self.nodes[node as usize].parent;
            }
            self.nodes[node as usize].load.pinned_bytes += region.bytes;
        }
    }

    /// What all blocks sum to.
    pub fn load(&self) -> Load {
        self.nodes[0].load
    }

    /// The part below a call that is wide enough: cells narrower than one in `parts` are folded. `root` is the way to the call; where it
    /// does not lead anywhere at this step it is followed as far as it goes.
    pub fn icicle(&self, trace: &Trace, root: &[u32], weight: Weight, parts: u32) -> Icicle {
        let mut path = Vec::new();
        let mut above = vec![(String::new(), Vec::new())];
        let mut node = 0_u32;
        for frame in root {
            let children = &self.nodes[node as usize].children;
            let Some(next) = children.iter().find(|child| self.nodes[**child as usize].frame == *frame)
            else {
                break;
            };
            node = *next;
            path.push(*frame);
            above.push((self.words(trace, node).0, path.clone()));
        }
        let width = self.nodes[node as usize].load.by(weight);
        let mut icicle = Icicle { width, above, cells: Vec::new() };
        if width > 0 {
            let least = (width / u64::from(parts.max(1))).max(1);
            let top = self.cell(trace, node, 0, (0, width), path);
            self.fill(trace, node, top, (weight, least), &mut icicle.cells);
        }
        icicle
    }

    fn fill(
        &self,
        trace: &Trace,
        node: u32,
        top: Cell,
        (weight, least): (Weight, u64),
        cells: &mut Vec<Cell>,
    ) {
        let mut way = vec![(node, top)];
        // Callers first, from left to right.
        while let Some((node, cell)) = way.pop() {
            let (depth, mut start) = (cell.depth + 1, cell.start);
            let path = cell.path.clone().unwrap_or_default();
            cells.push(cell);
            let by = |node: &u32| self.nodes[*node as usize].load.by(weight);
            let mut children: Vec<u32> =
                self.nodes[node as usize].children.iter().copied().filter(|child| by(child) > 0).collect();
            children.sort_by_key(|child| (std::cmp::Reverse(by(child)), *child));
            let wide =
                if depth > DEPTH_MAX { 0 } else { children.partition_point(|child| by(child) >= least) };
            let mut below = Vec::new();
            for child in &children[..wide] {
                let mut path = path.clone();
                path.push(self.nodes[*child as usize].frame);
                below.push((*child, self.cell(trace, *child, depth, (start, by(child)), path)));
                start += by(child);
            }
            way.extend(below.into_iter().rev());
            let rest = &children[wide..];
            let narrow: u64 = rest.iter().map(by).sum();
            if narrow >= least {
                let mut load = Load::default();
                for child in rest {
                    load.join(&self.nodes[*child as usize].load);
                }
                let text = format::count(rest.len() as u64, "narrower call");
                cells.push(Cell {
                    depth,
                    start,
                    width: narrow,
                    whole: text.clone(),
                    text,
                    load,
                    path: None,
                    folded: rest.len() as u32,
                });
            }
        }
    }

    fn cell(&self, trace: &Trace, node: u32, depth: u32, at: (u64, u64), path: Vec<u32>) -> Cell {
        let (text, whole) = self.words(trace, node);
        let load = self.nodes[node as usize].load;
        Cell { depth, start: at.0, width: at.1, text, whole, load, path: Some(path), folded: 0 }
    }

    fn words(&self, trace: &Trace, node: u32) -> (String, String) {
        let plain = |text: &str| (text.to_owned(), text.to_owned());
        match self.nodes[node as usize].frame {
            ROOT => plain("all live blocks"),
            STACKLESS => plain(NO_STACK),
            BEFORE => plain(FROM_BEFORE),
            frame => {
                let line = trace.origin.stacks.line(FrameId(frame));
                (format::frame(&line), format::whole_frame(&line))
            }
        }
    }
}

impl Node {
    fn new(parent: u32, frame: u32) -> Self {
        Self { parent, frame, load: Load::default(), children: Vec::new(), order: (0, 0) }
    }
}
