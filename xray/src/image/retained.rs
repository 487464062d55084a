//! What goes if one block goes: the bytes of all that only it keeps.
//!
//! A block keeps another alone if every way from a root leads through it: it dominates it. The tree of immediate dominators is found by the
//! semi-dominators of Lengauer and Tarjan and then, for each block in the order of a depth-first walk, the nearest common ancestor of these and of
//! the tree so far (Georgiadis's semi-NCA).

use super::edges::Edges;
use super::nodes::{NONE, Node};
use super::outside::Outside;
use super::shape::Sort;

/// For each block, what goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retained {
    /// The block that alone keeps a block; none for those that a root leads to, or several blocks.
    keepers: Vec<Node>,
    /// Bytes of a block and of all that it alone keeps.
    bytes: Vec<u64>,
}

impl Retained {
    /// Of all blocks that a root leads to.
    pub fn find(edges: &Edges<'_>, outside: &Outside) -> Self {
        let nodes = edges.nodes();
        let count = nodes.count() as usize;
        let mut firsts = Vec::with_capacity(count + 1);
        let mut to = Vec::new();
        for node in 0..nodes.count() {
            firsts.push(to.len() as u64);
            if !nodes.is_used(node) {
                continue;
            }
            edges.from(node, |edge| to.push(edge.to));
            to.extend(edges.type_of(node));
        }
        firsts.push(to.len() as u64);
        let roots = roots(edges, outside);
        let keepers = dominators(&firsts, &to, &roots);
        let mut bytes: Vec<u64> = (0..nodes.count())
            .map(|node| if nodes.is_used(node) { nodes.place(node).1 } else { 0 })
            .collect();
        for &node in keepers.order.iter().rev() {
            let keeper = keepers.of[node as usize];
            if keeper != NONE {
                bytes[keeper as usize] += bytes[node as usize];
            }
        }
        Self { keepers: keepers.of, bytes }
    }

    /// Bytes of a block and of all that it alone keeps.
    pub fn bytes(&self, node: Node) -> u64 {
        self.bytes[node as usize]
    }

    /// The block that alone keeps a block.
    pub fn keeper(&self, node: Node) -> Option<Node> {
        Some(self.keepers[node as usize]).filter(|keeper| *keeper != NONE)
    }
}

/// Blocks that something outside all blocks leads to, and modules.
fn roots(edges: &Edges<'_>, outside: &Outside) -> Vec<Node> {
    let nodes = edges.nodes();
    let mut is_root = vec![false; nodes.count() as usize];
    for node in nodes.used() {
        let sort = nodes.live_object(node).map(|object| edges.shapes[object.of as usize].sort);
        is_root[node as usize] = sort == Some(Sort::Module);
    }
    for frame in &outside.frames {
        if let Some(node) = frame.object {
            is_root[node as usize] = true;
        }
        edges.within(frame.locals, frame.end, |edge| is_root[edge.to as usize] = true);
    }
    outside.follow(edges, |_| true, |_, node| is_root[node as usize] = true);
    (0..nodes.count()).filter(|node| is_root[*node as usize]).collect()
}

/// The tree of dominators.
struct Dominators {
    of: Vec<Node>,
    /// Blocks in the order of the depth-first walk: each after its dominator.
    order: Vec<Node>,
}

/// Of a graph whose node `n` leads to `to[firsts[n]..firsts[n + 1]]`.
fn dominators(firsts: &[u64], to: &[Node], roots: &[Node]) -> Dominators {
    let count = firsts.len() - 1;
    // Numbers of the walk begin with 1; 0 is the root of all roots.
    let mut number = vec![0_u32; count];
    let mut order: Vec<Node> = Vec::new();
    let mut parents: Vec<u32> = vec![0];
    let mut stack: Vec<(Node, u64)> = Vec::new();
    for &root in roots {
        if number[root as usize] != 0 {
            continue;
        }
        order.push(root);
        parents.push(0);
        number[root as usize] = order.len() as u32;
        stack.push((root, firsts[root as usize]));
        while let Some((node, next)) = stack.last_mut() {
            if *next == firsts[*node as usize + 1] {
                stack.pop();
                continue;
            }
            let child = to[*next as usize];
            *next += 1;
            if number[child as usize] == 0 {
                order.push(child);
                parents.push(number[*node as usize]);
                number[child as usize] = order.len() as u32;
                stack.push((child, firsts[child as usize]));
            }
        }
    }
    let reached = order.len() + 1;
    // Who leads to each, by numbers; what a root of all leads to is led to by 0.
    let mut is_root = vec![false; reached];
    for root in roots {
        is_root[number[*root as usize] as usize] = true;
    }
    let mut from_firsts = vec![0_u64; reached + 1];
    for node in &order {
        for child in &to[firsts[*node as usize] as usize..firsts[*node as usize + 1] as usize] {
            from_firsts[number[*child as usize] as usize + 1] += 1;
        }
    }
    for at in 1..from_firsts.len() {
        from_firsts[at] += from_firsts[at - 1];
    }
    let mut from = vec![0_u32; from_firsts[reached] as usize];
    let mut next = from_firsts.clone();
    for (node, here) in order.iter().zip(1_u32..) {
        for child in &to[firsts[*node as usize] as usize..firsts[*node as usize + 1] as usize] {
            let place = &mut next[number[*child as usize] as usize];
            from[*place as usize] = here;
            *place += 1;
        }
    }
    drop((next, number));
    let mut semi: Vec<u32> = (0..reached as u32).collect();
    let mut label: Vec<u32> = (0..reached as u32).collect();
    let mut ancestor = parents.clone();
    let mut way = Vec::new();
    for here in (1..reached as u32).rev() {
        let mut best = if is_root[here as usize] { 0 } else { parents[here as usize] };
        for &other in &from[from_firsts[here as usize] as usize..from_firsts[here as usize + 1] as usize] {
            let by = if other > here {
                compress(other, here, &mut ancestor, &mut label, &semi, &mut way);
                semi[label[other as usize] as usize]
            } else {
                other
            };
            best = best.min(by);
        }
        semi[here as usize] = best;
    }
    let mut idom = parents;
    for here in 1..reached {
        let mut up = idom[here];
        while up > semi[here] {
            up = idom[up as usize];
        }
        idom[here] = up;
    }
    let mut of = vec![NONE; count];
    for (node, here) in order.iter().zip(1..) {
        let keeper = idom[here] as usize;
        of[*node as usize] = keeper.checked_sub(1).map_or(NONE, |at| order[at]);
    }
    Dominators { of, order }
}

/// Shortens the way up from a node, as far as numbers above `last`, and gives it the label with the least semi-dominator on it.
fn compress(node: u32, last: u32, ancestor: &mut [u32], label: &mut [u32], semi: &[u32], way: &mut Vec<u32>) {
    way.clear();
    let mut at = node;
    while ancestor[at as usize] > last {
        way.push(at);
        at = ancestor[at as usize];
    }
    // From the top down, so that what is above is short already.
    for &at in way.iter().rev() {
        let up = ancestor[at as usize];
        if semi[label[up as usize] as usize] < semi[label[at as usize] as usize] {
            label[at as usize] = label[up as usize];
        }
        ancestor[at as usize] = ancestor[up as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever cannot be reached any more without a node is dominated by it.
    fn reachable(graph: &[Vec<Node>], roots: &[Node], without: Option<Node>) -> Vec<bool> {
        let mut seen = vec![false; graph.len()];
        let mut todo: Vec<Node> = roots.iter().copied().filter(|root| Some(*root) != without).collect();
        while let Some(node) = todo.pop() {
            if !std::mem::replace(&mut seen[node as usize], true) {
                todo.extend(graph[node as usize].iter().copied().filter(|to| Some(*to) != without));
            }
        }
        seen
    }

    #[test]
    fn dominators_are_those_without_which_a_node_is_not_reached() {
        let mut random = 1_u64;
        let mut draw = |below: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as u32 % below
        };
        for round in 0..400 {
            let count = 2 + draw(if round % 2 == 0 { 8 } else { 40 });
            let graph: Vec<Vec<Node>> =
                (0..count).map(|_| (0..draw(4)).map(|_| draw(count)).collect()).collect();
            let roots: Vec<Node> = (0..=draw(3)).map(|_| draw(count)).collect();
            let mut firsts = vec![0];
            let mut to = Vec::new();
            for node in &graph {
                to.extend(node);
                firsts.push(to.len() as u64);
            }
            let found = dominators(&firsts, &to, &roots);
            let all = reachable(&graph, &roots, None);
            let without: Vec<Vec<bool>> =
                (0..count).map(|node| reachable(&graph, &roots, Some(node))).collect();
            for node in 0..count {
                // All that dominate it, itself not.
                let truth: Vec<Node> = (0..count)
                    .filter(|other| {
                        *other != node && all[node as usize] && !without[*other as usize][node as usize]
                    })
                    .collect();
                let up = |node: &Node| Some(found.of[*node as usize]).filter(|up| *up != NONE);
                let mut chain: Vec<Node> = std::iter::successors(up(&node), up).collect();
                chain.sort_unstable();
                assert_eq!(chain, truth, "round {round}, node {node} of {graph:?} from {roots:?}");
            }
        }
    }
}
