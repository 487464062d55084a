//! What a picture says in sums: by type, by owner, by way from a root, and who holds arenas in which little is left.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::edges::Edges;
use super::groups::{Group, Groups};
use super::nodes::Node;
use super::outside::Place;
use super::owners::{Owner, Owners};
use super::reach::Reach;

/// Hundredths of an arena that are in use where there is little in it.
pub const LITTLE_PERCENT: u64 = 10;
/// A group is shown instead of the one before it where it has so many hundredths of what that one has.
const MOST_OF_IT: u64 = 90;
/// A group has a row of its own from so many thousandths of all on.
const LEAST_SHARE: u64 = 10;

/// What the objects of a type take.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TypeRow {
    /// Module and qualified name.
    pub name: String,
    /// Blocks with an object of it.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
    /// Those blocks that Python keeps for the next object of the type.
    pub dead: u64,
    /// Blocks that are buffers of its objects.
    pub buffers: u64,
    /// Bytes of those.
    pub buffer_bytes: u64,
}

/// Whose a block is that is no object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Whose {
    /// Objects' of this type.
    Type(String),
    /// C code's: what refers to it stands in the variables of this file.
    Library(String),
    /// C code's: what refers to it stands on a stack.
    Stack,
    /// C code's: a thread has it in a register.
    Register,
    /// C code's: what refers to it stands in other memory.
    Other,
    /// Nothing that was copied refers to it.
    Nowhere,
}

/// Blocks that are no objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnerRow {
    /// Whose they are.
    pub whose: Whose,
    /// How many.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What lies behind a group, or below it: all that its blocks lead to first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathRow {
    /// The group.
    pub group: Group,
    /// Its way, as Python would write it.
    pub name: String,
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The type that takes most of that.
    pub mostly: String,
}

/// Who holds arenas with little in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The group.
    pub group: Group,
    /// Its way.
    pub name: String,
    /// Its blocks, and those that they lead to first, in such arenas.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Such arenas in which one of them lies.
    pub arenas: u64,
    /// Those in which nothing else lies.
    pub alone: u64,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// By type, what takes most first.
    pub types: Vec<TypeRow>,
    /// Blocks that are no objects, by owner.
    pub owners: Vec<OwnerRow>,
    /// All blocks in use by way, each in one row, what takes most first.
    pub paths: Vec<PathRow>,
    /// Arenas with little in them.
    pub little_used: u64,
    /// Who holds those.
    pub holders: Vec<Holder>,
    /// Of blocks outside arenas, bytes of objects and of what objects keep there.
    pub outside: u64,
    /// Those of C code's own.
    pub outside_of_c: u64,
    /// Those that nothing refers to.
    pub lost: u64,
}

impl Summary {
    /// Of a picture whose references were followed.
    pub fn of(edges: &Edges<'_>, owners: &Owners, reach: &Reach) -> Self {
        let mut summary = Self::default();
        summary.by_type_and_owner(edges, owners);
        let tree = Tree::of(&reach.groups);
        summary.paths = paths(edges, reach, &tree);
        summary.holders_of_arenas(edges, reach, &tree);
        summary
    }

    fn by_type_and_owner(&mut self, edges: &Edges<'_>, owners: &Owners) {
        let nodes = edges.nodes();
        let all = &nodes.picture().types;
        let mut types: BTreeMap<&str, TypeRow> = BTreeMap::new();
        let mut rest: BTreeMap<Whose, (u64, u64)> = BTreeMap::new();
        for node in nodes.used() {
            let (_, bytes) = nodes.place(node);
            let name =
                |node: Node| nodes.object(node).map_or("", |object| all[object.of as usize].name.as_str());
            let owner = owners.of(edges, node);
            if node >= nodes.first_chunk() {
                *match owner {
                    Owner::Itself | Owner::Object(_) => &mut self.outside,
                    Owner::Outside(_) => &mut self.outside_of_c,
                    Owner::Nowhere => &mut self.lost,
                } += bytes;
            }
            let whose = match owner {
                Owner::Itself => {
                    let row = types.entry(name(node)).or_default();
                    row.blocks += 1;
                    row.bytes += bytes;
                    row.dead += u64::from(nodes.live_object(node).is_none());
                    continue;
                }
                Owner::Object(owner) => {
                    let row = types.entry(name(owner)).or_default();
                    row.buffers += 1;
                    row.buffer_bytes += bytes;
                    Whose::Type(name(owner).to_owned())
                }
                Owner::Outside(place) => match &owners.outside.places[place as usize] {
                    Place::Stack => Whose::Stack,
                    Place::Register => Whose::Register,
                    Place::Variables(name) => Whose::Library(name.clone()),
                    Place::Other => Whose::Other,
                },
                Owner::Nowhere => Whose::Nowhere,
            };
            let sum = rest.entry(whose).or_default();
            *sum = (sum.0 + 1, sum.1 + bytes);
        }
        let row = |(name, row): (&str, TypeRow)| TypeRow { name: name.to_owned(), ..row };
        self.types = types.into_iter().map(row).collect();
        self.types.sort_by_key(|row| std::cmp::Reverse(row.bytes + row.buffer_bytes));
        let row = |(whose, (blocks, bytes))| OwnerRow { whose, blocks, bytes };
        self.owners = rest.into_iter().map(row).collect();
        self.owners.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    }

    fn holders_of_arenas(&mut self, edges: &Edges<'_>, reach: &Reach, tree: &Tree) {
        let nodes = edges.nodes();
        let picture = nodes.picture();
        let little = picture.geometry.arena / 100 * LITTLE_PERCENT;
        let used = picture.used_of_arenas();
        self.little_used = used.iter().filter(|used| **used < little).count() as u64;
        let firsts = picture.first_arenas();
        let mut sums: HashMap<Group, Holder> = HashMap::new();
        let mut here: HashMap<Group, (u64, u64)> = HashMap::new();
        let mut pools = picture.pools.pools.iter().peekable();
        while let Some(pool) = pools.next() {
            let arena = (pool.table, pool.arena);
            if used[firsts[pool.table as usize] + pool.arena as usize] < little {
                for block in 0..pool.carved {
                    let node = pool.first + block;
                    if let Some(group) = reach.group(node).filter(|_| nodes.is_used(node)) {
                        let sum = here.entry(reach.groups.named(group)).or_default();
                        *sum = (sum.0 + 1, sum.1 + pool.block_bytes());
                    }
                }
            }
            if pools.peek().is_none_or(|next| (next.table, next.arena) != arena) {
                tree.add_arena(&here, &mut sums);
                here.clear();
            }
        }
        let mut rows: Vec<Holder> = tree
            .knots(|group| sums.get(&group).map_or(0, |holder| holder.arenas))
            .into_iter()
            .filter_map(|group| sums.get(&group).cloned())
            .map(|holder| Holder { name: reach.groups.name(holder.group), ..holder })
            .collect();
        rows.sort_by(|a, b| {
            (b.alone, b.arenas, b.blocks).cmp(&(a.alone, a.arenas, a.blocks)).then(a.name.cmp(&b.name))
        });
        self.holders = rows;
    }
}

/// Groups with names, and which follow which.
struct Tree {
    /// By group with a name: the one before.
    parents: Vec<Option<Group>>,
    children: HashMap<Group, Vec<Group>>,
    roots: Vec<Group>,
}

impl Tree {
    fn of(groups: &Groups) -> Self {
        let mut tree = Self { parents: Vec::new(), children: HashMap::new(), roots: Vec::new() };
        for group in 0..groups.count() as Group {
            let parent = groups.parent(group).map(|parent| groups.named(parent));
            let named = groups.named(group) == group;
            tree.parents.push(parent.filter(|_| named));
            match parent {
                _ if !named => {}
                Some(parent) => tree.children.entry(parent).or_default().push(group),
                None => tree.roots.push(group),
            }
        }
        tree
    }

    fn up(&self, group: Group) -> impl Iterator<Item = Group> + '_ {
        std::iter::successors(Some(group), |group| self.parents[*group as usize])
    }

    fn children(&self, group: Group) -> &[Group] {
        self.children.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Adds what the groups have in an arena to them and to all before them.
    fn add_arena(&self, here: &HashMap<Group, (u64, u64)>, sums: &mut HashMap<Group, Holder>) {
        let mut whole: HashMap<Group, (u64, u64)> = HashMap::new();
        for (group, (blocks, bytes)) in here {
            for up in self.up(*group) {
                let sum = whole.entry(up).or_default();
                *sum = (sum.0 + blocks, sum.1 + bytes);
            }
        }
        let all: u64 = here.values().map(|sum| sum.0).sum();
        for (group, (blocks, bytes)) in whole {
            let holder = sums.entry(group).or_insert_with(|| Holder {
                group,
                name: String::new(),
                blocks: 0,
                bytes: 0,
                arenas: 0,
                alone: 0,
            });
            holder.blocks += blocks;
            holder.bytes += bytes;
            holder.arenas += 1;
            holder.alone += u64::from(blocks == all);
        }
    }

    /// The groups to show: from each root on as far as one group has nearly all that the one before it has, and beside that way
    /// those that have much of it.
    fn knots(&self, weight: impl Fn(Group) -> u64) -> Vec<Group> {
        let least = self.roots.iter().map(|root| weight(*root)).max().unwrap_or(0) / 10;
        let mut knots = Vec::new();
        let mut todo: Vec<Group> = self.roots.iter().copied().filter(|root| weight(*root) > 0).collect();
        while let Some(mut group) = todo.pop() {
            loop {
                let most = weight(group) * MOST_OF_IT / 100;
                let mut large =
                    self.children(group).iter().copied().filter(|child| weight(*child) >= most.max(1));
                let (Some(only), None) = (large.next(), large.next()) else { break };
                let beside = self.children(group).iter().copied();
                todo.extend(beside.filter(|child| *child != only && weight(*child) > least));
                group = only;
            }
            knots.push(group);
        }
        knots
    }
}

/// Splits all blocks in use among groups that have a share worth a row; what is left of a group is its own row.
fn paths(edges: &Edges<'_>, reach: &Reach, tree: &Tree) -> Vec<PathRow> {
    let nodes = edges.nodes();
    let mut own: HashMap<Group, (u64, u64)> = HashMap::new();
    let named: Vec<Group> =
        (0..reach.groups.count() as Group).map(|group| reach.groups.named(group)).collect();
    let mut all = 0;
    for node in nodes.used() {
        let Some(group) = reach.group(node) else { continue };
        let bytes = nodes.place(node).1;
        let sum = own.entry(named[group as usize]).or_default();
        *sum = (sum.0 + 1, sum.1 + bytes);
        all += bytes;
    }
    let mut below: HashMap<Group, u64> = HashMap::new();
    for (group, (_, bytes)) in &own {
        for up in tree.up(*group) {
            *below.entry(up).or_default() += bytes;
        }
    }
    let least = (all / 1000 * LEAST_SHARE).max(1);
    let is_row = |group: Group| below.get(&group).is_some_and(|bytes| *bytes >= least);
    let row_of: Vec<Option<Group>> = (0..reach.groups.count() as Group)
        .map(|group| {
            let named = named[group as usize];
            tree.up(named).find(|up| is_row(*up)).or_else(|| tree.up(named).last())
        })
        .collect();
    let mut rows: HashMap<Group, PathRow> = HashMap::new();
    let mut types: HashMap<(Group, u32), u64> = HashMap::new();
    for node in nodes.used() {
        let Some(row) = reach.group(node).and_then(|group| row_of[group as usize]) else { continue };
        let bytes = nodes.place(node).1;
        let sum = rows.entry(row).or_insert_with(|| PathRow {
            group: row,
            name: reach.groups.name(row),
            blocks: 0,
            bytes: 0,
            mostly: String::new(),
        });
        sum.blocks += 1;
        sum.bytes += bytes;
        let of = nodes.object(node).map_or(u32::MAX, |object| object.of);
        *types.entry((row, of)).or_default() += bytes;
    }
    let mut most: HashMap<Group, (u64, u32)> = HashMap::new();
    for ((row, of), bytes) in types {
        let known = most.entry(row).or_insert((0, u32::MAX));
        *known = (*known).max((bytes, of));
    }
    let mut rows: Vec<PathRow> = rows.into_values().collect();
    for row in &mut rows {
        let of = most.get(&row.group).map_or(u32::MAX, |most| most.1);
        let name = nodes.picture().types.get(of as usize).map_or("(buffers)", |of| of.name.as_str());
        name.clone_into(&mut row.mostly);
    }
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.name.cmp(&b.name)));
    rows
}
