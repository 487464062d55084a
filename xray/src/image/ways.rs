//! Ways in detail: from the root to one block with every place, by which ways the objects of a type are kept, and what is left in an arena.

use hashbrown::HashMap;

use super::edges::Edges;
use super::groups::{Group, Groups, Step};
use super::nodes::Node;
use super::reach::Reach;
use super::shape::Sort;
use super::steps::{Contents, Naming, Steps};

/// Blocks of a way that are written; a longer one is cut in the middle.
const MOST_LINKS: usize = 40;

/// Blocks and bytes of each group.
type Sums = HashMap<Group, (u64, u64)>;

/// By which way objects of a type are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeWay {
    /// The group of the way.
    pub group: Group,
    /// Its name.
    pub name: String,
    /// Objects, and their bytes.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// One of them.
    pub example: Node,
}

/// What is in use in an arena.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArenaRow {
    /// Where it begins.
    pub addr: u64,
    /// Blocks in use.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Groups in it: the name, blocks and bytes, those with most blocks first.
    pub groups: Vec<(String, u64, u64)>,
}

/// By which ways live objects whose type has this name are kept, the most frequent first.
pub fn of_type(edges: &Edges<'_>, reach: &Reach, name: &str) -> Vec<TypeWay> {
    let nodes = edges.nodes();
    let types = &nodes.picture().types;
    // As it is shown, and without its module.
    let is_named = |of: &str| of == name || of.rsplit('.').next() == Some(name);
    let wanted: Vec<bool> = types.iter().map(|of| is_named(&of.name)).collect();
    let mut ways: HashMap<Group, TypeWay> = HashMap::new();
    for node in nodes.used() {
        if !nodes.live_object(node).is_some_and(|object| wanted[object.of as usize]) {
            continue;
        }
        let Some(group) = reach.group(node) else { continue };
        let group = reach.groups.named(group);
        let way = ways.entry(group).or_insert_with(|| TypeWay {
            group,
            name: reach.groups.name(group),
            blocks: 0,
            bytes: 0,
            example: node,
        });
        way.blocks += 1;
        way.bytes += nodes.place(node).1;
    }
    let mut ways: Vec<TypeWay> = ways.into_values().collect();
    ways.sort_by(|a, b| (b.bytes, b.blocks).cmp(&(a.bytes, a.blocks)).then(a.name.cmp(&b.name)));
    ways
}

/// Arenas, those with least in use first, each with as many groups.
pub fn of_arenas(edges: &Edges<'_>, reach: &Reach, groups: usize) -> Vec<ArenaRow> {
    let nodes = edges.nodes();
    let picture = nodes.picture();
    let firsts = picture.first_arenas();
    let bases = picture.tables.iter().flat_map(|table| &table.arenas).map(|arena| arena.address);
    let mut rows: Vec<(ArenaRow, Sums)> = bases
        .map(|addr| (ArenaRow { addr, blocks: 0, bytes: 0, groups: Vec::new() }, HashMap::new()))
        .collect();
    for pool in &picture.pools.pools {
        let (row, sums) = &mut rows[firsts[pool.table as usize] + pool.arena as usize];
        for block in 0..pool.carved {
            let node = pool.first + block;
            if !nodes.is_used(node) {
                continue;
            }
            row.blocks += 1;
            row.bytes += pool.block_bytes();
            if let Some(group) = reach.group(node) {
                let sum = sums.entry(reach.groups.named(group)).or_default();
                *sum = (sum.0 + 1, sum.1 + pool.block_bytes());
            }
        }
    }
    let mut rows: Vec<ArenaRow> = rows
        .into_iter()
        .map(|(mut row, sums)| {
            let mut sums: Vec<(Group, (u64, u64))> = sums.into_iter().collect();
            sums.sort_by_key(|(group, sum)| (std::cmp::Reverse(*sum), *group));
            let named = sums.into_iter().take(groups);
            row.groups =
                named.map(|(group, (blocks, bytes))| (reach.groups.name(group), blocks, bytes)).collect();
            row
        })
        .collect();
    rows.sort_by_key(|row| (row.bytes, row.addr));
    rows
}

/// The way to a block with each place on it: `module.CACHE['sessions'][17].history`.
pub fn exact(edges: &Edges<'_>, reach: &Reach, contents: Contents, node: Node) -> String {
    let way = reach.way(node);
    let mut groups = Groups::default();
    let mut steps = Steps::new(edges, contents);
    let mut name = way
        .first()
        .and_then(|first| reach.group(*first))
        .map_or_else(String::new, |group| reach.groups.name(group));
    let mut before = (Step::Buffer, None);
    let cut = way.len().saturating_sub(MOST_LINKS);
    for (number, link) in way.windows(2).enumerate() {
        let (from, to) = (link[0], link[1]);
        let parent = reach.parent(from);
        let naming = steps.naming(&mut groups, from, parent, before.0, before.1);
        let mut found = None;
        edges.from(from, |edge| {
            if edge.to == to && found.is_none() {
                found = Some(edge);
            }
        });
        // An object leads to its type by a word that is not followed otherwise.
        let step = found.map_or(Step::Type, |edge| steps.step(&mut groups, &naming, edge));
        let at = found.map_or(0, |edge| edge.at);
        let shown = match (step, place(edges, &naming, from, at)) {
            (Step::Item, Some(place)) => format!("[{place}]"),
            _ => groups.step_name(step),
        };
        if cut == 0 || number < MOST_LINKS / 2 || number > cut + MOST_LINKS / 2 {
            name.push_str(&shown);
        } else if number == MOST_LINKS / 2 {
            name.push_str(" … ");
        }
        before = (step, Some(before.0));
    }
    name
}

/// The number of an item that a word of a block is.
fn place(edges: &Edges<'_>, naming: &Naming, node: Node, at: u64) -> Option<u64> {
    match naming {
        Naming::Items => Some(at.checked_sub(edges.nodes().place(node).0)? / 8),
        Naming::Object { start, of } if edges.shapes[*of as usize].sort == Sort::Tuple => {
            Some(at.checked_sub(start + edges.version().tuple_items())? / 8)
        }
        _ => None,
    }
}
