//! What is known of a process beside pymalloc's state, as a file carries it: types, owners and ways of all blocks, mappings, parts.

use hashbrown::HashMap;
use sim_core::Profile;
use sim_core::picture::{
    BlockColumns, BlockFlags, ChunkRow, ChunkState, Finding, HeapPicture, Inventory, MappingRow, PartRow,
    PictureSource, PoolMemory, ProcessPicture, TypeRow,
};

use super::chunks::State;
use super::edges::Edges;
use super::groups::Group;
use super::memory::{Kind, Mapping};
use super::nodes::{NONE, Node};
use super::outside::Place;
use super::owners::{Owner, Owners};
use super::parts::Part;
use super::reach::Reach;
use super::resident::Resident;
use super::start::StartError;

/// References that are carried; of a process with more none are, which a file of moderate size has no room for.
const MOST_EDGES: usize = 1 << 23;

/// Numbers of texts, each once.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    known: HashMap<String, u32>,
}

impl Texts {
    /// The number of a text; they count from 1.
    fn number(&mut self, text: String) -> u32 {
        let Self { all, known } = self;
        *known.entry(text).or_insert_with_key(|text| {
            all.push(text.clone());
            all.len() as u32
        })
    }
}

/// What is known of the memory of a process by pages; empty where that is not known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pages<'a> {
    /// The resident memory in its parts.
    pub parts: &'a [Part],
    /// What there is to say of it.
    pub findings: &'a [Finding],
    /// What is in memory.
    pub resident: Resident,
    /// What of it is nobody else's.
    pub private: Resident,
}

/// All that a file carries of a picture whose references were followed: pymalloc's heaps, and what is known beside them. It fails where a heap
/// was stopped in the middle of a change.
pub fn process_picture(
    edges: &Edges<'_>,
    owners: &Owners,
    reach: &Reach,
    pages: &Pages<'_>,
    source: PictureSource,
) -> Result<ProcessPicture, StartError> {
    let picture = edges.nodes().picture();
    let heaps = (0..picture.tables.len()).map(|table| picture.heap(edges.memory, table));
    let heaps = heaps.collect::<Result<Vec<_>, _>>()?;
    let pool_memory = pool_memory(&heaps, &picture.profile(), pages);
    let inventory = Inventory { pool_memory, ..inventory(edges, owners, reach, pages, source) };
    Ok(ProcessPicture { heaps, inventory })
}

/// What of each pool is in memory, where that is known.
fn pool_memory(heaps: &[HeapPicture], profile: &Profile, pages: &Pages<'_>) -> Vec<PoolMemory> {
    if pages.resident.bytes() == 0 {
        return Vec::new();
    }
    let places = heaps.iter().flat_map(|heap| heap.pools(profile)).map(|(_, at, ..)| at.0);
    let bytes = |of: &Resident, at: u64| of.within(at, at.saturating_add(profile.pool_size)) as u32;
    places
        .map(|at| PoolMemory {
            resident_bytes: bytes(&pages.resident, at),
            private_bytes: bytes(&pages.private, at),
        })
        .collect()
}

/// What is known beside the heaps.
fn inventory(
    edges: &Edges<'_>,
    owners: &Owners,
    reach: &Reach,
    pages: &Pages<'_>,
    source: PictureSource,
) -> Inventory {
    let nodes = edges.nodes();
    let picture = nodes.picture();
    let mut told = Telling {
        edges,
        owners,
        reach,
        owner_texts: Texts::default(),
        path_texts: Texts::default(),
        paths: HashMap::new(),
        types: HashMap::new(),
    };
    let mut blocks = BlockColumns::default();
    for pool in &picture.pools.pools {
        let in_flight = if pool.in_flight { BlockFlags::IN_FLIGHT } else { 0 };
        for node in (pool.first..pool.first + pool.carved).filter(|node| nodes.is_used(*node)) {
            let (of, owner, path, flags) = told.block(node);
            blocks.types.push(of);
            blocks.owners.push(owner);
            blocks.paths.push(path);
            blocks.flags.push(flags | in_flight);
        }
    }
    let first = nodes.first_chunk();
    let chunk = |(chunk, node): (&super::chunks::Chunk, Node)| {
        let used = chunk.state.is_used();
        let (type_number, owner, path, flags) = if used { told.block(node) } else { (0, 0, 0, 0) };
        ChunkRow {
            address: chunk.addr,
            bytes: chunk.bytes,
            type_number,
            owner,
            path,
            state: state(chunk.state),
            flags,
        }
    };
    let chunks = picture.chunks.all.iter().zip(first..).map(chunk).collect();
    let type_row = |of: &super::types::TypeObject| TypeRow {
        name: of.name.clone(),
        address: of.addr,
        basicsize: of.basicsize,
        flags: of.flags,
    };
    Inventory {
        types: picture.types.iter().map(type_row).collect(),
        blocks,
        owners: told.owner_texts.all,
        paths: told.path_texts.all,
        mappings: edges.memory.mappings().iter().map(|mapping| row(mapping, pages)).collect(),
        parts: pages
            .parts
            .iter()
            .map(|part| PartRow { name: part.what.name().to_owned(), bytes: part.bytes })
            .collect(),
        findings: pages.findings.to_vec(),
        pool_memory: Vec::new(),
        edges: references(edges),
        chunks,
        source,
    }
}

struct Telling<'a, 'b> {
    edges: &'b Edges<'a>,
    owners: &'b Owners,
    reach: &'b Reach,
    owner_texts: Texts,
    path_texts: Texts,
    /// Numbers of groups and of types that were met.
    paths: HashMap<Group, u32>,
    types: HashMap<u32, u32>,
}

impl Telling<'_, '_> {
    /// The numbers of a block's type, owner and way, and its marks.
    fn block(&mut self, node: Node) -> (u32, u32, u32, u8) {
        let nodes = self.edges.nodes();
        let object = nodes.object(node);
        let owner = match self.owners.of(self.edges, node) {
            Owner::Itself => object.map_or(0, |object| self.type_text(object.of)),
            Owner::Object(owner) => nodes.object(owner).map_or(0, |object| self.type_text(object.of)),
            Owner::Nowhere => self.owner_texts.number("(nothing refers to it)".to_owned()),
            Owner::Outside(place) => {
                let text = match self.owners.outside.places.get(place as usize) {
                    Some(Place::Variables(name)) => format!("(C code, from {name})"),
                    Some(Place::Stack) => "(C code, from a stack)".to_owned(),
                    Some(Place::Register) => "(C code, from a register)".to_owned(),
                    _ => "(C code, from other memory)".to_owned(),
                };
                self.owner_texts.number(text)
            }
        };
        let path = self.reach.group(node).map_or(0, |group| {
            let (group, texts, reach) = (self.reach.groups.named(group), &mut self.path_texts, self.reach);
            *self.paths.entry(group).or_insert_with(|| texts.number(reach.groups.name(group)))
        });
        let dead = object.is_some_and(|object| object.dead);
        (
            object.map_or(0, |object| object.of + 1),
            owner,
            path,
            if dead { BlockFlags::FREE_LISTED } else { 0 },
        )
    }

    fn type_text(&mut self, of: u32) -> u32 {
        let Self { types, owner_texts, edges, .. } = self;
        *types.entry(of).or_insert_with(|| {
            let name = edges.nodes().picture().types.get(of as usize).map_or("", |of| of.name.as_str());
            owner_texts.number(name.to_owned())
        })
    }
}

fn state(state: State) -> ChunkState {
    match state {
        State::Used => ChunkState::Used,
        State::Mapped => ChunkState::Mapped,
        State::Free => ChunkState::Free,
        State::Cached => ChunkState::Cached,
        State::Fast => ChunkState::Fast,
        State::Top => ChunkState::Top,
    }
}

fn row(mapping: &Mapping, pages: &Pages<'_>) -> MappingRow {
    let bit = |yes: bool, bit: u8| if yes { bit } else { 0 };
    MappingRow {
        lo: mapping.lo,
        hi: mapping.hi,
        permissions: bit(mapping.readable, 1)
            | bit(mapping.writable, 2)
            | bit(mapping.executable, 4)
            | bit(mapping.shared, 8),
        name: match mapping.kind {
            Kind::Heap => "[heap]".to_owned(),
            Kind::Stack => "[stack]".to_owned(),
            Kind::Kernel => "[kernel]".to_owned(),
            Kind::Anonymous | Kind::File => mapping.name.clone(),
        },
        resident_bytes: pages.resident.within(mapping.lo, mapping.hi),
        private_bytes: pages.private.within(mapping.lo, mapping.hi),
    }
}

/// References between blocks in use, by their numbers among these, chunks behind all others; none where there are too many.
fn references(edges: &Edges<'_>) -> Vec<(u32, u32)> {
    let nodes = edges.nodes();
    let mut numbers = vec![NONE; nodes.count() as usize];
    let mut next = 0;
    for node in 0..nodes.first_chunk() {
        if nodes.is_used(node) {
            numbers[node as usize] = next;
            next += 1;
        }
    }
    for node in nodes.first_chunk()..nodes.count() {
        numbers[node as usize] = next;
        next += 1;
    }
    let mut all = Vec::new();
    for node in nodes.used() {
        let from = numbers[node as usize];
        edges.from(node, |edge| {
            if all.len() <= MOST_EDGES {
                all.push((from, numbers[edge.to as usize]));
            }
        });
        if all.len() > MOST_EDGES {
            return Vec::new();
        }
    }
    all
}
